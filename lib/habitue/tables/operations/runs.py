"""What every run did, table by table: the pipeline appends a row for each table when the run ends, well or badly."""

from pyspark.sql import DataFrame
from pyspark.sql.types import StructType

from habitue.table import Table, column


def build(runs: DataFrame) -> DataFrame:
    """The rows as the pipeline made them: no other table gives them."""
    return runs


TABLE = Table(
    name="runs",
    grain="One row per run and table.",
    key=("run_id", "table_name"),
    schema=StructType(
        [
            column("run_id", "string", "The run; also in the metadata of every commit that it made."),
            column("table_name", "string", "The table, or the source for rows about taking in."),
            column(
                "as_of",
                "date",
                "First day that was not known; NULL where the run ended before it was settled.",
                nullable=True,
            ),
            column("status", "string", "written, skipped, failed, refused, or taken_in for a source."),
            column(
                "rows_in",
                "bigint",
                "Rows read. Of a table, those of its inputs added up, before any filter: sources as they came, tables that "
                "carry as_of in the one snapshot that was read, other tables whole; NULL where nothing was built.",
                nullable=True,
            ),
            column("rows_out", "bigint", "Rows written; for a source the rows kept.", nullable=True),
            column("seconds", "double", "Time from reading to written."),
            column("input_versions", "map<string,bigint>", "Delta version of each table that was read."),
            column("output_version", "bigint", "Delta version that was written.", nullable=True),
            column("config_hash", "string", "Hash of every setting."),
            column("code_version", "string", "Version of Habitué."),
            column("started_at", "timestamp", "Wall clock at the start of the run, UTC."),
            column(
                "detail",
                "string",
                "Why it was skipped or failed; for a source, the account of its rows.",
                nullable=True,
            ),
        ]
    ),
    checks={"known_status": "status IN ('written', 'skipped', 'failed', 'refused', 'taken_in')"},
    build=build,
)
