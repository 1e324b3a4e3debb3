"""How a model gets its features: scaled by the training window's statistics, filled, flagged, indexed, crossed."""

from math import log, log1p

import pytest

from features.feature import Categorical, Cross, Family, Feature, Numeric, UnknownFeature, of_rows
from features.normalise import Scaling, as_record, fit, inputs, normalised
from features.table import Column
from features.user_features import USER_FEATURES

FAMILY = Family(
    name="small",
    meaning="A few features.",
    key=(Column("user_id", "string", "who"),),
    features=(
        Feature("plain", "double", "a number", "a", "row", Numeric()),
        Feature(
            "long",
            "double",
            "one with a long tail",
            "b",
            "row",
            Numeric("log", fill="max", indicator=True),
            absent="so",
        ),
        Feature(
            "wild", "double", "one with outliers", "c", "row", Numeric("robust", fill="median"), absent="so"
        ),
        Feature("none", "double", "one that never was", "d", "row", Numeric(fill=7.0), absent="always"),
        Feature("word", "string", "a text", "e", "row", Categorical(8), absent="so"),
        Feature("hour", "int", "a whole number", "f", "row", Categorical(25), absent="so"),
        Feature("shown", "map<string,double>", "for people", "null", "row", None, absent="so"),
    ),
    crosses=(Cross("both", "word and hour", ("word", "hour"), 1000),),
)
SCHEMA = "user_id string, a double, b double, c double, d double, e string, f int"
TRAINING = [
    ("ann", 1.0, 0.0, 1.0, None, "tea", 0),
    ("bob", 3.0, 3.0, 2.0, None, "milk", 23),
    ("cid", 5.0, None, 3.0, None, None, None),
    ("dan", 7.0, -3.0, 4.0, None, "tea", 23),
    ("eve", 9.0, 8.0, 1e6, None, "", 24),
]


@pytest.fixture(scope="module")
def training(spark):
    return of_rows(FAMILY, spark.createDataFrame(TRAINING, SCHEMA)).persist()


@pytest.fixture(scope="module")
def scalings(training):
    return fit(training, FAMILY)


def test_statistics_are_of_the_values_that_are_there(scalings):
    assert list(scalings) == ["plain", "long", "wild", "none"]
    assert scalings["plain"] == Scaling("standard", 5.0, pytest.approx(8**0.5))
    logs = [0.0, log(4), -log(4), log(9)]
    mean = sum(logs) / 4
    assert scalings["long"] == Scaling(
        "log", pytest.approx(mean), pytest.approx((sum((x - mean) ** 2 for x in logs) / 4) ** 0.5), fill=8.0
    )
    assert scalings["wild"] == Scaling("robust", 3.0, 2.0, fill=3.0), (
        "quartiles 2, 3 and 4: a million does not matter"
    )
    assert scalings["none"] == Scaling("standard", 0.0, 1.0, fill=7.0)


def test_they_are_kept_to_nine_digits_as_a_record(scalings):
    record = as_record(scalings)
    assert record["plain"] == {"scale": "standard", "center": 5.0, "spread": 2.82842712}
    assert record["wild"] == {"scale": "robust", "center": 3.0, "spread": 2.0, "fill": 3.0}


def test_a_later_night_is_scaled_with_what_was_kept_whatever_it_holds(spark):
    kept = {
        "plain": Scaling("standard", 5.0, 2.0),
        "long": Scaling("log", 1.0, 0.5, fill=8.0),
        "wild": Scaling("robust", 3.0, 2.0, fill=3.0),
        "none": Scaling("standard", 0.0, 1.0, fill=7.0),
    }
    night = spark.createDataFrame(
        [("ann", 6.0, 0.0, 1e9, 2.0, "tea", 5), ("bob", 5.0, None, None, None, None, None)], SCHEMA
    )
    made = normalised(of_rows(FAMILY, night), FAMILY, kept)
    assert made.columns == [
        "user_id",
        "plain",
        "long",
        "long_missing",
        "wild",
        "none",
        "word",
        "hour",
        "both",
    ]
    ann, bob = made.orderBy("user_id").collect()
    assert tuple(ann)[1:6] == (0.5, -2.0, 0.0, 10.0, 2.0), "the wild one at its limit"
    assert tuple(bob)[1:6] == (0.0, pytest.approx((log1p(8.0) - 1) / 0.5), 1.0, 0.0, 7.0)
    assert tuple(bob)[6:] == (0, 0, 0), "missing is 0, and so is a cross with it"
    assert [field.dataType.simpleString() for field in made.schema][1:] == ["float"] * 5 + ["int"] * 3


def test_what_does_not_vary_is_scaled_to_nothing(spark):
    same = spark.createDataFrame(
        [("ann", 4.0, 1.0, 4.0, None, "tea", 1), ("bob", 4.0, 1.0, 4.0, None, "tea", 1)], SCHEMA
    )
    frame = of_rows(FAMILY, same)
    found = fit(frame, FAMILY, ["plain", "wild"])
    assert found["plain"].spread == found["wild"].spread == 1.0
    assert [tuple(row)[1:] for row in normalised(frame, FAMILY, found, ["wild", "plain"]).collect()] == [
        (0.0, 0.0)
    ] * 2


def test_a_category_keeps_its_index_on_every_machine_and_night(training, scalings):
    """XXH64 with the seed 42: a change of these numbers makes every trained model wrong."""
    rows = {row.user_id: row for row in normalised(training, FAMILY, scalings).collect()}
    assert {user: (row.word, row.hour, row.both) for user, row in rows.items()} == {
        "ann": (2, 1, 563),
        "bob": (3, 24, 382),
        "cid": (0, 0, 0),
        "dan": (2, 24, 945),
        "eve": (4, 0, 380),
    }


def test_crosses_do_not_confuse_where_one_part_ends(spark):
    frame = spark.createDataFrame(
        [("ann", 0.0, 0.0, 0.0, 0.0, "1", 23), ("bob", 0.0, 0.0, 0.0, 0.0, "12", 3)], SCHEMA
    )
    one, other = normalised(of_rows(FAMILY, frame), FAMILY, {}, ["both"]).collect()
    assert one.both != other.both


def test_a_name_that_is_of_no_feature_is_refused_with_those_near_it():
    with pytest.raises(
        UnknownFeature, match=r"user_features has no feature 'order_recensy' \(near: order_recency, "
    ):
        inputs(USER_FEATURES, ["recency", "order_recensy"])
    with pytest.raises(ValueError, match="category_affinities of user_features is for people"):
        inputs(USER_FEATURES, ["category_affinities"])
    assert "favourite_at_price" in inputs(USER_FEATURES)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: Numeric("cubic"), "scale must be one of standard, log, robust, got 'cubic'"),
        (lambda: Numeric(fill="mean"), "fill must be a number, median or max, got 'mean'"),
        (
            lambda: Feature("x", "double", "", "1", "row", Numeric(), absent="so"),
            "x must have a fill where it may be absent",
        ),
        (
            lambda: Feature("x", "double", "", "1", "row", Numeric(fill=0.0)),
            "x must have a fill where it may be absent, and only",
        ),
        (lambda: Family("f", "", FAMILY.key, (FAMILY.features[0],) * 2), "f declares twice: plain"),
        (
            lambda: Family("f", "", FAMILY.key, FAMILY.features, (Cross("c", "", ("plain", "hour"), 9),)),
            "f.c crosses plain, which is not categorical",
        ),
    ],
)
def test_a_declaration_that_contradicts_itself_is_refused(wrong, words):
    with pytest.raises(ValueError, match=words):
        wrong()
