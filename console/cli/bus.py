"""``onedoor bus``: topics, how far readers are behind, headers of messages, reading again from an offset."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli.output import Json, show, table

if TYPE_CHECKING:
    from exchange.bootstrap import Hub

Group = Annotated[str, typer.Option(help="The group of readers; the workers that land are `store`.")]
Partition = Annotated[int, typer.Option(min=0, help="The partition.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="The bus: topics, backlogs, messages' headers, replay.", no_args_is_help=True)
    group.command("topics", help="List the topics with what they hold.\n\nExample: onedoor bus topics --json")(topics)
    group.command(
        "backlog",
        help="Show how many messages wait for a group of readers, for each partition.\n\n"
        "Example: onedoor bus backlog onedoor.440205.licences",
    )(backlog)
    group.command(
        "headers",
        help="Show the headers of messages from an offset on, never their values.\n\n"
        "Example: onedoor bus headers onedoor.440205.licences --partition 0 --from 0 --n 5",
    )(headers)
    group.command(
        "replay",
        help="Have a group read a partition again from an offset. Workers go there with the next message, or when they start"
        " again; rows that have landed are not landed twice.\n\n"
        "Example: onedoor bus replay onedoor.440205.licences --partition 0 --from 12",
    )(replay)
    app.add_typer(group, name="bus")


def topics(as_json: Json = False) -> None:
    """List the topics."""
    with _hub() as hub:
        rows: list[dict[str, Any]] = [
            {"topic": t.name, "partitions": t.partitions, "bytes": hub.bus.backlog_bytes(t.name), "id": t.id}
            for t in hub.bus.topics()
        ]
    show(rows, as_json=as_json)


def backlog(
    topic: Annotated[str | None, typer.Argument(help="The topic; default: all.")] = None,
    group: Group = "store",
    as_json: Json = False,
) -> None:
    """Show how far a group is behind."""
    with _hub() as hub:
        names = [topic] if topic is not None else [t.name for t in hub.bus.topics()]
        rows: list[dict[str, Any]] = [
            {"topic": n, "partition": lag.partition, "position": lag.position, "end": lag.end, "waiting": lag.messages}
            for n in names
            for lag in hub.bus.backlog(group, n)
        ]
    show(rows, as_json=as_json)


def headers(
    topic: Annotated[str, typer.Argument(help="The topic.")],
    from_offset: Annotated[int, typer.Option("--from", min=0, help="The first offset.")],
    partition: Partition = 0,
    n: Annotated[int, typer.Option(min=1, max=1000, help="How many messages at most.")] = 20,
    as_json: Json = False,
) -> None:
    """Show the headers of messages."""
    from exchange.bus.api import TopicPartition

    with _hub() as hub:
        found = hub.bus.read(TopicPartition(topic, partition), from_offset, n)
    rows: list[dict[str, Any]] = [{"offset": m.offset, "bytes": len(m.value), "headers": dict(m.headers)} for m in found]

    def text() -> Any:
        lines = [[row["offset"], row["bytes"], "\n".join(f"{k}: {v}" for k, v in row["headers"].items())] for row in rows]
        return table(["offset", "bytes", "headers"], lines) if rows else "nothing"

    show(rows, as_json=as_json, text=text)


def replay(
    topic: Annotated[str, typer.Argument(help="The topic.")],
    from_offset: Annotated[int, typer.Option("--from", min=0, help="The offset to read again from.")],
    partition: Partition = 0,
    group: Group = "store",
    as_json: Json = False,
) -> None:
    """Set the position of a group."""
    from exchange.bus.api import TopicPartition
    from exchange.bus.faults import no_topic
    from exchange.store.positions import move

    with _hub() as hub:
        found = hub.bus.topic(topic)
        if found is None:
            raise no_topic(topic)
        hub.bus.read(TopicPartition(topic, partition), from_offset, 1)  # refused where the offset is not kept
        with hub.connect() as connection, connection.transaction():
            before = move(connection, group, found, partition, from_offset)
    answer = {"group": group, "topic": topic, "partition": partition, "before": before, "position": from_offset}
    show(answer, as_json=as_json)


@contextmanager
def _hub() -> Iterator[Hub]:
    from exchange.bootstrap import open_hub
    from exchange.settings import load_settings

    hub = open_hub(load_settings())
    try:
        yield hub
    finally:
        hub.close()
