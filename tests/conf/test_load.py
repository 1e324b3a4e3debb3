"""What a command line may say, and what it is told where it may not."""

from pathlib import Path

import pytest

from conf.load import ConfigurationError, known_keys, load

CONF = Path(__file__).parents[2] / "conf"
CHOICES = [
    f"{group}={file.stem}"
    for group in ("source", "spark", "features", "model", "task", "train", "promote", "simulate")
    for file in sorted((CONF / group).glob("*.yaml"))
]


def refusal(*overrides: str, needs: tuple[str, ...] = ()) -> str:
    with pytest.raises(ConfigurationError) as refused:
        load(overrides, needs)
    return str(refused.value)


@pytest.mark.parametrize("choice", CHOICES)
def test_every_yaml_of_every_group_composes(choice):
    group, name = choice.split("=")
    chosen = getattr(load([choice]), group)
    assert getattr(chosen, "name", name) == name or group in ("task", "train")


def test_the_command_line_comes_last():
    assert load([]).features.session_gap_minutes == 30
    assert load(["features.session_gap_minutes=20"]).features.session_gap_minutes == 20


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("spark.master=local[2]", "local[2]"),
        ("spark.master='local[2]'", "local[2]"),
        ("spark.master=spark://host:7077,other:7077", "spark://host:7077,other:7077"),
    ],
)
def test_a_value_needs_no_quotes_of_its_own(override, value):
    assert load([override]).spark.master == value


@pytest.mark.parametrize("folder", ["/data/it's/raw (1)", "s3a://shop/raw=1/{x}", "C:\\logs\\raw"])
def test_a_folder_may_have_any_name(folder):
    assert load([f"raw={folder}"]).raw == folder


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("session_gap=20", ["no key 'session_gap'"]),
        (
            "features.session_gap_minute=20",
            ["'features.session_gap_minute'", "'features.session_gap_minutes'"],
        ),
        ("lak=/data", ["no key 'lak'", "did you mean 'lake'"]),
        ("model.widht=8", ["no key 'model.widht'", "did you mean 'model.width'"]),
    ],
)
def test_an_unknown_key_is_named_and_one_like_it_suggested(override, words):
    message = refusal(override)
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("features.late_days=soon", ["features.late_days", "soon", "Integer"]),
        ("train.learning_rate=fast", ["train.learning_rate", "fast", "Float"]),
        ("features.session_gap_minutes=0", ["features.session_gap_minutes must be > 0, got 0"]),
        ("features.session_gap_minutes=-5", ["features.session_gap_minutes must be > 0, got -5"]),
        ("features.late_days=-1", ["features.late_days must be >= 0, got -1"]),
        ("model.loss=hinge", ["model.loss must be one of sampled_softmax, softmax, got 'hinge'"]),
        ("promote.confidence=95", ["promote.confidence must lie between 0 and 1, got 95"]),
        (
            "train.warm_start=best",
            ["train.warm_start must be none, champion, pretrained, the number of a version", "got 'best'"],
        ),
        (
            "train.warm_start=-1",
            ["train.warm_start must be none, champion, pretrained, the number of a version", "got '-1'"],
        ),
        (
            "model.heads=3",
            ["model.width must be a multiple of model.members times model.heads, got 64, 1 and 3"],
        ),
        (
            "model.members=3",
            ["model.width must be a multiple of model.members times model.heads, got 64, 3 and 2"],
        ),
        (
            "model.inputs=[colour]",
            ["model.inputs must be among category, price, type, hour, weekday, channel, got 'colour'"],
        ),
        ("model.earlier_share=-0.1", ["model.earlier_share must be >= 0, got -0.1"]),
        ("model.regularization=0", ["model.regularization must be > 0, got 0.0"]),
        ("model.linear=-1", ["model.linear must be >= 0, got -1"]),
        ("model.sampling=all", ["model.sampling must be one of popularity, uniform, batch, got 'all'"]),
        ("train.wire=fp8", ["train.wire must be one of none, fp16, got 'fp8'"]),
        ("train.rate_by_ranks=cubic", ["train.rate_by_ranks must be one of none, sqrt, linear, got 'cubic'"]),
        ("train.parts=5", ["train.batch_size must be a multiple of train.parts, got 32 and 5"]),
        ("task.positions=1", ["task.positions must be >= 2, got 1"]),
        ("task.length=1", ["task.length must be >= 2, got 1"]),
    ],
)
def test_a_value_that_makes_no_sense_is_named_with_what_was_expected(override, words):
    message = refusal(override)
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    "ds", ["yesterday", "2026-02-30", "2026-11-2", "20261102", "2026-W45-1", "02.11.2026"]
)
def test_a_night_is_a_day_as_year_month_day(ds):
    assert f"ds must be a day as YYYY-MM-DD, got '{ds}'" in refusal(f"ds={ds}")


@pytest.mark.parametrize("ds", ["0001-01-01", "9999-12-31"])
def test_a_night_lies_in_this_age(ds):
    assert f"ds must lie between 1970-01-01 and 2200-01-01, got '{ds}'" in refusal(f"ds={ds}")


@pytest.mark.parametrize("key", ["start", "end"])
def test_a_range_is_of_days_and_does_not_end_before_it_begins(key):
    assert f"{key} must be a day as YYYY-MM-DD, got 'may'" in refusal(f"{key}=may")
    for end in ("2026-11-02", "2026-11-01"):
        assert "start must lie before end" in refusal("start=2026-11-02", f"end={end}")


@pytest.mark.parametrize("version", ["none", "champion", "7"])
def test_a_training_may_begin_from_the_champion_or_a_version(version):
    assert load([f"train.warm_start={version}"]).train.warm_start == version


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (
            ["task=churn", "model.inputs=[hour]"],
            "model.inputs is of tasks that rank, in jobs/train.py, got task=churn",
        ),
        (["task=churn", "task.contexts=true"], "task.contexts is of tasks that rank, got task=churn"),
        (["source=otto", "model.inputs=[channel]"], "source=otto says nothing: set source.channel"),
        (["model=gru", "model.stochastic_depth=0.1"], "model.stochastic_depth wants an encoder of blocks"),
        (
            ["model=repeat", "model.dropout_events=0.1"],
            "model.dropout_events is of tasks that rank, in jobs/train.py, and wants model.repeat=0",
        ),
        (["model=popularity", "model.linear=20"], "model.linear stands beside an encoder, got 20.0 and"),
        (["model=linear", "model.earlier_share=0.1"], "model.earlier_share stands beside an encoder"),
        (["model=repeat", "model.earlier_share=0.1"], "model.earlier_share is of tasks that rank"),
        (["task=churn", "model.earlier_share=0.1"], "got task=churn, step train, model.repeat=0"),
        (["task=churn", "model.dropout_events=0.1"], "got task=churn, step train, model.repeat=0"),
        (
            ["task=churn", "model.linear=1"],
            "model.linear is of tasks that rank, in jobs/train.py, got task=churn",
        ),
        (["model=repeat", "model.members=2"], "model.members wants model.repeat=0"),
        (
            ["model=sasrec", "model.members=2", "model.temperature=0.1"],
            "and no model.temperature, got 0 and 0.1",
        ),
    ],
)
def test_what_does_not_go_together_is_refused_with_what_to_set(overrides, words):
    assert words in refusal(*overrides)


def test_what_a_job_needs_must_be_given():
    assert refusal(needs=("ds",)) == "ds is missing: give ds=… on the command line"
    assert load(["ds=2026-11-02"], ("ds",)).ds == "2026-11-02"


def test_a_value_that_is_still_missing_is_named():
    assert refusal("source.path=???") == "source.path is missing: give source.path=… on the command line"


def test_an_unknown_choice_of_a_group_is_told_the_ones_there_are():
    message = refusal("model=transformer")
    assert "model/transformer" in message
    assert "sasrec" in message


def test_all_keys_are_known_by_their_dotted_names():
    assert {"ds", "features.session_gap_minutes", "source.items", "promote.metric"} <= set(known_keys())
    assert all("." not in key or key.split(".")[0] in known_keys() for key in known_keys())
