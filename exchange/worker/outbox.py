"""Events of the registry and of runs: written with their change, published by the worker that holds the duty."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from exchange.bus.envelope import JSON, Envelope

if TYPE_CHECKING:
    from exchange.bootstrap import Hub


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
