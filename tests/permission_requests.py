"""A minimal good request for each route of the API, by which the matrix of permissions tries it.

A route without one fails ``tests/integration/test_permissions.py``: add its request to ``REQUESTS``. What is changed is sent on
a version that there never was, so that whoever may do it gets a conflict (412) and nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from tests.catalogue_entry import entry_json
from tests.office import ITEM, PURPOSE, question

PROVIDER: Final = "test_department"
APPLICANT: Final = "civil"
OTHER: Final = "tax"
NEVER: Final = '"999999999"'
UNTIL: Final = "2099-01-01T00:00:00+08:00"
_numbers: Final = count(1)


@dataclass(frozen=True)
class Things:
    """What there is to ask for: each is of ``PROVIDER``, but the application and the account, which are of ``APPLICANT``."""

    draft: str
    published: str
    application: str
    grant: str
    account: str
    source: str
    system: str
    contract: Callable[[str], str]
    client: tuple[str, str]
    harvested: str


@dataclass(frozen=True)
class Sent:
    """A request.

    ``own``: departments whose own thing it is; empty: whoever asks does so for its own. ``nothing``: the same path of a thing
    that there is not. ``seen``: the path that shows whether somebody may know of the thing. ``shows``: what a list has of it.
    ``roles``: those of the declared ones that may do it to a thing in this state; empty: all of them.
    """

    path: str
    body: Any = None
    changes: bool = False
    own: tuple[str, ...] = (PROVIDER,)
    nothing: str | None = None
    seen: str | None = None
    shows: str | None = None
    form: Mapping[str, str] = field(default_factory=dict)
    roles: tuple[str, ...] = ()


def _resource(thing: str, path: str = "", **more: Any) -> Callable[[Things], Sent]:
    def build(things: Things) -> Sent:
        name = getattr(things, thing)
        body = more.get("body")
        given = body(things) if callable(body) else body
        changes = more.get("changes", body is not None)
        at = f"/api/v1/resources/{name}"
        nothing = f"/api/v1/resources/nothing_at_all{path}"
        return Sent(at + path, given, changes, nothing=nothing, seen=at, roles=more.get("roles", ()))

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
        changes = more.get("changes", "body" in more)
        own = more.get("own", (PROVIDER,))
        return Sent(at + path, more.get("body"), changes, own, nothing=nothing, seen=at)

    return build


def _list(kind: str, thing: str, *, own: tuple[str, ...] = (PROVIDER,)) -> Callable[[Things], Sent]:
    return lambda things: Sent(f"/api/v1/{kind}?limit=200", own=own, shows=f'"{getattr(things, thing)}"')


def _new(kind: str, body: Callable[[Things, int], Any], *, own: tuple[str, ...] = (PROVIDER,)) -> Callable[[Things], Sent]:
    return lambda things: Sent(f"/api/v1/{kind}", body(things, next(_numbers)), own=own)


_WHY: Final = {"why": "x"}
_INVOLVED: Final = (PROVIDER, APPLICANT)
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
        "published",
        "/contract",
        body=lambda things: {"contract": things.contract(things.published)},
        roles=("provider_reviewer",),
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
