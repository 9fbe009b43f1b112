"""What the registry refuses, without a database."""

from __future__ import annotations

import runpy
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from catalog_registry.credential import absorb, hashed, matches, new_secret
from catalog_registry.rules import check_code, check_fields, check_roles, check_terms, content_hash, newer
from catalog_registry.secret_place import drop_secret, keep_secret, read_secret, secret_reference, split_url, url_with_password
from catalog_registry.snapshot import read_dags_json, write_dags_json
from catalog_registry.store.tables import ADMINISTRATORS
from schemas.errors import DefectError, RejectedError
from schemas.odcs import read_contract
from schemas.rowfilter import parse
from schemas.secret import Secret
from tests.contract_text import contract_text

NOW = datetime(2026, 11, 2, 1, tzinfo=UTC)
PLANTED = "p@ss/w:ord #1%"


def terms(**changes: Any) -> dict[str, Any]:
    return {
        "legal_basis": "国令809",
        "purposes": ("accept_case",),
        "items": (),
        "from_at": NOW,
        "to_at": NOW + timedelta(days=1),
        "quota": None,
    } | changes


# URLs and passwords


@pytest.mark.parametrize(
    ("url", "shown", "password"),
    [
        (
            "postgresql://reader:s%40cret@db.local:5432/shop?sslmode=require",
            "postgresql://reader@db.local:5432/shop?sslmode=require",
            "s@cret",
        ),
        ("postgresql://reader@db.local/shop", "postgresql://reader@db.local/shop", None),
        ("memory://demo", "memory://demo", None),
        ("mysql+pymysql://u:@h/d", "mysql+pymysql://u@h/d", ""),
        ("postgresql://u:pw@[::1]:5432/d", "postgresql://u@[::1]:5432/d", "pw"),
    ],
)
def test_a_url_is_split_from_its_password(url: str, shown: str, password: str | None) -> None:
    kept, secret = split_url(Secret(url))
    assert kept == shown
    assert (secret.reveal() if secret is not None else None) == password


def test_url_and_password_joined_again_are_read_back_the_same() -> None:
    joined = url_with_password("postgresql://reader@[::1]:5432/shop?sslmode=require", Secret(PLANTED))
    assert PLANTED not in joined.reveal()
    kept, password = split_url(joined)
    assert (kept, password) == ("postgresql://reader@[::1]:5432/shop?sslmode=require", Secret(PLANTED))


@pytest.mark.parametrize(
    "url",
    [
        "host=db.local password=planted",
        "postgresql://u:pla/nted@h/d",
        "postgresql://u:12/planted@h/d",
        "postgresql://u:planted#x@h/d",
        "postgresql://u:planted?x@h/d",
        "postgresql://u:planted@x@h/d",
        "postgresql://u:planted x@h/d",
        "postgresql://u:planted@h:port/d",
        "",
    ],
)
def test_a_url_that_could_hide_a_part_of_its_password_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(RejectedError) as refusal:
        split_url(Secret(url))
    assert refusal.value.code == "source.url"
    assert "pla" not in str(refusal.value)


@pytest.mark.parametrize("name", ["password", "sslpassword", "access_token", "api_key", "client_secret", "Pwd"])
def test_a_secret_in_the_query_of_a_url_is_refused(name: str) -> None:
    with pytest.raises(RejectedError) as refusal:
        split_url(Secret(f"https://h/d?{name}=planted"))
    assert refusal.value.code == "source.secret_in_query"
    assert "planted" not in str(refusal.value)


def test_a_kept_password_is_read_back_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keep_secret(keys, "shop", Secret("first"))
    keep_secret(keys, "shop", Secret(PLANTED))
    file = keys / "sources" / "shop"
    assert read_secret(secret_reference("shop"), keys, source="shop") == Secret(PLANTED)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [p.name for p in file.parent.iterdir()] == ["shop"]
    drop_secret(secret_reference("shop"), keys)
    assert not file.exists()


def test_a_password_of_the_environment_is_read_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RejectedError, match="SHOP_PASSWORD is not set"):
        read_secret("env:SHOP_PASSWORD", None, source="shop")
    monkeypatch.setenv("SHOP_PASSWORD", PLANTED)
    assert read_secret("env:SHOP_PASSWORD", None, source="shop") == Secret(PLANTED)


def test_a_lost_password_is_told_with_its_source_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RejectedError, match="password of source shop is missing") as refusal:
        read_secret("file:sources/shop", tmp_path, source="shop")
    assert refusal.value.remedy is not None


# Credentials


def test_only_the_right_secret_matches_its_hash() -> None:
    secret = new_secret()
    made = hashed(secret)
    assert secret.reveal() not in made
    assert matches(made, secret)
    assert not matches(made, new_secret())
    assert not matches("no hash", secret)
    assert not absorb(secret)


def test_a_secret_is_kept_as_an_argon2id_hash_of_the_least_cost_that_owasp_names() -> None:
    shipped = runpy.run_module("catalog_registry.credential")  # afresh: other tests hash at a lower cost
    assert shipped["hashed"](new_secret()).startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_secrets_are_long_and_never_the_same() -> None:
    assert len({new_secret().reveal() for _ in range(100)}) == 100
    assert all(len(new_secret().reveal()) >= 43 for _ in range(10))


# Roles


def test_roles_are_kept_sorted_and_once() -> None:
    assert check_roles(["observer", "consumer", "observer"]) == ["consumer", "observer"]


def test_an_unknown_role_is_refused_and_near_ones_are_told() -> None:
    with pytest.raises(RejectedError, match="near it: auditor"):
        check_roles(["auditer"])


@pytest.mark.parametrize("pair", [(a, b) for a in ADMINISTRATORS for b in ADMINISTRATORS if a < b])
def test_two_of_the_three_administrators_are_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(RejectedError) as refusal:
        check_roles(pair)
    assert refusal.value.code == "principal.administrators"


# Terms of a grant


def test_good_terms_pass() -> None:
    check_terms(**terms())
    check_terms(**terms(purposes=(), items=("11440200006123456X3440205001000",)))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"quota": {"per_year": 5}}, "grant.quota"),
        ({"legal_basis": " \n"}, "registry.empty"),
        ({"purposes": ()}, "grant.no_purpose"),
        ({"purposes": ("Accept Case",)}, "grant.purpose"),
        ({"items": ("a b",)}, "item.code"),
        ({"to_at": NOW}, "grant.interval"),
        ({"to_at": NOW - timedelta(days=1)}, "grant.interval"),
        ({"from_at": NOW.replace(tzinfo=None)}, "grant.interval"),
    ],
)
def test_terms_that_say_too_little_are_refused(change: dict[str, Any], code: str) -> None:
    with pytest.raises(RejectedError) as refusal:
        check_terms(**terms(**change))
    assert refusal.value.code == code


@pytest.mark.parametrize(
    ("fields", "row_filter", "code"),
    [
        ([], None, "grant.no_field"),
        (["titel"], None, "grant.unknown_field"),
        (["title"], "nothing = 'x'", "filter.unknown_field"),
        (["title"], "citizen_id = 'x'", "filter.sealed"),
        (["title"], "citizen_id is null", "filter.sealed"),
        (["title"], "title = 1", "filter.type"),
        (["title"], "title in ('manager', 1)", "filter.type"),
        (["title"], "id = '1'", "filter.type"),
        (["title"], "id = true", "filter.type"),
    ],
)
def test_fields_and_row_filters_that_the_contract_does_not_carry_are_refused(
    fields: list[str], row_filter: str | None, code: str
) -> None:
    chosen = None if row_filter is None else parse(row_filter)
    with pytest.raises(RejectedError) as refusal:
        check_fields(read_contract(contract_text()), fields, chosen)
    assert refusal.value.code == code


def test_a_misspelt_field_is_told_its_near_ones() -> None:
    with pytest.raises(RejectedError, match="near it: title"):
        check_fields(read_contract(contract_text()), ["titel"], None)


def test_a_row_filter_on_a_clear_field_passes() -> None:
    check_fields(read_contract(contract_text()), ["title", "citizen_id"], parse("title = 'manager' and id in (1, 2)"))


# Names, versions, content


@pytest.mark.parametrize("text", ["", "a b", "'; DROP", "-x", "x" * 65, "部门"])
def test_a_code_of_a_wrong_form_is_refused(text: str) -> None:
    with pytest.raises(RejectedError):
        check_code(text, "department")


@pytest.mark.parametrize(
    ("version", "than", "answer"),
    [
        ("1.0.1", "1.0.0", True),
        ("1.10.0", "1.9.0", True),
        ("1.0.0", "1.0.0", False),
        ("0.9", "1.0", False),
        ("draft-b", "1.0", True),
    ],
)
def test_versions_are_compared_as_numbers(version: str, than: str, answer: bool) -> None:
    assert newer(version, than) is answer


def test_the_layout_of_a_contract_is_not_its_content() -> None:
    text = contract_text()
    same = "# a comment\n" + text.replace("value: market\n", 'value: "market"\n')
    assert content_hash(read_contract(text)) == content_hash(read_contract(same))
    assert content_hash(read_contract(text)) != content_hash(read_contract(contract_text(field="post")))


# The snapshot


def rows(*names: str) -> list[dict[str, Any]]:
    return [{"name": name, "title": "标题"} for name in names]


def test_a_snapshot_is_read_back_as_written_and_not_written_twice(tmp_path: Path) -> None:
    file = tmp_path / "dags.json"
    assert read_dags_json(file) == []
    assert write_dags_json(file, rows("a", "b"))
    assert read_dags_json(file) == rows("a", "b")
    was = file.stat()
    assert not write_dags_json(file, rows("a", "b"))
    assert file.stat().st_mtime_ns == was.st_mtime_ns
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["dags.json", "dags.last.json"]


def test_a_snapshot_that_shrank_by_more_than_a_tenth_is_refused_and_the_last_one_stays(tmp_path: Path) -> None:
    file = tmp_path / "dags.json"
    names = [f"r{n}" for n in range(20)]
    write_dags_json(file, rows(*names))
    with pytest.raises(RejectedError, match="3 of 20 resources would lose their DAGs"):
        write_dags_json(file, rows(*names[3:], "new1", "new2", "new3"))
    assert read_dags_json(file) == rows(*names)
    assert write_dags_json(file, rows(*names[2:]))
    assert write_dags_json(file, rows("only"), force=True)
    assert read_dags_json(file) == rows("only")


def test_a_broken_snapshot_is_told_and_replaced_by_the_next_good_one(tmp_path: Path) -> None:
    file = tmp_path / "dags.json"
    file.write_text('{"format": 1, "resources": [{"na')
    with pytest.raises(DefectError) as defect:
        read_dags_json(file)
    assert defect.value.code == "dags.form"
    assert write_dags_json(file, rows("a"))
    assert read_dags_json(file) == rows("a")


@pytest.mark.parametrize("broken", ['{"format": 1, "resources": [{"na', "", None])
def test_a_snapshot_that_is_gone_or_broken_is_read_from_its_copy_and_mended_by_the_next(
    tmp_path: Path, broken: str | None
) -> None:
    file = tmp_path / "dags.json"
    names = [f"r{n}" for n in range(20)]
    write_dags_json(file, rows(*names))
    file.unlink() if broken is None else file.write_text(broken)
    assert read_dags_json(file) == rows(*names)
    with pytest.raises(RejectedError, match="19 of 20 resources would lose their DAGs"):
        write_dags_json(file, rows(names[0]))
    assert write_dags_json(file, rows(*names))
    (tmp_path / "dags.last.json").unlink()
    assert read_dags_json(file) == rows(*names)
