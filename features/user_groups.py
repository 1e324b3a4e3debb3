"""`user_groups`: which users are alike to a model, night by night, and what sets a group apart."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from features.table import Column, Table

USER_GROUPS = Table(
    name="user_groups",
    meaning="One user's group on one night.",
    columns=(
        Column("ds", "date", "the night: made from what had happened up to its end"),
        Column("user_id", "string", "who", dictionary=False),
        Column("user_group", "int", "number of the group; of the one before with most of its users the same"),
        Column("name", "string", "what more of its users bought than of all"),
        Column("cosine", "float", "of the angle between the user's vector and the group's middle"),
        Column("model", "string", "name of the model whose vectors these are"),
        Column("model_version", "int", "its version in the registry"),
    ),
    key=("ds", "user_id"),
    partition_by=("ds",),
    statistics=("user_group",),
)

LEAST_SHARE = 0.1
"""Of a group's users, below which a category says nothing of the group."""


def bought_by_group(grouped: DataFrame, history: DataFrame, items: DataFrame) -> DataFrame:
    """How many users of each group bought of each category, and how many of all users did.

    before                                             after
    user  group   history (bought)   items             user_group  category  users  of_all
    ann   0       ann  milk          milk  dairy       0           dairy     2      2
    bob   0       bob  milk          jam   spread      1           spread    1      1
    eve   1       eve  jam
    """
    known = items.where("category is not null").select("item_id", "category")
    bought = history.where("bought").select("user_id", "item_id").join(known, "item_id")
    each = (
        bought.select("user_id", "category")
        .distinct()
        .join(grouped.select("user_id", "user_group"), "user_id")
    )
    in_groups = each.groupBy("user_group", "category").agg(f.count("*").alias("users"))
    in_all = each.groupBy("category").agg(f.count("*").alias("of_all"))
    return in_groups.join(in_all, "category").select("user_group", "category", "users", "of_all")


def names_of(bought: list[tuple[int, str, int, int]], sizes: dict[int, int], most: int = 3) -> dict[int, str]:
    """Group -> the categories that most set it apart: `BABY FOODS x3.1, DIAPERS x2.8`.

    bought  rows of `bought_by_group`;  sizes  group -> its users
    A category's figure is the share of the group's users who bought of it, by that of all users. Only those above 1 and
    that a LEAST_SHARE of the group bought are named.
    """
    everybody = sum(sizes.values())
    found: dict[int, list[tuple[float, str]]] = {group: [] for group in sizes}
    for group, category, users, of_all in bought:
        times = (users / sizes[group]) / (of_all / everybody)
        if times > 1 and users >= LEAST_SHARE * sizes[group]:
            found[group].append((times, category))
    named = {
        group: sorted(each, key=lambda pair: (-pair[0], pair[1]))[:most] for group, each in found.items()
    }
    return {
        group: ", ".join(f"{category} x{times:.1f}" for times, category in each) or "as all users"
        for group, each in named.items()
    }
