"""A child for tests, that does what no reader should do."""

from __future__ import annotations

import os
import socket
import time
from typing import IO, Any

from exchange.bounded import answer, refuse_network
from schemas.errors import Fault, RejectedError


def _do(asked: dict[str, Any], file: IO[bytes] | None) -> bytes:
    match asked["do"]:
        case "abort":
            os.abort()
        case "memory":
            return bytes(5 << 30)
        case "wait":
            time.sleep(60)
        case "connect":
            refuse_network()
            socket.create_connection(("127.0.0.1", 9))
        case "refuse":
            raise RejectedError("that is none", code="test.none", where="here", remedy="give one", fault=Fault.CLIENT)
        case "environment":
            return str(sorted(name for name in os.environ if name.startswith("ONEDOOR_"))).encode()
    return b"" if file is None else file.read()


if __name__ == "__main__":
    answer(_do)
