"""Running a user's function: whatever it does, it ends in an outcome, and a failure is logged once."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable

from pydantic import ValidationError

from .errors import GiveUp, Retry, Unconfirmed
from .reasons import reason

logger = logging.getLogger("webhook_receiver")


async def run(start: Callable[[], Awaitable[object]], name: str, delivery: str) -> BaseException | None:
    """Run a handler, which `start` calls, for the delivery of this id; return what it raised, None if it is done."""
    try:
        await start()
    except Retry as raised:
        logger.info("delivery %s: %s wants to %s", delivery, name, raised)
        return raised
    except GiveUp as raised:
        logger.warning("delivery %s: %s gave up: %s", delivery, name, raised)
        return raised
    except Unconfirmed as raised:
        logger.warning("delivery %s: %s: not yet: %s", delivery, name, raised)
        return raised
    except (KeyboardInterrupt, GeneratorExit):
        raise  # the process ends, or this coroutine does
    except BaseException as raised:
        # Whoever stops us cancels us. A cancellation of the handler's own making is a failure, as is sys.exit().
        if isinstance(raised, asyncio.CancelledError) and _is_cancelled():
            raise
        log_failure(f"delivery {delivery}: {name} failed", raised)
        return raised
    return None


def log_failure(what: str, error: BaseException) -> None:
    """Log an error of the user's code with its traceback; pydantic's, which quotes the body, in our own words."""
    if isinstance(error, ValidationError):
        logger.error("%s: %s\n%s", what, summary(error), frames(error))
    else:
        logger.error("%s", what, exc_info=error)


def summary(error: BaseException) -> str:
    """Return the error in a line."""
    said = reason(error) if isinstance(error, ValidationError) else _said(error)
    return storable(f"{type(error).__name__}: {said}" if said else type(error).__name__)


def frames(error: BaseException) -> str:
    """Return where the error came from, and of any but pydantic's, which quotes the body, what it says."""
    if isinstance(error, ValidationError):
        return storable("".join(traceback.format_tb(error.__traceback__)))
    return storable("".join(traceback.format_exception(error)))


def storable(text: str) -> str:
    """Return a text with half characters spelt out, which no store takes: names of files may have some."""
    if type(text) is str and text.isascii():  # as nearly every one is
        return text
    return text.encode("utf-8", "backslashreplace").decode()


def _said(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as failure:
        return f"(it cannot say what it is: {type(failure).__name__})"


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
