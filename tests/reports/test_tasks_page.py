"""The page about tasks: the table of the report, as a page of its own."""

import json

from reports.tasks import of_folder
from reports.tasks_page import render
from tests.reports.sample_facts import FACTS
from tests.reports.test_tasks_compared import CHURN


def test_a_page_has_each_task_beside_its_baseline_and_asks_for_nothing_from_elsewhere():
    page = render(FACTS["tasks"])
    assert "churn" in page and "0.885" in page and "not told apart from its baseline by MAE" in page
    assert "http" not in page.replace("http://www.w3.org", "")
    assert "not run" in render([])


def test_tasks_are_those_of_the_files_that_judges_left(tmp_path):
    (tmp_path / "churn.json").write_text(json.dumps(CHURN))
    (tmp_path / "summary.json").write_text("{}")
    (told,) = of_folder(tmp_path)
    assert (told["task"], told["users"], told["behind"]) == ("churn", 7, [])
    assert [row["metric"] for row in told["rows"]] == ["log_loss"]
