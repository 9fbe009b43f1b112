"""The process that gets and reads another catalogue: once it reads, it asks nobody any more. ``exchange.bounded`` starts it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO, Any, Final

from catalog_registry.harvest.documents import form_of, read_catalogue
from exchange.bounded import answer, refuse_network
from exchange.harvest.fetch import fetch, read_file
from schemas.errors import Fault, RejectedError

GROWTH: Final = 4
"""What is told of the datasets is at most so many times as long as a catalogue may be. What stands there once, such as the name
of a publisher, is told with each dataset that refers to it."""


def _read(asked: dict[str, Any], _: IO[bytes] | None) -> bytes:
    address, most = str(asked["address"]), int(asked["most_bytes"])
    if address.startswith("file:"):
        data, media_type = read_file(Path(address.removeprefix("file:")), most), ""
    else:
        data, media_type = fetch(address, asked["allowed"], most, float(asked["within_s"]))
    refuse_network()
    read = read_catalogue(data, form_of(data, media_type, address.partition("?")[0]))
    documents, size = [], 0
    for one in read.documents:
        documents.append({"iri": one.iri, "title": one.title, "content": dict(one.content)})
        size += len(json.dumps(documents[-1]))
        if size > GROWTH * most:
            raise RejectedError(
                f"what it says of its datasets is above {GROWTH * most} bytes",
                code="harvest.size",
                remedy="raise ONEDOOR_HARVEST_BYTES",
                fault=Fault.PROVIDER,
            )
    return json.dumps({"documents": documents, "nameless": read.nameless, "untitled": read.untitled}).encode()


if __name__ == "__main__":
    answer(_read)
