"""What a query of records asks, and the token that leads to its next page.

A page token is ``version 1 | 12-byte nonce | ciphertext and tag`` (AES-256-GCM) in URL-safe base 64. Sealed in it: the grant,
the run that the rows are of, and the landed key of the last row. Authenticated with it: who asks, and all that decides which
rows and which fields are given. So a token opens for the question it was made for, and for nobody else's.
"""

from __future__ import annotations

import os
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from typing import Annotated, Final

import msgspec
from cryptography.exceptions import InvalidTag

from exchange.trust.keyring import NONCE_BYTES, KeyRing
from exchange.trust.seal import NonceSource
from schemas.errors import Fault, RejectedError

MOST_ROWS: Final = 100_000
USUAL_ROWS: Final = 1_000

_VERSION: Final = b"\x01"
_HEAD: Final = len(_VERSION) + NONCE_BYTES
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{40,20000}")
_PRINTABLE: Final = r"^[^\x00-\x1f\x7f]+(?![\s\S])"
_Code = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z._:-]+(?![\s\S])")]
_FieldName = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,47}(?![\s\S])")]


class QueryRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a department's system asks of a resource."""

    purpose: Annotated[_Code, msgspec.Meta(description="purpose that the grant names")]
    operator: Annotated[
        str,
        msgspec.Meta(min_length=1, max_length=64, pattern=_PRINTABLE, description="account of whoever asks, or of the job"),
    ]
    item_code: Annotated[
        _Code | None, msgspec.Meta(description="implementation code of the service item, where the grant names items")
    ] = None
    case_number: Annotated[
        _Code | None,
        msgspec.Meta(
            description="case number 申办流水号; needed, with item_code, where a field given is personal and there is no "
            "bulk_export"
        ),
    ] = None
    bulk_export: Annotated[
        _Code | None,
        msgspec.Meta(description="id of the bulk export that a second person approved for this question; for one use"),
    ] = None
    fields: (
        Annotated[
            list[_FieldName],
            msgspec.Meta(min_length=1, max_length=1000, description="some of the granted fields; left out: all of them"),
        ]
        | None
    ) = None
    filter: (
        Annotated[
            str,
            msgspec.Meta(
                min_length=1, description="rows by granted fields that are not sealed: town = '马坝镇' and level in (1, 2)"
            ),
        ]
        | None
    ) = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_ROWS, description="rows of this page")] = USUAL_ROWS
    page: Annotated[
        str | None, msgspec.Meta(description="the token for the next page, as the page before gave it; all else as it was")
    ] = None

    def __repr__(self) -> str:
        return f"QueryRequest(purpose={self.purpose!r}, item={self.item_code!r}, case={self.case_number!r})"


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a page ended: ``after`` is the landed key of its last row, as canonical texts."""

    grant: str
    run: str
    after: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Place(grant={self.grant!r}, run={self.run!r})"


_place: Final = msgspec.json.Decoder(Place)


def question(principal: str, resource: str, ask: QueryRequest) -> bytes:
    """Return the one text of who asks and of all that decides which rows and fields are given; not of how many at a time."""
    fields = None if ask.fields is None else sorted(set(ask.fields))
    asked = [principal, resource, ask.purpose, ask.item_code, ask.case_number, fields, ask.filter]
    return msgspec.json.encode(asked if ask.bulk_export is None else [*asked, ask.bulk_export])


def seal_page(place: Place, asked: bytes, resource: str, keys: KeyRing, *, random: NonceSource = os.urandom) -> str:
    """Return the token that leads on from a place, for the ``question`` that was asked."""
    nonce = random(NONCE_BYTES)
    sealed = keys.page_cipher(resource).encrypt(nonce, msgspec.json.encode(place), asked)
    return urlsafe_b64encode(_VERSION + nonce + sealed).rstrip(b"=").decode()


def open_page(token: str, asked: bytes, resource: str, keys: KeyRing) -> Place:
    """Return the place that a token leads on from.

    Raises:
        RejectedError: the hub did not make it for this principal, resource and question (``page.refused``).
    """
    try:
        if not _TOKEN.fullmatch(token):
            raise ValueError("not of the form of a token")
        blob = urlsafe_b64decode(token + "=" * (-len(token) % 4))
        if blob[:1] != _VERSION:
            raise ValueError("of another version")
        return _place.decode(keys.page_cipher(resource).decrypt(blob[1:_HEAD], blob[_HEAD:], asked))
    except (ValueError, Base64Error, InvalidTag, msgspec.DecodeError):
        raise RejectedError(
            "the page token is not one that this hub gave for this question: the same client, resource, purpose, item, case, "
            "fields and filter were expected",
            code="page.refused",
            where="page",
            remedy="ask without a page, and go on with the token of its answer and nothing else changed",
            fault=Fault.CLIENT,
        ) from None


def begin_again(why: str) -> RejectedError:
    """Return the refusal of a token whose rows are no longer served: the pages before and after would not fit together."""
    return RejectedError(
        f"{why} since the first page, and its pages would not fit together",
        code="page.stale",
        where="page",
        remedy="begin again: ask without a page",
        fault=Fault.CLIENT,
    )
