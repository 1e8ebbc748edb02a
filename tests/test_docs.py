"""Every block of code in the README and in the guide is run; what they name is there."""

from __future__ import annotations

import ast
import asyncio
import importlib
import importlib.metadata
import json
import os
import pkgutil
import pydoc
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import httpx
import psycopg
import pytest

import webhook_receiver
from tests.commands import COMMAND, run
from tests.helpers import ROOT, free_port, free_ports, printed, running, serving
from webhook_receiver import SQLiteInbox, errors, senders
from webhook_receiver.errors import DISTRIBUTION
from webhook_receiver.simulator import Simulator, simulator_app

README = ROOT.joinpath("README.md").read_text(encoding="utf-8")
SITE = ROOT.joinpath("mkdocs.yml").read_text(encoding="utf-8")
NAMES = re.findall(r"[\w/-]+\.md", SITE)
"""The pages in the order of the guide; the reference follows."""
PAGES = {name: ROOT.joinpath("docs", name).read_text(encoding="utf-8") for name in NAMES}
BESIDE = ["README.md", "CONTRIBUTING.md", "SECURITY.md"]
ALL = {
    **{name: ROOT.joinpath(name).read_text(encoding="utf-8") for name in BESIDE},
    **{f"docs/{name}": text for name, text in PAGES.items()},
}


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def lines(text: str) -> list[str]:
    return [line for code in blocks(text, "sh") for line in code.splitlines()]


PROGRAMS = {
    f"{name.removesuffix('.md')}-{number}": code
    for name, text in ALL.items()
    for number, code in enumerate(blocks(text, "python"), 1)
}
TEN_LINES = PROGRAMS["README-1"]
COMMANDS = [line for text in PAGES.values() for line in lines(text)]
FIRST = {code: name for name, code in reversed(PROGRAMS.items())}
"""Each program once, by the first place where it stands."""
USER = {"UP42_USERNAME": "me", "UP42_PASSWORD": "anything"}
TERMINAL = {**os.environ, **USER, "PYTHONPATH": str(ROOT)}
ED25519_KEY = "302e020100300506032b657004220420" + "07" * 32  # a private key of ed25519 as DER (RFC 8410)
ENVIRONMENT = TERMINAL | {"WEBHOOK_SECRET": "try-me", "ACME_PUBLIC_KEY": ED25519_KEY}

DELIVER = """
import asyncio, json, time
import httpx
from webhook_receiver import State, UP42Signature
from webhook_receiver.delivery import RequestHead

CLIENT = "192.0.2.7"
OTHERS = {  # the headers and the document of other senders than UP42
    "github": ({"X-GitHub-Event": "push", "X-GitHub-Delivery": "1"}, {"ref": "refs/heads/main"}),
    "acme": ({"X-Acme-Event": "parcel.delivered"}, {"number": "P7", "token": "secret", "field": "feed"}),
}

def signed(path):
    document = {"event": "order.status", "body": {"id": path, "status": "FULFILLED"}}
    scheme, headers = UP42Signature("try-me"), {}
    if hooks.sender.name in OTHERS:
        scheme, (headers, document) = hooks.sender.scheme, OTHERS[hooks.sender.name]
    body = json.dumps(document).encode()
    head = RequestHead.of({"content-type": "application/json", **headers}, target=path)
    return body, scheme.sign(head._replace(client=CLIENT), body, time.time())

async def deliver(app, *paths):
    host = getattr(getattr(app, "router", None), "lifespan_context", lambda app: hooks)
    async with host(app), hooks, httpx.AsyncClient(transport=httpx.ASGITransport(app, client=(CLIENT, 443))) as client:
        for path in paths:
            body, head = signed(path)
            url = f"http://receiver{head.target.decode()}"
            answer = await client.post(url, content=body, headers=list(head.headers))
            assert answer.status_code == STATUS, (answer.status_code, answer.text)
        if STATUS == 202 and "Retry(after=" not in SOURCE:
            while (await hooks.inbox.stats()).counts[State.WAITING]:
                await asyncio.sleep(0.01)
            assert (await hooks.inbox.stats()).counts[State.DEAD] == 0

STATUS = 202 if "inbox=" in SOURCE else 204
if "app" in globals():
    asyncio.run(deliver(app, "/webhooks", "/webhooks/"))
elif "hooks" in globals() and ("from_env" in SOURCE or hooks.sender.name in OTHERS):
    asyncio.run(deliver(hooks, "/"))
"""

DJANGO = """
import django.conf
django.conf.settings.configure(ROOT_URLCONF="django.contrib.flatpages.urls", ALLOWED_HOSTS=["*"], SECRET_KEY="x")
"""


@pytest.fixture(scope="module")
def api() -> Generator[str]:
    """The address of a simulator that all programs share."""
    with serving(simulator_app(Simulator())) as url:
        yield url


@pytest.mark.parametrize("code", [pytest.param(code, id=name) for code, name in FIRST.items()])
def test_a_program_runs_and_takes_a_delivery(
    code: str, tmp_path: Path, api: str, request: pytest.FixtureRequest
) -> None:
    file = tmp_path / "program.py"
    if elsewhere := re.findall(r"postgresql://[^\"]+", code):
        code = code.replace(elsewhere[0], request.getfixturevalue("postgres_url"))
    before = DJANGO if "django" in code else ""
    file.write_text(f"SOURCE = {code!r}\n{before}{code}{DELIVER}", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(file)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        env=ENVIRONMENT | {"UP42_URL": api},
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_ten_lines_are_ten_and_are_the_quickstart() -> None:
    def bare(code: str) -> list[str]:
        return [line for line in code.splitlines() if line.strip()]

    example = ROOT.joinpath("examples", "tour_01_quickstart.py").read_text(encoding="utf-8")
    assert len(bare(TEN_LINES)) == 8
    assert bare(TEN_LINES) == bare(example.split('"""')[2])
    assert PROGRAMS["docs/first-steps-1"] == TEN_LINES


def lines_with(*words: str) -> list[str]:
    lines = [line for line in COMMANDS if not line.endswith(" main:app")]
    return [line for line in lines if any(f"/webhook-receiver {word} " in line for word in words)]


INSPECTED = [line for line in COMMANDS if re.search(r" (inspect|password) | --inspector ", line)]
HOSTED = [line for line in COMMANDS if line.endswith(" main:app")]
PLAYED = [line for line in lines_with("send") if " --as " in line]
SERVED = [line for line in lines_with("serve", "send") if line not in [*PLAYED, *INSPECTED]]
ORDERED = [line for line in COMMANDS if "8043" in line]
LOOPED = [
    line
    for line in lines_with("dev", "order", "faults", "inbox ls", "webhooks", "backfill", "poll")
    if line not in ORDERED
]
MIGRATING = lines_with("inbox migrate")
COPIED = lines_with("inbox backup", "inbox check", "inbox export", "inbox import")
CAUGHT = lines_with("capture", "explain", "to-test")
TOLD = lines_with("check", "schema") + [line for line in COMMANDS if line.endswith(" settings")]


def test_every_command_line_is_run_here() -> None:
    shown = HOSTED + SERVED + PLAYED + ORDERED + LOOPED + MIGRATING + COPIED + CAUGHT + INSPECTED + TOLD
    assert sorted(shown) == sorted(COMMANDS)
    for name in BESIDE:
        set_up = [line for line in lines(ALL[name]) if line.startswith("python3 -m venv")]
        assert set(lines(ALL[name])) - {*set_up} <= set(COMMANDS)


def test_the_two_first_commands(tmp_path: Path) -> None:
    assert [line.rpartition("&& ")[2] for line in lines(README)[:2]] == [
        ".venv/bin/webhook-receiver demo",  # run with its set-up by .ci/run, and here without
        ".venv/bin/python -m pytest",  # what is running just now
    ]
    assert shell(".venv/bin/webhook-receiver demo", tmp_path, "").returncode == 0


def test_the_inspector_is_started_as_the_guide_says(tmp_path: Path) -> None:
    tmp_path.joinpath("quickstart.py").write_text(TEN_LINES, encoding="utf-8")
    asyncio.run(made(tmp_path / "hooks.db"))
    inspects = [line for line in INSPECTED if " inspect " in line]
    for line in inspects:
        process = subprocess.Popen(
            [*prepared(line, ""), "--port", "0"],
            cwd=tmp_path,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        printed(process, "hooks.db is at http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 0
    password, serve = [line for line in INSPECTED if line not in inspects]
    done = run(*prepared(password, "")[len(COMMAND) :], cwd=tmp_path, input="a good password\n")
    assert done.stdout == "ann was added to inspector.passwd\n"
    with running(*prepared(serve, "")[2:], cwd=tmp_path, environment={"WEBHOOK_SECRET": "try-me"}) as (url, _):
        found = httpx.get(f"{url}/_webhooks/", auth=("ann", "a good password"), trust_env=False)
        assert (found.status_code, "Overview" in found.text) == (200, True)


async def made(path: Path) -> None:
    inbox = await SQLiteInbox(path).open()
    await inbox.close()


def test_what_is_sent_by_hand_is_received(tmp_path: Path) -> None:
    tmp_path.joinpath("quickstart.py").write_text(TEN_LINES, encoding="utf-8")
    serve, *sends = SERVED
    with running(*prepared(serve, "")[2:], cwd=tmp_path, environment={"WEBHOOK_SECRET": "try-me"}) as (url, server):
        for line in sends:
            done = shell(line, tmp_path, url)
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        told = "".join(printed(server, "ready to download:") for _ in range(1 + 1 + 100))
        assert "failed for good:" in told or printed(server, "failed for good:")
        assert "ready to download: 7\n" in told


@pytest.mark.parametrize("line", PLAYED)
def test_what_is_sent_as_another_sender_is_received(tmp_path: Path, line: str) -> None:
    (name,) = re.findall(r"--as (\w+)", line)
    program = f"""\
from webhook_receiver import WebhookReceiver
from webhook_receiver.senders.catalogue import {name}

hooks = WebhookReceiver(sender={name}("try-me"))
hooks.fallback(lambda event: print("handled:", event.event))
"""
    tmp_path.joinpath("quickstart.py").write_text(program, encoding="utf-8")
    with running(*prepared(SERVED[0], "")[2:], cwd=tmp_path, environment={}) as (url, server):
        done = shell(line, tmp_path, url)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        if "--challenge" not in line:
            printed(server, "handled:")


def test_an_app_with_a_receiver_is_started_as_the_guide_says(tmp_path: Path) -> None:
    program = PROGRAMS["docs/mounting-1"]
    tmp_path.joinpath("main.py").write_text(program, encoding="utf-8")
    start, loop, _ = HOSTED
    secret, command, target = start.split()
    assert command == ".venv/bin/uvicorn"
    with running("uvicorn", target, cwd=tmp_path, environment=dict([secret.split("=")])) as (url, server):
        assert shell(f"{secret} {SEND}", tmp_path, url).stdout.startswith("202")
        printed(server, "ready to download:")
    with looping(tmp_path, loop) as (url, simulator):
        line = ".venv/bin/webhook-receiver order create --status FULFILLED"
        assert shell(line, tmp_path, url, UP42_URL=simulator).returncode == 0
        assert shell(f"{SEND} --secret try-me", tmp_path, url).stdout.startswith("202")


ALSO_FAILING = """

@hooks.on_failed_permanently
async def fail(order) -> None:
    given.get().session.execute("INSERT INTO orders VALUES ('rolled back')")
    raise RuntimeError("after its insert")


@hooks.on_fulfilled
async def tell(order) -> None:
    print("booked", flush=True)
"""


@pytest.mark.parametrize("beside", [False, True], ids=["in the app", "in a worker beside it"])
def test_handlers_get_what_they_depend_on_as_the_guide_says_and_what_fails_is_rolled_back(
    beside: bool, tmp_path: Path
) -> None:
    program = PROGRAMS["docs/mounting-2"] + ALSO_FAILING
    if beside:
        program = program.replace("hooks.db", 'hooks.db", work=False, name="apart')
    tmp_path.joinpath("main.py").write_text(program, encoding="utf-8")
    with (
        running("uvicorn", "main:app", cwd=tmp_path, environment={"WEBHOOK_SECRET": "try-me"}) as (url, server),
        working(tmp_path) if beside else nullcontext(server) as worker,
    ):
        assert httpx.get(f"{url}/orders", trust_env=False).json() == []
        sent = f"{SEND} --secret try-me --order-id"
        assert shell(f"{sent} 7", tmp_path, url).stdout.startswith("202")
        printed(worker, "booked")
        assert httpx.get(f"{url}/orders", trust_env=False).json() == ["7"]
        assert shell(f"{sent} 8 --status FAILED_PERMANENTLY", tmp_path, url).stdout.startswith("202")
        printed(worker, "after its insert")
        assert httpx.get(f"{url}/orders", trust_env=False).json() == ["7"]


@contextmanager
def working(folder: Path) -> Generator[subprocess.Popen[str]]:
    """Run the guide's `worker` until the end, which is in good order."""
    process = subprocess.Popen(
        prepared(HOSTED[-1], ""),
        cwd=folder,
        env=ENVIRONMENT | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said


SEND = ".venv/bin/webhook-receiver send http://127.0.0.1:8000/webhooks"


def test_the_local_loop_is_lived_as_the_guide_says(tmp_path: Path) -> None:
    tmp_path.joinpath("quickstart.py").write_text(TEN_LINES, encoding="utf-8")
    first, *rest = LOOPED
    with looping(tmp_path, first) as (url, simulator):
        for line in rest:
            done = shell(line, tmp_path, url, UP42_URL=simulator)
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
            if " inbox ls " in line:
                assert len(done.stdout.splitlines()) == 1 + 1 + 3 + 1  # one is the test of the webhook
            if " backfill " in line:
                assert done.stdout.startswith("5 orders")


def test_another_provider_is_played_as_the_guide_says(tmp_path: Path) -> None:
    start, order = ORDERED
    port = free_port()
    process = subprocess.Popen(
        prepared(start.replace("8043", str(port)), "http://127.0.0.1:9"),
        cwd=tmp_path,
        env=TERMINAL | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        printed(process, "order create")
        done = shell(order.replace("8043", str(port)), tmp_path, "")
        assert done.returncode == 0, done.stdout + done.stderr
        id = done.stdout.split("\t")[0]
        printed(process, f"skyfi STARTED {id} to http://127.0.0.1:9/webhooks/***: no response")
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


@contextmanager
def looping(folder: Path, line: str) -> Generator[tuple[str, str]]:
    """Run the guide's `dev` on ports of our own; yield the addresses of the receiver and of the simulator."""
    ports = [str(each) for each in free_ports(3)]
    process = subprocess.Popen(
        [*prepared(line, ""), "--port", ports[0], "--simulator-port", ports[1], "--inspector-port", ports[2]],
        cwd=folder,
        env=TERMINAL | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        printed(process, "1 of 1 succeeded")
        yield f"http://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}"
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def test_the_tables_are_made_for_a_role_that_may_make_none(tmp_path: Path, empty_database: str) -> None:
    (line,) = MIGRATING
    with psycopg.connect(empty_database, autocommit=True) as connection, suppress(psycopg.errors.DuplicateObject):
        connection.execute("CREATE ROLE app")
    line = line.replace("postgresql://owner@127.0.0.1/hooks", shlex.quote(empty_database))
    done = shell(line, tmp_path, "")
    assert done.returncode == 0, done.stdout + done.stderr
    assert shell(line, tmp_path, "").stdout == "the tables are up to date\n"


async def test_an_inbox_is_copied_and_moved_and_its_copy_is_checked(tmp_path: Path) -> None:
    inbox = await SQLiteInbox(tmp_path / "hooks.db").open()
    for line in COPIED:
        done = await asyncio.to_thread(shell, line, tmp_path, "")
        assert done.returncode == 0, done.stdout + done.stderr
    await inbox.close()


@pytest.mark.parametrize("line", TOLD)
def test_what_is_told_before_a_deploy_is_told(line: str, tmp_path: Path) -> None:
    tmp_path.joinpath("quickstart.py").write_text(TEN_LINES, encoding="utf-8")
    (project,) = blocks(PAGES["settings.md"], "text")
    tmp_path.joinpath("pyproject.toml").write_text(project, encoding="utf-8")
    command = line.removesuffix(" || true")
    done = run(*prepared(command, "")[len(COMMAND) :], cwd=tmp_path, env=ENVIRONMENT)
    assert (done.returncode, done.stdout != "") == (4 if "check" in line else 0, True), done.stderr


def test_every_check_is_in_the_guide() -> None:
    from webhook_receiver.cli.checks import CHECKS

    told = re.findall(r"^\| `([\w-]+)` \| (?:both|error|warning) \|", PAGES["before-a-deploy.md"], re.MULTILINE)
    assert told == [*CHECKS]


def test_a_request_is_caught_explained_and_made_a_test_of(tmp_path: Path) -> None:
    capture, explain, to_test = CAUGHT
    port = free_port()
    process = subprocess.Popen(
        [*(word if word != "8000" else str(port) for word in prepared(capture, "")), "--json"],
        cwd=tmp_path,
        env=ENVIRONMENT | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        printed(process, "listening")
        url = f"http://127.0.0.1:{port}"
        assert (
            shell(".venv/bin/webhook-receiver send http://127.0.0.1:8000/ --secret try-me", tmp_path, url).returncode
            == 0
        )
        file = json.loads(printed(process, "file").splitlines()[-1])["file"]
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    for line in (explain, to_test):
        done = shell(re.sub(r"captured/\S+", file, line), tmp_path, url)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    assert passed(tmp_path / "test_captured.py") == 1


def test_the_tests_in_the_guide_pass(tmp_path: Path) -> None:
    (tests,) = [code for code in FIRST if "def test_" in code]
    tmp_path.joinpath("test_mine.py").write_text(tests, encoding="utf-8")
    assert passed(tmp_path / "test_mine.py") == 2
    assert not tmp_path.joinpath("hooks.db").exists()


def passed(file: Path) -> int:
    """Run the tests in a file; return how many passed, where none failed."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:asyncio", "-p", "no:cacheprovider", str(file)],
        cwd=file.parent,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return int(re.findall(r"(\d+) passed", done.stdout)[0])


def prepared(line: str, url: str) -> list[str]:
    """Return a command of the guide's as it is run here: this interpreter, and a port of our own."""
    words = shlex.split(line.replace("http://127.0.0.1:8000", url))
    words = [word for word in words if not word.startswith("WEBHOOK_SECRET=")]
    assert words[0] == ".venv/bin/webhook-receiver"
    return [*COMMAND, *words[1:]]


def shell(line: str, cwd: Path, url: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command, _, fallback = line.partition(" || ")
    given = dict(re.findall(r"^(WEBHOOK_SECRET)=(\S+)", line))
    done = run(*prepared(command, url)[len(COMMAND) :], cwd=cwd, env=TERMINAL | given | environment)
    return subprocess.CompletedProcess(done.args, int(not done.returncode)) if fallback else done


def test_what_the_guide_says_of_answers_is_what_is_answered() -> None:
    from webhook_receiver.responses import rejections

    table = PAGES["answers.md"].partition("Errors are")[0]
    told = {int(status) for status in re.findall(r"\| (\d{3})", table)}
    assert told == {200, 202, 204, 500, 503, 422} | {answer.status for answer in rejections(401).values()}


def test_every_command_is_in_the_guide() -> None:
    from webhook_receiver.cli.commands import SUMMARIES

    told = re.findall(r"^\| `webhook-receiver ([\w-]+)", PAGES["operations.md"].partition("## Health")[0], re.MULTILINE)
    assert sorted(told) == sorted(SUMMARIES)


def test_every_page_is_in_the_guide_and_every_block_is_one_that_is_run() -> None:
    docs = ROOT / "docs"
    assert sorted(NAMES) == sorted(file.relative_to(docs).as_posix() for file in docs.rglob("*.md"))
    for name, text in ALL.items():
        opened = re.findall(r"^ *(?:```|~~~)(.*)$", text, re.MULTILINE)[::2]
        assert {*opened} <= {"python", "sh", "text"}, name


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 160


PUBLIC = ["", ".inbox", ".senders", ".senders.up42", ".signatures", ".explain", ".testing", ".simulator"]
"""The modules that are imported from; the reference has every name of their `__all__`."""
MENTIONED = re.findall(r"^::: (webhook_receiver[\w.]*)$", "".join(PAGES.values()), re.MULTILINE)


@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_name_is_in_the_reference(module: str) -> None:
    every: list[str] = importlib.import_module(f"webhook_receiver{module}").__all__
    names = [name for name in every if not name.isupper()]  # PRESETS is what the registry reads
    objects = [pydoc.locate(name) for name in MENTIONED]
    missing = [name for name in names if pydoc.locate(f"webhook_receiver{module}.{name}") not in objects]
    assert names
    assert missing == []


def test_every_module_that_is_said_to_be_public_is_in_the_reference() -> None:
    said = (webhook_receiver.__doc__ or "").partition("Public are")[2]
    modules = [each.removeprefix("webhook_receiver.") for each in re.findall(r"`([a-z][a-z_.42]+)`", said)]
    modules += [f"senders.{each.name}" for each in pkgutil.iter_modules(senders.__path__)]  # "and its modules"
    assert len(modules) > 15
    objects = [pydoc.locate(name) for name in MENTIONED]
    for name in dict.fromkeys(modules):
        missing = [each for each in public_classes(f"webhook_receiver.{name}") if each not in objects]
        assert missing == [], f"of webhook_receiver.{name}"


def public_classes(name: str) -> list[type]:
    """Return the classes in a module's `__all__`, or those that it defines without an underscore."""
    module = importlib.import_module(name)
    names: list[str] = getattr(module, "__all__", None) or [each for each in vars(module) if each.isidentifier()]
    found = [getattr(module, each) for each in names if not each.startswith("_")]
    own = [each for each in found if hasattr(module, "__all__") or getattr(each, "__module__", "") == name]
    return [each for each in own if isinstance(each, type)]


def test_the_overview_of_the_reference_has_the_names_of_each_page() -> None:
    for page, row in re.findall(r"^\| \[.*?\]\((.*?)\) \| (.*) \|$", PAGES["reference/index.md"], re.MULTILINE):
        names = re.findall(r"^::: webhook_receiver\.([\w.]+)$", PAGES[f"reference/{page}"], re.MULTILINE)
        assert re.findall(r"`([\w.]+)`", row) == names, page


def test_the_package_is_installed_by_its_own_name_and_from_where_it_is() -> None:
    version = importlib.metadata.version(DISTRIBUTION)
    wheel = f"{DISTRIBUTION.replace('-', '_')}-{version}-py3-none-any.whl"
    from_where = {
        "a clone": "'/path/to/clone[",
        "a wheel": f"'/path/to/{wheel}[",
        "git": f"'{DISTRIBUTION}[standard] @ ",
    }
    for name in ("README.md", "docs/first-steps.md"):
        rows = dict(
            re.findall(r"^\| (a clone|a wheel|git) \| `.venv/bin/pip install (.*)` \|$", ALL[name], re.MULTILINE)
        )
        assert rows.keys() == from_where.keys()
        for where, begins in from_where.items():
            assert rows[where].startswith(begins), name
    for name, text in ALL.items():
        for command in re.findall(r"pip install ([^`\n&]+)", text):
            assert "webhook-receiver" not in command or " @ git+https://" in command, f"{name}: {command}"


def test_what_is_missing_is_named_with_the_extra_in_one_place() -> None:
    package = PACKAGES / "webhook_receiver"
    told = [file for file in package.rglob("*.py") if "pip install" in file.read_text(encoding="utf-8")]
    assert told == [package / "errors.py"]
    extras = set(importlib.metadata.metadata(DISTRIBUTION).get_all("Provides-Extra") or ())
    calls = [
        node
        for file in package.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "needs"
    ]
    assert len(calls) >= 6
    assert {ast.literal_eval(call.args[2]) for call in calls} <= extras


def test_signatures_are_compared_in_one_place() -> None:
    """SECURITY.md promises so. The simulator, which plays the other side, is left out."""
    files = [file for file in PACKAGES.joinpath("webhook_receiver").rglob("*.py") if "simulator" not in file.parts]
    calls = [file.name for file in files for _ in re.findall(r"compare_digest\(", file.read_text(encoding="utf-8"))]
    assert calls == ["secrets.py"]


def test_what_is_promised_of_security_is_shown_by_tests() -> None:
    rows = re.findall(r"^\| .* \| (`tests/.*) \|$", ALL["SECURITY.md"], re.MULTILINE)
    assert len(rows) == ALL["SECURITY.md"].count("\n| ") - 2  # the heading and its line
    for file, test in re.findall(r"`(tests/[\w/]+\.py)`: `(\w+)`", ALL["SECURITY.md"]):
        assert test in names_in(ROOT / file)


def test_every_error_is_in_the_reference() -> None:
    tree = (errors.__doc__ or "").strip().partition("\n\n")[2]
    assert tree in PAGES["reference/errors.md"]


def test_whatever_is_in_the_reference_exists_and_is_there_once() -> None:
    assert [name for name in MENTIONED if pydoc.locate(name) is None] == []
    assert sorted(MENTIONED) == sorted(set(MENTIONED))


@pytest.mark.parametrize("name", ALL)
def test_the_links_and_the_files_that_a_page_names_are_there(name: str) -> None:
    here = ROOT.joinpath(name).parent
    for link in re.findall(r"\]\(([^)\s]+)\)", ALL[name]):
        path, _, anchor = link.partition("#")
        if path.startswith("https://"):
            continue
        target = here / path if path else ROOT / name
        assert target.exists(), link
        if anchor and path.endswith(".png"):
            assert anchor in ("only-light", "only-dark"), link
        elif anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {slug(heading) for heading in headings}, link
    for file in re.findall(r"`((?:examples|tests|docs|webhook_receiver)/[\w./]*)`", ALL[name]):
        assert (PACKAGES if file.startswith("webhook_receiver/") else ROOT).joinpath(file).exists(), file


PACKAGES = Path(webhook_receiver.__file__).parents[1]


def slug(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def test_what_a_maintainer_is_told_to_open_is_in_that_file() -> None:
    told = re.findall(r"`(webhook_receiver/[\w/]+\.py)`: ((?:`\w+(?:\.\w+)?`(?:, )?)+)", PAGES["way-of-the-data.md"])
    assert len(told) > 10
    for file, names in told:
        defined = names_in(PACKAGES.joinpath(file))
        for name in re.findall(r"`([\w.]+)`", names):
            assert name in defined, f"{name} is not in {file}"


def names_in(file: Path) -> set[str]:
    """Return the functions, classes, methods as `Class.method`, and values that a module defines."""
    names: set[str] = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            members = [each for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
            names.update(f"{node.name}.{each.name}" for each in members)
        if isinstance(node, ast.Assign):
            names.update(each.id for each in node.targets if isinstance(each, ast.Name))
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return names
