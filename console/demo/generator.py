"""Makes the demo district's rows: the same seed and sizes give the same rows. No person, company or number in them is real."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from console.demo.catalogue import Accepted, implementation_sheet, item_sheet, make_items, material_sheet
from console.demo.licences import licence_sheet, make_holders, type_sheet
from console.demo.market import case_sheets
from console.demo.sheet import Sheet, Wrong
from schemas.errors import Fault, RejectedError

SEED: Final = 440205
ANCHOR: Final = datetime(2026, 11, 1, tzinfo=UTC)
"""The instant up to which the district's history is made; what comes after is ``churn``."""
DEFAULT_LICENCES: Final = 20_000
LEAST_LICENCES: Final = 100
MOST_LICENCES: Final = 4_000_000


_STREAMS: Final = ("people", "items", "ways", "materials", "types", "licences", "cases")


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many licences, service items and applications."""

    licences: int = DEFAULT_LICENCES
    items: int = 300
    applications: int = 5_000

    @staticmethod
    def of(licences: int) -> Sizes:
        """Return sizes to go with a number of licences: a quarter as many applications, at most 50,000; at most 300 items.

        Raises:
            RejectedError: fewer licences than the least, or more than there are made numbers for.
        """
        if not LEAST_LICENCES <= licences <= MOST_LICENCES:
            raise RejectedError(
                f"a district of {licences} licences cannot be made; expected {LEAST_LICENCES} to {MOST_LICENCES}",
                code="demo.scale",
                fault=Fault.CLIENT,
            )
        return Sizes(licences, min(300, max(60, licences // 50)), min(50_000, licences // 4))

    @staticmethod
    def scaled(scale: float) -> Sizes:
        """Return the sizes of a district ``scale`` times the default one, at least the smallest."""
        return Sizes.of(max(LEAST_LICENCES, round(DEFAULT_LICENCES * scale)))


@dataclass(frozen=True)
class Generated:
    """The rows of each resource but ``divisions``, the hub's own table of accepted licence types, the truth on wrong rows."""

    rows: Mapping[str, pa.RecordBatch]
    accepted: tuple[Accepted, ...]
    wrong: tuple[Wrong, ...]


def generate(sizes: Sizes, seed: int = SEED, anchor: datetime = ANCHOR) -> Generated:
    """Return the district's rows as its systems hold them, source columns and all; the same arguments give the same rows.

    Args:
        sizes: how many.
        seed: where chance starts. Each table has a stream of its own, so that one changed does not change the others.
        anchor: aware instant; no row is younger.
    """
    at = np.datetime64(anchor.astimezone(UTC).replace(tzinfo=None), "us")
    chance = {name: np.random.default_rng([seed, n]) for n, name in enumerate(_STREAMS)}
    items = make_items(sizes.items)
    holders = make_holders(chance["people"], sizes.licences)
    materials, accepted = material_sheet(chance["materials"], items, at)
    sheets: tuple[Sheet, ...] = (
        item_sheet(chance["items"], items, at),
        implementation_sheet(chance["ways"], items, at),
        materials,
        type_sheet(chance["types"], at),
        licence_sheet(chance["licences"], holders, sizes.licences, at),
        *case_sheets(chance["cases"], items, holders, sizes.applications, at),
    )
    return Generated({s.resource: s.rows() for s in sheets}, accepted, tuple(w for s in sheets for w in s.wrong))


def accepted_licences(sizes: Sizes, seed: int = SEED) -> tuple[Accepted, ...]:
    """Return the hub's own table of the same district: which licence types each material of an item accepts."""
    return material_sheet(
        np.random.default_rng([seed, _STREAMS.index("materials")]), make_items(sizes.items), np.datetime64(0, "us")
    )[1]


def divisions() -> pa.RecordBatch:
    """Return the real division codes of China: code, name, level, parent."""
    with files("console.demo").joinpath("data/divisions.parquet").open("rb") as file:
        table = pq.read_table(file)
    table = table.set_column(2, "level", pc.cast(table["level"], pa.int16())).combine_chunks()
    return table.to_batches()[0]
