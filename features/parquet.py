"""Whether a Parquet file can be read, with the types that its source says: what Spark finds out only in mid-reading."""

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql.pandas.types import from_arrow_type
from pyspark.sql.types import ArrayType, DataType, MapType, StructType

WIDER = {
    "tinyint": ("smallint", "int", "bigint"),
    "smallint": ("int", "bigint"),
    "int": ("bigint", "double"),
    "float": ("double",),
    "binary": ("string",),
    "timestamp_ntz": ("timestamp",),
}
"""What Spark's Parquet reader takes a type of a file for, beside itself."""


def problem_of_parquet(content: pa.Buffer, wanted: StructType) -> str | None:
    """Why a file cannot be read: it is broken off or damaged, or a field that is wanted has another type."""
    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        if problem := mismatch(file.schema_arrow, wanted):
            return problem
        for group in range(file.num_row_groups):
            file.read_row_group(group)
    except (pa.ArrowException, OSError) as error:
        return f"not a whole Parquet file: {error}"
    return None


def mismatch(arrived: pa.Schema, wanted: StructType) -> str | None:
    """The first field whose type is not the wanted one, nor one that Spark reads as it; a field may be missing.

    arrived                    wanted                     after
    user: string, n: int32     user string, n bigint      null
    user: string, n: string    user string, n bigint      n is string, expected bigint: change source.schema
    """
    types = {field.name.casefold(): field.type for field in arrived}
    for field in wanted:
        if (kind := types.get(field.name.casefold())) is None:
            continue
        try:
            found = _as_spark(kind)
        except (TypeError, ValueError):
            return f"{field.name} is {kind}, which Spark does not read: leave it out of source.schema"
        if not _reads(found, field.dataType):
            expected = field.dataType.simpleString()
            return f"{field.name} is {found.simpleString()}, expected {expected}: change source.schema"
    return None


def _as_spark(kind: pa.DataType) -> DataType:
    if pa.types.is_timestamp(kind) and kind.unit == "ns":  # a number; see `one_split_a_task`
        kind = pa.int64()
    elif pa.types.is_dictionary(kind):
        kind = kind.value_type
    return from_arrow_type(kind, prefer_timestamp_ntz=True)


def _reads(found: DataType, wanted: DataType) -> bool:
    if isinstance(found, ArrayType) and isinstance(wanted, ArrayType):
        return _reads(found.elementType, wanted.elementType)
    if isinstance(found, MapType) and isinstance(wanted, MapType):
        return _reads(found.keyType, wanted.keyType) and _reads(found.valueType, wanted.valueType)
    if isinstance(found, StructType) and isinstance(wanted, StructType):
        types = {field.name.casefold(): field.dataType for field in found}
        return all(
            field.name.casefold() not in types or _reads(types[field.name.casefold()], field.dataType)
            for field in wanted
        )
    name = wanted.simpleString()
    return name == found.simpleString() or name in WIDER.get(found.simpleString(), ())
