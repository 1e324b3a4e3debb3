"""Micro-batches: what waits is answered together, what is too much is refused, and a bad question costs no other."""

import asyncio
import threading

import pytest

from serving.batcher import Batcher, Overloaded, Stopped


class Slow:
    """Answers with the square, once the gate is open; keeps what it was asked at a time."""

    def __init__(self):
        self.gate, self.asked, self.began = threading.Event(), [], threading.Event()

    def __call__(self, model, questions):
        self.asked.append((model, list(questions)))
        self.began.set()
        assert self.gate.wait(10)
        if "bad" in questions:
            raise ValueError("no number")
        return [each**2 for each in questions]


@pytest.fixture
def slow():
    return Slow()


def run(slow, body, largest=4, longest=6):
    async def main():
        batcher = Batcher(slow, largest, longest)
        try:
            return await asyncio.wait_for(body(batcher), 20)
        finally:
            slow.gate.set()
            batcher.stop()

    return asyncio.run(main())


def tasks(batcher, questions, model="m", seconds=10):
    return [asyncio.ensure_future(batcher.ask(model, each, seconds)) for each in questions]


async def at_work(slow):
    assert await asyncio.to_thread(slow.began.wait, 10)


def test_what_is_asked_meanwhile_is_the_next_batch(slow):
    async def body(batcher):
        first = tasks(batcher, [1])
        await at_work(slow)
        others = tasks(batcher, [2, 3, 4, 5, 6])
        await asyncio.sleep(0.05)
        slow.gate.set()
        return await asyncio.gather(*first, *others)

    assert run(slow, body) == [1, 4, 9, 16, 25, 36]
    assert slow.asked == [("m", [1]), ("m", [2, 3, 4, 5]), ("m", [6])]


def test_questions_of_different_models_are_not_mixed_and_keep_their_order(slow):
    async def body(batcher):
        first = tasks(batcher, [1])
        await at_work(slow)
        others = tasks(batcher, [2], "a") + tasks(batcher, [3], "b") + tasks(batcher, [4], "a")
        await asyncio.sleep(0.05)
        slow.gate.set()
        return await asyncio.gather(*first, *others)

    assert run(slow, body) == [1, 4, 9, 16]
    assert slow.asked[1:] == [("a", [2, 4]), ("b", [3])]


def test_one_more_than_may_wait_is_refused_at_once(slow):
    async def body(batcher):
        held = tasks(batcher, [1])
        await at_work(slow)
        held += tasks(batcher, range(6))
        await asyncio.sleep(0.05)
        with pytest.raises(Overloaded, match="6 questions are waiting"):
            await batcher.ask("m", 7, 10)
        slow.gate.set()
        return await asyncio.gather(*held)

    assert len(run(slow, body)) == 7


def test_a_question_that_cannot_be_answered_costs_no_other(slow):
    async def body(batcher):
        first = tasks(batcher, [1])
        await at_work(slow)
        others = tasks(batcher, [2, "bad", 3])
        await asyncio.sleep(0.05)
        slow.gate.set()
        return await asyncio.gather(*first, *others, return_exceptions=True)

    one, two, bad, three = run(slow, body)
    assert (one, two, three) == (1, 4, 9) and isinstance(bad, ValueError)


def test_nobody_is_answered_who_does_not_wait_any_more(slow):
    async def body(batcher):
        first = tasks(batcher, [1])
        await at_work(slow)
        gone, late = tasks(batcher, [2]), tasks(batcher, [3], seconds=0)
        kept = tasks(batcher, [4])
        await asyncio.sleep(0.05)
        gone[0].cancel()
        slow.gate.set()
        await asyncio.gather(*first, *kept)
        late[0].cancel()

    run(slow, body)
    assert slow.asked == [("m", [1]), ("m", [4])]


def test_at_the_end_what_waits_is_answered_and_nothing_more_is_taken(slow):
    async def body(batcher):
        held = tasks(batcher, [1, 2, 3])
        await at_work(slow)
        stopping = asyncio.ensure_future(asyncio.to_thread(batcher.stop))
        await asyncio.sleep(0.05)
        with pytest.raises(Stopped):
            await batcher.ask("m", 4, 10)
        slow.gate.set()
        await stopping
        return await asyncio.gather(*held)

    assert run(slow, body) == [1, 4, 9]
