"""The topics that a worker lands: one of each resource that has a contract, followed by what changed."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from exchange.store.runs import error_json
from schemas.errors import OneDoorError, TransientError
from schemas.resource import data_topic, resource_name

if TYPE_CHECKING:
    from exchange.bootstrap import Hub

WHOLE_AFTER_S: Final = 600.0
"""After that all is read again: a topic may have been lost on the bus meanwhile."""


@dataclass
class Topics:
    """Which topics there are. A look reads what changed in the registry since the last one; all of it now and then."""

    hub: Hub
    worker: str
    _version: int = -1
    _event: int = 0
    _whole: float = float("-inf")
    _there: set[str] = field(default_factory=set)
    _listed: list[str] = field(default_factory=list)
    _told: set[str] = field(default_factory=set)

    def look(self) -> list[str]:
        """Return the topics, each made where it was not there; a resource whose topic has other partitions is left out."""
        registry = self.hub.registry
        whole = self._event == 0 or time.monotonic() - self._whole >= WHOLE_AFTER_S
        if not whole and registry.version() == self._version:
            return self._listed
        place = registry.place()
        events = None if whole else registry.events_since(self._event)
        if events is None:
            began, found = time.monotonic(), registry.collected()
            kept = {topic.name: topic.partitions for topic in self.hub.bus.topics()}
            self._there = self._made(found, kept)
            self._whole = began
        elif names := {subject for type_, subject in events if type_.startswith("resource.")}:
            found = registry.collected(names)
            self._there -= {self._topic(name) for name in names}
            self._there |= self._made(found, {})
        self._version, self._event = place.version, place.event
        listed = sorted(self._there)
        if listed != self._listed:
            self._listed = listed
        return self._listed

    def _made(self, wanted: dict[str, int], kept: dict[str, int]) -> set[str]:
        """Return the topics of resources that are on the bus as their contracts want them; ``kept`` were seen there."""
        there = set()
        for name, partitions in wanted.items():
            topic = self._topic(name)
            try:
                if kept.get(topic) != partitions:
                    self.hub.bus.ensure_topic(topic, partitions)
            except TransientError:
                raise
            except OneDoorError as error:  # one resource's defect must not stop the others
                if topic not in self._told:
                    self._told.add(topic)
                    self.hub.log.critical("a resource is not landed", worker=self.worker, topic=topic, **error_json(error))
                continue
            there.add(topic)
        return there

    def _topic(self, resource: str) -> str:
        return data_topic(self.hub.settings.division, resource_name(resource))
