"""Sealed chunks on disk, for a bus that cannot join the hub's transactions: durable before their first publish.

A file is the magic, then for each message a 4-byte big-endian length, a JSON header and the value, then the BLAKE2b of all
before it. What it holds is sealed already; every retry publishes the same bytes.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Final

from exchange.bus.api import Message
from schemas.errors import DefectError, TransientError

_MAGIC: Final = b"ODSPOOL1"
_SUM: Final = 32
SAMPLES: Final = "samples"
"""A folder in the spool's that belongs to ``exchange.collect.samples``."""


class Spool:
    """The chunks of runs, one file each, under one folder with a bound in bytes."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder = folder
        self._limit = limit_bytes

    def used_bytes(self) -> int:
        """Return how much the spool holds."""
        return sum(f.stat().st_size for f in self._folder.glob("*/*.chunk")) if self._folder.exists() else 0

    def write(self, run: str, chunk: int, messages: Sequence[Message]) -> None:
        """Make a chunk durable.

        Raises:
            TransientError: the spool is at its bound (``spool.full``), or the disk is (``spool.no_room``).
        """
        size = sum(len(m.value) for m in messages)
        if self.used_bytes() + size > self._limit:
            raise TransientError(
                f"the spool holds its {self._limit >> 20} MiB and the broker takes nothing",
                code="spool.full",
                where=str(self._folder),
                remedy="bring the broker back, then collect again: the run goes on from here",
            )
        folder = self._folder / run
        path = folder / f"{chunk:08d}.chunk"
        temporary = path.with_suffix(".tmp")
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            digest = blake2b(digest_size=_SUM)
            with temporary.open("wb") as file:
                for part in _parts(messages):
                    digest.update(part)
                    file.write(part)
                file.write(digest.digest())
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(path)
            _fsync_folder(folder)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            raise TransientError(
                f"the spool cannot be written: {error.strerror}",
                code="spool.no_room",
                where=str(path),
                remedy="free disk space or mend its permissions; the run goes on from here",
            ) from None

    def read(self, run: str, chunk: int) -> list[Message]:
        """Return a chunk's messages. Raises ``DefectError`` where the file is gone or altered."""
        path = self._folder / run / f"{chunk:08d}.chunk"
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise DefectError(f"a spooled chunk cannot be read: {error.strerror}", code="spool.gone", where=str(path)) from None
        if not raw.startswith(_MAGIC) or blake2b(raw[:-_SUM], digest_size=_SUM).digest() != raw[-_SUM:]:
            raise DefectError("a spooled chunk was altered", code="spool.altered", where=str(path), remedy="collect again")
        out = []
        at = len(_MAGIC)
        while at < len(raw) - _SUM:
            length = int.from_bytes(raw[at : at + 4], "big")
            header = json.loads(raw[at + 4 : at + 4 + length])
            at += 4 + length
            key = bytes.fromhex(header["key"]) if header["key"] is not None else None
            out.append(Message(header["topic"], header["partition"], key, header["headers"], raw[at : at + header["bytes"]]))
            at += header["bytes"]
        return out

    def remove(self, run: str, chunk: int) -> None:
        """Forget a chunk that is on the bus."""
        (self._folder / run / f"{chunk:08d}.chunk").unlink(missing_ok=True)

    def clear(self, run: str) -> None:
        """Forget a run."""
        shutil.rmtree(self._folder / run, ignore_errors=True)

    def runs(self) -> list[str]:
        """Return the runs of which something is here."""
        return sorted(folder.name for folder in self._folder.glob("*") if folder.is_dir() and folder.name != SAMPLES)


def _parts(messages: Sequence[Message]) -> list[bytes]:
    parts = [_MAGIC]
    for m in messages:
        header = json.dumps(
            {
                "topic": m.topic,
                "partition": m.partition,
                "key": m.key.hex() if m.key is not None else None,
                "headers": dict(m.headers),
                "bytes": len(m.value),
            }
        ).encode()
        parts += [len(header).to_bytes(4, "big"), header, m.value]
    return parts


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
