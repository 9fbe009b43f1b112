"""The data folder: what it keeps between starts, and what its first start fixed."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from console.local import postgres
from exchange.settings import CONFIG_NAME, STATE_NAME, Settings, load_settings
from schemas.errors import Fault, RejectedError

MIN_FREE_BYTES = 1 << 30


@dataclass
class Home:
    """A data folder. ``settings`` goes to every process of the installation, ``local`` only to what starts them."""

    path: Path
    settings: dict[str, Any] = field(default_factory=dict)
    local: dict[str, Any] = field(default_factory=dict, repr=False)
    new: bool = False

    @property
    def run_dir(self) -> Path:
        """Process ids and locks."""
        return self.path / "run"

    @property
    def logs_dir(self) -> Path:
        """Logs of all processes."""
        return self.path / "logs"

    @property
    def postgres_data(self) -> Path:
        """The data of the embedded PostgreSQL; outside the home where its account cannot reach the home."""
        if "postgres_data" not in self.local:
            self.local["postgres_data"] = str(postgres.place(self.path))
        return Path(self.local["postgres_data"])

    def secret(self, name: str) -> str:
        """Return the generated secret of that name, made at its first use and kept."""
        if name not in self.local:
            self.local[name] = secrets.token_urlsafe(18)
        return str(self.local[name])

    def cluster(self) -> postgres.Cluster:
        """Return the embedded PostgreSQL, on the port chosen last."""
        port = int(self.settings.get("postgres_port", 0))
        return postgres.Cluster(self.postgres_data, port, self.secret("postgres_password"), self.logs_dir / "postgres.log")

    def role_url(self, role: str, database: str | None = None) -> str:
        """Return the URL of a database of the embedded PostgreSQL as one of the roles made at the first start."""
        return self.cluster().url(database or role, user=role, password=self.secret(f"{role}_password"))

    def load(self) -> Settings:
        """Return the settings as every process of this home sees them."""
        return load_settings(self.path)

    def save(self) -> None:
        """Write the state so that a crash leaves the old one or the new one; only the owner may read it."""
        fresh = self.path / f".{STATE_NAME}.new"
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            json.dump({"settings": self.settings, "local": self.local}, out, indent=1)
            out.flush()
            os.fsync(out.fileno())
        fresh.rename(self.path / STATE_NAME)
        self.new = False

    def named(self, setting: str) -> bool:
        """Say whether a person set it, in the environment or in ``onedoor.toml``."""
        if os.environ.get(f"ONEDOOR_{setting.upper()}"):
            return True
        config = self.path / CONFIG_NAME
        return config.exists() and setting in tomllib.loads(config.read_text("utf-8"))

    def fix_bus(self, asked: str | None) -> str:
        """Return the bus of this home: the one of its first start.

        Raises:
            RejectedError: another one is asked for.
        """
        wanted = asked or (self.load().bus if self.named("bus") else None)
        kept = self.settings.get("bus")
        if kept and wanted and wanted != kept:
            raise RejectedError(
                f"the bus of this home is {kept} since its first start, not {wanted}",
                code="local.bus_fixed",
                where=str(self.path),
                remedy="take another home by ONEDOOR_HOME, or leave the bus as it is",
                fault=Fault.CLIENT,
            )
        self.settings["bus"] = kept or wanted or "postgres"
        return str(self.settings["bus"])

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the home for one supervisor.

        Raises:
            RejectedError: another one holds it.
        """
        self.run_dir.mkdir(mode=0o700, exist_ok=True)
        with (self.run_dir / "supervisor.lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise RejectedError(
                    "OneDoor runs already on this home",
                    code="local.running",
                    where=str(self.path),
                    remedy="onedoor status; onedoor down",
                    fault=Fault.CLIENT,
                ) from None
            (self.run_dir / "supervisor.pid").write_text(str(os.getpid()), "utf-8")
            yield

    def supervisor_pid(self) -> int | None:
        """Return the process id of the supervisor that holds this home, or None."""
        if not self.locked():
            return None
        try:
            return int((self.run_dir / "supervisor.pid").read_text("utf-8"))
        except (OSError, ValueError):
            return None

    def locked(self) -> bool:
        """Say whether a supervisor holds the home now."""
        path = self.run_dir / "supervisor.lock"
        if not path.exists():
            return False
        with path.open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return True
        return False


def home_path(path: Path | None = None) -> Path:
    """Return the data folder: as given, else ``ONEDOOR_HOME``, else ``.onedoor`` here."""
    return (path or Path(os.environ.get("ONEDOOR_HOME") or ".onedoor")).absolute()


def find_home(path: Path | None = None) -> Home:
    """Return a home that was started before.

    Raises:
        RejectedError: there is none, or its state cannot be read.
    """
    folder = home_path(path)
    if not (folder / STATE_NAME).exists():
        raise RejectedError(
            "there is no OneDoor here yet",
            code="local.no_home",
            where=str(folder),
            remedy="onedoor up, or name its data folder by ONEDOOR_HOME",
            fault=Fault.CLIENT,
        )
    return _read(folder)


def open_home(path: Path | None = None) -> Home:
    """Return the home at a path, made if it is not there.

    Raises:
        RejectedError: it cannot be written, its disk is full, or its state cannot be read.
    """
    folder = home_path(path)
    try:
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        probe = folder / f".probe-{secrets.token_hex(4)}"
        probe.write_bytes(b"onedoor")
        probe.unlink()
        for name in ("run", "logs"):
            (folder / name).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise RejectedError(
            f"the data folder cannot be written: {error.strerror}",
            code="local.home_not_writable",
            where=str(folder),
            remedy="make it writable, or name another by ONEDOOR_HOME",
            fault=Fault.CLIENT,
        ) from error
    free = shutil.disk_usage(folder).free
    if free < MIN_FREE_BYTES:
        raise RejectedError(
            f"the disk of the data folder has {free >> 20} MiB free, at least {MIN_FREE_BYTES >> 20} are needed",
            code="local.disk_full",
            where=str(folder),
            remedy="make room, or name a folder on another disk by ONEDOOR_HOME",
            fault=Fault.CLIENT,
        )
    with contextlib.suppress(OSError):
        ignore = folder / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", "utf-8")
    return _read(folder) if (folder / STATE_NAME).exists() else Home(folder, new=True)


def _read(folder: Path) -> Home:
    try:
        state = json.loads((folder / STATE_NAME).read_text("utf-8"))
        return Home(folder, dict(state["settings"]), dict(state["local"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RejectedError(
            f"the state of the home cannot be read: {type(error).__name__}",
            code="local.state",
            where=str(folder / STATE_NAME),
            remedy="restore it from a backup; it holds the passwords of the databases",
        ) from error
