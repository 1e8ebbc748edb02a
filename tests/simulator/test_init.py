"""The simulator as a package: what it needs is named where it is missing."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("missing", ["httpx", "pydantic_settings"])
def test_a_missing_extra_is_named(missing: str) -> None:
    code = f"import sys; sys.modules['{missing}'] = None; from webhook_receiver.simulator import simulator_app"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    said = f"webhook_receiver.simulator needs {missing}: install it with  pip install 'asgi-webhook-receiver[standard]'"
    assert said in done.stderr
