"""The demo's job: build the district, sync it through Airflow, check everything against the truth, and look a licence up."""

from __future__ import annotations

import http.client
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

from console.cli.output import progress, say, table
from console.demo import district as districts
from console.demo import enrol, handbooks, truth
from console.demo.example import example_lookup
from console.demo.generator import DEFAULT_LICENCES
from console.local import airflow
from console.local.home import find_home
from exchange.bootstrap import Hub, open_hub
from exchange.collect.collect import collect
from exchange.collect.wait import wait
from exchange.settings import Settings
from exchange.store.reconcile import reconcile
from exchange.store.runs import Run, list_runs
from schemas.errors import OneDoorError, RejectedError, TransientError
from schemas.ids import new_id

CHANGED: Final = ("market_cases", "market_steps", "market_results")
"""The resources whose source goes on working during the demo."""
CHURN_ROWS: Final = 40
AIRFLOW_S: Final = 900.0
COLUMNS: Final = ("resource", "mode", "read", "landed", "set aside", "proved", "equals source")


_ASIDE_AT_FIRST: Final = """
    SELECT row_key FROM exchange.quarantine WHERE run = (
      SELECT id FROM exchange.run WHERE resource = %(resource)s AND mode = 'full' AND state = 'proved'
      ORDER BY started_at LIMIT 1)"""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold, and whether it did."""

    what: str
    held: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the demo's job brought: a line for each resource, the look-up's question and answer, and every check."""

    resources: list[list[Any]]
    question: dict[str, str]
    status: int
    answer: Any
    checks: list[Check]

    @property
    def held(self) -> bool:
        """Say whether every check held."""
        return all(check.held for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        """Return the JSON of ``onedoor demo --json``."""
        return {
            "held": self.held,
            "resources": [dict(zip(COLUMNS, row, strict=True)) for row in self.resources],
            "lookup": {"question": self.question, "status": self.status, "answer": self.answer},
            "checks": [{"what": c.what, "held": c.held} for c in self.checks],
        }


def run(settings: Settings, *, once: bool, scale: float) -> bool:
    """Do the demo's job and print what came of it; say whether every check held. ``once``: nobody watches it afterwards."""
    outcome = do(settings, scale=scale)
    tell(outcome)
    say(f"Data Docs: {settings.docs_dir}")
    return outcome.held


def do(settings: Settings, *, scale: float) -> Outcome:
    """Do the demo's job on a running installation: build or go on with the district, sync, check, look up."""
    hub = open_hub(settings)
    home = find_home(settings.home)
    try:
        with _doing("building the demo district"):
            made = districts.build(home.cluster().url(), settings.home, max(100, int(DEFAULT_LICENCES * scale)))
            enrolled = enrol.register(hub.registry, made, hub.clock)
        sync = _by_airflow(home) if airflow.started(home) else _by_hand(hub)
        with _doing("syncing nine resources"):
            sync([*enrol.RESOURCES])
        with _doing("the approval system goes on working; syncing its cases again"):
            made.churn(int(hub.clock.now().timestamp()), CHURN_ROWS, hub.clock)
            changed_at = hub.clock.now()
            for name in CHANGED:
                _until(partial(_bound_passed, hub, name, changed_at), f"the bound of {name} does not move")
            sync([*CHANGED])
        checks: list[Check] = []
        with _doing("bringing the register of items up to date; two handbooks, a delegation"):
            checks.append(Check("items: the register has every item that landed", handbooks.keep(hub)))
        with _doing("comparing with the sources and with the demo's own truth"):
            rows = [_checked(hub, made, name, checks) for name in enrol.RESOURCES]
        asked, answer, status = _look_up(settings, enrolled.client_id, enrolled.secret.reveal(), example_lookup(made))
        checks += _lookup_checks(hub, answer, status)
        personal = [f.name for f in hub.registry.resource("licences").contract.personal]
        return Outcome(rows, asked, status, _hidden(answer, personal), checks)
    finally:
        hub.close()


def tell(outcome: Outcome) -> None:
    """Print the outcome for a person."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 120).print(table(COLUMNS, outcome.resources))
    say("\nThe intake platform asks for a holder's licences 申办受理平台查询证照:")
    write(json.dumps({"POST": "/api/v1/licences/lookup", "question": outcome.question}, ensure_ascii=False, indent=2))
    write(json.dumps({"status": outcome.status, "answer": outcome.answer}, ensure_ascii=False, indent=2))
    say("")
    for check in outcome.checks:
        say(f"  {'✓' if check.held else '✗'} {check.what}")


# Syncing ----------------------------------------------------------------------------------------------------------------


def _bound_passed(hub: Hub, name: str, at: datetime) -> bool:
    """Say whether an incremental read may go up to an instant by now; a session that is open at the source holds it back."""
    source = hub.source(name)
    try:
        window = source.window(hub.registry.resource(name).contract, None, hub.clock.now())
        return datetime.fromisoformat(window.upto.replace("Z", "+00:00")) >= at
    finally:
        source.close()


def _by_hand(hub: Hub) -> Callable[[list[str]], None]:
    def sync(names: list[str]) -> None:
        for name in names:
            wait(hub, collect(hub, name), timeout_s=AIRFLOW_S)

    return sync


def _by_airflow(home: Any) -> Callable[[list[str]], None]:
    api = airflow.api(home)

    def sync(names: list[str]) -> None:
        airflow.make_pools(home)
        runs = {}
        for name in names:
            dag = f"onedoor_{name}"
            _until(partial(_parsed, api, dag), f"Airflow has not parsed {dag}")
            runs[dag] = new_id("demo_", datetime.now().astimezone())
            api.trigger(dag, runs[dag])
        for dag, run_id in runs.items():
            state = _until(partial(_ended, api, dag, run_id), f"{dag} has not ended")
            if state != "success":
                say(f"  {dag} ended as {state}; see {api.address}/dags/{dag}/runs/{run_id}")

    return sync


def _parsed(api: airflow.AirflowApi, dag: str) -> bool:
    try:
        api.call("GET", f"/dags/{dag}")
    except RejectedError:
        return False
    return True


def _ended(api: airflow.AirflowApi, dag: str, run_id: str) -> str:
    state = api.run_state(dag, run_id)
    return state if state in ("success", "failed") else ""


def _until(what: Callable[[], Any], otherwise: str) -> Any:
    deadline = time.monotonic() + AIRFLOW_S
    while time.monotonic() < deadline:
        try:
            if found := what():
                return found
        except TransientError:
            pass
        time.sleep(1.0)
    raise TransientError(
        f"{otherwise} within {AIRFLOW_S:.0f} s", code="demo.airflow", remedy="see the logs of Airflow in the data folder"
    )


# Checking ---------------------------------------------------------------------------------------------------------------


def _checked(hub: Hub, made: districts.District, name: str, checks: list[Check]) -> list[Any]:
    with hub.connect() as connection:
        runs = list_runs(connection, name, 1)
        if not runs or runs[0].state != "proved":
            checks.append(Check(f"{name}: the run is proved" + _why(runs[0] if runs else None), held=False))
            return [name, "-", 0, 0, 0, "no", "-"]
        newest = runs[0]
        aside = Counter(row[0] for row in connection.execute(_ASIDE_AT_FIRST, {"resource": name}).fetchall())
    equal = reconcile(hub, name).equal
    expected = truth.keys(made.truth(), name)
    checks += [
        Check(
            f"{name}: read {newest.rows_read:,} = landed {newest.rows_landed:,} + set aside {newest.rows_set_aside:,}",
            newest.rows_read == (newest.rows_landed or 0) + newest.rows_set_aside and newest.read_is_landed is True,
        ),
        Check(f"{name}: the store equals the source", equal),
    ]
    agrees = sum(aside.values()) == sum(expected.values()) and aside == expected
    checks.append(Check(f"{name}: set aside exactly what the demo made wrong, {sum(expected.values()):,} rows", agrees))
    return [name, newest.mode, newest.rows_read, newest.rows_landed, newest.rows_set_aside, "yes", "yes" if equal else "NO"]


def _why(run: Run | None) -> str:
    return f" ({run.error['message']})" if run is not None and run.error else ""


# Looking up -------------------------------------------------------------------------------------------------------------


def _look_up(settings: Settings, client_id: str, secret: str, body: dict[str, str]) -> tuple[dict[str, str], Any, int]:
    """Ask as the intake platform, through the API alone; the question is shown with most of the holder's number hidden."""
    form = f"grant_type=client_credentials&client_id={client_id}&client_secret={secret}"
    status, token = _post(settings, "/api/v1/token", form, {"content-type": "application/x-www-form-urlencoded"})
    shown = body | {"holder_number": body["holder_number"][:6] + "*" * (len(body["holder_number"]) - 6)}
    if status != 200:
        return shown, token, status
    headers = {"content-type": "application/json", "authorization": f"Bearer {token['access_token']}"}
    status, answer = _post(settings, "/api/v1/licences/lookup", json.dumps(body), headers)
    return shown, answer, status


def _hidden(answer: Any, personal: list[str]) -> Any:
    """Return an answer as it may be printed, since what is printed may go to a log: of a personal value the first character."""
    if not (isinstance(answer, dict) and "licences" in answer):
        return answer
    licences = [
        licence
        | {
            "fields": {
                n: str(v)[:1] + "*" * len(str(v)[1:]) if n in personal and v else v for n, v in licence["fields"].items()
            }
        }
        for licence in answer["licences"]
    ]
    return answer | {"licences": licences}


def _post(settings: Settings, path: str, body: str, headers: dict[str, str]) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", settings.api_port, timeout=30)
    try:
        connection.request("POST", path, body.encode(), headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read() or b"null")
    except OSError as error:
        raise TransientError(
            "the API does not answer", code="demo.api_away", remedy="see api.log in the data folder"
        ) from error
    finally:
        connection.close()


def _lookup_checks(hub: Hub, answer: Any, status: int) -> list[Check]:
    from exchange.trust.export import DatabaseEvidence
    from exchange.trust.record import Receipt
    from exchange.trust.verify import verify_receipt

    found = isinstance(answer, dict) and bool(answer.get("licences"))
    checks = [Check("the look-up was allowed and found the holder's licences", status == 200 and found)]
    if status == 200:
        try:
            with DatabaseEvidence.open(hub.connect) as evidence:
                held = verify_receipt(Receipt(**answer["receipt"]), evidence, hub.keys.ledger_public_key()).holds
        except OneDoorError:
            held = False
        checks.append(Check("its receipt stands in the ledger", held))
    return checks


def write(text: str) -> None:
    """Print a part of the answer."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@contextmanager
def _doing(what: str) -> Iterator[None]:
    began = time.monotonic()
    say(f"… {what}")
    with progress(what):
        yield
    say(f"  done in {time.monotonic() - began:.0f} s")
