"""An intake office for tests: a hub that has collected licences and cases, and its API, as uvicorn serves it, on loopback."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import uvicorn
from fastapi import FastAPI

from catalog_registry.clocks import rules
from catalog_registry.notices import days_of
from catalog_registry.records import Receiver, ReceiverKind
from catalog_registry.registry import Registry
from exchange.api.app import create_app
from exchange.api.services import Services
from exchange.bootstrap import Hub, open_hub
from exchange.settings import Settings
from exchange.trust.keyfiles import create_keys
from exchange.trust.record import Receipt
from schemas.codes import citizen_id_check
from schemas.contract import CaseRole, DataContract, Field, LicenceRole, LogicalType, Normalise
from schemas.odcs import write_contract
from schemas.secret import Secret
from schemas.workdays import calendar
from tests.hub import HubForTests, a_hub, contract

ITEM, OTHER_ITEM = "ITEM-1", "ITEM-2"
PURPOSE = "accept_case"
GRANTED = ("licence_id", "licence_number", "holder_name", "issued_on")
SPOILT = (Normalise.TRIM, Normalise.HALFWIDTH, Normalise.UPPER)

LICENCES = contract(
    "licences",
    [
        Field("licence_id", LogicalType.STRING, "licence_id", required=True, key=1),
        Field("licence_type", LogicalType.STRING, "licence_type", required=True),
        Field("licence_number", LogicalType.STRING, "licence_number"),
        Field("holder_name", LogicalType.STRING, "holder_name", personal=True),
        Field("holder_number_type", LogicalType.STRING, "holder_number_type", required=True),
        Field("holder_number", LogicalType.STRING, "holder_number", personal=True, lookup=True, normalise=SPOILT),
        Field("home_address", LogicalType.STRING, "home_address", personal=True),
        Field("state", LogicalType.STRING, "state", required=True),
        Field("issued_on", LogicalType.DATE, "issued_on"),
        Field("valid_from", LogicalType.DATE, "valid_from"),
        Field("valid_to", LogicalType.DATE, "valid_to"),
        Field("trust_level", LogicalType.STRING, "trust_level"),
    ],
    licence_role=LicenceRole(
        licence_type="licence_type",
        licence_number="licence_number",
        holder_type="holder_number_type",
        holder_number="holder_number",
        state="state",
        valid_from="valid_from",
        valid_to="valid_to",
        trust_level="trust_level",
    ),
)
CASES = contract(
    "market_cases",
    [
        Field("case_number", LogicalType.STRING, "case_number", required=True, key=1),
        Field("item_code", LogicalType.STRING, "item_code", required=True),
        Field("applicant_number_type", LogicalType.STRING, "applicant_number_type", required=True),
        Field("applicant_number", LogicalType.STRING, "applicant_number", personal=True, lookup=True, normalise=SPOILT),
        Field("state", LogicalType.STRING, "state", required=True),
    ],
    case_role=CaseRole("case_number", "item_code", "applicant_number_type", "applicant_number", "state", ("1", "2")),
)
LICENCE_TABLE = """CREATE TABLE licences (licence_id text PRIMARY KEY, licence_type text, licence_number text, holder_name text,
  holder_number_type text, holder_number text, home_address text, state text, issued_on date, valid_from date, valid_to date,
  trust_level text)"""
CASE_TABLE = """CREATE TABLE market_cases (case_number text PRIMARY KEY, item_code text, applicant_number_type text,
  applicant_number text, state text)"""


def number(i: int) -> str:
    """Return the citizen id of holder ``i``: of people born before 2000, so that each has a form of 15 digits."""
    body = f"4402211980{1 + i % 12:02d}{1 + i // 12 % 28:02d}{i // 336:03d}"
    return body + citizen_id_check(body)


def name(i: int) -> str:
    """Return the name of holder ``i``."""
    return f"曲持证{i}"


def licence(i: int, kind: str, **more: Any) -> dict[str, Any]:
    """Return a licence of holder ``i`` as the source has it."""
    return {
        "licence_id": f"L{i}-{kind}",
        "licence_type": kind,
        "licence_number": f"440221-{i}-{kind}",
        "holder_name": name(i),
        "holder_number_type": "111",
        "holder_number": number(i),
        "home_address": f"马坝镇{i}号",
        "state": "01",
        "issued_on": date(2020, 5, 4),
        "valid_from": date(2020, 5, 4),
        "valid_to": date(2099, 5, 3),
        "trust_level": "A",
    } | more


def case(i: int, **more: Any) -> dict[str, Any]:
    """Return the case of holder ``i`` as the source has it."""
    return {
        "case_number": f"CASE-{i}",
        "item_code": ITEM,
        "applicant_number_type": "111",
        "applicant_number": number(i),
        "state": "1",
    } | more


def insert(url: str, table: str, rows: list[dict[str, Any]]) -> None:
    """Put rows into a source."""
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        names = list(rows[0])
        cursor.executemany(
            f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(['%s'] * len(names))})",
            [[row[n] for n in names] for row in rows],
        )


@dataclass
class ShiftedClock:
    """The machine's clock, moved by ``shift``."""

    shift: timedelta = timedelta(0)

    def now(self) -> datetime:
        """Return the moved instant."""
        return datetime.now(UTC) + self.shift


@dataclass
class Heard:
    """A log that remembers."""

    events: list[dict[str, Any]] = field(default_factory=list)

    def _hear(self, event: str, **more: Any) -> None:
        self.events.append({"event": event} | more)

    debug = info = warning = error = critical = _hear


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_up.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.is_up.set()  # also where the start failed
        await super().shutdown(sockets)


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serve an app as in production, in a thread; give its URL."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    how: dict[str, Any] = {"access_log": False, "server_header": False, "proxy_headers": False, "log_level": "warning"}
    config = uvicorn.Config(app, loop="uvloop", http="httptools", **how)
    server = _Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        assert server.is_up.wait(30)
        assert server.started
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


@dataclass
class Office:
    """The office. ``intake`` is the client that may look up; ``clock`` and ``log`` are the API's."""

    made: HubForTests
    settings: Settings
    clock: ShiftedClock
    log: Heard
    services: Services
    http: httpx.Client
    client_id: str
    secret: Secret[str] = field(repr=False)
    grant: str = ""

    @property
    def hub(self) -> Hub:
        """The hub that collects."""
        return self.made.hub

    def token(self, client_id: str | None = None, secret: Secret[str] | None = None) -> str:
        """Ask for an access token."""
        form = {
            "grant_type": "client_credentials",
            "client_id": client_id or self.client_id,
            "client_secret": (secret or self.secret).reveal(),
        }
        answer = self.http.post("/api/v1/token", data=form)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def ask(self, body: dict[str, Any] | bytes, token: str | None = None, **headers: str) -> httpx.Response:
        """Look up."""
        content = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        sent = {"authorization": f"Bearer {token or self.token()}", "content-type": "application/json"} | headers
        return self.http.post("/api/v1/licences/lookup", content=content, headers=sent)

    def ledger(self, kind: str = "licence.lookup") -> list[dict[str, Any]]:
        """Return the records of a kind, in order."""
        order = "split_part(chain, '.', 2)::int, n"  # the API's clock may have been moved
        rows = self.made.rows(f"SELECT record FROM trust.ledger WHERE kind = %s ORDER BY {order}", kind)
        return [json.loads(row[0]) for row in rows]

    def last_refusal(self) -> dict[str, Any]:
        """Return the newest refused look-up on record."""
        return [record for record in self.ledger() if record["outcome"] == "refused"][-1]

    def refresh(self) -> None:
        """Return when the API has read the registry as it is now."""
        loop = self.services.view._task.get_loop()  # type: ignore[union-attr]
        asyncio.run_coroutine_threadsafe(self.services.view.refresh(), loop).result(10)

    def put_in_force(self, changed: DataContract) -> None:
        """Give notice of a breaking version, and put it in force by a clock by which it is over and every grant has ended."""
        self.hub.registry.give_notice(write_contract(changed), by="test", rule=days_of(rules()), of=calendar())
        later = Registry(self.settings.database_url, ShiftedClock(timedelta(days=60)))
        try:
            assert [one.state for one in later.move_revisions()] == ["in_force"]
        finally:
            later.close()

    def machine(self, named: str, *, granted: bool = True, **terms: Any) -> tuple[str, str, Secret[str]]:
        """Make a machine, with a grant where asked; return its client id, the grant's id and its secret."""
        registry = self.hub.registry
        principal, secret = registry.create_machine(named, "test_department", system="test_system", roles=("consumer",))
        grant = self.give(principal.id, **terms) if granted else ""
        self.refresh()
        return str(principal.client_id), grant, secret

    def give(self, principal: str, **terms: Any) -> str:
        """Make a grant for licences and return its id."""
        now = datetime.now(UTC)
        values: dict[str, Any] = {
            "fields": GRANTED,
            "legal_basis": "a law",
            "from_at": now - timedelta(days=1),
            "to_at": now + timedelta(days=30),
            "by": "test",
            "purposes": (PURPOSE,),
            "items": (ITEM,),
        }
        values |= terms
        fields = values.pop("fields")
        receiver = Receiver(ReceiverKind.PRINCIPAL, principal)
        return self.hub.registry.make_grant(receiver, "licences", fields, **values).id


def approved_export(office: Office, client_id: str, grant: str, fields: Sequence[str], **terms: Any) -> str:
    """Return the id of a bulk export that a client asked for and a security officer approved."""
    registry = office.hub.registry
    if not any(p.name == "security" for p in registry.principals()):
        registry.create_person("security", "test_department", roles=("security_officer",))
    asked = {"purpose": "statistics", "reason": "年度核对"} | terms
    made = registry.ask_bulk_export(grant, fields, by=client_id, **asked)
    return registry.approve_bulk_export(made.id, by="security", version=made.version).id


def question(i: int, **more: Any) -> dict[str, Any]:
    """Return what the intake platform asks about holder ``i``."""
    return {
        "holder_type": "111",
        "holder_number": number(i),
        "item_code": ITEM,
        "case_number": f"CASE-{i}",
        "operator": "window-03",
        "purpose": PURPOSE,
    } | more


def receipt(answer: dict[str, Any]) -> Receipt:
    """Return an answer's receipt."""
    return Receipt(**answer["receipt"])


@contextmanager
def moved(office: Office, table: str) -> Iterator[None]:
    """Take a table of the hub away for a while."""
    schema, _, plain = table.partition(".")
    with psycopg.connect(office.settings.database_url, autocommit=True) as connection:
        connection.execute(f"ALTER TABLE {table} RENAME TO {plain}_away")
        try:
            yield
        finally:
            connection.execute(f"ALTER TABLE {schema}.{plain}_away RENAME TO {plain}")


HOLDERS = 40


def fill(url: str, holders: int = HOLDERS) -> None:
    """Fill the source: holder 0 has no licence, each other three, of which the item accepts two."""
    with psycopg.connect(url) as connection:
        connection.execute(LICENCE_TABLE)
        connection.execute(CASE_TABLE)
    kinds = ("T-ID", "T-BIZ", "T-OTHER")
    insert(url, "licences", [licence(i, kind) for i in range(1, holders) for kind in kinds])
    more = [
        case(1, case_number="CASE-CLOSED-1", state="9"),
        case(0, case_number="CASE-CLOSED-0", state="9"),
        case(1, case_number="CASE-OTHER-ITEM-1", item_code=OTHER_ITEM),
        case(0, case_number="CASE-OTHER-ITEM-0", item_code=OTHER_ITEM),
    ]
    insert(url, "market_cases", [case(i) for i in range(holders)] + more)


def installed(home: Path, hub_db: str, superuser_url: str) -> Settings:
    """Return settings of a home with keys, and of the two database roles that the API has in an installation."""
    server, database = superuser_url.rsplit("/", 1)[0], hub_db.rsplit("/", 1)[1]
    api, registry = (f"{server}/{database}?options=-c%20role%3D{role}" for role in ("onedoor_api", "onedoor_registry"))
    made = Settings(home=home, database_url=hub_db, api_database_url=api, registry_database_url=registry)
    create_keys(made.keys_dir)
    return made


@contextmanager
def an_office(settings: Settings, source_url: str, *, licences: DataContract = LICENCES) -> Iterator[Office]:
    """Give an office whose licences and cases were really collected; ``api_database_url`` of the settings is the API's."""
    with a_hub(settings, source_url) as made:
        registry = made.hub.registry
        for each in (licences, CASES):
            made.register(each)
            run = made.collect(each.name)
            assert run.state == "proved", run.error
        registry.set_licence_types({(ITEM, "M-1"): ["T-ID"], (ITEM, "M-2"): ["T-BIZ"]}, by="test")
        clock, log = ShiftedClock(), Heard()

        def opened(of: Settings) -> Hub:
            hub = open_hub(of)
            hub.__dict__.update(clock=clock, log=log)
            return hub

        app = create_app(settings, opened=opened)
        with served(app) as url, httpx.Client(base_url=url, timeout=20, trust_env=False) as http:
            office = Office(made, settings, clock, log, app.state.services, http, "", Secret(""))
            client_id, grant, secret = office.machine("intake")
            yield replace(office, client_id=client_id, grant=grant, secret=secret)
