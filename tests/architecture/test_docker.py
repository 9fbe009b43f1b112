"""The container files, which no engine has run, are at least of the right form and refer to things that exist."""

from __future__ import annotations

import json
import re
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from console.local import kafka

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    made: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text("utf-8"))
    return made


def test_the_compose_file_has_the_form_of_the_specification(compose: dict[str, Any]) -> None:
    schema = json.loads(Path(__file__).with_name("compose.schema.json").read_text("utf-8"))
    faults = [
        f"{'/'.join(map(str, e.path))}: {e.message}" for e in jsonschema.Draft202012Validator(schema).iter_errors(compose)
    ]
    assert faults == []


def test_every_service_and_volume_that_is_named_exists(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            assert other in services, f"{name} depends on {other}"
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[other], f"{name} waits for the health of {other}"
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in compose["volumes"] or (DOCKER / source).exists(), f"{name} mounts {source}"


def test_no_password_stands_in_the_compose_file(compose: dict[str, Any]) -> None:
    text = (DOCKER / "compose.yaml").read_text("utf-8")
    for line in text.splitlines():
        if re.search(r"(PASSWORD|SECRET)[A-Z_]*:|://\w+:", line) and not line.lstrip().startswith("#"):
            assert re.search(r"\$\{[A-Z_]+:\?", line), f"not from the environment: {line.strip()}"


def test_services_are_reached_only_from_this_machine(compose: dict[str, Any]) -> None:
    published = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_what_the_images_copy_is_in_the_project() -> None:
    for file, context in ((DOCKER / "Dockerfile", ROOT), (DOCKER / "kafka" / "Dockerfile", DOCKER / "kafka")):
        for line in file.read_text("utf-8").splitlines():
            if line.startswith("COPY") and "--from" not in line:
                for source in line.split()[1:-1]:
                    assert (context / source).exists(), f"{file.name} copies {source}"


def test_files_that_no_engine_has_run_say_so() -> None:
    for file in (DOCKER / "compose.yaml", DOCKER / "Dockerfile", DOCKER / "kafka" / "Dockerfile"):
        assert "Not run yet" in file.read_text("utf-8")


def test_there_is_no_python_file_in_docker() -> None:
    """The folder's name is that of the Docker SDK, which it would hide."""
    assert list(DOCKER.rglob("*.py")) == []


def test_the_version_of_kafka_is_said_once() -> None:
    space = "{http://maven.apache.org/POM/4.0.0}"
    version = ET.parse(kafka.POM).getroot().findtext(f"{space}properties/{space}kafka.version")
    assert version == kafka.VERSION
    assert f"onedoor-kafka:{version}" in (DOCKER / "compose.yaml").read_text("utf-8")


def test_the_image_is_of_this_version(compose: dict[str, Any]) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert compose["services"]["api"]["image"] == f"onedoor:{version}"
