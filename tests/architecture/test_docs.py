"""The docs say what the code does: generated pages are current, every link leads somewhere, every command shown exists."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange.settings import Settings
from tests.architecture import reference

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
WRITTEN = [p for p in PAGES if p.parent.name != "reference"]
OURS = re.compile(r"/(?:work|root|home)/[a-z]|[a-z0-9.-]+\.internal\b")


@pytest.fixture(scope="module")
def generated() -> dict[str, str]:
    return reference.pages()


@pytest.fixture(scope="module")
def commands() -> dict[str, set[str]]:
    """Return the options of each command, by its words; a group has its commands below it."""
    return {
        command.words: {option for p in command.parameters for option in (*p.opts, *(getattr(p, "secondary_opts", None) or ()))}
        for command in reference.command_tree().all()
    }


@pytest.mark.parametrize(
    "name",
    [
        *("settings.md", "cli.md", "connectors.md", "codes.md", "contract.md", "clocks.md", "errors.md", "forms.md"),
        *("permissions.md", "openapi.json"),
    ],
)
def test_generated_pages_are_current(generated: dict[str, str], name: str) -> None:
    assert (reference.FOLDER / name).read_text("utf-8") == generated[name], f"{name} is stale: run make docs and commit it"


def test_every_page_that_is_made_is_compared(generated: dict[str, str]) -> None:
    assert set(generated) == {
        *(
            "settings.md",
            "cli.md",
            "connectors.md",
            "codes.md",
            "contract.md",
            "clocks.md",
            "errors.md",
            "forms.md",
            "permissions.md",
            "openapi.json",
            "benchmarks.md",
        )
    }


def test_every_setting_is_documented(generated: dict[str, str]) -> None:
    page = generated["settings.md"]
    missing = [name for name in Settings.model_fields if f"`{name}`" not in page or f"`ONEDOOR_{name.upper()}`" not in page]
    undescribed = [name for name, field in Settings.model_fields.items() if not field.description]
    assert (missing, undescribed) == ([], [])


def test_every_command_is_documented_with_an_example(generated: dict[str, str], commands: dict[str, set[str]]) -> None:
    page = generated["cli.md"]
    groups = {words.rpartition(" ")[0] for words in commands}
    leaves = [words for words in commands if words not in groups]
    assert [words for words in leaves if f"`{words}`" not in page] == []
    examples = "\n".join(re.findall(r"(?ms)^```sh\n(.*?)^```", page))
    shown = {words for words in leaves if re.search(rf"\b{words}\b", examples)}
    assert sorted(set(leaves) - shown) == []


def test_errors_are_found_in_the_source() -> None:
    codes = {one.code: one.kind for one in reference.raised()}
    assert codes["settings.toml"] == "rejected"
    assert codes["spool.full"] == "transient"
    assert codes["seal.broken"] == "defect"
    assert codes["land.fenced"] == "defect"  # by the class that a subclass extends
    assert codes["hub.not_ready"] == "HTTP"


def _links(page: Path) -> Iterator[str]:
    text = re.sub(r"(?s)```.*?```|`[^`\n]*`", "", page.read_text("utf-8"))
    yield from re.findall(r"\]\(([^)\s]+)\)", text)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    broken = []
    for link in _links(page):
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", path):
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in _anchors(target)):
            broken.append(link)
    assert broken == []


def _anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def _shell(page: Path) -> Iterator[str]:
    """Yield the command lines of a page's shell blocks; a line that ends in a backslash goes on."""
    for block in re.findall(r"(?ms)^ *```sh\n(.*?)^ *```", page.read_text("utf-8")):
        yield from (line.strip() for line in block.replace("\\\n", " ").splitlines())


def _called(line: str) -> Iterator[list[str]]:
    for found in re.finditer(r"(?:^|[\s(;|&])(onedoor [^)|;<>&\"]*)", line):
        yield shlex.split(found.group(1), comments=True)


@pytest.mark.parametrize("page", WRITTEN, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_command_that_a_page_shows_exists(page: Path, commands: dict[str, set[str]]) -> None:
    wrong = []
    for line in _shell(page):
        for words in _called(line):
            command = "onedoor"
            rest = words[1:]
            while rest and f"{command} {rest[0]}" in commands:
                command, rest = f"{command} {rest[0]}", rest[1:]
            options = {word.partition("=")[0] for word in rest if word.startswith("-") and word != "-"}
            if command == "onedoor" or not options <= {*commands[command], "--help"}:
                wrong.append(line)
    assert wrong == []


@pytest.mark.parametrize("page", WRITTEN, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_make_target_that_a_page_shows_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    text = page.read_text("utf-8")
    shown = {*re.findall(r"`make ([a-z]+)", text), *(m for line in _shell(page) for m in re.findall(r"^make ([a-z]+)", line))}
    assert shown - targets == set()


def test_both_readmes_have_the_same_parts_and_commands() -> None:
    english, chinese = ROOT / "README.md", ROOT / "README.zh-CN.md"

    def levels(page: Path) -> list[int]:
        text = re.sub(r"(?s)```.*?```", "", page.read_text("utf-8"))
        return [len(marks) for marks in re.findall(r"^(#+) ", text, re.MULTILINE)]

    def blocks(page: Path) -> list[str]:
        return re.findall(r"(?ms)^```(?:sh|text|mermaid|json)\n.*?^```", page.read_text("utf-8"))

    def lines(page: Path) -> list[str]:
        return [re.sub(r"\s+#.*", "", line) for line in _shell(page) if line and not line.startswith("#")]

    assert levels(english) == levels(chinese)
    assert len(blocks(english)) == len(blocks(chinese))
    assert lines(english) == lines(chinese)


def test_no_page_names_a_place_of_one_machine() -> None:
    found = [f"{page.relative_to(ROOT)}: {m.group()}" for page in PAGES for m in OURS.finditer(page.read_text("utf-8"))]
    assert found == []


def test_decisions_are_numbered_without_a_gap_and_say_four_things() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    assert [int(p.name[:4]) for p in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        text = page.read_text("utf-8")
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Decision", "Why", "Instead of", "Consequence"], page.name
        assert len(text.splitlines()) < 60, page.name


def test_every_page_is_in_the_index() -> None:
    index = ROOT / "docs" / "index.md"
    linked = {(index.parent / link.partition("#")[0]).resolve() for link in _links(index)}
    pages = {p.resolve() for p in (ROOT / "docs").rglob("*.md")} - {index.resolve()}
    assert sorted(p.relative_to(ROOT).as_posix() for p in pages - linked) == []
