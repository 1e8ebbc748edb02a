"""GitHub's own library for Node, `@octokit/webhooks-methods`: what it signs we verify, and the other way round."""

from __future__ import annotations

import json
import shutil
import subprocess
from base64 import b64encode
from pathlib import Path

import pytest

from tests.helpers import came
from webhook_receiver import VerificationError
from webhook_receiver.delivery import RequestHead
from webhook_receiver.senders import github

from .mutants import COUNT, Pairs, Request, compared, requests

pytestmark = pytest.mark.skipif(
    not (shutil.which("node") and shutil.which("npm")), reason="the library runs on Node, and node or npm is not here"
)

SECRET = "the secret of a peer"
SCHEME = github.signature(SECRET)
SIGNATURE = "x-hub-signature-256"
SCRIPT = """
import { sign, verify } from "@octokit/webhooks-methods";
import { readFileSync } from "node:fs";

const answers = [];
for (const [secret, body, signature] of JSON.parse(readFileSync(0, "utf-8"))) {
  const text = Buffer.from(body, "base64").toString("utf-8");
  const asked = signature === null ? sign(secret, text) : verify(secret, text, signature);
  answers.push(await asked.catch(() => false));
}
console.log(JSON.stringify(answers));
"""


@pytest.fixture(scope="module")
def octokit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the library; npm has a cache of its own. Return the folder of a script that uses it."""
    folder = tmp_path_factory.mktemp("octokit")
    folder.joinpath("package.json").write_text('{"type": "module", "private": true}', encoding="utf-8")
    folder.joinpath("ask.js").write_text(SCRIPT, encoding="utf-8")
    command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "@octokit/webhooks-methods@6"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def ask(folder: Path, questions: list[tuple[bytes, str | None]]) -> list[str | bool]:
    """Return the signature of each body that comes without one, and whether each other signature is right."""
    asked = [(SECRET, b64encode(body).decode(), signature) for body, signature in questions]
    command = ["node", str(folder / "ask.js")]
    done = subprocess.run(
        command, input=json.dumps(asked), cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    answers: list[str | bool] = json.loads(done.stdout)
    return answers


def we_take(request: Request) -> bool:
    try:
        return SCHEME.verify(came(request.headers), 0)(request.body).body
    except VerificationError:
        return False


def genuine(body: bytes, signature: str) -> Pairs:
    return [(b"x-github-delivery", b"72d3162e"), (SIGNATURE.encode(), signature.encode())]


def test_both_ways_with_octokit(octokit: Path) -> None:
    bodies = [b"{}", b'{"zen": "a.b"}', "é☃".encode(), b"x" * 100_000]
    for body, signature in zip(bodies, ask(octokit, [(body, None) for body in bodies]), strict=True):
        assert we_take(Request(genuine(body, str(signature)), body, 0))
    signed = [dict(SCHEME.sign(RequestHead.of({}), body, 0).headers)[SIGNATURE.encode()].decode() for body in bodies]
    assert ask(octokit, list(zip(bodies, signed, strict=True))) == [True] * 4


def test_what_octokit_rejects_is_rejected(octokit: Path) -> None:
    def sign(body: bytes, ago: int) -> Pairs:
        return [*SCHEME.sign(RequestHead.of({"x-github-delivery": "72d3162e"}), body, 0).headers]

    made = [*requests(sign, [SIGNATURE.encode()], lambda rng, value: value.replace(b"sha256", b"sha1"))]
    answers = ask(octokit, [(request.body, request.header(SIGNATURE)) for request in made])
    theirs = {id(request): answer is True for request, answer in zip(made, answers, strict=True)}
    took, rejected, only_we, only_they = compared(made, we_take, lambda request: theirs[id(request)])
    assert (took + rejected, only_we, only_they) == (COUNT, [], [])
    assert min(took, rejected) >= 100
