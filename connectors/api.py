"""The ports of the connectors: how rows come in (``Source``) and go out (``Sink``). Their docstrings are the contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from schemas.batch import RawBatch, ReleasedRows
from schemas.contract import DataContract


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a source can do; the runner asks these, never names.

    ``incremental``: reads after a cursor. ``safe_bound``: can compute a bound below which no open session will commit, where
    the account may see the sessions. ``snapshot``: all batches of one ``read`` come from one snapshot. ``keyset``: rows come
    ordered by key and can be read after a key. ``introspects``: can describe a table.
    """

    incremental: bool = False
    safe_bound: bool = False
    snapshot: bool = False
    keyset: bool = False
    introspects: bool = False


class BoundKind(StrEnum):
    """Where the upper bound of an incremental read comes from; a run says which."""

    COMPUTED = "computed"  # from the source's open sessions
    DECLARED = "declared"  # the contract's lag, on the provider's word


@dataclass(frozen=True, slots=True)
class Window:
    """What an incremental read covers: ``after < cursor field <= upto``, canonical texts; ``after`` None: from the start.

    And every row without a cursor, which no window would ever hold.
    """

    after: str | None
    upto: str
    kind: BoundKind


Key = Sequence[Any]
"""The values of a primary key in its order, as Python values that the source gave."""


@dataclass(frozen=True, slots=True)
class SourceState:
    """A cheap fingerprint of a table, to say whether it stood still during a read.

    Equal texts: the second question met the very rows that the first did.
    """

    fingerprint: str | None


@dataclass(frozen=True, slots=True)
class Column:
    """A column as the source describes it. ``logical`` is ODCS' word for its type."""

    name: str
    native_type: str
    logical: str
    nullable: bool
    max_length: int | None = None
    precision: int | None = None
    scale: int | None = None
    comment: str = ""


@dataclass(frozen=True, slots=True)
class TableShape:
    """A table as the source describes it; ``key`` is empty where it declares none; ``rows`` is the source's own estimate."""

    table: str
    columns: Sequence[Column]
    key: Sequence[str]
    rows: int | None = None
    comment: str = ""


class Source(Protocol):
    """Reads one department's system. Opened for one run; used by one thread at a time.

    Every method may raise ``TransientError`` (a later try may succeed: connection refused or cut), ``RejectedError`` (the
    provider or the operator must mend something: unknown table, renamed column, wrong password, no privilege) and nothing
    else: drivers' errors do not leave ``client.py``.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What this source can do with this account."""
        ...

    def check(self, contract: DataContract) -> None:
        """Raise ``RejectedError`` naming every column of the contract that is missing or whose type cannot be read."""
        ...

    def describe(self, table: str) -> TableShape:
        """Describe a table or a view. Raises ``RejectedError`` where there is none of that name, naming near ones."""
        ...

    def read(
        self, contract: DataContract, *, window: Window | None = None, after: Key | None = None, batch_rows: int = 20_000
    ) -> Iterator[RawBatch]:
        """Yield the rows of the contract's table, ordered by key where ``capabilities.keyset``, each once.

        Args:
            contract: names table and columns; each batch has its ``source_name`` columns in the contract's order. A column's
                Arrow type may differ between batches: a value that its type cannot hold exactly makes it text.
            window: only rows whose cursor field lies in it, and those where it is null: ``required`` sets them aside, each time
                they are read, rather than that nobody ever hears of them.
            after: only rows whose key comes after this one (and rows whose key holds a null), to go on with a read. Values as
                a batch gave them, or texts of them. One that holds a null: only rows whose key holds a null, all of them.
            batch_rows: an upper limit for the rows of a batch; a small table gives one batch, an empty one none.

        Rows whose key holds a null come last, in batches of their own. Rows of the same key stand in one batch, so that going
        on after the last key of a batch leaves none out; more of them than ``batch_rows`` are refused.
        Nothing is asked of the source before the first batch is; closing the iterator gives the read up. The first read without
        a window after ``state`` reads what ``state`` saw, where ``capabilities.snapshot``; every other one what is there then.
        """
        ...

    def window(self, contract: DataContract, after: str | None, now: datetime) -> Window:
        """Return what the next incremental read may cover.

        Up to ``now`` less the lag where the contract declares one, which is the provider's word; else up to the computed bound,
        and with it the contract says that the database sets the cursor when it inserts or changes a row. From ``overlap_s``
        before ``after``; a cursor does not go back. Where ``after`` is past the bound by no more than ``overlap_s``, the window
        is empty: from ``after`` to ``after``.

        Raises ``RejectedError`` where neither can be had: nothing is called safe that the account could not see; where
        ``after`` is further past the bound, so that all between would be skipped (``source.after_bound``); and where it is the
        text of no instant (``source.cursor_form``).
        """
        ...

    def state(self, contract: DataContract) -> SourceState:
        """Return the table's fingerprint, None where none is exact; comparable until ``close``. It may scan the table.

        It is the fingerprint of a snapshot, which the next read without a window takes too: what was committed between the two
        is in neither.
        """
        ...

    def close(self) -> None:
        """Let go of every connection, at once; a read under way is given up. Twice is once."""
        ...


class Sink(Protocol):
    """Takes released rows to one subscriber. (Landing is not a sink: it is the store's own SQL.)"""

    def write(self, rows: ReleasedRows, delivery_key: str) -> None:
        """Make the rows durable at the subscriber, once for each key. Raises ``TransientError`` if a later try may succeed."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


@dataclass(frozen=True, slots=True)
class ConnectorSpec:
    """What a connector's ``spec.py`` says of it without importing its driver.

    ``entry`` is ``module:Class``; the class is called with the settings object and a clock, and connects when it is first asked
    something. ``settings`` extends ``connectors.settings.SourceSettings``. ``schemes`` are the URL schemes it answers to.
    """

    name: str
    summary: str
    schemes: Sequence[str]
    settings: type
    capabilities: Capabilities
    entry: str
    secrets: Mapping[str, str] | None = None
