"""A night in a folder, as Parquet files that are sorted, so that a reader finds one user by their statistics.

FOLDER/current.json                                    {"ds": …, "manifest": "2026-11-02/manifest.json"}
FOLDER/2026-11-02 -> .2026-11-02.3f2a…                 a link, which is moved where the night is published again
FOLDER/2026-11-02/manifest.json                        what it is, and the SHA-256 of each file
FOLDER/2026-11-02/{predictions,sequences,rules,items}/part-00000.parquet
FOLDER/churn/…                                         the same of a task with labels: {predictions,inputs}
"""

import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark import TaskContext
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import to_arrow_schema

from jobs.files import put_json
from jobs.job import InputError

if TYPE_CHECKING:
    from jobs.publish import Night

SORTED_BY = {
    "predictions": "entity",
    "sequences": "user_id",
    "rules": "rule_id",
    "items": "item_index",
    "inputs": "user_id",
}
ROWS_A_FILE, ROWS_A_GROUP = 200_000, 256
WRITTEN_SCHEMA = "file string, rows bigint, sha256 string"
NIGHT, PLACE = re.compile(r"\d{4}-\d\d-\d\d"), re.compile(r"\.\d{4}-\d\d-\d\d\.[0-9a-f]{12}")
CURRENT, MANIFEST = "current.json", "manifest.json"


def into_folder(night: "Night", where: str, keep: int) -> str:
    """Publishes the night, and returns what came of it, in words."""
    folder = Path(where.removeprefix("file://")).absolute()
    if "://" in where.removeprefix("file://"):
        raise InputError(f"publish.folder is {where}, expected one on a file system that is mounted here")
    folder.mkdir(parents=True, exist_ok=True)
    refuse_another_task(folder, night)
    ds = night.ds.isoformat()
    if is_there(folder / ds, night):
        switch(folder, ds, night.task)
        return "published already"
    place = folder / f".{ds}.{uuid.uuid4().hex[:12]}"
    try:
        files: dict[str, dict[str, Any]] = {}
        for name, rows in night.rows.items():
            files |= written(rows, name, place)
        manifest = night.facts | {
            "published_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "counts": {
                name: sum(file["rows"] for path, file in files.items() if path.startswith(f"{name}/"))
                for name in night.rows
            },
            "files": files,
        }
        if manifest["counts"]["predictions"] != night.said["users"]:
            raise AssertionError(
                f"{manifest['counts']['predictions']} predictions were written, of {night.said['users']} users"
            )
        put_json(place / MANIFEST, manifest, durable=True)
        link(folder / ds, place)
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    switch(folder, ds, night.task)
    clear(folder, keep, ds)
    return f"{len(files)} files"


def written(rows: DataFrame, name: str, place: Path) -> dict[str, dict[str, Any]]:
    """Writes rows as sorted files, each by the worker that has them; path -> number of rows and SHA-256."""
    (place / name).mkdir(parents=True)
    key, parts = SORTED_BY[name], max(1, -(-rows.count() // ROWS_A_FILE))
    in_order = rows.repartitionByRange(parts, key).sortWithinPartitions(key)
    write = partial(as_files, folder=str(place / name), schema=to_arrow_schema(rows.schema))
    found = in_order.mapInArrow(write, WRITTEN_SCHEMA).collect()
    return {
        f"{name}/{row.file}": {"rows": row.rows, "sha256": row.sha256}
        for row in sorted(found, key=lambda row: row.file)
    }


def as_files(batches: Iterator[pa.RecordBatch], folder: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Writes a task's batches as one file of small row groups; the first task's is there even without rows."""
    context = TaskContext.get()
    assert context is not None, "this runs on Spark's workers"
    name, count = f"part-{context.partitionId():05}.parquet", 0
    begun = Path(folder, f".{name}.{context.taskAttemptId()}")
    with pq.ParquetWriter(begun, schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_table(pa.Table.from_batches([batch]).cast(schema), row_group_size=ROWS_A_GROUP)
            count += len(batch)
    if not count and context.partitionId():
        begun.unlink()
        return
    with begun.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    begun.replace(begun.with_name(name))
    yield pa.RecordBatch.from_pydict({"file": [name], "rows": [count], "sha256": [digest]})


def refuse_another_task(folder: Path, night: "Night") -> None:
    """Refuses to switch the readers of another task to this one."""
    if (folder / CURRENT).exists():
        manifest = json.loads((folder / CURRENT).read_text())["manifest"]
        with suppress(FileNotFoundError):
            other = json.loads((folder / manifest).read_text())["task"]
            if other != night.task:
                raise InputError(
                    f"{folder} holds what was published of {other}, and not of {night.task}: give each task a "
                    "publish.folder of its own"
                )


def is_there(place: Path, night: "Night") -> bool:
    """Whether this very night was published, and its files are whole."""
    if not (place / MANIFEST).exists():
        return False
    manifest = json.loads((place / MANIFEST).read_text())
    if any(manifest.get(name) != value for name, value in json.loads(json.dumps(night.facts)).items()):
        return False
    for path, file in manifest["files"].items():
        if not (place / path).exists():
            return False
        with (place / path).open("rb") as opened:
            if hashlib.file_digest(opened, "sha256").hexdigest() != file["sha256"]:
                return False
    return True


def link(name: Path, place: Path) -> None:
    """Lets a name stand for a folder, in one step, whatever it stood for."""
    begun = name.with_name(f".{name.name}.link")
    begun.unlink(missing_ok=True)
    begun.symlink_to(place.name)
    begun.replace(name)


def switch(folder: Path, ds: str, task: str) -> None:
    """Lets readers take this night from now on, unless they have a later one."""
    if (folder / CURRENT).exists() and json.loads((folder / CURRENT).read_text())["ds"] > ds:
        return
    put_json(folder / CURRENT, {"ds": ds, "task": task, "manifest": f"{ds}/{MANIFEST}"}, durable=True)


def clear(folder: Path, keep: int, ds: str) -> None:
    """Removes all nights but the newest ones and `ds`, and what no night's name stands for any more.

    What was replaced just now goes with the next night, since a reader may be in it.
    """
    found = list(folder.iterdir())
    nights = sorted(path for path in found if path.is_symlink() and NIGHT.fullmatch(path.name))
    for night in nights[:-keep]:
        if night.name != ds:
            night.unlink()
    named = {os.readlink(path) for path in folder.iterdir() if path.is_symlink()}
    for place in found:
        if PLACE.fullmatch(place.name) and place.name not in named and not place.name.startswith(f".{ds}."):
            shutil.rmtree(place, ignore_errors=True)
