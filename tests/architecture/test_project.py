"""The project's own files keep what they promise."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("schemas", "connectors", "quality", "catalog_registry", "exchange", "console")
KNOWN_AS = {
    "adbc_driver_manager": "adbc-driver-manager",
    "adbc_driver_postgresql": "adbc-driver-postgresql",
    "airflow": "apache-airflow",
    "argon2": "argon2-cffi",
    "fastapi_offline": "fastapi-offline",
    "great_expectations": "great-expectations",
    "kafka": "kafka-python",
    "python_calamine": "python-calamine",
    "prometheus_client": "prometheus-client",
    "pydantic_settings": "pydantic-settings",
    "ruamel": "ruamel.yaml",
    "starlette": "fastapi",
    "numpy": "pandas",
    "stdnum": "python-stdnum",
    "yaml": "pyyaml",
}


def test_requirements_have_hashes_and_name_no_index() -> None:
    text = (ROOT / "requirements.txt").read_text("utf-8")
    assert not re.search(r"^\s*(-|--)(i|f|index|extra|find|trusted)", text, re.MULTILINE)
    assert "://" not in text
    pins = re.findall(r"^[A-Za-z0-9].*?(?=^[A-Za-z0-9]|\Z)", text, re.MULTILINE | re.DOTALL)
    assert len(pins) > 100
    assert [pin.split()[0] for pin in pins if "--hash=sha256:" not in pin or "==" not in pin] == []


def test_requirements_pin_everything_that_the_project_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {re.split(r"[\[=<>;, ]", one)[0].lower().replace(".", "-") for one in named}
    text = (ROOT / "requirements.txt").read_text("utf-8")
    pinned = {line.split("==")[0].split("[")[0].lower() for line in text.splitlines() if re.match(r"^[A-Za-z0-9]", line)}
    assert names - pinned == set()


def test_every_library_that_is_imported_is_named() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = {re.split(r"[\[=<>;, ]", one)[0].lower() for one in project["dependencies"]}
    missing = set()
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            for module in _imported(file):
                known = module in sys.stdlib_module_names or module in PACKAGES
                if not known and KNOWN_AS.get(module, module) not in named:
                    missing.add(f"{file.relative_to(ROOT)}: {module}")
    assert missing == set()


def _imported(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
    return found


def test_no_text_names_a_place_of_one_machine() -> None:
    places = re.compile(r"/(?:work|root|home)/[a-z]|[a-z0-9.-]+\.internal\b")
    found = []
    for folder in (*PACKAGES, "dags", "docker", ".ci"):
        for file in (ROOT / folder).rglob("*"):
            if (
                file.suffix in {".py", ".sql", ".md", ".yaml", ".toml", ".sh", ".xml", ""}
                and file.is_file()
                and "lib" not in file.parts
            ):
                found += [f"{file.relative_to(ROOT)}: {m.group()}" for m in places.finditer(file.read_text("utf-8", "replace"))]
    assert found == []


@pytest.mark.parametrize("name", ["Makefile", ".ci/run", "LICENSE", "README.md", ".pre-commit-config.yaml"])
def test_the_files_that_a_newcomer_looks_for_are_there(name: str) -> None:
    assert (ROOT / name).stat().st_size > 0


def test_the_makefile_says_what_each_target_does() -> None:
    text = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^\.PHONY: (\w+)", text, re.MULTILINE))
    described = set(re.findall(r"^(\w+):.*## ", text, re.MULTILINE))
    assert targets >= {"install", "run", "test", "lint", "types", "arch", "promises", "bench", "docs", "clean", "help"}
    assert targets - described == set()


def test_what_ci_runs_requires_the_services() -> None:
    text = (ROOT / ".ci" / "run").read_text("utf-8")
    assert "set -euo pipefail" in text
    assert "ONEDOOR_REQUIRE=kafka,airflow" in text
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
