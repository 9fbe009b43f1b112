"""Tables held in memory as a source: the fake of every source, and a way to try a contract without a database."""

from __future__ import annotations

from dataclasses import dataclass

from connectors.api import Capabilities, ConnectorSpec
from connectors.settings import SourceSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class MemorySettings(SourceSettings):
    """Nothing but the URL: ``memory://<database>``, the name under which tables were put."""


SPEC = ConnectorSpec(
    name="memory",
    summary="Reads Arrow tables that this process put under a name.",
    schemes=("memory",),
    settings=MemorySettings,
    capabilities=Capabilities(incremental=True, safe_bound=False, snapshot=True, keyset=True, introspects=True),
    entry="connectors.impl.memory.client:Memory",
)
