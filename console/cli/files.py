"""Files that commands read and write whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeVar

from schemas.errors import Fault, RejectedError

T = TypeVar("T")


def write_whole(out: Path, chunks: Iterable[bytes]) -> None:
    """Write a file whole or not at all. Raises ``RejectedError`` (``export.file``) where it cannot be written."""

    def write(draft: Path) -> None:
        with draft.open("wb") as file:
            file.writelines(chunks)

    write_by(out, write)


def write_by(out: Path, write: Callable[[Path], T]) -> T:
    """Write a file whole or not at all; return what the writer of its draft returned."""
    draft = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        done = write(draft)
        draft.replace(out)
    except OSError as error:
        raise RejectedError(
            f"the file cannot be written: {(error.strerror or 'unknown').lower()}",
            code="export.file",
            where=str(out),
            fault=Fault.CLIENT,
        ) from error
    finally:
        draft.unlink(missing_ok=True)
    return done


@contextmanager
def opened_file(file: Path, what: str) -> Iterator[IO[bytes]]:
    """Open a file to be read. Raises ``RejectedError`` (``<what>.file``) where it cannot be."""
    try:
        with file.open("rb") as given:
            yield given
    except OSError as error:
        raise RejectedError(
            f"the file cannot be read: {(error.strerror or 'unknown').lower()}",
            code=f"{what}.file",
            where=str(file),
            fault=Fault.CLIENT,
        ) from error


def read_whole(file: Path, most_bytes: int, what: str) -> bytes:
    """Return what a file holds.

    Args:
        file: the file.
        most_bytes: a larger one is refused before it is read.
        what: what it should be, for the refusal, whose codes are ``<what>.file`` and ``<what>.size``.

    Raises:
        RejectedError: it cannot be read, or is too large.
    """
    with opened_file(file, what) as given:
        if os.fstat(given.fileno()).st_size > most_bytes:
            raise RejectedError(
                f"the file is above {most_bytes >> 10} KiB, which no {what} is",
                code=f"{what}.size",
                where=str(file),
                fault=Fault.CLIENT,
            )
        return given.read()


def read_object(file: Path, most_bytes: int, what: str) -> dict[str, object]:
    """Return the JSON object that a file holds. Raises ``RejectedError`` (``<what>.json``) where it holds none."""
    import json

    try:
        found = json.loads(read_whole(file, most_bytes, what))
    except ValueError as error:
        raise RejectedError("the file is not JSON", code=f"{what}.json", where=str(file), fault=Fault.CLIENT) from error
    if not isinstance(found, dict):
        raise RejectedError("the file holds no JSON object", code=f"{what}.json", where=str(file), fault=Fault.CLIENT)
    return found
