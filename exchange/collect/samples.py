"""Samples that wait, sealed, for the quality report of their run."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from exchange.trust.keyring import KeyRing
from exchange.trust.seal import open_value, seal_value
from schemas.contract import DataContract
from schemas.errors import TransientError

_BATCH_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class KeptSample:
    """A sample: ``rows`` are conformed rows, good and bad alike; ``sampled_of`` is how many rows the run conformed."""

    rows: pa.Table
    sampled_of: int


class Samples:
    """Sealed samples, a file for each run, under one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, run: str, contract: DataContract, rows: pa.Table, sampled_of: int, keys: KeyRing, now: datetime) -> None:
        """Seal and keep the sample of a run. Raises ``TransientError`` (``samples.no_room``) where it cannot be written."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, rows.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
            writer.write_table(rows, _BATCH_ROWS)
        sealed = seal_value(sink.getvalue().to_pybytes(), contract.name, f"sample/{run}", keys, now)
        header = json.dumps({"key_id": sealed.key_id, "sampled_of": sampled_of}).encode()
        temporary = self._path(run).with_suffix(".tmp")
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with open(temporary, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
                file.write(header + b"\n" + sealed.blob)
            temporary.rename(self._path(run))
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            raise TransientError(
                f"the sample of a run cannot be written: {error.strerror}", code="samples.no_room", where=str(self._folder)
            ) from None

    def load(self, run: str, contract: DataContract, keys: KeyRing) -> KeptSample | None:
        """Return the sample of a run, None where none was kept."""
        try:
            raw = self._path(run).read_bytes()
        except FileNotFoundError:
            return None
        head, _, blob = raw.partition(b"\n")
        header = json.loads(head)
        plain = open_value(blob, header["key_id"], contract.name, f"sample/{run}", keys)
        with pa.ipc.open_stream(pa.py_buffer(plain)) as reader:
            return KeptSample(reader.read_all(), header["sampled_of"])

    def remove(self, run: str) -> None:
        """Forget a sample."""
        self._path(run).unlink(missing_ok=True)
        self._path(run).with_suffix(".tmp").unlink(missing_ok=True)

    def runs(self) -> list[str]:
        """Return the runs whose sample, or part of one, is here."""
        return sorted({file.stem for file in self._folder.glob("*.*")})

    def _path(self, run: str) -> Path:
        return self._folder / f"{run}.sample"
