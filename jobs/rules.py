"""Make the rules of what is shown those of a file: the table `rules` then holds these, and no others.

Reads `rules`, a YAML list or a CSV with a header, whose columns are those of the table (docs/predictions.md), and refuses it
whole where one of them means nothing. The next scoring of each night goes by them; earlier versions of the table stay.

    spark-submit jobs/rules.py rules=rules.yaml source=plain lake=var/shop/lake
"""

from pathlib import Path
from typing import Any

from conf.schema import Config
from features.items import ITEMS
from features.lake import Lake
from features.rules import BOOST, RULES, RulesError, of_no_item, parsed
from jobs.job import InputError, run


def rules(conf: Config, lake: Lake) -> dict[str, Any]:
    found = read(Path(conf.rules))
    boosts = sum(rule["kind"] == BOOST for rule in found)
    counts = {"rules": len(found), "boosts": boosts, "blocks": len(found) - boosts}
    rows = lake.spark.createDataFrame([tuple(rule.values()) for rule in found], RULES.schema)
    lake.overwrite(RULES, rows, {"job": "rules"} | counts)
    return counts | {"of_no_item": of_no_item(found, lake.read(ITEMS)), "version": lake.version(RULES)}


def read(path: Path) -> list[dict[str, Any]]:
    try:
        return parsed(path.read_text(), path.suffix == ".csv")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"rules={path} cannot be read: {error}") from None
    except RulesError as error:
        raise InputError(f"{path}: {error}") from None


if __name__ == "__main__":
    run(rules, needs=("rules",))
