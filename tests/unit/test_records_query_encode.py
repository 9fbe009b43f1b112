"""The forms of an answer: each reads back to the rows, a cut one is not taken for a whole."""

from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exchange.query.encode import FORMATS, ROW_GROUP_BYTES, ROW_GROUP_ROWS, ArrowStream, Csv, Encoder, Ndjson, Parquet, chosen
from schemas.batch import ReleasedRows
from schemas.contract import DataContract, Field, LogicalType
from schemas.errors import RejectedError
from schemas.resource import ResourceName

FIELDS = (
    Field("id", LogicalType.INTEGER, "id", key=1),
    Field("title", LogicalType.STRING, "title"),
    Field("amount", LogicalType.NUMBER, "amount", precision=30, scale=10),
    Field("price", LogicalType.NUMBER, "price", precision=10, scale=2),
    Field("share", LogicalType.DOUBLE, "share"),
    Field("active", LogicalType.BOOLEAN, "active"),
    Field("day", LogicalType.DATE, "day"),
    Field("at", LogicalType.TIMESTAMP, "at"),
    Field("hour", LogicalType.TIME, "hour"),
    Field("seal", LogicalType.BYTES, "seal"),
)
CONTRACT = DataContract(ResourceName("shops"), "1.0.0", "t", "d", "s", "src", "t", FIELDS)
FULL: dict[str, Any] = {
    "id": -(2**63),
    "title": '# 曲江,"一"\n二\\',
    "amount": Decimal("0E-10"),
    "price": Decimal("-1.50"),
    "share": 0.1,
    "active": False,
    "day": date(9999, 12, 31),
    "at": datetime(2024, 2, 29, 0, 30, 0, 4, UTC),
    "hour": time(8, 30, 0, 7),
    "seal": b"\x00\xff",
}
SMALL = FULL | {"id": 1, "title": "", "amount": Decimal("1E-10"), "hour": time(23, 59), "at": datetime(2024, 1, 1, tzinfo=UTC)}
EMPTY = dict.fromkeys(FULL) | {"id": 2}
ROWS = [FULL, SMALL, EMPTY]
SAID = {"ended": "done", "rows": 3, "next": "token", "as_of": None, "receipt": None}


def released(rows: list[dict[str, Any]]) -> ReleasedRows:
    return ReleasedRows(CONTRACT, "g1", rows, range(len(rows)))


def written(encoder: Encoder, rows: list[dict[str, Any]] = ROWS, times: int = 1) -> bytes:
    pieces = [encoder.begin(), *(encoder.rows(released(rows), len(rows)) for _ in range(times)), encoder.end(SAID)]
    return b"".join(pieces)


def test_ndjson_is_a_line_for_each_row_and_one_for_the_end() -> None:
    lines = [json.loads(line) for line in written(Ndjson(FIELDS)).splitlines()]
    assert lines[0] == FULL | {
        "amount": "0.0000000000",
        "price": "-1.50",
        "day": "9999-12-31",
        "at": "2024-02-29T00:30:00.000004Z",
        "hour": "08:30:00.000007",
        "seal": "AP8=",
    }
    assert lines[1]["amount"] == "0.0000000001"
    assert lines[2] == EMPTY
    assert lines[3] == {"onedoor": SAID}


def test_csv_keeps_null_and_empty_apart_and_ends_with_a_comment() -> None:
    text = written(Csv(FIELDS)).decode()
    assert text == (
        '"id","title","amount","price","share","active","day","at","hour","seal"\n'
        '-9223372036854775808,"# 曲江,""一""\n二\\","0.0000000000","-1.50",0.1,false,9999-12-31,'
        '"2024-02-29T00:30:00.000004Z","08:30:00.000007","AP8="\n'
        '1,"","0.0000000001","-1.50",0.1,false,9999-12-31,"2024-01-01T00:00:00.000000Z","23:59:00.000000","AP8="\n'
        "2,,,,,,,,,\n"
        '# {"onedoor":{"ended":"done","rows":3,"next":"token","as_of":null,"receipt":null}}\n'
    )


def test_an_arrow_stream_has_the_contracts_types_and_says_how_it_ended() -> None:
    reader = pa.ipc.open_stream(written(ArrowStream(FIELDS), times=2))
    assert str(reader.schema.field("amount").type) == "decimal128(30, 10)"
    batches = [reader.read_next_batch_with_custom_metadata() for _ in range(3)]
    assert [row for batch, _ in batches for row in batch.to_pylist()] == ROWS * 2
    assert json.loads(batches[-1][1][b"onedoor"]) == SAID
    assert (batches[-1][0].num_rows, batches[0][1]) == (0, None)
    with pytest.raises(StopIteration):
        reader.read_next_batch()


def test_a_row_group_is_bounded_by_its_bytes_where_the_rows_are_wide() -> None:
    wide = FULL | {"title": "宽" * 20_000}
    encoder = Parquet(FIELDS)
    pieces = [encoder.begin(), *(encoder.rows(released([wide] * 50), 50) for _ in range(20))]
    file = pq.ParquetFile(io.BytesIO(b"".join([*pieces, encoder.end(SAID)])))
    sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    assert sum(sizes) == 1_000
    assert max(sizes) * 60_000 <= ROW_GROUP_BYTES + 50 * 60_000
    assert file.read().num_rows == 1_000


def test_a_parquet_file_is_written_a_row_group_at_a_time() -> None:
    encoder, rows = Parquet(FIELDS), [FULL] * 2_500
    pieces = [encoder.begin(), *(encoder.rows(released(rows), len(rows)) for _ in range(9))]
    assert [len(piece) > 100 for piece in pieces].count(True) == len(rows) * 9 // ROW_GROUP_ROWS
    file = pq.ParquetFile(io.BytesIO(b"".join([*pieces, encoder.end(SAID)])))
    assert file.read().to_pylist() == rows * 9
    assert file.num_row_groups == 3
    assert json.loads(file.metadata.metadata[b"onedoor"]) == SAID


@pytest.mark.parametrize("form", FORMATS, ids=lambda f: f.name)
def test_fewer_rows_than_the_batch_has_may_be_taken(form: Any) -> None:
    encoder = form.encoder(FIELDS)
    data = encoder.begin() + encoder.rows(released(ROWS), 1) + encoder.end(SAID)
    assert data == written(form.encoder(FIELDS), [FULL]) or form.name == "parquet"
    if form.name == "parquet":
        assert pq.read_table(io.BytesIO(data)).to_pylist() == [FULL]


def test_what_was_cut_says_so_or_has_no_end() -> None:
    said = {"ended": "grant.revoked"}
    assert json.loads(Ndjson(FIELDS).cut(said)) == {"onedoor": said}
    assert Csv(FIELDS).cut(said) == b'# {"onedoor":{"ended":"grant.revoked"}}\n'
    assert ArrowStream(FIELDS).cut(said) is None
    encoder = Parquet(FIELDS)
    cut = encoder.begin() + encoder.rows(released(ROWS), 3)
    assert encoder.cut(said) is None
    with pytest.raises(pa.ArrowInvalid):
        pq.read_table(io.BytesIO(cut))


@pytest.mark.parametrize(
    ("accept", "name"),
    [
        (None, "ndjson"),
        ("", "ndjson"),
        ("*/*", "ndjson"),
        ("TEXT/CSV", "csv"),
        ("text/csv;q=0.2, application/vnd.apache.parquet;q=0.8", "parquet"),
        ("application/*", "ndjson"),
        ("application/*;q=0.5, text/*;q=0.6", "csv"),
        ("*/*, application/x-ndjson;q=0", "csv"),
        ("application/vnd.apache.arrow.stream; charset=x", "arrow"),
    ],
)
def test_the_preferred_format_is_chosen(accept: str | None, name: str) -> None:
    assert chosen(accept).name == name


@pytest.mark.parametrize("accept", ["application/json", "text/csv;q=0", "text/csv;q=nan", "text/csv;q=2", "nonsense", ",;q=1"])
def test_no_format_that_is_given_is_an_error(accept: str) -> None:
    with pytest.raises(RejectedError, match="application/x-ndjson") as refused:
        chosen(accept)
    assert refused.value.code == "request.accept"
