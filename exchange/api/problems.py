"""Errors as RFC 9457 problem documents: a stable code, whose fault it is, and never a personal value."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from schemas.errors import OneDoorError

MEDIA_TYPE: Final = "application/problem+json"
_TITLES: Final = {
    400: "The request is wrong",
    401: "Who asks is not known",
    403: "Not allowed",
    404: "Not found",
    405: "Not allowed this way",
    406: "Not in this form",
    409: "Not as it stands now",
    412: "Changed meanwhile",
    413: "Too large",
    415: "Not this kind of content",
    422: "Refused by a rule",
    428: "Not without a version",
    429: "The quota is used up",
    500: "Must not happen",
    503: "Not possible now",
}
_BY_KIND: Final = {"transient": 503, "rejected": 400, "denied": 403, "defect": 500}


_BY_CODE: Final = {
    "client.refused": 401,
    "request.too_large": 413,
    "request.media_type": 415,
    "request.accept": 406,
    "quota.used_up": 429,
}


def status_of(error: OneDoorError) -> int:
    """Return the HTTP status of an error."""
    if error.code.startswith("token."):
        return 401
    return _BY_CODE.get(error.code) or _BY_KIND[error.kind]


def problem(status: int, code: str, detail: str, **more: Any) -> dict[str, Any]:
    """Return a problem document; members that are None are left out."""
    members = {
        "type": f"urn:onedoor:problem:{code}",
        "title": _TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
        "code": code,
    }
    return {k: v for k, v in (members | more).items() if v is not None}


def problem_of(error: OneDoorError) -> dict[str, Any]:
    """Return the problem document of an error; of the hub's own it leaves out the place, which is for the operator only."""
    where = error.where if error.fault == "client" else None
    remedy = error.remedy if error.fault == "client" else None
    return problem(status_of(error), error.code, error.message, where=where, remedy=remedy, fault=str(error.fault))


def headers_of(status: int, error: OneDoorError | None = None) -> list[tuple[bytes, bytes]]:
    """Return the headers that go with a status, and with the error that it says."""
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"cache-control", b"no-store")]
    if status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="onedoor"'))
    if status == 503:
        headers.append((b"retry-after", b"5"))
    if status == 429:
        headers.append((b"retry-after", str(getattr(error, "retry_after_s", 60)).encode()))
    return headers


def encoded(document: dict[str, Any]) -> bytes:
    """Return a problem's bytes."""
    return msgspec.json.encode(document)
