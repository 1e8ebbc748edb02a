from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import NOW
from webhook_receiver import Backoff, Delivery, GiveUp, Retry, Unconfirmed
from webhook_receiver.inbox.records import Claim, HandlerState, State
from webhook_receiver.options import Limits
from webhook_receiver.worker.progress import DeliveryProgress, ProcessEnded

DELIVERY = Delivery("d-1", "webhooks", (), b"{}", NOW, None, False)
TWICE = Backoff(first=0, longest=0, attempts=2)


@dataclass(frozen=True)
class Named:
    name: str
    backoff: Backoff | None = None
    timeout: float | None = None
    limits: Limits | None = None


A, B, FIRST = Named("a"), Named("b"), Named("first")


def claimed(
    state: State = State.WAITING, *, crashes: int = 0, reason: str | None = None, **handlers: HandlerState
) -> Claim:
    return Claim(DELIVERY, state, handlers, crashes, reason, "a lease")


def progress_of(claim: Claim, *handlers: Named, backoff: Backoff = TWICE) -> DeliveryProgress:
    return DeliveryProgress(claim, handlers, backoff)


def test_a_handler_that_never_ran_has_to_run_and_its_first_run_is_number_one() -> None:
    progress = progress_of(claimed(), A)
    assert progress.is_due(A, NOW)
    assert progress.begin(A) == 1


def test_a_handler_whose_time_has_not_come_or_that_is_finished_does_not_run() -> None:
    progress = progress_of(
        claimed(
            a=HandlerState(due=NOW + 1), b=HandlerState(State.DONE), c=HandlerState(State.DEAD), d=HandlerState(due=NOW)
        ),
        A,
        B,
    )
    assert [progress.is_due(Named(name), NOW) for name in "abcd"] == [False, False, False, True]


def test_it_is_done_when_every_handler_that_wants_it_is() -> None:
    progress = progress_of(claimed(b=HandlerState(State.DONE, 1, 1)), A, B)
    progress.begin(A)
    progress.done(A)
    settlement = progress.settlement(NOW)
    assert (settlement.state, settlement.due, settlement.reason, settlement.attempts) == (State.DONE, None, None, [])
    assert settlement.handlers == {"a": HandlerState(State.DONE, 1, 1), "b": HandlerState(State.DONE, 1, 1)}


def test_it_waits_for_the_first_of_the_handlers_that_wait() -> None:
    progress = progress_of(claimed(a=HandlerState(due=NOW + 5), b=HandlerState(due=NOW + 3)), A, B)
    settlement = progress.settlement(NOW)
    assert (settlement.state, settlement.due, settlement.paused_by) == (State.WAITING, NOW + 3, None)


def test_it_is_held_by_whoever_is_paused_and_due_for_the_others() -> None:
    progress = progress_of(claimed(a=HandlerState(due=NOW + 5), b=HandlerState(due=NOW + 3)), A, B)
    assert (progress.settlement(NOW).due, progress.settlement(NOW).paused_by) == (NOW + 3, None)
    assert (progress.settlement(NOW, {"b"}).due, progress.settlement(NOW, {"b"}).paused_by) == (NOW + 5, "b")
    assert (progress.settlement(NOW, {"a", "b"}).due, progress.settlement(NOW, {"a", "b"}).paused_by) == (None, "a")


def test_a_dead_one_is_held_by_a_dead_letter_handler_that_is_paused_and_due_for_the_others() -> None:
    progress = progress_of(claimed(State.DEAD, reason="no", b=HandlerState(due=NOW + 3)), A, B)
    found = [progress.settlement(NOW, paused) for paused in ((), {"a"}, {"b"}, {"a", "b"})]
    assert [(each.due, each.paused_by) for each in found] == [(0, None), (NOW + 3, "a"), (0, "b"), (None, "a")]
    progress.done(A)
    assert {(each.state, each.reason) for each in (*found, progress.settlement(NOW))} == {(State.DEAD, "no")}
    assert progress.settlement(NOW, {"a"}).paused_by is None


def test_a_dead_handler_lets_the_others_finish_before_the_delivery_is_dead() -> None:
    progress = progress_of(claimed(b=HandlerState(due=NOW + 3)), A, B)
    progress.begin(A)
    progress.failed(A, GiveUp("no such order"), NOW, NOW)
    assert progress.settlement(NOW).state is State.WAITING
    progress.done(B)
    settlement = progress.settlement(NOW, notify=True)
    assert (settlement.state, settlement.due, settlement.reason) == (State.DEAD, 0, "a: GiveUp: no such order")
    assert progress.settlement(NOW).due is None


def test_the_reason_names_a_handler_that_died_earlier() -> None:
    assert (
        progress_of(claimed(a=HandlerState(State.DEAD)), A).settlement(NOW).reason == "a: dead since an earlier attempt"
    )


@pytest.mark.parametrize(
    ("handlers", "reason"),
    [({}, "no handler wants it"), ({"gone": HandlerState()}, "the handlers that wanted it are gone")],
)
def test_what_no_handler_of_today_wants_is_unhandled(handlers: dict[str, HandlerState], reason: str) -> None:
    settlement = progress_of(Claim(DELIVERY, State.WAITING, handlers, 0, None, None)).settlement(NOW)
    assert (settlement.state, settlement.due, settlement.reason, settlement.handlers) == (
        State.UNHANDLED,
        None,
        reason,
        handlers,
    )


def test_a_failure_is_kept_with_its_error_and_traceback() -> None:
    progress = progress_of(claimed(), A)
    progress.begin(A)
    try:
        raise ValueError("the disk is full")
    except ValueError as error:
        progress.failed(A, error, NOW - 2, NOW)
    (attempt,) = progress.settlement(NOW).attempts
    assert attempt[:6] == ("a", 1, NOW - 2, 2, "retry", "ValueError: the disk is full")
    assert "in test_a_failure_is_kept" in attempt.traceback


@pytest.mark.parametrize("error", [Retry(5), GiveUp("no"), ProcessEnded("it ended")])
def test_what_is_no_failure_of_the_code_has_no_traceback(error: Exception) -> None:
    progress = progress_of(claimed(), A)
    progress.begin(A)
    progress.failed(A, error, NOW, NOW)
    assert progress.attempts[0].traceback == ""


def test_a_long_traceback_is_kept_from_its_end() -> None:
    progress = progress_of(claimed(), A)
    progress.begin(A)
    progress.failed(A, ValueError("x" * 10_000 + "the end"), NOW, NOW)
    assert len(progress.attempts[0].traceback) == 8192
    assert progress.attempts[0].traceback.endswith("the end\n")


def test_an_error_that_no_text_can_hold_or_that_cannot_be_told_is_kept_all_the_same() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise KeyError("no words")

    progress = progress_of(claimed(), A, backoff=Backoff(attempts=9))
    for error in (FileNotFoundError("a\udcff.tif"), Mute()):
        progress.begin(A)
        progress.failed(A, error, NOW, NOW)
    assert [attempt.error for attempt in progress.attempts] == [
        "FileNotFoundError: a\\udcff.tif",
        "Mute: (it cannot say what it is: KeyError)",
    ]
    assert all(attempt.traceback.encode() for attempt in progress.attempts)


def test_a_retry_waits_as_long_as_the_handler_wants_but_counts() -> None:
    progress = progress_of(claimed(), A)
    progress.begin(A)
    assert progress.failed(A, Retry(90), NOW, NOW) == HandlerState(State.WAITING, 1, 1, NOW + 90, False, NOW + 90)
    progress.begin(A)
    assert progress.failed(A, Retry(90), NOW, NOW) == HandlerState(State.DEAD, 2, 2, 0)


def test_a_handlers_own_backoff_goes_before_the_workers() -> None:
    once = Named("a", Backoff(attempts=1))
    progress = progress_of(claimed(), once)
    progress.begin(once)
    assert progress.failed(once, ValueError(), NOW, NOW).state is State.DEAD


def test_attempts_before_a_replay_have_numbers_but_do_not_count() -> None:
    progress = progress_of(claimed(a=HandlerState(attempts=7)), A)
    assert progress.begin(A) == 8
    assert progress.failed(A, ValueError(), NOW, NOW) == HandlerState(State.WAITING, 8, 1, NOW, False, NOW)


def test_a_handler_that_fails_is_expected_to_be_dead_when_its_attempts_are_used_up() -> None:
    backoff = Backoff(first=100, longest=400, attempts=6)  # the waits are 100, 200, 400, 400, 400 at most
    progress = progress_of(claimed(), A, backoff=backoff)
    for rest in (700, 600, 400, 200, 0):
        progress.begin(A)
        state = progress.failed(A, ValueError(), NOW, NOW)
        assert state.expected_dead == state.due + rest
    progress.begin(A)
    assert progress.of(A).expected_dead == state.expected_dead
    assert progress.failed(A, ValueError(), NOW, NOW) == HandlerState(State.DEAD, 6, 6)


def test_a_handler_that_retries_by_itself_is_expected_to_go_on_so() -> None:
    progress = progress_of(claimed(), A, backoff=Backoff(attempts=34))
    progress.begin(A)
    assert progress.failed(A, Retry(60), NOW, NOW).expected_dead == NOW + 33 * 60


def test_a_handler_that_goes_on_for_ever_is_not_expected_to_be_dead() -> None:
    progress = progress_of(claimed(), A, backoff=Backoff(attempts=10**10))
    progress.begin(A)
    progress.failed(A, Retry(after=1e300), NOW, NOW)
    assert progress.of(A).expected_dead is None


def test_a_handler_that_is_done_or_gives_up_is_not_expected_to_be_dead() -> None:
    before = HandlerState(State.WAITING, 1, 1, NOW, False, NOW + 9)
    progress = progress_of(claimed(a=before, b=before), A, B)
    progress.begin(A)
    progress.done(A)
    progress.begin(B)
    progress.failed(B, GiveUp("no"), NOW, NOW)
    assert (progress.of(A).expected_dead, progress.of(B).expected_dead) == (None, None)


def test_a_handler_that_is_postponed_is_dead_no_earlier_than_it_runs() -> None:
    progress = progress_of(claimed(a=HandlerState(State.WAITING, 1, 1, NOW, False, NOW + 9)), A)
    progress.postpone(A, NOW + 5)
    assert progress.of(A).expected_dead == NOW + 9
    progress.postpone(A, NOW + 30)
    assert progress.of(A).expected_dead == NOW + 30


def test_an_interrupted_run_never_was() -> None:
    before = HandlerState(attempts=1, since_replay=1)
    progress = progress_of(claimed(crashes=1, a=before), A)
    progress.begin(A)
    assert progress.of(A) == HandlerState(attempts=2, since_replay=2, running=True)
    progress.undo(A)
    assert progress.of(A) == before
    assert progress.settlement(NOW).due == 0


def test_what_waits_can_be_delayed_and_what_waits_longer_or_is_finished_is_not() -> None:
    c, d = Named("c"), Named("d")
    progress = progress_of(
        claimed(b=HandlerState(due=NOW + 9), c=HandlerState(State.DONE), d=HandlerState(State.DEAD)), A, B, c, d
    )
    progress.delay(NOW + 5)
    assert [progress.of(handler).due for handler in (A, B, c, d)] == [NOW + 5, NOW + 9, 0, 0]


def test_only_what_was_in_a_crash_is_noted_as_running() -> None:
    progress = progress_of(claimed(), A)
    progress.begin(A)
    assert (progress.is_careful, progress.of(A).running) == (False, False)


def test_a_dead_delivery_stays_dead_with_its_reason_whatever_becomes_of_those_that_hear_of_it() -> None:
    progress = progress_of(claimed(State.DEAD, reason="why", a=HandlerState(State.DEAD)), B, backoff=Backoff(5, 5, 2))
    assert (progress.settlement(NOW).state, progress.settlement(NOW).due, progress.settlement(NOW).reason) == (
        State.DEAD,
        0,
        "why",
    )
    progress.begin(B)
    due = progress.failed(B, ValueError(), NOW, NOW).due
    assert (progress.settlement(NOW).state, progress.settlement(NOW).due) == (State.DEAD, due)
    progress.begin(B)
    progress.failed(B, ValueError(), NOW, NOW)
    assert (progress.settlement(NOW).state, progress.settlement(NOW).due) == (State.DEAD, None)


def test_what_is_no_event_is_dead_at_once() -> None:
    settlement = progress_of(claimed()).buried("not JSON", notify=True)
    assert (settlement.state, settlement.due, settlement.reason) == (State.DEAD, 0, "not JSON")
    assert progress_of(claimed()).buried("not JSON", notify=False).due is None


@given(
    st.lists(st.sampled_from(["done", "fail", "retry", "give up", "interrupt", "pause"]), max_size=30),
    st.integers(1, 5),
)
def test_whatever_happens_a_handler_ends_after_its_attempts_and_the_delivery_says_so(
    events: list[str], attempts: int
) -> None:
    progress = progress_of(claimed(), A, backoff=Backoff(3, 3, attempts))
    now = NOW
    for event in events:
        now = max(now, progress.of(A).due)
        if not progress.is_due(A, now):
            break
        if event == "pause":
            progress.postpone(A, now + 1)
            continue
        before = progress.of(A)
        assert progress.begin(A) == before.attempts + 1
        if event == "done":
            progress.done(A)
        elif event == "interrupt":
            progress.undo(A)
        else:
            progress.failed(A, {"fail": ValueError(), "retry": Retry(1), "give up": GiveUp("no")}[event], now, now)
    state, settlement = progress.of(A), progress.settlement(now)
    assert settlement.state is state.state
    assert state.attempts == state.since_replay <= attempts
    assert (settlement.due is not None) == (state.state is State.WAITING)
    assert [attempt.number for attempt in progress.attempts] == [*range(1, len(progress.attempts) + 1)]
    assert len(progress.attempts) == state.attempts - (state.state is State.DONE)
    if state.state is State.DEAD:
        assert "give up" in events or state.attempts == attempts


def test_what_is_required_first_decides_alone_until_it_is_done() -> None:
    progress = progress_of(claimed(a=HandlerState(due=NOW + 99)), A, B)
    progress.require(FIRST)
    assert progress.settlement(NOW).due == 0
    progress.begin(FIRST)
    progress.failed(FIRST, Unconfirmed("not yet"), NOW, NOW)
    settlement = progress.settlement(NOW)
    assert (settlement.state, settlement.paused_by) == (State.WAITING, None)
    assert settlement.due == progress.of(FIRST).due
    assert settlement.attempts[0].traceback == ""
    paused_by = progress.settlement(NOW, paused=["first"])
    assert (paused_by.due, paused_by.paused_by) == (None, "first")
    progress.begin(FIRST)
    progress.done(FIRST)
    assert (progress.settlement(NOW).state, progress.settlement(NOW).due) == (State.WAITING, 0)


def test_what_is_required_first_makes_it_dead_when_it_is() -> None:
    progress = progress_of(claimed(), A)
    progress.require(FIRST)
    progress.begin(FIRST)
    progress.failed(FIRST, GiveUp("contradicted"), NOW, NOW)
    settlement = progress.settlement(NOW, notify=True)
    assert (settlement.state, settlement.due, settlement.reason) == (State.DEAD, 0, "first: GiveUp: contradicted")


def test_what_is_required_first_begins_anew_where_it_was_dead_and_the_delivery_was_replayed() -> None:
    progress = progress_of(claimed(first=HandlerState(State.DEAD, 5, 5)), A)
    progress.require(FIRST)
    assert progress.of(FIRST) == HandlerState(State.WAITING, 5, 0)


def test_a_failing_inbox_delays_what_is_required_first_too() -> None:
    progress = progress_of(claimed(), A)
    progress.require(FIRST)
    progress.delay(NOW + 5)
    assert progress.settlement(NOW).due == NOW + 5


def test_somebody_is_due_if_one_is_that_is_not_paused() -> None:
    progress = progress_of(claimed(a=HandlerState(due=NOW + 1), b=HandlerState()), A, B)
    assert progress.is_any_due(NOW, [])
    assert not progress.is_any_due(NOW, ["b"])
    assert progress.is_any_due(NOW + 1, ["b"])


def test_the_state_that_an_earlier_version_kept_for_a_script_is_that_of_its_handler() -> None:
    stored = {
        "__main__:f": HandlerState(State.DONE, 2, 2),
        "on_dead __main__:f": HandlerState(State.WAITING, 1, 1),
        "__main__:both": HandlerState(State.DONE),
        "__main__:own": HandlerState(State.DONE),
        "app:own": HandlerState(State.WAITING, 3, 3),
    }
    names = ("app:f", "on_dead app:f", "app:both", "mail:both", "app:own", "app:g", "f")
    f, dead, both, other, own, never, custom = (Named(name) for name in names)
    progress = progress_of(claimed()._replace(handlers=stored), f, dead, both, other, own, never, custom)
    assert progress.of(f) == stored["__main__:f"]
    assert progress.of(dead) == stored["on_dead __main__:f"]
    assert progress.of(own) == stored["app:own"]
    assert all(progress.of(each) == HandlerState() for each in (both, other, never, custom))
    assert progress.begin(dead) == 2
    assert progress.states["on_dead __main__:f"].attempts == 2
    assert "on_dead app:f" not in progress.states
