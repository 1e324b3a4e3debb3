"""The catalogue beside the logs: what a source says of its items."""

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as f

from conf.schema import ItemSource

COLUMNS = "item_id string, title string, category string, attributes map<string,string>"


def catalogue(lines: DataFrame, source: ItemSource) -> DataFrame:
    """`item_id`, `title`, `category`, `attributes`, one row an item: the last line of the newest file.

    before                                   after
    text                                     item_id  title  category  attributes
    {"id":1,"kind":"MILK","brand":"Own"}     1        null   MILK      {brand: Own}
    """
    record = f.from_json("text", source.schema, {"mode": "PERMISSIVE"})
    fields = lines.select("arrival_date", "source_file", "ingest_seq", record.alias("_record")).select(
        "arrival_date", "source_file", "ingest_seq", "_record.*"
    )
    named = fields.select(
        f.expr(source.item_id).cast("string").alias("item_id"),
        f.expr(source.title).cast("string").alias("title"),
        f.expr(source.category).cast("string").alias("category"),
        f.expr(source.attributes).cast("map<string,string>").alias("attributes"),
        f.struct("arrival_date", "source_file", "ingest_seq").alias("_order"),
    ).where("item_id is not null")
    newest = Window.partitionBy("item_id").orderBy(f.desc("_order"))
    return named.withColumn("_n", f.row_number().over(newest)).where("_n = 1").drop("_n", "_order")


def no_catalogue(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame([], COLUMNS)
