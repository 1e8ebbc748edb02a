"""Running a handler: whatever it does, it ends in an outcome, and a failure is logged once."""

from __future__ import annotations

import asyncio
import logging

from .delivery import Delivery
from .errors import GiveUp, Retry
from .events import Event
from .handler import Handler

logger = logging.getLogger("webhook_receiver")

Outcome = BaseException | None
"""What became of an attempt: None when it is done, else what the handler raised."""


async def run(handler: Handler, event: Event, delivery: Delivery, number: int = 1) -> Outcome:
    """Run one handler for one delivery; `number` counts the attempts."""
    try:
        await handler.call(event, delivery, number)
    except Retry as outcome:
        logger.info("delivery %s: %s wants to %s", delivery.id, handler.name, outcome)
        return outcome
    except GiveUp as outcome:
        logger.warning("delivery %s: %s gave up: %s", delivery.id, handler.name, outcome)
        return outcome
    except (KeyboardInterrupt, GeneratorExit):
        raise  # the process ends, or this coroutine does
    except BaseException as outcome:
        # A server that stops cancels us. A cancellation of the handler's own making is a failure, as is sys.exit().
        if isinstance(outcome, asyncio.CancelledError) and _is_cancelled():
            raise
        logger.exception("delivery %s: %s failed", delivery.id, handler.name)
        return outcome
    return None


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
