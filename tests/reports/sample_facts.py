"""Facts of a whole run, typed in: plausible numbers, none of them measured."""

import math

from reports.facts import DURATION_MINUTES, EVENTS_PER_SESSION, GAP_HOURS, GAP_LABELS, binned

METRICS = [f"{name}@{k}" for name in ("hr", "recall", "ndcg", "mrr") for k in (5, 10, 20)]
LEVELS = {"hr": 3.0, "recall": 0.75, "ndcg": 1.0, "mrr": 1.7}
WORDS = [
    "Fluid milk, private label, 1 GA",
    "Bananas, national brand, 40 LB",
    "Mainstream white bread, private label, 20 OZ",
    "Eggs, large, private label, 1 DZ",
    "Shredded cheese, private label, 8 OZ",
    "Soft drinks 12/18&15pk can carb, national brand, 12 OZ",
    "Potato chips, national brand, 11.5 OZ",
    "Toilet tissue, national brand",
    "Yogurt not multi-packs, national brand, 6 OZ",
    "Primal, national brand, by the pound",
    "Tomatoes, hothouse, on the vine",
    "Premium ice cream, private label, 56 OZ",
]


def interval(mean: float, half: float) -> dict[str, float]:
    return {"mean": mean, "low": mean - half, "high": mean + half}


def values(ndcg: float) -> dict[str, dict[str, float]]:
    found = {}
    for metric in METRICS:
        name, k = metric.split("@")
        found[metric] = interval(
            min(ndcg * LEVELS[name] * (0.8 + 0.1 * math.log2(int(k) / 2.5)), 0.99), 0.007
        )
    return found


def against(ndcg: float) -> dict[str, dict[str, float]]:
    gap = ndcg - 0.226
    return {
        m: {"difference": gap * share, "low": gap * share - 0.009, "high": gap * share + 0.009}
        for m in METRICS
        for share in [LEVELS[m.split("@")[0]]]
    }


def of_parts(gap: float) -> dict[str, dict[str, float]]:
    """NDCG@10 and recall@10 of all items, of those had before, and of others, of which nothing can be told."""
    return {
        f"{name}@10{part}": {"difference": of, "low": of - 0.004, "high": of + 0.004}
        for name in ("ndcg", "recall")
        for part, of in (("", gap), ("/repeated", 1.5 * gap), ("/first", gap / 100))
    }


def judged(shift: float) -> list[dict]:
    baselines = {"popularity": 0.098, "frequency": 0.211, "frequency_decay": 0.226}
    encoders = {"gru": 0.144, "sasrec": 0.221}
    return [
        {"model": name, "kind": "baseline", "version": 1 + i, "values": values(ndcg + shift)}
        for i, (name, ndcg) in enumerate(baselines.items())
    ] + [
        {
            "model": name,
            "kind": "encoder",
            "version": 4 + i,
            "values": values(ndcg + shift),
            "against_best_baseline": against(ndcg),
            "against": {
                f"{rival} v{1 + j}": of_parts(ndcg - theirs)
                for j, (rival, theirs) in enumerate(baselines.items())
            },
        }
        for i, (name, ndcg) in enumerate(encoders.items())
    ]


def training(model: str, as_of: str, best: int, last: float) -> dict:
    return {
        "model": model,
        "as_of": as_of,
        "ranks": 2,
        "rows_expected": 6213,
        "rows_seen": 6213,
        "seconds": 93.4,
        "best_epoch": best,
        "epochs": [
            {
                "epoch": e,
                "loss": 4.1 + 2.6 * math.exp(-e / 2),
                "ndcg@10": last * (1 - 0.8 * math.exp(-e / 2)) - 0.004 * max(0, e - best),
                "seconds": 11.2,
            }
            for e in range(1, best + 3)
        ],
    }


def bins(
    edges: tuple[float, ...], counts: list[int], counting: bool = False, labels=()
) -> list[tuple[str, int]]:
    return list(zip(labels or binned(edges, counting), counts, strict=True))


def user(user_id: str, first: int) -> dict:
    picked = [WORDS[(first + 5 * i) % len(WORDS)] for i in range(24)]
    items = [{"item_id": str(820000 + i), "words": words} for i, words in enumerate(picked)]
    return {
        "user_id": user_id,
        "model": "frequency_decay v3",
        "explained": [
            {
                "date": f"2017-{1 + i // 2:02}-{9 + i:02}",
                **items[i % 7],
                "attribution": None,
                "change": math.cos(i + first),
            }
            for i in range(18)
        ],
        "baskets": [
            {"date": "2017-12-29", "items": items[:5]},
            {"date": "2017-12-22", "items": items[5:17]},
            {"date": "2017-12-16", "items": items[17:20]},
        ],
        "predictions": [
            {"rank": i + 1, **items[i], "score": 9.1 - i / 3, "bought_before": WORDS.index(picked[i]) < 9}
            for i in range(10)
        ],
    }


SPEND = {
    "metric": "mae",
    "model": "sasrec",
    "value": 69.04,
    "baseline": "naive",
    "baseline_value": 68.93,
    "difference": [0.11, -0.72, 1.03],
    "verdict": "equal",
}

FACTS = {
    "title": "A week in the life of the nightly job",
    "made_at": "2026-11-24T22:40:00Z",
    "hardware": {"cpu": "Intel Xeon Processor @ 2.60GHz", "cores": 2, "memory_gb": 23.4},
    "command": "make demo",
    "flow": {
        "read": 1_500_000,
        "duplicates": 14_000,
        "quarantined": 8_002,
        "events": 1_477_998,
        "active": 1_469_307,
        "passive": 8_691,
        "capped": 0,
        "in_sessions": 1_469_307,
        "sessions": 143_212,
        "users": 2_469,
        "items": 68_509,
        "examples": {"train": 6_213, "validation": 2_031},
        "predictions": 2_469,
    },
    "quarantine_reasons": {"no_user": 2, "not_a_record": 8_000},
    "sessions": {
        "events_per_session": bins(
            EVENTS_PER_SESSION,
            [20_110, 17_404, 14_220, 20_908, 13_441, 16_210, 9_912, 21_130, 8_121, 1_756],
            counting=True,
        ),
        "duration_minutes": bins(DURATION_MINUTES, [131_004, 2_014, 3_120, 2_511, 1_720, 1_402, 1_201, 240]),
        "hour_of_day": [
            *[40, 20, 10, 10, 60, 80, 150, 400, 900, 1900, 3200, 4800],
            *[6900, 8100, 9000, 9900, 11200, 12400, 13000, 12200, 10100, 7600, 4700, 1900],
        ],
        "zone": "America/New_York",
        "gap_hours": bins(
            GAP_HOURS,
            [1_204, 2_400, 4_012, 5_230, 6_120, 21_004, 28_100, 34_120, 25_320, 9_870, 2_760, 603],
            labels=GAP_LABELS,
        ),
    },
    "training": [
        training("gru", "2017-12-01T00:00:00Z", 5, 0.15),
        training("sasrec", "2017-12-01T00:00:00Z", 6, 0.224),
    ],
    "metrics": [
        {
            "question": "test",
            "as_of": "2017-12-01T00:00:00Z",
            "until": "2017-12-28T00:00:00Z",
            "users": 2012,
            "models": judged(0),
        },
        {
            "question": "validation",
            "as_of": "2017-11-01T00:00:00Z",
            "until": "2017-12-01T00:00:00Z",
            "users": 2031,
            "models": judged(0.004),
        },
    ],
    "users": [user("900", 0), user("1228", 1), user("2375", 2)],
    "promotions": [
        {
            "at": "2026-11-24T22:31:00Z",
            "task": "next_item",
            "challenger": "frequency_decay v3",
            "champion": None,
            "promoted": True,
            "metric": "ndcg@10",
            "challenger_value": 0.2259,
            "champion_value": None,
            "difference": None,
            "low": None,
            "high": None,
            "reason": "the best baseline is the first champion",
        },
        {
            "at": "2026-11-24T22:38:00Z",
            "task": "next_item",
            "challenger": "gru v4",
            "champion": "frequency_decay v3",
            "promoted": False,
            "metric": "ndcg@10",
            "challenger_value": 0.144,
            "champion_value": 0.2259,
            "difference": -0.0819,
            "low": -0.0911,
            "high": -0.0722,
            "reason": "the interval of the difference does not lie above zero",
        },
    ],
    "nights": [
        {
            "ds": f"2017-12-{28 + i}" if i < 4 else "2018-01-01",
            "events": [4408, 4120, 5230, 6110, 534][i],
            "duplicates": [0, 12, 0, 0, 3][i],
            "quarantined": 0,
            "sessions_new": [412, 380, 470, 512, 44][i],
            "sessions_replaced": [3, 0, 5, 8, 2][i],
            "users": 2469,
            "predictions": 2469,
            "seconds": [31.2, 29.9, 30.4, 30.1, 24.8][i],
        }
        for i in range(5)
    ],
    "tasks": [
        {
            "task": "churn",
            "as_of": "2017-12-01T00:00:00+00:00",
            "users": 2463,
            "rows": [
                {"metric": name, "model": "sasrec", "value": value, "baseline": "naive"}
                | {"baseline_value": of_baseline, "difference": difference, "verdict": verdict}
                for name, value, of_baseline, difference, verdict in (
                    ("roc_auc", 0.885, 0.836, [0.049, 0.035, 0.063], "better"),
                    ("log_loss", 0.360, 0.351, [0.009, 0.002, 0.014], "worse"),
                    ("lift", 3.81, 3.63, [0.18, -0.11, 0.39], "equal"),
                )
            ],
            "behind": [],
            "worth": {"history": 0.2, "recency": 0.04},
        },
        {
            "task": "spend",
            "as_of": "2017-12-01T00:00:00+00:00",
            "users": 2463,
            "rows": [SPEND],
            "behind": [SPEND],
            "worth": {"naive": 101.3, "history": 1.25, "order_recency": 0.41},
        },
    ],
    "few_labels": [
        {
            "task": "churn",
            "model": "sasrec",
            "pretext": "next_item",
            "set_id": "churn-2017-12-01-0",
            "table": [
                {"metric": "roc_auc", "share": share, "arm": arm, "seeds": 5, "train_users": users}
                | {"train_positives": positives, "mean": mean, "low": low, "high": high}
                for share, arm, users, positives, mean, low, high in (
                    (0.01, "scratch", 25, 4, 0.61, 0.55, 0.67),
                    (0.01, "frozen", 25, 4, 0.71, 0.69, 0.73),
                    (1.0, "scratch", 2463, 190, 0.84, None, None),
                )
            ],
        }
    ],
    "fairness": {
        "tasks": [
            {
                "task": "next_item",
                "model": "frequency_decay v3",
                "metric": "ndcg@10",
                "as_of": "2018-01-01",
                "groups": [
                    {"user_group": "new", "users": 240, **interval(0.141, 0.02)}
                    | {"gap": -0.09, "gap_low": -0.11, "gap_high": -0.07},
                    {"user_group": "rare", "users": 1008, **interval(0.221, 0.01)}
                    | {"gap": -0.008, "gap_low": -0.02, "gap_high": 0.004},
                ],
                "guards": [
                    {
                        "name": "gap new",
                        "value": 0.031,
                        "low": 0.024,
                        "high": 0.04,
                        "least": None,
                        "most": 0.02,
                    }
                    | {"passed": False},
                    {"name": "gini (0.912, the champion 0.874)", "value": 0.038, "low": 0.03, "high": 0.046}
                    | {"least": None, "most": 0.1, "passed": True},
                ],
            }
        ],
        "scores": [
            {"task": "next_item", "user_group": "new", "users": 240, "low": 0.4, "median": 1.2, "high": 3.1},
            {
                "task": "next_item",
                "user_group": "rare",
                "users": 1234,
                "low": 0.3,
                "median": 1.1,
                "high": 2.2,
            },
        ],
        "exposure": {
            "task": "next_item",
            "items": 60_000,
            "shown": 9_012,
            "gini": 0.874,
            "tail_items": 51_234,
            "tail_share": 0.123,
            "tail_share_of_sessions": 0.2,
        },
    },
    "quality": {
        "ds": "2018-01-01",
        "overridden": False,
        "expectations": [
            {
                "table": "sessions",
                "name": "drift_amount",
                "meaning": "population stability index: money of an event",
                "value": 0.1234,
                "lower": None,
                "upper": 0.1,
                "passed": False,
                "severity": "warn",
                "rows": 24_886,
            },
            {
                "table": "ingested_files",
                "name": "records_against_week",
                "meaning": "records that arrived on the night's day, by those of an arrival date of the week before",
                "value": 0.1305,
                "lower": 0.1,
                "upper": 5.0,
                "passed": True,
                "severity": "warn",
                "rows": 28,
            },
            {
                "table": "items",
                "name": "item_index_least",
                "meaning": "smallest index; below 3 are those of padding, unknown and mask",
                "value": None,
                "lower": 3.0,
                "upper": None,
                "passed": None,
                "severity": "stop",
                "rows": 0,
            },
        ],
    },
    "seconds": {
        "land": 12.4,
        "ingest": 61.2,
        "sessionize": 24.3,
        "sequence": 18.8,
        "examples": 22.1,
        "baselines": 14.0,
        "train gru": 93.4,
        "train sasrec": 140.8,
        "register": 17.3,
        "promote": 8.1,
        "nights": 146.4,
        "report": 3.2,
    },
}
