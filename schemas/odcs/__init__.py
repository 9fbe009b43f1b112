"""Data contracts as YAML of the Open Data Contract Standard (ODCS) v3.1, in and out.

Where the standard has a place for a term of the hub, it stands there; the rest stands in ``customProperties``:

=====================  =========================================================================================
resource's name        ``schema[0].name`` (one schema object a contract)
table at the source    ``schema[0].physicalName``
title, description     ``name``, ``description.purpose``
field                  ``name``, ``physicalName``, ``physicalType``, ``businessName``, ``description``, ``required``,
                       ``primaryKey``, ``primaryKeyPosition``, ``classification: personal``
limits of a value      ``logicalTypeOptions``: ``minLength``, ``maxLength``, ``pattern``, ``minimum``, ``maximum``
double, bytes          ``number`` with ``format: f64``, ``string`` with ``format: binary`` (or such a ``physicalType``)
precision and scale    ``physicalType: numeric(p,s)``, else ``onedoor.precision``, ``onedoor.scale``
allowed values         ``quality``: ``metric: invalidValues``, ``arguments.validValues``, ``mustBe: 0``
parent                 ``relationships``: ``to: resource.field``
schedule               ``slaProperties``: an entry with ``scheduler: cron`` and ``schedule``
of the contract        ``onedoor.department``, ``onedoor.system``, ``onedoor.source``, ``onedoor.cursor``,
                       ``onedoor.limits``, ``onedoor.partitions``, ``onedoor.role``
of a field             ``onedoor.normalise``, ``onedoor.code``, ``onedoor.lookup``, ``onedoor.confirm``
=====================  =========================================================================================
"""

from schemas.odcs.read import API_VERSION, read_contract
from schemas.odcs.write import document_of, write_contract, yaml_text

__all__ = ["API_VERSION", "document_of", "read_contract", "write_contract", "yaml_text"]
