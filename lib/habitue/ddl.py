"""The statement that makes a Delta table of a contract: comments, NOT NULL, CHECKs and properties in one commit."""

from __future__ import annotations

from pyspark.sql.types import StructField

from habitue.table import SNAPSHOT_COLUMN, Table

# Published tables stay readable by every Delta reader, so nothing that raises the reader version is switched on.
TABLE_PROPERTIES = {
    "delta.minReaderVersion": "1",
    "delta.minWriterVersion": "3",  # CHECK constraints
    "delta.enableDeletionVectors": "false",
    "delta.columnMapping.mode": "none",
}


def create_statement(table: Table, reference: str) -> str:
    """CREATE TABLE for the table that SQL calls `reference`."""
    columns = ",\n  ".join(_column(f) for f in table.schema.fields)
    # As properties the CHECKs come with the table, in one commit; a statement for each would take a second each.
    checks = {f"delta.constraints.{name}": condition for name, condition in table.checks.items()}
    properties = ", ".join(f"'{k}' = '{_quoted(v)}'" for k, v in {**TABLE_PROPERTIES, **checks}.items())
    partitions = f"PARTITIONED BY ({SNAPSHOT_COLUMN})" if table.is_snapshot else ""
    return (
        f"CREATE TABLE {reference} (\n  {columns}\n) USING DELTA {partitions}\n"
        f"COMMENT '{_quoted(table.grain)}' TBLPROPERTIES ({properties})"
    )


def _column(field: StructField) -> str:
    comment = _quoted(field.metadata.get("comment", ""))
    null = "" if field.nullable else " NOT NULL"
    return f"`{field.name}` {field.dataType.simpleString()}{null} COMMENT '{comment}'"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")
