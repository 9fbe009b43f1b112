"""The peer dlt: its SQL source with the pyarrow back-end, into PostgreSQL by CSV and COPY. Run by dlt's own environment."""

from __future__ import annotations

import os
import sys

import dlt  # type: ignore[import-not-found]
from dlt.sources.sql_database import sql_table  # type: ignore[import-not-found]


def main(how: str) -> None:
    """Load ``orders``, ``replace`` or ``merge``."""
    source = sql_table(credentials=os.environ["DLT_SOURCE"], table="orders", backend="pyarrow", chunk_size=100_000)
    source.apply_hints(primary_key="o_orderkey", write_disposition=how)
    pipeline = dlt.pipeline(
        "bench",
        destination=dlt.destinations.postgres(os.environ["DLT_TARGET"]),
        dataset_name="dlt_bench",
        pipelines_dir=os.environ["DLT_FOLDER"],
    )
    pipeline.run(source, loader_file_format="csv").raise_on_failed_jobs()


if __name__ == "__main__":
    main(sys.argv[1])
