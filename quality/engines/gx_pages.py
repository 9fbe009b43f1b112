"""Data Docs that can be read where there is no internet, and that tell nobody who reads them.

The pages of Great Expectations fetch styles, scripts and pictures from seven hosts, and their start page is empty without
those. Here their scripts and links to elsewhere are taken out, a policy forbids the browser to fetch anything, a style sheet
stands in the page, and the start pages are our own.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from html import escape
from pathlib import Path
from shutil import rmtree
from typing import Any, Final

from schemas.clock import CHINA

_STYLE: Final = """
body{font:15px/1.5 system-ui,"Microsoft YaHei","PingFang SC",sans-serif;margin:0 auto;max-width:1080px;padding:1rem;color:#222}
a{color:#0b5394}h1{font-size:1.4rem}h5{font-size:1.1rem;margin:0}h6,.h6{font-size:1rem;font-weight:600;margin:.5rem 0}
table{border-collapse:collapse;width:100%;margin:.5rem 0}td,th{border-bottom:1px solid #ddd;padding:.3rem .6rem;text-align:left;
vertical-align:top}nav ol,nav ul,.list-group{list-style:none;padding:0}nav li{display:inline-block;margin-right:1rem}
.alert{background:#eef2f5;padding:.5rem .8rem;margin-top:1rem}.text-danger,.no{color:#a61b1b}.text-success,.yes{color:#1b7a32}
.fa-check-circle::before{content:"\\2713"}.fa-times::before{content:"\\2717"}.fas{font-style:normal}
.btn-group,.card.mb-3,[data-toggle=collapse],[data-toggle=modal],.modal,.ge-walkthrough-modal{display:none}
""".strip()
_HEAD: Final = (
    '<meta charset="UTF-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    f"<style>{_STYLE}</style>"
)
_LAST: Final = "last.json"
_CUT: Final = re.compile(
    r"<script\b.*?</script\s*>|<style\b.*?</style\s*>|<footer\b.*?</footer\s*>|<link\b[^>]*>|<img\b[^>]*>|<meta\b[^>]*>|<!--.*?-->",
    re.DOTALL | re.IGNORECASE,
)
_ELSEWHERE: Final = re.compile(r'<a\b[^>]*\bhref="(?:https?:)?//[^"]*"[^>]*>(.*?)</a>', re.DOTALL | re.IGNORECASE)


def write_offline(site: Path, run: str) -> None:
    """Make the suite's page and the pages of one run free of scripts and of everything that lies elsewhere.

    Args:
        site: the folder of a resource's Data Docs.
        run: the run whose pages were just built.
    """
    for page in (*site.glob("expectations/**/*.html"), *site.glob(f"validations/*/{run}/**/*.html")):
        text = _ELSEWHERE.sub(r"\1", _CUT.sub("", page.read_text("utf-8")))
        _write(page, text.replace("<head>", f"<head>{_HEAD}", 1))
    rmtree(site / "static", ignore_errors=True)  # pictures and fonts, 4 MB for each resource


def write_start(home: Path, title: str) -> None:
    """Write the start page of a resource's Data Docs: its kept runs, the newest first.

    Args:
        home: the resource's folder.
        title: of the resource.
    """
    site = home / "site"
    results = sorted((_read(file) for file in home.glob("history/validations/*/*/*/*.json")), key=_at, reverse=True)
    pages = [page.relative_to(site).as_posix() for page in site.glob("expectations/*.html")]
    suites = [f'<a href="{escape(page)}">what is asked 规则</a>' for page in pages]
    rows = (_run_row(one, site) for one in results)
    headings = ("", "run 批次", "at 时间", "sample 抽样", "rules that failed 未通过的规则")
    _write(site / "index.html", _page(title, [f"<p>{' '.join(suites)}</p>", *_table(headings, rows)], up="../../index.html"))
    if results:
        failed = [one for one in results[0]["results"] if not one["success"]]
        last = {"title": title, "success": results[0]["success"], "meta": results[0]["meta"], "results": failed}
        _write(home / _LAST, json.dumps(last, ensure_ascii=False))


def write_front(docs_dir: Path) -> None:
    """Write the page that names every resource under ``docs_dir`` with the verdict of its last run."""
    rows = (_resource_row(last) for last in sorted(docs_dir.glob(f"*/{_LAST}")))
    headings = ("", "resource 资源", "at 时间", "sample 抽样", "rules that failed 未通过的规则")
    _write(docs_dir / "index.html", _page("Data quality 数据质量", _table(headings, rows)))


def _run_row(one: dict[str, Any], site: Path) -> tuple[str, ...]:
    run = str(one["meta"]["run_id"]["run_name"])
    pages = [page.relative_to(site).as_posix() for page in site.glob(f"validations/*/{run}/**/*.html")]
    name = f'<a href="{escape(pages[0])}">{escape(run)}</a>' if pages else escape(run)
    return (_mark(one), name, *_words(one))


def _resource_row(last: Path) -> tuple[str, ...]:
    one = _read(last)
    link = f'<a href="{escape(last.parent.name)}/site/index.html">{escape(one["title"])}</a>'
    return (_mark(one), link, *_words(one))


def _mark(one: dict[str, Any]) -> str:
    return '<b class="yes">✓</b>' if one["success"] else '<b class="no">✗</b>'


def _words(one: dict[str, Any]) -> Iterator[str]:
    yield f"{_at(one).astimezone(CHINA):%Y-%m-%d %H:%M}"
    yield escape(str(one["meta"]["sample"]))
    failed = [
        f"{escape(asked['field'])} {escape(asked['rule'])} ({result['result']['unexpected_count']})"
        for result in one["results"]
        if not result["success"] and (asked := result["expectation_config"]["meta"])
    ]
    yield ", ".join(failed) or "none 无"


def _at(one: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(one["meta"]["run_id"]["run_time"])


def _table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    yield "<table><tr>" + "".join(f"<th>{heading}</th>" for heading in headings) + "</tr>"
    for row in rows:
        yield "<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>"
    yield "</table>"


def _page(title: str, body: Iterable[str], up: str | None = None) -> str:
    back = f'<nav><a href="{up}">all resources 全部资源</a></nav>' if up else ""
    name = escape(title)
    start = f'<!DOCTYPE html><html lang="en"><head>{_HEAD}<title>{name}</title></head><body>{back}<h1>{name}</h1>'
    return "\n".join([start, *body, "</body></html>"])


def _read(file: Path) -> Any:
    return json.loads(file.read_text("utf-8"))


def _write(file: Path, text: str) -> None:
    """Write a file so that a reader sees the old one or the new one, whole."""
    beside = file.with_name(f".{file.name}.new")
    beside.write_text(text, "utf-8")
    os.replace(beside, file)
