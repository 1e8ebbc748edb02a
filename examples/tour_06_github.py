"""GitHub's webhooks: signed over the body, with the event's name in the header X-GitHub-Event.

In this folder, with the package and `[standard]` in `../.venv` (see the README): run it, and post what GitHub posts
first, from another terminal:

    WEBHOOK_SECRET=try-me ../.venv/bin/webhook-receiver serve tour_06_github:hooks
    WEBHOOK_SECRET=try-me ../.venv/bin/python - <<'END'
    import httpx
    from tour_06_github import hooks
    from webhook_receiver.testing import encode, sign
    body = encode({"zen": "Keep it logically awesome."})
    headers = sign(body, hooks.sender.scheme, headers={"X-GitHub-Event": "ping", "X-GitHub-Delivery": "1"})
    print(httpx.post("http://127.0.0.1:8000/webhooks", content=body, headers=headers).status_code)
    END

Expect 202, and `GitHub knows this receiver now`. For pushes, name the receiver's public URL in the settings of a
repository, with either content type; then expect a line for each.
"""

from typing import Literal

from pydantic import BaseModel

from webhook_receiver import Event, Secret, UnknownEvent, WebhookReceiver
from webhook_receiver.senders.github import github

hooks = WebhookReceiver(sender=github(Secret.from_env("WEBHOOK_SECRET")), inbox="sqlite:///github.db")


class Repository(BaseModel, frozen=True):
    full_name: str


class Commit(BaseModel, frozen=True):
    id: str
    message: str


class Push(Event, frozen=True):
    event: Literal["push"]
    ref: str
    repository: Repository
    commits: list[Commit]


@hooks.on(Push)
async def build(push: Push) -> None:
    print(f"{push.repository.full_name} has {len(push.commits)} new commits on {push.ref}")


@hooks.on("ping")
async def pong(ping: UnknownEvent) -> None:
    print("GitHub knows this receiver now")
