"""A person brings an own table without code: source, draft, resource, grant, account, by the command line."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from console.cli import main, output
from tests.contract_text import contract_text

pytestmark = pytest.mark.timeout(120)


@dataclass
class Said:
    """What a command said and how it left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The answer as data."""
        return json.loads(self.out)

    @property
    def problem(self) -> Any:
        """The error as data."""
        return json.loads(self.err.splitlines()[-1])


Onedoor = Callable[..., Said]


@pytest.fixture
def onedoor(hub_db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Onedoor:
    """The command line, on a home and a hub database of its own."""
    monkeypatch.setenv("ONEDOOR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ONEDOOR_DATABASE_URL", hub_db)
    monkeypatch.chdir(tmp_path)

    def run(*argv: str) -> Said:
        capsys.readouterr()
        code = output.run(main.build(), argv)
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return run


@pytest.fixture
def shop(empty_db: str) -> str:
    """URL of a department's database with the table ``licences``."""
    with psycopg.connect(empty_db) as connection:
        connection.execute(
            "CREATE TABLE licences"
            " (no varchar(20) PRIMARY KEY, state char(2) NOT NULL, fee numeric(10,2), xm text, issued date)"
        )
        connection.execute("CREATE TABLE notes (body text)")
        connection.execute("INSERT INTO licences VALUES ('L1', '01', 10.50, 'planted-name', '2026-01-02')")
    return empty_db


@pytest.fixture
def with_shop(onedoor: Onedoor, shop: str) -> Onedoor:
    """The command line, with the source ``shop`` added."""
    assert (
        onedoor("source", "add", "shop", "--url", shop, "--department", "market", "--department-name", "市场监督管理局").code
        == 0
    )
    return onedoor


@pytest.fixture
def with_licences(with_shop: Onedoor, tmp_path: Path) -> Onedoor:
    """The command line, with the resource ``licences`` registered."""
    assert with_shop("draft", "--source", "shop", "--table", "public.licences", "-o", "licences.odcs.yaml").code == 0
    decide(tmp_path / "licences.odcs.yaml")
    said = with_shop("resource", "register", "licences.odcs.yaml")
    assert (said.code, said.err) == (0, "")
    return with_shop


def decide(file: Path) -> None:
    """Answer the open questions of a draft: what looks personal is personal."""
    document = yaml.safe_load(file.read_text("utf-8"))
    for field in document["schema"][0]["properties"]:
        terms = [t for t in field.pop("customProperties", []) if t["property"] != "onedoor.confirm"]
        if terms:
            field["customProperties"] = terms
    file.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False), "utf-8")


def test_a_source_is_added_tested_shown_and_removed_and_its_password_is_never_shown(
    onedoor: Onedoor, shop: str, tmp_path: Path
) -> None:
    password = psycopg.conninfo.conninfo_to_dict(shop)["password"]
    said = [
        onedoor("source", "add", "shop", "--url", shop, "--json"),
        onedoor("source", "list"),
        onedoor("source", "list", "--json"),
        onedoor("source", "show", "shop"),
        onedoor("source", "show", "shop", "--json"),
    ]
    assert [s.code for s in said] == [0] * 5
    assert said[0].json["tested"] is True
    assert said[0].json["capabilities"]["incremental"] is True
    assert said[2].json[0]["system"] == "shop"
    assert said[4].json["department"] == "centre"
    assert said[4].json["resources"] == []
    assert str(password) not in "".join(s.out + s.err for s in said)
    assert (tmp_path / "home" / "keys" / "sources" / "shop").read_text() == password
    assert onedoor("source", "remove", "shop").code == 0
    assert onedoor("source", "list", "--json").json == []


def test_a_url_may_come_by_standard_input_so_that_no_shell_keeps_it(
    onedoor: Onedoor, shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(shop + "\n"))
    assert onedoor("source", "add", "shop", "--url", "-").code == 0
    assert onedoor("source", "show", "shop", "--json").json["secret_ref"] == "file:sources/shop"


def test_a_source_that_does_not_answer_is_told_and_not_kept(onedoor: Onedoor, shop: str, tmp_path: Path) -> None:
    password = str(psycopg.conninfo.conninfo_to_dict(shop)["password"])
    said = onedoor("source", "add", "shop", "--url", shop.replace(password, "wrong-planted"), "--json")
    assert said.code == 1
    assert said.problem["code"].startswith("source.")
    assert "wrong-planted" not in said.out + said.err
    assert onedoor("source", "list", "--json").json == []
    assert not (tmp_path / "home" / "keys").exists()
    assert onedoor("source", "add", "shop", "--url", shop.replace(password, "later"), "--no-test").code == 0


def test_a_table_becomes_a_draft_and_the_draft_a_resource(with_shop: Onedoor, tmp_path: Path) -> None:
    said = with_shop("draft", "--source", "shop", "--table", "public.licences", "-o", "licences.odcs.yaml", "--json")
    assert said.code == 0
    assert said.json["resource"] == "licences"
    assert any("xm" in q for q in said.json["questions"])
    undecided = with_shop("resource", "register", "licences.odcs.yaml", "--json")
    assert (undecided.code, undecided.problem["code"]) == (1, "contract.invalid")
    decide(tmp_path / "licences.odcs.yaml")
    made = with_shop("resource", "register", "licences.odcs.yaml", "--json")
    assert made.code == 0, made.err
    assert (made.json["name"], made.json["key"], made.json["personal"], made.json["department"]) == (
        "licences",
        ["no"],
        ["xm"],
        "market",
    )
    assert with_shop("resource", "list", "--json").json == [made.json]
    shown = with_shop("resource", "show", "licences", "--json").json
    assert [f["name"] for f in shown["fields"]] == ["no", "state", "fee", "xm", "issued"]
    assert with_shop("resource", "show", "licences", "--contract").out == (tmp_path / "licences.odcs.yaml").read_text("utf-8")
    assert "licences" in with_shop("resource", "show", "licences").out
    assert json.loads((tmp_path / "home" / "dags.json").read_text())["resources"][0]["name"] == "licences"
    assert "planted-name" not in (tmp_path / "licences.odcs.yaml").read_text("utf-8")


def test_a_table_without_a_key_asks_for_one(with_shop: Onedoor, tmp_path: Path) -> None:
    said = with_shop("draft", "--source", "shop", "--table", "public.notes", "-o", "notes.odcs.yaml", "--json")
    assert said.code == 0
    assert any("key" in q for q in said.json["questions"])
    refused = with_shop("resource", "register", "notes.odcs.yaml", "--json")
    assert refused.code == 1
    assert "primaryKey" in refused.problem["detail"]


def test_a_draft_does_not_replace_a_file_unless_told(with_shop: Onedoor, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("mine")
    said = with_shop("draft", "--source", "shop", "--table", "public.licences", "-o", "mine.yaml", "--json")
    assert (said.code, said.problem["code"], file.read_text()) == (1, "draft.exists", "mine")
    assert with_shop("draft", "--source", "shop", "--table", "public.licences", "-o", "mine.yaml", "--force").code == 0
    assert yaml.safe_load(file.read_text("utf-8"))["apiVersion"] == "v3.1.0"


def test_an_unknown_table_is_told(with_shop: Onedoor) -> None:
    said = with_shop("draft", "--source", "shop", "--table", "public.licenses", "-o", "x.yaml", "--json")
    assert said.code == 1
    assert "licences" in said.problem["detail"] + said.problem.get("remedy", "")


def test_a_contract_whose_columns_are_not_at_the_source_is_refused(with_licences: Onedoor, shop: str, tmp_path: Path) -> None:
    with psycopg.connect(shop) as connection:
        connection.execute("ALTER TABLE licences RENAME COLUMN fee TO price")
    text = (tmp_path / "licences.odcs.yaml").read_text("utf-8")
    (tmp_path / "next.yaml").write_text(text.replace("version: 0.1.0", "version: 0.2.0"), "utf-8")
    for way in (("resource", "register"), ("revision", "give")):
        said = with_licences(*way, "next.yaml", "--json")
        assert said.code == 1
        assert "fee" in said.problem["detail"]
    assert with_licences("resource", "show", "licences", "--json").json["version"] == "0.1.0"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (None, "contract.file"),
        (b"\xff\xfe\x00", "contract.encoding"),
        (b"kind: [", "contract.invalid"),
        (contract_text(source="nowhere").encode(), "source.unknown"),
    ],
)
def test_a_file_that_is_no_contract_is_told_with_its_place(
    with_shop: Onedoor, tmp_path: Path, content: bytes | None, code: str
) -> None:
    if content is not None:
        (tmp_path / "bad.yaml").write_bytes(content)
    said = with_shop("resource", "register", "bad.yaml", "--json")
    assert (said.code, said.problem["code"]) == (1, code)
    assert with_shop("resource", "list", "--json").json == []


def test_a_grant_is_made_listed_and_revoked(with_licences: Onedoor) -> None:
    made = with_licences(
        *[
            "grant",
            "add",
            "licences",
            "--to",
            "department:market",
            "--field",
            "no",
            "--field",
            "state",
            "--purpose",
            "accept_case",
        ],
        *("--basis", "国令809", "--until", "2099-01-01", "--filter", "state IN ('01', '02')", "--json"),
    )
    assert made.code == 0, made.err
    assert made.json["row_filter"] == "state in ('01', '02')"
    assert made.json["to_at"] == "2098-12-31T16:00:00+00:00"
    assert made.json["made_by"].startswith("console:")
    assert with_licences("grant", "list", "--json").json == [made.json]
    assert "in force" in with_licences("grant", "list", "--resource", "licences").out
    revoked = with_licences("grant", "revoke", made.json["id"], "--why", "abolished", "--json")
    assert revoked.json["revoked_why"] == "abolished"
    assert with_licences("grant", "list", "--json").json == []
    assert with_licences("grant", "list", "--all", "--json").json == [revoked.json]


def test_a_refused_grant_leaves_with_one_and_a_wrong_option_with_two(with_licences: Onedoor) -> None:
    terms = ("--basis", "国令809", "--until", "2099-01-01", "--purpose", "accept_case")
    refused = with_licences("grant", "add", "licences", "--to", "department:market", "--field", "salary", *terms, "--json")
    assert (refused.code, refused.problem["code"]) == (1, "grant.unknown_field")
    unread = with_licences(
        *(
            "grant",
            "add",
            "licences",
            "--to",
            "department:market",
            "--field",
            "no",
            *terms,
            "--filter",
            "state = 01 or",
            "--json",
        )
    )
    assert (unread.code, unread.problem["code"], unread.problem["where"]) == (1, "filter.syntax", "column 14")
    for wrong in (
        ("--to", "somebody", "--field", "no", *terms),
        ("--to", "department:market", "--field", "no", *terms, "--until", "soon"),
        ("--to", "department:market", *terms),
    ):
        assert with_licences("grant", "add", "licences", *wrong).code == 2
    assert with_licences("grant", "list", "--all", "--json").json == []


def test_the_secret_of_a_machine_is_shown_once(with_shop: Onedoor) -> None:
    made = with_shop("principal", "add", "intake", "--department", "market", "--system", "shop", "--role", "consumer", "--json")
    assert made.code == 0, made.err
    secret = made.json["client_secret"]
    listed = with_shop("principal", "list", "--json")
    assert [(p["name"], p["roles"], p["client_id"]) for p in listed.json] == [("intake", ["consumer"], made.json["client_id"])]
    revoked = with_shop("principal", "revoke", "intake", "--json")
    assert revoked.json["revoked_at"] is not None
    assert secret not in listed.out + revoked.out + with_shop("principal", "list").out
    both = with_shop(
        *("principal", "add", "li", "--person", "--department", "market"),
        *("--role", "system_administrator", "--role", "audit_administrator", "--json"),
    )
    assert (both.code, both.problem["code"]) == (1, "principal.administrators")


def test_the_materials_of_an_item_are_set_and_listed(with_shop: Onedoor) -> None:
    assert with_shop("material", "set", "item1", "m1", "L2", "L1").code == 0
    assert with_shop("material", "list", "item1", "--json").json == [
        {"item": "item1", "material": "m1", "licence_types": ["L1", "L2"]}
    ]
    assert with_shop("material", "set", "item1", "m1").code == 0
    assert with_shop("material", "list", "--json").json == []


# What a new contract would break, and why something is allowed or is not


def granted(onedoor: Onedoor, *fields: str, until: str = "2099-01-01") -> str:
    terms = ("--to", "department:market", "--purpose", "accept_case", "--basis", "国令809", "--until", until)
    made = onedoor("grant", "add", "licences", *(w for f in fields for w in ("--field", f)), *terms, "--json")
    assert made.code == 0, made.err
    return str(made.json["id"])


def changed(file: Path, *changes: tuple[str, str]) -> str:
    """Write another version of the contract beside it, and return its name."""
    text = file.read_text("utf-8")
    for right, other in changes:
        assert text.count(right) == 1, right
        text = text.replace(right, other)
    (file.parent / "next.yaml").write_text(text, "utf-8")
    return "next.yaml"


def test_a_new_contract_is_compared_with_the_one_in_force_and_those_affected_are_named(
    with_licences: Onedoor, tmp_path: Path
) -> None:
    file = tmp_path / "licences.odcs.yaml"
    text = file.read_text("utf-8")
    state = text[text.index("- name: state") :].partition("- name: fee")[0]
    wide, other = granted(with_licences, "no", "state", "fee"), granted(with_licences, "no", "issued")
    said = with_licences("resource", "diff", "licences.odcs.yaml", "--json")
    assert (said.code, said.json["verdict"], said.json["changes"]) == (0, "compatible", [])
    assert "nothing changes" in with_licences("resource", "diff", "licences.odcs.yaml").out

    optional = changed(file, ("version: 0.1.0", "version: 0.2.0"), (state, state.replace("required: true", "required: false")))
    said = with_licences("resource", "diff", optional, "--json")
    assert (said.code, said.err) == (1, "")
    assert (said.json["verdict"], said.json["least_version"], said.json["version_suffices"]) == ("breaking", "1.0.0", False)
    (change,) = said.json["changes"]
    assert (change["kind"], change["field"], change["breaking"]) == ("became_optional", "state", True)
    assert change["title_zh"] == "改为可空"
    assert [(a["grant"], a["receiver"], a["fields"]) for a in said.json["affected"]] == [(wide, "department:market", ["state"])]
    shown = with_licences("resource", "diff", optional)
    assert shown.code == 1
    for words in ("breaking", "1.0.0", "became optional 改为可空", wide, "2099-01-01"):
        assert words in shown.out
    assert other not in shown.out
    assert with_licences("resource", "show", "licences", "--json").json["version"] == "0.1.0"


def test_a_comparison_of_what_cannot_be_compared_is_told(with_licences: Onedoor, tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(contract_text(), "utf-8")
    for file, code in (("other.yaml", "resource.unknown"), ("nothing.yaml", "contract.file")):
        said = with_licences("resource", "diff", file, "--json")
        assert (said.code, said.problem["code"]) == (1, code)


def test_a_person_asks_why_something_is_not_allowed(with_licences: Onedoor) -> None:
    made = with_licences("principal", "add", "intake", "--department", "market", "--role", "consumer", "--json")
    assert made.code == 0, made.err
    ask = ("grant", "explain", "--principal", "intake", "--resource", "licences", "--purpose")
    nothing = with_licences(*ask, "accept_case", "--json")
    assert (nothing.code, nothing.json["allowed"]) == (0, False)
    assert [a["code"] for a in nothing.json["against"]] == ["no_grant"]
    good, ended = granted(with_licences, "no", "state"), granted(with_licences, "no")
    with_licences("grant", "revoke", ended, "--why", "abolished")
    allowed = with_licences(*ask, "accept_case", "--field", "state", "--json").json
    assert (allowed["allowed"], allowed["grant"], allowed["fields"]) == (True, good, ["state"])
    assert {one["grant"]: [a["code"] for a in one["against"]] for one in allowed["grants"]} == {
        good: [],
        ended: ["revoked", "fields"],
    }
    refused = with_licences(*ask, "marketing", "--item", "i1")
    assert refused.code == 0
    for words in ("intake may not use licences", "purpose: the grant is not for this purpose 授权不含该用途", ended, "revoked"):
        assert words in refused.out
    unknown = with_licences("grant", "explain", "--principal", "nobody", "--resource", "licences", "--purpose", "x", "--json")
    assert (unknown.code, unknown.problem["code"]) == (1, "principal.unknown")


def test_without_a_hub_each_command_says_what_to_do(onedoor: Onedoor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ONEDOOR_DATABASE_URL")
    for command in (("source", "list"), ("resource", "list"), ("grant", "list"), ("principal", "list"), ("material", "list")):
        said = onedoor(*command, "--json")
        assert (said.code, said.problem["code"]) == (1, "hub.not_started")
        assert "onedoor up" in said.problem["remedy"]
