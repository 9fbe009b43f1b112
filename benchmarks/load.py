"""A small HTTP load generator: keep-alive connections, one request at a time on each, prepared bytes.

``python -m benchmarks.load URL REQUESTS CONNECTIONS SECONDS`` prints one JSON line. It runs in a process of its own, so that it
does not share a core's time slices with the side that is measured more than any other client would.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import uvloop

WARM_S = 1.0


class _Connection(asyncio.Protocol):
    """Sends the next request when an answer is whole; latencies in seconds, after the warm-up."""

    def __init__(self, load: _Load) -> None:
        self._load = load
        self._transport: Any = None
        self._buffer = b""
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        at = self._buffer.find(b"content-length: ", 0, end)
        length = int(self._buffer[at + 16 : self._buffer.find(b"\r\n", at)])
        if len(self._buffer) < end + 4 + length:
            return
        self._load.answered(self._buffer, time.perf_counter() - self._sent)
        self._buffer = b""
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.lost()

    def _next(self) -> None:
        request = self._load.request()
        if request is None:
            self._transport.close()
            return
        self._sent = time.perf_counter()
        self._transport.write(request)


class _Load:
    def __init__(self, requests: list[bytes], connections: int, seconds: float) -> None:
        self._requests = requests
        self._open = connections
        self._at = 0
        self.begun = time.perf_counter() + WARM_S
        self.ends = self.begun + seconds
        self.latencies: list[float] = []
        self.wrong = 0
        self.done = asyncio.get_running_loop().create_future()

    def request(self) -> bytes | None:
        if time.perf_counter() >= self.ends:
            return None
        self._at += 1
        return self._requests[self._at % len(self._requests)]

    def answered(self, answer: bytes, seconds: float) -> None:
        now = time.perf_counter()
        if not answer.startswith(b"HTTP/1.1 200"):
            self.wrong += 1
        elif self.begun <= now <= self.ends:
            self.latencies.append(seconds)

    def lost(self) -> None:
        self._open -= 1
        if not self._open and not self.done.done():
            self.done.set_result(None)


async def run(host: str, port: int, requests: list[bytes], connections: int, seconds: float) -> dict[str, float]:
    """Return requests a second, p50 and p99 in milliseconds, and the number of answers that were not 200."""
    load = _Load(requests, connections, seconds)
    loop = asyncio.get_running_loop()
    for _ in range(connections):
        await loop.create_connection(lambda: _Connection(load), host, port)
    async with asyncio.timeout(seconds + WARM_S + 20):
        await load.done
    latencies = sorted(load.latencies)
    count = len(latencies)
    return {
        "per_second": round(count / seconds, 1),
        "p50_ms": round(latencies[count // 2] * 1000, 2) if count else 0.0,
        "p99_ms": round(latencies[min(count - 1, count * 99 // 100)] * 1000, 2) if count else 0.0,
        "wrong": load.wrong,
    }


def main(host: str, port: str, requests: str, connections: str, seconds: str) -> None:
    """Load one address with the requests of a file (a msgpack list of bytes)."""
    prepared = msgspec.msgpack.decode(Path(requests).read_bytes(), type=list[bytes])
    sys.stdout.write(json.dumps(uvloop.run(run(host, int(port), prepared, int(connections), float(seconds)))) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
