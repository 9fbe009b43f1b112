"""From ODCS v3.1 YAML to a contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from schemas.contract import DataContract
from schemas.errors import Fault, RejectedError
from schemas.odcs.fields import fields, references
from schemas.odcs.own_terms import case, cursor, licence, limits, partitions, schedule
from schemas.odcs.part import Part, Problems
from schemas.odcs.standard import standard_problems, unknown_keys
from schemas.resource import ResourceName, resource_name
from schemas.yaml_lines import Problem, read_lines

API_VERSION: Final = "v3.1.0"
STATUSES: Final = ("proposed", "draft", "active", "deprecated", "retired")

_TERMS: Final = frozenset(f"onedoor.{t}" for t in ("department", "system", "source", "cursor", "limits", "partitions", "role"))


def read_contract(text: str, *, where: str = "<contract>", registered: bool = False) -> DataContract:
    """Return the contract that an ODCS v3.1 YAML text holds; its ``document`` keeps every part of the text.

    Args:
        text: the YAML.
        where: the file's name or the like, for the error.
        registered: it was read and found good before it was kept, so the standard's own schema is not asked again.

    Raises:
        RejectedError: code ``contract.invalid``; the message has every error, one a line, as ``line N: …``.
    """
    lined = read_lines(text)
    problems = Problems(lined)
    contract = None
    if lined.value is not None or not lined.problems:
        contract = _document(problems, ask_standard=not registered)
    said: list[Problem] = sorted({*lined.problems, *(p for _, p in problems.found)}, key=lambda p: (p.line, p.message))
    if contract is None or said:
        raise RejectedError(
            "\n".join(f"line {p.line}: {p.message}" for p in said),
            code="contract.invalid",
            where=where,
            remedy=f"mend {'it' if len(said) == 1 else f'these {len(said)} errors'} and register again",
            fault=Fault.PROVIDER,
        )
    return contract


def _document(problems: Problems, *, ask_standard: bool) -> DataContract | None:
    document = problems.lined.value
    if not isinstance(document, dict):
        problems.add((), "a contract is a mapping with apiVersion, kind, id, version, schema")
        return None
    contract = _contract(Part(problems, document, ()))
    if not ask_standard:
        return contract
    for path, message in unknown_keys(document):
        problems.add(path, message)
    for path, message in [(p, m) for p, m in standard_problems(document) if not problems.touches(p)]:
        problems.add(path, message)
    return contract


def _contract(root: Part) -> DataContract | None:
    if root.text("apiVersion", required=True) not in (API_VERSION, None):
        root.problem(f"apiVersion must be {API_VERSION}", "apiVersion")
    if root.text("kind", required=True) not in ("DataContract", None):
        root.problem("kind must be DataContract", "kind")
    root.text("id", required=True)
    version = root.text("version", required=True)
    status = root.text("status") or "active"
    if status not in STATUSES:
        root.problem(f"status must be one of {', '.join(STATUSES)}", "status")
    terms = root.terms(_TERMS)
    table = _object(root)
    if table is None:
        return None
    name = _resource(table)
    found = fields(table)
    by_name = {f.name: f for f, _ in found}
    contract = DataContract(
        name=name or ResourceName("unnamed"),
        version=version or "",
        title=root.text("name") or "",
        department=_named(root, terms, "onedoor.department"),
        system=_named(root, terms, "onedoor.system"),
        source=_named(root, terms, "onedoor.source"),
        table=table.text("physicalName", required=True) or "",
        fields=tuple(f for f, _ in found),
        description=root.part("description").text("purpose") or "",
        status=status,
        cursor=cursor(terms.get("onedoor.cursor"), by_name),
        limits=limits(terms.get("onedoor.limits")),
        schedule=schedule(root),
        partitions=partitions(terms.get("onedoor.partitions")),
        case_role=case(terms.get("onedoor.role"), by_name),
        licence_role=licence(terms.get("onedoor.role"), by_name),
        document=root.value,
    )
    references(contract, found)
    return contract


def _object(root: Part) -> Part | None:
    tables = root.parts("schema")
    if len(tables) == 1:
        return tables[0]
    root.problem(f"schema must hold one object, this has {len(tables)}", "schema")
    return None


def _resource(table: Part) -> ResourceName | None:
    text = table.text("name", required=True)
    try:
        return resource_name(text) if text is not None else None
    except RejectedError as error:
        table.problem(error.message, "name")
        return None


def _named(root: Part, terms: Mapping[str, Part], term: str) -> str:
    part = terms.get(term)
    if part is None:
        root.problem(f"{term} is missing: add it to the contract's customProperties", "customProperties")
        return ""
    return part.text("value", required=True) or ""
