"""The process that gets and reads another catalogue: once it reads, it asks nobody any more. ``exchange.bounded`` starts it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO, Any

from catalog_registry.harvest.documents import form_of, read_catalogue
from exchange.bounded import answer, refuse_network
from exchange.harvest.fetch import fetch, read_file


def _read(asked: dict[str, Any], _: IO[bytes] | None) -> bytes:
    address, most = str(asked["address"]), int(asked["most_bytes"])
    if address.startswith("file:"):
        data, media_type = read_file(Path(address.removeprefix("file:")), most), ""
    else:
        data, media_type = fetch(address, asked["allowed"], most, float(asked["within_s"]))
    refuse_network()
    read = read_catalogue(data, form_of(data, media_type, address.partition("?")[0]))
    documents = [{"iri": d.iri, "title": d.title, "content": dict(d.content)} for d in read.documents]
    return json.dumps({"documents": documents, "nameless": read.nameless, "untitled": read.untitled}).encode()


if __name__ == "__main__":
    answer(_read)
