"""Page tokens: what was sealed is what is opened, for the same question only."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.query.ask import Place, QueryRequest, open_page, question, seal_page
from exchange.query.rows import Reading, key_texts, key_values
from exchange.trust.keyfiles import create_keys, read_keys
from exchange.trust.keyring import KeyRing, MemoryDataKeys
from schemas.contract import DataContract, Field, LogicalType
from schemas.errors import RejectedError
from schemas.resource import ResourceName

PLACE = Place("g1", "r1", ("马坝镇", "17"))
ASK = QueryRequest(purpose="statistics", operator="job-7", item_code="I-1", fields=["b", "a"], filter="a = 1", limit=10)
ASKED = question("p1", "shops", ASK)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyRing:
    return ring(tmp_path_factory.mktemp("keys") / "keys")


def ring(folder: Path) -> KeyRing:
    create_keys(folder)
    return KeyRing(read_keys(folder), MemoryDataKeys())


def contract(*fields: Field) -> DataContract:
    return DataContract(ResourceName("shops"), "1.0.0", "t", "d", "s", "src", "t", fields)


def test_a_token_opens_to_the_place_that_was_sealed_and_shows_nothing_of_it(keys: KeyRing) -> None:
    token = seal_page(PLACE, ASKED, "shops", keys)
    assert open_page(token, ASKED, "shops", keys) == PLACE
    assert "马坝镇".encode() not in urlsafe_b64decode(token + "==")
    assert seal_page(PLACE, ASKED, "shops", keys) != token
    assert "马坝镇" not in repr(PLACE)


@pytest.mark.parametrize(
    "change",
    [
        {"purpose": "archive"},
        {"item_code": None},
        {"case_number": "C-1"},
        {"fields": ["a"]},
        {"fields": None},
        {"filter": None},
    ],
    ids=lambda c: next(iter(c)),
)
def test_a_token_is_for_one_question_only(keys: KeyRing, change: dict[str, object]) -> None:
    token = seal_page(PLACE, ASKED, "shops", keys)
    with pytest.raises(RejectedError, match="not one that this hub gave") as refused:
        open_page(token, question("p1", "shops", msgspec.structs.replace(ASK, **change)), "shops", keys)
    assert refused.value.code == "page.refused"


def test_a_token_is_for_one_client_one_resource_and_one_hub_only(keys: KeyRing, tmp_path: Path) -> None:
    token = seal_page(PLACE, ASKED, "shops", keys)
    for asked, resource, ring_ in (
        (question("p2", "shops", ASK), "shops", keys),
        (question("p1", "other", ASK), "other", keys),
        (ASKED, "other", keys),
        (ASKED, "shops", ring(tmp_path / "other")),
    ):
        with pytest.raises(RejectedError):
            open_page(token, asked, resource, ring_)


def test_how_many_rows_and_the_order_of_the_fields_may_change_between_pages() -> None:
    assert question("p1", "shops", msgspec.structs.replace(ASK, limit=99, fields=["a", "b"], operator="job-8")) == ASKED


@given(st.data())
def test_a_token_of_which_any_bit_was_turned_is_refused(keys: KeyRing, data: st.DataObject) -> None:
    blob = bytearray(urlsafe_b64decode(seal_page(PLACE, ASKED, "shops", keys) + "=="))
    bit = data.draw(st.integers(0, len(blob) * 8 - 1))
    blob[bit // 8] ^= 1 << bit % 8
    with pytest.raises(RejectedError):
        open_page(urlsafe_b64encode(blob).rstrip(b"=").decode(), ASKED, "shops", keys)


@given(st.text(max_size=200))
def test_any_text_but_a_token_is_refused(keys: KeyRing, text: str) -> None:
    with pytest.raises(RejectedError):
        open_page(text, ASKED, "shops", keys)


KINDS = {
    LogicalType.STRING: "a\\b\x1f马",
    LogicalType.INTEGER: -(2**63),
    LogicalType.NUMBER: Decimal("-0.00000001"),
    LogicalType.BOOLEAN: True,
    LogicalType.DATE: date(9999, 12, 31),
    LogicalType.TIMESTAMP: datetime(2024, 2, 29, 0, 30, 0, 4, UTC),
    LogicalType.BYTES: b"\x00\xff",
    LogicalType.DOUBLE: -0.1,
}


def test_a_key_of_every_type_comes_back_as_it_was() -> None:
    fields = [Field(f"k{i}", kind, f"k{i}", key=i, precision=20, scale=8) for i, kind in enumerate(KINDS, 1)]
    personal = Field("k9", LogicalType.STRING, "k9", key=9, personal=True)
    of = contract(*fields, personal)
    key = (*KINDS.values(), b"\x01" * 16)
    assert key_values(key_texts(key, of), of) == key


def test_a_statement_names_its_columns_once_and_numbers_its_parameters_in_order() -> None:
    of = contract(Field("town", LogicalType.STRING, "t", key=1), Field("n", LogicalType.INTEGER, "n", key=2))
    reading = Reading(of, "r1", ("n", "town"), ('("n" > $1::bigint)',), (5,))
    assert reading.statement(after=True) == (
        'SELECT "n", "town", "_row_hash" FROM store."shops" WHERE (("n" > $1::bigint)) AND (("town", "n") > ($2, $3))'
        ' ORDER BY "town", "n" LIMIT $4'
    )
    assert Reading(of, "r1", ()).statement(after=False).endswith('FROM store."shops" ORDER BY "town", "n" LIMIT $1')
