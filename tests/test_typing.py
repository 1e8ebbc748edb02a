"""The types of the decorators: both checkers reject just the lines that `typing_api.py` says they must."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT

FILE = Path(__file__).with_name("typing_api.py")


@pytest.fixture
def without_ignores(tmp_path: Path) -> tuple[Path, set[int]]:
    """Return a copy of the file without its ignores, and the numbers of the lines that had one."""
    lines = FILE.read_text(encoding="utf-8").splitlines()
    wrong = {number for number, line in enumerate(lines, 1) if "# type: ignore" in line}
    copy = tmp_path / "typing_api.py"
    copy.write_text("\n".join(re.sub(r"  # type: ignore.*", "", line) for line in lines), encoding="utf-8")
    assert len(wrong) == 35
    return copy, wrong


def test_mypy_rejects_wrong_handlers_and_accepts_right_ones(without_ignores: tuple[Path, set[int]]) -> None:
    copy, wrong = without_ignores
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--no-error-summary", str(copy)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=copy.parent,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        timeout=300,
        check=False,
    )
    found = {int(number) for number in re.findall(r"typing_api\.py:(\d+): error", done.stdout)}
    assert found == wrong, done.stdout + done.stderr


@pytest.mark.skipif(not shutil.which("node"), reason="pyright runs on Node, and there is no `node` here")
def test_pyright_rejects_wrong_handlers_and_accepts_right_ones(without_ignores: tuple[Path, set[int]]) -> None:
    copy, wrong = without_ignores
    copy.with_name("pyrightconfig.json").write_text(
        json.dumps({"typeCheckingMode": "strict", "extraPaths": [str(ROOT)]}), encoding="utf-8"
    )
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "typing_api.py"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=copy.parent, timeout=300, check=False)
    found = {each["range"]["start"]["line"] + 1 for each in json.loads(done.stdout)["generalDiagnostics"]}
    assert found == wrong, done.stdout + done.stderr
