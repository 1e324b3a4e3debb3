"""The page in a real browser, and the job in a process of its own that knows nothing of Spark."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.serving.served import NIGHT, Served, behaviours, exported, publish, publish_told
from tests.serving.test_labelled_served import NUMBERS, exported_labelled, numbers_of
from tools import devtools

pytestmark = pytest.mark.long  # processes and a browser

ROOT = Path(__file__).parents[2]
# The job in a process in which to import Spark is an error.
WITHOUT_SPARK = """
import sys, runpy

sys.modules.update(pyspark=None, delta=None)
runpy.run_path("jobs/serve.py", run_name="__main__")
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    shop = Served(tmp_path_factory.mktemp("served page"))
    shop.crown(shop.register(exported(shop.folder, "frequency_decay")))
    publish(shop.folder / "published", NIGHT, behaviours(12, seed=8))
    return shop


@pytest.fixture(scope="module")
def url(shop):
    with served(shop) as (url, _):
        yield url


@contextmanager
def served(shop, *overrides):
    """The job in a process of its own, ready."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = [*shop.arguments, f"serve.port={port}"]
    log = shop.folder / f"serve-{port}.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", WITHOUT_SPARK, *arguments, *overrides],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=out,
            stderr=out,
        )
        try:
            last = time.monotonic() + 240
            while status(f"http://127.0.0.1:{port}/ready") != 200:
                assert process.poll() is None and time.monotonic() < last, log.read_text()
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}", process
        finally:
            process.kill()
            process.wait(30)


def status(url):
    try:
        return urlopen(url, timeout=10).status
    except HTTPError as error:
        return error.code
    except OSError:
        return None


def predict(url, **question):
    body, headers = json.dumps(question).encode(), {"content-type": "application/json"}
    with urlopen(Request(f"{url}/v1/predictions", body, headers), timeout=30) as response:
        return json.load(response)


def test_a_stop_answers_what_was_asked_and_ends_well(shop):
    with served(shop) as (url, process):
        found, begun = [], threading.Event()

        def go_on():
            try:
                while True:
                    found.append(predict(url)["predictions"][0]["items"][0])
                    begun.set()
            except OSError as error:
                found.append(error)

        thread = threading.Thread(target=go_on)
        thread.start()
        assert begun.wait(60)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) in (0, -signal.SIGTERM)  # uvicorn raises the signal again when it is done
        thread.join(60)
    *answers, last = found
    assert answers and isinstance(last, OSError)


@pytest.mark.skipif(devtools.FOUND is None, reason="needs Chromium")
def test_the_page_shows_a_user_explains_a_prediction_and_follows_an_event(url):
    with devtools.page(url) as page:
        page.until("document.body?.dataset.ready")
        assert "next_item by frequency_decay" in page.run("document.getElementById('about').innerText")
        assert page.run("document.getElementById('entity').value") == "user-00000"
        assert page.run("document.querySelectorAll('#predictions li').length") == 10
        assert page.run("document.querySelectorAll('#timeline .event').length") > 0
        # An item that was bought is explained by its purchases: leaving one out lowers its score.
        assert page.run("document.querySelectorAll('.effect:not(.less) i').length") > 0
        # An item that was never bought comes up by one purchase of today, and the explanation says why.
        names = "[...document.querySelectorAll('#predictions .name')].map((each) => each.textContent)"
        before = page.run(names)
        assert "article 171" not in before
        page.run(
            "document.getElementById('item').value = 'article 171'; document.getElementById('add').requestSubmit()"
        )
        page.until("document.querySelectorAll('#timeline .added').length == 1")
        after = page.run(names)
        place = after.index("article 171") + 1
        row = f"document.querySelector('#predictions li:nth-child({place})')"
        assert page.run(f"{row}.querySelector('.move').textContent") == "new"
        assert page.run("document.querySelector('#predictions .chosen .name').textContent") == before[0]
        page.run(f"{row}.click()")
        page.until("document.querySelector('#predictions .chosen .name').textContent == 'article 171'")
        assert float(page.run("document.querySelector('#timeline .added .effect span').textContent")) > 0.5
        page.run("document.querySelector('#timeline .added button').click()")
        page.until("document.querySelectorAll('#timeline .added').length == 0")
        assert page.run(names) == before
        page.run(
            "document.getElementById('item').value = 'x'.repeat(300); document.getElementById('add').requestSubmit()"
        )
        page.until("!document.getElementById('problem').hidden")
        assert "256 characters" in page.run("document.getElementById('problem').textContent")
        assert all("422" in complaint for complaint in page.complaints), page.complaints


@pytest.mark.skipif(devtools.FOUND is None, reason="needs Chromium")
def test_the_page_shows_a_task_with_labels_by_its_value_and_what_moves_it(shop):
    """As conf/task/churn.yaml has it, whose champion reads events of the type purchase."""
    version = shop.register(exported_labelled(shop.folder, "churn"), "churn", NUMBERS)
    shop.crown(version)
    publish_told(shop.folder / "published", NIGHT, version, numbers_of(behaviours(12, seed=8), 6))
    with served(shop, "serve.tasks=[next_item,churn]") as (url, _), devtools.page(url) as page:
        page.until("document.body?.dataset.ready")
        assert page.run("document.querySelectorAll('#predictions li').length") == 10
        page.run(
            "document.getElementById('task').value = 'churn';"
            "document.getElementById('task').dispatchEvent(new Event('change'))"
        )
        page.until("document.querySelectorAll('#predictions li').length == 1")
        value = "document.querySelector('#predictions .score').textContent"
        assert page.run("document.querySelector('#predictions .name').textContent") == "churn"
        assert f"with features of {NIGHT}" in page.run("document.getElementById('about').innerText")
        assert page.run("document.querySelectorAll('#timeline .effect i').length") > 0
        before = page.run(value)
        assert 0 < float(before) < 1
        page.run(
            "document.getElementById('type').value = 'purchase';"
            "document.getElementById('item').value = 'bread'; document.getElementById('add').requestSubmit()"
        )
        page.until("document.querySelectorAll('#timeline .added').length == 1")
        assert page.run("document.querySelectorAll('#predictions .plus').length") == 0
        changed = "document.querySelector('#timeline .added .effect span')?.textContent"
        page.until(f"{changed} !== undefined")
        assert page.run(changed) != "0", "the purchase of today moves the answer"
        assert not page.complaints, page.complaints


@pytest.mark.skipif(devtools.FOUND is None, reason="needs Chromium")
def test_the_page_asks_for_the_key(shop):
    keys = shop.folder / "keys"
    keys.write_text("a-key-of-the-shop\n")
    with served(shop, f"serve.key_file='{keys}'") as (url, _), devtools.page(url) as page:
        page.until("document.getElementById('unlock')?.hidden === false")
        assert not page.run("document.querySelectorAll('#predictions li').length")
        page.run(
            "document.getElementById('key').value = 'a-key-of-the-shop'; document.getElementById('unlock').requestSubmit()"
        )
        page.until("document.querySelectorAll('#predictions li').length == 10")
        assert page.run("document.getElementById('unlock').hidden")
