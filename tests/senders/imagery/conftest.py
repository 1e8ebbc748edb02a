"""The stage on which stand-ins are played, one for each module of tests."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from .stage import Stage, staging


@pytest.fixture(scope="module")
def stage() -> Generator[Stage]:
    with staging() as stage:
        yield stage
