"""Released rows in the form that was asked for, a piece at a time, and what is said at the end.

=========================================  ==============================================================================
``application/x-ndjson``                   a JSON object a line; the last line is ``{"onedoor": {…}}``
``text/csv``                               a line of names, then the rows: null is empty, an empty text is ``""``; the last
                                           line is a comment, ``# {"onedoor": {…}}``
``application/vnd.apache.arrow.stream``    an Arrow IPC stream; the last batch has no rows, and ``onedoor`` in its metadata
``application/vnd.apache.parquet``         a Parquet file; ``onedoor`` is in the metadata of its footer
=========================================  ==============================================================================

What is said at the end is JSON: ``ended`` is ``done``, or the code of what cut the answer short; ``rows``; ``next``, the token
for the next page; ``as_of``; ``receipt``. An Arrow stream or a Parquet file that was cut short has no end at all, so that
nothing takes it for a whole one. Values in text are those of ``schemas.types.json_schema``: decimals keep every digit, instants
are in UTC.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from schemas.batch import ReleasedRows
from schemas.canonical import text_column
from schemas.contract import Field, LogicalType
from schemas.errors import Fault, RejectedError
from schemas.types import arrow_schema, arrow_type, decimal_shape

ROW_GROUP_ROWS: Final = 10_000
ROW_GROUP_BYTES: Final = 8 << 20
"""A row group is written when there are so many rows, or so many bytes, whichever is first."""
NAME: Final = "onedoor"

_PLAIN_SCALE: Final = 6
"""Up to this scale Python writes every decimal without an exponent."""

_json: Final = msgspec.json.Encoder()
Said = Mapping[str, Any]
"""What is said at the end."""


class Encoder(Protocol):
    """Turns batches of an answer into bytes. Used for one answer."""

    def begin(self) -> bytes:
        """Return what stands before the rows."""
        ...

    def rows(self, batch: ReleasedRows, count: int) -> bytes:
        """Return the bytes of the first ``count`` rows of a batch; they may come with a later piece."""
        ...

    def end(self, said: Said) -> bytes:
        """Return what is still to come, and the end of a whole answer."""
        ...

    def cut(self, said: Said) -> bytes | None:
        """Return the end of an answer that was cut short; None where it must have none."""
        ...


class Ndjson:
    """A JSON object a line."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self._fine = [f.name for f in fields if f.logical_type is LogicalType.NUMBER and decimal_shape(f)[1] > _PLAIN_SCALE]

    def begin(self) -> bytes:
        """Return nothing: the first row is the first line."""
        return b""

    def rows(self, batch: ReleasedRows, count: int) -> bytes:
        """Return a line for each row."""
        rows = batch.rows if count == len(batch.rows) else batch.rows[:count]
        return _json.encode_lines([_plain(row, self._fine) for row in rows] if self._fine else rows)

    def end(self, said: Said) -> bytes:
        """Return the last line."""
        return _json.encode({NAME: said}) + b"\n"

    def cut(self, said: Said) -> bytes:
        """Return the last line."""
        return self.end(said)


class Csv:
    """Lines of values with commas between, in UTF-8: text in double quotes, so that null and empty differ."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self._fields = fields

    def begin(self) -> bytes:
        """Return the line of names."""
        return (",".join(f'"{f.name}"' for f in self._fields) + "\n").encode()

    def rows(self, batch: ReleasedRows, count: int) -> bytes:
        """Return a line for each row."""
        columns = [_csv_column(column, f) for f, column in zip(self._fields, _columns(batch, count, self._fields), strict=True)]
        out = pa.BufferOutputStream()
        table = pa.Table.from_arrays(columns, names=[f.name for f in self._fields])
        pacsv.write_csv(table, out, pacsv.WriteOptions(include_header=False))
        return bytes(out.getvalue())

    def end(self, said: Said) -> bytes:
        """Return the last line, a comment."""
        return b"# " + _json.encode({NAME: said}) + b"\n"

    def cut(self, said: Said) -> bytes:
        """Return the last line, a comment."""
        return self.end(said)


class ArrowStream:
    """An Arrow IPC stream with the contract's types."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self._fields = fields
        self._schema = arrow_schema(fields)
        self._sink = _Sink()
        self._writer = pa.ipc.new_stream(pa.PythonFile(self._sink, mode="w"), self._schema)

    def begin(self) -> bytes:
        """Return the schema."""
        return self._sink.taken()

    def rows(self, batch: ReleasedRows, count: int) -> bytes:
        """Return a record batch."""
        self._writer.write_batch(pa.RecordBatch.from_arrays(_columns(batch, count, self._fields), schema=self._schema))
        return self._sink.taken()

    def end(self, said: Said) -> bytes:
        """Return the batch that says how it ended, and the end of the stream."""
        nothing = pa.RecordBatch.from_arrays([pa.array([], kind) for kind in self._schema.types], schema=self._schema)
        self._writer.write_batch(nothing, custom_metadata={NAME: _json.encode(said)})
        self._writer.close()
        return self._sink.taken()

    def cut(self, said: Said) -> None:
        """Return None: what has no end is not taken for a whole."""
        return


class Parquet:
    """A Parquet file, written a row group at a time."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self._fields = fields
        self._schema = arrow_schema(fields)
        self._sink = _Sink()
        self._writer = pq.ParquetWriter(self._sink, self._schema, compression="zstd")
        self._waiting: list[pa.RecordBatch] = []

    def begin(self) -> bytes:
        """Return the first bytes."""
        return self._sink.taken()

    def rows(self, batch: ReleasedRows, count: int) -> bytes:
        """Return a row group when there are rows, or bytes, enough for one."""
        self._waiting.append(pa.RecordBatch.from_arrays(_columns(batch, count, self._fields), schema=self._schema))
        rows, size = (sum(map(of, self._waiting)) for of in (lambda b: b.num_rows, lambda b: b.nbytes))
        if rows >= ROW_GROUP_ROWS or size >= ROW_GROUP_BYTES:
            self._write()
        return self._sink.taken()

    def end(self, said: Said) -> bytes:
        """Return the last row group and the footer."""
        self._write()
        self._writer.add_key_value_metadata({NAME: _json.encode(said).decode()})
        self._writer.close()
        return self._sink.taken()

    def cut(self, said: Said) -> None:
        """Return None: a Parquet file without its footer cannot be read."""
        return

    def _write(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.Table.from_batches(self._waiting, self._schema))
            self._waiting = []


class _Sink:
    """A file that keeps what is written until it is taken."""

    closed = False

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._written = 0

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._pieces.append(piece)
        self._written += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        """Write nothing: it is taken as it is."""

    def close(self) -> None:
        """Let nothing go: what waits is still to be taken."""

    def taken(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


# Formats ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Format:
    """A form in which rows are given: its short name for records, its media type, its encoder."""

    name: str
    media_type: str
    encoder: Callable[[Sequence[Field]], Encoder]


FORMATS: Final = (
    Format("ndjson", "application/x-ndjson", Ndjson),
    Format("csv", "text/csv", Csv),
    Format("arrow", "application/vnd.apache.arrow.stream", ArrowStream),
    Format("parquet", "application/vnd.apache.parquet", Parquet),
)
_QUALITY: Final = re.compile(r"(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)")


def chosen(accept: str | None) -> Format:
    """Return the format that an ``Accept`` header prefers, the first where it has no choice (RFC 9110 §12.5.1).

    Raises:
        RejectedError: none of those that it takes is given here (``request.accept``).
    """
    if accept is None or not accept.strip():
        return FORMATS[0]
    best, best_quality = None, 0.0
    wanted = [_preference(part) for part in accept.split(",")]
    for offered in FORMATS:
        kind = offered.media_type.partition("/")[0]
        exact = [(rank, quality) for media, quality in wanted if (rank := _rank(media, offered.media_type, kind))]
        quality = max(exact)[1] if exact else 0.0
        if quality > best_quality:
            best, best_quality = offered, quality
    if best is None:
        raise RejectedError(
            f"records are given as {', '.join(f.media_type for f in FORMATS)}",
            code="request.accept",
            where="accept",
            remedy="name one of them in Accept",
            fault=Fault.CLIENT,
        )
    return best


def _preference(part: str) -> tuple[str, float]:
    media, *parameters = (piece.strip().lower() for piece in part.split(";"))
    quality = next((p.partition("=")[2].strip() for p in parameters if p.partition("=")[0].strip() == "q"), "1")
    return media, float(quality) if _QUALITY.fullmatch(quality) else 0.0


def _rank(media: str, offered: str, kind: str) -> int:
    """Return how closely a media range names a media type; 0: not at all."""
    return {offered: 3, f"{kind}/*": 2, "*/*": 1}.get(media, 0)


# Values -----------------------------------------------------------------------------------------------------------------


def _plain(row: Mapping[str, Any], fine: Sequence[str]) -> dict[str, Any]:
    return {**row, **{name: f"{row[name]:f}" for name in fine if row[name] is not None}}


def _columns(batch: ReleasedRows, count: int, fields: Sequence[Field]) -> list[pa.Array]:
    rows = batch.rows[:count]
    return [pa.array([row[f.name] for row in rows], arrow_type(f)) for f in fields]


def _csv_column(column: pa.Array, of: Field) -> pa.Array:
    """Return a column whose plain form in CSV is that of JSON."""
    match of.logical_type:
        case LogicalType.NUMBER:
            return text_column(column)
        case LogicalType.TIMESTAMP:
            return pc.binary_join_element_wise(pc.strftime(column, "%Y-%m-%dT%H:%M:%S"), "Z", "")
        case LogicalType.TIME:
            return pc.cast(column, pa.string())
        case LogicalType.BYTES:
            return pa.array([None if v is None else b64encode(v).decode() for v in column.to_pylist()], pa.string())
        case _:
            return column
