"""The ledger on a real PostgreSQL: what is recorded can be verified, and what is altered is found and named."""

from __future__ import annotations

import asyncio
import contextlib
import json
import select
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from exchange.settings import Settings
from exchange.trust.checkpoint import published_path, seal_checkpoint
from exchange.trust.export import DatabaseEvidence, ExportEvidence, export
from exchange.trust.keyring import KeyRing, create_keys
from exchange.trust.ledger import AsyncLedger, Ledger
from exchange.trust.record import LedgerRecord, Receipt
from exchange.trust.verify import Verdict, verify, verify_receipt
from schemas.clock import FakeClock
from schemas.errors import DefectError, RejectedError, TransientError

Connect = Callable[[], psycopg.Connection[Any]]


@pytest.fixture
def connect(hub_db: str) -> Connect:
    return lambda: psycopg.connect(hub_db)


@pytest.fixture
def keys(tmp_path: Path, connect: Connect) -> KeyRing:
    create_keys(tmp_path / "keys")
    return KeyRing.open(tmp_path / "keys", connect)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "published"


def record(number: int = 0, **more: Any) -> LedgerRecord:
    return LedgerRecord(kind="licence.lookup", outcome="allowed", request=f"q{number}", purpose="accept_case", **more)


def checked(connect: Connect, keys: KeyRing, folder: Path | None = None) -> Verdict:
    with DatabaseEvidence.open(connect) as evidence:
        return verify(evidence, keys.ledger_public_key(), folder)


def change(connect: Connect, statement: str, *values: object) -> None:
    """Do as an intruder would who owns the database: its tables refuse changes until their triggers are off."""
    with connect() as connection:
        for table in ("ledger", "checkpoint"):
            connection.execute(f"ALTER TABLE trust.{table} DISABLE TRIGGER append_only")
        assert connection.execute(statement, values).rowcount >= 1


def three_chains(connect: Connect, keys: KeyRing, clock: FakeClock, folder: Path) -> None:
    """Three chains, two checkpoints, and records that none seals yet."""
    ledgers = [Ledger.open(connect, keys, clock, name) for name in ("a", "b", "c")]
    for ledger in ledgers:
        ledger.append([record(i) for i in range(5)])
    assert seal_checkpoint(connect, keys, clock, folder) is not None
    ledgers[0].append([record(i) for i in range(5, 8)])
    assert seal_checkpoint(connect, keys, clock, folder) is not None
    ledgers[1].append([record(9)])


def test_an_untouched_ledger_is_intact_and_its_receipts_hold(
    connect: Connect, keys: KeyRing, clock: FakeClock, folder: Path
) -> None:
    ledger = Ledger.open(connect, keys, clock, "w1")
    receipts = ledger.append([record(1), record(2)])
    assert [r.n for r in receipts] == [1, 2]  # n 0 is the start of the chain
    made = seal_checkpoint(connect, keys, clock, folder)
    assert made is not None
    assert made.n == 1
    assert made.records == 3
    assert seal_checkpoint(connect, keys, clock, folder) is None  # nothing new
    (late,) = ledger.append([record(3)])
    verdict = checked(connect, keys, folder)
    assert (verdict.faults, verdict.records, verdict.checkpoints, verdict.unsealed) == ((), 4, 1, 1)
    with DatabaseEvidence.open(connect) as evidence:
        assert verify_receipt(receipts[0], evidence, keys.ledger_public_key()).checkpoint == 1
        pending = verify_receipt(late, evidence, keys.ledger_public_key())
        assert pending.holds
        assert pending.checkpoint is None
        assert not verify_receipt(Receipt("w1", 2, "0" * 64), evidence, keys.ledger_public_key()).holds
        assert not verify_receipt(Receipt("w1", 9, late.hash), evidence, keys.ledger_public_key()).holds


def test_a_chain_starts_by_citing_the_last_checkpoint(connect: Connect, keys: KeyRing, clock: FakeClock, folder: Path) -> None:
    Ledger.open(connect, keys, clock, "w1").append([record()])
    made = seal_checkpoint(connect, keys, clock, folder)
    assert made is not None
    Ledger.open(connect, keys, clock, "w2").append([record()])
    with connect() as connection:
        (body,) = connection.execute("SELECT record FROM trust.ledger WHERE chain = 'w2' AND n = 0").fetchone()  # type: ignore[misc]
    assert json.loads(body)["checkpoint"] == {"n": 1, "hash": made.hash.hex()}
    assert checked(connect, keys, folder).intact


def test_records_within_a_transaction_go_with_it(connect: Connect, keys: KeyRing, clock: FakeClock, folder: Path) -> None:
    ledger = Ledger.open(connect, keys, clock, "w1")
    ledger.append([record(1)])
    with connect() as connection:
        ledger.append([record(2)], within=connection)
        connection.rollback()
        (kept,) = ledger.append([record(3)], within=connection)
        connection.commit()
    (after,) = ledger.append([record(4)])
    assert (kept.n, after.n) == (2, 3)
    assert checked(connect, keys, folder).faults == ()


def test_a_record_outside_a_transaction_is_refused(connect: Connect, keys: KeyRing, clock: FakeClock, hub_db: str) -> None:
    ledger = Ledger.open(connect, keys, clock, "w1")
    with psycopg.connect(hub_db, autocommit=True) as connection, pytest.raises(DefectError) as caught:
        ledger.append([record(1)], within=connection)
    assert caught.value.code == "ledger.no_transaction"


def test_a_record_that_commits_late_is_sealed_by_the_next_checkpoint(
    connect: Connect, keys: KeyRing, clock: FakeClock, folder: Path
) -> None:
    early, late = Ledger.open(connect, keys, clock, "early"), Ledger.open(connect, keys, clock, "late")
    early.append([record(1)])
    with connect() as connection:
        late.append([record(2)], within=connection)  # its instant is before the checkpoint, its commit after
        first = seal_checkpoint(connect, keys, clock, folder)
        connection.commit()
    second = seal_checkpoint(connect, keys, clock, folder)
    assert first is not None
    assert [c.chain for c in first.chains] == ["early"]
    assert second is not None
    assert [c.chain for c in second.chains] == ["late"]
    verdict = checked(connect, keys, folder)
    assert verdict.intact
    assert verdict.unsealed == 0


@pytest.mark.parametrize(
    ("statement", "what", "field"),
    [
        (
            (
                "UPDATE trust.ledger SET record = overlay(record PLACING 'X'::bytea FROM octet_length(record) - 20)"
                " WHERE chain = 'b' AND n = 2"
            ),
            "altered",
            "record",
        ),
        (
            "UPDATE trust.ledger SET hash = set_byte(hash, 5, 255 - get_byte(hash, 5)) WHERE chain = 'b' AND n = 2",
            "altered",
            "hash",
        ),
        ("UPDATE trust.ledger SET at = at + interval '1 microsecond' WHERE chain = 'b' AND n = 2", "altered", "at"),
        ("UPDATE trust.ledger SET kind = 'nothing' WHERE chain = 'b' AND n = 2", "altered", "kind"),
        ("DELETE FROM trust.ledger WHERE chain = 'b' AND n = 2", "missing", "record"),
    ],
)
def test_one_altered_byte_is_found_and_its_place_named(
    connect: Connect, keys: KeyRing, clock: FakeClock, folder: Path, statement: str, what: str, field: str
) -> None:
    three_chains(connect, keys, clock, folder)
    assert checked(connect, keys, folder).intact
    change(connect, statement)
    first = checked(connect, keys, folder).first
    assert first is not None
    assert (first.what, first.chain, first.n, first.field) == (what, "b", 2, field)


@pytest.mark.parametrize("junk", ["\\xff", "5b5d", "7b7d", "", "7b22616674657222"])
def test_whatever_stands_in_a_record_s_place_the_place_is_named(
    connect: Connect, keys: KeyRing, clock: FakeClock, folder: Path, junk: str
) -> None:
    three_chains(connect, keys, clock, folder)
    change(connect, "UPDATE trust.ledger SET record = %s WHERE chain = 'b' AND n = 0", bytes.fromhex(junk.replace("\\x", "")))
    change(
        connect, "UPDATE trust.checkpoint SET body = %s, signature = 'x' WHERE n = 2", bytes.fromhex(junk.replace("\\x", ""))
    )
    faults = checked(connect, keys, folder).faults
    assert (faults[0].what, faults[0].chain, faults[0].n) == ("altered", "b", 0)
    assert any(f.chain is None and f.n == 2 for f in faults)


def test_a_tail_that_was_cut_is_found_where_it_begins(connect: Connect, keys: KeyRing, clock: FakeClock, folder: Path) -> None:
    three_chains(connect, keys, clock, folder)
    change(connect, "DELETE FROM trust.ledger WHERE chain = 'a' AND n >= 7")
    first = checked(connect, keys, folder).first
    assert first is not None
    assert (first.what, first.chain, first.n) == ("cut", "a", 7)


def test_a_tail_cut_with_its_checkpoint_is_found_by_what_was_published(
    connect: Connect, keys: KeyRing, clock: FakeClock, folder: Path
) -> None:
    three_chains(connect, keys, clock, folder)
    change(connect, "DELETE FROM trust.ledger WHERE (chain = 'a' AND n > 5) OR (chain = 'b' AND n > 5)")
    change(connect, "DELETE FROM trust.checkpoint WHERE n = 2")
    assert checked(connect, keys).intact  # from inside nothing is seen
    first = checked(connect, keys, folder).first
    assert first is not None
    assert (first.what, first.chain, first.n) == ("cut", None, 2)
    with pytest.raises(DefectError) as caught:  # and the sealer does not seal over it
        seal_checkpoint(connect, keys, clock, folder)
    assert caught.value.code == "ledger.checkpoint_differs"


def test_a_chain_written_again_to_its_end_is_found_by_its_checkpoint(
    connect: Connect, keys: KeyRing, clock: FakeClock, folder: Path
) -> None:
    three_chains(connect, keys, clock, folder)
    change(connect, "DELETE FROM trust.ledger WHERE chain = 'c'")
    Ledger.open(connect, keys, clock, "c").append([record(i) for i in range(5)])
    first = checked(connect, keys, folder).first
    assert first is not None
    assert (first.what, first.chain, first.field) == ("altered", "c", "hash")


def test_a_checkpoint_signed_by_another_key_is_forged(
    connect: Connect, keys: KeyRing, clock: FakeClock, folder: Path, tmp_path: Path
) -> None:
    three_chains(connect, keys, clock, folder)
    create_keys(tmp_path / "other")
    other = KeyRing.open(tmp_path / "other", connect)
    change(connect, "DELETE FROM trust.checkpoint")
    change(connect, "DELETE FROM trust.sealed")
    assert seal_checkpoint(connect, other, clock, tmp_path / "elsewhere") is not None
    faults = checked(connect, keys, folder).faults
    assert (faults[0].what, faults[0].chain, faults[0].n, faults[0].field) == ("forged", None, 1, "signature")


def test_an_altered_published_file_is_found(connect: Connect, keys: KeyRing, clock: FakeClock, folder: Path) -> None:
    three_chains(connect, keys, clock, folder)
    path = published_path(folder, 1)
    text = path.read_text()
    path.chmod(0o600)
    path.write_text(text.replace('\\"n\\":1,', '\\"n\\":3,'))
    first = checked(connect, keys, folder).first
    assert first is not None
    assert (first.what, first.n, first.field) == ("forged", 1, "published file")
    path.unlink()
    first = checked(connect, keys, folder).first
    assert first is not None
    assert (first.what, first.n) == ("unpublished", 1)


def test_a_checkpoint_that_a_crash_left_unpublished_is_published_by_the_next_call(
    connect: Connect, keys: KeyRing, clock: FakeClock, folder: Path
) -> None:
    three_chains(connect, keys, clock, folder)
    content = published_path(folder, 2).read_bytes()
    published_path(folder, 2).unlink()
    made = seal_checkpoint(connect, keys, clock, folder)
    assert made is not None
    assert made.n == 3
    assert published_path(folder, 2).read_bytes() == content
    assert checked(connect, keys, folder).intact


def test_only_one_process_seals(connect: Connect, keys: KeyRing, clock: FakeClock, folder: Path) -> None:
    from exchange.trust.checkpoint import _LOCK

    Ledger.open(connect, keys, clock, "a").append([record()])
    with connect() as other:
        other.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        assert seal_checkpoint(connect, keys, clock, folder) is None
    assert seal_checkpoint(connect, keys, clock, folder) is not None


def test_an_export_stands_for_itself_and_one_altered_line_is_named(
    connect: Connect, keys: KeyRing, clock: FakeClock, folder: Path, tmp_path: Path
) -> None:
    three_chains(connect, keys, clock, folder)
    path = tmp_path / "ledger.jsonl"
    assert export(connect, path, clock.now()) == (22, 2)  # 19 records and the starts of three chains
    key = keys.ledger_public_key()
    assert verify(ExportEvidence(path), key, folder).intact
    lines = path.read_bytes().splitlines(keepends=True)
    altered = [
        line.replace(b'\\"request\\":\\"q2\\"', b'\\"request\\":\\"q3\\"') if b'["c",3,' in line else line for line in lines
    ]
    assert altered != lines
    path.write_bytes(b"".join(altered))
    first = verify(ExportEvidence(path), key).first
    assert first is not None
    assert (first.what, first.chain, first.n, first.field) == ("altered", "c", 3, "record")
    path.write_bytes(b"".join(lines[:-1]))
    with pytest.raises(RejectedError, match="cut off"):
        verify(ExportEvidence(path), key)
    path.write_bytes(b"".join([*lines[:3], lines[3].replace(b":", b";", 1), *lines[4:]]))
    with pytest.raises(RejectedError, match="line 4"):
        verify(ExportEvidence(path), key)


def test_an_export_of_bytes_that_are_no_text_still_names_the_place(
    connect: Connect, keys: KeyRing, clock: FakeClock, folder: Path, tmp_path: Path
) -> None:
    three_chains(connect, keys, clock, folder)
    change(connect, "UPDATE trust.ledger SET record = set_byte(record, 12, 255) WHERE chain = 'a' AND n = 4")
    export(connect, tmp_path / "e", clock.now())
    first = verify(ExportEvidence(tmp_path / "e"), keys.ledger_public_key()).first
    assert first is not None
    assert (first.what, first.chain, first.n) == ("altered", "a", 4)


def test_a_writer_whose_chain_was_cut_behind_it_stops(connect: Connect, keys: KeyRing, clock: FakeClock) -> None:
    ledger = Ledger.open(connect, keys, clock, "w1")
    ledger.append([record(1), record(2)])
    change(connect, "DELETE FROM trust.ledger WHERE n = 2")
    with pytest.raises(DefectError) as caught:
        ledger.append([record(3)])
    assert caught.value.code == "ledger.cut"


def test_the_ledger_away_is_a_transient_error_without_the_password(keys: KeyRing, clock: FakeClock, hub_db: str) -> None:
    away = psycopg.conninfo.conninfo_to_dict(hub_db) | {"port": "1", "connect_timeout": "1"}
    ledger = Ledger.open(lambda: psycopg.connect(**away), keys, clock, "w1")  # type: ignore[arg-type]
    with pytest.raises(TransientError) as caught:
        ledger.append([record(1)])
    assert caught.value.code == "ledger.away"
    assert str(away["password"]) not in f"{caught.value!r} {caught.value.__cause__!r}"


# The API's writer -------------------------------------------------------------------------------------------------------


def test_records_of_one_moment_share_a_commit_and_keep_their_order(
    connect: Connect, keys: KeyRing, clock: FakeClock, folder: Path, hub_db: str
) -> None:
    async def scenario() -> list[Receipt]:
        ledger = await AsyncLedger.open(hub_db, keys, clock, "api1")
        receipts = await asyncio.gather(*(ledger.append(record(i)) for i in range(200)))
        await ledger.close()
        return list(receipts)

    receipts = asyncio.run(scenario())
    assert [r.n for r in receipts] == list(range(1, 201))
    seal_checkpoint(connect, keys, clock, folder)
    assert checked(connect, keys, folder).intact
    with connect() as connection:
        commits = connection.execute("SELECT count(DISTINCT xmin::text) FROM trust.ledger").fetchone()
    assert commits == (1,)


def test_after_an_unknown_outcome_a_new_chain_cites_the_last_known_record(
    connect: Connect, keys: KeyRing, clock: FakeClock, folder: Path, hub_db: str
) -> None:
    async def scenario() -> tuple[Receipt, Receipt]:
        ledger = await AsyncLedger.open(hub_db, keys, clock, "api1", timeout_s=0.3)
        before = await ledger.append(record(1))
        with connect() as blocker:
            blocker.execute("LOCK TABLE trust.ledger IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(TransientError) as caught:
                await ledger.append(record(2))
            assert caught.value.code == "ledger.away"
        after = await ledger.append(record(3))
        await ledger.close()
        return before, after

    before, after = asyncio.run(scenario())
    assert before.chain != after.chain
    with connect() as connection:
        row = connection.execute("SELECT record FROM trust.ledger WHERE chain = %s AND n = 0", (after.chain,)).fetchone()
    assert row is not None
    assert json.loads(row[0])["after"] == {"chain": before.chain, "n": before.n, "hash": before.hash}
    seal_checkpoint(connect, keys, clock, folder)
    assert checked(connect, keys, folder).intact


def test_the_writer_recovers_by_itself_when_its_connection_was_cut(
    connect: Connect, keys: KeyRing, clock: FakeClock, folder: Path, hub_db: str
) -> None:
    async def scenario() -> None:
        ledger = await AsyncLedger.open(hub_db, keys, clock, "api1")
        await ledger.append(record(1))
        change(
            connect,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        answers = await asyncio.gather(*(ledger.append(record(i)) for i in range(3)), return_exceptions=True)
        assert all(isinstance(a, Receipt | TransientError) for a in answers)
        await ledger.append(record(5))
        await ledger.check()
        await ledger.close()
        with pytest.raises(TransientError):
            await ledger.append(record(6))

    asyncio.run(scenario())
    seal_checkpoint(connect, keys, clock, folder)
    assert checked(connect, keys, folder).intact


def test_while_the_ledger_is_away_every_record_is_refused_and_nothing_hangs(keys: KeyRing, clock: FakeClock) -> None:
    async def scenario() -> None:
        ledger = await AsyncLedger.open("postgresql://nobody:secret@127.0.0.1:1/none", keys, clock, "api1", timeout_s=0.5)
        answers = await asyncio.gather(*(ledger.append(record(i)) for i in range(20)), return_exceptions=True)
        assert {getattr(a, "code", None) for a in answers} == {"ledger.away"}
        with pytest.raises(TransientError):
            await ledger.check()
        await ledger.close()

    asyncio.run(asyncio.wait_for(scenario(), 5))


def test_an_error_that_nobody_foresaw_refuses_its_records_and_the_next_ones_are_kept(
    connect: Connect, keys: KeyRing, clock: FakeClock, folder: Path, hub_db: str
) -> None:
    failing = [False]

    def random(size: int) -> bytes:
        if failing[0]:
            raise ValueError("张三丰")
        return bytes(size)

    async def scenario() -> tuple[Receipt, Receipt]:
        ledger = await AsyncLedger.open(hub_db, keys, clock, "api1")
        ledger._random = random
        before = await ledger.append(record(1))
        failing[0] = True
        for _ in range(2):
            with pytest.raises(TransientError) as caught:
                await ledger.append(record(2))
            assert caught.value.code == "ledger.away"
            assert "张三丰" not in "".join(traceback.format_exception(caught.value))
        with pytest.raises(TransientError) as dead:
            await ledger.check()
        assert "张三丰" not in "".join(traceback.format_exception(dead.value))
        failing[0] = False
        await ledger.check()
        after = await ledger.append(record(3))
        await ledger.close()
        return before, after

    before, after = asyncio.run(asyncio.wait_for(scenario(), 20))
    assert before.chain != after.chain
    with connect() as connection:
        kept = connection.execute("SELECT DISTINCT chain FROM trust.ledger ORDER BY chain").fetchall()
    assert kept == [(before.chain,), (after.chain,)]
    seal_checkpoint(connect, keys, clock, folder)
    assert checked(connect, keys, folder).intact


def test_a_record_in_a_transaction_that_the_server_ended_for_its_time_may_be_tried_again(
    connect: Connect, keys: KeyRing, clock: FakeClock
) -> None:
    ledger = Ledger.open(connect, keys, clock, "a")
    with contextlib.closing(connect()) as connection:
        connection.execute("SET idle_in_transaction_session_timeout = '20ms'")
        select.select([connection.fileno()], [], [], 20)
        with pytest.raises(TransientError) as caught:
            ledger.append([record(1)], within=connection)
    assert caught.value.code == "ledger.away"


def test_a_text_that_is_no_unicode_is_refused_alone(connect: Connect, keys: KeyRing, clock: FakeClock, hub_db: str) -> None:
    async def scenario() -> None:
        ledger = await AsyncLedger.open(hub_db, keys, clock, "api1")
        good, bad = await asyncio.gather(
            ledger.append(record(1)), ledger.append(record(2, reason="\ud800")), return_exceptions=True
        )
        assert isinstance(good, Receipt)
        assert isinstance(bad, RejectedError)
        await ledger.close()

    asyncio.run(scenario())


def test_the_commands_verify_export_and_show(
    settings: Settings,
    connect: Connect,
    clock: FakeClock,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from console.cli.main import build
    from console.cli.output import run

    keys = KeyRing.open(settings.keys_dir, connect)
    three_chains(connect, keys, clock, settings.checkpoints_dir)
    monkeypatch.setenv("ONEDOOR_HOME", str(settings.home))
    monkeypatch.setenv("ONEDOOR_DATABASE_URL", settings.database_url)
    app, out = build(), tmp_path / "ledger.jsonl"
    assert run(app, ["audit", "verify", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["intact"] is True
    assert run(app, ["audit", "export", "-o", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["checkpoints"] == 2
    assert run(app, ["audit", "show", "--n", "2", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2
    monkeypatch.delenv("ONEDOOR_HOME")
    monkeypatch.delenv("ONEDOOR_DATABASE_URL")
    monkeypatch.chdir(tmp_path)  # from here on without a hub
    alone = ["audit", "verify", "--export", str(out), "--public-key", str(settings.keys_dir / "ledger.pub")]
    assert run(app, [*alone, "--published", str(settings.checkpoints_dir)]) == 0
    out.write_bytes(out.read_bytes().replace(b'\\"q1\\"', b'\\"q7\\"', 1))
    capsys.readouterr()
    assert run(app, alone) == 1
    assert "altered: chain a n 2, record" in capsys.readouterr().out


def test_the_api_s_role_may_append_and_may_not_change(
    connect: Connect, keys: KeyRing, clock: FakeClock, folder: Path, hub_db: str, superuser_url: str
) -> None:
    url = psycopg.conninfo.conninfo_to_dict(superuser_url) | {"dbname": psycopg.conninfo.conninfo_to_dict(hub_db)["dbname"]}

    def as_api() -> psycopg.Connection[Any]:
        return psycopg.connect(**(url | {"options": "-c role=onedoor_api"}))  # type: ignore[arg-type]

    Ledger.open(as_api, keys, clock, "api").append([record(1)])
    seal_checkpoint(connect, keys, clock, folder)
    assert checked(connect, keys, folder).intact
    for statement in (
        "DELETE FROM trust.ledger",
        "UPDATE trust.ledger SET kind = 'x'",
        "INSERT INTO trust.sealed VALUES ('a', 1, 1)",
    ):
        with as_api() as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)
