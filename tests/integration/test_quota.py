"""A quota is counted exactly, whoever asks and however many workers there are, and most calls ask no database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from catalog_registry.records import GrantRecord, Receiver, ReceiverKind
from catalog_registry.registry import Registry
from exchange.trust.quota import BLOCK, LEASE_S, QuotaBook, QuotaError
from schemas.clock import FakeClock
from schemas.errors import TransientError
from schemas.secret import Secret
from tests.contract_text import contract_text

NOON = datetime(2026, 11, 2, 4, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def registry(module_hub_db: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    folder: Path = tmp_path_factory.mktemp("registry")
    made = Registry(module_hub_db, FakeClock(NOON), keys_dir=folder / "keys", dags_json=folder / "dags.json")
    made.ensure_department("market", "市场监督管理局")
    made.ensure_department("civil", "民政局")
    made.ensure_system("approval", "审批系统", "market")
    made.add_source("market_db", Secret("postgresql://reader@db.local/approval"), system="approval")
    made.register_resource(contract_text(), by="setup")
    yield made
    made.close()


@pytest.fixture
def give(registry: Registry) -> Callable[..., GrantRecord]:
    def made(**quota: int) -> GrantRecord:
        return registry.make_grant(
            Receiver(ReceiverKind.DEPARTMENT, "civil"),
            "staff",
            ["id"],
            legal_basis="国令809",
            from_at=NOON - timedelta(days=1),
            to_at=NOON + timedelta(days=30),
            by="setup",
            purposes=["accept_case"],
            quota=quota,
        )

    return made


def with_books(url: str, count: int, do: Callable[..., Coroutine[Any, Any, Any]], **more: Any) -> Any:
    """Run what uses some workers' books, and close them."""

    async def run() -> Any:
        books = [QuotaBook(url, **more) for _ in range(count)]
        try:
            return await do(*books)
        finally:
            for book in books:
                await book.close()

    return asyncio.run(run())


async def until_refused(book: QuotaBook, grant: GrantRecord, now: datetime, *, tasks: int = 1) -> int:
    """Return how many calls a worker counts, several at once, until it is refused."""

    async def one() -> int:
        count = 0
        while True:
            try:
                await book.take(grant, now)
            except QuotaError:
                return count
            count += 1
            await asyncio.sleep(0)

    return sum(await asyncio.gather(*(one() for _ in range(tasks))))


def counted(url: str, grant: GrantRecord) -> tuple[int, int]:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT calls, rows FROM exchange.quota_count WHERE grant_id = %s", [grant.id]).fetchone()
    assert row is not None
    return row[0], row[1]


def test_workers_that_hammer_one_grant_give_exactly_its_quota_and_ask_seldom(
    module_hub_db: str, give: Callable[..., GrantRecord]
) -> None:
    grant = give(per_day=2_000)

    async def hammer(*books: QuotaBook) -> tuple[int, int]:
        got = await asyncio.gather(*(until_refused(book, grant, NOON, tasks=8) for book in books))
        return sum(got), sum(book.asked for book in books)

    total, asked = with_books(module_hub_db, 4, hammer)
    assert total == 2_000
    assert counted(module_hub_db, grant)[0] == 2_000
    assert asked < 400  # a call for itself would be 2,000


def test_far_from_the_limit_a_block_of_calls_is_one_question(module_hub_db: str, give: Callable[..., GrantRecord]) -> None:
    grant = give(per_day=1_000_000)

    async def some(book: QuotaBook) -> int:
        for _ in range(BLOCK):
            await book.take(grant, NOON)
        return book.asked

    assert with_books(module_hub_db, 1, some) == 1


def test_what_a_worker_does_not_use_it_gives_back_at_its_end(module_hub_db: str, give: Callable[..., GrantRecord]) -> None:
    grant = give(per_day=10_000)

    async def one(book: QuotaBook) -> None:
        await book.take(grant, NOON)

    with_books(module_hub_db, 1, one)
    assert counted(module_hub_db, grant) == (1, 0)


def test_what_a_worker_does_not_use_it_gives_back_when_its_lease_runs_out(
    module_hub_db: str, give: Callable[..., GrantRecord]
) -> None:
    grant, ticks = give(per_day=10_000), [0.0]

    async def idle(book: QuotaBook) -> None:
        await book.take(grant, NOON)
        ticks[0] = LEASE_S - 1
        await book.tidy()
        assert counted(module_hub_db, grant)[0] == BLOCK
        ticks[0] = LEASE_S
        await book.tidy()
        assert counted(module_hub_db, grant)[0] == 1
        await book.take(grant, NOON)

    with_books(module_hub_db, 1, idle, monotonic=lambda: ticks[0])
    assert counted(module_hub_db, grant)[0] == 2


def test_a_worker_that_dies_loses_its_block_and_no_more_than_the_quota_is_given(
    module_hub_db: str, give: Callable[..., GrantRecord]
) -> None:
    grant = give(per_day=4_800)

    async def crash(other: QuotaBook) -> int:
        dying = QuotaBook(module_hub_db)
        await dying.take(grant, NOON)
        dying._drop()  # no word to the database
        return 1 + await until_refused(other, grant, NOON)

    total = with_books(module_hub_db, 1, crash)
    assert total == 4_800 - BLOCK + 1


def test_a_new_day_of_china_begins_anew(module_hub_db: str, give: Callable[..., GrantRecord]) -> None:
    grant = give(per_day=5)
    evening = datetime(2026, 11, 2, 15, 59, 59, tzinfo=UTC)

    async def over_midnight(first: QuotaBook, second: QuotaBook) -> tuple[int, ...]:
        got = [await until_refused(first, grant, evening)]
        with pytest.raises(QuotaError) as refusal:
            await second.take(grant, evening)
        assert (refusal.value.limit, refusal.value.retry_after_s) == ("per_day", 2)
        got.append(await until_refused(second, grant, evening + timedelta(seconds=1)))
        got.append(await until_refused(first, grant, evening))  # its clock is behind: the day that is over stays over
        return tuple(got)

    assert with_books(module_hub_db, 2, over_midnight) == (5, 5, 0)


def test_a_minute_gives_its_calls_and_the_burst_that_the_minutes_before_left_over(
    module_hub_db: str, give: Callable[..., GrantRecord]
) -> None:
    grant = give(per_minute=5, burst=3)

    async def minutes(*books: QuotaBook) -> list[int]:
        got = []
        for minute in (0, 1, 2, 4, 5):
            now = NOON + minute * MINUTE
            got.append(sum(await asyncio.gather(*(until_refused(book, grant, now, tasks=3) for book in books))))
        now = NOON + 6 * MINUTE
        for _ in range(3):
            await books[0].take(grant, now)
        got.append(sum(await asyncio.gather(*(until_refused(book, grant, now + MINUTE) for book in books))))
        return got

    # the burst is there at the beginning; then a minute of which nothing is left over; one without a call fills the burst
    assert with_books(module_hub_db, 2, minutes) == [8, 5, 5, 8, 5, 7]


def test_rows_of_a_day_are_lent_to_an_answer_and_what_it_does_not_give_comes_back(
    module_hub_db: str, give: Callable[..., GrantRecord]
) -> None:
    grant = give(rows_per_day=100)

    async def answers(book: QuotaBook, other: QuotaBook) -> None:
        lent = await book.lend_rows(grant, 70, NOON)
        assert lent is not None
        rest = await other.lend_rows(grant, 70, NOON)
        assert (lent.rows, rest and rest.rows) == (70, 30)
        with pytest.raises(QuotaError) as refusal:
            await other.lend_rows(grant, 1, NOON)
        assert refusal.value.limit == "rows_per_day"
        await book.give_back(lent, 20)
        again = await other.lend_rows(grant, 70, NOON)
        assert again is not None
        assert again.rows == 50

    with_books(module_hub_db, 2, answers)
    assert counted(module_hub_db, grant) == (0, 100)


def test_a_look_up_that_would_give_more_rows_than_are_left_gives_none(
    module_hub_db: str, give: Callable[..., GrantRecord]
) -> None:
    grant = give(rows_per_day=5, per_day=100)

    async def look_up(book: QuotaBook) -> None:
        await book.take(grant, NOON, rows=3)
        with pytest.raises(QuotaError) as refusal:
            await book.take(grant, NOON, rows=3)
        assert refusal.value.limit == "rows_per_day"
        await book.take(grant, NOON, rows=2)

    with_books(module_hub_db, 1, look_up)
    assert counted(module_hub_db, grant) == (2, 5)


def test_a_call_that_is_put_back_is_for_its_own_minute_only(module_hub_db: str, give: Callable[..., GrantRecord]) -> None:
    grant = give(per_day=5)
    midnight = datetime(2026, 11, 2, 16, tzinfo=UTC)

    async def put_back(book: QuotaBook) -> tuple[int, int]:
        before = midnight - MINUTE
        taken = await book.take(grant, before)
        assert taken is not None
        book.put_back(taken)
        assert await until_refused(book, grant, before) == 5
        late = await book.take(grant, midnight)
        assert late is not None
        book.put_back(taken)  # of the day before
        return await until_refused(book, grant, midnight), counted(module_hub_db, grant)[0]

    assert with_books(module_hub_db, 1, put_back) == (4, 5)


def test_where_the_counts_cannot_be_reached_nothing_is_given(give: Callable[..., GrantRecord]) -> None:
    grant = give(per_day=5)

    async def away(book: QuotaBook) -> None:
        with pytest.raises(TransientError) as failure:
            await book.take(grant, NOON)
        assert failure.value.code == "quota.away"

    with_books("postgresql://nobody@127.0.0.1:1/none", 1, away)


def test_the_role_of_the_api_lends_and_changes_no_count_by_itself(
    module_hub_db: str, superuser_url: str, give: Callable[..., GrantRecord]
) -> None:
    grant = give(per_day=5)
    database = module_hub_db.rsplit("/", 1)[1]
    url = superuser_url.rsplit("/", 1)[0] + f"/{database}?options=-c%20role%3Donedoor_api"

    async def exhaust(book: QuotaBook) -> int:
        return await until_refused(book, grant, NOON)

    assert with_books(url, 1, exhaust) == 5
    for statement in (
        "UPDATE exchange.quota_count SET calls = 0",
        "DELETE FROM exchange.quota_count",
        "UPDATE exchange.grant_bulk SET settled_at = first_at",
    ):
        with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)  # type: ignore[call-overload]
