"""What a table is: its contract, and the pure function that builds it.

A table's file under `habitue.tables.<area>` holds one `TABLE` beside one `build`. The names of `build`'s parameters
are the tables it reads, so the order of a run follows from the signatures (see `habitue.pipeline`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    IntegerType,
    LongType,
    MapType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from habitue.errors import HabitueError

SNAPSHOT_COLUMN = "as_of"


class ContractError(HabitueError):
    """A built DataFrame does not have the columns that its table promises."""


def column(name: str, type_: DataType | str, comment: str, *, nullable: bool = False) -> StructField:
    """One column of a contract; NOT NULL unless `nullable`.

    `type_` is a Spark type or its DDL name, such as `"decimal(18,4)"`.
    """
    data_type = parse_type(type_) if isinstance(type_, str) else type_
    return StructField(name, data_type, nullable, {"comment": comment})


def parse_type(text: str) -> DataType:
    """The Spark type that DDL writes as `text`, such as `array<struct<day:date,amount:decimal(18,4)>>`.

    Spark's own parser needs a running session, and contracts are read without one.
    """
    kind, _, rest = text.strip().partition("<")
    inside = rest.removesuffix(">")
    if kind == "array":
        return ArrayType(parse_type(inside))
    if kind == "map":
        key, value = _split_outside_brackets(inside)
        return MapType(parse_type(key), parse_type(value))
    if kind == "struct":
        pairs = [part.partition(":") for part in _split_outside_brackets(inside)]
        return StructType([StructField(name.strip(), parse_type(type_)) for name, _, type_ in pairs])
    if kind.startswith("decimal("):
        precision, scale = kind.removeprefix("decimal(").removesuffix(")").split(",")
        return DecimalType(int(precision), int(scale))
    return _SIMPLE_TYPES[kind]


_SIMPLE_TYPES: dict[str, DataType] = {
    type_.simpleString(): type_
    for type_ in (StringType(), DateType(), TimestampType(), BooleanType(), IntegerType(), LongType(), DoubleType())
}


def _split_outside_brackets(text: str) -> list[str]:
    """The parts of `text` between the commas that stand in no bracket."""
    parts, depth, start = [], 0, 0
    for i, letter in enumerate(text):
        depth += (letter in "<(") - (letter in ">)")
        if letter == "," and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    return [*parts, text[start:]]


def as_of_column() -> StructField:
    """The column that every snapshot carries first."""
    return column(SNAPSHOT_COLUMN, "date", "First day that was not known when this snapshot was built.")


@dataclass(frozen=True)
class Table:
    """The contract of one Delta table, and what builds it.

    name: also the name of the file that defines it; a leading underscore marks a hidden work table.
    grain: "One row per ...".
    key: columns that identify a row; duplicates are refused.
    schema: the columns in order, made with `column`.
    checks: name -> SQL expression that every row must make true (Delta CHECK; NULL counts as false).
    build: pure function of DataFrames and settings, giving one DataFrame or a NamedTuple of them, one field a table.
    known_by: for tables of events, the date column that tells from which shop-local day a row was known. Whatever
        carries `as_of` sees only rows with `known_by < as_of`; the pipeline filters, so no build can forget to.
    model: the name and class of a fitted model that `build` gives beside the tables, as a field of that name. The class
        has `to_json` and `from_json`; builds that score with the model name it as a parameter.
    """

    name: str
    grain: str
    key: tuple[str, ...]
    schema: StructType
    build: Callable[..., Any]
    checks: Mapping[str, str] = field(default_factory=dict)
    known_by: str | None = None
    model: tuple[str, Any] | None = None

    @property
    def area(self) -> str:
        """The folder under `habitue.tables` that the table lives in."""
        return self.build.__module__.split(".")[2]

    @property
    def is_hidden(self) -> bool:
        return self.name.startswith("_")

    @property
    def is_snapshot(self) -> bool:
        return SNAPSHOT_COLUMN in self.schema.names

    @property
    def columns(self) -> list[str]:
        return list(self.schema.names)

    @property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        return inspect.signature(self.build, eval_str=True).parameters

    def conform(self, frame: DataFrame) -> DataFrame:
        """`frame` with the contract's columns in the contract's order.

        Integer widths and decimal precisions are cast (under ANSI an overflow raises); every other difference is
        reported in one `ContractError`.
        """
        problems = contract_problems(self.schema, frame.schema)
        if problems:
            listed = "\n".join(f"  - {problem}" for problem in problems)
            raise ContractError(
                f"Table {self.name}: what `build` returned does not match the contract:\n{listed}\n"
                f"Mend build or the schema in {self.build.__module__}."
            )
        return frame.select(*(F.col(f.name).cast(f.dataType).alias(f.name) for f in self.schema.fields))


def contract_problems(promised: StructType, given: StructType) -> list[str]:
    """Every difference between two schemas, in words; empty where `given` can be written as `promised`."""
    given_types = {f.name: f.dataType for f in given.fields}
    missing = [f"column {name} is missing" for name in promised.names if name not in given_types]
    extra = [f"column {name} is not in the contract" for name in given_types if name not in promised.names]
    wrong = [
        f"column {f.name} is {given_types[f.name].simpleString()}, not {f.dataType.simpleString()}"
        for f in promised.fields
        if f.name in given_types and not _same_kind(f.dataType, given_types[f.name])
    ]
    return missing + extra + wrong


def _same_kind(promised: DataType, given: DataType) -> bool:
    """Whether a cast between the types keeps the meaning: same type, or both whole numbers, or both decimals."""
    whole = {"tinyint", "smallint", "int", "bigint"}
    kinds = [promised.simpleString(), given.simpleString()]
    if given.typeName() == "void":
        return True
    if all(kind in whole for kind in kinds) or all(kind.startswith("decimal") for kind in kinds):
        return True
    return kinds[0] == kinds[1]
