"""From sealed rows to messages: self-contained Arrow streams of about 512 KiB, of one partition, sealed as a whole."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import pyarrow as pa

from exchange.bus.api import Message
from exchange.bus.envelope import ARROW, END_TYPE, JSON, ROWS_TYPE
from exchange.trust.keyring import KeyRing
from exchange.trust.seal import seal_chunk
from schemas.batch import SealedBatch
from schemas.canonical import HASH_BYTES, MODULUS, canonical_column, hash_column, hash_sum
from schemas.contract import DataContract
from schemas.landed import key_columns
from schemas.secret import Secret

TARGET_BYTES: Final = 512 * 1024
MAX_BYTES: Final = 900 * 1024
OVERHEAD_BYTES: Final = 4 * 1024
_LZ4: Final = pa.ipc.IpcWriteOptions(compression="lz4")


@dataclass(frozen=True, slots=True)
class Origin:
    """What every message of a run says of where it comes from."""

    run: str
    attempt: int
    mode: str
    topic: str
    division: str
    contract: DataContract


@dataclass(slots=True)
class Total:
    """What went to one partition."""

    messages: int = 0
    rows: int = 0
    hash_sum: int = 0

    def add(self, other: Total) -> None:
        """Add another total to this one."""
        self.messages += other.messages
        self.rows += other.rows
        self.hash_sum = (self.hash_sum + other.hash_sum) % MODULUS

    def as_json(self) -> dict[str, object]:
        """Return the total as chunk records and manifests hold it; the sum as 32 hex digits."""
        return {"messages": self.messages, "rows": self.rows, "hash_sum": f"{self.hash_sum:032x}"}

    @classmethod
    def of_json(cls, value: Mapping[str, object]) -> Total:
        """Read ``as_json`` back."""
        return cls(int(str(value["messages"])), int(str(value["rows"])), int(str(value["hash_sum"]), 16))


class Encoder:
    """Makes the messages of one chunk. ``too_large`` holds the places (batch, row) of rows that no message can carry."""

    def __init__(self, origin: Origin, chunk: int, keys: KeyRing, now: datetime, rows_per_message: int) -> None:
        self.messages: list[Message] = []
        self.totals: dict[int, Total] = {}
        self.too_large: list[tuple[int, int]] = []
        self.rows_per_message = rows_per_message
        self._origin = origin
        self._chunk = chunk
        self._keys = keys
        self._now = now
        self._batch = -1

    def add(self, batch: SealedBatch) -> None:
        """Encode the rows of a sealed batch."""
        self._batch += 1
        for partition, rows, places in _by_partition(batch, self._origin.contract.partitions):
            start = 0
            while start < rows.num_rows:
                count = min(self.rows_per_message, rows.num_rows - start)
                self._encode(partition, rows.slice(start, count), places[start : start + count])
                start += count

    def _encode(self, partition: int, rows: pa.RecordBatch, places: np.ndarray) -> None:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, rows.schema, options=_LZ4) as writer:
            writer.write_batch(rows)
        data = sink.getvalue()
        if data.size > MAX_BYTES - OVERHEAD_BYTES:
            if rows.num_rows == 1:
                self.too_large.append((self._batch, int(places[0])))
                return
            half = rows.num_rows // 2
            self.rows_per_message = max(1, half)
            self._encode(partition, rows.slice(0, half), places[:half])
            self._encode(partition, rows.slice(half), places[half:])
            return
        if rows.num_rows >= 512:
            self.rows_per_message = max(1, min(20_000, int(rows.num_rows * TARGET_BYTES / max(1, data.size))))
        total = self.totals.setdefault(partition, Total())
        attributes = _attributes(self._origin, self._chunk, len(self.messages), self._now) | {
            "type": ROWS_TYPE,
            "operation": "snapshot" if self._origin.mode == "full" else "upsert",
            "rows": str(rows.num_rows),
        }
        envelope = seal_chunk(attributes | {"datacontenttype": ARROW}, data.to_pybytes(), self._keys, self._now)
        self.messages.append(envelope.message(self._origin.topic, partition, None))
        total.add(Total(1, rows.num_rows, hash_sum(rows.column("_row_hash"))))


def end_messages(origin: Origin, chunk: int, totals: Mapping[int, Total], keys: KeyRing, now: datetime) -> list[Message]:
    """Return the end-of-run messages: one for each partition, with that partition's totals."""
    out = []
    for partition in range(origin.contract.partitions):
        body = totals.get(partition, Total()).as_json() | {
            "partition": partition,
            "partitions": origin.contract.partitions,
            "run": origin.run,
        }
        attributes = _attributes(origin, chunk, partition, now) | {
            "type": END_TYPE,
            "operation": "endofrun",
            "rows": "0",
            "datacontenttype": JSON,
        }
        data = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
        out.append(seal_chunk(attributes, data, keys, now).message(origin.topic, partition, None))
    return out


def _attributes(origin: Origin, chunk: int, seq: int, now: datetime) -> dict[str, str]:
    return {
        "specversion": "1.0",
        "id": f"{origin.run}/{chunk}/{origin.attempt}/{seq}",
        "source": f"/onedoor/{origin.division}/{origin.contract.system}",
        "time": now.isoformat().replace("+00:00", "Z"),
        "resource": origin.contract.name,
        "contractversion": origin.contract.version,
        "runid": origin.run,
        "seq": str(seq),
    }


def _by_partition(batch: SealedBatch, partitions: int) -> Iterator[tuple[int, pa.RecordBatch, np.ndarray]]:
    rows = batch.rows
    every = np.arange(rows.num_rows)
    if partitions == 1:
        yield 0, rows, every
        return
    numbers = key_partitions(batch.contract, rows, partitions)
    for partition in range(partitions):
        places = every[numbers == partition]
        if len(places):
            yield partition, rows.take(pa.array(places)), places


def key_partitions(contract: DataContract, rows: pa.RecordBatch, partitions: int) -> np.ndarray:
    """Return the partition of each landed row: the BLAKE2b-128 of its key's canonical bytes, mod ``partitions``.

    No personal value is in a landed key, so the hash needs no secret and stays the same when keys rotate.
    """
    names = key_columns(contract)
    keys = pa.RecordBatch.from_arrays([rows.column(name) for name in names], names=list(names))
    hashes = hash_column(canonical_column(keys), Secret(b""), person=b"onedoor.part.c1")
    words = np.frombuffer(hashes.buffers()[2], ">u8").reshape(-1, HASH_BYTES // 8)[:, 1]
    return (words % np.uint64(partitions)).astype(np.int64)
