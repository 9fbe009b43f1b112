"""An example of the call that a grant allows, for who holds it. Pure; what only the caller knows is in angle brackets."""

from __future__ import annotations

import json
from typing import Any

from catalog_registry.mine import Authorisation


def example_call(of: Authorisation) -> dict[str, Any]:
    """Return method, path and body of a query of records that the grant allows."""
    grant = of.grant
    body: dict[str, Any] = {
        "purpose": grant.purposes[0] if grant.purposes else "<purpose>",
        "operator": "<account of whoever asks>",
        "fields": list(grant.fields),
        "limit": 100,
    }
    if grant.items:
        body["item_code"] = grant.items[0]
        if of.personal:
            body["case_number"] = "<case number>"
    return {"method": "POST", "path": f"/api/v1/resources/{grant.resource}/records/query", "body": body}


def example_line(of: Authorisation) -> str:
    """Return the same call as one line of ``curl``."""
    call = example_call(of)
    body = json.dumps(call["body"], ensure_ascii=False)
    head = "-H 'Authorization: Bearer <token>' -H 'Content-Type: application/json'"
    return f"curl -X POST <hub>{call['path']} {head} -d '{body}'"
