from __future__ import annotations

from dataclasses import replace

import pytest

from schemas.contract import LogicalType, Normalise
from schemas.draft import DraftColumn, DraftShape, draft, looks_personal
from schemas.errors import RejectedError
from schemas.odcs import read_contract

SHAPE = DraftShape(
    table="public.T_Licence",
    columns=(
        DraftColumn("ZZBH", "character varying(40)", "string", nullable=False, max_length=40, comment="证照编号"),
        DraftColumn("SEQ", "integer", "integer", nullable=False),
        DraftColumn("CZZTDM", "character(18)", "string", max_length=18, comment="持证主体代码"),
        DraftColumn("fee", "numeric(12,2)", "number", precision=12, scale=2),
        DraftColumn("total", "numeric", "number"),
        DraftColumn("score", "double precision", "double"),
        DraftColumn("scan", "bytea", "bytes"),
        DraftColumn("place", "point", "geometry"),
        DraftColumn("是否有效", "boolean", "boolean"),
        DraftColumn("2nd-Value", "date", "date"),
        DraftColumn("updatedAt", "timestamp with time zone", "timestamp"),
    ),
    key=("ZZBH", "SEQ"),
    source="market_db",
    department="市场监管局",
    system="审批系统",
    comment="证照",
)


def test_a_draft_has_types_key_not_null_and_lengths_and_can_be_read() -> None:
    made = draft(SHAPE)
    contract = read_contract(made.text)
    assert made.name == contract.name == "t_licence"
    assert (contract.table, contract.source, contract.title, contract.status) == (
        "public.T_Licence",
        "market_db",
        "证照",
        "draft",
    )
    assert [f.name for f in contract.key] == ["zzbh", "seq"]
    assert [f.name for f in contract.fields][-3:] == ["field_9", "field_2nd_value", "updated_at"]
    zzbh = contract.field("zzbh")
    assert (zzbh.source_name, zzbh.required, zzbh.max_length, zzbh.title) == ("ZZBH", True, 40, "证照编号")
    assert (contract.field("fee").precision, contract.field("fee").scale) == (12, 2)
    assert contract.field("score").logical_type is LogicalType.DOUBLE
    assert contract.field("scan").logical_type is LogicalType.BYTES
    assert contract.field("czztdm").normalise == (Normalise.TRIM,)
    assert contract.field("zzbh").normalise == ()


def test_what_only_a_person_knows_is_asked() -> None:
    questions = "\n".join(draft(SHAPE).questions)
    for part in (
        "total has no precision",
        "place is of type point",
        "column 是否有效 is called field_9",
        "does updated_at rise",
    ):
        assert part in questions
    assert draft(SHAPE).text.startswith("# To decide: ")


def test_a_table_without_a_key_asks_for_one_and_is_refused_until_it_has() -> None:
    made = draft(replace(SHAPE, key=()))
    assert any("no key" in q for q in made.questions)
    with pytest.raises(RejectedError) as caught:
        read_contract(made.text)
    assert "no field has primaryKey: true" in caught.value.message
    mended = made.text.replace("  - name: zzbh\n", "  - name: zzbh\n    primaryKey: true\n")
    assert [f.name for f in read_contract(mended).key] == ["zzbh"]


def test_a_field_that_looks_personal_waits_for_a_person_who_confirms_it() -> None:
    shape = replace(
        SHAPE, columns=(*SHAPE.columns, DraftColumn("SQRXM", "varchar(40)", "string"), DraftColumn("sjh", "text", "string"))
    )
    made = draft(shape)
    with pytest.raises(RejectedError) as caught:
        read_contract(made.text)
    lines = caught.value.message.split("\n")
    assert len(lines) == 2
    text = made.text.split("\n")
    for line, name in zip(lines, ("sqrxm", "sjh"), strict=True):
        assert f"field {name} waits for a person" in line
        number = int(line.split(":")[0].removeprefix("line "))
        assert "onedoor.confirm" in text[number - 1]
    for answer in (made.text.replace("value: true", "value: false"),):
        assert [f.name for f in read_contract(answer).personal] == ["sqrxm", "sjh"]


PERSONAL = (
    "sfzh", "SFZHM", "idcard", "id_card_no", "ID_NO", "xm", "SQRXM", "name", "holder_name", "userName", "phone", "mobile",
    "sjh", "LXRSJH", "address", "home_addr", "ZJHM", "birth_date", "birthday", "csrq", "email", "passport_no", "contact_tel",
    "txdz",
)  # fmt: skip
NOT_PERSONAL = (
    "id",
    "dept_name",
    "item_name",
    "SXBM",
    "amount",
    "state",
    "level",
    "division_name",
    "file_name",
    "o_orderkey",
    "fee",
)


@pytest.mark.parametrize("name", PERSONAL)
def test_names_that_look_personal_are_found(name: str) -> None:
    assert looks_personal(DraftColumn(name, "text", "string"))


@pytest.mark.parametrize("name", NOT_PERSONAL)
def test_names_of_things_are_not(name: str) -> None:
    assert not looks_personal(DraftColumn(name, "text", "string"))


@pytest.mark.parametrize("comment", ["申请人身份证号", "姓名", "联系电话", "家庭住址", "出生日期"])
def test_comments_that_speak_of_a_person_are_found(comment: str) -> None:
    assert looks_personal(DraftColumn("c1", "text", "string", comment=comment))
    assert looks_personal(DraftColumn("c1", "idcard", "string"))


def test_names_that_fall_together_are_told_apart() -> None:
    made = draft(
        replace(
            SHAPE,
            columns=tuple(DraftColumn(n, "text", "string") for n in ("A b", "a_b", "A-B", "x" * 70, "x" * 80)),
            key=("A b",),
        )
    )
    names = [f.name for f in read_contract(made.text).fields]
    assert len(set(names)) == 5
    assert all(len(n) <= 48 for n in names)


def test_a_wrong_name_for_the_resource_is_refused() -> None:
    with pytest.raises(RejectedError):
        draft(replace(SHAPE, name="No Name"))
