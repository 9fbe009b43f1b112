"""What a stranger gave is read in a process of its own: its memory and its time are bounded, and its end is nobody else's.

A parser may abort the process that it runs in. The child is a module that calls ``answer``; what it was asked and what it says
are JSON, never code.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import IO, Any, Final

from schemas.errors import DeniedError, Fault, OneDoorError, RejectedError, TransientError

MEMORY_BYTES: Final = 4 << 30
_KINDS: Final[Mapping[str, type[OneDoorError]]] = {
    "transient": TransientError,
    "rejected": RejectedError,
    "denied": DeniedError,
}


class OverTimeError(TransientError):
    """The child was not done in time and was ended."""


def in_child(module: str, asked: Mapping[str, Any], *, within_s: float, code: str, file: IO[bytes] | None = None) -> bytes:
    """Return what a child says, as JSON.

    Args:
        module: what it runs; it calls ``answer``.
        asked: what it is to do.
        within_s: ended where it takes longer.
        code: of the refusal where it ended without an answer.
        file: given to it open; it has a file descriptor.

    Raises:
        OverTimeError: it took too long (``read.slow``).
        RejectedError: it ended, out of memory or by a defect of a parser, or refused what it read.
        OneDoorError: of another kind, as the child raised it.
    """
    files = () if file is None else (file.fileno(),)
    command = [sys.executable, "-m", module]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ONEDOOR_")}
    told = json.dumps({"asked": dict(asked), "file": files[0] if files else None}).encode()
    try:
        done = subprocess.run(
            command, input=told, capture_output=True, timeout=within_s, check=False, pass_fds=files, env=environment
        )
    except subprocess.TimeoutExpired:
        raise OverTimeError(f"it was not read within {within_s:g} s", code="read.slow", fault=Fault.CLIENT) from None
    if done.returncode != 0:
        raise RejectedError(
            "it cannot be read: its reader ended, out of memory or by a defect", code=code, fault=Fault.PROVIDER
        )
    if done.stdout.startswith(b'{"refused"'):
        refused = json.loads(done.stdout)["refused"]
        raise _KINDS.get(refused["kind"], RejectedError)(
            refused["message"],
            code=refused["code"],
            where=refused["where"],
            remedy=refused["remedy"],
            fault=Fault(refused["fault"]),
        )
    return done.stdout


Reader = Callable[[dict[str, Any], IO[bytes] | None], bytes]
"""Does what is asked, with the file that it was given; returns JSON that does not begin with ``refused``."""


def answer(do: Reader) -> None:
    """Do what standard input says, within the bounds, and say what came of it on standard output."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    given = json.load(sys.stdin)
    file = None if given["file"] is None else os.fdopen(given["file"], "rb")
    try:
        said = do(given["asked"], file)
    except OneDoorError as error:
        told = {"kind": error.kind, "code": error.code, "message": error.message, "where": error.where}
        said = json.dumps({"refused": told | {"remedy": error.remedy, "fault": str(error.fault)}}).encode()
    sys.stdout.buffer.write(said)


def refuse_network() -> None:
    """Let nothing in this process ask anybody from now on."""
    sys.addaudithook(_refuse_network)


def _refuse_network(event: str, _: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        raise PermissionError("what reads a stranger's file asks nobody for anything")
