"""Finding connectors, and what a wrong address or option is told. No driver is needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from connectors.registry import open_source, spec, spec_of_url, specs
from schemas.errors import RejectedError
from schemas.secret import Secret


def test_connectors_are_found_by_their_folders() -> None:
    assert [s.name for s in specs()] == ["memory", "postgres"]
    assert spec("postgres").capabilities.keyset


def test_an_unknown_connector_is_refused_with_near_names() -> None:
    with pytest.raises(RejectedError, match="postgres"):
        spec("postgre")


@pytest.mark.parametrize("url", ["postgresql://h/d", "postgres://h/d", "PostgreSQL://h/d"])
def test_a_source_is_chosen_by_the_scheme_of_its_url(url: str) -> None:
    assert spec_of_url(url).name == "postgres"
    assert spec_of_url(Secret(url)).name == "postgres"


@pytest.mark.parametrize(
    ("url", "code"),
    [("host=h password=pass-w0rd", "source.url"), ("", "source.url"), ("oracle://u:pass-w0rd@h/d", "source.scheme")],
)
def test_an_address_that_nobody_answers_to_is_refused_and_not_repeated(url: str, code: str) -> None:
    with pytest.raises(RejectedError) as caught:
        open_source(url)
    assert caught.value.code == code
    assert "pass-w0rd" not in repr(caught.value) + str(caught.value)


def test_options_that_a_connector_does_not_have_or_cannot_use_are_refused() -> None:
    with pytest.raises(RejectedError, match="lock_timeout_s"):
        open_source("postgresql://h/d", lock_timeout=1)
    with pytest.raises(RejectedError, match="no number"):
        open_source("postgresql://h/d", lock_timeout_s=-1)


def test_finding_connectors_loads_no_driver() -> None:
    script = "import sys; from connectors.registry import specs; specs(); print('psycopg' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
