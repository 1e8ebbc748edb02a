"""Where a server cannot listen: a sentence that says why and what to do, before anything is served."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from typer import Exit

from tests.commands import run
from webhook_receiver.cli.addresses import check_address, check_descriptor, check_socket

NOT_OURS = "192.0.2.1"  # of RFC 5737, for documents


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket may not be long


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", ""])
def test_an_address_of_this_machine_is_free_afterwards(host: str) -> None:
    for _ in range(2):
        check_address(host, 0)


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("no.such.name.invalid", "no address has this name"),
        ("." * 70, "no address has this name"),
        (NOT_OURS, "it is no address of this machine"),
    ],
)
@pytest.mark.parametrize("prefix", ["--", "--health-"])
def test_a_host_that_is_not_ours_is_told(host: str, why: str, prefix: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Exit) as ended:
        check_address(host, 0, prefix=prefix)
    assert ended.value.exit_code == 1
    assert complaint(capsys) == (
        f"cannot listen on {host}: {why}; give {prefix}host an address of this machine, such as 127.0.0.1, or 0.0.0.0 "
        "for all of them"
    )


def test_a_port_that_is_taken_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(Exit):
        check_address("127.0.0.1", taken.getsockname()[1], prefix="--health-")
    assert "Address already in use; take another --health-port" in complaint(capsys)


def test_a_socket_may_be_a_new_one_or_one_that_nobody_listens_on(tmp_path: Path) -> None:
    check_socket("new.sock")
    assert not tmp_path.joinpath("new.sock").exists()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind("left.sock")
    check_socket("left.sock")
    assert tmp_path.joinpath("left.sock").is_socket()


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("no/such/folder/x.sock", "there is no folder"),
        ("x" * 120, "a socket's path has about 100 characters at most, not 120"),
        ("x" * 300, "a socket's path has about 100 characters at most, not 300"),
        ("a file", "it is there, and no socket"),
        (".", "it is there, and no socket"),
        ("", "it is there, and no socket"),
        ("a file/x.sock", "Not a directory"),
    ],
)
def test_a_path_that_can_be_no_socket_is_told_and_left_alone(
    path: str, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tmp_path.joinpath("a file").write_text("mine", encoding="utf-8")
    with pytest.raises(Exit):
        check_socket(path)
    assert f"cannot listen on {path}: {why}".replace("  ", " ") in complaint(capsys)
    assert tmp_path.joinpath("a file").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("goal", ["gone.sock", "no/such/folder.sock", "link.sock"])
def test_a_link_to_nothing_is_told_and_left_alone(goal: str, capsys: pytest.CaptureFixture[str]) -> None:
    link = Path("link.sock")
    link.symlink_to(goal)
    with pytest.raises(Exit):
        check_socket("link.sock")
    assert f"cannot listen on link.sock: it is a link to {goal}, where nothing is; remove the link" in complaint(capsys)
    assert link.is_symlink()


def test_a_socket_that_another_process_listens_on_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind("taken.sock")
        other.listen()
        with pytest.raises(Exit):
            check_socket("taken.sock")
    assert "another process does" in complaint(capsys)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_a_passed_socket_that_listens_is_fine_and_stays_open(family: socket.AddressFamily) -> None:
    with socket.socket(family) as passed:
        if family is socket.AF_UNIX:
            passed.bind("passed.sock")
        passed.listen()
        check_descriptor(passed.fileno())
        assert passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)


@pytest.mark.parametrize("what", ["a file", "a socket that does not listen", "nothing"])
def test_a_passed_descriptor_that_is_no_socket_that_listens_is_told(
    what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with Path("a file").open("w", encoding="utf-8") as file, socket.socket() as silent:
        number = {"a file": file.fileno(), "a socket that does not listen": silent.fileno(), "nothing": 1_000_000}[what]
        with pytest.raises(Exit):
            check_descriptor(number)
        assert not file.closed
    assert f"cannot listen on the file descriptor {number}: it is no socket that listens" in complaint(capsys)


@pytest.mark.parametrize(
    "options",
    [
        ["serve", "app:hooks", "--fd", "1"],
        ["serve", "app:hooks", "--uds", "no/such/x.sock"],
        ["serve", "app:hooks", "--workers", "2", "--uds", "app.py"],
        ["serve", "app:hooks", "--host", NOT_OURS],
        ["worker", "app:hooks", "--health-port", "0", "--health-host", NOT_OURS],
    ],
)
def test_a_server_says_so_and_nothing_else(options: list[str], tmp_path: Path) -> None:
    code = (
        "from webhook_receiver import WebhookReceiver\nhooks = WebhookReceiver(secret='s', inbox='sqlite:///hooks.db')"
    )
    tmp_path.joinpath("app.py").write_text(code, encoding="utf-8")
    done = run(*options, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("cannot listen on ")
    assert done.stderr.count("\n") == 1
    assert tmp_path.joinpath("app.py").read_text(encoding="utf-8") == code
