"""Running a handler: whatever it does, it ends in an outcome, and a failure is logged once."""

from __future__ import annotations

import asyncio
import logging
import traceback

from pydantic import ValidationError

from .delivery import Delivery
from .errors import GiveUp, Retry
from .events import Event
from .handler import Handler
from .reasons import reason

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
        log_failure(f"delivery {delivery.id}: {handler.name} failed", outcome)
        return outcome
    return None


def log_failure(what: str, error: BaseException) -> None:
    """Log an error of the user's code with its traceback; pydantic's, which quotes the body, in our own words."""
    if isinstance(error, ValidationError):
        frames = "".join(traceback.format_tb(error.__traceback__))
        logger.error("%s: %s: %s\n%s", what, type(error).__name__, reason(error), frames)
    else:
        logger.error("%s", what, exc_info=error)


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
