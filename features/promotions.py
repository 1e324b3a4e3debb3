"""`promotions`: the ledger of the gate. A decision is a row; one that moves the champion is two.

The registry and the lake have no joint commit, and an alias has no compare-and-set. So what is to happen is written first,
as `pending`, with the champion that is expected; then the alias is moved, where it is still with that one; then the row is
written again, as `done`, or as `lost` where another took the place meanwhile. Who finds a pending one, settles it.
"""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as f

from features.table import Column, Table

PENDING, DONE, LOST = "pending", "done", "lost"
PROMOTION, ROLLBACK = "promotion", "rollback"

GUARDS = (
    Column("name", "string", "what was guarded"),
    Column("value", "double", "of the challenger, or of it less the champion"),
    Column("low", "double", "lower end of its interval"),
    Column("high", "double", "upper end of its interval"),
    Column("least", "double", "the least that passes", nullable=True),
    Column("most", "double", "the most that passes", nullable=True),
    Column("passed", "boolean", "whether some of the interval is within the limits"),
)

QUESTION = (
    Column("question", "string", "validation or test"),
    Column("as_of", "timestamp", "asked as of", unit="UTC"),
    Column("until", "timestamp", "answered by what came before", unit="UTC"),
)

JUDGED = (
    *QUESTION,
    Column("users", "bigint", "who were asked about", unit="users"),
    Column("model", "string", "name of the model"),
    Column("kind", "string", "baseline or encoder"),
    Column("version", "int", "its version in the registry"),
    Column("metric", "string", "ndcg@10, roc_auc and the like"),
    Column("mean", "double", "over the users, or of all of them"),
    Column("low", "double", "lower end of its interval"),
    Column("high", "double", "upper end of its interval"),
    Column("difference", "double", "to the best baseline of the question, paired by user", nullable=True),
    Column("difference_low", "double", "lower end of its interval", nullable=True),
    Column("difference_high", "double", "upper end of its interval", nullable=True),
)

AGAINST = (
    *QUESTION,
    Column("model", "string", "name of an encoder"),
    Column("version", "int", "its version in the registry"),
    Column("baseline", "string", "name of a baseline"),
    Column("baseline_version", "int", "its version in the registry"),
    Column("metric", "string", "ndcg@10, ndcg@10/repeated and the like"),
    Column("difference", "double", "encoder less baseline, paired by user"),
    Column("low", "double", "lower end of its interval"),
    Column("high", "double", "upper end of its interval"),
)

GROUPS = (
    Column("model", "string", "name of the model"),
    Column("version", "int", "its version in the registry"),
    Column("metric", "string", "that of the gate"),
    Column("user_group", "string", "new, rare, or a label of promote.groups"),
    Column("users", "bigint", "in the group", unit="users"),
    Column("mean", "double", "of the group"),
    Column("low", "double", "lower end of its interval"),
    Column("high", "double", "upper end of its interval"),
    Column("gap", "double", "the group less everybody else, paired by resample"),
    Column("gap_low", "double", "lower end of its interval"),
    Column("gap_high", "double", "upper end of its interval"),
)

PROMOTIONS = Table(
    name="promotions",
    meaning="One decision of the gate, promoted or not.",
    columns=(
        Column(
            "request_id",
            "string",
            "task, night, example set, newest or named version of it, and the number of the decision",
        ),
        Column("decided_at", "timestamp", "when", unit="UTC"),
        Column("ds", "date", "the night"),
        Column("task", "string", "the registered model"),
        Column("challenger", "string", "name of the model that wants to be champion"),
        Column("challenger_version", "int", "its version"),
        Column("champion", "string", "name of the champion before", nullable=True),
        Column("champion_version", "int", "its version", nullable=True),
        Column("promoted", "boolean", "whether the challenger is champion now"),
        Column("metric", "string", "what was compared"),
        Column("challenger_value", "double", "the metric, of all users"),
        Column("champion_value", "double", "likewise, of the same users", nullable=True),
        Column("difference", "double", "challenger less champion", nullable=True),
        Column("low", "double", "lower end of its interval", nullable=True),
        Column("high", "double", "upper end of its interval", nullable=True),
        Column("users", "bigint", "who were judged", unit="users"),
        Column("reason", "string", "the decision in words"),
        Column("judged", JUDGED, "every metric of every model that was judged beside them"),
        Column("tables", "map<string,bigint>", "versions of the tables it was judged on"),
        Column("git_commit", "string", "of the code", nullable=True),
        Column("requested_by", "string", "who or what asked"),
        Column(
            "kind", "string", "promotion or rollback; null: of an earlier release, a promotion", nullable=True
        ),
        Column("state", "string", "pending, done or lost; null: of an earlier release, done", nullable=True),
        Column(
            "guards", GUARDS, "what the challenger may not lose; null: of an earlier release", nullable=True
        ),
        Column(
            "groups",
            GROUPS,
            "the metric by group of users, on the held-out days; null: of an earlier release",
            nullable=True,
        ),
        Column(
            "against",
            AGAINST,
            "every metric of every encoder against each baseline; null: of an earlier release",
            nullable=True,
        ),
    ),
    key=("request_id", "state"),
    statistics=("decided_at",),
)


def newest(ledger: DataFrame) -> DataFrame:
    """One row a request, as it stands now: the one that is pending only where no other is there."""
    is_pending = f.coalesce(f.col("state"), f.lit(DONE)) == PENDING
    order = Window.partitionBy("request_id").orderBy(is_pending)
    return ledger.withColumn("_place", f.row_number().over(order)).where("_place = 1").drop("_place")
