from __future__ import annotations

from pathlib import Path

import pytest

from tests.inbox_suite import Make, SharedInboxSuite
from webhook_receiver.inbox import SQLiteInbox


class TestSQLiteInbox(SharedInboxSuite):
    @pytest.fixture
    def make(self, tmp_path: Path) -> Make:
        return lambda name: SQLiteInbox(tmp_path / f"{name}.db", min_free=0)
