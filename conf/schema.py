"""Every configuration key: its type, its default and its meaning, one place for all.

The YAML files of the groups (`conf/source/`, `conf/spark/`, ...) fill these; a key that is not here is an error, and so
is a value of another type. Keys without a default (`MISSING`) must be given by the command or by a group's file.
"""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

ARMS = ("scratch", "frozen", "full", "adapters")
ENCODERS = ("gru", "lstm", "sasrec", "bsarec", "bert4rec", "hstu", "repeat")
TASKS = ("churn", "spend", "next_event", "purchase", "promotion")
CLASSICAL = ("item_knn", "ease", "als")
"""Models of jobs/benchmark.py alone: models/classical.py."""


@dataclass
class Records:
    """How records stand in files: where, in which format, and with which fields."""

    path: str = MISSING  # files below `raw`; `{ds}` stands for the arrival date, `*` for anything
    format: str = "json_lines"  # json_lines, json (a document or an array a file), csv, tsv, parquet or regex
    schema: str = MISSING  # the record's fields, Spark DDL; csv and tsv without a header: every column
    encoding: str = "UTF-8"  # of text, ISO-8859-1 or any other in which ASCII is itself
    header: bool = False  # csv, tsv: the first line of a file names its columns, in any order
    delimiter: str | None = None  # csv, tsv: between columns; none: a comma in csv, a tab in tsv
    quote: str | None = None  # csv, tsv: around a column; none: `"` in csv, nothing in tsv
    escape: str | None = None  # csv, tsv: before a quote that is meant; none: a quote is doubled
    multi_line: bool = False  # csv, tsv: a quoted column may run over lines; a file is then one task
    pattern: str | None = None  # regex: what a whole line matches, each field a group `(?<name>…)`
    derived: dict[str, str] = field(
        default_factory=dict
    )  # further fields: name -> expression over those before
    explode: str | None = None  # expression of an array, each `element` of which, at its `place`, is a record


@dataclass
class ItemSource(Records):
    """Where the attributes of items come from: a catalogue beside the logs, one item a record."""

    item_id: str = MISSING  # Spark SQL expression over the record
    category: str = "cast(null as string)"  # the item's category, likewise
    title: str = "cast(null as string)"  # what a person would call it, likewise
    attributes: str = "map()"  # Spark SQL expression of type map<string,string>


@dataclass
class IdentitySource(Records):
    """Where it is said who the visitors are that log in: an identity map beside the logs, one login a record."""

    anonymous_id: str = MISSING  # who it was so far, as `user_id` of the logs has it: Spark SQL expression
    user_id: str = MISSING  # who that is, likewise
    valid_from: str = MISSING  # from when on it is known: timestamp, text or number, as `source.event_ts`
    timezone: str = "UTC"  # zone of times without an offset
    time_unit: str | None = None  # of a `valid_from` that is a number since 1970: s, ms, us or ns
    time_format: str | None = None  # of a `valid_from` that is text; none: ISO 8601


@dataclass
class Source(Records):
    """One log format: how a raw record becomes a row of `events`. Expressions are Spark SQL over the record's fields."""

    name: str = MISSING  # written into `events.source`
    timezone: str = "UTC"  # zone of times without an offset
    time_unit: str | None = None  # of an `event_ts` that is a number since 1970: s, ms, us or ns
    time_format: str | None = None  # of an `event_ts` that is text, as `dd/MM/yyyy HH:mm`; none: ISO 8601
    identical_rows: str = "duplicate"  # rows without an id that are alike are one event; `distinct`: several
    event_id: str | None = None  # the source's own id; none: a hash of the whole record
    user_id: str = MISSING  # who did it
    event_ts: str = MISSING  # timestamp, text or number; text without an offset is read in `timezone`
    event_type: str = MISSING  # one of the keys of `event_types`; any other is quarantined
    item_id: str = "cast(null as string)"  # with which item; none: a behaviour without one
    quantity: str = "cast(null as double)"  # how many pieces
    amount: str = "cast(null as double)"  # money of the whole line, in the shop's currency
    channel: str = "cast(null as string)"  # by which way it came: web, app, shop; none: it is not told
    attributes: str = "map()"  # anything else worth keeping: map<string,string>
    id_attributes: list[str] = field(default_factory=list)  # attributes that are ids of a user as well
    event_types: dict[str, bool] = MISSING  # each type the source knows -> active (makes sessions) or passive
    shop_timezone: str = "UTC"  # zone of the shop's clock, for features of hour and day
    view_types: list[str] = field(default_factory=list)  # types that are a look at an item; none: `view`
    cart_types: list[str] = field(default_factory=list)  # types that put an item into the cart; none: `cart`
    purchase_types: list[str] = field(default_factory=list)  # types that buy an item; none: `purchase`
    items: ItemSource | None = None
    identities: IdentitySource | None = None


@dataclass
class SparkSettings:
    """How Spark is started. Settings of the driver's own JVM (its memory) belong on the `spark-submit` line."""

    master: str = "local[*]"  # `local[*]`, or `spark://host:7077` of a cluster
    shuffle_partitions: int = 8  # a few times the cores
    settings: dict[str, Any] = field(default_factory=dict)  # further Spark settings, as they are


@dataclass
class Features:
    """Sessions and sequences."""

    session_gap_minutes: int = 30  # a longer gap starts a new session; an equal one does not
    max_events_per_user_day: int = 10_000  # a user-day with more active events makes no sessions: a bot's
    late_days: int = 30  # an event this much older than its file's arrival date is still taken
    max_length: int = 8192  # behaviours kept of one user in `sequences`
    user_buckets: int = 8  # partitions of the tables that are keyed by user


@dataclass
class Model:
    """What is trained: encoders, and baselines, whose own keys name them or come last."""

    name: str = MISSING  # a baseline of jobs/baselines.py, or an encoder: docs/models.md
    half_life_days: float | None = None  # decay of a past session's weight; none: no decay
    width: int = 64  # of item vectors and hidden states
    members: int = 1  # encoders side by side, each with its part of the width, whose mean score counts
    blocks: int = 2  # Transformer blocks or recurrent layers
    heads: int = 2  # attention heads
    dropout: float = 0.2  # on inputs and between layers
    dropout_attention: float | None = None  # on the weights of attention; none: as `dropout`
    dropout_events: float = 0.0  # share of a history's events that a step leaves out, drawn anew in each
    earlier_share: float = 0.0  # of a history without its newest basket in a prediction, beside 1 of all
    stochastic_depth: float = 0.0  # chance that a step leaves what the last block adds out of a row
    norm: str = "pre"  # normalisation in a Transformer block: `pre`, of what is looked at, or `post`, of sums
    forward: int = 2  # width of a Transformer block's forward layer, in widths
    places: str = "back"  # how attention tells them: vectors counted `back`, or biases by `relative` distance
    start: str = "mean"  # first weights: `mean`, blocks that add the mean of what they see, or small `normal`
    content: str = ""  # Parquet of frozen item vectors, by text or pictures (docs/models.md); none: ids alone
    content_share: float = 0.2  # of items with such a vector, those that a step knows by it alone
    filter_share: float = 0.0  # of a frequency filter beside attention, in a Transformer block; 0: none
    filter_frequencies: int = 3  # lowest frequencies, that of the mean included, which the filter keeps whole
    inputs: list[str] = field(default_factory=list)  # category, price, type, hour, weekday, channel
    gaps: bool = False  # a basket's vector tells how long it came after the one before it
    targets: str = "all"  # positions with a loss: `all` that have one before them, or the `last` of a row
    mask_share: float = 0.2  # of bert4rec: positions that a step hides, and has predicted
    label_smoothing: float = 0.0  # share of a target that is spread over all items; `softmax` only
    consistency: float = 0.0  # weight of how far two dropouts of a row disagree; 0: one; `softmax` only
    temperature: float | None = None  # scores are cosines over this; none: products of vectors
    loss: str = "sampled_softmax"  # or `softmax` over the whole vocabulary
    negatives: int = 1024  # items drawn a step, shared by all its positions
    sampling: str = "popularity"  # how they are drawn: popularity, uniform, or of the `batch`
    repeat: int = 0  # hidden units of what a user's history with an item adds to its score; 0: nothing
    linear: float = 0.0  # weight of a linear model's scores beside the encoder's; 0: there is none
    linear_decay: float = 0.7  # what a basket weighs in a linear model's history for each one since
    linear_items: int = 16_000  # with weights in a linear model, the most frequent; 16 bytes a pair of these
    linear_neighbours: int = 100  # weights that it keeps of each item, the largest above zero
    by_session: float = 0.0  # of an event: 1 / (events of its session) to this power is its weight
    by_gap: float = 0.0  # likewise: days before its session to this power
    neighbours: int = 300  # of tifu_knn and up_cf: the nearest training rows that are asked
    most_neighbours: int = 50_000  # training rows among which these are found; the model holds them
    groups: int = 7  # of tifu_knn: into which a user's baskets are cut
    within_decay: float = 0.9  # of tifu_knn: of a basket for each later one of its group
    group_decay: float = 0.7  # of tifu_knn: of a group for each later one
    own_share: float = 0.7  # of tifu_knn: of the user's own profile in a score
    recent_sessions: int = 20  # of up_cf: sessions of which a profile is the mean
    asymmetry: float = 0.5  # of up_cf: what users share is divided by the items of: 0 the other, 1 the user
    locality: float = 5.0  # of up_cf: the power of a similarity
    regularization: float | None = None  # of ease, als and linear; none: 500, 0.01 and 10


@dataclass
class Label:
    """What a task asks of each user as of a moment, where it is not their next items; see docs/tasks.md."""

    sql: str = MISSING  # Spark SQL: `user_id`, `label` and, of several questions, `target`; also `weight`
    otherwise: str | None = None  # label of a user without a row; none: is not asked
    head: str = "binary"  # what a label is: `binary`, one of `classes`, or an `amount`
    loss: str = "cross_entropy"  # of binary, classes; of an amount `lognormal`, `mse`, `pinball`
    weight: str = "none"  # `balanced`: each class, or side of a binary question, weighs alike
    sharing: str = "bottom"  # of several targets, behind the encoder: bottom, mmoe or ple
    experts: int = 4  # that they share, of mmoe and ple
    balance: str = "fixed"  # of their losses: fixed, or by `uncertainty`, which is learnt
    limit: int = 20  # targets or classes: those with the most labels in training; other classes are one more
    horizon_days: int = 28  # after a moment, in which `outcomes` happen
    snapshots: int = 4  # moments, a horizon apart, whose users are training rows; one more validates
    features: list[str] = field(
        default_factory=list
    )  # of a user, numbers; none: recency, frequency and money
    naive: str = ""  # SQL over what was before: `user_id`, `naive` (and `target`), what the baseline knows
    naive_otherwise: str = "0"  # of a user without a row
    baseline: str = "prior"  # prior, naive itself, its logistic regression, or the table of its values
    beside: list[str] = field(default_factory=list)  # further baselines, models of these names: bg_nbd
    arms: list[str] = field(
        default_factory=list
    )  # of an effect: who is held out and who is treated, [control, treated]
    calibration: str = "temperature"  # by validation: temperature, isotonic, macro_f1 (classes) or none
    metrics: list[str] = field(default_factory=list)  # the first is compared, the first loss chooses epochs


@dataclass
class Task:
    """What is predicted, and how a training example is cut from a sequence."""

    name: str = "next_item"  # of the registered model, and of the column `task`
    event_types: list[str] = MISSING  # types whose items are inputs and targets
    length: int = 512  # events in an example
    positions: int = 64  # sessions in an example: a position is a basket, the bag of one session's items
    validation_days: int = 30  # the last days before the cut, by which epochs and models are chosen
    k: int = 20  # predictions a user
    contexts: bool = False  # type, time and channel of events, prices of items are told: for `model.inputs`
    seed: int = 7  # of the shuffle of an example set's rows
    label: Label | None = None
    together: list[str] = field(
        default_factory=list
    )  # tasks with labels that one model answers: docs/tasks.md


@dataclass
class Train:
    """How it is trained."""

    launcher: str = "local"  # where ranks run: `local` on this machine, `hosts` by ssh, `spark` on executors
    ranks: int = 2  # Horovod processes
    hosts: list[str] = field(default_factory=list)  # of `hosts`: host:ranks each, the first rank on the first
    min_ranks: int | None = None  # of `hosts`: with so many it goes on without a host that is gone; none: all
    ssh_port: int | None = None  # of `hosts`; none: as ssh itself
    ssh_key: str = ""  # of `hosts`: file of the private key; none: as ssh itself
    interface: str = ""  # network interface between ranks, of one name on all hosts; none: found out
    device: str = "cpu"  # that ranks compute on: cpu, or gpu, one for each (docs/gpu.md)
    batch_size: int = 32  # rows a rank and step
    by_length: bool = False  # rows of like length make a batch, which is cut to it: less to compute
    average: float = 0.0  # share of averaged weights that a step keeps; these are judged; 0: there are none
    epochs: int = 5  # at most
    patience: int = 2  # stop after this many epochs without a better validation metric
    learning_rate: float = 5e-3  # of Adam, once warm
    weight_decay: float = 0.0  # of matrices, in a step by this share times the learning rate (AdamW)
    warmup_steps: int = 50  # the learning rate rises linearly over these
    rate_by_ranks: str = "none"  # how it grows with the ranks, as their batch does: none, sqrt or linear
    clip_norm: float = 1.0  # of the gradient over all weights
    parts: int = 1  # in which a rank's batch is taken, one by one: less memory for the same gradient
    lazy_rows: int = 200_000  # items from which on a step changes only the rows of those it read
    item_vectors: str = "float32"  # as exported: float32, float16, or int8, scaled by row
    wire: str = "none"  # `fp16`: ranks send each other gradients of 16 bits
    window_files: int = 8  # files whose rows are shuffled together
    warm_start: str = "none"  # begin from the weights of: champion, pretrained, or a version by its number
    checkpoints: str = ""  # folder in which trainings keep how far they came; none: beside the lake
    stall_seconds: int = 900  # without a step, after which a rank says where it is, and ends
    checkpoint_steps: int = 500  # steps from one checkpoint to the next; each epoch ends with one as well
    memory_gib: float | None = None  # that a rank may take; none: its share of what the machine has free
    log_steps: int = 100  # steps from one point of the curves to the next
    tensorboard: str = ""  # folder of TensorBoard's logs, one a training; none: beside the lake
    wandb: str = "off"  # Weights & Biases: off, offline (files beside the lake) or online
    restarts: int = 1  # times that all ranks are started anew, from the last checkpoint, where one was lost
    seed: int = 7  # of weights, dropout, sampled items and the order of rows


@dataclass
class Search:
    """Hyperparameters that `jobs/search.py` looks for (docs/search.md)."""

    trials: int = 20  # trainings that a study comes to, those of earlier runs included
    startup: int = 5  # of them the first, which are drawn at random and never pruned
    least_epochs: int = 1  # that each has before it may be pruned
    storage: str = ""  # SQLAlchemy URL of Optuna's studies; none: a SQLite file beside the lake
    study: str = ""  # name of the study; none: example set, model and what it looks for
    seed: int = 7  # of what is drawn
    space: dict[str, Any] = field(default_factory=dict)  # what each key of `model` and `train` may be


@dataclass
class Objectives:
    """What an encoder is pretrained by: the weight of each objective, 0 for none (docs/pretraining.md)."""

    next_item: float = 1.0  # the items of the next basket; encoders that look back only
    next_gap: float = 0.1  # how long it is until then; likewise
    next_type: float = 0.0  # the types of its events; likewise, of examples with `task.contexts`
    next_category: float = 0.0  # the categories of its items; likewise
    masked_item: float = 0.0  # the items of baskets that are hidden, `model.mask_share` of them
    replaced_item: float = 0.0  # which baskets are another item's: `model.mask_share` of them are replaced
    contrast: float = 0.1  # which of all rows' views is another one of the same row


@dataclass
class Pretrain:
    """How `jobs/pretrain.py` trains an encoder without labels."""

    objectives: Objectives = field(default_factory=Objectives)
    temperature: float = 0.1  # of contrast: what similarities are divided by
    views: list[str] = field(default_factory=lambda: ["dropout"])  # of contrast: dropout, crop, mask, reorder
    view_share: float = 0.6  # of a row's baskets, what `crop` keeps, and `mask` and `reorder` leave as it is


@dataclass
class Finetune:
    """How `jobs/finetune.py` trains a task with labels from a pretrained encoder."""

    pretext: str = "next_item"  # choice of `task` on whose examples the encoder was pretrained
    encoder: str = "newest"  # of that task: newest, the number of a version, a run's id; none: from scratch
    mode: str = "full"  # what is trained: `full`, all; `frozen`, not the encoder; `adapters`, updates of it
    rank: int = 4  # of the updates of `adapters`
    share: float = 1.0  # of the users with labels, by a hash: those of 0.01 are among those of 0.05
    apart: bool = False  # registered as TASK.few, no candidate to serve, as a `share` below 1 always is
    positions: int | None = None  # sessions that the encoder has room for; found out where it is pretrained


@dataclass
class FewLabels:
    """What `jobs/few_labels.py` compares."""

    arms: list[str] = field(default_factory=lambda: [*ARMS])  # ways to begin, some of these
    shares: list[float] = field(default_factory=lambda: [0.01, 0.05, 0.2, 1.0])  # each as `finetune.share`
    seeds: int = 5  # trainings of each arm and share, of which the mean is taken
    stretch: float = 20.0  # most times as many epochs for a share, so that it gets the steps of the whole


@dataclass
class Guards:
    """What a challenger may not lose while it wins. Each is breached where its whole interval is beyond its limit."""

    least_users: int = 200  # of a segment; smaller ones are not guarded
    segment_loss: float = 0.05  # share of the champion's mean that a segment may lose
    gap_rise: float = 0.02  # by which its distance to the rest may grow; of amounts a share of the error
    coverage_share: float = 0.5  # least of the items shown to somebody, against the champion's
    gini_rise: float = 1.0  # by which Gini's coefficient of what is shown may grow; 1: any
    tail_loss: float = 1.0  # share of what is shown that the long tail may lose; 1: all
    answered_share: float = 0.99  # of a task with labels: least of the users asked who are answered
    calibration_rise: float = 0.02  # of a binary one: most the calibration error may be above the champion's
    seconds_a_user: float = 0.05  # most that scoring may take on one core
    megabytes: float = 8000.0  # most of the exported model


@dataclass
class Promote:
    """The gate between a challenger and the champion."""

    holdout_days: int = 27  # days up to and including `ds` that no candidate has trained on
    metric: str = "ndcg@10"  # chooses epochs and models: hr, recall, ndcg, mrr or map, @5, @10 or @20
    resamples: int = 2000  # of the paired bootstrap
    confidence: float = 0.95  # of the intervals, and of a promotion
    margin: float = 0.02  # share of the champion's mean that a refresh of its own configuration may lose
    guards: Guards = field(default_factory=Guards)
    groups: dict[str, str] = field(default_factory=dict)  # more groups of users, by SQL (docs/fairness.md)
    seed: int = 7  # of the bootstrap
    requested_by: str = "manual"  # who or what asks, for the ledger
    challenger: int | None = None  # a version to judge; none: the best encoder in validation


@dataclass
class Rerank:
    """A second stage of a model that ranks items: `jobs/rerank.py`."""

    first: str = "challenger"  # what is ranked anew: challenger, champion, or a version by its number
    candidates: int = 100  # the best items of the first stage, which it looks at
    events: int = 64  # a user's last ones, which it attends to
    share: float = 0.8  # of the users of the validation days: who is learnt from; the others choose the epoch
    batch_size: int = 32  # users a step
    epochs: int = 20  # at most
    patience: int = 3  # stop after this many epochs without a better metric
    learning_rate: float = 1e-3  # of Adam
    seed: int = 7  # of its weights


@dataclass
class Score:
    """What bulk scoring shows to whom (docs/predictions.md)."""

    exclude: list[str] = field(default_factory=list)  # what is not shown: bought, out_of_stock, embargoed
    out_of_stock: str = "false"  # Spark SQL over a row of `items` and `ds`: that there is none of it
    embargoed: str = "false"  # likewise: that it is not to be shown yet
    neighbours: int = 20  # of each item in `similar_items`


@dataclass
class Explained:
    """What is explained of predictions, and how finely (docs/explanations.md)."""

    users: int = 100  # of a night whose predictions are, with `explain=true`, picked by a hash
    events: int = 64  # the last ones of each: a score is made anew without each of them
    steps: int = 64  # of the integrated gradients
    permutations: int = 5  # of each input, by which it is told what that is worth to a model; 0: none


@dataclass
class Groups:
    """Groups of users that are alike to a model: `jobs/group_users.py`."""

    least: int = 4  # groups that are tried
    most: int = 10  # groups that are tried
    sampled: int = 50_000  # users from whom groups are made; the others are put into these
    horizon_days: int = 28  # whose spending they are to explain
    seed: int = 7  # of the first middles of groups


@dataclass
class Demand:
    """How much is sold in the week to come: `jobs/demand.py`."""

    items: int = 500  # the largest, by units before the cut
    first_weeks: int = 4  # behind the cut, whose errors make the first intervals; those after them are judged
    most_pieces: float = 100  # of a line of the logs; more were measured in something else, and are one unit


@dataclass
class Publish:
    """Where what a shop needs goes each night: into a folder, a PostgreSQL database, or both (docs/predictions.md)."""

    folder: str = ""  # of one task, on a file system that is mounted here; none: into none
    dsn_file: str = ""  # file that holds the connection string of a PostgreSQL database
    dsn_variable: str = ""  # environment variable that holds it; neither: into no database
    keep: int = 3  # published nights of a task that stay, the newest ones


@dataclass
class Selection:
    """Which features of a user a model is given: chosen on the days before the cut of `promote.holdout_days`."""

    path: str | None = None  # YAML of the choice; none: features.selected.yaml in `report`
    candidates: list[str] = field(default_factory=list)  # features to choose among; none: all of a user
    target: str = "buys"  # what they are to tell within the horizon: buys (again or not), spend, or returns
    horizon_days: int = 28  # after a moment, in which the target happens
    snapshots: int = 2  # moments, a horizon apart, whose users are training rows; one more validates
    max_users: int = 20_000  # a sample of at most so many: scikit-learn holds it in the driver's memory
    correlation: float = 0.95  # of two features that are correlated more, the one that says less goes
    variance: float = 0.95  # share of the variance that the principal components keep
    trees: int = 100  # of the forest
    seed: int = 7  # of the sample, the forest and its permutations


@dataclass(unsafe_hash=True)
class Simulate:
    """A made-up shop: how large it is, what it does, and what goes wrong on the way to its logs."""

    events: int = 1_000_000  # about so many records; how many users that takes is worked out
    users: int | None = None  # so many users instead, whatever they come to
    seed: int = 7  # of everything: the same seed and keys, the same bytes
    first_day: str = "2026-01-01"  # the first arrival date, YYYY-MM-DD
    days: int = 90  # arrival dates
    items: int = 5000  # in the catalogue
    categories: int = 24  # of items
    lines_per_file: int = 200_000  # at most; more records of a day go into more files
    churn_per_week: float = 0.01  # the median user's hazard
    anonymous_share: float = 0.25  # users who come without an id at first; most of them log in some day
    bots: int | None = None  # with one busy day a week; none given: as many as make 2% of the records
    bot_views_per_day: int = 5000  # of a bot on a busy day, the median
    campaign_every_days: int = 28  # between the starts of two campaigns
    campaign_days: int = 14  # for which a campaign is in force
    campaign_treated_share: float = 0.5  # of a campaign's users, by lot; the rest is held out
    campaign_discount: float = 0.1  # of the price, for the treated
    held_back_share: float = 0.02  # user-days of which events arrive later, within `features.late_days`
    held_too_long_share: float = 0.004  # likewise, beyond it
    sent_again_share: float = 0.01  # user-days whose events come a second time on a later day
    clock_ahead_share: float = 0.004  # user-days with a clock that is up to 50 minutes fast
    clock_far_ahead_share: float = 0.002  # likewise by 26 hours to 40 days: not believed
    written_twice_share: float = 0.005  # records that are in their file a second time
    malformed_share: float = 0.002  # records that cannot be read, of eight kinds


@dataclass
class Expectation:
    """What is expected of the rows of a table that a night can have changed."""

    table: str = MISSING  # ingested_files, events, sessions, users, items or sequences
    value: str = MISSING  # Spark SQL that makes one number of these rows; null: nothing to judge
    lower: float | None = None  # the least that passes; none: no limit
    upper: float | None = None  # the most that passes; none: no limit
    severity: str = "warn"  # where it does not pass: `warn`, or `stop`, and nothing is trained or scored
    meaning: str = MISSING  # of the value, in words


@dataclass
class Drift:
    """What is expected to be spread over users' behaviour as it was in the weeks before."""

    of: str = "events"  # events or sessions: one value for each
    value: str = MISSING  # Spark SQL over an event inside a session, or over a session; text or a number
    upper: float = 0.25  # the most that passes, of the population stability index
    severity: str = "warn"  # where it does not pass: `warn`, or `stop`, and nothing is trained or scored
    meaning: str = MISSING  # of the value, in words


@dataclass
class Quality:
    """What is expected of each table on each night. A breach marked `stop` keeps training and scoring from running."""

    override: bool = False  # go on in spite of breaches that are marked `stop`
    trailing_days: int = 28  # arrival dates before the night that its files are compared with
    drift_days: int = 7  # days up to the night whose sessions are compared
    reference_days: int = 28  # with so many days before them
    least_rows: int = 500  # with fewer values on either side there is nothing to judge of a drift
    feature_upper: float = 0.25  # the most that passes, of each feature of a night's `user_features`
    expect: dict[str, Expectation] = field(default_factory=dict)  # by name
    drift: dict[str, Drift] = field(default_factory=dict)  # by name


@dataclass
class Watched:
    """What is expected to be spread as it was: over the newest days' behaviour, or over a night's predictions."""

    of: str = MISSING  # events, sessions, users, items, sequences or predictions: one value for each
    value: str = MISSING  # Spark SQL over a row of it; text or a number
    upper: float = 0.25  # the most that passes, of the population stability index
    meaning: str = MISSING  # of the value, in words


@dataclass
class Span:
    """What passes."""

    lower: float = MISSING  # the least
    upper: float = MISSING  # the most


@dataclass
class Monitor:
    """What a night is held against when it is over. A breach ends `jobs/monitor.py` with exit code 4."""

    page: str | None = None  # HTML file; none: monitor_TASK.html in `report`
    page_nights: int = 60  # newest nights that the page shows
    days: int = 7  # days up to the night whose behaviour is compared
    reference_days: int = 28  # with so many days, or nights of predictions, before them
    least_rows: int = 500  # with fewer values on either side there is nothing to judge of a drift or a volume
    weeks: int = 4  # weeks before the night, with whose same weekday its volume is compared
    horizon_days: int = 1  # days up to the night, by which the predictions made before them are judged
    least_users: int = 200  # with fewer users there is nothing to judge of realised metrics
    least_nights: int = 7  # with fewer earlier nights likewise
    realised_lower: float = 0.7  # the least that passes, by the mean of the nights before
    calibration_upper: float = 0.05  # the most that passes, of the calibration error
    probabilities: bool = False  # scores are probabilities that an item is taken: their calibration is judged
    activity: list[int] = field(default_factory=lambda: [3, 10])  # sessions that make a user `some`, `many`
    new_days: int = 28  # for which a user is new
    shadow: str = ""  # alias, as `challenger`, whose predictions are scored and judged beside the champion's
    shadow_nights: int = 7  # nights for which it is, before one asks the gate
    drift: dict[str, Watched] = field(default_factory=dict)  # by name
    freshness: dict[str, float] = field(default_factory=dict)  # by table or `champion`: most days that pass
    volume: dict[str, Span] = field(default_factory=dict)  # by what is counted: share of that weekday before


@dataclass
class Privacy:
    """What stands in the lake for the ids of users."""

    ids: str = "keyed"  # `keyed`: a keyed hash of each; `plain`: as they came
    key_file: str | None = None  # of the key; none: beside the lake's folder, `.key` behind its name
    key_variable: str | None = None  # an environment variable that holds the key, in place of a file
    unread_days: int = 30  # nights for which the text of a refused record without a user is kept
    retention_hours: int = 168  # that versions of a table, unused example sets and abandoned checkpoints stay


@dataclass
class Serve:
    """Answers in real time."""

    host: str = "127.0.0.1"  # address that it listens on; another than of this machine needs `serve.key_file`
    port: int = 8080  # there; 0: any that is free
    tasks: list[str] = field(default_factory=list)  # choices of `task` whose champions answer; none: `task`
    key_file: str = ""  # of API keys, one a line; none: whoever reaches the port may ask
    poll_seconds: float = 5.0  # between two looks at the registry and at what was published
    batch: int = 32  # questions that a model answers together, at most
    queue: int = 256  # questions that may wait; the next one is told to come again
    timeout_seconds: float = 2.0  # until an answer is of no use
    max_bytes: int = 262_144  # of a request's body
    max_events: int = 1024  # in a question
    explained: int = 64  # events of the past that an explanation looks at
    threads: int = 1  # of a model; more are faster where cores are idle


@dataclass
class Config:
    """What a job is told: `key=value` on its command line, over the YAML files of `conf/`."""

    ds: str = ""  # the night: the last day that is looked at, YYYY-MM-DD; most jobs need it
    start: str = ""  # the first arrival date that `jobs/backfill.py` looks at, YYYY-MM-DD
    end: str = ""  # the day after the last one
    reingest: bool = False  # there: take in anew what is in the lake already
    raw: str = MISSING  # folder of the raw logs
    lake: str = MISSING  # folder of the Delta tables
    registry: str = MISSING  # MLflow tracking and registry URI
    artifacts: str = MISSING  # folder or URI of MLflow's artifacts
    report: str = MISSING  # folder of the report
    report_command: str = ""  # what was run, for the report's head
    tasks: list[str] = field(default_factory=lambda: [*TASKS])  # what `jobs/tasks.py` trains and judges
    serve_tasks: bool = True  # there: put each before the gate, and ask its champion about every user
    explain: bool = False  # of `jobs/score.py`: of some users also which past events a prediction came from
    step: str = "train"  # what is trained, which jobs say themselves: train, pretrain or finetune
    set_id: str | None = None  # an example set; none: that of `ds` and the rest of the configuration
    path: str = ""  # the file or folder that `jobs/check_source.py` looks at
    logins: str = ""  # the same of the identity map; none: the files of `path` that are one
    sample: int = 10_000  # lines that it reads of each
    wait: bool = False  # where another job writes to the lake: wait until it is done; false: stop
    lease_seconds: int = 120  # without a sign of life, after which a job that writes is taken for dead
    data: str = ""  # the file of `user item item …` lines that `jobs/benchmark.py` trains on and is judged by
    seed: int | None = None  # there: of the training; none: `train.seed`
    out: str = ""  # there: the file of the result
    exclude_seen: bool = True  # there: items that a user had are no candidates, the target apart
    refit: bool = False  # there: an encoder is trained anew for the test, with what validated
    held_back: int = 0  # there: newest items of each user that nothing reads; what validates is the test then
    robustness: bool = False  # there: also how much worse the test gets as histories are
    users: str = ""  # the file of ids, one a line, that `jobs/erase.py` erases
    rules: str = ""  # the YAML or CSV file that `jobs/rules.py` takes the table of that name from
    champion: int | None = None  # of `jobs/rollback.py`: which must be champion; none: whichever is
    dry_run: bool = False  # of `jobs/migrate.py`: say what is to be done, and do nothing
    source: Source = field(default_factory=Source)
    spark: SparkSettings = field(default_factory=SparkSettings)
    features: Features = field(default_factory=Features)
    model: Model = field(default_factory=Model)
    task: Task = field(default_factory=Task)
    train: Train = field(default_factory=Train)
    search: Search = field(default_factory=Search)
    pretrain: Pretrain = field(default_factory=Pretrain)
    finetune: Finetune = field(default_factory=Finetune)
    few_labels: FewLabels = field(default_factory=FewLabels)
    promote: Promote = field(default_factory=Promote)
    score: Score = field(default_factory=Score)
    rerank: Rerank = field(default_factory=Rerank)
    explained: Explained = field(default_factory=Explained)
    groups: Groups = field(default_factory=Groups)
    demand: Demand = field(default_factory=Demand)
    publish: Publish = field(default_factory=Publish)
    simulate: Simulate = field(default_factory=Simulate)
    selection: Selection = field(default_factory=Selection)
    quality: Quality = field(default_factory=Quality)
    privacy: Privacy = field(default_factory=Privacy)
    serve: Serve = field(default_factory=Serve)
    monitor: Monitor = field(default_factory=Monitor)
