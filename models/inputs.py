"""Reads a rank's share of an example set with Petastorm, as batches of one shape for TensorFlow.

Rows arrive packed, one string a column, and a batch of them at a time becomes an array, of the strings' bytes behind
each other. Arrays of numbers, of which Petastorm makes one numpy object a row, take several times as long, and strings
that TensorFlow decodes are each copied twice more.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import tensorflow as tf
from petastorm import make_batch_reader

from models.example_set import ExampleSet, ExampleSetError
from models.shards import LENGTHS, Order, Piece, Stretch, epoch_of, of_like_length, plan, row_order

# Petastorm calls the older of two interfaces of the PyArrow that is pinned, a page of warnings each time.
warnings.filterwarnings("ignore", category=FutureWarning, module=r"petastorm\.")

Packed = dict[
    str, np.ndarray
]  # row_id int64 (rows,), and of each packed column an object array of bytes (rows,)
Batch = dict[str, np.ndarray]  # row_ids int64 (batch,), weights float32 (batch,), and columns (batch, length)
Layout = Mapping[str, tuple[str, int]]  # of each packed column its dtype and its number of values a row
OF_EVENTS = ("items", "sessions", "ages", "contexts")  # columns with a value an event


def dataset(stretches: Sequence[Stretch], layout: Layout, batch_size: int, steps: int) -> tf.data.Dataset:
    """The rows of `stretches` in `steps` batches, as dicts of tensors of one shape:

    row_ids int64 (batch,), weights float32 (batch,), and each column of `layout` (batch, its length).
    Behind the last row come rows of zeros with weight 0, so that every rank takes the same number of steps.
    The first window is being read from now on: who asks for it later has it at once.
    """
    signature = {
        "row_ids": tf.TensorSpec((batch_size,), tf.int64),
        "weights": tf.TensorSpec((batch_size,), tf.float32),
        **{
            name: tf.TensorSpec((batch_size, length), tf.as_dtype(dtype))
            for name, (dtype, length) in layout.items()
        },
    }

    begun = [read(stretches, list(layout))]

    def batches() -> Iterator[Batch]:
        rows = begun.pop() if begun else read(stretches, list(layout))  # when it is gone through again
        yield from padded_batches(rows, layout, batch_size, steps)

    rows = tf.data.Dataset.from_generator(batches, output_signature=signature).prefetch(2)
    options = tf.data.Options()
    options.autotune.enabled = (
        False  # nothing here is to be tuned, and its thread ends seconds after the last batch
    )
    return rows.with_options(options)


def cut(batch: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """The batch without the columns behind its longest row, as far as `LENGTHS` allows: what is not of events stays."""
    longest = int(np.count_nonzero(batch["items"], axis=1).max())
    length = LENGTHS[np.searchsorted(LENGTHS, longest)]
    return {name: x[:, :length] if name in OF_EVENTS else x for name, x in batch.items()}


def counts_of(rows: np.ndarray) -> np.ndarray:
    """How many events each has: (rows,) packed items -> (rows,) int."""
    return np.count_nonzero(np.frombuffer(b"".join(rows), "<i4").reshape(len(rows), -1), axis=1)


def rows_of_split(examples: ExampleSet, split: str, batch_size: int = 128) -> Iterator[dict[str, tf.Tensor]]:
    """All rows of a split in their order, by one process, as `dataset` has them; the columns of `lengths`."""
    files = examples.files(split)
    count = -(-sum(file.rows for file in files) // batch_size)
    stretches = epoch_of(plan(files, 0, 1), 0, Order(shuffled=False))
    yield from dataset(stretches, examples.lengths(split), batch_size, count)


def padded_batches(parts: Iterator[Packed], layout: Layout, batch_size: int, steps: int) -> Iterator[Batch]:
    """Cuts `parts` into exactly `steps` batches of `batch_size` rows, decoded, the last ones padded.

    Adds `weights`.
    """
    buffer: Packed = {"row_id": np.zeros(0, np.int64), **{name: np.zeros(0, object) for name in layout}}
    for _ in range(steps):
        while len(buffer["row_id"]) < batch_size and (part := next(parts, None)) is not None:
            buffer = {name: np.concatenate([buffer[name], part[name]]) for name in buffer}
        taken = {name: values[:batch_size] for name, values in buffer.items()}
        buffer = {name: values[batch_size:] for name, values in buffer.items()}
        spare = batch_size - len(taken["row_id"])
        yield {
            "row_ids": np.pad(taken["row_id"], (0, spare)),
            "weights": np.pad(np.ones(batch_size - spare, np.float32), (0, spare)),
            **{name: decoded(taken[name], name, *layout[name], batch_size) for name in layout},
        }
    if len(buffer["row_id"]) or next(parts, None) is not None:
        raise ExampleSetError(f"rows are left after {steps} steps of {batch_size} rows: plan more steps")


def decoded(rows: np.ndarray, name: str, dtype: str, length: int, batch_size: int) -> np.ndarray:
    """(rows,) objects of bytes -> (batch_size, length) of `dtype`, zeros behind the last row."""
    size = np.dtype(dtype).itemsize * length
    strings = rows.tolist()  # a list is gone through in half of the time
    if wrong := set(map(len, strings)) - {size}:
        raise ExampleSetError(
            f"column {name}: rows of {sorted(wrong)} bytes, expected {size}, {length} values of {dtype}: the example set is "
            "not what its spec says, write it anew"
        )
    joined = b"".join(strings).ljust(size * batch_size, b"\0")
    return np.frombuffer(joined, np.dtype(dtype).newbyteorder("<")).reshape(batch_size, length)


def read(stretches: Sequence[Stretch], columns: Sequence[str]) -> Iterator[Packed]:
    """The rows of `stretches`, in their order, a window at a time; while one is used, a thread reads the next.

    It begins when this is called, not when the first is asked for.
    """
    reader = ThreadPoolExecutor(1, "reader")
    begun = (reader.submit(read_stretch, stretch, columns) for stretch in stretches)
    return _one_ahead(begun, next(begun, None))


def _one_ahead(begun: Iterator[Future[Packed]], ahead: Future[Packed] | None) -> Iterator[Packed]:
    while ahead is not None:
        rows, ahead = ahead.result(), next(begun, None)
        yield rows


def read_stretch(stretch: Stretch, columns: Sequence[str]) -> Packed:
    """The rows of a stretch, in its order."""
    rows = read_window(stretch.pieces, columns)
    order = (
        np.arange(len(rows["row_id"]))
        if stretch.key is None
        else row_order(len(rows["row_id"]), *stretch.key)
    )
    if stretch.key and stretch.alike:
        order = order[of_like_length(counts_of(rows["items"][order]), stretch.alike, *stretch.key)]
    wanted = order[stretch.start : stretch.stop]
    return {name: values[wanted] for name, values in rows.items()}


def read_window(pieces: Sequence[Piece], columns: Sequence[str]) -> Packed:
    """The rows of `pieces`, in their order: `row_id` and `columns`.

    Raises `ExampleSetError` where a file does not hold the rows that the table's log promises.
    """
    # One reader that works in the caller's thread: more would give the files in another order, and
    # Petastorm's thread pool (0.12 and 0.13) asks "is everything done?" in an order that can lose rows. Each
    # file is checked anyway.
    with make_batch_reader(
        [piece.file.uri for piece in pieces],
        schema_fields=["row_id", *columns],
        reader_pool_type="dummy",
        workers_count=1,
        shuffle_row_groups=False,
        num_epochs=1,
    ) as reader:
        groups = [{name: getattr(group, name) for name in ["row_id", *columns]} for group in reader]
    everything = {name: np.concatenate([group[name] for group in groups]) for name in ["row_id", *columns]}
    kept, before = [], 0
    for piece in pieces:
        ids = everything["row_id"][before : before + piece.file.rows]
        _check(piece, ids)
        cut = before + piece.first_row_id - piece.file.first_row_id
        kept.append(slice(cut, cut + piece.rows))
        before += piece.file.rows
    if len(everything["row_id"]) != before:
        raise ExampleSetError(_disagree(pieces[-1], before, len(everything["row_id"])))
    return {name: np.concatenate([values[cut] for cut in kept]) for name, values in everything.items()}


def _check(piece: Piece, ids: np.ndarray) -> None:
    if len(ids) != piece.file.rows:
        raise ExampleSetError(_disagree(piece, piece.file.rows, len(ids)))
    first = piece.file.first_row_id
    if not np.array_equal(ids, np.arange(first, first + len(ids))):
        raise ExampleSetError(
            f"{piece.file.uri}: row_id runs from {ids[0]} to {ids[-1]}, expected {first} to "
            f"{first + len(ids) - 1} in ascending order: the file has fewer or other rows than its table's "
            "log says, write the example set anew"
        )


def _disagree(piece: Piece, expected: int, got: int) -> str:
    return (
        f"{piece.file.uri}, or a file beside it, gave {got} rows where the table's log says {expected}: its "
        "footer and the log disagree, or rows were lost in reading; write the example set anew"
    )
