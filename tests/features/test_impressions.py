"""Which impressions were clicked."""

from conf.load import load
from features.impressions import impressions
from features.labels import labels
from tests.shop import at, rows_of

OUTCOMES = (
    "user_id string, event_ts timestamp, event_type string, item_id string, attributes map<string,string>"
)


def test_a_click_is_of_the_last_impression_of_its_item_and_position_in_the_minute_before(spark):
    shown = {"position": "2", "propensity": "0.3"}
    events = [
        ("ann", at("10:00:00"), "impression", "tea", shown),
        ("ann", at("10:00:04"), "click", "tea", {"position": "2"}),
        ("ann", at("10:00:05"), "click", "tea", {"position": "2"}),
        ("ann", at("10:00:30"), "impression", "tea", shown),
        ("ann", at("10:00:40"), "impression", "tea", shown),
        ("ann", at("10:00:40"), "click", "tea", {"position": "2"}),
        ("bob", at("10:00:00"), "impression", "tea", shown),
        ("bob", at("10:00:01"), "click", "tea", {"position": "1"}),
        ("bob", at("10:00:02"), "click", "jam", {"position": "2"}),
        ("bob", at("10:01:01"), "click", "tea", {"position": "2"}),
        ("cid", at("10:00:00"), "impression", "tea", {"position": "1"}),
        ("cid", at("10:00:00"), "view", "tea", {}),
    ]
    found = impressions(spark.createDataFrame(events, OUTCOMES))
    assert rows_of(found) == [
        ("ann", at("10:00:00"), "tea", 2, 0.3, True),
        ("ann", at("10:00:30"), "tea", 2, 0.3, False),
        ("ann", at("10:00:40"), "tea", 2, 0.3, True),
        ("bob", at("10:00:00"), "tea", 2, 0.3, False),
    ], "cid was shown the tea by a chance that nobody logged"


def test_the_task_asks_of_the_first_time_an_item_was_shown_at_a_position_by_the_inverse_of_its_chance(spark):
    often, rare = ({"position": "1", "propensity": chance} for chance in ("0.5", "0.125"))
    events = [
        ("ann", at("10:00:00"), "impression", "tea", often),
        ("ann", at("11:00:00"), "impression", "tea", rare),
        ("ann", at("11:00:02"), "click", "tea", {"position": "1"}),
        ("ann", at("12:00:00"), "impression", "jam", rare),
        ("ann", at("12:00:02"), "click", "jam", {"position": "1"}),
        ("bob", at("12:00:00"), "impression", "jam", rare),
    ]
    sessions = spark.createDataFrame([("ann",)], "user_id string")
    made = {"impressions": impressions(spark.createDataFrame(events, OUTCOMES)), "sessions": sessions}
    found = labels(made, load(["task=ad_click"]).task.label)
    assert rows_of(found) == [("ann", "jam at 1", 1.0, 8.0), ("ann", "tea at 1", 0.0, 2.0)]
