from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import NOW
from webhook_receiver import Backoff, Delivery, GiveUp, Retry, Unconfirmed
from webhook_receiver.inbox.records import Claim, HandlerState, State
from webhook_receiver.worker.progress import DeliveryProgress, ProcessEnded

DELIVERY = Delivery("d-1", "webhooks", (), b"{}", NOW, None, False)
TWICE = Backoff(first=0, longest=0, attempts=2)


@dataclass(frozen=True)
class Named:
    name: str
    backoff: Backoff | None = None
    timeout: float | None = None


A, B, FIRST = Named("a"), Named("b"), Named("first")


def claimed(
    state: State = State.WAITING, *, crashes: int = 0, reason: str | None = None, **handlers: HandlerState
) -> Claim:
    return Claim(DELIVERY, state, handlers, crashes, reason, "a lease")


def work(claim: Claim, *handlers: Named, backoff: Backoff = TWICE) -> DeliveryProgress:
    return DeliveryProgress(claim, handlers, backoff)


def test_a_handler_that_never_ran_has_to_run_and_its_first_run_is_number_one() -> None:
    todo = work(claimed(), A)
    assert todo.is_due(A, NOW)
    assert todo.begin(A) == 1


def test_a_handler_whose_time_has_not_come_or_that_is_finished_does_not_run() -> None:
    todo = work(
        claimed(
            a=HandlerState(due=NOW + 1), b=HandlerState(State.DONE), c=HandlerState(State.DEAD), d=HandlerState(due=NOW)
        ),
        A,
        B,
    )
    assert [todo.is_due(Named(name), NOW) for name in "abcd"] == [False, False, False, True]


def test_it_is_done_when_every_handler_that_wants_it_is() -> None:
    todo = work(claimed(b=HandlerState(State.DONE, 1, 1)), A, B)
    todo.begin(A)
    todo.done(A)
    outcome = todo.outcome(NOW)
    assert (outcome.state, outcome.due, outcome.reason, outcome.attempts) == (State.DONE, None, None, [])
    assert outcome.handlers == {"a": HandlerState(State.DONE, 1, 1), "b": HandlerState(State.DONE, 1, 1)}


def test_it_waits_for_the_first_of_the_handlers_that_wait() -> None:
    todo = work(claimed(a=HandlerState(due=NOW + 5), b=HandlerState(due=NOW + 3)), A, B)
    outcome = todo.outcome(NOW)
    assert (outcome.state, outcome.due, outcome.paused_by) == (State.WAITING, NOW + 3, None)


def test_it_is_held_by_whoever_is_paused_and_due_for_the_others() -> None:
    todo = work(claimed(a=HandlerState(due=NOW + 5), b=HandlerState(due=NOW + 3)), A, B)
    assert (todo.outcome(NOW).due, todo.outcome(NOW).paused_by) == (NOW + 3, None)
    assert (todo.outcome(NOW, {"b"}).due, todo.outcome(NOW, {"b"}).paused_by) == (NOW + 5, "b")
    assert (todo.outcome(NOW, {"a", "b"}).due, todo.outcome(NOW, {"a", "b"}).paused_by) == (None, "a")


def test_a_dead_handler_lets_the_others_finish_before_the_delivery_is_dead() -> None:
    todo = work(claimed(b=HandlerState(due=NOW + 3)), A, B)
    todo.begin(A)
    todo.failed(A, GiveUp("no such order"), NOW, NOW)
    assert todo.outcome(NOW).state is State.WAITING
    todo.done(B)
    outcome = todo.outcome(NOW, notify=True)
    assert (outcome.state, outcome.due, outcome.reason) == (State.DEAD, 0, "a: GiveUp: no such order")
    assert todo.outcome(NOW).due is None


def test_the_reason_names_a_handler_that_died_earlier() -> None:
    assert work(claimed(a=HandlerState(State.DEAD)), A).outcome(NOW).reason == "a: dead since an earlier attempt"


@pytest.mark.parametrize(
    ("handlers", "reason"),
    [({}, "no handler wants it"), ({"gone": HandlerState()}, "the handlers that wanted it are gone")],
)
def test_what_no_handler_of_today_wants_is_unhandled(handlers: dict[str, HandlerState], reason: str) -> None:
    outcome = work(Claim(DELIVERY, State.WAITING, handlers, 0, None, None)).outcome(NOW)
    assert (outcome.state, outcome.due, outcome.reason, outcome.handlers) == (State.UNHANDLED, None, reason, handlers)


def test_a_failure_is_kept_with_its_error_and_traceback() -> None:
    todo = work(claimed(), A)
    todo.begin(A)
    try:
        raise ValueError("the disk is full")
    except ValueError as error:
        todo.failed(A, error, NOW - 2, NOW)
    (attempt,) = todo.outcome(NOW).attempts
    assert attempt[:6] == ("a", 1, NOW - 2, 2, "retry", "ValueError: the disk is full")
    assert "in test_a_failure_is_kept" in attempt.traceback


@pytest.mark.parametrize("error", [Retry(5), GiveUp("no"), ProcessEnded("it ended")])
def test_what_is_no_failure_of_the_code_has_no_traceback(error: Exception) -> None:
    todo = work(claimed(), A)
    todo.begin(A)
    todo.failed(A, error, NOW, NOW)
    assert todo.attempts[0].traceback == ""


def test_a_long_traceback_is_kept_from_its_end() -> None:
    todo = work(claimed(), A)
    todo.begin(A)
    todo.failed(A, ValueError("x" * 10_000 + "the end"), NOW, NOW)
    assert len(todo.attempts[0].traceback) == 8192
    assert todo.attempts[0].traceback.endswith("the end\n")


def test_an_error_that_no_text_can_hold_or_that_cannot_be_told_is_kept_all_the_same() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise KeyError("no words")

    todo = work(claimed(), A, backoff=Backoff(attempts=9))
    for error in (FileNotFoundError("a\udcff.tif"), Mute()):
        todo.begin(A)
        todo.failed(A, error, NOW, NOW)
    assert [attempt.error for attempt in todo.attempts] == [
        "FileNotFoundError: a\\udcff.tif",
        "Mute: (it cannot say what it is: KeyError)",
    ]
    assert all(attempt.traceback.encode() for attempt in todo.attempts)


def test_a_retry_waits_as_long_as_the_handler_wants_but_counts() -> None:
    todo = work(claimed(), A)
    todo.begin(A)
    assert todo.failed(A, Retry(90), NOW, NOW) == HandlerState(State.WAITING, 1, 1, NOW + 90)
    todo.begin(A)
    assert todo.failed(A, Retry(90), NOW, NOW) == HandlerState(State.DEAD, 2, 2, 0)


def test_a_handlers_own_backoff_goes_before_the_workers() -> None:
    once = Named("a", Backoff(attempts=1))
    todo = work(claimed(), once)
    todo.begin(once)
    assert todo.failed(once, ValueError(), NOW, NOW).state is State.DEAD


def test_attempts_before_a_replay_have_numbers_but_do_not_count() -> None:
    todo = work(claimed(a=HandlerState(attempts=7)), A)
    assert todo.begin(A) == 8
    assert todo.failed(A, ValueError(), NOW, NOW) == HandlerState(State.WAITING, 8, 1, NOW)


def test_an_interrupted_run_never_was() -> None:
    before = HandlerState(attempts=1, since_replay=1)
    todo = work(claimed(crashes=1, a=before), A)
    todo.begin(A)
    assert todo.of(A) == HandlerState(attempts=2, since_replay=2, running=True)
    todo.undo(A)
    assert todo.of(A) == before
    assert todo.outcome(NOW).due == 0


def test_what_waits_can_be_delayed_and_what_waits_longer_or_is_finished_is_not() -> None:
    c, d = Named("c"), Named("d")
    todo = work(
        claimed(b=HandlerState(due=NOW + 9), c=HandlerState(State.DONE), d=HandlerState(State.DEAD)), A, B, c, d
    )
    todo.delay(NOW + 5)
    assert [todo.of(handler).due for handler in (A, B, c, d)] == [NOW + 5, NOW + 9, 0, 0]


def test_only_what_was_in_a_crash_is_noted_as_running() -> None:
    todo = work(claimed(), A)
    todo.begin(A)
    assert (todo.is_careful, todo.of(A).running) == (False, False)


def test_a_dead_delivery_stays_dead_with_its_reason_whatever_becomes_of_those_that_hear_of_it() -> None:
    todo = work(claimed(State.DEAD, reason="why", a=HandlerState(State.DEAD)), B, backoff=Backoff(5, 5, 2))
    assert (todo.outcome(NOW).state, todo.outcome(NOW).due, todo.outcome(NOW).reason) == (State.DEAD, 0, "why")
    todo.begin(B)
    due = todo.failed(B, ValueError(), NOW, NOW).due
    assert (todo.outcome(NOW).state, todo.outcome(NOW).due) == (State.DEAD, due)
    todo.begin(B)
    todo.failed(B, ValueError(), NOW, NOW)
    assert (todo.outcome(NOW).state, todo.outcome(NOW).due) == (State.DEAD, None)


def test_what_is_no_event_is_dead_at_once() -> None:
    outcome = work(claimed()).buried("not JSON", notify=True)
    assert (outcome.state, outcome.due, outcome.reason) == (State.DEAD, 0, "not JSON")
    assert work(claimed()).buried("not JSON", notify=False).due is None


@given(
    st.lists(st.sampled_from(["done", "fail", "retry", "give up", "interrupt", "pause"]), max_size=30),
    st.integers(1, 5),
)
def test_whatever_happens_a_handler_ends_after_its_attempts_and_the_delivery_says_so(
    events: list[str], attempts: int
) -> None:
    todo = work(claimed(), A, backoff=Backoff(3, 3, attempts))
    now = NOW
    for event in events:
        now = max(now, todo.of(A).due)
        if not todo.is_due(A, now):
            break
        if event == "pause":
            todo.postpone(A, now + 1)
            continue
        before = todo.of(A)
        assert todo.begin(A) == before.attempts + 1
        if event == "done":
            todo.done(A)
        elif event == "interrupt":
            todo.undo(A)
        else:
            todo.failed(A, {"fail": ValueError(), "retry": Retry(1), "give up": GiveUp("no")}[event], now, now)
    progress, outcome = todo.of(A), todo.outcome(now)
    assert outcome.state is progress.state
    assert progress.attempts == progress.since_replay <= attempts
    assert (outcome.due is not None) == (progress.state is State.WAITING)
    assert [attempt.number for attempt in todo.attempts] == [*range(1, len(todo.attempts) + 1)]
    assert len(todo.attempts) == progress.attempts - (progress.state is State.DONE)
    if progress.state is State.DEAD:
        assert "give up" in events or progress.attempts == attempts


def test_what_is_required_first_decides_alone_until_it_is_done() -> None:
    todo = work(claimed(a=HandlerState(due=NOW + 99)), A, B)
    todo.require(FIRST)
    assert todo.outcome(NOW).due == 0
    todo.begin(FIRST)
    todo.failed(FIRST, Unconfirmed("not yet"), NOW, NOW)
    outcome = todo.outcome(NOW)
    assert (outcome.state, outcome.paused_by) == (State.WAITING, None)
    assert outcome.due == todo.of(FIRST).due
    assert outcome.attempts[0].traceback == ""
    paused_by = todo.outcome(NOW, paused=["first"])
    assert (paused_by.due, paused_by.paused_by) == (None, "first")
    todo.begin(FIRST)
    todo.done(FIRST)
    assert (todo.outcome(NOW).state, todo.outcome(NOW).due) == (State.WAITING, 0)


def test_what_is_required_first_makes_it_dead_when_it_is() -> None:
    todo = work(claimed(), A)
    todo.require(FIRST)
    todo.begin(FIRST)
    todo.failed(FIRST, GiveUp("contradicted"), NOW, NOW)
    outcome = todo.outcome(NOW, notify=True)
    assert (outcome.state, outcome.due, outcome.reason) == (State.DEAD, 0, "first: GiveUp: contradicted")


def test_what_is_required_first_begins_anew_where_it_was_dead_and_the_delivery_was_replayed() -> None:
    todo = work(claimed(first=HandlerState(State.DEAD, 5, 5)), A)
    todo.require(FIRST)
    assert todo.of(FIRST) == HandlerState(State.WAITING, 5, 0)


def test_a_failing_inbox_delays_what_is_required_first_too() -> None:
    todo = work(claimed(), A)
    todo.require(FIRST)
    todo.delay(NOW + 5)
    assert todo.outcome(NOW).due == NOW + 5


def test_somebody_is_due_if_one_is_that_is_not_paused() -> None:
    todo = work(claimed(a=HandlerState(due=NOW + 1), b=HandlerState()), A, B)
    assert todo.is_any_due(NOW, [])
    assert not todo.is_any_due(NOW, ["b"])
    assert todo.is_any_due(NOW + 1, ["b"])
