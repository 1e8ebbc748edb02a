"""The pytest plugin, as it is installed, in little suites of their own that run in processes of their own."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import pytest

import webhook_receiver

pytest_plugins = ["pytester"]

SHOP = """
    from webhook_receiver import OrderFulfilled, WebhookReceiver
    hooks = WebhookReceiver(secret="s", inbox="sqlite:///nowhere/hooks.db")
    failing = []
    @hooks.on(OrderFulfilled)
    async def download(order):
        if failing:
            raise failing.pop()
"""
CONFTEST = """
    import pytest
    from shop import hooks
    @pytest.fixture
    def webhook_receiver_under_test():
        return hooks
"""
SYNC = """
    from shop import download, failing
    from webhook_receiver import OrderFulfilled
    from webhook_receiver.testing import make
    def test_sync(webhooks):
        failing.append(TimeoutError())
        assert webhooks.sync.send(make(OrderFulfilled)).response.status == 202
        assert [run.attempt for run in webhooks.sync.drain()] == [1, 2]
        webhooks.assert_handled(download)
"""
ASYNC = """
    import asyncio
    import pytest
    from shop import download, failing
    from webhook_receiver import OrderFulfilled
    from webhook_receiver.testing import make
    {mark}
    async def test_async(webhooks):
        failing.append(TimeoutError())
        loop = asyncio.get_running_loop()
        assert (await webhooks.send(make(OrderFulfilled))).response.status == 202
        assert [run.attempt for run in await webhooks.drain()] == [1, 2]
        webhooks.assert_handled(download)
"""
OTHERS = ("randomly", "cov", "faker", "hypothesispytest")
"""Plugins that are here and that these suites do not need; some take longer to load than the suites."""
HAS_PYTEST_ASYNCIO = importlib.util.find_spec("pytest_asyncio") is not None
needs_pytest_asyncio = pytest.mark.skipif(not HAS_PYTEST_ASYNCIO, reason="pytest-asyncio is not installed")


def run(pytester: pytest.Pytester, *arguments: str, without: Sequence[str] = ("xdist", "asyncio")) -> pytest.RunResult:
    """Run the suite that was written, as a user does; warnings are errors."""
    left_out = [word for plugin in (*OTHERS, *without) for word in ("-p", f"no:{plugin}")]
    return pytester.runpytest_subprocess("-W", "error", *left_out, *arguments)


@pytest.fixture(autouse=True)
def shop(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(shop=SHOP, conftest=CONFTEST)


def test_it_is_installed_by_its_entry_point_and_under_a_name_outside_of_the_package() -> None:
    plugins = [each.value for each in metadata.entry_points(group="pytest11") if each.name == "webhook_receiver"]
    assert plugins == ["webhook_receiver_pytest"], "install the package again: pip install -e ."
    installed = importlib.util.find_spec("webhook_receiver_pytest")
    assert installed is not None
    assert installed.origin is not None
    source = Path(webhook_receiver.__file__).parent.joinpath("testing", "pytest_plugin.py")
    if source.exists():  # in a checkout; what is installed is a copy
        assert Path(installed.origin).read_text() == source.read_text(), "install the package again: pip install -e ."


def test_plain_functions_use_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(SYNC)
    run(pytester).assert_outcomes(passed=1)


@pytest.mark.parametrize(("mode", "mark"), [("auto", ""), ("strict", "@pytest.mark.anyio")])
def test_async_tests_of_anyio_use_it(pytester: pytest.Pytester, mode: str, mark: str) -> None:
    pytester.makepyfile(ASYNC.format(mark=mark))
    pytester.makeini(f"[pytest]\nanyio_mode = {mode}\n")
    pytester.makeconftest(CONFTEST + "\n    @pytest.fixture\n    def anyio_backend():\n        return 'asyncio'\n")
    run(pytester).assert_outcomes(passed=1)


@needs_pytest_asyncio
@pytest.mark.parametrize(("mode", "mark"), [("auto", ""), ("strict", "@pytest.mark.asyncio")])
def test_async_tests_of_pytest_asyncio_use_it(pytester: pytest.Pytester, mode: str, mark: str) -> None:
    pytester.makepyfile(ASYNC.format(mark=mark), test_sync=SYNC)
    pytester.makeini(f"[pytest]\nasyncio_mode = {mode}\nasyncio_default_fixture_loop_scope = function\n")
    run(pytester, without=("xdist",)).assert_outcomes(passed=2)


def test_it_runs_on_several_processes_at_once(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(**{f"test_{number}": SYNC for number in range(4)})
    run(pytester, "-n", "2", without=("asyncio",)).assert_outcomes(passed=4)


def test_what_is_missing_is_said_with_how_to_give_it(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("")
    pytester.makepyfile("def test_it(webhooks): pass")
    result = run(pytester)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*webhooks does not know your receiver*", "*def webhook_receiver_under_test():*"])
    result.stdout.no_fnmatch_line("*pytest.fail*")


def test_the_fixtures_say_what_they_are(pytester: pytest.Pytester) -> None:
    result = run(pytester, "--fixtures")
    result.stdout.fnmatch_lines(["webhook_receiver_under_test -- *", "webhooks -- *", "*A rehearsal of your receiver*"])


UNRELATED = """
    import sys
    def test_nothing_of_the_package_is_there(request):
        assert [name for name in sys.modules if name.split(".")[0] == "webhook_receiver"] == []
    def test_failing():
        assert 1 == 2
"""


@pytest.mark.parametrize("more", [[], ["-p", "no:webhook_receiver"]])
def test_a_suite_that_does_not_use_it_is_left_alone(pytester: pytest.Pytester, more: list[str]) -> None:
    pytester.makeconftest("")
    pytester.makepyfile(UNRELATED)
    run(pytester, *more).assert_outcomes(passed=1, failed=1)


def test_collecting_such_a_suite_and_its_fixtures_differ_by_nothing_but_ours(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("")
    pytester.makepyfile(UNRELATED)

    def said(*arguments: str) -> list[str]:
        return run(pytester, "-q", *arguments).outlines

    without = "-p", "no:webhook_receiver"
    collected, plain = said("--collect-only"), said("--collect-only", *without)
    assert [line for line in collected if " in " not in line] == [line for line in plain if " in " not in line]
    names = {line.split(" ")[0] for line in said("--fixtures") if " -- " in line}
    assert names - {line.split(" ")[0] for line in said("--fixtures", *without) if " -- " in line} == {
        "webhooks",
        "webhook_receiver_under_test",
    }


def test_a_fixture_of_the_suites_own_goes_first(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("import pytest\n@pytest.fixture\ndef webhooks():\n    return 'mine'\n")
    pytester.makepyfile("def test_it(webhooks):\n    assert webhooks == 'mine'")
    run(pytester).assert_outcomes(passed=1)


def test_left_out_it_is_not_there(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(SYNC)
    result = run(pytester, "-p", "no:webhook_receiver")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'webhooks' not found*"])


def test_to_import_it_imports_nothing_that_pytest_has_not() -> None:
    code = (
        "import sys, json, pytest; before = {*sys.modules}; import webhook_receiver_pytest; "
        "print(json.dumps(sorted({*sys.modules} - before)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout) == ["webhook_receiver_pytest"]


BROKEN = """
    import pytest
    from webhook_receiver import MemoryInbox
    from webhook_receiver.testing.inbox_suite import InboxSuite

    class Forgetful(MemoryInbox):
        async def claim(self, source, limit, lease, now, unix=None):
            return []

    class TestMyInbox(InboxSuite):
        @pytest.fixture
        def make(self):
            return lambda name: {made}()
"""


@needs_pytest_asyncio
def test_an_inbox_of_the_users_is_held_to_the_contract(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(BROKEN.format(made="MemoryInbox"))
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    result = run(pytester, "-k", "claim", without=("xdist",))
    result.assert_outcomes(passed=result.parseoutcomes()["passed"], deselected=result.parseoutcomes()["deselected"])


def test_a_broken_one_is_told_so_in_values(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(BROKEN.format(made="Forgetful"))
    pytester.makeini("[pytest]\nanyio_mode = auto\n")
    pytester.makeconftest("import pytest\n@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n")
    result = run(pytester, "-k", "takes_no_more_than_its_limit")
    result.assert_outcomes(failed=1, deselected=result.parseoutcomes()["deselected"])
    result.stdout.fnmatch_lines(["E*assert [[]] == [[]'d-1', 'd-2'[]]"])
