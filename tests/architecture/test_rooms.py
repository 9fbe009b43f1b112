"""The rooms are where the design says, and the page of promises cannot promise more than its tests do."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.architecture import promises
from tests.architecture.promises import Promise

ROOT = Path(__file__).resolve().parents[2]
ROOMS = (
    "schemas",
    "schemas/contracts",
    "schemas/odcs",
    "connectors",
    "connectors/impl",
    "connectors/impl/memory",
    "connectors/impl/postgres",
    "quality",
    "quality/engines",
    "catalog_registry",
    "catalog_registry/store",
    "exchange",
    "exchange/bus",
    "exchange/collect",
    "exchange/store",
    "exchange/trust",
    "exchange/worker",
    "exchange/licences",
    "exchange/query",
    "exchange/api",
    "console",
    "console/cli",
    "console/demo",
    "console/local",
    "dags",
    "docker",
    "docs",
    "docs/decisions",
    "tests/unit",
    "tests/conformance",
    "tests/conformance/profiles",
    "tests/golden",
    "tests/integration",
    "tests/acceptance",
    "tests/migration",
    "tests/architecture",
)
PACKAGES = ("schemas", "connectors", "quality", "catalog_registry", "exchange", "console")
MOST_LINES = 700


@pytest.mark.parametrize("room", ROOMS)
def test_each_room_is_where_the_design_says(room: str) -> None:
    assert any((ROOT / room).iterdir())


def test_no_folder_of_docker_holds_python() -> None:
    assert [str(p) for p in (ROOT / "docker").rglob("*.py")] == []


def test_each_connector_is_one_folder_of_a_spec_and_a_client_with_one_profile() -> None:
    for folder in sorted((ROOT / "connectors" / "impl").iterdir()):
        if folder.is_dir() and folder.name != "__pycache__":
            assert {"spec.py", "client.py"} <= {p.name for p in folder.iterdir()}, folder.name
            assert (ROOT / "tests" / "conformance" / "profiles" / f"source_{folder.name}.py").exists(), folder.name


def _modules() -> list[Path]:
    return [p for package in (*PACKAGES, "dags") for p in sorted((ROOT / package).rglob("*.py"))]


def test_each_module_says_what_it_is_for() -> None:
    silent = [
        p.relative_to(ROOT).as_posix()
        for p in _modules()
        if p.name != "__init__.py" and not ast.get_docstring(ast.parse(p.read_text("utf-8")))
    ]
    assert silent == []


def test_no_module_has_become_a_drawer() -> None:
    long = {p.relative_to(ROOT).as_posix(): n for p in _modules() if (n := len(p.read_text("utf-8").splitlines())) > MOST_LINES}
    assert long == {}
    named = {"utils", "util", "helpers", "helper", "common", "base", "misc", "manager"}
    assert [p.relative_to(ROOT).as_posix() for p in _modules() if p.stem in named] == []


# Promises ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Path:
    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "test_good.py").write_text("def test_it_holds(): ...\n\nclass TestMany:\n    def test_one(self): ...\n", "utf-8")
    (tests / "test_marked.py").write_text(
        "import pytest\n\n@pytest.mark.skip\ndef test_skipped(): ...\n\n"
        "@pytest.mark.xfail(reason='later')\ndef test_expected(): ...\n\n"
        "@pytest.mark.skipif(True, reason='x')\ndef test_if(): ...\n",
        "utf-8",
    )
    (tests / "test_module.py").write_text("import pytest\n\npytestmark = pytest.mark.skip\n\ndef test_it(): ...\n", "utf-8")
    return tmp_path


def _problem(project: Path, *tests: str, gap: str = "") -> list[str]:
    return list(promises.problems([Promise("p", 3, "it holds", tests, gap)], project))


def test_a_promise_with_its_test_is_taken(project: Path) -> None:
    assert _problem(project, "tests/test_good.py::test_it_holds", "tests/test_good.py::TestMany::test_one") == []


@pytest.mark.parametrize(
    "test",
    [
        "tests/test_gone.py::test_it",
        "tests/test_good.py::test_gone",
        "tests/test_good.py",
        "tests/test_good.py::TestMany::test_two",
    ],
)
def test_a_promise_whose_test_is_missing_is_refused(project: Path, test: str) -> None:
    assert _problem(project, test) == [f"p: {test} is not there"]


@pytest.mark.parametrize("name", ["test_marked.py::test_skipped", "test_marked.py::test_expected", "test_marked.py::test_if"])
def test_a_promise_whose_test_does_not_count_is_refused(project: Path, name: str) -> None:
    assert _problem(project, f"tests/{name}") == [f"p: tests/{name} is marked skipped or expected to fail"]


def test_a_promise_whose_module_does_not_count_is_refused(project: Path) -> None:
    assert "is in a module marked skipped" in _problem(project, "tests/test_module.py::test_it")[0]


def test_a_promise_with_neither_a_test_nor_a_gap_is_refused(project: Path) -> None:
    assert _problem(project) == ["p: names no test, and no gap"]
    assert _problem(project, gap="not built yet") == []


def test_a_promise_that_stands_twice_is_refused(project: Path) -> None:
    twice = [Promise("p", 3, "it holds", gap="later"), Promise("p", 3, "it holds", gap="later")]
    assert list(promises.problems(twice, project)) == ["p: the id stands twice"]


def test_what_is_proved_in_part_is_not_called_proved() -> None:
    states = [Promise("a", 3, "", ("t",)).state, Promise("a", 3, "", ("t",), "g").state, Promise("a", 3, "", (), "g").state]
    assert states == ["proved by a test", "in part", "not yet"]


def test_every_promise_has_its_tests() -> None:
    assert list(promises.problems(promises.read())) == []


def test_the_page_of_promises_is_current() -> None:
    assert promises.PAGE.read_text("utf-8") == promises.page(promises.read()), "run make promises and commit the page"
