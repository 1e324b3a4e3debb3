"""The lake: Delta tables in one folder. The only module that reads or writes Delta."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from delta.tables import DeltaTable
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as f
from pyspark.sql.types import StructType

from features.stored import STATISTICS, Stored, differences, is_newer, properties_of
from features.table import Table

UNSUPPORTED = {"delta.enableDeletionVectors": ("true",), "delta.columnMapping.mode": ("name", "id")}
USER_METADATA = "spark.databricks.delta.commitInfo.userMetadata"
BARRED, TOLD = "footfall.barred", "footfall.told"  # properties of no meaning but that they change
DEEPEST = 3  # folders below the lake's in which a table can lie
Facts = dict[str, Any]
Guard = Callable[[Table], None]
"""Raises where a table may not be written to any more."""


class UnsupportedTable(ValueError):
    """A table with a feature that readers of its plain Parquet files would misread, or of another release's columns."""


class Lake:
    """Tables by declaration: `lake.read(EVENTS)` is the newest version, an empty frame where nothing was written yet.

    Every write takes `facts`, a JSON object that goes into the commit (`userMetadata`): what was counted and which
    batches of input it covered. `lake.facts(TABLE)` gives those of the newest commit that has any.

    Within `guarded` each commit is asked for before it begins, and again when it is done or has failed.
    """

    def __init__(self, spark: SparkSession, root: str):
        self.spark = spark
        self.root = root
        hadoop, system = self.file_system()
        # A relative path would be read as a table's name.
        self.root = system.makeQualified(hadoop.Path(root)).toString()
        self._guard: Guard | None = None
        self._written: dict[str, Table] = {}

    def path(self, table: Table) -> str:
        return f"{self.root}/{table.name}"

    def exists(self, table: Table) -> bool:
        return self.version(table) is not None

    def read(self, table: Table, version: int | None = None) -> DataFrame:
        snapshot = self._snapshot(table)
        if snapshot.version() < 0:
            return self.spark.createDataFrame([], table.schema)
        self._refuse_unsupported(table, snapshot)
        reader = self.spark.read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", version)
        return reader.load(self.path(table))

    def version(self, table: Table) -> int | None:
        """Number of the newest commit; none where the table does not exist."""
        newest = self._snapshot(table).version()
        return None if newest < 0 else newest

    def versions_written(self) -> dict[str, int | None]:
        """Name -> version of each table that was committed to since this was asked before."""
        written, self._written = self._written, {}
        return {name: self.version(table) for name, table in written.items()}

    def written_at(self, table: Table) -> datetime | None:
        """When the newest commit was made; none where the table does not exist."""
        snapshot = self._snapshot(table)
        return None if snapshot.version() < 0 else datetime.fromtimestamp(snapshot.timestamp() / 1000, UTC)

    def facts(self, table: Table) -> Facts:
        """What the newest commit with facts says; empty where there is none."""
        for version in range(self._snapshot(table).version(), -1, -1):
            told = self._commit(table, version).get("userMetadata")
            if told:
                return json.loads(told)
        return {}

    def history(self, table: Table) -> list[Facts]:
        """What every commit that has facts says, oldest first, and how many `rows` it wrote."""
        if not self.exists(table):
            return []
        told = self._delta(table).history().where("userMetadata is not null").orderBy("version")
        rows = told.select("userMetadata", "operationMetrics").collect()
        return [json.loads(row[0]) | {"rows": _rows_written(row[1])} for row in rows]

    def rows_written(self, table: Table) -> int:
        """By the newest commit, as Delta counted them."""
        return _rows_written(self._commit(table, self._snapshot(table).version()).get("operationMetrics", {}))

    def properties(self, table: Table) -> dict[str, str]:
        return _configuration(self._snapshot(table))

    def stored(self, table: Table) -> Stored:
        """What a table that is there is, of whichever release."""
        snapshot = self._snapshot(table)
        self._refuse_unplain(table, snapshot)
        return _stored(snapshot)

    def written(self, table: Table) -> DataFrame:
        """The rows of a table that is there, with the columns that it has, of whichever release."""
        return self.spark.read.format("delta").load(self.path(table))

    def changes(self, table: Table, after: int, upto: int) -> DataFrame:
        """The rows that the commits `(after, upto]` put in and took out, with `_is_in`: false for one that was taken out.

        Of a table with the property `delta.enableChangeDataFeed`. A row that was put in and taken out again is in it twice.
        """
        if after >= upto:
            return self.read(table, upto).limit(0).withColumn("_is_in", f.lit(True))
        reader = self.spark.read.format("delta").option("readChangeFeed", "true")
        reader = reader.option("startingVersion", after + 1).option("endingVersion", upto)
        feed = reader.load(self.path(table))
        is_in = f.col("_change_type").isin("insert", "update_postimage")
        return feed.withColumn("_is_in", is_in).drop("_change_type", "_commit_version", "_commit_timestamp")

    def append(self, table: Table, rows: DataFrame, facts: Facts) -> None:
        self._create(table)
        with self._committed(table, facts):
            self._spread(table, rows).write.format("delta").mode("append").save(self.path(table))

    def insert_new(self, table: Table, rows: DataFrame, facts: Facts) -> None:
        """Inserts the rows whose key is not there yet; the others stay as they are."""
        self._create(table)
        with self._committed(table, facts):
            self._merge(table, self._spread(table, rows)).whenNotMatchedInsertAll().execute()

    def replace(
        self, table: Table, old: DataFrame, new: DataFrame, facts: Facts, within: Column | None = None
    ) -> None:
        """One commit in which the rows whose key is in `old` make way for `new`.

        `within` bounds the table's rows that can be meant, so that Delta need not look at all files.
        """
        new = table.conform(new)
        gone = old.select(*table.key).join(new.select(*table.key), list(table.key), "left_anti")
        absent = [
            f.lit(None).cast(c.data_type).alias(c.name) for c in table.columns if c.name not in table.key
        ]
        changes = new.withColumn("_gone", f.lit(False)).unionByName(
            gone.select("*", *absent).withColumn("_gone", f.lit(True))
        )
        self._create(table)
        values = {c.name: f"new.{c.name}" for c in table.columns}
        with self._committed(table, facts):
            (
                self._merge(table, changes, within)
                .whenMatchedDelete("new._gone")
                .whenMatchedUpdate(set=values)
                .whenNotMatchedInsert("not new._gone", values)
                .execute()
            )

    def replace_where(
        self, table: Table, rows: DataFrame, predicate: str, facts: Facts, kept: DataFrame | None = None
    ) -> None:
        """One commit in which `rows` take the place of all rows for which `predicate` holds.

        Beside them come those of the table that are `kept`: from the files in which they are, without a shuffle.
        """
        self._create(table)
        spread = self._spread(table, rows)
        if kept is not None:
            spread = spread.unionByName(table.conform(kept))
        with self._committed(table, facts):
            writer = spread.write.format("delta").mode("overwrite")
            writer.option("replaceWhere", predicate).save(self.path(table))

    def overwrite(
        self, table: Table, rows: DataFrame, facts: Facts, rows_per_file: int | None = None
    ) -> None:
        """One commit in which `rows` are all that the table holds, in their order and their partitions."""
        self._create(table)
        with self._committed(table, facts):
            writer = table.conform(rows).write.format("delta").mode("overwrite")
            if rows_per_file:
                writer = writer.option("maxRecordsPerFile", rows_per_file)
            writer.save(self.path(table))

    def rewrite(self, table: Table, rows: DataFrame, facts: Facts) -> None:
        """One commit in which `rows` are all that the table holds, in their columns, whichever it had.

        Delta then says of every column that it may be null: `declare` comes next.
        """
        self._keep_statistics(table)
        with self._committed(table, facts):
            writer = self._spread(table, rows).write.format("delta").mode("overwrite")
            writer.option("overwriteSchema", "true").partitionBy(*table.partition_by).save(self.path(table))

    def declare(self, table: Table) -> None:
        """One commit, without facts, after which columns, NOT NULLs and properties are those of the table's declaration.

        A column that was not there is null in every row: such a one must be nullable. Rows are not looked at. SQL can add
        columns one by one, and cannot say NOT NULL of one that is there.
        """
        jvm: Any = self.spark._jvm
        delta = jvm.org.apache.spark.sql.delta
        with self._committed(table, None):
            log = delta.DeltaLog.forTable(self.spark._jsparkSession, self.path(table))
            transaction = log.startTransaction()
            told = json.loads(transaction.metadata().json())
            said = told["metaData"]
            said |= {"schemaString": table.schema.json(), "description": table.meaning}
            said["configuration"] |= properties_of(table)
            transaction.updateMetadata(delta.actions.Action.fromJson(json.dumps(told)), False)
            no_files = jvm.scala.jdk.javaapi.CollectionConverters.asScala(jvm.java.util.ArrayList()).toSeq()
            transaction.commit(no_files, getattr(getattr(delta, "DeltaOperations$ManualUpdate$"), "MODULE$"))

    def delete(self, table: Table, condition: str, facts: Facts) -> None:
        snapshot = self._snapshot(table)
        if snapshot.version() >= 0:
            self._refuse_unsupported(table, snapshot)
            with self._committed(table, facts):
                self._delta(table).delete(condition)

    def tell(self, table: Table, facts: Facts) -> None:
        """A commit that changes nothing but what the newest facts are."""
        if self.exists(table):
            with self._committed(table, facts):
                self._set_property(self.path(table), TOLD, json.dumps(facts, sort_keys=True))

    def describe(self, table: Table) -> None:
        """Gives a table that is there the properties of its declaration."""
        self._describe(table, self.properties(table))

    def update(self, table: Table, condition: str, values: dict[str, str], facts: Facts) -> None:
        """One commit in which the rows for which `condition` holds get new values, column -> SQL."""
        with self._committed(table, facts):
            self._delta(table).update(condition, {name: f.expr(sql) for name, sql in values.items()})

    def remove(self, table: Table, whose: DataFrame, condition: str, facts: Facts) -> None:
        """One commit without the rows, `old`, that meet `condition` with a row of `whose`, `new`; none without a table.

        Delta writes a condition into its log: this one names columns, and what is in `whose` stays out of it.
        """
        if not self.exists(table):
            return
        with self._committed(table, facts):
            self._delta(table).alias("old").merge(whose.alias("new"), condition).whenMatchedDelete().execute()

    def vacuum(self, table: Table, hours: float) -> None:
        """Deletes the files that no version of the last `hours` needs, those of writes that failed among them.

        It makes no version: who follows a table's changes would take it for one.
        """
        if self._guard:
            self._guard(table)
        # The first refuses less than a week.
        settings = ("retentionDurationCheck.enabled", "vacuum.logging.enabled")
        for name in settings:
            self.spark.conf.set(f"spark.databricks.delta.{name}", "false")
        try:
            self._delta(table).vacuum(hours)
        finally:
            for name in settings:
                self.spark.conf.unset(f"spark.databricks.delta.{name}")

    def compact(self, table: Table) -> tuple[int, int]:
        """Writes the small files of each partition as few, in one commit that changes no row. Files removed and added.

        The commit says of the table what the one before it did.
        """
        with self._committed(table, self.facts(table)):
            metrics = self._delta(table).optimize().executeCompaction().select("metrics.*").first()
        assert metrics is not None
        return metrics.numFilesRemoved, metrics.numFilesAdded

    def drop(self, folder: str) -> None:
        """Deletes a folder of the lake, tables and all."""
        hadoop, system = self.file_system()
        system.delete(hadoop.Path(f"{self.root}/{folder}"), True)

    def folders(self, folder: str) -> list[str]:
        """The names of the folders in a folder of the lake."""
        hadoop, system = self.file_system()
        path = hadoop.Path(f"{self.root}/{folder}")
        found = system.listStatus(path) if system.exists(path) else []
        return sorted(status.getPath().getName() for status in found if status.isDirectory())

    @contextmanager
    def guarded(self, guard: Guard) -> Iterator[None]:
        """Within it `guard` has a say in each commit."""
        before, self._guard = self._guard, guard
        try:
            yield
        finally:
            self._guard = before

    def bar(self, said: str, only: Table | None = None) -> None:
        """Lets every commit fail that is under way now, to all tables or one of them.

        Delta refuses a commit whose table got other properties since it began.
        """
        hadoop, system = self.file_system()
        tables = [only.name] if only else [f"*{'/*' * depth}" for depth in range(DEEPEST)]
        for table in tables:
            for log in system.globStatus(hadoop.Path(f"{self.root}/{table}/_delta_log")) or []:
                self._set_property(log.getPath().getParent().toString(), BARRED, said)

    def file_system(self) -> tuple[Any, Any]:
        """Hadoop's classes of files, and the file system that the lake is in."""
        hadoop = self.spark._jvm.org.apache.hadoop.fs  # type: ignore[union-attr]
        return hadoop, hadoop.Path(self.root).getFileSystem(self.spark._jsc.hadoopConfiguration())

    def lines(self, file: str) -> Iterator[str]:
        """The lines of a file, read without a Spark job; none where it is not there."""
        hadoop, system = self.file_system()
        if not system.exists(hadoop.Path(file)):
            return
        stream = system.open(hadoop.Path(file))
        try:
            reader = self.spark._jvm.java.io.InputStreamReader(stream, "UTF-8")  # type: ignore[union-attr]
            lines = self.spark._jvm.java.io.BufferedReader(reader)  # type: ignore[union-attr]
            while (line := lines.readLine()) is not None:
                yield line
        finally:
            stream.close()

    def log_store(self) -> Any:
        """What puts commits where they belong, of several with one number the first: Delta's, for the lake's file system."""
        log = self.spark._jvm.org.apache.spark.sql.delta.DeltaLog  # type: ignore[union-attr]
        return log.forTable(self.spark._jsparkSession, self.root).store()

    def _delta(self, table: Table) -> DeltaTable:
        return DeltaTable.forPath(self.spark, self.path(table))

    def _snapshot(self, table: Table) -> Any:
        """Delta's own view of the newest commit, version -1 where there is none: known without a Spark job.

        `DeltaTable.detail()` and `.history()` say the same by queries over the log, which take seconds in a new driver.
        """
        log = self.spark._jvm.org.apache.spark.sql.delta.DeltaLog  # type: ignore[union-attr]
        return log.forTableWithSnapshot(self.spark._jsparkSession, self.path(table))._2()

    def _commit(self, table: Table, version: int) -> Facts:
        """The `commitInfo` of a commit; empty where the log has forgotten it.

        Its place and its form are those of Delta's protocol: one action a line of `_delta_log/<version>.json`.
        """
        log = f"{self.path(table)}/_delta_log"
        for line in self.lines(f"{log}/{version:020d}.json"):
            if line.startswith('{"commitInfo"'):
                return json.loads(line)["commitInfo"]
        return {}

    def _create(self, table: Table) -> None:
        snapshot = self._snapshot(table)
        if snapshot.version() >= 0:
            self._refuse_unsupported(table, snapshot)
            self._describe(table, _configuration(snapshot))
            return
        builder = DeltaTable.createIfNotExists(self.spark).location(self.path(table)).addColumns(table.schema)
        builder = builder.comment(table.meaning)
        if table.partition_by:
            builder = builder.partitionedBy(*table.partition_by)
        for name, value in properties_of(table).items():
            builder = builder.property(name, value)
        builder.execute()

    def _describe(self, table: Table, stored: dict[str, str]) -> None:
        """Gives a table that is there already, as from a write that was stopped, the properties of its declaration."""
        for name, value in table.properties.items():
            if stored.get(name) != value:
                self._set_property(self.path(table), name, value)

    def _keep_statistics(self, table: Table) -> None:
        """Statistics of the declared columns that are there: Delta refuses to drop a column of which it keeps some."""
        stored = self.stored(table)
        kept = ",".join(name for name in table.statistics if name in stored.schema.names)
        if kept and stored.properties.get(STATISTICS) != kept:
            self._set_property(self.path(table), STATISTICS, kept)

    def _set_property(self, path: str, name: str, value: str) -> None:
        quoted = value.replace("\\", "\\\\").replace("'", "\\'")
        self.spark.sql(f"alter table delta.`{path}` set tblproperties ('{name}' = '{quoted}')")

    def _refuse_unsupported(self, table: Table, snapshot: Any) -> None:
        self._refuse_unplain(table, snapshot)
        stored = _stored(snapshot)
        faults = ", ".join(differences(table, stored))
        if is_newer(stored):
            raise UnsupportedTable(
                f"{self.path(table)} was written by a newer release: {faults}. Use that one"
            )
        if faults:
            raise UnsupportedTable(
                f"{self.path(table)} was written by another release: {faults}. jobs/migrate.py brings the lake to this "
                "one; with dry_run=true it says how, and changes nothing"
            )

    def _refuse_unplain(self, table: Table, snapshot: Any) -> None:
        features = json.loads(snapshot.protocol().json())["protocol"].get("readerFeatures", ())
        bad = [
            f"{name}={value}"
            for name, value in _configuration(snapshot).items()
            if value.lower() in UNSUPPORTED.get(name, ())
        ]
        if "deletionVectors" in features:
            bad.append("the feature deletionVectors")  # it outlives its property, and may be in use
        if bad:
            raise UnsupportedTable(
                f"{self.path(table)} has {', '.join(bad)}, with which its Parquet files do not hold its rows: "
                "rewrite it without (for deletion vectors REORG TABLE … APPLY (PURGE), then DROP FEATURE deletionVectors)"
            )

    def _merge(self, table: Table, rows: DataFrame, within: Column | None = None) -> Any:
        same = f.expr(" and ".join(f"old.{name} = new.{name}" for name in table.key))
        matches = same if within is None else within & same
        return self._delta(table).alias("old").merge(rows.alias("new"), matches)

    def _spread(self, table: Table, rows: DataFrame) -> DataFrame:
        """Rows of one partition in as few files as their size allows: adaptive execution splits the big ones."""
        rows = table.conform(rows)
        return rows.hint("rebalance", *table.partition_by) if table.partition_by else rows.coalesce(1)

    @contextmanager
    def _committed(self, table: Table, facts: Facts | None) -> Iterator[None]:
        """Around a commit to `table`, which is there already: with its facts, and as long as its guard allows it."""
        if self._guard:
            self._guard(table)
        if facts is not None:
            self.spark.conf.set(USER_METADATA, json.dumps(facts, sort_keys=True, default=str))
        try:
            yield
            self._written[table.name] = table
        finally:
            self.spark.conf.unset(USER_METADATA)
            if self._guard:
                self._guard(table)  # why it failed, if it met a bar


def _configuration(snapshot: Any) -> dict[str, str]:
    return json.loads(snapshot.metadata().json())["metaData"]["configuration"]


def _stored(snapshot: Any) -> Stored:
    told = json.loads(snapshot.metadata().json())["metaData"]
    schema = StructType.fromJson(json.loads(told["schemaString"]))
    return Stored(schema, tuple(told["partitionColumns"]), told["configuration"])


def _rows_written(metrics: dict[str, str]) -> int:
    counts = (
        ("numTargetRowsInserted", "numTargetRowsUpdated")
        if "numTargetRowsInserted" in metrics
        else ("numOutputRows",)
    )
    return sum(int(metrics.get(name, 0)) for name in counts)
