"""Documentation says what the code does: generated pages are fresh, commands and keys exist, links lead somewhere."""

import importlib
import pkgutil
import re
import shlex
from pathlib import Path

import pytest

import features
from conf.load import load
from features.table import Table
from tests.reports.sample_facts import FACTS
from tools.benchmark_table import of_data
from tools.generate_docs import TABLES, Undocumented, comments_of, key_rows, pages
from tools.result_table import MARKS, README, apart, between_marks, judged, timed

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCED = re.compile(r"^```[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
VALUED = {
    "--py-files",
    "--driver-memory",
    "--executor-memory",
    "--master",
    "--deploy-mode",
    "--conf",
    "--jars",
}
RUN_JOB = ("spark-submit", "python")
OURS = re.compile(r"(make|spark-submit|python) (?!-c)\S")
VARIABLE = re.compile(r"^([A-Z]+)=\"([^\"]*)\"$", re.MULTILINE)


def commands(text: str) -> list[list[str]]:
    """The words of each command of ours that a page shows, in a block or within a sentence."""
    lines, values = [], dict[str, str]()
    for block in FENCED.findall(text):
        values |= VARIABLE.findall(block)
        lines += with_values(block, values).replace("\\\n", " ").splitlines()
    lines += INLINE.findall(FENCED.sub("", text))
    return [shlex.split(line, comments=True) for line in lines if OURS.match(line)]


def with_values(block: str, values: dict[str, str]) -> str:
    """A block with the variables that it or one before it sets in place of their names."""
    for name, value in values.items():
        block = block.replace(f"${name}", value)
    return block


def job_of(words: list[str]) -> tuple[str, list[str]]:
    """What is run, and its arguments, of a `spark-submit` or a `python` command."""
    rest = words[1:]
    while rest and rest[0].startswith("-"):
        if rest[0] == "-m":
            return rest[1].replace(".", "/") + ".py", rest[2:]
        rest = rest[2:] if rest[0] in VALUED else rest[1:]
    return rest[0], rest[1:]


SHOWN = [(page.name, words) for page in PAGES for words in commands(page.read_text())]
OF_MAKE = [(page, words) for page, words in SHOWN if words[0] == "make"]
OF_JOBS = [(page, words) for page, words in SHOWN if words[0] in RUN_JOB]


def name_of(shown: object) -> str:
    return " ".join(shown) if isinstance(shown, list) else str(shown)


@pytest.mark.parametrize("path", list(pages()), ids=lambda path: path.name)
def test_a_generated_page_is_what_the_code_declares(path):
    assert path.read_text() == pages()[path], f"{path.name} is stale: run `make docs`"


def test_every_table_of_the_lake_has_its_chapter():
    modules = [
        importlib.import_module(f"features.{found.name}") for found in pkgutil.iter_modules(features.__path__)
    ]
    declared = {
        value.name for module in modules for value in vars(module).values() if isinstance(value, Table)
    }
    assert declared
    assert declared <= {table.name for table in TABLES}


def test_the_meaning_of_a_key_is_the_comment_behind_it():
    assert (
        comments_of("Features")["session_gap_minutes"]
        == "a longer gap starts a new session; an equal one does not"
    )


def test_a_key_without_a_meaning_is_refused(monkeypatch):
    monkeypatch.setattr("tools.generate_docs.comments_of", lambda name: {})
    with pytest.raises(Undocumented, match=r"^features.session_gap_minutes has no meaning"):
        list(key_rows(type(load([]).features), "features."))


def test_the_pages_show_the_two_commands_and_every_step():
    shown = {name_of(words) for page, words in SHOWN if page == "README.md"}
    assert {"make demo", "make test"} <= shown
    steps = {job_of(words)[0] for _, words in OF_JOBS}
    assert {f"jobs/{step}.py" for step in ("nightly", "examples", "train", "promote", "score")} <= steps


@pytest.mark.parametrize(("page", "words"), OF_MAKE, ids=name_of)
def test_a_make_command_names_targets_that_exist(page, words):
    assert set(words[1:]) <= TARGETS


@pytest.mark.parametrize(("page", "words"), OF_JOBS, ids=name_of)
def test_a_job_command_names_a_file_and_keys_that_exist(page, words):
    job, arguments = job_of(words)
    assert (ROOT / job).is_file()
    if job.startswith("jobs/"):
        load(arguments)


def test_a_command_is_found_in_a_block_over_lines_and_in_a_sentence():
    text = (
        'Run `make ui`, or:\n```sh\nSHOP="source=plain"\nspark-submit --py-files a.whl \\\n'
        "    jobs/score.py $SHOP  # tonight\n```\n"
    )
    assert commands(text) == [
        ["spark-submit", "--py-files", "a.whl", "jobs/score.py", "source=plain"],
        ["make", "ui"],
    ]
    assert job_of(commands(text)[0]) == ("jobs/score.py", ["source=plain"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_project_lead_somewhere(page):
    links = [link for link in LINK.findall(page.read_text()) if "://" not in link]
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing


def test_the_result_table_has_a_row_a_model_and_the_best_of_each_metric_in_bold():
    lines = judged(FACTS).splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:7]] == [
        "`popularity`", "`frequency`", "`frequency_decay`", "`gru`", "`sasrec`",
    ]  # fmt: skip
    assert lines[4].count("**") == 8  # frequency_decay, in all four
    assert lines[6].split("|")[3:7:3] == [" 0.2210 ", " -0.0050 (-0.0140 to +0.0040) "]
    assert lines[8].startswith("Means over the 2,012 users with a next session in [2017-12-01, 2017-12-28)")


def test_the_best_encoder_stands_against_each_baseline_in_all_and_apart_by_whether_an_item_was_bought_before():
    (table,) = apart(FACTS)
    head, _, *lines = table.splitlines()
    assert head.split("|")[1:6:2] == [" `sasrec` less ", " recall@10 ", " recall@10, bought before "]
    assert [line.split("|")[1] for line in lines] == [
        " `popularity` ",
        " `frequency` ",
        " `frequency_decay` ",
    ]
    assert lines[2].split("|")[2] == " -0.0050 (-0.0090 to -0.0010) "
    assert not list(apart({"metrics": [{"question": "test", "models": [{"model": "gru", "values": {}}]}]}))


def test_the_time_is_told_step_by_step_and_in_all():
    seconds = {"seconds.land": 8.0, "seconds.night_2017-12-28": 40.2, "seconds.night_2017-12-29": 44.6}
    told = timed(FACTS, seconds)
    assert "the demo took 1 min 33 s: land 8 s, 2 nights 40 to 45 s each." in told


def test_results_go_between_the_marks_of_the_readme_and_nowhere_else():
    page = README.read_text()
    written = between_marks(page, "a table", MARKS)
    assert f"{MARKS[0]}\na table\n{MARKS[1]}" in written
    assert between_marks(written, "a table", MARKS) == written
    assert written.partition(MARKS[0])[0] == page.partition(MARKS[0])[0]
    assert written.partition(MARKS[1])[2] == page.partition(MARKS[1])[2]
    with pytest.raises(SystemExit, match=r"the page has no line"):
        between_marks("no marks", "a table", MARKS)


def test_results_of_seeds_become_one_row_a_model_the_best_last():
    def result(model: str, seed: int, value: float) -> dict:
        metrics = {f"{name}@{k}": value for name in ("hr", "ndcg") for k in (5, 10, 20)}
        cost = {
            "parameters": 1234567,
            "epoch_seconds": 10.0 * seed,
            "epochs": 9,
            "best_epoch": 7,
            "peak_gib": 2.0,
        }
        where = {"data": "Beauty.txt", "users": 22363, "items": 12101, "interactions": 198502}
        return {"model": model, "seed": seed, "test": metrics, **cost, **where}

    runs = [result("gru", 1, 0.05), result("bsarec", 1, 0.06), result("bsarec", 2, 0.0625)]
    head, _, *rows = [line for line in of_data("Beauty.txt", runs).splitlines() if line.startswith("|")]
    assert head.startswith("| model | seeds | HR@5 | NDCG@5")
    assert rows[0].startswith("| `gru` | 1 | .0500 |")
    assert rows[1].startswith("| `bsarec` | 2 | .0612 (.0600 to .0625) |")
    assert rows[1].endswith("| 1,234,567 | 15 | 7 of 9 | 2.0 |")
