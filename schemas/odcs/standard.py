"""What the official JSON Schema of ODCS says of a document, in plain words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from schemas.yaml_lines import Path


def standard_problems(document: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Yield (path, what is wrong) for each place where the document breaks the standard's own schema."""
    seen: set[tuple[Path, str]] = set()
    for error in _validator().iter_errors(document):
        for leaf in _leaves(error):
            path = tuple(leaf.absolute_path)
            message = _plain(leaf)
            if message and (path, message) not in seen:
                seen.add((path, message))
                yield path, message


def unknown_keys(document: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Yield (path, what is wrong) for each key that the standard does not have in the parts that the hub reads."""
    names = _names()
    yield from _unknown(document, (), names["root"])
    for i, table in _mappings(document.get("schema")):
        yield from _unknown(table, ("schema", i), names["object"])
        for j, prop in _mappings(table.get("properties")):
            path: Path = ("schema", i, "properties", j)
            yield from _unknown(prop, path, names["property"])
            for k, rule in _mappings(prop.get("quality")):
                yield from _unknown(rule, (*path, "quality", k), names["quality"])
            for k, relation in _mappings(prop.get("relationships")):
                yield from _unknown(relation, (*path, "relationships", k), names["relationship"])
            for k, custom in _mappings(prop.get("customProperties")):
                yield from _unknown(custom, (*path, "customProperties", k), names["custom"])


def _unknown(part: Mapping[str, Any], path: Path, known: frozenset[str]) -> Iterator[tuple[Path, str]]:
    for key in part:
        if key not in known:
            yield (*path, key), f"{key!r} is no key of the standard in this place; own terms belong into customProperties"


def _mappings(value: Any) -> Iterator[tuple[int, Mapping[str, Any]]]:
    if isinstance(value, list):
        for i, item in enumerate(value):
            if isinstance(item, dict):
                yield i, item


def _leaves(error: Any) -> Iterable[Any]:
    """The errors below a choice (oneOf, anyOf) that lie deepest, else the error itself."""
    if error.validator in ("oneOf", "anyOf") and error.context:
        deepest = max(len(e.absolute_path) for e in error.context)
        if deepest > len(error.absolute_path):
            return [leaf for e in error.context if len(e.absolute_path) == deepest for leaf in _leaves(e)]
    return [error]


def _plain(error: Any) -> str | None:
    last = error.absolute_path[-1] if error.absolute_path else "the contract"
    match error.validator:
        case "unevaluatedProperties":
            return None  # also raised wherever anything below is wrong; ``unknown_keys`` says it exactly
        case "additionalProperties":
            names = ", ".join(sorted(set(error.instance) - set(error.schema.get("properties", {}))))
            return f"{last} does not take {names}" if error.absolute_path else None
        case "required":
            missing = [name for name in error.validator_value if name not in error.instance]
            return f"{', '.join(missing)} is missing"
        case "type":
            wanted = error.validator_value
            return f"{last} must be of type {wanted if isinstance(wanted, str) else ' or '.join(wanted)}"
        case "enum":
            return f"{last} must be one of {', '.join(str(v) for v in error.validator_value)}"
        case "pattern" | "format" | "oneOf" | "anyOf" | "not":
            return f"{last} does not have the form that the standard asks for"
        case _:
            return f"{last}: {error.message[:160]}"


@cache
def _schema() -> dict[str, Any]:
    import json
    from importlib.resources import files

    text = files("open_data_contract_standard").joinpath("schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


@cache
def _validator() -> Any:
    from jsonschema import Draft201909Validator

    return Draft201909Validator(_schema())


@cache
def _names() -> dict[str, frozenset[str]]:
    schema = _schema()
    defs = schema["$defs"]

    def of(*names: str) -> frozenset[str]:
        return frozenset(key for name in names for key in defs[name].get("properties", {}))

    operators = frozenset(key for one in defs["DataQualityOperators"]["oneOf"] for key in one["properties"])
    return {
        "root": frozenset(schema["properties"]),
        "object": of("SchemaObject", "SchemaElement"),
        "property": of("SchemaBaseProperty", "SchemaElement") | {"items", "properties"},
        "quality": of("DataQuality", "DataQualityLibrary", "DataQualitySql", "DataQualityCustom") | operators,
        "relationship": of("RelationshipBase"),
        "custom": of("CustomProperty"),
    }
