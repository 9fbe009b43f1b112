"""The quality report of a run: Great Expectations over the run's sample, beside the path, once."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from psycopg.types.json import Jsonb

from exchange.bootstrap import Hub, open_hub
from exchange.settings import load_settings
from exchange.store import runs
from exchange.store.database import translated
from schemas.errors import OneDoorError, raised_at

IDLE_S: Final = 15.0
LONGEST_S: Final = 300.0
DONE: Final = b"done\n"
FAILED: Final = b"failed\n"


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


@dataclass
class Reporter:
    """A process that makes reports, one after the other: Great Expectations is large and slow to start, the worker is not.

    It starts with the first report and ends where nothing was reported for ``IDLE_S``.
    """

    home: Path
    database_url: str = field(repr=False)
    _process: subprocess.Popen[bytes] | None = None
    _used: float = 0.0

    def make(self, run_id: str, stopping: threading.Event) -> bool:
        """Have a report made; False where it was not, because the process ended or the worker is stopping."""
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "exchange.worker.report", str(self.home)],
                env=os.environ | {"ONEDOOR_DATABASE_URL": self.database_url},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(f"{run_id}\n".encode())
            process.stdin.flush()
        except BrokenPipeError:
            return False
        until = time.monotonic() + LONGEST_S
        while not stopping.is_set() and time.monotonic() < until:
            if select.select([process.stdout], [], [], 0.2)[0]:
                self._used = time.monotonic()
                return process.stdout.readline() == DONE
        self.close()
        return False

    def rest(self) -> None:
        """End the process where nothing was reported for a while."""
        if self._process is not None and time.monotonic() - self._used > IDLE_S:
            self.close()

    def close(self) -> None:
        """End the process, whatever it is doing."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.communicate()


def main() -> int:
    """Make the reports that standard input asks for, a run a line: ``python -m exchange.worker.report HOME``."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    hub = open_hub(load_settings(Path(sys.argv[1])))
    try:
        for line in sys.stdin:
            run_id = line.strip()
            try:
                with translated():
                    make_report(hub, run_id)
                answers.write(DONE)
            except OneDoorError as error:
                hub.log.error("no quality report", run=run_id, **runs.error_json(error))
                answers.write(FAILED)
            except Exception as error:  # noqa: BLE001 - the process boundary; no message, it may hold a row
                hub.log.critical("report defect", run=run_id, error=type(error).__name__, at=raised_at(error))
                answers.write(FAILED)
            answers.flush()
    finally:
        hub.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
