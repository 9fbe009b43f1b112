"""Apache Kafka without a container: jars by Maven, one node, loopback only."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import psutil

from console.local.ports import LOOPBACK, choose
from console.local.processes import end, wait_for
from schemas.errors import Fault, RejectedError, TransientError

VERSION = "4.3.1"
POM = Path(__file__).resolve().parents[2] / "docker" / "kafka" / "pom.xml"
STATE_NAME = "kafka.json"


@dataclass(frozen=True, slots=True)
class Broker:
    """One node's data folder and ports; both roles in one process."""

    data: Path
    port: int
    controller_port: int
    memory: str = "512m"

    @property
    def servers(self) -> str:
        """Bootstrap servers."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def log(self) -> Path:
        """Where its output goes, unless a supervisor says otherwise."""
        return self.data.parent / "kafka.log"


def java_version() -> int | None:
    """Return the major version of the Java here, or None."""
    java = shutil.which("java")
    if java is None:
        return None
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', said)
    return int(found.group(1)) if found else None


def lacking() -> str | None:
    """Say what a broker of our own lacks on this machine, or None."""
    version = java_version()
    if version is None or version < 17:
        return f"needs Java 17 or later, {'found none' if version is None else f'found {version}'}"
    if jars() is None and shutil.which("mvn") is None:
        return "needs Maven to fetch Apache Kafka, found none"
    return None


def jars() -> Path | None:
    """Return the folder of the jars if they were fetched before."""
    for folder in _folders():
        if (folder / f"kafka_2.13-{VERSION}.jar").exists() and (folder / ".complete").exists():
            return folder
    return None


def fetch() -> Path:
    """Return the folder of the jars, fetched by Maven the first time; all homes share it.

    Raises:
        RejectedError: Java or Maven is missing.
        TransientError: Maven could not fetch them.
    """
    if (there := jars()) is not None:
        return there
    if (lack := lacking()) is not None:
        raise RejectedError(
            f"Apache Kafka {lack}",
            code="local.kafka_programs",
            remedy="install Java 17 and Maven, or name a broker by ONEDOOR_KAFKA",
            fault=Fault.CLIENT,
        )
    folder = next(f for f in _folders() if _writable(f.parent))
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".lib-"))
    done = subprocess.run(
        ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={fresh}"],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        shutil.rmtree(fresh, ignore_errors=True)
        reason = next((line for line in done.stdout.splitlines() if "ERROR" in line), f"exit code {done.returncode}")
        raise TransientError(
            f"Maven could not fetch Apache Kafka: {reason[:300]}",
            code="local.kafka_fetch",
            where=str(POM),
            remedy="look at the network and at Maven's settings, and start again",
        )
    (fresh / ".complete").touch()
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):  # another start fetched the same meanwhile
        fresh.rename(folder)
    return folder


def prepare(data: Path, *, port: int = 0, controller_port: int = 0, memory: str = "512m") -> Broker:
    """Make or find a broker's data folder, with ports that it keeps, formatted.

    Args:
        data: its folder.
        port: the port for clients, 0: the one of the earlier start, else a free one.
        controller_port: the same for the controller.
        memory: the most that Java's heap takes.

    Raises:
        RejectedError: formatting was refused.
    """
    lib = fetch()
    state = data / STATE_NAME
    known = json.loads(state.read_text("utf-8")) if state.exists() else {}
    port = port or int(known.get("port", 0)) or choose()
    controller_port = controller_port or int(known.get("controller_port", 0)) or choose(avoid=frozenset({port}))
    broker = Broker(data, port, controller_port, memory)
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    (data / "server.properties").write_text(_properties(broker), "utf-8")
    (data / "log4j2.properties").write_text(_LOG4J, "utf-8")
    if not (data / "log" / "meta.properties").exists():
        cluster = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=").replace("-", "A", 1)
        java = [*_java(lib, data, "256m"), "kafka.tools.StorageTool"]
        done = subprocess.run(
            [*java, "format", "--standalone", "-t", cluster, "-c", str(data / "server.properties")],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode != 0:
            raise RejectedError(
                f"Kafka's format refused: {(done.stderr or done.stdout).strip().splitlines()[-1:]}",
                code="local.kafka_format",
                where=str(data),
                remedy="remove the folder if nothing in it is needed",
            )
    state.write_text(json.dumps({"port": port, "controller_port": controller_port}), "utf-8")
    return broker


def command(broker: Broker) -> list[str]:
    """Return the command line of the broker."""
    return [*_java(fetch(), broker.data, broker.memory), "kafka.Kafka", str(broker.data / "server.properties")]


def start(data: Path, *, memory: str = "512m", timeout_s: float = 60) -> str:
    """Start a broker of our own unless it runs, wait until it answers, and return its bootstrap servers.

    Raises:
        RejectedError: Java or Maven is missing, or the broker ended at its start.
        TransientError: it does not answer in time, or could not be fetched.
    """
    broker = prepare(data, memory=memory)
    if server_pid(data) is None:
        with broker.log.open("ab") as out:
            process = subprocess.Popen(
                command(broker), stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/", start_new_session=True
            )
        (data / "kafka.pid").write_text(str(process.pid), "utf-8")
        wait_ready(broker, process=process, timeout_s=timeout_s)
    else:
        wait_ready(broker, timeout_s=timeout_s)
    return broker.servers


def wait_ready(broker: Broker, *, process: subprocess.Popen[bytes] | None = None, timeout_s: float = 60) -> None:
    """Return when the broker answers a client.

    Raises:
        RejectedError: its process ended.
        TransientError: it does not answer in time.
    """
    wait_for("Kafka", lambda: answers(broker.servers), process=process, log=broker.log, timeout_s=timeout_s)


def answers(servers: str, *, timeout_s: float = 2) -> bool:
    """Say whether a broker answers a client's first questions."""
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaConfigurationError, KafkaError

    wait_ms = int(timeout_s * 1000)
    try:
        client = KafkaAdminClient(
            bootstrap_servers=servers.split(","), request_timeout_ms=wait_ms, bootstrap_timeout_ms=wait_ms
        )
    except KafkaConfigurationError:
        raise
    except (KafkaError, OSError):
        return False
    try:
        return bool(client.describe_cluster()["brokers"])
    except (KafkaError, OSError):
        return False
    finally:
        client.close()


def server_pid(data: Path) -> int | None:
    """Return the process id of the broker that runs on a data folder, or None."""
    try:
        pid = int((data / "kafka.pid").read_text("utf-8"))
        argv = psutil.Process(pid).cmdline()
    except (OSError, ValueError, psutil.Error):
        return None
    return pid if str(data / "server.properties") in argv else None


def stop(data: Path, *, timeout_s: float = 30) -> None:
    """Stop the broker of a data folder; nothing if it does not run."""
    pid = server_pid(data)
    if pid is not None:
        end(pid, sign=signal.SIGTERM, timeout_s=timeout_s)
    (data / "kafka.pid").unlink(missing_ok=True)


def _folders() -> list[Path]:
    """Return where jars may be: beside the pom in a source tree, else the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "onedoor" / f"kafka-{VERSION}"
    return [POM.parent / "lib", cache]


def _writable(folder: Path) -> bool:
    while not folder.exists():
        folder = folder.parent
    return os.access(folder, os.W_OK)


def _java(lib: Path, data: Path, memory: str) -> list[str]:
    java = shutil.which("java")
    if java is None:
        raise RejectedError("Apache Kafka needs Java 17, found none", code="local.kafka_programs", remedy="install Java 17")
    logging = f"-Dlog4j2.configurationFile={data / 'log4j2.properties'}"
    return [java, f"-Xmx{memory}", "-XX:+ExitOnOutOfMemoryError", logging, "-cp", f"{lib}/*"]


_LOG4J = """\
status=error
appender.out.type=Console
appender.out.name=OUT
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{ISO8601} %p %m (%c)%n
rootLogger.level=warn
rootLogger.appenderRef.out.ref=OUT
"""


def _properties(broker: Broker) -> str:
    values = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.bootstrap.servers": f"{LOOPBACK}:{broker.controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{broker.port},CONTROLLER://{LOOPBACK}:{broker.controller_port}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{broker.port},CONTROLLER://{LOOPBACK}:{broker.controller_port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": str(broker.data / "log"),
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        "auto.create.topics.enable": "false",
        "num.network.threads": "2",
        "num.io.threads": "4",
        "log.cleaner.dedupe.buffer.size": str(16 << 20),
    }
    return "".join(f"{name}={value}\n" for name, value in values.items())
