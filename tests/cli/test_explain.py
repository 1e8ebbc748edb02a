from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.cli.test_commands import on_a_terminal
from tests.helpers import NOW, SECRET, noting, order, signed
from webhook_receiver import HMACBody, Scheme, Sender, UP42Signature
from webhook_receiver.cli import request as request_module
from webhook_receiver.cli.commands import app
from webhook_receiver.delivery import RequestHead
from webhook_receiver.inspector.wording import MASK
from webhook_receiver.senders import registry
from webhook_receiver.senders.github import github
from webhook_receiver.senders.preset import Preset
from webhook_receiver.signatures.secrets import Secrets, masked

BODY = order()
AT = ("--now", f"{NOW:.0f}")


def explain(*arguments: str, **options: object) -> Result:
    return CliRunner().invoke(app, ["explain", *arguments], **options)  # type: ignore[arg-type]


def raw(body: bytes = BODY, *, now: float = NOW, method: str = "POST", more: str = "", genuine: bytes = BODY) -> bytes:
    """Return a saved request, signed for the `genuine` body."""
    lines = [f"{method} /webhooks HTTP/1.1", "Host: x", f"Content-Length: {len(body)}"]
    lines += [f"{name.decode().title()}: {value.decode()}" for name, value in signed(genuine, now=now)]
    return ("\r\n".join(lines) + f"\r\n{more}\r\n").encode() + body


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "request.http"
    path.write_bytes(raw())
    return str(path)


def test_a_good_request_ends_with_0(file: str) -> None:
    done = explain(file, "--secret", SECRET, *AT)
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        f"POST /webhooks, 6 headers, {len(BODY)} bytes of body",
        "taken for UP42, by its headers and body",
        "passed: the headers are those of the scheme",
        "passed: they can be read",
        "passed: one of the secrets gives this signature",
        "passed: its time, if it states one, is within the limits",
        "passed: it covers this body",
        "it verifies, by secret 0 (counted from 0)",
        "event: order.status",
    ]


def test_a_rejected_one_ends_with_1_and_says_what_to_do(file: str) -> None:
    Path(file).write_bytes(raw(json.dumps(json.loads(BODY), indent=2).encode()))
    done = explain(file, "--secret", SECRET, *AT)
    assert done.exit_code == 1
    assert done.stdout.splitlines()[6:9] == [
        "failed: it covers this body - the body is not the one that was signed",
        "it does not verify: BodyMismatch",
        "cause: the JSON was parsed and written again: its spaces, key order or escapes are others",
    ]
    assert "  what to do: verify the bytes as they came" in done.stdout


def test_an_old_one_is_authentic_but_stale_until_the_time_is_given(file: str) -> None:
    done = explain(file, "--secret", SECRET, "--now", "2025-12-13")
    assert done.exit_code == 1
    assert "it is authentic, by secret 0 (counted from 0), but stale" in done.stdout
    assert "that is natural for a saved request" in done.stdout
    assert done.stdout.splitlines()[-1] == "for a saved request, verify as of the time it was signed: --now signed"
    moment = datetime.fromtimestamp(NOW, UTC).isoformat()
    for given in ("signed", f"{NOW:.0f}", f"{NOW}", moment):
        assert explain(file, "--secret", SECRET, "--now", given).exit_code == 0
    assert explain(file, "--secret", SECRET).exit_code == 1


def test_without_now_it_is_compared_with_the_clock(tmp_path: Path) -> None:
    path = tmp_path / "fresh"
    path.write_bytes(raw(now=time.time()))
    assert explain(str(path), "--secret", SECRET).exit_code == 0
    assert explain(str(path), "--secret", SECRET, "--now", "2h").exit_code == 1


def test_for_programs_it_is_one_json_document(file: str) -> None:
    done = explain(file, "--secret", "other", *AT, "--json")
    assert done.exit_code == 1
    document = json.loads(done.stdout)
    assert (document["method"], document["target"], document["scheme"]) == ("POST", "/webhooks", "up42")
    assert (document["ok"], document["error"], document["causes"]) == (False, "BadSignature", [])
    assert [step["state"] for step in document["steps"]] == ["passed", "passed", "failed", "not reached", "not reached"]


def test_on_a_terminal_there_are_ticks_and_crosses_in_colour(file: str) -> None:
    Path(file).write_bytes(raw(BODY + b"\n"))
    code, shown = on_a_terminal("explain", file, "--secret", SECRET, *AT)
    assert code == 1
    assert "\x1b[32m✓ they can be read" in shown
    assert "\x1b[31m✗ it covers this body" in shown


def test_it_is_read_from_stdin() -> None:
    assert explain("-", "--secret", SECRET, *AT, input=raw()).exit_code == 0


def test_it_may_be_a_curl_command_as_text_or_in_a_file(tmp_path: Path) -> None:
    headers = " ".join(f"-H '{name.decode()}: {value.decode()}'" for name, value in signed(BODY))
    command = f"curl http://x/webhooks {headers} --data-raw '{BODY.decode()}'"
    assert explain(command, "--secret", SECRET, *AT).exit_code == 0
    tmp_path.joinpath("body").write_bytes(BODY)
    tmp_path.joinpath("command").write_text(command.replace(f"'{BODY.decode()}'", "@body").replace("-raw", "-binary"))
    assert explain(str(tmp_path / "command"), "--secret", SECRET, *AT).exit_code == 0


def test_it_may_be_an_entry_of_a_har(tmp_path: Path) -> None:
    headers = [{"name": name.decode(), "value": value.decode()} for name, value in signed(BODY)]
    entry = {"request": {"method": "POST", "url": "/", "headers": headers, "postData": {"text": BODY.decode()}}}
    path = tmp_path / "saved.har"
    path.write_text(json.dumps({"log": {"entries": [{"request": {}}, entry]}}))
    assert explain(str(path), "--secret", SECRET, *AT, "--entry", "2").exit_code == 0
    several = explain(str(path), "--secret", SECRET, *AT)
    assert several.exit_code == 2
    assert "this HAR has 2 entries" in several.stderr


def test_secrets_come_from_options_files_or_the_environment(file: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET}\n")
    several = explain(file, "--secret", "a b", "--secret", "c", "--secret-file", str(secret), *AT)
    assert "by secret 2" in several.stdout
    assert explain(file, *AT, env={"WEBHOOK_SECRET": SECRET}).exit_code == 0
    assert explain(file, *AT, "--secret", "x", env={"WEBHOOK_SECRET": SECRET}).exit_code == 1


def test_no_secret_is_shown(file: str) -> None:
    for secret in (f'"{SECRET}"', SECRET.lower()):
        done = explain(file, "--secret", secret, *AT)
        assert secret not in done.output
        assert SECRET not in done.output


def test_what_is_odd_about_the_request_is_noted(file: str) -> None:
    Path(file).write_bytes(raw(method="GET") + b"\n")
    done = explain(file, "--secret", SECRET, *AT)
    assert done.exit_code == 1
    assert "note: the file goes on 1 bytes" in done.stdout
    assert "cause: it is no POST: a receiver answers 405, before it verifies" in done.stdout


LARGE = order(note="x" * 1_500_000)


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (raw(more="Content-Encoding: gzip\r\n"), "UnsupportedEncoding"),
        (raw(LARGE, genuine=LARGE), "BodyTooLarge"),
    ],
    ids=["compressed", "large"],
)
def test_what_a_receiver_does_not_read_is_not_said_to_verify(file: str, request_: bytes, error: str) -> None:
    Path(file).write_bytes(request_)
    done = explain(file, "--secret", SECRET, *AT)
    assert done.exit_code == 1
    assert "failed: a receiver reads it" in done.stdout
    assert f"it is authentic, by secret 0 (counted from 0), but a receiver rejects it before it verifies: {error}" in (
        done.stdout
    )


def test_what_a_stranger_wrote_moves_no_cursor(tmp_path: Path) -> None:
    path = tmp_path / "request"
    path.write_bytes(b"POST /\x9b\xff HTTP/1.1\r\nSignature-Input: up42-sig=(\x1b)\r\n\r\n")
    done = explain(str(path), "--secret", SECRET)
    assert done.exit_code in (1, 2)
    assert "\x1b" not in done.output
    assert "\x9b" not in done.output


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["missing"], "No such file or directory"),
        ([""], "cannot read"),
        (["."], "Is a directory"),
        (["curl -F a=b http://x"], "option -F is not understood"),
        (["FILE", "--sender", "md5"], "there is no sender 'md5'"),
        (["FILE", "--now", "yesterday"], "neither a span of time"),
        (["FILE", "--entry", "1"], "only a HAR has entries"),
        (["FILE", "--secret-file", "missing"], "cannot read a secret from missing"),
        (["FILE", "--secret", ""], "must not be empty"),
        ([], "Missing argument 'REQUEST'"),
    ],
)
def test_bad_usage_ends_with_2(arguments: list[str], complaint: str, file: str) -> None:
    given = [file if each == "FILE" else each for each in arguments]
    done = explain(*given, *(() if "--secret-file" in given else ("--secret", SECRET)))
    assert done.exit_code == 2
    assert complaint in " ".join(done.stderr.split())


def test_without_a_secret_it_says_how_to_give_one(file: str) -> None:
    done = explain(file)
    assert done.exit_code == 2
    assert "give the receiver's secret" in done.stderr


def test_an_empty_input_is_told() -> None:
    done = explain("-", "--secret", SECRET, input=b" \n")
    assert done.exit_code == 2
    assert "the standard input is empty" in done.stderr


async def kept(directory: Path, body: bytes) -> tuple[str, str]:
    """Keep a delivery; return the inbox's URL and the id."""
    url = f"sqlite:///{directory}/hooks.db"
    noted = noting(scheme=UP42Signature(["older", SECRET]), inbox=url)
    async with noted.hooks:
        receipt = await noted.hooks.receive(signed(body), body)
    assert receipt.delivery is not None
    return url, receipt.delivery.id


async def test_of_a_kept_delivery_it_says_what_is_known(tmp_path: Path) -> None:
    import anyio.to_thread

    url, id = await kept(tmp_path, b"no event")
    done = await anyio.to_thread.run_sync(lambda: explain("--inbox", url, id))
    assert done.exit_code == 0
    assert "it was verified when it came, by secret 1 (counted from 0); the signature covers the body" in done.stdout
    assert "it is dead: " in done.stdout
    assert "nothing can be verified again" in done.stdout
    document = json.loads((await anyio.to_thread.run_sync(lambda: explain("--inbox", url, id, "--json"))).stdout)
    assert (document["id"], document["verified_by"], document["body_verified"]) == (id, 1, True)
    missing = await anyio.to_thread.run_sync(lambda: explain("--inbox", url, "nothing"))
    assert (missing.exit_code, "there is no delivery 'nothing'" in missing.stderr) == (1, True)


def test_a_host_that_is_nowhere_in_the_request_is_found_by_the_url_that_the_sender_posts_to() -> None:
    saved = str(Path(__file__).parents[1] / "explain" / "requests" / "nginx-host.http")
    at = ("--secret", SECRET, "--now", "signed")
    told = explain(saved, *at)
    assert "cause: " not in told.stdout
    assert "is tried if you give the URL that the sender posts to (--url, url=)" in told.stdout
    found = explain(saved, *at, "--url", "https://hooks.example.com/webhooks")
    assert "cause: the host was replaced" in found.stdout
    assert "--url" not in found.stdout
    assert explain(saved, *at, "--url", "no url").exit_code == 2


@pytest.mark.parametrize(
    ("options", "secret", "says"),
    [
        ([], "theirs", "taken for Second, since the secret verifies it so"),
        ([], "wrong", "taken for First, by its headers and body; Second would send the same: --sender NAME says whose"),
        (["--sender", "second"], "theirs", "checked as Second, as you say"),
        (["--sender", "third"], "theirs", "checked as Third, as you say; it looks like a delivery of First or Second"),
    ],
)
def test_of_several_senders_with_such_requests_the_secret_tells_whose_it_is(
    options: list[str], secret: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {
        "first": of_one_header("first", prefix_of_key="not-"),
        "second": of_one_header("second"),
        "third": of_one_header("third", signature="x-third"),
    }
    for module in (registry, request_module):
        monkeypatch.setattr(module, "presets", lambda: known)
    head = known["second"].make("theirs").sign(RequestHead.of({}), BODY, NOW)
    path = tmp_path / "request"
    path.write_bytes(b"\r\n".join([b"POST /in HTTP/1.1", *(b"%b: %b" % pair for pair in head.headers), b"", BODY]))
    done = explain(str(path), *options, "--secret", secret)
    assert says in done.stdout, done.output
    document = json.loads(explain(str(path), *options, "--secret", secret, "--json").stdout)
    assert document["likely"] == ["first", "second"]


def of_one_header(name: str, *, signature: str = "x-signature", prefix_of_key: str = "") -> Preset:
    def make(secret: Secrets) -> Scheme:
        return HMACBody([prefix_of_key + each.get_secret_value() for each in masked(secret)], signature=signature)

    def sender(secret: Secrets) -> Sender:
        return Sender(name=name, scheme=make(secret), facts=("made up",))

    return Preset(name, name.title(), sender, make, (signature,))


OWN = """
from webhook_receiver import HMACBody, Sender, WebhookReceiver
acme = Sender(name="acme", scheme=HMACBody("secret", signature="x-acme-signature"), facts=("x",))
hooks = WebhookReceiver(sender=acme)
"""


BOUNDED = """
from webhook_receiver import AllowFrom, AnyOf, HMACBody, SecretsByRequest, Sender, WebhookReceiver
def scheme(secret="secret", network="192.0.2.0/24"):
    return AllowFrom([network], HMACBody(secret, signature="x-acme-signature"))
def of(name, scheme, **options):
    return WebhookReceiver(sender=Sender(name=name, scheme=scheme, facts=("x",)), name=name, **options)
large = of("large", scheme(), max_body=5_000_000)
small = of("small", scheme(), max_body=1000)
either = of("either", AnyOf(scheme("older", "198.51.100.0/24"), scheme()))
async def secrets_of(tenant): return "secret"
tenants = of("tenants", SecretsByRequest(secrets_of, scheme, tenant="header:x-tenant", example="secret"))
"""


def of_acme(secret: str, body: bytes = b"{}") -> str:
    head = HMACBody(secret, signature="x-acme-signature").sign(RequestHead.of({}), body, NOW)
    (value,) = [value.decode() for name, value in head.headers if name == b"x-acme-signature"]
    return f"curl http://x/in -H 'X-Tenant: a' -H 'X-Acme-Signature: {value}' -d '{body.decode()}'"


@pytest.mark.parametrize(("secret", "ok"), [("secret", True), ("another", False)])
def test_a_sender_of_the_users_own_is_that_of_a_receiver(
    secret: str, ok: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tmp_path.joinpath("own_acme.py").write_text(OWN, encoding="utf-8")
    done = explain(of_acme(secret), "--hooks", "own_acme:hooks")
    assert done.exit_code == (0 if ok else 1)
    assert "checked as acme, the sender of your receiver" in done.stdout
    assert ("it verifies" in done.stdout) is ok
    document = json.loads(explain(of_acme(secret), "--hooks", "own_acme:hooks", "--json").stdout)
    assert (document["scheme"], document["chosen_by"], document["ok"]) == ("acme", "receiver", ok)


@pytest.mark.parametrize(("receiver", "ok"), [("large", True), ("small", False)])
def test_a_receiver_has_its_own_largest_body(
    receiver: str, ok: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tmp_path.joinpath("bounded_acme.py").write_text(BOUNDED, encoding="utf-8")
    body = b'{"padding": "' + b"x" * (2_000_000 if ok else 1000) + b'"}'
    done = explain("-", "--hooks", f"bounded_acme:{receiver}", input=of_acme("secret", body))
    assert (done.exit_code, "larger than the receiver's max_body" in done.stdout) == (0 if ok else 1, not ok)


@pytest.mark.parametrize("receiver", ["large", "either"])
def test_what_is_signed_is_explained_where_only_some_addresses_are_let_in(
    receiver: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The saved request does not tell the address."""
    monkeypatch.chdir(tmp_path)
    tmp_path.joinpath("bounded_acme.py").write_text(BOUNDED, encoding="utf-8")
    for secret, verdict in (("secret", "it verifies"), ("another", "it does not verify: BadSignature")):
        shown = explain(of_acme(secret), "--hooks", f"bounded_acme:{receiver}").stdout
        assert verdict in shown
        assert "does not tell which address it came from: that was not checked" in shown
        assert "trusted_proxies" not in shown


def test_where_a_tenant_has_networks_it_is_said_that_the_address_is_not_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tmp_path.joinpath("bounded_acme.py").write_text(BOUNDED, encoding="utf-8")
    shown = explain(of_acme("secret"), "--hooks", "bounded_acme:tenants").stdout
    assert "it comes from an allowed address - the receiver lets in its networks alone, and a saved" in shown
    assert "trusted_proxies" not in shown
    assert "check the secret" not in shown


def test_what_stands_for_the_secret_of_a_receiver_is_another_one_in_each_process() -> None:
    told = "from webhook_receiver.cli.request import ITS_OWN; print(ITS_OWN.get_secret_value())"
    command = [sys.executable, "-c", told]
    first, second = (subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2))
    assert len(first) > 32
    assert first != second


def test_nobody_signs_with_what_stands_for_the_secret_of_a_receiver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stranger who knew it would have his own cause told: that the receiver needs another sender."""
    monkeypatch.chdir(tmp_path)
    tmp_path.joinpath("own_acme.py").write_text(OWN, encoding="utf-8")
    head = RequestHead.of({"x-github-event": "issues", "x-github-delivery": "1"})
    head = github("of the receiver itself").scheme.sign(head, b"{}", NOW)
    named = [f"-H '{name.decode()}: {value.decode()}'" for name, value in head.headers]
    done = explain(f"curl http://x/in {' '.join(named)} -d '{{}}'", "--hooks", "own_acme:hooks")
    assert done.exit_code == 1
    assert "signed as GitHub" not in done.stdout


WITH_HANDLERS = """
from webhook_receiver import Sender, Unsigned, WebhookReceiver
from webhook_receiver.senders import Split
acme = Sender(name="acme", scheme=Unsigned(), split=Split("events.*"), event_name="type", facts=("x",))
hooks = WebhookReceiver(sender=acme)
hooks.on("moved", name="map")(print)
hooks.on("moved", name="mail", where=lambda event: event.model_extra["far"])(print)
"""


def test_with_a_receiver_it_says_which_handlers_would_run_for_each_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tmp_path.joinpath("with_handlers.py").write_text(WITH_HANDLERS, encoding="utf-8")
    events = [{"type": "moved", "far": True}, {"type": "moved", "far": False}, {"type": "added"}, 7]
    request = f"curl http://x/in -d '{json.dumps({'events': events})}'"
    done = explain(request, "--hooks", "with_handlers:hooks")
    assert done.exit_code == 0
    assert [line for line in done.stdout.splitlines() if line.startswith(("event", "  "))] == [
        "event 0 of 4: moved",
        "  handled by map, mail",
        "event 1 of 4: moved",
        "  handled by map",
        "event 2 of 4: added",
        "  no handler of the receiver takes it",
        "event 3 of 4: without a name",
    ]
    document = json.loads(explain(request, "--hooks", "with_handlers:hooks", "--json").stdout)
    assert [each["handlers"] for each in document["events"]] == [["map", "mail"], ["map"], [], None]


def test_a_request_of_no_known_sender_is_judged_as_nobodys() -> None:
    done = explain(of_acme("secret"), "--secret", "secret")
    assert done.exit_code == 1
    assert "UP42" not in done.stdout
    assert "it is not known whose it is" in done.stdout
    assert "--hooks MODULE:HOOKS" in done.stdout
    document = json.loads(explain(of_acme("secret"), "--secret", "secret", "--json").stdout)
    assert (document["ok"], document["scheme"], document["steps"]) == (False, None, [])


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://ann:s3cret@x.example/in?code=s3cret&a=1", f"https://{MASK}@x.example/in?code={MASK}&a=1"),
        ("ann:s3cret@x.example/in", f"{MASK}@x.example/in"),
        ("/in?sig=s3cret", f"/in?sig={MASK}"),
    ],
)
@pytest.mark.parametrize("sender", [[], ["--sender", "github"]])
def test_what_is_a_secret_in_the_url_is_not_printed(address: str, shown: str, sender: list[str]) -> None:
    arguments = (f"curl '{address}' -d '{{}}'", "--secret", "another", *sender)
    people, program = explain(*arguments).stdout, explain(*arguments, "--json").stdout
    assert people.startswith(f"POST {shown}, ")
    assert json.loads(program)["target"] == shown
    assert "s3cret" not in people + program


def test_the_sender_is_said_by_either_word(file: str) -> None:
    assert explain(file, "--secret", SECRET, *AT, "--as", "up42").stdout == (
        explain(file, "--secret", SECRET, *AT, "--sender", "up42").stdout
    )


@pytest.mark.parametrize("more", [("--sender", "slack"), ("--secret", "x"), ("--now", "2h"), ("--hooks", "app:hooks")])
def test_a_stored_delivery_is_asked_for_by_its_id_alone(more: tuple[str, str], tmp_path: Path) -> None:
    done = explain("--inbox", f"sqlite:///{tmp_path}/hooks.db", "id", *more)
    assert (done.exit_code, "its id alone" in " ".join(done.stderr.split())) == (2, True)


@pytest.mark.parametrize("more", [("--sender", "slack"), ("--secret", "x"), ("--verify-token", "x")])
def test_a_receiver_has_its_own_sender_and_secret(more: tuple[str, str], file: str) -> None:
    done = explain(file, "--hooks", "app:hooks", *more)
    assert (done.exit_code, "its own sender and secret" in " ".join(done.stderr.split())) == (2, True)


@pytest.mark.parametrize(("url", "asks"), [((), True), (("--url", "https://example.com/in"), False)])
def test_where_the_signed_url_is_not_known_the_option_that_says_it_is_told(
    url: tuple[str, ...], asks: bool, tmp_path: Path
) -> None:
    path = tmp_path / "request.http"
    path.write_bytes(b"POST /in HTTP/1.1\r\nX-Twilio-Signature: AA==\r\nContent-Length: 3\r\n\r\na=b")
    shown = explain(str(path), "--secret", "s", *url).stdout
    assert ("--url https://" in shown) is asks


def test_an_unproven_challenge_is_told_once() -> None:
    asked = """curl http://x/in -H 'Content-Type: application/json' -d '{"type":"url_verification","challenge":"c"}'"""
    shown = explain(asked, "--secret", "s", "--as", "slack").stdout
    assert "it is a challenge of Slack, and would be answered if it were proven" in shown
    assert "it may be a challenge" not in shown


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ((), "say that by --verify-token"),
        (("--verify-token", "hammock"), "a receiver answers 200, 1158"),
        (("--verify-token", "other"), "its token is not the receiver's own"),
    ],
)
def test_a_challenge_with_a_token_is_answered_if_the_token_is_said(token: tuple[str, ...], said: str) -> None:
    asked = "curl 'http://x/in?hub.mode=subscribe&hub.challenge=1158&hub.verify_token=hammock'"
    assert said in explain(asked, "--secret", "s", *token).stdout
