"""Testing your handlers: with your secret and your rules, but no server, no file and no wait.

In this folder, with the package and `[standard]` in `../.venv` (see the README): add pytest and run it. `-c /dev/null`
leaves out the settings of this repository, which ask for more plugins:

    ../.venv/bin/pip install pytest
    ../.venv/bin/pytest -c /dev/null --rootdir . tour_12_test_handlers.py

Expect five tests to pass. The fixture `webhooks` comes with the package; it rehearses the receiver that
`webhook_receiver_under_test` returns. The async test is run by anyio's plugin, which comes with anyio.
"""

import pytest

from webhook_receiver import Attempt, OrderFulfilled, WebhookReceiver
from webhook_receiver.testing import Rehearsal, make

# What you test is your own module; here it is.
hooks = WebhookReceiver(secret="try-me", inbox="sqlite:///hooks.db")
archive: list[str | None] = []


@hooks.on(OrderFulfilled)
def download(order: OrderFulfilled, attempt: Attempt) -> None:
    if order.order_id == "o-late" and attempt.number < 3:
        raise TimeoutError("the images are not there yet")
    archive.append(order.order_id)


@pytest.fixture
def webhook_receiver_under_test() -> WebhookReceiver:
    archive.clear()
    return hooks


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_a_fulfilled_order_is_downloaded(webhooks: Rehearsal) -> None:
    webhooks.sync.send(make(OrderFulfilled, order_id="o-7"))
    webhooks.sync.drain()
    assert archive == ["o-7"]


def test_a_download_that_fails_is_tried_again(webhooks: Rehearsal) -> None:
    webhooks.sync.send(make(OrderFulfilled, order_id="o-late"))
    webhooks.sync.drain()
    assert [run.attempt for run in webhooks.runs_of(download)] == [1, 2, 3]
    webhooks.assert_handled(download)


def test_a_stranger_is_rejected(webhooks: Rehearsal) -> None:
    assert webhooks.sync.send_forged(make(OrderFulfilled)).response.status == 401


def test_what_the_sender_sends_twice_is_handled_once(webhooks: Rehearsal) -> None:
    webhooks.sync.send_twice(make(OrderFulfilled))
    webhooks.sync.drain()
    webhooks.assert_handled(download, times=1)


@pytest.mark.anyio
async def test_an_async_test_awaits_the_same(webhooks: Rehearsal) -> None:
    await webhooks.send(make(OrderFulfilled, order_id="o-7"))
    await webhooks.crash()  # committed, not handled: the next process does it
    await webhooks.drain()
    assert archive == ["o-7"]
