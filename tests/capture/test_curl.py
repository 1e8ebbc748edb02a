"""The requests that curl commands mean; where curl is installed, what it itself sends is the measure."""

from __future__ import annotations

import asyncio
import shlex
import shutil
import subprocess
import threading
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from queue import Queue

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook_receiver.capture.curl import from_curl, is_curl
from webhook_receiver.capture.request_files import SavedRequest, from_http
from webhook_receiver.capture.server import Captured, serve


def test_headers_and_data_are_read() -> None:
    saved = from_curl("curl -X PUT https://u:p@x.example:8443/in -H 'X-Name:  v ' -H \"Y: 'q'\" -d '{\"a\": \"b\"}'")
    assert (saved.method, saved.target, saved.body) == ("PUT", "https://u:p@x.example:8443/in", b'{"a": "b"}')
    assert dict(saved.headers) == {
        b"content-type": b"application/x-www-form-urlencoded",
        b"host": b"x.example:8443",
        b"x-name": b"v",
        b"y": b"'q'",
        b"authorization": b"Basic dTpw",
    }


def test_the_line_may_go_on_and_have_a_prompt() -> None:
    assert from_curl("$ curl \\\n  http://x/ \\\r\n  -d a").body == b"a"


@pytest.mark.parametrize(
    ("quoted", "body"),
    [
        (r"$'a\'b\nc\u0021\x41\\'", b"a'b\nc!A\\"),
        (r"$'caf\u00e9'", "café".encode()),
        (r"$'\xc3\xa9'", "é".encode()),
        (r"'$'\''x'", b"$'x"),
        ("'a\nb'", b"a\nb"),
        ('"a\\"b"', b'a"b'),
        (r'"{\"price\":\"\$5\"}"', b'{"price":"$5"}'),
        (r'"\`\\\n\a\'"', rb"`\\n\a\'"),
        ('"a\\\nb"', b"ab"),
        ("é", "é".encode()),
    ],
)
def test_quotes_are_read_as_bash_does(quoted: str, body: bytes) -> None:
    assert from_curl(f"curl http://x/ --data-raw {quoted}").body == body


def test_what_is_no_curl_command_or_is_not_understood_is_told(tmp_path: Path) -> None:
    for command, complaint in (
        ("wget x", "does not begin with curl"),
        ("", "does not begin with curl"),
        ("curl -d 'open", "ends within quotes"),
        ("curl http://x/ -F a=b", "option -F is not understood"),
        ("curl http://x/ --form a=SECRET", "option --form is not understood"),
        ("curl http://x/ -u SECRET", "--user NAME:PASSWORD"),
        ("curl http://x/ -d", "option -d is not understood"),
        ("curl http://x/ http://y/", "several URLs"),
        ("curl http://x/ -d @missing", "cannot read missing.*No such file"),
        ("curl http://x/ -d @-", "standard input"),
        ('curl "http://x/" ^\n -d ^"SECRET^"', "Windows.*copy it as cURL .bash."),
        ('curl.exe ^"http://x/^" -d SECRET', "Windows.*copy it as cURL .bash."),
        ("curl http://x/ -d $'@a\\0b'", "cannot read a"),
    ):
        with pytest.raises(ValueError, match=complaint) as rejected:
            from_curl(command, tmp_path)
        assert "SECRET" not in str(rejected.value)


def test_a_command_is_told_from_a_file_name() -> None:
    assert [is_curl(text) for text in ("curl x", " $ curl.exe x", "curl\n", "curl", "curl.txt", "a curl x")] == [
        *(True, True, True, False, False, False)
    ]


@given(st.text(alphabet="curl -dHX@'\"\\$\n{}:;xu01=&é\0", max_size=40))
def test_hostile_commands_end_in_a_request_or_a_sentence(text: str) -> None:
    with suppress(ValueError):
        assert isinstance(from_curl(f"curl {text}", Path("/nowhere")), SavedRequest)


COMMANDS = [
    "-d 'a=1' -d b",
    "--data-raw '@not-a-file'",
    "-d @lines",
    "--data-binary @lines",
    "--data-ascii @lines -d more",
    "--json '{\"a\":1}'",
    "--json @lines --json more",
    "--json '{}' -H 'Content-Type: text/plain' -H 'Accept:'",
    "-H 'Content-Type:' -d x",
    "-H 'X-Empty;' -H 'X-Gone:' -H 'X-Given: a b' -d x",
    "-H @headers --data-binary x",
    "-XPATCH -sSd x -A me -e from -b c=d",
    "-H 'Host: other.example' -d x",
    "-d ''",
    "-u ann:pw -d x",
    "-u ann:pw -u 'bo:é:x' -d x",
    "-u ann:pw -H 'Authorization: Bearer x' -d x",
    "-u ann:pw -H 'Authorization:' -d x",
    r'-d "{\"price\":\"\$5\",\"path\":\"C:\\\\a\b\",\"tick\":\"\`\"}"',
    "",
]
USERS = ["ann:pw@", "ann@", "ann:@", ":pw@", "@", "a%40b:p%3a%C3%A9@", "é:ü@"]
"""What may stand before the host in a URL."""


@pytest.fixture
def capturing(tmp_path: Path) -> Generator[tuple[str, Queue[Captured]]]:
    """A server that keeps what is sent to it."""
    up, captured, port = threading.Event(), Queue[Captured](), [0]
    loop = asyncio.new_event_loop()

    def ready(taken: int) -> None:
        port[0] = taken
        up.set()

    directory = tmp_path / "captured"
    directory.mkdir()
    task = loop.create_task(serve("127.0.0.1", 0, directory, status=200, ready=ready, report=captured.put))

    def run() -> None:
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(task)
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert up.wait(30)
    yield f"http://127.0.0.1:{port[0]}/in", captured
    loop.call_soon_threadsafe(task.cancel)
    thread.join(30)
    assert not thread.is_alive()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed: it is the measure here")
def test_curl_itself_sends_what_is_read(capturing: tuple[str, Queue[Captured]], tmp_path: Path) -> None:
    url, captured = capturing
    tmp_path.joinpath("lines").write_bytes(b'{\r\n "a": 1\n}\n')
    tmp_path.joinpath("headers").write_text("X-One: 1\nX-Two: 2\n", encoding="utf-8")
    commands = [f"{url} {each}" for each in COMMANDS]
    commands += [f"{url.replace('//', f'//{each}')} {more}" for each in USERS for more in ("", "-u bo:x")]
    for options in commands:
        command = f"curl -s --noproxy '*' {options}"
        subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True, timeout=30)
        file = captured.get(timeout=30).file
        assert file is not None
        sent = from_http(file.read_bytes())
        read = from_curl(command.replace("--noproxy '*' ", ""), tmp_path)
        assert (read.method, read.body) == (sent.method, sent.body), options
        unsaid = (b"user-agent", b"accept", b"content-length")  # curl's own, which nobody signs
        ours, theirs = ({pair for pair in each.headers if pair[0] not in unsaid} for each in (read, sent))
        assert ours == theirs, options


@pytest.mark.parametrize("quoted", ["'{}'", '"{}"', "$'{}'", "{}"])
def test_a_long_word_is_kept_from_what_takes_the_square_of_its_length(
    quoted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    split, lengths = shlex.split, list[int]()

    def measured(text: str) -> list[str]:
        lengths.append(len(text))
        return split(text)

    monkeypatch.setattr("webhook_receiver.capture.curl.shlex.split", measured)
    body = "x" * 100_000
    assert from_curl(f"curl http://x/ -d {quoted.format(body)}").body == body.encode()
    assert lengths[0] < 100
