"""What ``verify`` reads: the hub's database in one snapshot, or an export of it in a file that stands for itself.

An export is UTF-8 text, one JSON document a line: a head, then ``{"record": [chain, n, at, kind, record, hash]}`` by chain and
n, then ``{"checkpoint": [n, body, signature, key id, root]}`` by n, then ``{"end": {...}}`` with the counts. Hashes, roots and
signatures are hex. It holds no personal value: the ledger has none.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import IsolationLevel
from psycopg.rows import tuple_row

from exchange.trust.keyring import Connect
from exchange.trust.record import Line, instant_text
from schemas.errors import Fault, RejectedError, TransientError

FORM: Final = 1
_NAME: Final = "ledger export"
_LINES: Final = 'SELECT chain, n, at, kind, record, hash FROM trust.ledger ORDER BY chain COLLATE "C", n'
_CHECKPOINTS: Final = "SELECT n, body, signature, key_id, root FROM trust.checkpoint ORDER BY n"


class DatabaseEvidence:
    """The ledger as one snapshot of the hub's database shows it."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    @classmethod
    @contextmanager
    def open(cls, connect: Connect) -> Iterator[DatabaseEvidence]:
        """Give the ledger at one instant. Raises ``TransientError`` ``ledger.away`` where the database is away."""
        try:
            with connect() as connection:
                connection.isolation_level = IsolationLevel.REPEATABLE_READ
                connection.read_only = True
                yield cls(connection)
        except psycopg.OperationalError as error:
            raise TransientError(
                "the ledger's database is away", code="ledger.away", where="trust.ledger", remedy="see onedoor doctor"
            ) from error

    def checkpoints(self) -> Iterator[tuple[int, bytes, bytes, str, bytes]]:
        """Yield (n, body, signature, key id, root) as stored, by n."""
        for n, body, signature, key_id, root in self._rows("audit_checkpoints", _CHECKPOINTS):
            yield n, bytes(body), bytes(signature), key_id, bytes(root)

    def lines(self) -> Iterator[Line]:
        """Yield the records as stored, by chain and n."""
        for chain, n, at, kind, record, tip in self._rows("audit_lines", _LINES):
            yield Line(chain, n, at, kind, bytes(record), bytes(tip))

    def newest(self, count: int) -> list[Line]:
        """Return the newest records by instant, newest first."""
        rows = self._connection.cursor(row_factory=tuple_row).execute(
            "SELECT chain, n, at, kind, record, hash FROM trust.ledger ORDER BY at DESC, chain, n DESC LIMIT %s",
            (count,),
            binary=True,
        )
        return [Line(chain, n, at, kind, bytes(record), bytes(tip)) for chain, n, at, kind, record, tip in rows]

    def _rows(self, name: str, query: str) -> Iterator[Any]:
        with self._connection.cursor(name=name, row_factory=tuple_row) as rows:
            rows.itersize = 5_000
            rows.execute(query, binary=True)
            yield from rows


class ExportEvidence:
    """The ledger as an export shows it.

    Raises:
        RejectedError: the file is no export, is cut off or is damaged (``audit.export``); the line is named.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def checkpoints(self) -> Iterator[tuple[int, bytes, bytes, str, bytes]]:
        """Yield (n, body, signature, key id, root) as exported, by n."""
        for number, kind, parts in self._documents():
            if kind == "checkpoint":
                with self._readable(number):
                    n, body, signature, key_id, root = parts
                    stored = int(n), _bytes(body), bytes.fromhex(signature), str(key_id), bytes.fromhex(root)
                yield stored

    def lines(self) -> Iterator[Line]:
        """Yield the records as exported, by chain and n."""
        for number, kind, parts in self._documents():
            if kind == "record":
                with self._readable(number):
                    chain, n, at, name, record, tip = parts
                    line = Line(str(chain), int(n), _instant(at), str(name), _bytes(record), bytes.fromhex(tip))
                yield line

    def _documents(self) -> Iterator[tuple[int, str, Any]]:
        counts = {"record": 0, "checkpoint": 0}
        ended = False
        number = 0
        try:
            with self._path.open("rb") as file:
                for number, text in enumerate(file, 1):
                    with self._readable(number):
                        ((kind, parts),) = json.loads(text).items()
                        if number == 1:
                            if kind != _NAME or parts["version"] != FORM:
                                raise ValueError("no head")
                            continue
                        if kind == "end":
                            ended = parts["records"] == counts["record"] and parts["checkpoints"] == counts["checkpoint"]
                            break
                        counts[kind] += 1
                    yield number, kind, parts
        except OSError as error:
            raise RejectedError(
                f"the export cannot be read: {error.strerror}", code="audit.export", where=str(self._path), fault=Fault.CLIENT
            ) from error
        if not ended:
            raise self._damaged(number, "the export is cut off: its end with the counts is missing or differs")

    @contextmanager
    def _readable(self, number: int) -> Iterator[None]:
        try:
            yield
        except (ValueError, KeyError, TypeError, AttributeError):
            raise self._damaged(number, "the export is damaged: a line of it is not of the form") from None

    def _damaged(self, number: int, message: str) -> RejectedError:
        return RejectedError(
            message,
            code="audit.export",
            where=f"{self._path} line {number}",
            remedy="export again, or ask its sender for another copy",
            fault=Fault.CLIENT,
        )


def export(connect: Connect, path: Path, now: datetime) -> tuple[int, int]:
    """Write the whole ledger to a file, durably, in place only when it is whole; return how many records and checkpoints.

    Raises:
        TransientError: the database is away (``ledger.away``).
        RejectedError: the file cannot be written (``audit.write``).
    """
    temporary = path.with_name(f".{path.name}.part")
    records = checkpoints = 0
    try:
        with DatabaseEvidence.open(connect) as evidence, temporary.open("wb") as file:
            file.write(_line({_NAME: {"version": FORM, "at": instant_text(now)}}))
            for line in evidence.lines():
                parts = [line.chain, line.n, instant_text(line.at), line.kind, _text(line.record), line.hash.hex()]
                file.write(_line({"record": parts}))
                records += 1
            for n, body, signature, key_id, root in evidence.checkpoints():
                file.write(_line({"checkpoint": [n, _text(body), signature.hex(), key_id, root.hex()]}))
                checkpoints += 1
            file.write(_line({"end": {"records": records, "checkpoints": checkpoints}}))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise RejectedError(
            f"the export cannot be written: {error.strerror}",
            code="audit.write",
            where=str(path),
            remedy="name a file in a folder that you may write to",
            fault=Fault.CLIENT,
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return records, checkpoints


def _line(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")  # what an intruder wrote need not be UTF-8


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
