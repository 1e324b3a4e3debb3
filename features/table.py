"""What a table is: its columns, each declared once with type, unit, nullability and meaning."""

import re
from dataclasses import dataclass, field

from pyspark.sql import Column as Expression
from pyspark.sql import DataFrame
from pyspark.sql import functions as f
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    DataType,
    DateType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    MapType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)


class SchemaError(ValueError):
    """A frame that does not match the declaration of the table it is meant for."""


SIMPLE: dict[str, DataType] = {
    kind.simpleString(): kind
    for kind in (
        BinaryType(),
        BooleanType(),
        DateType(),
        DoubleType(),
        FloatType(),
        IntegerType(),
        LongType(),
        StringType(),
        TimestampType(),
    )
}


def type_of(ddl: str) -> DataType:
    """`string`, `array<int>`, `map<string,bigint>`: the few types that tables use, without a Spark to ask."""
    if match := re.fullmatch(r"array<(.+)>", ddl):
        return ArrayType(type_of(match[1]))
    if match := re.fullmatch(r"map<(\w+),(.+)>", ddl):
        return MapType(type_of(match[1]), type_of(match[2]))
    return SIMPLE[ddl]


@dataclass(frozen=True)
class Column:
    """One column. `type` is Spark DDL, or the columns of the structs of an array.

    `dictionary`: whether Parquet may write the values as places in a list of the distinct ones. Where almost every row has a
    value of its own, such a list is made for nothing, and takes a fifth of the time of a write.
    """

    name: str
    type: "str | tuple[Column, ...]"
    meaning: str
    nullable: bool = False
    unit: str = ""
    dictionary: bool = True

    @property
    def parquet_path(self) -> str:
        """Its values in a Parquet file, as Spark names them."""
        return f"{self.name}.list.element" if isinstance(self.data_type, ArrayType) else self.name

    @property
    def data_type(self) -> DataType:
        if isinstance(self.type, str):
            return type_of(self.type)
        return ArrayType(StructType([StructField(c.name, c.data_type) for c in self.type]))


@dataclass(frozen=True)
class Table:
    """One Delta table of the lake.

    `statistics` are the columns whose smallest and largest value Delta keeps for each file, for skipping files; ids of
    users and raw text stay out of them.
    """

    name: str
    meaning: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    partition_by: tuple[str, ...] = ()
    statistics: tuple[str, ...] = ()
    properties: dict[str, str] = field(default_factory=dict)

    @property
    def schema(self) -> StructType:
        """The schema as Delta is told it: NOT NULL at the top; Delta cannot hold it inside arrays."""
        return StructType([StructField(c.name, c.data_type, c.nullable) for c in self.columns])

    @property
    def without_dictionary(self) -> list[str]:
        """The columns of its Parquet files, those of structs in arrays too, that are written value by value."""
        found = []
        for column in self.columns:
            inside = () if isinstance(column.type, str) else column.type
            found += [f"{column.parquet_path}.{field.name}" for field in inside if not field.dictionary]
            found += [] if column.dictionary else [column.parquet_path]
        return found

    def conform(self, frame: DataFrame) -> DataFrame:
        """The frame with this table's columns in order, every NOT NULL inside an array enforced as rows are computed.

        Raises `SchemaError` where a column is missing, unknown or of another type.
        """
        arrived = {s.name: s.dataType for s in frame.schema}
        expected = {c.name: c.data_type for c in self.columns}
        wrong = [f"{name}: unknown column" for name in arrived if name not in expected]
        for name, kind in expected.items():
            if name not in arrived:
                wrong.append(f"{name}: missing, expected {kind.simpleString()}")
            elif arrived[name].simpleString() != kind.simpleString():
                wrong.append(f"{name}: got {arrived[name].simpleString()}, expected {kind.simpleString()}")
        if wrong:
            raise SchemaError(f"a write to {self.name} does not match its declaration: " + "; ".join(wrong))
        return frame.select(*(self._without_nested_nulls(c) for c in self.columns))

    def _without_nested_nulls(self, column: Column) -> Expression:
        value = f.col(column.name)
        if isinstance(column.type, str):
            return value
        required = [c.name for c in column.type if not c.nullable]

        def broken(element: Expression) -> Expression:
            missing = element.isNull()
            for name in required:
                missing = missing | element[name].isNull()
            return missing

        message = f"{self.name}.{column.name} has an element with a null in one of: {', '.join(required)}"
        return (
            f.when(f.exists(value, broken), f.raise_error(f.lit(message))).otherwise(value).alias(column.name)
        )
