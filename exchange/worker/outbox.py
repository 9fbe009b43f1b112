"""Events of the registry and of runs: written with their change, published by the worker that holds the duty."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Final

from psycopg.types.json import Jsonb

from exchange.bus.envelope import JSON, Envelope
from exchange.store.database import Connection
from exchange.store.runs import Run
from schemas.ids import new_id
from schemas.resource import event_topic

if TYPE_CHECKING:
    from exchange.bootstrap import Hub

AREA: Final = "runs"


def run_event(connection: Connection, run: Run, now: datetime) -> None:
    """Write the event that a run is closed, in the caller's transaction."""
    body = run.as_json()
    body.pop("error", None)
    connection.execute(
        "INSERT INTO registry.outbox (id, at, topic, key, type, payload) VALUES (%s, %s, %s, %s, %s, %s)",
        [new_id("e", now), now, event_topic(AREA), run.resource, f"onedoor.run.{run.state}", Jsonb(body)],
    )


def publish_outbox(hub: Hub) -> int:
    """Publish the events that wait, in order, and mark them; an event can go out twice after a kill, with the same id."""
    events = hub.registry.events_waiting()
    if not events:
        return 0
    messages = []
    for event in events:
        hub.bus.ensure_topic(event.topic)
        envelope = Envelope(
            {
                "specversion": "1.0",
                "id": event.id,
                "source": f"/onedoor/{hub.settings.division}",
                "type": event.type,
                "time": event.at.isoformat().replace("+00:00", "Z"),
                "subject": event.subject,
                "operation": "event",
                "datacontenttype": JSON,
            },
            json.dumps(event.data, ensure_ascii=False, sort_keys=True).encode(),
        )
        messages.append(envelope.message(event.topic, 0, event.subject.encode()))
    hub.bus.publish(messages)
    hub.registry.events_published([event.id for event in events])
    return len(events)
