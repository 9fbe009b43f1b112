"""Values that do not print."""

from __future__ import annotations

import hmac
from typing import Generic, TypeVar

T = TypeVar("T", str, bytes)


class Secret(Generic[T]):
    """A password or a key. ``reveal`` is the only way to its value; equality takes constant time."""

    __slots__ = ("_value",)

    def __init__(self, value: T) -> None:
        self._value: T = value

    def reveal(self) -> T:
        """Return the value itself."""
        return self._value

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(_bytes(self._value), _bytes(other._value))

    def __hash__(self) -> int:
        return hash(type(self))

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a secret is not pickled")


class Personal(Secret[str]):
    """A personal value of one person, such as a citizen id."""


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value
