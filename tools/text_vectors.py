"""Vectors of items by the text of a catalogue, for `model.content`: `make item-vectors`.

Reads a catalogue of JSON lines, gzipped or not, and writes Parquet with `item_id` and `vector`, a row an item. Of each item
the named attributes are embedded as one text by WordLlama (https://github.com/dleemiller/WordLlama), vectors of tokens that
were distilled from language models and are in its package; nothing else is fetched. It runs in an environment of its own,
as it wants a newer NumPy than TensorFlow can have.

    uv run --isolated --no-project --with wordllama==0.4.0.post1 --with "pyarrow>=18"
        tools/text_vectors.py products.json.gz vectors.parquet --id product_id --text product_category product_type brand
"""

import argparse
import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import wordllama

ROWS = 10_000  # embedded at a time


def main() -> None:
    parser = argparse.ArgumentParser(description="Vectors of items by the text of a catalogue.")
    parser.add_argument(
        "catalogue", type=Path, help="JSON lines, one item each; gzipped where it ends with .gz"
    )
    parser.add_argument("out", type=Path, help="the Parquet file to write")
    parser.add_argument("--id", required=True, help="attribute with the item's id, as events have it")
    parser.add_argument(
        "--text", required=True, nargs="+", help="attributes whose text counts, in this order"
    )
    asked = parser.parse_args()
    texts = texts_of(asked.catalogue, asked.id, asked.text)
    package = Path(wordllama.__file__).parent  # has the weights; its own search for them looks elsewhere
    model = wordllama.WordLlama.load(cache_dir=package, disable_download=True)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    ids, unfinished = list(texts), asked.out.with_suffix(".unfinished")
    for start in range(0, len(ids), ROWS):
        some = ids[start : start + ROWS]
        vectors = model.embed([texts[item] for item in some])  # (items, 256) float32
        lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
        table = pa.table({"item_id": some, "vector": lists.cast(pa.list_(pa.float32()))})
        if not start:
            writer = pq.ParquetWriter(unfinished, table.schema)
        writer.write_table(table)
        print(f"  {min(start + ROWS, len(ids)):,} of {len(ids):,} items", flush=True)
    writer.close()
    unfinished.replace(asked.out)
    print(f"{asked.out}: {len(ids):,} items, {vectors.shape[1]} numbers each", flush=True)


def texts_of(catalogue: Path, key: str, names: list[str]) -> dict[str, str]:
    """Item -> its text, of items that have any; the last line of an item counts."""
    opened = gzip.open if catalogue.suffix == ".gz" else open
    texts: dict[str, str] = {}
    with opened(catalogue, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                item = json.loads(line)
                text = " ".join(str(item[name]).lower() for name in names if item.get(name))
                if text:
                    texts[str(item[key])] = text
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise SystemExit(
                    f"error: {catalogue}, line {number}: expected an object with {key}: {error!r}"
                ) from None
    if not texts:
        raise SystemExit(
            f"error: {catalogue} has no item with any of {', '.join(names)}: name others by --text"
        )
    return texts


if __name__ == "__main__":
    main()
