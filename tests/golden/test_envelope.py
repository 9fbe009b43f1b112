"""The form of a message on the bus. Whoever changes it, changes what every consumer reads."""

from __future__ import annotations

import base64
import json

import pytest

from exchange.bus.api import Received
from exchange.bus.dead_letter import dead_letter
from exchange.bus.envelope import JSON, SEALED, Envelope, envelope_of
from schemas.errors import DefectError, RejectedError
from tests.golden.golden import assert_golden

ROWS = Envelope(
    {
        "specversion": "1.0",
        "id": "run-1/0/1/0",
        "source": "urn:onedoor:440205:licences",
        "type": "onedoor.rows",
        "time": "2026-11-02T01:00:00+00:00",
        "datacontenttype": SEALED,
        "sealedtype": "application/vnd.apache.arrow.stream",
        "resource": "licences",
        "contractversion": "1.2.0",
        "runid": "run-1",
        "seq": "0",
        "operation": "upsert",
        "rows": "3",
        "contenthash": "00ff",
        "keyid": "licences/2026-11/1",
    },
    bytes(range(16)),
)
EVENT = Envelope(
    {
        "specversion": "1.0",
        "id": "case-7/step/2",
        "source": "urn:onedoor:440205:cases",
        "type": "onedoor.case.step",
        "datacontenttype": JSON,
        "operation": "event",
        "casenumber": "440205-2026-000007",
    },
    '{"step":"受理"}'.encode(),
)


def test_the_message_of_an_envelope_is_frozen() -> None:
    rows = ROWS.message("onedoor.440205.licences", 3, None)
    event = EVENT.message("onedoor.events.cases", 0, b"440205-2026-000007")
    came = Received(rows.topic, rows.partition, 41, rows.key, rows.headers, rows.value)
    letter = dead_letter(came, RejectedError("a message that is no Arrow stream", code="land.not_arrow"), group="store")
    form = {
        name: {
            "topic": message.topic,
            "partition": message.partition,
            "key": None if message.key is None else message.key.decode(),
            "headers": dict(message.headers),
            "value": base64.b64encode(message.value).decode(),
        }
        for name, message in (("rows", rows), ("event", event), ("dead_letter", letter))
    }
    assert_golden("envelope.json", json.dumps(form, indent=2, ensure_ascii=False) + "\n")


@pytest.mark.parametrize("envelope", [ROWS, EVENT], ids=["rows", "event"])
def test_an_envelope_comes_back_from_its_message(envelope: Envelope) -> None:
    message = envelope.message("t", 0, None)
    assert envelope_of(Received("t", 0, 5, None, message.headers, message.value)) == envelope


def test_an_envelope_shows_no_data_where_it_is_printed() -> None:
    assert "受理" not in repr(EVENT) + repr(EVENT.message("t", 0, b"key")) + repr(Received("t", 0, 0, b"k", {}, EVENT.data))


@pytest.mark.parametrize("name", ["ce_id", "ce_source", "ce_specversion", "ce_type", "content-type"])
def test_a_message_without_a_required_attribute_is_a_defect_that_names_its_place(name: str) -> None:
    message = ROWS.message("t", 2, None)
    headers = {key: value for key, value in message.headers.items() if key != name}
    with pytest.raises(DefectError) as caught:
        envelope_of(Received("t", 2, 7, None, headers, message.value))
    assert (caught.value.code, caught.value.where) == ("bus.not_an_event", "t[2]@7")


@pytest.mark.parametrize("version", ["0.3", "2.0"])
def test_another_version_of_cloudevents_is_a_defect(version: str) -> None:
    message = ROWS.message("t", 2, None)
    with pytest.raises(DefectError) as caught:
        envelope_of(Received("t", 2, 7, None, dict(message.headers) | {"ce_specversion": version}, message.value))
    assert caught.value.code == "bus.not_an_event"


@pytest.mark.parametrize("name", ["", "RunId", "run_id", "run-id", "datacontenttypé", "a" * 21])
def test_an_attribute_that_cloudevents_does_not_allow_is_refused(name: str) -> None:
    with pytest.raises(DefectError) as caught:
        Envelope(dict(ROWS.attributes) | {name: "x"}, b"").message("t", 0, None)
    assert caught.value.code == "bus.not_an_event"
