"""Keys: made once, kept apart from the database, and never replaced in silence."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.trust.keyfiles import SIGNING, SYMMETRIC, create_keys, key_path, read_keys
from exchange.trust.keyring import KeyRing, MemoryDataKeys
from exchange.trust.normalise import normalise, normalise_column
from exchange.trust.unnamed import unnamed
from schemas.errors import DefectError

NOW = datetime(2026, 11, 2, 1, tzinfo=UTC)


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    create_keys(tmp_path / "keys")
    return KeyRing(read_keys(tmp_path / "keys"), MemoryDataKeys())


def test_keys_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "keys"
    create_keys(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    create_keys(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_several_processes_that_make_keys_at_once_end_with_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: create_keys(tmp_path / "keys"), range(8)))
    read_keys(tmp_path / "keys")
    assert not [path for path in (tmp_path / "keys").iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("name", [*SYMMETRIC, *SIGNING])
def test_a_lost_key_is_named_and_not_made_again(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "keys"
    create_keys(folder)
    key_path(folder, name).unlink()
    for again in (lambda: create_keys(folder), lambda: read_keys(folder)):
        with pytest.raises(DefectError) as caught:
            again()
        assert caught.value.code == "keys.missing"
        assert caught.value.where == str(key_path(folder, name))
        assert caught.value.remedy
    assert not key_path(folder, name).exists()


@pytest.mark.parametrize(
    ("content", "code"), [(b"ab" * 32, "keys.altered"), (b"zz", "keys.unreadable"), (b"", "keys.unreadable")]
)
def test_another_or_a_damaged_key_is_named_without_its_content(tmp_path: Path, content: bytes, code: str) -> None:
    create_keys(tmp_path / "keys")
    path = key_path(tmp_path / "keys", "lookup")
    path.write_bytes(content)
    with pytest.raises(DefectError) as caught:
        read_keys(tmp_path / "keys")
    assert (caught.value.code, caught.value.where) == (code, str(path))
    assert not content or content.decode() not in str(caught.value)


def test_no_keys_at_all_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DefectError, match="onedoor up") as caught:
        read_keys(tmp_path)
    assert caught.value.code == "keys.none"


def test_the_usual_forms_of_a_number_have_one_hash(ring: KeyRing) -> None:
    one = ring.lookup_hash("licences", "holder_number", "11010519491231002X")
    for form in (
        "11010519491231002x",
        " 110105 19491231 002X ",
        "110105194912310０２X",
        "110105491231002",
        "　110105491231002",
    ):
        assert ring.lookup_hash("licences", "holder_number", form) == one
        assert ring.pseudonym(form) == ring.pseudonym("11010519491231002X")
    assert len(one) == 16
    assert ring.lookup_hash("cases", "holder_number", "11010519491231002X") != one
    assert ring.lookup_hash("licences", "agent_number", "11010519491231002X") != one


@pytest.mark.parametrize(
    "written",
    [
        "440221198001010018",
        "clerk 440221198001010018",
        "7 440221198001010018 1",
        "440221198001010018-1",
        "经办４４０２２１１９８００１０１００１８",
        "440221 19800101 0018 x",
        "11010519491231002x.",
        "clerk 440221800101001",
        "7 440221800101001 1",
        "no. 440221 800101 001",
    ],
)
def test_a_text_in_which_a_citizen_id_stands_becomes_a_pseudonym(ring: KeyRing, written: str) -> None:
    assert unnamed(written, ring) == ring.pseudonym(normalise(written))


@pytest.mark.parametrize(
    "written", ["job-7", "440221198001010011", "CASE-20261125000123", "clerk 440221801301001", "11440221MB2C12345X"]
)
def test_a_text_without_a_citizen_id_stays_as_it_is(ring: KeyRing, written: str) -> None:
    assert unnamed(written, ring) == written


def test_fifteen_digits_without_a_birth_date_stay_fifteen() -> None:
    assert normalise("440205991399001") == "440205991399001"
    assert normalise("440205990230001") == "440205990230001"


@settings(deadline=None)  # the first call warms Arrow up
@given(
    st.lists(
        st.none() | st.text(max_size=20) | st.from_regex(r"\A[0-9]{15}\Z") | st.from_regex(r"\A[0-9]{17}[xX0-9]\Z"), max_size=20
    )
)
def test_the_column_form_agrees_with_the_value_form(texts: list[str | None]) -> None:
    column = pa.array(texts, pa.string())
    assert normalise_column(column).to_pylist() == [None if text is None else normalise(text) for text in texts]


def test_a_column_of_hashes_agrees_with_single_hashes_and_keeps_nulls(ring: KeyRing) -> None:
    texts = ["44020519900101001x", None, "王小明", "", "440205900101001"]
    hashes = ring.lookup_column("licences", "holder_number", pa.array(texts, pa.string())).to_pylist()
    assert hashes == [None if t is None else ring.lookup_hash("licences", "holder_number", t) for t in texts]
    dates = ring.lookup_column("licences", "born", pa.array([date(1990, 1, 1)])).to_pylist()
    assert dates == [ring.lookup_hash("licences", "born", "1990-01-01")]


def test_each_resource_and_month_has_a_data_key_of_its_own(tmp_path: Path) -> None:
    create_keys(tmp_path / "keys")
    store = MemoryDataKeys()
    ring, other = (KeyRing(read_keys(tmp_path / "keys"), store) for _ in range(2))
    key = ring.data_key("licences", NOW)
    assert key.id == "licences/2026-11/1"
    assert other.data_key("licences", NOW).secret == key.secret == other.data_key_by_id(key.id).secret
    assert ring.data_key("cases", NOW).secret != key.secret
    assert ring.data_key("licences", datetime(2026, 12, 1, tzinfo=UTC)).secret != key.secret


def test_key_files_of_another_installation_are_refused_before_anything_is_sealed(tmp_path: Path) -> None:
    store = MemoryDataKeys()
    for name in ("one", "two"):
        create_keys(tmp_path / name)
    key = KeyRing(read_keys(tmp_path / "one"), store).data_key("licences", NOW)
    foreign = KeyRing(read_keys(tmp_path / "two"), store)
    attempts: list[Callable[[], object]] = [lambda: foreign.data_key("cases", NOW), lambda: foreign.data_key_by_id(key.id)]
    for attempt in attempts:
        with pytest.raises(DefectError) as caught:
            attempt()
        assert caught.value.code == "keys.foreign"


def test_nothing_of_a_key_prints(ring: KeyRing) -> None:
    key = ring.data_key("licences", NOW)
    secret = key.secret.reveal().hex()
    shown = f"{ring!r} {key!r} {ring.row_hash_key('licences')!r} {ring._files!r}"
    assert secret not in shown
    assert repr(key.secret.reveal()) not in shown
