"""What the matrix of permissions asks for: a thing of each life, made as people make it, and fresh ones of what is used up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any

import httpx

from catalog_registry.clocks import rules
from catalog_registry.correction_words import CorrectionType
from catalog_registry.harvest.documents import Document, Read
from catalog_registry.item_sheets import Written
from catalog_registry.item_sheets_out import workbook
from catalog_registry.records import PrincipalRecord, Receiver, ReceiverKind
from catalog_registry.registry import Registry
from exchange.corrections.duty import Corrections
from exchange.corrections.words import Words, seal_words
from exchange.trust.usage import count_usage
from schemas.licence_type import LicenceType
from schemas.odcs import write_contract
from schemas.workdays import calendar
from tests.hub import contract
from tests.items import CODE, MARKET, item
from tests.office import LICENCES, PURPOSE, Office, ShiftedClock
from tests.permission_requests import APPLICANT, OTHER, PROVIDER, UNTIL, Things

KIND = f"{MARKET}001"
_numbers = count(1)


@dataclass
class Makes:
    """Makes the things, as the accounts of an office; ``accounts`` and ``tokens`` are by role and department."""

    office: Office
    accounts: Mapping[tuple[str, str], PrincipalRecord]
    tokens: Mapping[tuple[str, str], str]

    def send(self, method: str, path: str, who: tuple[str, str], tag: str | None = None, **body: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.tokens[who]}"} | ({} if tag is None else {"if-match": tag})
        answer = self.office.http.request(method, f"/api/v1{path}", headers=headers, json=body if method == "POST" else None)
        assert answer.status_code in (200, 201), f"{path}: {answer.text}"
        return answer

    def made(self, path: str, who: tuple[str, str], **body: Any) -> str:
        """Make something, and return its id."""
        return str(self.send("POST", path, who, **body).json()["id"])

    def step(self, path: str, what: str, who: tuple[str, str], **body: Any) -> None:
        self.send("POST", f"{path}/{what}", who, self.send("GET", path, who).headers["etag"], **body)

    def contract(self, name: str, version: str = "1.0.0") -> str:
        made = contract(name, LICENCES.fields, licence_role=LICENCES.licence_role, version=version, title=f"{name} {version}")
        return write_contract(made)

    def grant(self, department: str, resource: str = "licences") -> str:
        now = self.office.clock.now()
        return self.office.hub.registry.make_grant(
            Receiver(ReceiverKind.DEPARTMENT, department),
            resource,
            ["licence_id", "issued_on"],
            legal_basis="a law",
            from_at=now - timedelta(days=90),
            to_at=now + timedelta(days=30),
            by="test",
            purposes=[PURPOSE],
        ).id

    def things(self) -> Things:
        """Make them."""
        registry, centre = self.office.hub.registry, ("registration_officer", OTHER)
        consumer, editor, reviewer = ("consumer", APPLICANT), ("provider_editor", PROVIDER), ("provider_reviewer", PROVIDER)
        grants = {department: self.grant(department) for department in (PROVIDER, APPLICANT, OTHER)}
        registry.register_resource(self.contract("hidden"), by="test", state="draft")
        account, _ = registry.create_machine("subject", APPLICANT)
        registry.ensure_department(PROVIDER, PROVIDER, credit_code=MARKET)
        registry.set_item(item(ways=[]), by=self.accounts[centre].id)
        registry.set_licence_type(LicenceType(KIND, "食品经营许可证", "局", MARKET), by=self.accounts[centre].id)
        registry.add_catalogue("city", "file:/nowhere", title="市目录", by="test")
        registry.take_harvest("city", Read((Document("urn:x:1", "x", {"title": "x", "identifiers": []}),), 0, 0), own=())
        (harvested,) = registry.harvested()
        self.office.refresh()

        application = self.made("/applications", consumer, **self.application())
        correction = self.made("/corrections", consumer, **self.correction("L1-T-ID"))
        demands = [self.made("/demands", consumer, **self.demand()) for _ in range(3)]
        for one in demands:
            self.step(f"/demands/{one}", "appoint", centre, department=PROVIDER)
        self.step(f"/demands/{demands[1]}", "accept", reviewer, promised_on="2031-12-31")
        self.step(f"/demands/{demands[2]}", "refuse", reviewer, basis_kind="1", why="某法第十条")
        rated = self.send("GET", "/resources/licences/rating", consumer).headers["etag"]
        self.send("POST", "/resources/licences/rating", consumer, rated, score=4, comment="a rating of civil")

        body = {"grant": grants[APPLICANT], "fields": ["licence_id"], "purpose": PURPOSE, "reason": "x"}
        export = self.made("/bulk-exports", consumer, **body)
        ended = self.grant(APPLICANT)
        registry.revoke_grant(ended, by="test", why="x")
        registry.ask_destructions([ended])
        (destruction,) = (one.id for one in registry.destructions() if one.grant == ended)

        self.send("POST", "/resources/licences/records/query", consumer, **self.query())
        count_usage(self.office.hub.connect, self.office.hub.clock)
        return Things(
            draft="hidden",
            published="licences",
            application=application,
            grant=grants[PROVIDER],
            account=account.id,
            source="test_source",
            system="test_system",
            contract=self.contract,
            client=(self.office.client_id, self.office.secret.reveal()),
            harvested=harvested.id,
            received=grants[APPLICANT],
            correction=correction,
            told=self.told(consumer, reviewer),
            late=self.late(),
            demand=demands[0],
            promised=demands[1],
            refused=demands[2],
            export=export,
            destruction=destruction,
            **self.announced(editor, reviewer),
            item=CODE,
            kind=KIND,
            department=self.department,
            delegated=self.delegated,
            workbook=self.workbook,
        )

    @staticmethod
    def application() -> dict[str, Any]:
        asked = {"resource": "licences", "fields": ["licence_id"], "reason": "x", "legal_basis": "x"}
        return asked | {"to_at": UNTIL, "purposes": [PURPOSE]}

    @staticmethod
    def correction(row: str) -> dict[str, Any]:
        return {"resource": "licences", "type": "1", "content": "x", "row": {"licence_id": row}}

    @staticmethod
    def demand() -> dict[str, Any]:
        return {"title": "x", "description": "x", "fields": ["x"], "legal_basis": "x", "purposes": [PURPOSE]}

    @staticmethod
    def query() -> dict[str, Any]:
        return {"purpose": PURPOSE, "operator": "window-03", "fields": ["licence_id"]}

    def told(self, consumer: tuple[str, str], reviewer: tuple[str, str]) -> str:
        """Return the notice to the department that received a row which is wrong."""
        self.send("POST", "/resources/licences/records/query", consumer, **self.query())
        wrong = self.made("/corrections", consumer, **self.correction("L2-T-ID"))
        self.step(f"/corrections/{wrong}", "accept", reviewer)
        Corrections(self.office.hub).do()
        (notice,) = self.office.hub.registry.correction_notices(correction=wrong, department=APPLICANT)
        return notice.id

    def late(self) -> Mapping[str, str]:
        """Return an application and a correction that the provider should have answered long ago; it was reminded of both."""
        now, people = self.office.clock.now(), self.accounts
        before = Registry(self.office.settings.database_url, ShiftedClock(timedelta(days=-60)))
        try:
            asked = before.apply(
                **self.application() | {"to_at": now + timedelta(days=30), "from_at": now},
                by=people["consumer", APPLICANT].id,
            )
            before.accept_check(asked.id, by=people["registration_officer", OTHER].id, version=asked.version)
            wrong = before.ask_correction(
                "licences",
                by=people["consumer", APPLICANT].id,
                type_=CorrectionType("1"),
                seal=lambda ident: seal_words(Words("x", None, None), ident, "licences", self.office.hub.keys),
            )
        finally:
            before.close()
        self.office.hub.registry.remind(rules(), calendar())
        return {"application": asked.id, "correction": wrong.id}

    def announced(self, editor: tuple[str, str], reviewer: tuple[str, str]) -> dict[str, str]:
        """Return a resource of which a breaking change, and its withdrawal, are told to a department: revision and notice."""
        registry = self.office.hub.registry
        registry.register_resource(self.contract("announced"), by="test")
        self.grant(APPLICANT, "announced")
        self.office.refresh()
        broken = self.contract("announced", "2.0.0").replace("issued_on", "issued_at")
        revision = self.made("/revisions", editor, contract=broken)
        self.step(f"/revisions/{revision}", "approve", reviewer)
        (notice,) = registry.notices(revision=revision)
        self.step("/resources/announced", "withdrawal", reviewer, on="2030-01-01", why="x")
        return {"announced": "announced", "revision": revision, "notice": notice.id}

    # What a request uses up -------------------------------------------------------------------------------------------

    def department(self) -> str:
        """Return a department that there was not before."""
        return self.office.hub.registry.ensure_department(f"fresh{next(_numbers)}", "x").code

    def delegated(self) -> str:
        """Return a department that the item is delegated to."""
        code = self.department()
        officer = self.accounts["registration_officer", OTHER].id
        self.office.hub.registry.delegate_item(CODE, code, by=officer, basis="x")
        return code

    @staticmethod
    def workbook(code: str) -> bytes:
        """Return a workbook with an item that there was not before."""
        return workbook([Written(item(code=code, ways=[]), 0)])
