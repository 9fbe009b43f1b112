"""A contract as ODCS v3.1 YAML: the document as it was read, with the places changed that the contract says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict
from decimal import Decimal, InvalidOperation
from io import StringIO
from typing import Any, Final

from schemas.contract import DataContract, Field, Limits, LogicalType
from schemas.odcs.words import canonical_bound, declared_shape, logical_type
from schemas.types import DEFAULT_SCALE

_KINDS: Final = {LogicalType.DOUBLE: "number", LogicalType.BYTES: "string"}
_FORMATS: Final = {LogicalType.DOUBLE: "f64", LogicalType.BYTES: "binary"}


def write_contract(contract: DataContract) -> str:
    """Return the contract as ODCS v3.1 YAML. ``read_contract`` of it gives an equal contract; the parts of
    ``contract.document`` that the hub does not know are kept, comments are not.
    """
    return yaml_text(document_of(contract))


def yaml_text(document: Mapping[str, Any]) -> str:
    """Return plain values as YAML in block style, keys in their order; a text stays text for readers of YAML 1.1 and 1.2."""
    from ruamel.yaml import YAML
    from ruamel.yaml.representer import SafeRepresenter
    from yaml import ScalarNode
    from yaml.resolver import Resolver

    plain = Resolver()

    class Representer(SafeRepresenter):
        def represent_str(self, data: Any) -> Any:
            text = plain.resolve(ScalarNode, data, (True, False)).endswith(":str") or "\n" in data  # type: ignore[no-untyped-call]
            return self.represent_scalar("tag:yaml.org,2002:str", data, style=None if text else "'")

    Representer.add_representer(str, Representer.represent_str)
    yaml = YAML(typ="safe", pure=True)
    yaml.Representer = Representer
    yaml.default_flow_style = False
    yaml.allow_unicode = True
    yaml.width = 4096
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    out = StringIO()
    yaml.dump(dict(document), out)
    return out.getvalue()


def document_of(contract: DataContract) -> dict[str, Any]:
    """Return the contract as an ODCS document of plain values."""
    document: dict[str, Any] = deepcopy(dict(contract.document))
    document.setdefault("apiVersion", "v3.1.0")
    document.setdefault("kind", "DataContract")
    document.setdefault("id", contract.name)
    _put(document, "version", contract.version, None)
    _put(document, "name", contract.title, "")
    _put(document, "status", contract.status, "active")
    description = document.get("description") or {}
    _put(description, "purpose", contract.description, "")
    _put(document, "description", description, {})
    tables = document.setdefault("schema", [{}])
    tables[0] = _table(tables[0], contract)
    _schedule(document, contract.schedule)
    _term(document, "onedoor.department", contract.department, None)
    _term(document, "onedoor.system", contract.system, None)
    _term(document, "onedoor.source", contract.source, None)
    _term(document, "onedoor.cursor", _cursor(contract, document), None)
    _term(document, "onedoor.limits", _limits(contract, document), None)
    _term(document, "onedoor.partitions", contract.partitions, 1)
    _term(document, "onedoor.role", _roles(contract), None)
    return document


def _table(old: Mapping[str, Any], contract: DataContract) -> dict[str, Any]:
    table = dict(old)
    _put(table, "name", str(contract.name), None)
    _put(table, "physicalName", contract.table, None)
    before = {p.get("name"): p for p in table.get("properties", ())}
    table["properties"] = [_property(before.get(f.name, {}), f, len(contract.key)) for f in contract.fields]
    return table


def _property(old: Mapping[str, Any], f: Field, key_size: int) -> dict[str, Any]:
    out = deepcopy(dict(old))
    _put(out, "name", f.name, None)
    _put(out, "physicalName", f.source_name, f.name)
    _put(out, "businessName", f.title, "")
    _put(out, "description", f.description, "")
    _put(out, "logicalType", _KINDS.get(f.logical_type, f.logical_type.value), None)
    _put(out, "physicalType", f.physical_type, None)
    _put(out, "required", f.required, False)
    _put(out, "primaryKey", f.key is not None, False)
    if key_size > 1 or f.key is None or out.get("primaryKeyPosition", -1) != -1:
        _put(out, "primaryKeyPosition", -1 if f.key is None else f.key, -1)
    if f.personal or out.get("classification") == "personal":
        _put(out, "classification", "personal" if f.personal else None, None)
    _options(out, f)
    _shape(out, f)
    _values(out, f)
    _parent(out, f)
    _term(out, "onedoor.code", f.code, None)
    _term(out, "onedoor.lookup", f.lookup, False)
    _term(out, "onedoor.normalise", [n.value for n in f.normalise], [])
    return out


def _options(out: dict[str, Any], f: Field) -> None:
    options = out.get("logicalTypeOptions") or {}
    if logical_type(out["logicalType"], f.physical_type, options.get("format")) is not f.logical_type:
        _put(options, "format", _FORMATS.get(f.logical_type), None)
    _put(options, "minLength", f.min_length, None)
    _put(options, "maxLength", f.max_length, None)
    _put(options, "pattern", f.pattern, None)
    for key, text in (("minimum", f.minimum), ("maximum", f.maximum)):
        if text is None or not _says(options.get(key), text, f):
            _put(options, key, _bound(text, f), None)
    _put(out, "logicalTypeOptions", options, {})


def _says(given: object, text: str, f: Field) -> bool:
    """Whether the document's own bound means the same, such as another zone's form of an instant."""
    try:
        return canonical_bound(given, f.logical_type, DEFAULT_SCALE if f.scale is None else f.scale) == text
    except (ValueError, TypeError, InvalidOperation):
        return False


def _bound(text: str | None, f: Field) -> object:
    if text is None:
        return None
    match f.logical_type:
        case LogicalType.INTEGER:
            return int(text)
        case LogicalType.NUMBER:
            number = Decimal(text)
            return int(number) if number == number.to_integral_value() else float(number)
        case LogicalType.DOUBLE:
            return float(text)
        case _:
            return text


def _shape(out: dict[str, Any], f: Field) -> None:
    """Say precision and scale where the physical type does not."""
    if f.logical_type is LogicalType.NUMBER:
        precision, scale = declared_shape(f.physical_type)
        _term(out, "onedoor.precision", f.precision, precision)
        _term(out, "onedoor.scale", f.scale, scale)


def _values(out: dict[str, Any], f: Field) -> None:
    values: list[object] = [int(v) if f.logical_type is LogicalType.INTEGER else v for v in f.values]
    rules = list(out.get("quality") or ())
    at = next(
        (i for i, r in enumerate(rules) if r.get("metric") == "invalidValues" and "validValues" in r.get("arguments", {})), None
    )
    if at is None and values:
        rules.append({"metric": "invalidValues", "arguments": {"validValues": values}, "mustBe": 0})
    elif at is not None and values:
        rules[at]["arguments"]["validValues"] = values
    elif at is not None:
        del rules[at]
    _put(out, "quality", rules, [])


def _parent(out: dict[str, Any], f: Field) -> None:
    if f.references is None:
        out.pop("relationships", None)
        return
    relations = out.setdefault("relationships", [{}])
    _put(relations[0], "to", f"{f.references.resource}.{f.references.field}", None)


def _schedule(document: dict[str, Any], cron: str | None) -> None:
    rules = list(document.get("slaProperties") or ())
    at = next((i for i, r in enumerate(rules) if r.get("schedule") is not None), None)
    if cron is not None and at is None:
        rules.append({"property": "frequency", "value": cron, "scheduler": "cron", "schedule": cron})
    elif cron is not None and at is not None:
        if rules[at]["schedule"] != cron:
            rules[at] = {**rules[at], "value": cron, "schedule": cron}
    elif at is not None:
        del rules[at]
    _put(document, "slaProperties", rules, [])


def _cursor(contract: DataContract, document: Mapping[str, Any]) -> dict[str, Any] | None:
    if contract.cursor is None:
        return None
    given = _given(document, "onedoor.cursor")
    plain = {k: v for k, v in asdict(contract.cursor).items() if v is not None}
    if isinstance(given, dict) and {"overlap_s": 60, **given} == plain:
        return given
    return plain


def _limits(contract: DataContract, document: Mapping[str, Any]) -> dict[str, Any] | None:
    plain = asdict(contract.limits)
    given = _given(document, "onedoor.limits")
    if isinstance(given, dict) and asdict(Limits()) | given == plain:
        return given
    return None if contract.limits == Limits() else plain


def _roles(contract: DataContract) -> dict[str, Any] | None:
    roles: dict[str, Any] = {}
    if contract.case_role is not None:
        roles["case"] = {**asdict(contract.case_role), "open_states": list(contract.case_role.open_states)}
    if contract.licence_role is not None:
        roles["licence"] = asdict(contract.licence_role)
    return roles or None


def _put(part: dict[str, Any], key: str, value: object, default: object) -> None:
    """Set a key, or take it out where the value is the default; leave it alone where it already says the same."""
    if part.get(key, default) == value:
        return
    if value == default:
        part.pop(key, None)
    else:
        part[key] = value


def _given(part: Mapping[str, Any], name: str) -> object:
    return next((c.get("value") for c in part.get("customProperties") or () if c.get("property") == name), None)


def _term(part: dict[str, Any], name: str, value: object, default: object) -> None:
    customs = list(part.get("customProperties") or ())
    at = next((i for i, c in enumerate(customs) if c.get("property") == name), None)
    if at is None:
        if value != default:
            customs.append({"property": name, "value": value})
    elif value is None or (value == default and customs[at].get("value") != default):
        del customs[at]
    elif customs[at].get("value") != value:
        customs[at] = {**customs[at], "value": value}
    _put(part, "customProperties", customs, [])
