"""What a source may say of its shop, and what may be asked of a selection."""

import pytest

from conf.load import ConfigurationError, load


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("source.shop_timezone=Berlin", "source.shop_timezone must be a zone such as Europe/Berlin, got 'Berlin'"),
        ("source.shop_timezone=''", "got ''"),
        ("source.purchase_types=[buy]", "source.purchase_types must be among source.event_types (view, cart, purchase, "),
        ("selection.target=love", "selection.target must be one of buys, spend, returns, got 'love'"),
        ("selection.horizon_days=0", "selection.horizon_days must be > 0"),
        ("selection.variance=1.1", r"selection.variance must lie in (0, 1], got 1.1"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_by_its_key(override, words):
    with pytest.raises(ConfigurationError) as refused:
        load(["source=plain", override])
    assert words in str(refused.value)


def test_a_shop_has_a_clock_and_its_own_words_for_a_purchase():
    told = load(["source=plain", "source.shop_timezone=Asia/Tokyo", "source.purchase_types=[purchase,cart]"])
    assert told.source.shop_timezone == "Asia/Tokyo"
    assert told.source.purchase_types == ["purchase", "cart"]
    assert told.selection.target == "buys"
