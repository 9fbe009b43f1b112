"""An installation on this machine starts, keeps going, refuses clearly and stops cleanly."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from console.local import credentials, databases, doctor, installation, kafka, ports, postgres
from console.local.home import Home, find_home, open_home
from console.local.processes import end, group_of
from console.local.supervisor import Child, Supervisor, read_pid
from exchange.settings import load_settings
from schemas.errors import OneDoorError, RejectedError
from tests.conftest import require


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the account of PostgreSQL reaches; pytest's own is closed to it."""
    made = Path(tempfile.mkdtemp(prefix="onedoor-home-"))
    made.chmod(0o711)
    yield made
    for data in made.glob("**/postgres/postmaster.pid"):
        postgres.stop(data.parent)
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in os.environ if n.startswith("ONEDOOR_") and not n.startswith("ONEDOOR_TEST")]:
        if name not in ("ONEDOOR_REQUIRE", "ONEDOOR_KAFKA"):
            monkeypatch.delenv(name)


def onedoor(home: Path, *argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "console.cli.main", *argv]
    return subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"ONEDOOR_HOME": str(home)} | env, timeout=150, check=False
    )


def eventually(true: Callable[[], object], *, within_s: float = 20) -> None:
    until = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < until, "it did not come true in time"
        time.sleep(0.02)


def cluster_at(folder: Path) -> postgres.Cluster:
    cluster = postgres.Cluster(folder / "postgres", ports.choose(), postgres.new_password())
    postgres.create(cluster.data, password=cluster.password)
    return cluster


def working_in(folder: Path) -> list[int]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and process.cwd() == str(folder):
                found.append(process.pid)
    return found


def processes_of(home: Path) -> list[str]:
    found = []
    for process in psutil.process_iter(["cmdline", "environ", "status"]):
        if process.info["status"] == psutil.STATUS_ZOMBIE or process.pid == os.getpid():
            continue
        named = str(home) in " ".join(process.info["cmdline"] or [])
        if named or (process.info["environ"] or {}).get("ONEDOOR_HOME") == str(home):
            found.append(" ".join(process.info["cmdline"] or [str(process.pid)]))
    return found


# PostgreSQL -----------------------------------------------------------------------------------------------------------


def test_a_server_killed_in_the_middle_starts_again_with_what_was_committed(folder: Path) -> None:
    cluster = cluster_at(folder)
    pid = postgres.start(cluster)
    with psycopg.connect(cluster.url(), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: postgres.server_pid(cluster.data) is None)
    assert (cluster.data / "postmaster.pid").exists(), "a killed server leaves its pid file"
    eventually(lambda: not working_in(cluster.data))  # its backends notice and end by themselves
    postgres.start(cluster)
    with psycopg.connect(cluster.url()) as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (7,)
    postgres.stop(cluster.data)
    assert not (cluster.data / "postmaster.pid").exists()


def test_a_stale_pid_that_is_now_another_process_is_left_alone(folder: Path) -> None:
    cluster = cluster_at(folder)
    (cluster.data / "postmaster.pid").write_text(f"{os.getpid()}\n{cluster.data}\n", "utf-8")
    assert postgres.server_pid(cluster.data) is None
    postgres.stop(cluster.data)
    postgres.start(cluster)
    postgres.stop(cluster.data)


def test_the_server_asks_for_a_password_and_listens_on_loopback_only(pg_cluster: postgres.Cluster) -> None:
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(pg_cluster.url(password="wrong"))
    with psycopg.connect(pg_cluster.url()) as connection:
        rows = dict(connection.execute("SELECT name, setting FROM pg_settings").fetchall())
    assert rows["listen_addresses"] == "127.0.0.1"
    assert rows["unix_socket_directories"] == ""
    assert rows["password_encryption"] == "scram-sha-256"
    assert rows["wal_level"] == "logical"
    assert rows["server_encoding"] == "UTF8"
    rules = (pg_cluster.data / "pg_hba.conf").read_text("utf-8")
    assert "trust" not in [word for line in rules.splitlines() if not line.startswith("#") for word in line.split()]


def test_a_password_is_in_no_process_list_and_no_representation(pg_cluster: postgres.Cluster) -> None:
    pid = postgres.server_pid(pg_cluster.data)
    assert pid is not None
    assert pg_cluster.password not in " ".join(psutil.Process(pid).cmdline())
    assert pg_cluster.password not in repr(pg_cluster)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another account")
def test_data_go_elsewhere_where_the_account_cannot_reach_the_home(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    home = open_home(closed / "home")
    try:
        data = home.postgres_data
        assert postgres.OUTSIDE in data.parents
        home.settings["postgres_port"] = ports.choose()
        postgres.create(data, password=home.secret("postgres_password"))
        home.save()
        assert postgres.start(home.cluster())
        postgres.stop(data)
        notes = [f for f in doctor.examine(home.path) if f.what == "data of PostgreSQL"]
        assert notes
        assert str(data) in notes[0].fact
    finally:
        shutil.rmtree(home.postgres_data.parent, ignore_errors=True)


# Ports, the home, settings --------------------------------------------------------------------------------------------


def test_a_named_port_that_is_taken_is_refused_by_name() -> None:
    with socket.socket() as other:
        other.bind((ports.LOOPBACK, 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(RejectedError, match=f"port {port} of api is taken") as caught:
            ports.settle("api", wanted=port, kept=0)
        assert caught.value.code == "local.port_taken"
        assert ports.settle("api", wanted=0, kept=port) != port


def test_a_port_once_chosen_is_kept() -> None:
    port = ports.choose()
    assert ports.settle("api", wanted=0, kept=port) == port
    assert ports.settle("api", wanted=0, kept=port, avoid=frozenset({port})) != port


def test_a_data_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("", "utf-8")
    done = onedoor(file / "home", "up", "--no-airflow")
    assert done.returncode == 1
    assert done.stderr.startswith("error: the data folder cannot be written")
    assert str(file / "home") in done.stderr
    assert "ONEDOOR_HOME" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_full_disk_is_refused_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10 << 20))
    with pytest.raises(RejectedError, match="10 MiB free") as caught:
        open_home(tmp_path / "home")
    assert caught.value.code == "local.disk_full"


@pytest.mark.parametrize(
    ("text", "said"),
    [("division = 44\nbus =\n", "onedoor.toml is not TOML"), ('bus = "rabbit"\n', "bus"), ("speed = 9\n", "speed")],
)
def test_a_broken_settings_file_is_told_before_anything_starts(tmp_path: Path, text: str, said: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "onedoor.toml").write_text(text, "utf-8")
    done = onedoor(home, "up", "--no-airflow", "--json")
    assert done.returncode == 1
    problem = json.loads(done.stderr)
    assert said in problem["detail"]
    assert problem["fault"] == "client"
    assert not (home / "state.json").exists()
    findings = [f for f in doctor.examine(home) if f.what == "settings"]
    assert findings[0].state == "wrong"
    assert said in findings[0].fact


def test_the_bus_of_a_home_is_fixed_at_its_first_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = open_home(tmp_path / "home")
    assert home.fix_bus("kafka") == "kafka"
    home.save()
    again = open_home(tmp_path / "home")
    assert again.fix_bus(None) == "kafka"
    with pytest.raises(RejectedError, match="kafka since its first start") as caught:
        again.fix_bus("postgres")
    assert caught.value.code == "local.bus_fixed"
    monkeypatch.setenv("ONEDOOR_BUS", "postgres")
    with pytest.raises(RejectedError, match="kafka since its first start"):
        again.fix_bus(None)
    assert load_settings(tmp_path / "home").bus == "postgres", "the environment speaks first; that is why it is refused"


def test_the_state_is_only_for_its_owner_and_secrets_are_kept(tmp_path: Path) -> None:
    home = open_home(tmp_path / "home")
    password = home.secret("airflow_admin_password")
    home.save()
    assert (home.path / "state.json").stat().st_mode & 0o777 == 0o600
    assert find_home(home.path).secret("airflow_admin_password") == password
    assert password not in repr(home)


def test_a_command_without_a_home_says_how_to_make_one(tmp_path: Path) -> None:
    done = onedoor(tmp_path / "none", "status")
    assert done.returncode == 1
    assert "there is no OneDoor here yet" in done.stderr
    assert "onedoor up" in done.stderr
    assert not (tmp_path / "none").exists()


def test_only_one_supervisor_holds_a_home(tmp_path: Path) -> None:
    home = open_home(tmp_path / "home")
    with home.lock():
        assert home.supervisor_pid() == os.getpid()
        with pytest.raises(RejectedError, match="runs already"), Home(home.path).lock():
            pass
    assert home.supervisor_pid() is None


# Databases ------------------------------------------------------------------------------------------------------------


def test_roles_and_databases_are_made_once_and_none_is_a_superuser(folder: Path) -> None:
    cluster = cluster_at(folder)
    postgres.start(cluster, settings={"fsync": "off"})
    passwords = {role: postgres.new_password() for role in databases.ROLES}
    databases.ensure(cluster.url(), passwords)
    databases.ensure(cluster.url(), passwords)
    hub = cluster.url("onedoor", user="onedoor", password=passwords["onedoor"])
    assert databases.trigrams_work(hub)
    with psycopg.connect(hub) as connection:
        rows = connection.execute(
            "SELECT rolname, rolsuper FROM pg_roles WHERE NOT rolname LIKE 'pg\\_%' ORDER BY 1"
        ).fetchall()
    assert rows == [
        ("airflow", False),
        ("onedoor", False),
        ("onedoor_api", False),
        ("onedoor_registry", False),
        ("postgres", True),
    ]
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        psycopg.connect(cluster.url("airflow", user="onedoor_api", password=passwords["onedoor_api"]))
    databases.set_password(cluster.url(), "onedoor", "another-one")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(hub)
    psycopg.connect(cluster.url("onedoor", user="onedoor", password="another-one")).close()


# The supervisor -------------------------------------------------------------------------------------------------------


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    for name in ("run", "logs"):
        (tmp_path / name).mkdir()
    made = Supervisor(tmp_path / "run", tmp_path / "logs")
    yield made
    made.stop()


def python(code: str) -> Callable[[], list[str]]:
    return lambda: [sys.executable, "-c", code]


def test_a_child_that_ends_is_started_again(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.local.supervisor.BACKOFF_S", (0.05,))
    supervisor.start(Child("sleeper", python("import time; time.sleep(60)")))
    supervisor.watch()
    file = supervisor.run_dir / "sleeper.pid"
    first = read_pid(file)
    assert first is not None
    os.kill(first, signal.SIGKILL)
    eventually(lambda: read_pid(file) not in (None, first))


def test_stopping_ends_what_a_child_started_too(supervisor: Supervisor, tmp_path: Path) -> None:
    grand = tmp_path / "grandchild"
    code = (
        "import subprocess, sys, time, pathlib, signal\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
        "deaf = 'import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)'\n"
        "p = subprocess.Popen([sys.executable, '-c', deaf])\n"
        f"pathlib.Path({str(grand)!r}).write_text(str(p.pid))\n"
        "time.sleep(60)\n"
    )
    supervisor.start(Child("parent", python(code), ready=lambda: grand.exists() and grand.read_text() != ""))
    pid = int(grand.read_text())
    assert psutil.pid_exists(pid)
    supervisor.stop()
    eventually(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    assert not (supervisor.run_dir / "parent.pid").exists()


LEAVING = (
    "import subprocess, sys, pathlib\n"
    "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
    "pathlib.Path({!r}).write_text(str(p.pid))\n"
)
"""Ends at once and leaves a child, whose number it writes."""


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_what_a_dead_leader_left_of_its_group_is_ended(tmp_path: Path) -> None:
    leader = subprocess.Popen(python(LEAVING.format(str(tmp_path / "left")))(), start_new_session=True)
    started = psutil.Process(leader.pid).create_time()
    leader.wait(30)
    left = int((tmp_path / "left").read_text())
    assert not gone(left)
    end(leader.pid, started=started, timeout_s=5)
    assert gone(left)


def test_stopping_ends_the_group_of_a_child_that_died(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start(Child("leader", python(LEAVING.format(str(tmp_path / "left"))), patience_s=5))
    one = supervisor._running[0]
    one.process.wait(30)
    left = int((tmp_path / "left").read_text())
    supervisor.stop()
    assert gone(left)


def test_the_group_that_a_killed_supervisors_dead_child_left_is_ended_first(supervisor: Supervisor, tmp_path: Path) -> None:
    child = Child("leader", python(LEAVING.format(str(tmp_path / "left"))), patience_s=5)
    supervisor.start(child)
    supervisor._running.pop().process.wait(30)
    left = int((tmp_path / "left").read_text())
    other = Supervisor(supervisor.run_dir, supervisor.logs_dir)
    other.start(child)
    assert gone(left)
    other.stop()


def test_a_process_that_has_got_a_dead_leaders_number_is_left_alone() -> None:
    stranger = subprocess.Popen(python("import time; time.sleep(60)")(), start_new_session=True)
    began = psutil.Process(stranger.pid).create_time()
    end(stranger.pid, started=began - 3600, timeout_s=0.1)
    assert group_of(stranger.pid, began - 3600) == []
    assert stranger.poll() is None
    end(stranger.pid, started=began, timeout_s=5)
    assert stranger.wait(5) is not None


def test_a_child_that_ends_at_its_start_tells_the_last_line_of_its_log(supervisor: Supervisor) -> None:
    with pytest.raises(RejectedError, match="no such port") as caught:
        supervisor.start(Child("broken", python("import sys; sys.exit('no such port')"), ready=lambda: False))
    assert caught.value.where == str(supervisor.log("broken"))


def test_a_child_that_is_not_ready_in_time_is_told(supervisor: Supervisor) -> None:
    child = Child("slow", python("import time; time.sleep(60)"), ready=lambda: False, timeout_s=0.2)
    with pytest.raises(OneDoorError, match="slow is not ready") as caught:
        supervisor.start(child)
    assert caught.value.kind == "transient"


def test_what_a_killed_supervisor_left_is_ended_first(supervisor: Supervisor) -> None:
    child = Child("left", python("import time; time.sleep(60)"))
    supervisor.start(child)
    left = read_pid(supervisor.run_dir / "left.pid")
    other = Supervisor(supervisor.run_dir, supervisor.logs_dir)
    other.start(child)
    assert left is not None
    assert not psutil.pid_exists(left) or psutil.Process(left).status() == psutil.STATUS_ZOMBIE
    assert read_pid(supervisor.run_dir / "left.pid") not in (None, left)
    other.stop()


def test_children_stop_in_reverse_order(supervisor: Supervisor, tmp_path: Path) -> None:
    order = tmp_path / "order"

    def child(name: str) -> Child:
        code = (
            "import signal, sys, time, pathlib\n"
            f"def stop(*_):\n    open({str(order)!r}, 'a').write('{name} ')\n    sys.exit(0)\n"
            f"signal.signal(15, stop)\npathlib.Path({str(tmp_path / name)!r}).touch()\ntime.sleep(60)\n"
        )
        return Child(name, python(code), ready=(tmp_path / name).exists)

    supervisor.start(child("first"))
    supervisor.start(child("second"))
    supervisor.stop()
    assert order.read_text().split() == ["second", "first"]


# Kafka ----------------------------------------------------------------------------------------------------------------


def test_a_broker_of_our_own_answers_and_stops(folder: Path) -> None:
    require("kafka")
    servers = kafka.start(folder / "kafka", memory="256m")
    try:
        assert kafka.answers(servers)
        assert kafka.start(folder / "kafka", memory="256m") == servers
    finally:
        kafka.stop(folder / "kafka")
    assert not kafka.answers(servers, timeout_s=0.5)
    assert kafka.server_pid(folder / "kafka") is None


def test_kafka_without_java_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "Java 17" in str(kafka.lacking())
    monkeypatch.setattr(kafka, "jars", lambda: None)
    with pytest.raises(RejectedError, match="needs Java 17") as caught:
        kafka.fetch()
    assert "ONEDOOR_KAFKA" in str(caught.value.remedy)


# The whole ------------------------------------------------------------------------------------------------------------


def up(home: Path, *argv: str) -> dict[str, Any]:
    done = onedoor(home, "up", "--detach", "--no-demo", "--json", *argv)
    assert done.returncode == 0, done.stderr
    value: dict[str, Any] = json.loads(done.stdout)
    return value


@pytest.mark.slow
def test_two_homes_run_side_by_side(folder: Path) -> None:
    homes = [folder / "one", folder / "two"]
    try:
        for home in homes:
            up(home, "--no-airflow")
        urls = [onedoor(home, "db", "url", "--owner").stdout.strip() for home in homes]
        assert urls[0] != urls[1]
        for number, url in enumerate(urls):
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("CREATE TABLE public.mine AS SELECT %s::int AS n", (number,))
        for number, url in enumerate(urls):
            with psycopg.connect(url) as connection:
                assert connection.execute("SELECT n FROM public.mine").fetchone() == (number,)
        for home in homes:
            state = json.loads(onedoor(home, "status", "--json").stdout)
            assert state["ready"]
            assert {p["name"] for p in state["processes"] if p["running"]} >= {"postgres", "worker"}
            wrong = [f for f in doctor.examine(home) if f.state == "wrong"]
            assert wrong == []
        again = onedoor(homes[0], "up", "--no-airflow")
        assert again.returncode == 1
        assert "runs already" in again.stderr
        assert onedoor(homes[0], "credentials", "reset", "--databases").returncode == 1
    finally:
        for home in homes:
            onedoor(home, "down")
    for home in homes:
        assert processes_of(home) == []
    value = json.loads(onedoor(homes[0], "credentials", "reset", "--databases", "--json").stdout)
    assert list(value) == ["Airflow, user admin"]


@pytest.mark.slow
def test_ctrl_c_stops_all_of_it_and_the_next_start_has_the_same_data(folder: Path) -> None:
    home = folder / "home"
    command = [sys.executable, "-m", "console.cli.main", "up", "--no-airflow", "--no-demo"]
    environment = os.environ | {"ONEDOOR_HOME": str(home)}
    for start in range(2):
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        eventually(lambda process=process: (home / "run" / "ready.json").exists() or process.poll() is not None, within_s=90)
        with psycopg.connect(find_home(home).role_url("onedoor"), autocommit=True) as connection:
            if start == 0:
                connection.execute("CREATE TABLE public.kept AS SELECT 42 AS n")
            assert connection.execute("SELECT n FROM public.kept").fetchone() == (42,)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=90)
        assert process.returncode == 0, err
        assert "Traceback" not in err
        assert processes_of(home) == []
        assert not (home / "run" / "ready.json").exists()
        assert f"OneDoor runs on {home}" in out


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_airflow_runs_on_the_embedded_postgresql_and_leaves_nothing_behind(folder: Path) -> None:
    require("airflow")
    home = folder / "home"
    try:
        value = up(home)
        password = value["passwords"]["Airflow, user admin"]
        from console.local.airflow import AirflowApi, api

        made = find_home(home)
        client = api(made)
        assert client.password == password
        assert "dags" in client.call("GET", "/dags")
        with pytest.raises(RejectedError, match="401"):
            AirflowApi(client.port, "wrong").call("GET", "/dags")
        credentials_now = json.loads(onedoor(home, "credentials", "reset", "--json").stdout)["Airflow, user admin"]
        assert credentials_now != password
        assert "dags" in AirflowApi(client.port, credentials_now).call("GET", "/dags")
        status = installation.status(home)
        assert {p["name"]: p["answers"] for p in status["processes"] if p["name"].startswith("airflow")} == {
            "airflow-api": True,
            "airflow-scheduler": True,
            "airflow-dag-processor": True,
            "airflow-triggerer": True,
        }
        logs = "".join(f.read_text("utf-8", "replace") for f in (home / "logs").glob("*.log"))
        assert password not in logs
        assert made.secret("airflow_password") not in logs
    finally:
        onedoor(home, "down")
    assert processes_of(home) == []


def test_new_passwords_need_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEDOOR_HOME", str(tmp_path / "none"))
    with pytest.raises(RejectedError, match="no OneDoor here yet"):
        credentials.reset()
