"""A minimal good request for each route of the API, by which the matrix of permissions tries it.

A route without one fails ``tests/integration/test_permissions.py``: add its request to ``REQUESTS``. What is changed is sent on
a version that there never was, so that whoever may do it gets a conflict (412) and nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from catalog_registry.sheets.writing import MEDIA_TYPE
from tests.catalogue_entry import entry_json
from tests.items import MARKET, elements, steps
from tests.office import ITEM, PURPOSE, question

PROVIDER: Final = "test_department"
APPLICANT: Final = "civil"
OTHER: Final = "tax"
NEVER: Final = '"999999999"'
UNTIL: Final = "2099-01-01T00:00:00+08:00"
_numbers: Final = count(1)


@dataclass(frozen=True)
class Things:
    """What there is to ask for: each is of ``PROVIDER``, but what was asked for by ``APPLICANT``, received by it or told to it.

    ``late``: an application and a correction that the provider has not answered. The callables make what a request uses up.
    """

    draft: str
    published: str
    application: str
    grant: str
    account: str
    source: str
    system: str
    contract: Callable[..., str]
    client: tuple[str, str]
    harvested: str
    received: str
    correction: str
    told: str
    late: Mapping[str, str]
    demand: str
    promised: str
    refused: str
    export: str
    destruction: str
    announced: str
    revision: str
    notice: str
    item: str
    kind: str
    department: Callable[[], str]
    delegated: Callable[[], str]
    workbook: Callable[[str], bytes]


@dataclass(frozen=True)
class Sent:
    """A request.

    ``own``: departments whose own thing it is; empty: whoever asks does so for its own. ``nothing``: the same path of a thing
    that there is not; ``nothing_body``: the same body of one. ``seen``: the path that shows whether somebody may know of the
    thing; ``named``: what that has of it. ``shows``: what a list has of it. ``content``: media type and text, instead of JSON.
    """

    path: str
    body: Any = None
    changes: bool = False
    own: tuple[str, ...] = (PROVIDER,)
    nothing: str | None = None
    seen: str | None = None
    shows: str | None = None
    form: Mapping[str, str] = field(default_factory=dict)
    nothing_body: Any = None
    named: str = ""
    content: tuple[str, str | bytes] | None = None


def _resource(thing: str, path: str = "", **more: Any) -> Callable[[Things], Sent]:
    def build(things: Things) -> Sent:
        name = getattr(things, thing)
        body = more.get("body")
        given = body(things) if callable(body) else body
        changes = more.get("changes", body is not None)
        at = f"/api/v1/resources/{name}"
        nothing = f"/api/v1/resources/nothing_at_all{path}"
        return Sent(at + path, given, changes, more.get("own", (PROVIDER,)), nothing=nothing, seen=at)

    return build


def _application(path: str = "", *, own: tuple[str, ...] = (PROVIDER,), **more: Any) -> Callable[[Things], Sent]:
    def build(things: Things) -> Sent:
        at = f"/api/v1/applications/{things.application}"
        nothing = f"/api/v1/applications/a00000000000000000000{path}"
        return Sent(at + path, more.get("body"), "body" in more, own, nothing=nothing, seen=at)

    return build


def _of(kind: str, thing: str, path: str = "", **more: Any) -> Callable[[Things], Sent]:
    def build(things: Things) -> Sent:
        key = getattr(things, thing)
        nothing = f"/api/v1/{kind}/{'nothing' if kind != 'principals' else 'p0nothing'}{path}"
        at = f"/api/v1/{kind}/{key}"
        body = more.get("body")
        given = body(things) if callable(body) else body
        changes = more.get("changes", body is not None)
        own = more.get("own", (PROVIDER,))
        return Sent(at + path, given, changes, own, nothing=nothing, seen=at)

    return build


def _list(kind: str, thing: str, *, own: tuple[str, ...] = (PROVIDER,)) -> Callable[[Things], Sent]:
    return lambda things: Sent(f"/api/v1/{kind}?limit=200", own=own, shows=f'"{getattr(things, thing)}"')


def _new(kind: str, body: Callable[[Things, int], Any], *, own: tuple[str, ...] = (PROVIDER,)) -> Callable[[Things], Sent]:
    return lambda things: Sent(f"/api/v1/{kind}", body(things, next(_numbers)), own=own)


_WHY: Final = {"why": "x"}
_INVOLVED: Final = (PROVIDER, APPLICANT)
_ASKER: Final = (APPLICANT,)
_ANYBODY: Final = ()


def _export(grant: str) -> dict[str, Any]:
    return {"grant": grant, "fields": ["licence_id"], "purpose": PURPOSE, "reason": "x"}


def _item(number: int) -> str:
    return f"{MARKET}3{440900000000 + number}"


def _kind(code: str) -> dict[str, Any]:
    return {"code": code, "name": "x", "issuer": "x", "issuer_code": MARKET}


_URL: Final = "postgresql://reader@db.local/x"

REQUESTS: Final[Mapping[tuple[str, str], Callable[[Things], Sent]]] = {
    # resources
    ("GET", "/api/v1/resources"): _list("resources", "published"),
    ("GET", "/api/v1/resources/{name}"): _resource("published"),
    ("GET", "/api/v1/resources/{name}/history"): _resource("draft", "/history"),
    ("POST", "/api/v1/resources/{name}/submit"): _resource("draft", "/submit", body={}),
    ("POST", "/api/v1/resources/{name}/publish"): _resource("draft", "/publish", body={}),
    ("POST", "/api/v1/resources/{name}/reject"): _resource("draft", "/reject", body=_WHY),
    ("POST", "/api/v1/resources/{name}/freeze"): _resource("published", "/freeze", body=_WHY),
    ("POST", "/api/v1/resources/{name}/thaw"): _resource("published", "/thaw", body={}),
    ("POST", "/api/v1/resources/{name}/withdraw"): _resource("published", "/withdraw", body=_WHY),
    ("POST", "/api/v1/resources"): _new("resources", lambda things, n: {"contract": things.contract(f"made_{n}")}),
    ("GET", "/api/v1/resources/{name}/contract"): _resource("draft", "/contract"),
    ("PUT", "/api/v1/resources/{name}/contract"): _resource(
        "draft", "/contract", body=lambda things: {"contract": things.contract(things.draft)}
    ),
    ("POST", "/api/v1/resources/{name}/diff"): _resource(
        "draft", "/diff", body=lambda things: {"contract": things.contract(things.draft)}, changes=False
    ),
    ("GET", "/api/v1/resources/{name}/entry"): _resource("published", "/entry"),
    ("PUT", "/api/v1/resources/{name}/entry"): _resource("draft", "/entry", body={"entry": entry_json()}),
    ("POST", "/api/v1/resources/{name}/records/query"): lambda things: Sent(
        f"/api/v1/resources/{things.published}/records/query",
        {"purpose": PURPOSE, "operator": "window-03", "fields": ["licence_id"]},
    ),
    # applications
    ("GET", "/api/v1/applications"): _list("applications", "application", own=_INVOLVED),
    ("POST", "/api/v1/applications"): _new(
        "applications",
        lambda things, _: {
            "resource": things.published,
            "fields": ["licence_id"],
            "reason": "x",
            "legal_basis": "x",
            "to_at": UNTIL,
            "purposes": [PURPOSE],
        },
        own=(),
    ),
    ("GET", "/api/v1/applications/{id}"): _application(own=_INVOLVED),
    ("GET", "/api/v1/applications/{id}/history"): _application("/history", own=_INVOLVED),
    ("POST", "/api/v1/applications/{id}/accept-check"): _application("/accept-check", body={}),
    ("POST", "/api/v1/applications/{id}/return"): _application("/return", body=_WHY),
    ("POST", "/api/v1/applications/{id}/approve"): _application("/approve", body={}),
    ("POST", "/api/v1/applications/{id}/refuse"): _application("/refuse", body=_WHY),
    ("POST", "/api/v1/applications/{id}/cancel"): _application("/cancel", own=(APPLICANT,), body={}),
    ("POST", "/api/v1/applications/{id}/hand-over"): _application("/hand-over", body=_WHY | {"department": OTHER}),
    # departments, systems, sources
    ("GET", "/api/v1/departments"): lambda _: Sent("/api/v1/departments?limit=200", shows=f'"{PROVIDER}"'),
    ("GET", "/api/v1/departments/{code}"): lambda _: Sent(f"/api/v1/departments/{PROVIDER}"),
    ("POST", "/api/v1/departments"): _new("departments", lambda _, n: {"code": f"d{n}", "name": "x", "parent": PROVIDER}),
    ("PUT", "/api/v1/departments/{code}"): lambda _: Sent(
        f"/api/v1/departments/{PROVIDER}", {"name": "x"}, True, seen=f"/api/v1/departments/{PROVIDER}"
    ),
    ("GET", "/api/v1/systems"): _list("systems", "system"),
    ("GET", "/api/v1/systems/{code}"): _of("systems", "system"),
    ("POST", "/api/v1/systems"): _new("systems", lambda _, n: {"code": f"s{n}", "name": "x", "department": PROVIDER}),
    ("PUT", "/api/v1/systems/{code}"): _of("systems", "system", body={"name": "x"}),
    ("GET", "/api/v1/sources"): _list("sources", "source"),
    ("GET", "/api/v1/sources/{name}"): _of("sources", "source"),
    ("POST", "/api/v1/sources"): _new("sources", lambda things, n: {"name": f"s{n}", "system": things.system, "url": _URL}),
    ("PUT", "/api/v1/sources/{name}"): _of("sources", "source", body={"url": _URL}),
    ("DELETE", "/api/v1/sources/{name}"): _of("sources", "source", changes=True),
    # grants
    ("GET", "/api/v1/grants"): _list("grants", "grant"),
    ("GET", "/api/v1/grants/{id}"): _of("grants", "grant"),
    ("POST", "/api/v1/grants"): _new(
        "grants",
        lambda things, _: {
            "resource": things.published,
            "receiver": f"system:{things.system}",
            "fields": ["licence_id"],
            "legal_basis": "x",
            "to_at": UNTIL,
            "purposes": ["test"],
        },
    ),
    ("POST", "/api/v1/grants/{id}/revoke"): _of("grants", "grant", "/revoke", body=_WHY),
    # accounts
    ("GET", "/api/v1/principals"): _list("principals", "account"),
    ("GET", "/api/v1/principals/{id}"): _of("principals", "account"),
    ("POST", "/api/v1/principals"): _new(
        "principals", lambda _, n: {"name": f"made.{n}", "kind": "machine", "department": PROVIDER}
    ),
    ("PUT", "/api/v1/principals/{id}/roles"): _of("principals", "account", "/roles", body={"roles": ["consumer"]}),
    ("PUT", "/api/v1/principals/{id}/ranges"): _of("principals", "account", "/ranges", body={"ranges": ["10.0.0.0/8"]}),
    ("POST", "/api/v1/principals/{id}/revoke"): _of("principals", "account", "/revoke", body={}),
    ("POST", "/api/v1/principals/{id}/secret"): _of("principals", "account", "/secret", body={}),
    ("POST", "/api/v1/principals/{id}/end-old-secrets"): _of("principals", "account", "/end-old-secrets", body={}),
    # other catalogues
    ("GET", "/api/v1/harvested/catalogues"): lambda _: Sent("/api/v1/harvested/catalogues"),
    ("GET", "/api/v1/harvested"): _list("harvested", "harvested"),
    ("GET", "/api/v1/harvested/{id}"): _of("harvested", "harvested"),
    # corrections
    ("GET", "/api/v1/corrections"): _list("corrections", "correction", own=_INVOLVED),
    ("GET", "/api/v1/corrections/late"): lambda things: Sent(
        "/api/v1/corrections/late", own=_INVOLVED, shows=things.late["correction"]
    ),
    ("GET", "/api/v1/corrections/notices"): _list("corrections/notices", "told", own=_ASKER),
    ("POST", "/api/v1/corrections/notices/{id}/acknowledge"): lambda things: Sent(
        f"/api/v1/corrections/notices/{things.told}/acknowledge",
        own=_ASKER,
        nothing="/api/v1/corrections/notices/n0nothing/acknowledge",
        seen="/api/v1/corrections/notices?limit=200",
        named=things.told,
    ),
    ("POST", "/api/v1/corrections"): _new(
        "corrections",
        lambda things, n: {"resource": things.published, "type": "1", "content": "x", "row": {"licence_id": f"N{n}"}},
        own=_ANYBODY,
    ),
    ("GET", "/api/v1/corrections/{id}"): _of("corrections", "correction", own=_INVOLVED),
    ("GET", "/api/v1/corrections/{id}/history"): _of("corrections", "correction", "/history", own=_INVOLVED),
    ("GET", "/api/v1/corrections/{id}/notices"): _of("corrections", "correction", "/notices"),
    ("POST", "/api/v1/corrections/{id}/accept"): _of("corrections", "correction", "/accept", body={}),
    ("POST", "/api/v1/corrections/{id}/refuse"): _of("corrections", "correction", "/refuse", body=_WHY),
    ("POST", "/api/v1/corrections/{id}/withdraw"): _of("corrections", "correction", "/withdraw", own=_ASKER, body={}),
    ("POST", "/api/v1/corrections/{id}/contest"): _of("corrections", "correction", "/contest", own=_ASKER, body=_WHY),
    ("POST", "/api/v1/corrections/{id}/uphold"): _of("corrections", "correction", "/uphold", body=_WHY),
    ("POST", "/api/v1/corrections/{id}/overrule"): _of("corrections", "correction", "/overrule", body=_WHY),
    ("POST", "/api/v1/corrections/{id}/hand-over"): _of(
        "corrections", "correction", "/hand-over", body=_WHY | {"department": OTHER}
    ),
    ("POST", "/api/v1/corrections/{id}/resolve"): _of("corrections", "correction", "/resolve", body=_WHY),
    ("POST", "/api/v1/resources/search"): lambda _: Sent("/api/v1/resources/search", {"words": "licences"}),
    ("DELETE", "/api/v1/resources/{name}"): _resource("draft", changes=True),
    # demands, what is late, what is used, ratings
    ("GET", "/api/v1/demands"): _list("demands", "demand"),
    ("GET", "/api/v1/demands/responsibility"): _list("demands/responsibility", "promised"),
    ("GET", "/api/v1/demands/negative"): lambda things: Sent(
        "/api/v1/demands/negative?limit=200", shows=f'"demand/{things.refused}"'
    ),
    ("GET", "/api/v1/demands/analysis"): lambda _: Sent("/api/v1/demands/analysis"),
    ("POST", "/api/v1/demands"): _new(
        "demands",
        lambda _, n: {"title": "x", "description": "x", "fields": ["x"], "legal_basis": "x", "purposes": [PURPOSE]},
        own=_ANYBODY,
    ),
    ("GET", "/api/v1/demands/{id}"): _of("demands", "demand", own=_INVOLVED),
    ("GET", "/api/v1/demands/{id}/history"): _of("demands", "demand", "/history", own=_INVOLVED),
    ("POST", "/api/v1/demands/{id}/appoint"): _of("demands", "demand", "/appoint", body={"department": OTHER}),
    ("POST", "/api/v1/demands/{id}/return"): _of("demands", "demand", "/return", body=_WHY),
    ("POST", "/api/v1/demands/{id}/accept"): _of("demands", "demand", "/accept", body={"promised_on": "2031-12-31"}),
    ("POST", "/api/v1/demands/{id}/refuse"): _of("demands", "demand", "/refuse", body=_WHY | {"basis_kind": "1"}),
    ("POST", "/api/v1/demands/{id}/fulfil"): _of(
        "demands", "demand", "/fulfil", body=lambda things: {"resource": things.published}
    ),
    ("POST", "/api/v1/demands/{id}/cancel"): _of("demands", "demand", "/cancel", own=_ASKER, body={}),
    ("GET", "/api/v1/overdue"): lambda things: Sent("/api/v1/overdue", shows=things.late["application"]),
    ("GET", "/api/v1/usage"): lambda _: Sent(
        f"/api/v1/usage?department={APPLICANT}&by=total&limit=200", own=_INVOLVED, shows=f'"{APPLICANT}"'
    ),
    ("GET", "/api/v1/resources/{name}/ratings"): lambda things: Sent(
        f"/api/v1/resources/{things.published}/ratings", own=_INVOLVED, shows="a rating of civil"
    ),
    ("GET", "/api/v1/resources/{name}/rating"): _resource("published", "/rating", own=_ANYBODY),
    ("POST", "/api/v1/resources/{name}/rating"): _resource("published", "/rating", own=(APPLICANT, OTHER), body={"score": 3}),
    # changes to come
    ("GET", "/api/v1/revisions"): _list("revisions", "revision", own=_INVOLVED),
    ("POST", "/api/v1/revisions"): _new(
        "revisions", lambda things, n: {"contract": things.contract(things.published, f"1.{n}.0")}
    ),
    ("GET", "/api/v1/revisions/{id}"): _of("revisions", "revision", own=_INVOLVED),
    ("GET", "/api/v1/revisions/{id}/history"): _of("revisions", "revision", "/history"),
    ("GET", "/api/v1/revisions/{id}/notices"): _of("revisions", "revision", "/notices", own=_INVOLVED),
    ("GET", "/api/v1/revisions/{id}/affected"): _of("revisions", "revision", "/affected"),
    ("POST", "/api/v1/revisions/{id}/approve"): _of("revisions", "revision", "/approve", body={}),
    ("POST", "/api/v1/revisions/{id}/reject"): _of("revisions", "revision", "/reject", body=_WHY),
    ("POST", "/api/v1/revisions/{id}/go-on"): _of("revisions", "revision", "/go-on", body=_WHY),
    ("POST", "/api/v1/revisions/{id}/withdraw"): _of("revisions", "revision", "/withdraw", body=_WHY),
    ("GET", "/api/v1/notices"): _list("notices", "notice", own=_ASKER),
    ("GET", "/api/v1/notices/{id}"): _of("notices", "notice", own=_ASKER),
    ("POST", "/api/v1/notices/{id}/acknowledge"): _of("notices", "notice", "/acknowledge", own=_ASKER),
    ("GET", "/api/v1/resources/{name}/withdrawal"): _resource("announced", "/withdrawal"),
    ("POST", "/api/v1/resources/{name}/withdrawal"): _resource("published", "/withdrawal", body=_WHY | {"on": "2030-01-01"}),
    ("POST", "/api/v1/resources/{name}/withdrawal/call-off"): _resource("announced", "/withdrawal/call-off", body=_WHY),
    ("GET", "/api/v1/reminders"): lambda things: Sent("/api/v1/reminders?limit=200", shows=things.late["application"]),
    ("GET", "/api/v1/authorisations"): lambda _: Sent("/api/v1/authorisations"),
    # what ends, and what leaves in bulk
    ("GET", "/api/v1/destructions"): _list("destructions", "destruction", own=_ASKER),
    ("GET", "/api/v1/destructions/{id}"): _of("destructions", "destruction", own=_ASKER),
    ("GET", "/api/v1/destructions/{id}/history"): _of("destructions", "destruction", "/history", own=_ASKER),
    ("POST", "/api/v1/destructions/{id}/file"): _of("destructions", "destruction", "/file", own=_ASKER, body={"text": "x"}),
    ("POST", "/api/v1/destructions/{id}/return"): _of("destructions", "destruction", "/return", own=_ASKER, body=_WHY),
    ("POST", "/api/v1/destructions/{id}/confirm"): _of("destructions", "destruction", "/confirm", own=_ASKER, body={}),
    ("POST", "/api/v1/destructions/{id}/waive"): _of("destructions", "destruction", "/waive", own=_ASKER, body=_WHY),
    ("GET", "/api/v1/bulk-exports"): _list("bulk-exports", "export", own=_INVOLVED),
    ("POST", "/api/v1/bulk-exports"): lambda things: Sent(
        "/api/v1/bulk-exports", _export(things.received), own=_ASKER, nothing_body=_export("g0nothing")
    ),
    ("GET", "/api/v1/bulk-exports/{id}"): _of("bulk-exports", "export", own=_INVOLVED),
    ("GET", "/api/v1/bulk-exports/{id}/history"): _of("bulk-exports", "export", "/history", own=_INVOLVED),
    ("POST", "/api/v1/bulk-exports/{id}/approve"): _of("bulk-exports", "export", "/approve", body={}),
    ("POST", "/api/v1/bulk-exports/{id}/refuse"): _of("bulk-exports", "export", "/refuse", body=_WHY),
    ("POST", "/api/v1/bulk-exports/{id}/cancel"): _of("bulk-exports", "export", "/cancel", own=_ASKER, body={}),
    # service items and licence types
    ("GET", "/api/v1/items"): _list("items", "item"),
    ("GET", "/api/v1/items/{code}"): _of("items", "item"),
    ("GET", "/api/v1/items/{code}/versions"): _of("items", "item", "/versions"),
    ("GET", "/api/v1/items/{code}/guide"): _of("items", "item", "/guide"),
    ("GET", "/api/v1/items/{code}/stand-ins"): _of("items", "item", "/stand-ins"),
    ("GET", "/api/v1/items/{code}/handbook"): _of("items", "item", "/handbook"),
    ("GET", "/api/v1/items/{code}/bodies"): _of("items", "item", "/bodies"),
    ("POST", "/api/v1/items"): _new("items", lambda _, n: {"elements": elements(code=_item(n), ways=[])}),
    ("POST", "/api/v1/items/{code}"): _of("items", "item", body={"elements": elements(ways=[])}),
    ("POST", "/api/v1/items/{code}/end"): _of("items", "item", "/end", body=_WHY),
    ("POST", "/api/v1/items/{code}/stand-ins"): _of(
        "items", "item", "/stand-ins", body=lambda things: {"materials": {"CL000101": {"licence_types": [things.kind]}}}
    ),
    ("POST", "/api/v1/items/{code}/handbook"): _of("items", "item", "/handbook", body={"steps": steps()}),
    ("POST", "/api/v1/items/{code}/bodies"): _of(
        "items", "item", "/bodies", body=lambda things: {"department": things.department(), "basis": "x"}, changes=False
    ),
    ("POST", "/api/v1/items/{code}/bodies/end"): _of(
        "items", "item", "/bodies/end", body=lambda things: {"department": things.delegated()}, changes=False
    ),
    ("POST", "/api/v1/item-catalogue/coverage"): lambda _: Sent("/api/v1/item-catalogue/coverage", {}),
    ("GET", "/api/v1/item-catalogue/export"): lambda _: Sent("/api/v1/item-catalogue/export"),
    ("GET", "/api/v1/item-catalogue/template"): lambda _: Sent("/api/v1/item-catalogue/template"),
    ("POST", "/api/v1/item-catalogue/import"): lambda things: Sent(
        "/api/v1/item-catalogue/import", content=(MEDIA_TYPE, things.workbook(_item(next(_numbers))))
    ),
    ("GET", "/api/v1/licence-types"): _list("licence-types", "kind"),
    ("GET", "/api/v1/licence-types/{code}"): _of("licence-types", "kind"),
    ("GET", "/api/v1/licence-types/{code}/history"): _of("licence-types", "kind", "/history"),
    ("POST", "/api/v1/licence-types/{code}/terms"): _of("licence-types", "kind", "/terms", body={"terms": {"sharing": "1"}}),
    ("POST", "/api/v1/licence-types"): _new("licence-types", lambda _, n: {"elements": _kind(f"{MARKET}1{n:05d}")}),
    ("POST", "/api/v1/licence-types/{code}"): _of(
        "licence-types", "kind", body=lambda things: {"elements": _kind(things.kind)}
    ),
    # the catalogue
    ("GET", "/api/v1/catalogue"): lambda _: Sent("/api/v1/catalogue"),
    ("GET", "/api/v1/catalogue/template"): lambda _: Sent("/api/v1/catalogue/template"),
    ("POST", "/api/v1/catalogue/import"): lambda things: Sent(
        "/api/v1/catalogue/import", content=("application/yaml", things.contract(f"brought_{next(_numbers)}"))
    ),
    # the rest
    ("POST", "/api/v1/licences/lookup"): lambda _: Sent("/api/v1/licences/lookup", question(1)),
    ("POST", "/api/v1/authorisations/explain"): lambda things: Sent(
        "/api/v1/authorisations/explain", {"resource": things.published, "purpose": PURPOSE, "item": ITEM}
    ),
    ("POST", "/api/v1/token"): lambda things: Sent(
        "/api/v1/token",
        form={"grant_type": "client_credentials", "client_id": things.client[0], "client_secret": things.client[1]},
    ),
    ("GET", "/health/live"): lambda _: Sent("/health/live"),
    ("GET", "/health/ready"): lambda _: Sent("/health/ready"),
    ("GET", "/metrics"): lambda _: Sent("/metrics"),
}
