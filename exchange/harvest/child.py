"""The process that gets and reads another catalogue: its memory is bounded, and once it reads, it asks nobody any more.

``python -m exchange.harvest.child`` takes what to do as JSON on standard input and says what it read, or why not, as JSON.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import Any, Final

from catalog_registry.harvest.documents import form_of, read_catalogue
from exchange.harvest.fetch import fetch, read_file
from schemas.errors import Fault, OneDoorError, RejectedError

MEMORY_BYTES: Final = 4 << 30
GROWTH: Final = 4
"""What is told of the datasets is at most so many times as long as a catalogue may be. What stands there once, such as the name
of a publisher, is told with each dataset that refers to it."""


def main() -> None:
    """Do what standard input says."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    asked = json.load(sys.stdin)
    try:
        json.dump(_read(asked), sys.stdout)
    except OneDoorError as error:
        told = {"kind": error.kind, "code": error.code, "message": error.message, "remedy": error.remedy}
        json.dump(told | {"fault": str(error.fault)}, sys.stdout)


def _read(asked: dict[str, Any]) -> dict[str, Any]:
    address, most = str(asked["address"]), int(asked["most_bytes"])
    if address.startswith("file:"):
        data, media_type = read_file(Path(address.removeprefix("file:")), most), ""
    else:
        data, media_type = fetch(address, asked["allowed"], most, float(asked["within_s"]))
    sys.addaudithook(_refuse_network)
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
    return {"documents": documents, "nameless": read.nameless, "untitled": read.untitled}


def _refuse_network(event: str, _: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        raise PermissionError("a catalogue that is read asks nobody for anything")


if __name__ == "__main__":
    main()
