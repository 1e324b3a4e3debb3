"""Writes the archive from which drivers of this environment take their classes (Java's class data sharing).

    .venv/bin/python tools/class_archive.py        half a minute, 190 MB beside pyspark's jars

Java loads, checks and links some 25,000 classes for a Spark application of a minute. Those that this small one uses, which
does once what jobs do, are kept as they are in memory then. Java leaves the archive alone where it does not fit, as after
an upgrade of Java or of a jar: a driver starts as without it.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pyspark

ARCHIVE = Path(pyspark.__file__).resolve().parent / "classes.jsa"
OPTIONS = "-XX:+UseParallelGC -XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m -Xlog:cds*=off"
USE = "use"


def main() -> None:
    empty = ARCHIVE.parent / "no-conf"
    empty.mkdir(exist_ok=True)
    for file in empty.iterdir():
        sys.exit(f"  {file} is in the way: {empty} has to be empty")
    ARCHIVE.unlink(missing_ok=True)
    new = ARCHIVE.with_suffix(f".{os.getpid()}")
    defaults = ARCHIVE.parent / "conf" / "spark-defaults.conf"
    submit = [Path(sys.prefix) / "bin" / "spark-submit", "--properties-file", defaults]
    submit += ["--driver-java-options", f"{OPTIONS} -XX:ArchiveClassesAtExit={new}", __file__, USE]
    local = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_CONF_DIR": str(empty)}
    done = subprocess.run(submit, env=local, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode or not new.is_file():
        new.unlink(missing_ok=True)
        print(done.stdout, done.stderr, file=sys.stderr)
        sys.exit("  no archive of Spark's classes was written")
    new.replace(ARCHIVE)


def use() -> None:
    """What jobs do with Spark and Delta, once, on a thousand rows."""
    from delta.tables import DeltaTable
    from pyspark.sql import SparkSession, Window
    from pyspark.sql import functions as f

    spark = SparkSession.builder.master("local[2]").getOrCreate()
    with tempfile.TemporaryDirectory() as folder:
        made = spark.range(1000).select(
            "id", f.expr("string(id % 100) user"), f.current_timestamp().alias("at")
        )
        lines = made.select(f.to_json(f.struct(*made.columns)).alias("value"))
        lines.write.option("compression", "gzip").text(f"{folder}/lines")
        read = spark.read.text(f"{folder}/lines").select(
            f.from_json("value", "id bigint, user string, at timestamp").alias("record"),
            "_metadata.file_path",
        )
        rows = read.select("record.*", f.to_date("record.at").alias("day"))

        one, other = f"{folder}/one", f"{folder}/other"
        table = DeltaTable.createIfNotExists(spark).location(one).addColumns(rows.schema).partitionedBy("day")
        table.property("delta.enableChangeDataFeed", "true").execute()
        rows.hint("rebalance", "day").write.format("delta").mode("append").save(one)
        merge = DeltaTable.forPath(spark, one).alias("old").merge(rows.alias("new"), "old.id = new.id")
        merge = merge.whenMatchedDelete("new.id = 1").whenMatchedUpdate(set={"user": f.lit("ann")})
        merge.whenNotMatchedInsertAll().execute()

        kept = spark.read.format("delta").load(one).localCheckpoint()
        number = f.row_number().over(Window.partitionBy("user").orderBy("at", "id"))
        parts = kept.withColumn("number", number).groupBy("user")
        lists = parts.agg(f.sort_array(f.collect_list(f.struct("at", "number"))).alias("all"), f.count("*"))
        through_python = lists.select("user", "all").mapInArrow(
            lambda batches: batches, "user string, all " + lists.schema["all"].dataType.simpleString()
        )
        through_python.write.format("delta").mode("overwrite").option("replaceWhere", "true").save(other)
        feed = (
            spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", 1).load(one)
        )
        feed.join(f.broadcast(spark.read.format("delta").load(other)), "user", "left_anti").collect()
    spark.stop()


if __name__ == "__main__":
    use() if USE in sys.argv else main()
