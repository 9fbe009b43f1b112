"""Where the passwords of sources are: in a file of the keys folder or in the environment, never in the database."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit, urlunsplit

from schemas.errors import Fault, RejectedError
from schemas.secret import Secret

_SECRET_WORDS: Final = re.compile(
    r"pass(word|wd|phrase)?$|^pwd$|secret|token|api_?key|^key$|credential|^sig(nature)?$", re.IGNORECASE
)


def split_url(url: Secret[str]) -> tuple[str, Secret[str] | None]:
    """Return a source's URL without its password, and the password.

    Raises:
        RejectedError: it is no URL, a character of its user part is not percent-encoded, or a secret stands in its query.
    """
    text = url.reveal()
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018  raises where the password holds a slash and the rest looks like a port
    except ValueError:
        raise _no_url("its host or port cannot be read") from None
    if not parts.scheme or "://" not in text:
        raise _no_url("there is no scheme")
    if (
        "@" in parts.path
        or "@" in parts.query
        or parts.fragment
        or parts.netloc.count("@") > 1
        or any(c.isspace() for c in text)
    ):
        raise _no_url("a character of the user name or password is not percent-encoded")
    named = sorted({name for name, _ in parse_qsl(parts.query, keep_blank_values=True) if _SECRET_WORDS.search(name)})
    if named:
        raise RejectedError(
            f"the URL's query holds a secret ({', '.join(named)}), which would be kept and shown",
            code="source.secret_in_query",
            remedy="give the password before the host, as user:password@host, or by --password-env",
            fault=Fault.CLIENT,
        )
    user, colon, password = parts.netloc.rpartition("@")[0].partition(":")
    if not colon:
        return text, None
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}@{host}")), Secret(unquote(password))


def url_with_password(url: str, password: Secret[str]) -> Secret[str]:
    """Return the URL with the password in it."""
    parts: SplitResult = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    return Secret(urlunsplit(parts._replace(netloc=f"{user}:{quote(password.reveal(), safe='')}{at or '@'}{host}")))


def secret_reference(source: str) -> str:
    """Return the reference of a password that ``keep_secret`` writes, relative to the keys folder: a home may be moved."""
    return f"file:sources/{source}"


def keep_secret(keys_dir: Path, source: str, password: Secret[str]) -> None:
    """Write a source's password, 0600 in a folder of 0700, whole or not at all."""
    folder = keys_dir / "sources"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = folder / f".{source}.{os.getpid()}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(password.reveal())
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / source)


def drop_secret(reference: str | None, keys_dir: Path | None) -> None:
    """Remove the file of a password that the registry wrote; a variable of the environment is not its own."""
    if reference is not None and keys_dir is not None and reference.startswith("file:sources/"):
        (keys_dir / reference.removeprefix("file:")).unlink(missing_ok=True)


def read_secret(reference: str, keys_dir: Path | None, *, source: str) -> Secret[str]:
    """Return the password that a reference names.

    Raises:
        RejectedError: the file or the variable is not there.
    """
    kind, _, name = reference.partition(":")
    if kind == "env":
        value = os.environ.get(name)
        if value is None:
            raise _missing(source, f"the variable {name} is not set", "set it where the hub is started")
        return Secret(value)
    place = Path(name)
    if not place.is_absolute():
        if keys_dir is None:
            raise _missing(source, "this process has no keys folder", "collect in a process of the hub's owner")
        place = keys_dir / place
    try:
        return Secret(place.read_text("utf-8"))
    except OSError as error:
        raise _missing(
            source, f"its file cannot be read: {error.strerror}", "add the source again with its password"
        ) from error


def _no_url(why: str) -> RejectedError:
    return RejectedError(
        f"that is no URL of a source: {why}; expected scheme://user:password@host:port/name",
        code="source.url",
        remedy="percent-encode special characters of the password, or give it by --password-env",
        fault=Fault.CLIENT,
    )


def _missing(source: str, why: str, remedy: str) -> RejectedError:
    return RejectedError(
        f"the password of source {source} is missing: {why}", code="source.secret_missing", where=source, remedy=remedy
    )
