"""A registry for tests: departments, their people, and the resource ``staff`` of the market supervision, published."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from catalog_registry.registry import Registry
from schemas.clock import Clock
from schemas.errors import DeniedError, RejectedError
from schemas.secret import Secret
from tests.contract_text import contract_text

PEOPLE = {
    "editor": ("market", ["provider_editor"]),
    "reviewer": ("market", ["provider_reviewer"]),
    "clerk": ("civil", ["consumer"]),
    "taxman": ("tax", ["consumer"]),
    "stranger": ("tax", ["provider_editor", "provider_reviewer"]),
    "officer": ("centre", ["registration_officer"]),
    "both": ("market", ["provider_editor", "provider_reviewer"]),
}
TITLE = "      - name: title\n        logicalType: string\n        physicalType: text\n"


@contextmanager
def a_registry(url: str, clock: Clock, folder: Path) -> Iterator[Registry]:
    """Give the registry; nothing of its setting up waits for the bus."""
    made = Registry(url, clock, keys_dir=folder / "keys", dags_json=folder / "dags.json")
    for code, name in (("market", "市场监督管理局"), ("civil", "民政局"), ("tax", "税务局"), ("centre", "信息中心")):
        made.ensure_department(code, name)
    made.ensure_system("approval", "审批系统", "market")
    made.ensure_system("relief", "救助系统", "civil")
    made.add_source("market_db", Secret("postgresql://reader@db.local/approval"), system="approval")
    for name, (department, roles) in PEOPLE.items():
        made.create_person(name, department, roles=roles)
    made.register_resource(contract_text(), by="setup")
    heard(made)
    yield made
    made.close()


def heard(registry: Registry) -> list[tuple[str, str]]:
    """Return type and subject of the events since the last call."""
    waiting = registry.events_waiting()
    registry.events_published([e.id for e in waiting])
    return [(e.type.removeprefix("onedoor.registry."), e.subject) for e in waiting]


def without_title(version: str = "2.0.0") -> str:
    """Return the contract of ``staff`` without its field ``title``, which breaks who reads it."""
    text = contract_text(version=version)
    assert text.count(TITLE) == 1
    return text.replace(TITLE, "")


def with_note(version: str = "1.1.0") -> str:
    """Return the contract of ``staff`` with a field more, which breaks nobody."""
    return contract_text(version=version).replace(TITLE, TITLE + TITLE.replace("name: title", "name: note"))


def code(kind: type[RejectedError] | type[DeniedError], do: Callable[[], object]) -> str:
    """Return the code of the refusal that a call ends in."""
    with pytest.raises(kind) as caught:
        do()
    return str(caught.value.code)
