"""The SHACL shapes of DCAT-AP 3.0.1: our own of what is mandatory and recommended, and the profile's where a person has them.

The profile's are not shipped.
``ONEDOOR_DCAT_SHAPES`` names a folder with the files of ``releases/3.0.1/html/shacl`` of https://github.com/SEMICeu/DCAT-AP,
which the European Union publishes under CC BY 4.0.
"""

from __future__ import annotations

import os
from pathlib import Path

import rdflib

from tests.conftest import missing

FILES = ("shapes", "range", "shapes_recommended", "mdr-vocabularies.shape", "deprecateduris")
SH = rdflib.Namespace("http://www.w3.org/ns/shacl#")


CORE = Path(__file__).parent / "dcat_ap_core.ttl"


def core_findings(graph: rdflib.Graph, severity: str = "Violation") -> list[tuple[str, str]]:
    """Return what our own shapes find of a severity (``Violation`` or ``Warning``), sorted: of what, and what is wrong."""
    import pyshacl

    _, report, _ = pyshacl.validate(graph, shacl_graph=rdflib.Graph().parse(CORE))
    return sorted(
        (str(report.value(result, SH.focusNode)), str(report.value(result, SH.resultMessage)))
        for result in report.objects(None, SH.result)
        if report.value(result, SH.resultSeverity) == SH[severity]
    )


def violations(graph: rdflib.Graph) -> list[str]:
    """Return what breaks the profile. What is only recommended, and what no vocabulary of the EU has, is no violation."""
    folder = os.environ.get("ONEDOOR_DCAT_SHAPES")
    if not folder:
        missing("dcat-shapes", "needs the profile's SHACL files in a folder, by ONEDOOR_DCAT_SHAPES")
    import pyshacl

    found = []
    for name in FILES:
        shapes = rdflib.Graph().parse(Path(folder) / f"{name}.ttl")
        _, report, _ = pyshacl.validate(graph, shacl_graph=shapes, advanced=True)
        found += [
            f"{name}: {report.value(result, SH.focusNode)} {report.value(result, SH.resultMessage)}"
            for result in report.objects(None, SH.result)
            if report.value(result, SH.resultSeverity) == SH.Violation
        ]
    return found
