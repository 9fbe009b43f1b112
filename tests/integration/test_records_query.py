"""A query of records as a department's system meets it: the app as it is served, on rows that were really collected."""

from __future__ import annotations

import asyncio
import base64
import io
import itertools
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from catalog_registry.records import Receiver, ReceiverKind
from exchange.api.records_route import Records
from exchange.licences import view as registry_view
from exchange.query import answer as records_answer
from exchange.query.ask import QueryRequest
from exchange.query.encode import FORMATS
from exchange.settings import Settings
from exchange.trust.export import DatabaseEvidence
from exchange.trust.keyfiles import create_keys
from exchange.trust.record import Receipt
from exchange.trust.verify import verify, verify_receipt
from schemas.canonical import MODULUS
from schemas.contract import CursorSpec, Field, LogicalType
from schemas.rowfilter import parse
from schemas.secret import Secret
from tests.hub import contract
from tests.office import (
    GRANTED,
    HOLDERS,
    ITEM,
    LICENCES,
    OTHER_ITEM,
    Office,
    an_office,
    approved_export,
    fill,
    moved,
    name,
    number,
)

REFUSED = (
    b'{"type":"urn:onedoor:problem:query.refused","title":"Not allowed","status":403,'
    b'"detail":"there is no ground for this query","code":"query.refused","fault":"client"}'
)
NDJSON, CSV = "application/x-ndjson", "text/csv"
ARROW, PARQUET = "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet"
PURPOSE = "statistics"
PATIENCE_S = 5.0
MANY = "number > 0"
SHOPS = 30_000
NOTE = "·韶关市曲江区" * 10

SHOPS_CONTRACT = contract(
    "shops",
    [
        Field("town", LogicalType.STRING, "town", required=True, key=1),
        Field("number", LogicalType.INTEGER, "number", required=True, key=2),
        Field("title", LogicalType.STRING, "title"),
        Field("capital", LogicalType.NUMBER, "capital", precision=20, scale=8),
        Field("share", LogicalType.DOUBLE, "share"),
        Field("active", LogicalType.BOOLEAN, "active"),
        Field("founded_on", LogicalType.DATE, "founded_on"),
        Field("changed_at", LogicalType.TIMESTAMP, "changed_at"),
        Field("opens_at", LogicalType.TIME, "opens_at"),
        Field("seal", LogicalType.BYTES, "seal"),
        Field("note", LogicalType.STRING, "note"),
    ],
)
SHOP_FIELDS = tuple(f.name for f in SHOPS_CONTRACT.fields)
SHOP_TABLE = """CREATE TABLE shops (town text, number bigint, title text, capital numeric(20, 8), share double precision,
  active boolean, founded_on date, changed_at timestamptz, opens_at time, seal bytea, note text, PRIMARY KEY (town, number))"""
FILL_SHOPS = f"""INSERT INTO shops
  SELECT CASE WHEN i % 3 = 0 THEN '马坝镇' WHEN i % 3 = 1 THEN '樟市镇' ELSE '大塘镇' END, i,
         CASE WHEN i % 10 = 0 THEN NULL WHEN i % 10 = 1 THEN ''
              WHEN i % 10 = 2 THEN '# "店",' || chr(10) || i ELSE '店' || i END,
         i / 1000000.0, i / 7.0, i % 2 = 0, date '2020-01-01' + (i % 1000),
         timestamptz '2024-02-29 08:30:00.000004+08' + i * interval '1 second', time '08:30' + i % 60 * interval '1 minute',
         decode(lpad(to_hex(i), 8, '0'), 'hex'), '{NOTE}'
  FROM generate_series(1, {SHOPS}) AS i"""
_names = itertools.count()


@pytest.fixture(scope="module")
def office(module_hub_db: str, module_source_db: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    home = tmp_path_factory.mktemp("home")
    settings = Settings(home=home, database_url=module_hub_db, api_database_url=module_hub_db)
    create_keys(settings.keys_dir)
    fill(module_source_db)
    with an_office(settings, module_source_db) as made:
        made.made.source(SHOP_TABLE, FILL_SHOPS)
        made.made.register(SHOPS_CONTRACT)
        assert made.made.collect("shops").state == "proved"
        yield made


@pytest.fixture(autouse=True)
def as_it_was(office: Office) -> Iterator[None]:
    yield
    office.clock.shift = timedelta(0)


def client(office: Office, resource: str = "shops", **terms: Any) -> Client:
    """Make a machine with a grant of a resource, as ``terms`` say."""
    registry = office.hub.registry
    made, secret = registry.create_machine(
        f"records-{next(_names)}", "test_department", system="test_system", roles=("consumer",)
    )
    now = datetime.now(UTC)
    values: dict[str, Any] = {
        "fields": SHOP_FIELDS if resource == "shops" else GRANTED,
        "legal_basis": "a law",
        "from_at": now - timedelta(days=1),
        "to_at": now + timedelta(days=30),
        "by": "test",
        "purposes": (PURPOSE,),
    } | terms
    grant = ""
    if values.pop("granted", True):
        grant = registry.make_grant(Receiver(ReceiverKind.PRINCIPAL, made.id), resource, values.pop("fields"), **values).id
    office.refresh()
    return Client(office, str(made.client_id), secret, resource, grant)


class Client:
    """A machine that queries one resource."""

    def __init__(self, office: Office, client_id: str, secret: Secret[str], resource: str, grant: str) -> None:
        self.office = office
        self.client_id = client_id
        self.secret = secret
        self.grant = grant
        self.path = f"/api/v1/resources/{resource}/records/query"
        self.token = office.token(client_id, secret)

    def sent(self, accept: str | None = None, **more: Any) -> dict[str, Any]:
        """Return what a request for records is made of."""
        body = {"purpose": PURPOSE, "operator": "job-7"} | more
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/json"}
        content = json.dumps({k: v for k, v in body.items() if v is not ...}, ensure_ascii=False).encode()
        return {"content": content, "headers": headers | ({"accept": accept} if accept else {})}

    def ask(self, accept: str | None = None, **more: Any) -> httpx.Response:
        """Query, and wait for the whole answer."""
        return self.office.http.post(self.path, **self.sent(accept, **more))

    def exported(self, fields: Sequence[str] = GRANTED, **terms: Any) -> str:
        """Return the id of a bulk export that was approved for it."""
        return approved_export(self.office, self.client_id, self.grant, fields, **terms)

    def rows(self, **more: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Query, and return the rows and what is said at the end."""
        answer = self.ask(**more)
        assert answer.status_code == 200, answer.text
        *rows, last = map(json.loads, answer.text.splitlines())
        return rows, last["onedoor"]


def code_of(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


def records(office: Office) -> list[dict[str, Any]]:
    return office.ledger("resource.query")


def stored(office: Office, columns: str = "*", where: str = "true") -> list[tuple[Any, ...]]:
    return office.made.rows(f"SELECT {columns} FROM store.shops WHERE {where} ORDER BY town, number")


def manifest(office: Office, count: int, where: str = "true") -> dict[str, Any]:
    """Return what the ledger must say of the first rows of the store."""
    hashes = [int.from_bytes(row[0], "big") for row in stored(office, "_row_hash", where)[:count]]
    (run,) = office.made.rows("SELECT id FROM exchange.run WHERE resource = 'shops' ORDER BY started_at DESC LIMIT 1")[0]
    return {"run": run, "rows": count, "hash_sum": f"{sum(hashes) % MODULUS:032x}"}


# Allowed ----------------------------------------------------------------------------------------------------------------


def test_rows_are_given_in_the_order_of_the_key_with_only_the_granted_fields(office: Office) -> None:
    asker = client(office, fields=("number", "title", "town"))
    answer = asker.ask(limit=50)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].partition(";")[0] == NDJSON
    assert answer.headers["cache-control"] == "no-store"
    *rows, last = map(json.loads, answer.text.splitlines())
    expected = [{"town": t, "number": n, "title": s} for t, n, s in stored(office, "town, number, title")[:50]]
    assert rows == expected
    assert [list(row) for row in rows[:1]] == [["town", "number", "title"]]
    said = last["onedoor"]
    assert (said["ended"], said["rows"]) == ("done", 50)
    (as_of,) = office.made.rows("SELECT as_of_first FROM exchange.run WHERE resource = 'shops' AND state = 'proved'")[0]
    assert said["as_of"] == answer.headers["onedoor-as-of"] == as_of.isoformat().replace("+00:00", "Z")


def test_fewer_fields_than_granted_may_be_asked_for(office: Office) -> None:
    rows, _ = client(office).rows(fields=["title", "number"], limit=3)
    assert [list(row) for row in rows] == [["number", "title"]] * 3


def test_pages_give_every_row_once_and_in_order(office: Office) -> None:
    asker = client(office, fields=("town", "number"))
    seen: list[tuple[str, int]] = []
    page, sizes = ..., []
    for limit in itertools.cycle((1, 7_000, 999, 4_201)):
        rows, said = asker.rows(limit=limit, page=page)
        assert said["rows"] == len(rows) == min(limit, SHOPS - len(seen))
        seen += [(row["town"], row["number"]) for row in rows]
        sizes.append(len(rows))
        page = said["next"]
        if page is None:
            break
    assert seen == stored(office, "town, number")
    assert len(sizes) > 8


def test_a_page_that_ends_with_the_last_row_has_no_next(office: Office) -> None:
    rows, said = client(office, fields=("number",)).rows(limit=SHOPS)
    assert (len(rows), said["next"]) == (SHOPS, None)


def test_what_an_answer_gave_is_in_the_ledger_before_and_after(office: Office) -> None:
    asker = client(office, fields=("town", "number"))
    answer = asker.ask(limit=1_234, filter="town = '樟市镇'")
    began, ended = records(office)[-2:]
    said = json.loads(answer.text.splitlines()[-1])["onedoor"]
    assert (began["outcome"], ended["outcome"]) == ("allowed", "done")
    assert began["request"] == ended["request"]
    for record in (began, ended):
        assert (record["grant"], record["resource"], record["purpose"]) == (asker.grant, "shops", PURPOSE)
        assert record["operator"] == "job-7"
    assert began["manifest"]["fields"] == "town,number"
    assert began["manifest"]["filter"] == office.hub.keys.pseudonym("town = '樟市镇'")
    assert ended["manifest"] == manifest(office, 1_234, "town = '樟市镇'")
    chain, n, digest = answer.headers["onedoor-receipt"].split()
    assert (began["chain"], began["n"]) == (chain, int(n))
    assert (ended["chain"], ended["n"]) == (said["receipt"]["chain"], said["receipt"]["n"])
    with DatabaseEvidence.open(office.hub.connect) as evidence:
        key = office.hub.keys.ledger_public_key()
        for receipt in (Receipt(chain, int(n), digest), Receipt(**said["receipt"])):
            assert verify_receipt(receipt, evidence, key).holds
        assert verify(evidence, key).intact


def test_a_filter_chooses_rows_and_its_pages_fit_together(office: Office) -> None:
    asker = client(office)
    where = "town in ('马坝镇', '大塘镇') and active = false and founded_on >= date '2021-01-01' and capital < 0.02"
    sql = "town IN ('马坝镇', '大塘镇') AND active = false AND founded_on >= date '2021-01-01' AND capital < 0.02"
    expected = [row[0] for row in stored(office, "number", sql)]
    seen: list[int] = []
    page: Any = ...
    while page is not None:
        rows, said = asker.rows(filter=where, limit=len(expected) // 3, page=page, fields=["number"])
        seen += [row["number"] for row in rows]
        page = said["next"]
    assert seen == expected


def test_a_filter_by_a_granted_field_that_is_not_asked_for_holds(office: Office) -> None:
    rows, _ = client(office).rows(filter="title is null and number <= 100", fields=["number"])
    assert sorted(row["number"] for row in rows) == list(range(10, 101, 10))


def test_the_row_filter_of_the_grant_holds_for_every_page(office: Office) -> None:
    asker = client(office, fields=("number",), row_filter=parse("town = '大塘镇' and number > 15000"))
    seen: list[int] = []
    page: Any = ...
    while page is not None:
        rows, said = asker.rows(limit=2_000, page=page)
        seen += [row["number"] for row in rows]
        page = said["next"]
    assert seen == [row[0] for row in stored(office, "number", "town = '大塘镇' AND number > 15000")]


def test_a_granted_personal_field_is_opened_and_nothing_else_of_the_row(office: Office) -> None:
    asker = client(office, "licences")
    rows, _ = asker.rows(limit=5, item_code=ITEM, case_number="CASE-7")
    assert [set(row) for row in rows] == [set(GRANTED)] * 5
    for row in rows:
        assert row["holder_name"] == name(int(row["licence_id"][1:].partition("-")[0]))
    everything, said = asker.rows(limit=1_000, bulk_export=asker.exported())
    assert (len(everything), said["next"]) == (3 * (HOLDERS - 1), None)
    kept = json.dumps(records(office), ensure_ascii=False) + json.dumps(office.log.events, ensure_ascii=False, default=str)
    kept += office.http.get("/metrics").text
    for hidden in (name(7), number(7), "马坝镇7号"):
        assert hidden not in kept
    assert number(7) not in json.dumps(everything)


def test_pages_go_by_a_personal_key_too(office: Office) -> None:
    made = contract(
        "residents",
        [
            Field("id_number", LogicalType.STRING, "id_number", required=True, key=1, personal=True, lookup=True),
            Field("town", LogicalType.STRING, "town"),
        ],
    )
    office.made.source(
        "CREATE TABLE residents (id_number text, town text)",
        "INSERT INTO residents SELECT 'N' || i, 'town' || i % 7 FROM generate_series(1, 500) AS i",
    )
    office.made.register(made)
    assert office.made.collect("residents").state == "proved"
    asker = client(office, "residents", fields=("id_number", "town"))
    seen: list[str] = []
    page: Any = ...
    export = asker.exported(("id_number", "town"))
    while page is not None:
        rows, said = asker.rows(limit=123, page=page, bulk_export=export)
        seen += [row["id_number"] for row in rows]
        page = said["next"]
    assert sorted(seen) == sorted(f"N{i}" for i in range(1, 501))


# Formats ----------------------------------------------------------------------------------------------------------------


def test_every_format_reads_back_to_the_rows_of_the_store(office: Office) -> None:
    asker = client(office)
    expected = [dict(zip(SHOP_FIELDS, row, strict=True)) for row in stored(office, ", ".join(SHOP_FIELDS))]
    arrow = pa.ipc.open_stream(asker.ask(ARROW, limit=SHOPS).content)
    batches, said = [], {}
    while True:
        try:
            batch, metadata = arrow.read_next_batch_with_custom_metadata()
        except StopIteration:
            break
        batches.append(batch)
        said = json.loads(metadata[b"onedoor"]) if metadata else said
    assert pa.Table.from_batches(batches).to_pylist() == expected
    assert (said["ended"], said["rows"]) == ("done", SHOPS)

    parquet = pq.ParquetFile(io.BytesIO(asker.ask(PARQUET, limit=SHOPS).content))
    assert parquet.read().to_pylist() == expected
    assert parquet.num_row_groups > 1
    assert json.loads(parquet.metadata.metadata[b"onedoor"])["ended"] == "done"

    lines = asker.ask(CSV, limit=SHOPS).text
    body, _, last = lines.rstrip("\n").rpartition("\n")
    assert json.loads(last.removeprefix("# "))["onedoor"]["rows"] == SHOPS
    options = pacsv.ConvertOptions(
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        column_types={
            "capital": pa.decimal128(20, 8),
            "changed_at": pa.timestamp("us", "UTC"),
            "opens_at": pa.string(),
            "seal": pa.string(),
            "title": pa.string(),
        },
    )
    read = pacsv.read_csv(
        io.BytesIO(body.encode()), parse_options=pacsv.ParseOptions(newlines_in_values=True), convert_options=options
    ).to_pylist()
    shown = [plain(row) for row in expected]
    assert read == shown

    rows, _ = asker.rows(limit=SHOPS)
    assert rows == [plain(row, as_json=True) for row in expected]


def plain(row: dict[str, Any], *, as_json: bool = False) -> dict[str, Any]:
    out = dict(row)
    out["opens_at"] = row["opens_at"].isoformat() if as_json else row["opens_at"].isoformat("microseconds")
    out["seal"] = base64.b64encode(row["seal"]).decode()
    if as_json:
        out["capital"] = f"{row['capital']:f}"
        out["founded_on"] = row["founded_on"].isoformat()
        out["changed_at"] = row["changed_at"].astimezone(UTC).isoformat().replace("+00:00", "Z")
    return out


@pytest.mark.parametrize(
    ("accept", "given"),
    [
        (None, NDJSON),
        ("*/*", NDJSON),
        ("application/json;q=0.9, text/csv;q=0.5, */*;q=0.1", CSV),
        (f"{PARQUET}, {ARROW};q=0.9", PARQUET),
        ("text/*", CSV),
        (f"{NDJSON};q=0, application/*", ARROW),
    ],
)
def test_the_format_is_that_which_is_preferred(office: Office, accept: str | None, given: str) -> None:
    answer = client(office).ask(accept, limit=1)
    assert answer.headers["content-type"].partition(";")[0] == given


def test_another_format_is_not_acceptable_and_nothing_is_recorded(office: Office) -> None:
    asker, before = client(office), len(records(office))
    for accept in ("application/json", "image/png", f"{NDJSON};q=0"):
        assert code_of(asker.ask(accept)) == (406, "request.accept")
    assert len(records(office)) == before


def test_an_empty_answer_is_whole_in_every_format(office: Office) -> None:
    asker, nothing = client(office), "number < 0"
    assert asker.rows(filter=nothing)[0] == []
    assert asker.ask(CSV, filter=nothing).text.splitlines()[0] == ",".join(f'"{n}"' for n in SHOP_FIELDS)
    assert pa.ipc.open_stream(asker.ask(ARROW, filter=nothing).content).read_all().num_rows == 0
    assert pq.read_table(io.BytesIO(asker.ask(PARQUET, filter=nothing).content)).num_rows == 0


# Refused ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("terms", "asked", "reason"),
    [
        ({"granted": False}, {}, "no_grant"),
        ({}, {"purpose": "archive"}, "purpose"),
        ({}, {"purpose": "No-Such.Purpose"}, "no_purpose"),
        ({"fields": ("town",)}, {"fields": ["town", "title"]}, "fields"),
        ({"fields": ("town",)}, {"fields": ["no_such_field"]}, "fields"),
        ({"fields": ("town",)}, {"filter": "title = '店3'"}, "fields"),
        ({"fields": ("town",)}, {"filter": "no_such_field = 1"}, "fields"),
        ({"items": (ITEM,)}, {}, "item"),
        ({"items": (ITEM,)}, {"item_code": OTHER_ITEM}, "item"),
        ({"items": (ITEM,)}, {"item_code": ITEM, "case_number": "CASE-X"}, "case_unknown"),
        ({"items": (ITEM,)}, {"item_code": ITEM, "case_number": "CASE-CLOSED-1"}, "case_closed"),
        ({"items": (ITEM,)}, {"item_code": ITEM, "case_number": "CASE-OTHER-ITEM-1"}, "case_item"),
    ],
)
def test_without_a_ground_the_answer_is_the_same_whatever_was_wrong(
    office: Office, terms: dict[str, Any], asked: dict[str, Any], reason: str
) -> None:
    answer = client(office, **terms).ask(**asked)
    assert (answer.status_code, answer.content) == (403, REFUSED)
    record = records(office)[-1]
    assert (record["outcome"], record["reason"], record["resource"]) == ("refused", reason, "shops")


@pytest.mark.parametrize("state", ["frozen", "withdrawn", "submitted"])
def test_a_resource_that_is_not_published_gets_that_same_refusal(office: Office, state: str) -> None:
    asker = client(office)
    with in_state(office, state):
        answer = asker.ask()
    assert (answer.status_code, answer.content) == (403, REFUSED)
    assert records(office)[-1]["reason"] == "resource"
    assert asker.ask(limit=1).status_code == 200


def test_a_resource_that_is_not_there_gets_that_same_refusal_and_its_name_may_be_anything(office: Office) -> None:
    asker = client(office)
    for unknown in ("no_such_resource", number(3)):
        asker.path = f"/api/v1/resources/{unknown}/records/query"
        answer = asker.ask()
        assert (answer.status_code, answer.content) == (403, REFUSED)
    assert number(3) not in json.dumps(records(office))


@pytest.mark.parametrize(("shift", "reason"), [(timedelta(days=31), "expired"), (timedelta(days=-2), "not_yet")])
def test_out_of_its_time_a_grant_allows_nothing(office: Office, shift: timedelta, reason: str) -> None:
    asker = client(office)
    office.clock.shift = shift
    asker.token = office.token(asker.client_id, asker.secret)
    answer = asker.ask()
    assert (answer.status_code, answer.content) == (403, REFUSED)
    assert records(office)[-1]["reason"] == reason


def test_a_grant_that_ends_while_the_first_rows_are_read_gets_that_same_refusal(office: Office) -> None:
    asker, reader = client(office), office.services.records.reader
    batch = reader.batch

    async def slow(*arguments: Any) -> Any:
        rows = await batch(*arguments)
        await asyncio.to_thread(revoked, asker)
        await office.services.view.refresh()
        return rows

    reader.batch = slow  # type: ignore[method-assign]
    try:
        answer = asker.ask()
    finally:
        reader.batch = batch  # type: ignore[method-assign]
    assert (answer.status_code, answer.content) == (403, REFUSED)
    record = records(office)[-1]
    assert (record["outcome"], record["reason"]) == ("refused", "revoked")


def test_personal_fields_need_a_case_whatever_the_grant_names(office: Office) -> None:
    assert code_of(client(office, "licences").ask(limit=1)) == (400, "query.case_number")
    asker = client(office, "licences", items=(ITEM,))
    assert code_of(asker.ask(item_code=ITEM)) == (400, "query.case_number")
    assert asker.rows(item_code=ITEM, fields=["licence_id"], limit=1)[1]["ended"] == "done"
    assert asker.rows(item_code=ITEM, case_number="CASE-7", limit=1)[1]["ended"] == "done"
    assert records(office)[-1]["case"] == "CASE-7"
    assert code_of(client(office, "licences").ask(case_number="CASE-7")) == (400, "request.body")


def test_a_sealed_field_cannot_be_chosen_by(office: Office) -> None:
    assert code_of(client(office, "licences").ask(filter="holder_name = '曲持证7'")) == (400, "filter.sealed")


def test_without_a_token_nobody_is_answered(office: Office) -> None:
    asker = client(office)
    assert code_of(office.http.post(asker.path, json={})) == (401, "token.missing")
    asker.token = "nonsense"
    assert code_of(asker.ask()) == (401, "token.malformed")


def test_a_revoked_client_gets_nothing(office: Office) -> None:
    asker = client(office)
    assert asker.ask(limit=1).status_code == 200
    office.hub.registry.revoke_principal(asker.client_id)
    office.refresh()
    assert code_of(asker.ask()) == (401, "token.revoked")


# Page tokens ------------------------------------------------------------------------------------------------------------


def test_a_forged_token_is_refused(office: Office) -> None:
    asker = client(office)
    token = asker.rows(limit=5)[1]["next"]
    for forged in ("x", "A" * 80, token[:-4] + "AAAA", token[1:], "B" + token[1:], "马" * 50):
        assert code_of(asker.ask(page=forged)) == (400, "page.refused")
    assert asker.rows(limit=5, page=token)[1]["ended"] == "done"


def test_a_token_is_for_its_client_and_its_question_only(office: Office) -> None:
    asker, other = client(office), client(office, purposes=(PURPOSE, "archive"))
    asked: dict[str, Any] = {"limit": 5, "fields": ["number"], "filter": "number > 10"}
    token = asker.rows(**asked)[1]["next"]
    assert code_of(other.ask(**asked, page=token)) == (400, "page.refused")
    own = other.rows(**asked)[1]["next"]
    for change in (
        {"fields": ["number", "title"]},
        {"fields": ...},
        {"filter": "number > 1"},
        {"filter": ...},
        {"purpose": "archive"},
    ):
        assert code_of(other.ask(**(asked | change), page=own)) == (400, "page.refused")
    licences = client(office, "licences").rows(limit=5, fields=["licence_id"])[1]["next"]
    assert code_of(asker.ask(page=licences)) == (400, "page.refused")


def test_after_revocation_a_token_gives_nothing(office: Office) -> None:
    asker = client(office)
    token = asker.rows(limit=5)[1]["next"]
    office.hub.registry.revoke_grant(asker.grant, by="test", why="ended")
    office.refresh()
    answer = asker.ask(page=token)
    assert (answer.status_code, answer.content) == (403, REFUSED)
    assert records(office)[-1]["reason"] == "revoked"


def test_a_token_of_an_earlier_grant_says_begin_again(office: Office) -> None:
    asker = client(office, fields=("town", "number"))
    token = asker.rows(limit=5)[1]["next"]
    principal = office.hub.registry.principal(asker.client_id).id
    now = datetime.now(UTC)
    office.hub.registry.make_grant(
        Receiver(ReceiverKind.PRINCIPAL, principal),
        "shops",
        SHOP_FIELDS,
        legal_basis="a law",
        from_at=now - timedelta(days=1),
        to_at=now + timedelta(days=1),
        by="test",
        purposes=(PURPOSE,),
    )
    office.refresh()
    assert code_of(asker.ask(page=token)) == (400, "page.stale")


def test_rows_of_a_later_run_do_not_mix_into_the_pages_of_an_earlier_one(office: Office) -> None:
    asker = client(office, fields=("number",))
    token = asker.rows(limit=5)[1]["next"]
    assert office.made.collect("shops", full=True).state == "proved"
    answer = asker.ask(page=token)
    assert code_of(answer) == (400, "page.stale")
    assert "begin again" in answer.json()["remedy"]
    assert asker.rows(limit=5)[1]["ended"] == "done"


def test_a_run_that_merges_changes_into_the_table_ends_the_pages_too(office: Office) -> None:
    made = contract(
        "stalls",
        [
            Field("id", LogicalType.INTEGER, "id", required=True, key=1),
            Field("changed_at", LogicalType.TIMESTAMP, "changed_at", required=True),
        ],
        cursor=CursorSpec("changed_at", declared_lag_s=0, overlap_s=0),
    )
    office.made.source(
        "CREATE TABLE stalls (id bigint, changed_at timestamptz)",
        "INSERT INTO stalls SELECT i, timestamptz '2026-01-01' + i * interval '1 second' FROM generate_series(1, 50) AS i",
    )
    office.made.register(made)
    assert office.made.collect("stalls").state == "proved"
    asker = client(office, "stalls", fields=("id",))
    said = asker.rows(limit=20)[1]
    office.made.source("INSERT INTO stalls VALUES (0, now()), (51, now())")
    assert asker.rows(limit=20, page=said["next"])[0][0] == {"id": 21}
    assert office.made.collect("stalls").mode == "incremental"
    assert code_of(asker.ask(limit=20, page=said["next"])) == (400, "page.stale")
    assert [row["id"] for row in asker.rows()[0]] == list(range(52))


# Cut --------------------------------------------------------------------------------------------------------------------


@contextmanager
def begun(asker: Client, accept: str = NDJSON, **more: Any) -> Iterator[Any]:
    """Begin a long answer that is read when the test wants to."""
    sent = asker.sent(accept, limit=100_000, **more)
    with asker.office.http.stream("POST", asker.path, **sent) as answer:
        assert answer.status_code == 200
        yield answer


@contextmanager
def in_state(office: Office, state: str) -> Iterator[None]:
    """Have a resource in a state for a while."""

    def put(to: str) -> None:
        with psycopg.connect(office.settings.database_url) as connection:
            connection.execute("UPDATE registry.resource SET state = %s WHERE name = 'shops'", [to])
            connection.execute("UPDATE registry.version SET value = value + 1")
        office.refresh()

    put(state)
    try:
        yield
    finally:
        put("published")


def ended(office: Office) -> dict[str, Any]:
    """Return the record of the end of the last answer, waiting for it as long as is promised."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        last = records(office)[-1]
        if last["outcome"] in ("done", "cut"):
            return last
        time.sleep(0.05)
    raise AssertionError("the end of the answer was not recorded")


def slowly(lines: Iterator[str]) -> list[dict[str, Any]]:
    """Read the rest as a slow reader does, and return what was read."""
    return [json.loads(line) for line in lines if not time.sleep(0.0003)]


def expired(asker: Client) -> None:
    asker.office.clock.shift = timedelta(days=31)


def revoked(asker: Client) -> None:
    asker.office.hub.registry.revoke_grant(asker.grant, by="test", why="ended")


def client_revoked(asker: Client) -> None:
    asker.office.hub.registry.revoke_principal(asker.client_id)


def kept_elsewhere(asker: Client) -> None:
    asker.office.hub.registry.set_ranges(asker.client_id, ["203.0.113.0/24"])


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (revoked, "grant.revoked"),
        (expired, "grant.expired"),
        (client_revoked, "token.revoked"),
        (kept_elsewhere, "token.address"),
    ],
)
def test_what_ends_a_grant_in_the_middle_of_a_long_answer_cuts_it_and_the_ledger_shows_it(
    office: Office, end: Any, code: str
) -> None:
    asker = client(office)
    with begun(asker) as answer:
        lines = answer.iter_lines()
        rows = [json.loads(next(lines)) for _ in range(10)]
        end(asker)
        rest = slowly(lines)
    rows += rest[:-1]
    said = rest[-1]["onedoor"]
    assert (said["ended"], said["rows"], "next" in said) == (code, len(rows), False)
    assert 10 < len(rows) < SHOPS
    record = ended(office)
    assert (record["outcome"], record["reason"], record["grant"]) == ("cut", code, asker.grant)
    assert record["manifest"] == manifest(office, len(rows))
    assert (said["receipt"]["chain"], said["receipt"]["n"]) == (record["chain"], record["n"])
    with DatabaseEvidence.open(office.hub.connect) as evidence:
        assert verify(evidence, office.hub.keys.ledger_public_key()).intact


def test_freezing_the_resource_cuts_a_running_answer(office: Office) -> None:
    asker, registry = client(office), office.hub.registry
    officer = registry.create_person("centre-officer", "test_department", roles=("registration_officer",)).id
    with begun(asker) as answer:
        lines = answer.iter_lines()
        next(lines)
        seen = registry.resource("shops").row_version
        frozen = registry.freeze_resource("shops", by=officer, version=seen, why="a dispute")
        try:
            rest = slowly(lines)
        finally:
            registry.thaw_resource("shops", by=officer, version=frozen.row_version)
            office.refresh()
    assert rest[-1]["onedoor"]["ended"] == "resource.not_published"
    assert ended(office)["reason"] == "resource.not_published"


@contextmanager
def reads(office: Office, *, most: int = 1_000) -> Iterator[list[int]]:
    """Give the rows of each batch that is read meanwhile; the store takes for ever after ``most`` batches."""
    reader, read = office.services.records.reader, []
    batch = reader.batch

    async def counted(*arguments: Any) -> Any:
        if len(read) >= most:
            await asyncio.sleep(3600)
        rows = await batch(*arguments)
        read.append(len(rows))
        return rows

    reader.batch = counted  # type: ignore[method-assign]
    try:
        yield read
    finally:
        reader.batch = batch  # type: ignore[method-assign]


@pytest.mark.parametrize("accept", [NDJSON, CSV, ARROW])
def test_a_reader_that_stalls_holds_up_the_reading_and_is_cut_all_the_same(office: Office, accept: str) -> None:
    asker = client(office)
    with reads(office) as read, begun(asker, accept) as answer:
        pieces = answer.iter_raw()
        next(pieces)
        time.sleep(1.0)  # until the buffers are full
        revoked(asker)
        record = ended(office)
        assert sum(read) < SHOPS
    assert (record["outcome"], record["reason"]) == ("cut", "grant.revoked")
    assert record["manifest"] == manifest(office, record["manifest"]["rows"])


@pytest.mark.parametrize("accept", [NDJSON, CSV, ARROW, PARQUET])
def test_an_answer_is_cut_while_the_store_takes_its_time(office: Office, accept: str) -> None:
    asker, got = client(office), bytearray()
    with reads(office, most=4), begun(asker, accept) as answer:
        revoked(asker)
        try:
            for piece in answer.iter_raw():
                got += piece
        except httpx.RemoteProtocolError:
            assert accept in (ARROW, PARQUET)
            with pytest.raises((pa.ArrowInvalid, OSError)):
                whole(accept, bytes(got))
        else:
            last = got.decode().splitlines()[-1].removeprefix("# ")
            assert json.loads(last)["onedoor"]["ended"] == "grant.revoked"
    record = ended(office)
    assert record["reason"] == "grant.revoked"
    assert record["manifest"] == manifest(office, record["manifest"]["rows"])


def test_the_last_words_of_an_answer_are_not_waited_for_for_ever(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records_answer, "STALLED_S", 0.2)
    asker, services = client(office, fields=("number",)), office.services
    principal = office.hub.registry.principal(asker.client_id)

    async def given() -> tuple[bool, int, int]:
        asked = QueryRequest(purpose=PURPOSE, operator="job-7", limit=3)
        answer = await services.records.answer(principal, "shops", asked, FORMATS[0])

        async def emit(piece: bytes) -> None:
            if b'"onedoor"' in piece:
                await asyncio.Event().wait()

        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        whole = await answer.deliver(emit, gone)
        running = services.records._running[principal.id]
        sent: list[str] = []

        async def send(message: Any) -> None:
            sent.append(message["type"])
            if not message.get("more_body", True):
                await asyncio.Event().wait()

        async def receive() -> dict[str, Any]:
            return await asyncio.Event().wait()  # type: ignore[return-value]

        answer = await services.records.answer(principal, "shops", asked, FORMATS[0])
        await Records(answer, office.log)({}, receive, send)
        return whole, running, services.records._running[principal.id]

    loop = services.view._task.get_loop()  # type: ignore[union-attr]
    assert asyncio.run_coroutine_threadsafe(given(), loop).result(20) == (False, 0, 0)
    assert [r["outcome"] for r in records(office)[-4:]] == ["allowed", "done", "allowed", "done"]
    assert office.log.events[-1]["event"] == "the end of an answer was not taken"


def whole(accept: str, data: bytes) -> None:
    """Read to the end, as a careful reader does: the last batch of a stream says that it is the last."""
    if accept == PARQUET:
        pq.read_table(io.BytesIO(data))
        return
    reader = pa.ipc.open_stream(data)
    try:
        while True:
            _, metadata = reader.read_next_batch_with_custom_metadata()
    except StopIteration:
        if not metadata:
            raise pa.ArrowInvalid("no last batch") from None


def test_another_clients_answer_goes_on(office: Office) -> None:
    asker, other = client(office), client(office)
    with begun(asker) as answer, begun(other) as others:
        held = answer.iter_lines()
        next(held)
        lines = others.iter_lines()
        next(lines)
        revoked(asker)
        assert json.loads(list(lines)[-1])["onedoor"]["ended"] == "done"


def test_a_reader_that_goes_away_is_on_record_with_what_it_may_have_got(office: Office) -> None:
    asker = client(office)
    with begun(asker) as answer:
        next(answer.iter_lines())
    record = ended(office)
    assert (record["outcome"], record["reason"]) == ("cut", "client.gone")
    assert record["manifest"] == manifest(office, record["manifest"]["rows"])


def test_a_reader_that_stalls_for_long_loses_its_place(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records_answer, "STALLED_S", 1.0)
    with begun(client(office), filter=MANY) as answer:
        pieces = answer.iter_raw()
        next(pieces)
        assert ended(office)["reason"] == "client.stalled"


def test_a_full_load_is_swapped_in_under_a_running_answer_and_says_begin_again(office: Office) -> None:
    asker = client(office)
    with begun(asker, filter=MANY) as answer:
        lines = answer.iter_lines()
        next(lines)
        assert office.made.collect("shops", full=True).state == "proved"
        said = json.loads(list(lines)[-1])["onedoor"]
    assert (said["ended"], "next" in said) == ("records.replaced", False)
    assert ended(office)["reason"] == "records.replaced"


def test_a_client_has_its_share_of_answers_and_no_more(office: Office) -> None:
    asker, other = client(office), client(office)
    with begun(asker), begun(asker), begun(asker), begun(asker):
        assert code_of(asker.ask(limit=1)) == (503, "records.busy")
        assert other.ask(limit=1).status_code == 200
    ended(office)
    until = time.monotonic() + PATIENCE_S
    while (answer := asker.ask(limit=1)).status_code != 200 and time.monotonic() < until:
        pass
    assert answer.status_code == 200


# Something is away ------------------------------------------------------------------------------------------------------


def test_without_the_ledger_no_row_is_given(office: Office) -> None:
    asker = client(office)
    with moved(office, "trust.ledger"):
        for accept in (NDJSON, CSV, ARROW, PARQUET):
            answer = asker.ask(accept, limit=5)
            assert code_of(answer) == (503, "ledger.away")
            assert "马坝镇" not in answer.text
    assert asker.rows(limit=5)[1]["ended"] == "done"


def test_an_answer_whose_end_cannot_be_recorded_leads_no_further(office: Office) -> None:
    asker = client(office)
    with begun(asker, filter=MANY) as answer:
        lines = answer.iter_lines()
        next(lines)
        with moved(office, "trust.ledger"):
            said = json.loads(list(lines)[-1])["onedoor"]
    assert (said["ended"], said["receipt"], "next" in said) == ("ledger.away", None, False)
    with DatabaseEvidence.open(office.hub.connect) as evidence:
        assert verify(evidence, office.hub.keys.ledger_public_key()).intact


def test_after_5_s_without_the_registry_no_grant_is_trusted(office: Office) -> None:
    asker, view = client(office), office.services.view
    real = view._monotonic
    with begun(asker, filter=MANY) as answer:
        lines = answer.iter_lines()
        next(lines)
        with moved(office, "registry.version"):
            view._monotonic = lambda: real() + registry_view.CLOSED_AFTER_S + registry_view.POLL_S
            assert code_of(asker.ask()) == (503, "registry.away")
            said = json.loads(list(lines)[-1])["onedoor"]
    assert said["ended"] == "registry.away"
    view._monotonic = real
    office.refresh()
    assert asker.ask(limit=1).status_code == 200


def test_a_store_that_is_away_comes_back(office: Office) -> None:
    asker = client(office)
    with psycopg.connect(office.settings.database_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
    until = time.monotonic() + PATIENCE_S
    while (answer := asker.ask(limit=1)).status_code != 200 and time.monotonic() < until:
        assert answer.status_code == 503
    assert answer.status_code == 200


def test_a_resource_of_which_nothing_has_landed_says_so(office: Office) -> None:
    made = contract("empty_yet", [Field("id", LogicalType.INTEGER, "id", required=True, key=1)])
    office.made.register(made)
    assert code_of(client(office, "empty_yet", fields=("id",)).ask()) == (503, "records.none_yet")


# Bad input --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "code", "said"),
    [
        ({"limit": 0}, "request.body", "limit"),
        ({"limit": 100_001}, "request.body", "limit"),
        ({"limit": "10"}, "request.body", "limit"),
        ({"fields": []}, "request.body", "fields"),
        ({"fields": ["Town"]}, "request.body", "fields"),
        ({"purpose": ...}, "request.body", "purpose"),
        ({"operator": ...}, "request.body", "operator"),
        ({"operator": "440221198001010\u0000"}, "request.body", "operator"),
        ({"440221198001010019": 1}, "request.body", "purpose"),
        ({"filter": "town ="}, "filter.syntax", ""),
        ({"filter": "town = 1"}, "filter.type", "town"),
        ({"filter": "number = '1'"}, "filter.type", "number"),
        ({"filter": " or ".join(["number = 1"] * 1_001)}, "filter.too_large", ""),
        ({"filter": " or ".join(["number = 1"] * 10_000)}, "filter.too_large", ""),
        ({"case_number": "CASE-1"}, "request.body", "item"),
    ],
    ids=lambda v: str(v)[:40],
)
def test_a_wrong_body_is_a_problem_that_says_where(office: Office, wrong: dict[str, Any], code: str, said: str) -> None:
    answer = client(office).ask(**wrong)
    assert code_of(answer) == (400, code)
    assert said in answer.json()["detail"]
    assert "440221198001010" not in answer.text


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[]", b'"\\ud800"'])
def test_a_body_that_is_not_json_is_a_problem(office: Office, body: bytes) -> None:
    asker = client(office)
    answer = office.http.post(asker.path, content=body, headers=asker.sent()["headers"])
    assert (answer.status_code, code_of(answer)[1] in ("request.json", "request.body")) == (400, True)


def test_a_body_that_is_too_large_or_of_another_kind_is_a_problem(office: Office) -> None:
    asker = client(office)
    headers = asker.sent()["headers"]
    assert code_of(office.http.post(asker.path, content=b" " * (1 << 20), headers=headers)) == (413, "request.too_large")
    plain_text = headers | {"content-type": "text/plain"}
    assert code_of(office.http.post(asker.path, content=b"{}", headers=plain_text)) == (415, "request.media_type")
    assert code_of(office.http.get(asker.path, headers=headers)) == (405, "request.method")


def test_figures_count_rows_and_answers(office: Office) -> None:
    def figure(line: str) -> float:
        found = [one for one in office.http.get("/metrics").text.splitlines() if one.startswith(line + " ")]
        return float(found[0].split()[1]) if found else 0.0

    asker, done = client(office), 'onedoor_record_answers_total{outcome="done"}'
    rows, answers = figure("onedoor_record_rows_total"), figure(done)
    asker.rows(limit=17)
    assert (figure("onedoor_record_rows_total") - rows, figure(done) - answers) == (17, 1)


# Least privilege --------------------------------------------------------------------------------------------------------


def test_the_api_works_with_its_own_role_only(hub_db: str, empty_db: str, superuser_url: str, settings: Settings) -> None:
    database = hub_db.rsplit("/", 1)[1]
    url = superuser_url.rsplit("/", 1)[0] + f"/{database}?options=-c%20role%3Donedoor_api"
    fill(empty_db, 4)
    with an_office(settings.model_copy(update={"api_database_url": url}), empty_db) as office:
        asker = client(office, "licences")
        case = {"item_code": ITEM, "case_number": "CASE-1"}
        rows, said = asker.rows(limit=4, **case)
        assert (len(rows), said["ended"]) == (4, "done")
        assert len(asker.rows(limit=100, page=said["next"], **case)[0]) == 5


def test_a_field_that_became_personal_is_given_as_one_before_the_next_run_has_sealed_it(office: Office) -> None:
    asker, wanted = client(office, "licences", items=(ITEM,)), ["licence_id", "licence_number"]
    assert asker.rows(item_code=ITEM, fields=wanted, limit=1)[1]["ended"] == "done"
    turned = tuple(replace(f, personal=f.personal or f.name == "licence_number") for f in LICENCES.fields)
    office.put_in_force(replace(LICENCES, version="2.0.0", fields=turned))
    try:
        assert code_of(asker.ask(item_code=ITEM, fields=wanted, limit=1)) == (400, "query.case_number")
        assert code_of(asker.ask(item_code=ITEM, fields=wanted, case_number="CASE-7")) == (403, "query.bulk_export")
        rows, _ = asker.rows(item_code=ITEM, fields=wanted, case_number="CASE-7", limit=1)
        assert rows == [{"licence_id": "L1-T-BIZ", "licence_number": "440221-1-T-BIZ"}]
        assert asker.rows(item_code=ITEM, fields=["licence_id"], limit=1)[1]["ended"] == "done"
    finally:
        office.made.register(replace(LICENCES, version="3.0.0"))
    assert asker.rows(item_code=ITEM, fields=wanted, limit=1)[1]["ended"] == "done"
