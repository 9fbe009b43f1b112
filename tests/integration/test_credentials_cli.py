"""Accounts and their credentials by the command line: roles, networks, secrets that are rotated with an overlap and ended."""

from __future__ import annotations

from typing import Any

import pytest

from catalog_registry.registry import Registry
from schemas.errors import DeniedError
from schemas.secret import Secret
from tests.integration import test_harvest

pytestmark = pytest.mark.timeout(120)
onedoor, registry = test_harvest.onedoor, test_harvest.registry


def proves(registry: Registry, account: dict[str, Any], secret: str) -> bool:
    try:
        return registry.check_secret(account["client_id"], Secret(secret)).id == account["id"]
    except DeniedError:
        return False


def test_an_account_is_made_given_what_it_may_do_rotated_and_ended(onedoor: test_harvest.Onedoor, registry: Registry) -> None:
    onedoor("department", "add", "centre", "信息中心")
    made = onedoor("principal", "add", "intake", "--department", "centre", "--role", "consumer")
    first = made["client_secret"]
    assert onedoor("principal", "roles", "intake", "--role", "operator", "--role", "auditor")["roles"] == [
        "auditor",
        "operator",
    ]
    assert onedoor("principal", "roles", "intake")["roles"] == []
    placed = onedoor("principal", "ranges", "intake", "--range", "2001:db8::/32", "--range", "10.2.0.0/16")
    assert placed["ranges"] == ["10.2.0.0/16", "2001:db8::/32"]
    assert onedoor("principal", "ranges", "intake", "--range", "10.2.0.1/16", fails=True)["code"] == "principal.range"

    rotated = onedoor("principal", "rotate", "intake", "--overlap", "48")
    second = rotated["client_secret"]
    assert [proves(registry, made, s) for s in (first, second)] == [True, True]
    assert [s["ends_at"] is None for s in rotated["secrets"]] == [True, False]
    assert onedoor("principal", "rotate", "intake", "--overlap", "721", fails=True)["code"] == "principal.overlap"
    shown = onedoor("principal", "show", "intake")
    assert not any(secret in str(shown) for secret in (first, second))
    assert len(onedoor("principal", "end-old", "intake")["secrets"]) == 2
    assert [proves(registry, made, s) for s in (first, second)] == [False, True]
    assert shown["last_used_at"] is None
    registry.note_use(made["id"], 2)
    used = onedoor("principal", "show", "intake")["last_used_at"]
    assert used is not None
    assert {a["name"]: a["last_used_at"] for a in onedoor("principal", "list")} == {"intake": used}

    onedoor("principal", "revoke", "intake")
    assert not proves(registry, made, second)
    assert onedoor("principal", "rotate", "intake", fails=True)["code"] == "principal.no_secret"
    onedoor("principal", "add", "boss", "--department", "centre", "--person")
    assert onedoor("principal", "show", "boss")["secrets"] == []
    two = ("--role", "system_administrator", "--role", "audit_administrator")
    assert onedoor("principal", "roles", "boss", *two, fails=True)["code"] == "principal.administrators"
