"""GitHub's webhooks: signed over the body, with the event's name in the header X-GitHub-Event.

Run it, and name its URL in the settings of a repository, with the content type application/json:

    WEBHOOK_SECRET=try-me webhook-receiver serve tour_06_github:hooks

Expect `GitHub knows this receiver now` at once, and a line for each push.
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
