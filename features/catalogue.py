"""The catalogue beside the logs: what a source says of its items."""

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as f

from conf.schema import ItemSource
from features.formats import selected

MAPPED = {
    "item_id": "string",
    "title": "string",
    "category": "string",
    "attributes": "map<string,string>",
}
COLUMNS = "item_id string, title string, category string, attributes map<string,string>"


def catalogue(records: DataFrame, source: ItemSource, wanted: DataFrame | None = None) -> DataFrame:
    """`item_id`, `title`, `category`, `attributes`, one row an item: the last record of the newest file.

    before                  after
    fields                  item_id  title  category  attributes
    {1, MILK, Own}          1        null   MILK      {brand: Own}

    Takes `source_file`, `arrival_date`, `ingest_seq`, `fields`. A record without an id is passed over,
    and so is one of an item that is not among those `wanted` (`item_id`), where these are given.
    """
    order = f.struct("arrival_date", "source_file", "ingest_seq").alias("_order")
    fields = records.select(order, "fields.*")
    sql = {name: f"cast(({getattr(source, name)}) as {kind})" for name, kind in MAPPED.items()}
    named = selected(fields, [f.col("_order")], source, sql).where("item_id is not null")
    if wanted is not None:
        named = named.join(wanted.select("item_id"), "item_id", "left_semi")
    newest = Window.partitionBy("item_id").orderBy(f.desc("_order"))
    return named.withColumn("_n", f.row_number().over(newest)).where("_n = 1").drop("_n", "_order")


def no_catalogue(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame([], COLUMNS)
