"""The simulator as a package: what it needs is named where it is missing."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from webhook_receiver import simulator


@pytest.mark.parametrize("missing", ["httpx", "pydantic_settings"])
def test_a_missing_extra_is_named(missing: str) -> None:
    code = f"import sys; sys.modules['{missing}'] = None; from webhook_receiver.simulator import simulator_app"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    said = f"webhook_receiver.simulator needs {missing}: install it with  pip install 'asgi-webhook-receiver[standard]'"
    assert said in done.stderr


def test_its_names_are_there_and_no_others() -> None:
    assert [getattr(simulator, name).__name__ for name in simulator.__all__] == simulator.__all__
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        getattr(simulator, "Nothing")  # noqa: B009


def test_type_checkers_are_told_of_the_same_names() -> None:
    stub = ast.parse(Path(str(simulator.__file__)).with_suffix(".pyi").read_text(encoding="utf-8"))
    told = {alias.name for each in stub.body if isinstance(each, ast.ImportFrom) for alias in each.names}
    assert told == set(simulator.__all__)


def test_a_command_that_only_sends_loads_no_server() -> None:
    code = "import sys, webhook_receiver.cli.send; print('webhook_receiver.simulator.app' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "False\n"
