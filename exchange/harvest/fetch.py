"""Gets another catalogue from an address that a setting allows, and from nowhere else, wherever it is sent on to."""

from __future__ import annotations

import ssl
import time
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urljoin, urlsplit
from urllib.request import HTTPHandler, HTTPSHandler, OpenerDirector, Request

from schemas.errors import DeniedError, Fault, RejectedError, TransientError

MOST_REDIRECTS: Final = 5
_WAIT_S: Final = 15.0
_PIECE_BYTES: Final = 1 << 16
_ACCEPT: Final = "text/turtle, application/ld+json;q=0.9, application/json;q=0.5"


def allowed_prefixes(text: str) -> tuple[str, ...]:
    """Return the addresses of a setting, with commas between. Raises ``ValueError`` where one is none."""
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    for part in found:
        parts = urlsplit(part)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc:
            raise ValueError(f"{part[:80]!r} is no address such as https://data.example.gov.cn/catalogue/")
    return found


def check_allowed(address: str, allowed: Sequence[str]) -> None:
    """Raise ``DeniedError`` where an address is not below one of those that are allowed."""
    try:
        parts, port = urlsplit(address), urlsplit(address).port
    except ValueError:
        parts, port = urlsplit(""), None
    plain = unquote(parts.path)
    good = parts.scheme in ("http", "https") and "@" not in parts.netloc and "\\" not in address
    if (
        not good
        or any(part in ("..", ".") for part in plain.split("/"))
        or not any(
            (parts.scheme, parts.hostname, port) == (p.scheme, p.hostname, p.port) and _below(parts.path or "/", p.path or "/")
            for p in map(urlsplit, allowed)
        )
    ):
        raise DeniedError(
            "the address is not one that catalogues may be harvested from",
            code="harvest.not_allowed",
            remedy="name it in ONEDOOR_HARVEST_ALLOW",
            fault=Fault.CLIENT,
        )


def _below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix if prefix.endswith("/") else f"{prefix}/")


def fetch(address: str, allowed: Sequence[str], most_bytes: int, within_s: float) -> tuple[bytes, str]:
    """Return what an address gives, and its media type.

    Raises:
        DeniedError: it, or where it is sent on to, is not allowed.
        TransientError: it cannot be reached, or takes too long.
        RejectedError: it answers with another status, is too large, or is sent on without end.
    """
    ends = time.monotonic() + within_s
    opener = OpenerDirector()  # no proxies, no redirects, no files: nothing but what is here
    opener.add_handler(HTTPHandler())
    opener.add_handler(HTTPSHandler(context=ssl.create_default_context()))
    for _ in range(MOST_REDIRECTS + 1):
        check_allowed(address, allowed)
        request = Request(address, headers={"accept": _ACCEPT, "accept-encoding": "identity", "user-agent": "onedoor"})
        try:
            with opener.open(request, timeout=min(_WAIT_S, within_s)) as answer:
                if answer.status in (301, 302, 303, 307, 308):
                    address = urljoin(address, answer.headers.get("location", ""))
                    continue
                if answer.status != 200 or answer.headers.get("content-encoding", "identity") != "identity":
                    raise RejectedError(f"it answers with status {answer.status}", code="harvest.status", fault=Fault.PROVIDER)
                body = bytearray()
                while piece := answer.read1(_PIECE_BYTES):
                    body += piece
                    _check_size(len(body), most_bytes)
                    if time.monotonic() > ends:
                        raise TransientError("it takes too long", code="harvest.slow", fault=Fault.PROVIDER)
                return bytes(body), answer.headers.get("content-type", "")
        except (OSError, HTTPException) as error:
            raise TransientError(
                f"it cannot be reached: {type(error).__name__}", code="harvest.unreachable", fault=Fault.PROVIDER
            ) from error
    raise RejectedError("it is sent on without end", code="harvest.redirects", fault=Fault.PROVIDER)


def read_file(path: Path, most_bytes: int) -> bytes:
    """Return what a file holds. Raises ``RejectedError`` where it cannot be read or is too large."""
    try:
        with path.open("rb") as file:
            body = file.read(most_bytes + 1)
    except OSError as error:
        raise RejectedError(
            f"the file cannot be read: {(error.strerror or 'unknown').lower()}", code="harvest.file", fault=Fault.CLIENT
        ) from error
    _check_size(len(body), most_bytes)
    return body


def _check_size(size: int, most_bytes: int) -> None:
    if size > most_bytes:
        raise RejectedError(
            f"it is above {most_bytes} bytes", code="harvest.size", remedy="raise ONEDOOR_HARVEST_BYTES", fault=Fault.PROVIDER
        )
