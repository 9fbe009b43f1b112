"""What the questions answer as JSON: what a new contract would break, and why something is allowed or is not."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec

from catalog_registry.comparison import Comparison, affected
from catalog_registry.records import GrantRecord, PrincipalKind, PrincipalRecord, Receiver, ReceiverKind
from console.cli.output import to_json
from console.cli.questions import _compared_fields, _why_fields
from exchange.trust.grant import Ask, GrantIndex
from exchange.trust.why import WORDS, why
from schemas.change_kinds import MEANINGS
from schemas.evolution import diff
from schemas.resource import ResourceName
from tests.golden.golden import assert_golden
from tests.schema_cases import whole_contract

NOW = datetime(2026, 11, 2, 1, tzinfo=UTC)
GRANT = GrantRecord(
    id="g01m84w1z81yvpfadaam826",
    receiver=Receiver(ReceiverKind.SYSTEM, "intake"),
    resource=ResourceName("everything"),
    fields=("part", "state"),
    row_filter=None,
    purposes=("accept_case",),
    items=(),
    legal_basis="国令809",
    from_at=NOW,
    to_at=NOW + timedelta(days=30),
    made_at=NOW,
    made_by="p1",
    revoked_at=None,
    revoked_by=None,
    revoked_why=None,
    version=1,
)
WHO = PrincipalRecord("p01", PrincipalKind.MACHINE, "intake", "hall", "intake", ("consumer",), "c1", 0, NOW, None)


def test_the_kinds_of_change_and_the_reasons_keep_their_codes_and_words() -> None:
    kinds = {
        kind.value: {"title": m.title, "title_zh": m.title_zh, "breaking": m.breaking, "why": m.why, "why_zh": m.why_zh}
        for kind, m in MEANINGS.items()
    }
    assert_golden("questions/change_kinds.json", _text(kinds))
    assert_golden("questions/reasons.json", _text({reason.value: words for reason, words in WORDS.items()}))


def test_the_json_of_a_comparison() -> None:
    before = whole_contract()
    fields = tuple(replace(f, required=False, title="状态") if f.name == "state" else f for f in before.fields)
    evolution = diff(before, replace(before, version="2.2.0", fields=fields, schedule=None))
    text = to_json(_compared_fields(Comparison(evolution, affected(evolution, [GRANT], NOW)))) + "\n"
    assert_golden("questions/comparison.json", text)


def test_the_json_of_why_and_why_not() -> None:
    grants = GrantIndex([GRANT], ["everything"])
    found = {
        purpose: _why_fields(WHO, "everything", why(Ask(WHO, "everything", purpose), grants=grants, now=NOW))
        for purpose in ("accept_case", "marketing")
    }
    assert_golden("questions/why.json", _text(json.loads(msgspec.json.encode(found))))


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"
