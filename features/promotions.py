"""`promotions`: the ledger of the gate, one row a decision."""

from features.table import Column, Table

JUDGED = (
    Column("question", "string", "validation or test"),
    Column("as_of", "timestamp", "asked as of", unit="UTC"),
    Column("until", "timestamp", "answered by what came before", unit="UTC"),
    Column("users", "bigint", "who were asked about", unit="users"),
    Column("model", "string", "name of the model"),
    Column("kind", "string", "baseline or encoder"),
    Column("version", "int", "its version in the registry"),
    Column("metric", "string", "ndcg@10 and the like"),
    Column("mean", "double", "over the users"),
    Column("low", "double", "lower end of its interval"),
    Column("high", "double", "upper end of its interval"),
    Column("difference", "double", "to the best baseline of the question, paired by user", nullable=True),
    Column("difference_low", "double", "lower end of its interval", nullable=True),
    Column("difference_high", "double", "upper end of its interval", nullable=True),
)

PROMOTIONS = Table(
    name="promotions",
    meaning="One decision of the gate, promoted or not.",
    columns=(
        Column("request_id", "string", "task, night, example set, and the number of the decision"),
        Column("decided_at", "timestamp", "when", unit="UTC"),
        Column("ds", "date", "the night"),
        Column("task", "string", "the registered model"),
        Column("challenger", "string", "name of the model that wants to be champion"),
        Column("challenger_version", "int", "its version"),
        Column("champion", "string", "name of the champion before", nullable=True),
        Column("champion_version", "int", "its version", nullable=True),
        Column("promoted", "boolean", "whether the challenger is champion now"),
        Column("metric", "string", "what was compared"),
        Column("challenger_value", "double", "mean over the users"),
        Column("champion_value", "double", "mean over the same users", nullable=True),
        Column("difference", "double", "challenger less champion", nullable=True),
        Column("low", "double", "lower end of its interval", nullable=True),
        Column("high", "double", "upper end of its interval", nullable=True),
        Column("users", "bigint", "who were judged", unit="users"),
        Column("reason", "string", "the decision in words"),
        Column("judged", JUDGED, "every metric of every model that was judged beside them"),
        Column("tables", "map<string,bigint>", "versions of the tables it was judged on"),
        Column("git_commit", "string", "of the code", nullable=True),
        Column("requested_by", "string", "who or what asked"),
    ),
    key=("request_id",),
    statistics=("decided_at",),
)
