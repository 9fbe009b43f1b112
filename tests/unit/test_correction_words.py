"""What people write into a correction request: sealed for that request; a reason that names somebody is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from catalog_registry.correction_words import CorrectionState
from exchange.corrections.words import Words, check_reason, open_words, seal_words
from exchange.trust.keyfiles import create_keys, read_keys
from exchange.trust.keyring import KeyRing, MemoryDataKeys
from schemas.errors import DefectError, RejectedError
from tests.office import number
from tests.unit.test_correction_life import a_correction

WORDS = Words(f"{number(1)} 的地址有误", "见原件", {"citizen_id": number(1)})


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyRing:
    folder = tmp_path_factory.mktemp("home") / "keys"
    create_keys(folder)
    return KeyRing(read_keys(folder), MemoryDataKeys())


def test_words_open_for_the_request_they_were_sealed_for_and_for_no_other(keys: KeyRing) -> None:
    sealed = seal_words(WORDS, "k1", "licences", keys)
    assert number(1).encode() not in sealed
    assert sealed != seal_words(WORDS, "k1", "licences", keys)
    mine = replace(a_correction(CorrectionState.SUBMITTED), sealed=sealed)
    assert open_words(mine, keys) == WORDS
    altered = sealed[:-1] + bytes([sealed[-1] ^ 1])
    others = (
        replace(mine, id="k2"),
        replace(mine, resource="permits"),
        replace(mine, sealed=altered),
        replace(mine, sealed=b"\x02" + sealed[1:]),
        replace(mine, sealed=b""),
    )
    for other in others:
        with pytest.raises(DefectError) as defect:
            open_words(other, keys)
        assert defect.value.code == "seal.broken"


def test_words_do_not_print() -> None:
    assert number(1) not in f"{WORDS!r} {WORDS}"


@pytest.mark.parametrize(
    "why", [number(1), f"身份证{number(1)}无误", number(1).lower(), " ".join(number(1)), number(2)[:6] + number(2)[8:17]]
)
def test_a_reason_with_a_citizen_id_is_refused(why: str) -> None:
    with pytest.raises(RejectedError) as refusal:
        check_reason(why)
    assert refusal.value.code == "correction.personal"
    assert why not in str(refusal.value)


def test_another_reason_is_taken() -> None:
    assert check_reason("与原件一致，见 2026-117") == "与原件一致，见 2026-117"
