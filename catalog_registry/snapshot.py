"""The snapshot of the registry that Airflow's DAG file reads instead of a database: ``dags.json``.

Importing this is cheap: a DAG file does so at every parse.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from schemas.errors import DefectError, RejectedError

if TYPE_CHECKING:
    from catalog_registry.records import RegisteredResource
    from catalog_registry.resources import Resources

FORMAT: Final = 1
SHRINK: Final = 0.1
"""The share of resources that a new snapshot may lack of the last one."""

_OF_CONTRACT: Final = ("schedule", "personal", "mode")
_BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class Collected:
    """What is told of a resource without its contract's text."""

    name: str
    title: str
    source: str | None  # there is one: it is collected
    system: str
    department: str
    state: str
    version: str
    contract_hash: str


def dags_snapshot(registry: Resources, known: Sequence[Mapping[str, Any]] = ()) -> list[dict[str, Any]]:
    """Return what Airflow needs to know of each published resource, by name; equal registries give equal snapshots.

    Args:
        registry: what is registered.
        known: rows of an earlier snapshot; a contract whose hash stands there is neither read nor parsed again.
    """
    return _rows(registry, [row for row in registry.collected_rows() if row.state == "published"], known)


def _rows(registry: Resources, published: Sequence[Collected], known: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    seen = {row["contract_hash"]: row for row in known if "contract_hash" in row and all(name in row for name in _OF_CONTRACT)}
    terms = {row.name: _terms(row, seen[row.contract_hash]) for row in published if row.contract_hash in seen}
    new = [row.name for row in published if row.name not in terms]
    for i in range(0, len(new), _BATCH):
        terms |= {resource.name: _terms(resource, _read(resource)) for resource in registry.resources(new[i : i + _BATCH])}
    return [
        {
            "name": row.name,
            "title": row.title,
            "source": row.source,
            "pool": f"onedoor_{row.system}",
            "department": row.department,
        }
        | terms[row.name]
        for row in published
        if row.name in terms
    ]


def _terms(row: Collected | RegisteredResource, of_contract: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is told of a contract; one that was just read may be newer than the row that it was looked for by."""
    return {"version": row.version, "contract_hash": row.contract_hash} | {name: of_contract[name] for name in _OF_CONTRACT}


def _read(resource: RegisteredResource) -> dict[str, Any]:
    contract = resource.contract
    return {
        "schedule": contract.schedule,
        "personal": bool(contract.personal),
        "mode": "full" if contract.cursor is None else "incremental",
    }


def write_dags_json(path: Path, rows: Sequence[Mapping[str, Any]], *, force: bool = False, ended: Collection[str] = ()) -> bool:
    """Replace the snapshot whole, or leave the last good one; False where it already said the same.

    Args:
        path: the file.
        rows: what ``dags_snapshot`` gave.
        force: whatever would be gone.
        ended: names that are missing because somebody froze or withdrew them: they are not counted as gone.

    Raises:
        RejectedError: more than ``SHRINK`` of the resources would be gone, and ``force`` is not given.
    """
    text = json.dumps({"format": FORMAT, "resources": rows}, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    before = path.read_text("utf-8") if path.exists() else None
    if before == text:
        return False
    was = {row["name"] for row in _good(path) or []}
    gone = was - {row["name"] for row in rows} - set(ended)
    if len(gone) > SHRINK * len(was) and not force:
        raise RejectedError(
            f"{len(gone)} of {len(was)} resources would lose their DAGs, more than {SHRINK:.0%}: {', '.join(sorted(gone)[:5])}",
            code="dags.shrank",
            where=path.name,
            remedy="if that is meant, write the snapshot with force; the last one stays until then",
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    for file in (path, _copy(path)):
        draft = file.with_name(f".{file.name}.{os.getpid()}")
        with draft.open("w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        draft.replace(file)
    _fsync_folder(path.parent)
    return True


def read_dags_json(path: Path) -> list[dict[str, Any]]:
    """Return the rows of the snapshot; of its copy where it is gone or broken, for a parse that gives no DAGs makes all of them
    stale; none where neither was ever written.

    Raises:
        DefectError: neither file is one of this release's snapshots.
    """
    good = _good(path)
    if good is None and (path.exists() or _copy(path).exists()):
        raise DefectError(
            "that is no snapshot of this release", code="dags.form", where=path.name, remedy="register any resource again"
        )
    return good or []


def refresh(registry: Resources, path: Path, *, force: bool = False) -> bool:
    """Write the snapshot of what is registered now. Of two at once the later one has seen what both registered."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        rows = registry.collected_rows()
        ended = {row.name for row in rows if row.state != "published"}
        published = [row for row in rows if row.state == "published"]
        return write_dags_json(path, _rows(registry, published, _good(path) or []), force=force, ended=ended)


def stamp(path: Path) -> tuple[int, int, int] | None:
    """Return what changes whenever the snapshot is written or altered; None where there is no file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _document(text: str) -> dict[str, Any] | None:
    try:
        document = json.loads(text)
    except json.JSONDecodeError:
        return None
    good = isinstance(document, dict) and document.get("format") == FORMAT and isinstance(document.get("resources"), list)
    return document if good else None


def _good(path: Path) -> list[dict[str, Any]] | None:
    """Return the rows of a snapshot or, where it is no good, of its copy; None where neither is."""
    for file in (path, _copy(path)):
        document = _document(file.read_text("utf-8", "replace")) if file.exists() else None
        if document is not None:
            return list(document["resources"])
    return None


def _copy(path: Path) -> Path:
    return path.with_name(f"{path.stem}.last{path.suffix}")


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
