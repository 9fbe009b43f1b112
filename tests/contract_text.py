"""The text of a small contract for tests: a key, a title, and a personal field."""

from __future__ import annotations

_TEXT = """\
apiVersion: v3.1.0
kind: DataContract
id: {name}
name: 从业人员
version: {version}
status: active
schema:
  - name: {name}
    physicalName: public.{name}
    properties:
      - name: id
        logicalType: integer
        physicalType: bigint
        primaryKey: {key}
        primaryKeyPosition: {position}
        required: true
      - name: {field}
        logicalType: string
        physicalType: text
      - name: citizen_id
        logicalType: string
        physicalType: text
        classification: personal
slaProperties:
  - property: frequency
    value: 1
    unit: d
    scheduler: cron
    schedule: "15 2 * * *"
customProperties:
  - property: onedoor.department
    value: {department}
  - property: onedoor.system
    value: {system}
  - property: onedoor.source
    value: {source}
"""


def contract_text(
    name: str = "staff",
    *,
    version: str = "1.0.0",
    field: str = "title",
    department: str = "market",
    system: str = "approval",
    source: str = "market_db",
    keyed: bool = True,
) -> str:
    """Return ODCS text of a resource with the fields ``id`` (key), ``field`` and ``citizen_id`` (personal)."""
    return _TEXT.format(
        name=name,
        version=version,
        field=field,
        department=department,
        system=system,
        source=source,
        key="true" if keyed else "false",
        position=1 if keyed else -1,
    )
