"""The quality report of a run: Great Expectations over the run's sample, beside the path, once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from psycopg.types.json import Jsonb

from exchange.bootstrap import Hub, open_hub
from exchange.settings import load_settings
from exchange.store import runs
from schemas.errors import OneDoorError


def make_report(hub: Hub, run_id: str) -> dict[str, Any] | None:
    """Make the report of a closed run that the caller has claimed, and return what the run keeps of it; None where the run kept
    no sample. A report that fails is marked so and does not fail the run.
    """
    with hub.connect() as connection:
        state, quality = "failed", None
        try:
            run = runs.get_run(connection, run_id)
            connection.commit()
            contract = hub.registry.contract(run.resource, run.contract_version)
            sample = hub.samples.load(run_id, contract, hub.keys)
            if sample is not None:
                from quality.engines import gx

                verdict = gx.report(
                    sample.rows,
                    contract,
                    run=run_id,
                    sampled_of=sample.sampled_of,
                    now=hub.clock.now(),
                    docs_dir=hub.settings.docs_dir,
                )
                quality = verdict.as_json()
            state = "done"
        except OneDoorError as error:
            hub.log.error("no quality report", run=run_id, **runs.error_json(error))
        finally:
            connection.execute(
                """UPDATE exchange.run SET report_state = %s,
                     report = CASE WHEN %s::jsonb IS NULL THEN report ELSE jsonb_set(report, '{quality}', %s::jsonb) END
                   WHERE id = %s""",
                [state, Jsonb(quality) if quality else None, Jsonb(quality) if quality else None, run_id],
            )
            connection.commit()
            hub.samples.remove(run_id)
        return quality


def main() -> int:
    """Make one report: ``python -m exchange.worker.report HOME RUN``."""
    hub = open_hub(load_settings(Path(sys.argv[1])))
    try:
        make_report(hub, sys.argv[2])
    except OneDoorError as error:
        hub.log.error("no quality report", run=sys.argv[2], **runs.error_json(error))
        return 1
    finally:
        hub.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
