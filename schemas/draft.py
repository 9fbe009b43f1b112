"""A first contract from the structure of a table, for a person to complete.

What only a person can know is asked, not guessed: whether a field is personal, what the key is. A draft with open questions
is refused by ``odcs.read_contract``, which names the lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from schemas.contract import DataContract, Field, LogicalType, Normalise
from schemas.odcs import document_of, yaml_text
from schemas.resource import resource_name

_PERSONAL_PARTS: Final = (  # anywhere in a name, underscores left out
    "sfz", "zjhm", "idcard", "idno", "idnum", "certno", "identity", "passport", "credential",
    "phone", "mobile", "sjhm", "lxdh", "wechat", "email", "address", "birth", "csrq", "spouse",
)  # fmt: skip
_PERSONAL_WORDS: Final = frozenset(  # a whole word of a name
    (
        "name", "surname", "born", "dob", "xm", "lxr", "sqrmc", "czrmc", "holder", "sex", "gender", "xb", "nation", "mz",
        "photo", "zp", "sjh", "dh", "tel", "fax", "qq", "addr", "dz", "zz", "hz", "hukou", "zjh",
    )
)  # fmt: skip
_PERSONAL_ENDS: Final = ("xm", "sjh", "zjh", "dz", "dh")
_PERSONAL_COMMENTS: Final = (
    "身份证", "证件号", "姓名", "名字", "电话", "手机", "住址", "地址", "住所", "出生", "生日", "护照", "民族", "性别",
    "邮箱", "银行卡", "银行账号", "联系人", "照片", "籍贯", "户籍", "户口", "持证人",
)  # fmt: skip
_NOT_A_PERSON: Final = re.compile(
    r"(?:dept|department|org|organi[sz]ation|item|system|file|table|type|licen[cs]e|division|region|area|product|event|step|"
    r"task|form|stage|state|status|resource|project|material|unit|office|agency|column|field|class|category)_?name"
)
_CURSORS: Final = re.compile(r"(?:updated?|modified|changed?|gxsj|xgsj|last_)\w*", re.IGNORECASE)
_PADDED: Final = re.compile(r"(?:char|character|bpchar|nchar)\b(?!\s*varying)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class DraftColumn:
    """A column as a source describes it. ``logical`` is a value of ``LogicalType``; another word counts as a string."""

    name: str
    native_type: str
    logical: str
    nullable: bool = True
    max_length: int | None = None
    precision: int | None = None
    scale: int | None = None
    comment: str = ""


@dataclass(frozen=True, slots=True)
class DraftShape:
    """A table as a source describes it, and where it belongs. ``name`` is the resource's; empty: from the table's name."""

    table: str
    columns: Sequence[DraftColumn]
    key: Sequence[str]
    source: str
    department: str
    system: str
    name: str = ""
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """The resource's name, the contract as ODCS v3.1 YAML, and what is left for a person to decide."""

    name: str
    text: str
    questions: tuple[str, ...]


def draft(shape: DraftShape) -> Draft:
    """Return a draft contract of a table: types, key, not-null, lengths, and questions to a person.

    Columns that look personal are marked ``classification: personal`` with ``onedoor.confirm: true``; a table without a key
    gets none.

    Raises:
        RejectedError: ``shape.name`` is no name of a resource.
    """
    name = resource_name(shape.name or _name_from(shape.table.rpartition(".")[2], "resource"))
    names = _field_names(column.name for column in shape.columns)
    contract = DataContract(
        name=name,
        version="0.1.0",
        title=shape.comment or shape.table,
        department=shape.department,
        system=shape.system,
        source=shape.source,
        table=shape.table,
        fields=tuple(_field(c, n, shape.key) for c, n in zip(shape.columns, names, strict=True)),
        status="draft",
    )
    document = document_of(contract)
    document["schema"][0].update(logicalType="object", physicalType="table")
    for prop, f in zip(document["schema"][0]["properties"], contract.fields, strict=True):
        if f.personal:
            prop.setdefault("customProperties", []).append({"property": "onedoor.confirm", "value": True})
    questions = tuple(_questions(shape, contract))
    head = "".join(f"# To decide: {question}\n" for question in questions)
    return Draft(str(name), head + yaml_text(document), questions)


def looks_personal(column: DraftColumn) -> bool:
    """Whether a column's name, type or comment looks as if it told of a person."""
    words = f"{_snake(column.name)} {_snake(column.native_type)}".split()
    return any(word in column.comment or word in column.name for word in _PERSONAL_COMMENTS) or any(map(_personal_word, words))


def _personal_word(text: str) -> bool:
    plain = text.replace("_", "")
    tokens = text.split("_")
    if any(part in plain for part in _PERSONAL_PARTS):
        return True
    if _NOT_A_PERSON.search(text):
        return False
    return any(token in _PERSONAL_WORDS for token in tokens) or text.endswith(_PERSONAL_ENDS) or plain.endswith("name")


def _field(column: DraftColumn, name: str, key: Sequence[str]) -> Field:
    kind = LogicalType(column.logical) if column.logical in list(LogicalType) else LogicalType.STRING
    exact = kind is LogicalType.NUMBER
    return Field(
        name=name,
        logical_type=kind,
        source_name=column.name,
        title=column.comment,
        physical_type=column.native_type,
        required=not column.nullable,
        key=list(key).index(column.name) + 1 if column.name in key else None,
        personal=looks_personal(column),
        max_length=column.max_length if kind is LogicalType.STRING else None,
        precision=column.precision if exact else None,
        scale=column.scale if exact else None,
        normalise=(Normalise.TRIM,) if kind is LogicalType.STRING and _PADDED.match(column.native_type) else (),
    )


def _questions(shape: DraftShape, contract: DataContract) -> Iterable[str]:
    if not contract.key:
        yield "the table declares no key: set primaryKey: true on the field or fields that tell one row from another"
    for f in contract.personal:
        yield (f"is {f.name} ({f.source_name}) personal? if so remove its onedoor.confirm; if not, its classification as well")
    for column, f in zip(shape.columns, contract.fields, strict=True):
        if column.logical not in list(LogicalType):
            yield f"{f.name} is of type {column.native_type}, which is read as text: is that right?"
        elif f.logical_type is LogicalType.NUMBER and f.precision is None:
            yield f"{f.name} has no precision: 38 digits are kept, 10 of them after the point; better say numeric(p,s)"
        if not column.name.isascii():
            yield f"column {column.name} is called {f.name}: give it a name that says what it is"
    cursors = [f.name for f in contract.clear if f.logical_type is LogicalType.TIMESTAMP and _CURSORS.match(f.source_name)]
    if cursors:
        yield f"does {' or '.join(cursors)} rise with every change of a row? then name it in onedoor.cursor; else all is read"


def _field_names(columns: Iterable[str]) -> list[str]:
    out: list[str] = []
    for i, column in enumerate(columns, 1):
        name = _name_from(column, f"field_{i}")
        out.append(name if name not in out else f"{name[:40]}_{i}")
    return out


def _name_from(text: str, otherwise: str) -> str:
    name = re.sub(r"[^a-z0-9]+", "_", _snake(text)).strip("_")
    if not name:
        return otherwise
    return (name if name[0].isalpha() else f"{otherwise.partition('_')[0]}_{name}")[:48]


def _snake(text: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text).lower()
