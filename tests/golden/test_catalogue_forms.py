"""The catalogue as others read it. Whoever changes these, changes what other catalogues have taken over."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from catalog_registry.exports.dcat import About, dcat
from catalog_registry.exports.jsonld import jsonld
from catalog_registry.exports.national import national_json
from catalog_registry.exports.turtle import turtle
from schemas.catalogue_form import entry_document
from tests.catalogue_entry import MARKET, many
from tests.golden.golden import assert_golden

NOW = datetime(2026, 11, 2, 1, tzinfo=UTC)
ABOUT = About("https://share.example", "440205", MARKET, NOW, NOW)


def test_the_catalogue_as_turtle() -> None:
    assert_golden("catalogue/catalogue.ttl", "".join(turtle(dcat(ABOUT, many(4)))))


def test_the_catalogue_as_json_ld() -> None:
    assert_golden("catalogue/catalogue.jsonld", "".join(jsonld(dcat(ABOUT, many(4)))))


def test_the_catalogue_in_the_national_form() -> None:
    entries = [resource.entry for resource in many(4) if resource.entry is not None]
    assert_golden("catalogue/national.json", "".join(national_json(entries)))


def test_an_entry_in_the_form_that_is_stored() -> None:
    entries = [entry_document(resource.entry) for resource in many(4) if resource.entry is not None]
    assert_golden("catalogue/entries.json", json.dumps(entries, ensure_ascii=False, indent=1, sort_keys=True) + "\n")
