"""Data contracts as YAML of the Open Data Contract Standard (ODCS) v3.1, in and out.

Where the standard has a place for a term of the hub, it stands there; the rest stands in ``customProperties``:

=====================  =========================================================================================
resource's name        ``schema[0].name`` (one schema object a contract)
table at the source    ``schema[0].physicalName``
title, description     ``name``, ``description.purpose``
field                  ``name``, ``physicalName``, ``physicalType``, ``businessName``, ``description``, ``required``,
                       ``primaryKey``, ``primaryKeyPosition``, ``classification: personal``
limits of a value      ``logicalTypeOptions``: ``minLength``, ``maxLength``, ``pattern``, ``minimum``, ``maximum``
double, bytes          ``number`` with ``format: f64``, ``string`` with ``format: binary`` (or such a ``physicalType``)
precision and scale    ``physicalType: numeric(p,s)``, else ``onedoor.precision``, ``onedoor.scale``
allowed values         ``quality``: ``metric: invalidValues``, ``arguments.validValues``, ``mustBe: 0``
parent                 ``relationships``: ``to: resource.field``
schedule               ``slaProperties``: an entry with ``scheduler: cron`` and ``schedule``
of the contract        ``onedoor.department``, ``onedoor.system``, ``onedoor.source``, ``onedoor.cursor``,
                       ``onedoor.limits``, ``onedoor.partitions``, ``onedoor.role``
of a field             ``onedoor.normalise``, ``onedoor.code``, ``onedoor.lookup``, ``onedoor.confirm``
=====================  =========================================================================================
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from decimal import InvalidOperation
from typing import Any, Final

from schemas.codes import CODES
from schemas.contract import (
    CaseRole,
    CursorSpec,
    DataContract,
    Field,
    LicenceRole,
    Limits,
    LogicalType,
    Normalise,
    Reference,
)
from schemas.cron import cron_problem
from schemas.errors import Fault, RejectedError
from schemas.odcs_standard import standard_problems, unknown_keys
from schemas.odcs_terms import canonical_bound, declared_shape, logical_type
from schemas.odcs_write import write_contract
from schemas.resource import ResourceName, resource_name
from schemas.types import DEFAULT_PRECISION, DEFAULT_SCALE, MAX_PRECISION
from schemas.yaml_lines import Lined, Path, Problem, read_lines

__all__ = ["API_VERSION", "read_contract", "write_contract"]

API_VERSION: Final = "v3.1.0"
MAX_PARTITIONS: Final = 64
CLASSIFICATIONS: Final = ("public", "internal", "personal")
STATUSES: Final = ("proposed", "draft", "active", "deprecated", "retired")

_CONTRACT_TERMS: Final = frozenset(
    f"onedoor.{t}" for t in ("department", "system", "source", "cursor", "limits", "partitions", "role")
)
_FIELD_TERMS: Final = frozenset(f"onedoor.{t}" for t in ("normalise", "code", "lookup", "precision", "scale", "confirm"))
_FIELD_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,47}")
_LOGICAL: Final = ("string", "integer", "number", "boolean", "date", "timestamp", "time")
_TEXT_RULES: Final = ("minLength", "maxLength", "pattern")
_BOUNDS: Final = ("minimum", "maximum")
_NO_BOUNDS: Final = (LogicalType.STRING, LogicalType.BOOLEAN, LogicalType.BYTES)
_TEXT_ONLY: Final = (Normalise.ID_18,)
_DATES_ONLY: Final = (Normalise.DATE_FORMS, Normalise.FOREVER)
_DATED: Final = (LogicalType.STRING, LogicalType.DATE, LogicalType.TIMESTAMP)


def read_contract(text: str, *, where: str = "<contract>") -> DataContract:
    """Return the contract that an ODCS v3.1 YAML text holds; its ``document`` keeps every part of the text.

    Args:
        text: the YAML.
        where: the file's name or the like, for the error.

    Raises:
        RejectedError: code ``contract.invalid``; the message has every error, one a line, as ``line N: …``.
    """
    lined = read_lines(text)
    reader = _Reader(lined)
    contract = reader.contract() if not _fatal(lined) else None
    problems = sorted({*lined.problems, *reader.problems}, key=lambda p: (p.line, p.message))
    if contract is None or problems:
        raise RejectedError(
            "\n".join(f"line {p.line}: {p.message}" for p in problems),
            code="contract.invalid",
            where=where,
            remedy=f"mend {'it' if len(problems) == 1 else f'these {len(problems)} errors'} and register again",
            fault=Fault.PROVIDER,
        )
    return contract


def _fatal(lined: Lined) -> bool:
    return lined.value is None and bool(lined.problems)


@dataclass(slots=True)
class _Part:
    """A mapping of the document and its path; each getter reports a value of the wrong kind and gives None for it."""

    reader: _Reader
    value: Mapping[str, Any]
    path: Path

    def problem(self, message: str, *keys: str | int) -> None:
        self.reader.problem((*self.path, *keys), message)

    def text(self, key: str, *, required: bool = False) -> str | None:
        value = self.value.get(key)
        if value is None:
            if required:
                self.problem(f"{key} is missing", key)
            return None
        if not isinstance(value, str):
            self.problem(f"{key} must be text: put it in quotes", key)
            return None
        if required and not value.strip():
            self.problem(f"{key} is empty", key)
            return None
        return value

    def flag(self, key: str) -> bool:
        value = self.value.get(key, False)
        if not isinstance(value, bool):
            self.problem(f"{key} must be true or false", key)
            return False
        return value

    def whole(self, key: str, low: int, high: int) -> int | None:
        value = self.value.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.problem(f"{key} must be a whole number from {low} to {high}", key)
            return None
        return value

    def share(self, key: str, default: float) -> float:
        value = self.value.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            self.problem(f"{key} must be a share from 0 to 1", key)
            return default
        return float(value)

    def part(self, key: str) -> _Part:
        value = self.value.get(key)
        if value is not None and not isinstance(value, dict):
            self.problem(f"{key} must be a mapping", key)
        return _Part(self.reader, value if isinstance(value, dict) else {}, (*self.path, key))

    def parts(self, key: str) -> list[_Part]:
        value = self.value.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            self.problem(f"{key} must be a list", key)
            return []
        out = []
        for i, item in enumerate(value):
            if isinstance(item, dict):
                out.append(_Part(self.reader, item, (*self.path, key, i)))
            else:
                self.problem(f"each of {key} must be a mapping", key, i)
        return out

    def terms(self, known: frozenset[str]) -> dict[str, _Part]:
        """The custom properties ``onedoor.*`` by name, each as the part that holds its ``value``."""
        out: dict[str, _Part] = {}
        for part in self.parts("customProperties"):
            name = part.value.get("property")
            if not isinstance(name, str) or not name.startswith("onedoor."):
                continue
            if name not in known:
                part.problem(f"{name} is no term of this place; expected one of {', '.join(sorted(known))}")
            elif name in out:
                part.problem(f"{name} stands twice")
            elif part.value.get("value") is None:
                part.problem(f"{name} has no value")
            else:
                out[name] = part
        return out

    def only(self, known: tuple[str, ...], what: str) -> None:
        for key in self.value:
            if key not in known:
                self.problem(f"{key!r} is unknown in {what}; expected {', '.join(known)}", key)


class _Reader:
    def __init__(self, lined: Lined) -> None:
        self.lined = lined
        self.problems: list[Problem] = []
        self.paths: list[Path] = []

    def problem(self, path: Path, message: str) -> None:
        self.problems.append(Problem(self.lined.line(path), message))
        self.paths.append(path)

    def contract(self) -> DataContract | None:
        document = self.lined.value
        if not isinstance(document, dict):
            self.problem((), "a contract is a mapping with apiVersion, kind, id, version, schema")
            return None
        root = _Part(self, document, ())
        contract = self._contract(root)
        for path, message in unknown_keys(document):
            self.problem(path, message)
        for path, message in standard_problems(document):
            if not any(path[: len(p)] == p or p[: len(path)] == path for p in self.paths):
                self.problems.append(Problem(self.lined.line(path), message))
        return contract

    def _contract(self, root: _Part) -> DataContract | None:
        if root.text("apiVersion", required=True) not in (API_VERSION, None):
            root.problem(f"apiVersion must be {API_VERSION}", "apiVersion")
        if root.text("kind", required=True) not in ("DataContract", None):
            root.problem("kind must be DataContract", "kind")
        root.text("id", required=True)
        version = root.text("version", required=True)
        status = root.text("status") or "active"
        if status not in STATUSES:
            root.problem(f"status must be one of {', '.join(STATUSES)}", "status")
        terms = root.terms(_CONTRACT_TERMS)
        table = self._object(root)
        if table is None:
            return None
        name = self._resource(table)
        found = self._fields(table)
        by_name = {f.name: f for f, _ in found}
        contract = DataContract(
            name=name or ResourceName("unnamed"),
            version=version or "",
            title=root.text("name") or "",
            department=self._named(root, terms, "onedoor.department"),
            system=self._named(root, terms, "onedoor.system"),
            source=self._named(root, terms, "onedoor.source"),
            table=table.text("physicalName", required=True) or "",
            fields=tuple(f for f, _ in found),
            description=root.part("description").text("purpose") or "",
            status=status,
            cursor=self._cursor(terms.get("onedoor.cursor"), by_name),
            limits=self._limits(terms.get("onedoor.limits")),
            schedule=self._schedule(root),
            partitions=self._partitions(terms.get("onedoor.partitions")),
            case_role=self._case(terms.get("onedoor.role"), by_name),
            licence_role=self._licence(terms.get("onedoor.role"), by_name),
            document=root.value,
        )
        self._references(contract, found)
        return contract

    def _object(self, root: _Part) -> _Part | None:
        tables = root.parts("schema")
        if len(tables) == 1:
            return tables[0]
        root.problem(f"schema must hold one object, this has {len(tables)}", "schema")
        return None

    def _resource(self, table: _Part) -> ResourceName | None:
        text = table.text("name", required=True)
        try:
            return resource_name(text) if text is not None else None
        except RejectedError as error:
            table.problem(error.message, "name")
            return None

    def _named(self, root: _Part, terms: Mapping[str, _Part], term: str) -> str:
        part = terms.get(term)
        if part is None:
            root.problem(f"{term} is missing: add it to the contract's customProperties", "customProperties")
            return ""
        return part.text("value", required=True) or ""

    # --- fields

    def _fields(self, table: _Part) -> list[tuple[Field, _Part]]:
        found = []
        names: dict[str, int] = {}
        sources: dict[str, int] = {}
        for part in table.parts("properties"):
            f = self._field(part)
            line = self.lined.line(part.path)
            for kind, seen, key in (("field", names, f.name), ("source column", sources, f.source_name)):
                if key and key in seen:
                    part.problem(f"{kind} {key!r} stands twice, first at line {seen[key]}", "name")
                seen.setdefault(key, line)
            found.append((f, part))
        if not found:
            table.problem("the schema has no properties", "properties")
        return self._keyed(table, found)

    def _keyed(self, table: _Part, found: list[tuple[Field, _Part]]) -> list[tuple[Field, _Part]]:
        keys = [i for i, (_, part) in enumerate(found) if part.flag("primaryKey")]
        given = {i: found[i][1].whole("primaryKeyPosition", -1, 32) for i in range(len(found))}
        for i, position in given.items():
            if i not in keys and position not in (None, -1):
                found[i][1].problem("primaryKeyPosition without primaryKey: true", "primaryKeyPosition")
        positions = [p for i in keys if (p := given[i]) not in (None, -1)]
        if not keys:
            if found:
                table.problem("no field has primaryKey: true: name the field or fields that tell one row from another", "properties")
        elif not positions:
            positions = list(range(1, len(keys) + 1))
        elif sorted(p or 0 for p in positions) != list(range(1, len(keys) + 1)):
            found[keys[0]][1].problem(
                f"the primary key's positions must be 1 to {len(keys)}, each once", "primaryKeyPosition"
            )
            positions = list(range(1, len(keys) + 1))
        for i, position in zip(keys, positions, strict=True):
            f, part = found[i]
            if f.logical_type in (LogicalType.DOUBLE, LogicalType.BYTES):
                part.problem(f"a {f.logical_type.value} is no key", "primaryKey")
            found[i] = (replace(f, key=position), part)
        return found

    def _field(self, part: _Part) -> Field:
        name = part.text("name", required=True) or ""
        if name and not _FIELD_NAME.fullmatch(name):
            part.problem(
                f"{name[:60]!r} is no name of a field: a small letter, then up to 47 small letters, digits or underscores; "
                "keep the column's own name in physicalName",
                "name",
            )
        physical = part.text("physicalType")
        terms = part.terms(_FIELD_TERMS)
        options = part.part("logicalTypeOptions")
        kind = self._kind(part, physical, options)
        precision, scale = self._shape(part, kind, physical, terms)
        classification = part.text("classification")
        if classification not in (None, *CLASSIFICATIONS):
            part.problem(f"classification must be one of {', '.join(CLASSIFICATIONS)}", "classification")
        personal = classification == "personal"
        confirm = terms.get("onedoor.confirm")
        if confirm is not None and confirm.flag("value"):
            confirm.problem(
                f"field {name} waits for a person: confirm that its classification is right, then remove onedoor.confirm"
            )
        lookup = "onedoor.lookup" in terms and terms["onedoor.lookup"].flag("value")
        if lookup and not personal:
            terms["onedoor.lookup"].problem("onedoor.lookup is for personal fields; a clear field is found by its value")
        if "enum" in part.value:
            part.problem("enum is not of v3.1: use quality with metric invalidValues and arguments.validValues", "enum")
        self._text_rules(options, kind)
        return Field(
            name=name,
            logical_type=kind,
            source_name=part.text("physicalName") or name,
            title=part.text("businessName") or "",
            description=part.text("description") or "",
            physical_type=physical,
            required=part.flag("required"),
            personal=personal,
            lookup=lookup,
            min_length=options.whole("minLength", 0, 10_000_000),
            max_length=options.whole("maxLength", 0, 10_000_000),
            pattern=self._pattern(options),
            precision=precision,
            scale=scale,
            minimum=self._bound(options, "minimum", kind, scale),
            maximum=self._bound(options, "maximum", kind, scale),
            values=self._values(part, kind),
            code=self._code(terms.get("onedoor.code"), kind),
            normalise=self._normalise(terms.get("onedoor.normalise"), kind),
            references=self._reference(part, personal),
        )

    def _kind(self, part: _Part, physical: str | None, options: _Part) -> LogicalType:
        text = part.text("logicalType", required=True)
        if text is None:
            return LogicalType.STRING
        if text not in _LOGICAL:
            part.problem(f"logicalType {text[:40]!r} is unknown to the hub; expected one of {', '.join(_LOGICAL)}", "logicalType")
            return LogicalType.STRING
        return logical_type(text, physical, options.text("format"))

    def _shape(
        self, part: _Part, kind: LogicalType, physical: str | None, terms: Mapping[str, _Part]
    ) -> tuple[int | None, int | None]:
        own = {t: terms[f"onedoor.{t}"] for t in ("precision", "scale") if f"onedoor.{t}" in terms}
        if kind is not LogicalType.NUMBER:
            for t, term in own.items():
                term.problem(f"onedoor.{t} is for exact numbers")
            return None, None
        precision, scale = declared_shape(physical)
        if "precision" in own:
            precision = own["precision"].whole("value", 1, MAX_PRECISION)
        if "scale" in own:
            scale = own["scale"].whole("value", 0, MAX_PRECISION)
        shown_precision = precision or DEFAULT_PRECISION
        shown_scale = scale if scale is not None else (0 if precision else DEFAULT_SCALE)
        if not 1 <= shown_precision <= MAX_PRECISION or not 0 <= shown_scale <= shown_precision:
            part.problem(
                f"precision {shown_precision} and scale {shown_scale}; expected 1 to {MAX_PRECISION}, and scale within it",
                "physicalType",
            )
        return precision, scale

    def _text_rules(self, options: _Part, kind: LogicalType) -> None:
        for key in options.value:
            if key in _TEXT_RULES and kind is not LogicalType.STRING:
                options.problem(f"{key} is for text", key)
            elif key in _BOUNDS and kind in _NO_BOUNDS:
                options.problem(f"{key} is for numbers and times", key)
            elif key in ("exclusiveMinimum", "exclusiveMaximum", "multipleOf"):
                options.problem(f"{key} is not checked by the hub: use minimum and maximum", key)
            elif key == "defaultTimezone" and options.value[key] != "Asia/Shanghai":
                options.problem("a time without a zone is read in Asia/Shanghai: no other defaultTimezone", key)
        low, high = options.value.get("minLength"), options.value.get("maxLength")
        if isinstance(low, int) and isinstance(high, int) and low > high:
            options.problem("minLength is above maxLength", "minLength")

    def _pattern(self, options: _Part) -> str | None:
        text = options.text("pattern")
        if text is None:
            return None
        import pyarrow as pa
        import pyarrow.compute as pc

        try:
            re.compile(text)
            pc.match_substring_regex(pa.array([""]), text)
        except (re.error, pa.ArrowInvalid):
            options.problem("pattern is no regular expression that both Python and RE2 take", "pattern")
            return None
        return text

    def _bound(self, options: _Part, key: str, kind: LogicalType, scale: int | None) -> str | None:
        value = options.value.get(key)
        if value is None or kind in _NO_BOUNDS:
            return None
        try:
            return canonical_bound(value, kind, scale if scale is not None else DEFAULT_SCALE)
        except (ValueError, InvalidOperation, TypeError):
            options.problem(f"{key} is no {kind.value} of at most 15 digits that fits the field", key)
            return None

    def _values(self, part: _Part, kind: LogicalType) -> tuple[str, ...]:
        out: tuple[str, ...] = ()
        for rule in part.parts("quality"):
            if rule.value.get("metric") != "invalidValues":
                continue
            arguments = rule.part("arguments")
            values = arguments.value.get("validValues")
            if values is None:
                continue
            if not isinstance(values, list) or not values or rule.value.get("mustBe") != 0:
                rule.problem("allowed values are a list arguments.validValues that is not empty, with mustBe: 0")
            elif kind not in (LogicalType.STRING, LogicalType.INTEGER):
                rule.problem("allowed values are for texts and whole numbers")
            elif out:
                rule.problem("allowed values stand twice")
            else:
                for i, v in enumerate(values):
                    if not isinstance(v, str if kind is LogicalType.STRING else int) or isinstance(v, bool):
                        arguments.problem(
                            "each allowed value must be text: put it in quotes"
                            if kind is LogicalType.STRING
                            else "each allowed value must be a whole number",
                            "validValues",
                            i,
                        )
                out = tuple(str(v) for v in values)
                if len(set(out)) != len(out):
                    arguments.problem("an allowed value stands twice", "validValues")
        return out

    def _code(self, term: _Part | None, kind: LogicalType) -> str | None:
        text = term.text("value", required=True) if term else None
        if term is None or text is None:
            return None
        if text not in CODES:
            term.problem(f"code rule {text[:40]!r} is unknown; expected one of {', '.join(CODES)}", "value")
        elif kind is not LogicalType.STRING:
            term.problem("a code rule is for text", "value")
        return text

    def _normalise(self, term: _Part | None, kind: LogicalType) -> tuple[Normalise, ...]:
        if term is None:
            return ()
        names = term.value["value"]
        if not isinstance(names, list):
            term.problem("onedoor.normalise must be a list", "value")
            return ()
        out: list[Normalise] = []
        for i, name in enumerate(names):
            if name not in list(Normalise):
                term.problem(f"normalisation {name!r} is unknown; expected one of {', '.join(Normalise)}", "value", i)
                continue
            rule = Normalise(name)
            if rule in out:
                term.problem(f"normalisation {name} stands twice", "value", i)
            elif rule in _TEXT_ONLY and kind is not LogicalType.STRING:
                term.problem(f"normalisation {name} is for text", "value", i)
            elif rule in _DATES_ONLY and kind not in _DATED:
                term.problem(f"normalisation {name} is for dates", "value", i)
            elif {rule, *out} >= {Normalise.UPPER, Normalise.LOWER}:
                term.problem("upper and lower exclude each other", "value", i)
            out.append(rule)
        return tuple(dict.fromkeys(out))

    def _reference(self, part: _Part, personal: bool) -> Reference | None:
        found = part.parts("relationships")
        if len(found) > 1:
            found[1].problem("a field has one parent at most")
        for relation in found[:1]:
            to = relation.text("to", required=True)
            if to is None:
                return None
            if personal:
                relation.problem("a personal field has no parent: it rests sealed and cannot be compared", "to")
            name, _, field = to.partition(".")
            try:
                if not _FIELD_NAME.fullmatch(field):
                    raise RejectedError("", code="contract.invalid")
                return Reference(resource_name(name), field)
            except RejectedError:
                relation.problem(f"a parent is named resource.field, not {to[:60]!r}", "to")
        return None

    # --- the contract's own terms

    def _cursor(self, term: _Part | None, known: Mapping[str, Field]) -> CursorSpec | None:
        if term is None:
            return None
        part = term.part("value")
        part.only(("field", "declared_lag_s", "overlap_s"), "onedoor.cursor")
        lag, overlap = part.whole("declared_lag_s", 0, 30 * 86400), part.whole("overlap_s", 0, 30 * 86400)
        f = self._known(part, "field", known)
        if f is None:
            return None
        if f.personal:
            part.problem(f"field {f.name} is personal; a cursor must be clear", "field")
        if f.logical_type not in (LogicalType.TIMESTAMP, LogicalType.DATE, LogicalType.INTEGER):
            part.problem(f"field {f.name} is a {f.logical_type.value}; a cursor is a timestamp, a date or an integer", "field")
        return CursorSpec(f.name, lag, CursorSpec("").overlap_s if overlap is None else overlap)

    def _limits(self, term: _Part | None) -> Limits:
        if term is None:
            return Limits()
        part = term.part("value")
        part.only(("bad", "shrink"), "onedoor.limits")
        return Limits(part.share("bad", Limits().bad), part.share("shrink", Limits().shrink))

    def _partitions(self, term: _Part | None) -> int:
        return (term.whole("value", 1, MAX_PARTITIONS) if term else None) or 1

    def _schedule(self, root: _Part) -> str | None:
        out: str | None = None
        for part in root.parts("slaProperties"):
            text = part.text("schedule")
            if text is None:
                continue
            if part.text("scheduler") not in (None, "cron"):
                part.problem("the hub takes schedules of scheduler cron only", "scheduler")
            elif out is not None:
                part.problem("the contract has two schedules", "schedule")
            elif (why := cron_problem(text)) is not None:
                part.problem(why, "schedule")
            out = text
        return out

    def _case(self, term: _Part | None, known: Mapping[str, Field]) -> CaseRole | None:
        part = self._role(term, "case")
        if part is None:
            return None
        part.only(tuple(f.name for f in fields(CaseRole)), "the role case")
        clear = {k: self._clear(part, k, known) for k in ("case_number", "item_code", "holder_type", "state")}
        states = part.value.get("open_states")
        if not isinstance(states, list) or not states or not all(isinstance(s, str) for s in states):
            part.problem("open_states must be a list of texts: the state's values of an open case", "open_states")
            states = []
        state = known.get(clear["state"])
        for i, s in enumerate(states):
            if state is not None and state.values and s not in state.values:
                part.problem(f"open state {s!r} is not among the values of field {state.name}", "open_states", i)
        return CaseRole(**clear, holder_number=self._holder(part, known), open_states=tuple(states))

    def _licence(self, term: _Part | None, known: Mapping[str, Field]) -> LicenceRole | None:
        part = self._role(term, "licence")
        if part is None:
            return None
        names = tuple(f.name for f in fields(LicenceRole))
        part.only(names, "the role licence")
        clear = {
            k: self._clear(part, k, known) for k in names if k not in ("holder_number", "licence_number")
        }
        for key in ("valid_from", "valid_to"):
            f = known.get(clear[key])
            if f is not None and f.logical_type not in (LogicalType.DATE, LogicalType.TIMESTAMP):
                part.problem(f"{key} must be a date or a timestamp", key)
        number = self._known(part, "licence_number", known)
        return LicenceRole(
            **clear, holder_number=self._holder(part, known), licence_number=number.name if number else ""
        )

    def _role(self, term: _Part | None, name: str) -> _Part | None:
        if term is None:
            return None
        roles = term.part("value")
        if name == "case":
            roles.only(("case", "licence"), "onedoor.role")
        return roles.part(name) if name in roles.value else None

    def _known(self, part: _Part, key: str, known: Mapping[str, Field]) -> Field | None:
        text = part.text(key, required=True)
        if text is not None and text not in known:
            part.problem(f"{key} names field {text[:60]!r}, which the schema does not have", key)
        return known.get(text) if text is not None else None

    def _clear(self, part: _Part, key: str, known: Mapping[str, Field]) -> str:
        f = self._known(part, key, known)
        if f is not None and f.personal:
            part.problem(f"{key} names the personal field {f.name}; the hub must read it clear", key)
        return f.name if f is not None else ""

    def _holder(self, part: _Part, known: Mapping[str, Field]) -> str:
        f = self._known(part, "holder_number", known)
        if f is not None and f.personal and not f.lookup and f.key is None:
            part.problem(f"holder_number names the personal field {f.name}, which needs onedoor.lookup: true", "holder_number")
        return f.name if f is not None else ""

    def _references(self, contract: DataContract, found: list[tuple[Field, _Part]]) -> None:
        by_name = {f.name: f for f in contract.fields}
        for f, part in found:
            if f.references is None or f.references.resource != contract.name:
                continue
            parent = by_name.get(f.references.field)
            if parent is None:
                part.problem(f"field {f.name} refers to {f.references.field!r}, which the schema does not have", "relationships", 0)
            elif parent.personal:
                part.problem(f"field {f.name} refers to the personal field {parent.name}", "relationships", 0)
            elif parent.logical_type is not f.logical_type:
                part.problem(
                    f"field {f.name} is a {f.logical_type.value}, its parent {parent.name} a {parent.logical_type.value}",
                    "relationships",
                    0,
                )
