"""The sender GitHub: an HMAC over the body. Event name and delivery id are in headers that are not signed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal

from pydantic import BaseModel

from ..events import Event
from ..signatures.hmac_body import HMACBody
from ..signatures.secrets import Secrets
from .base import Sender
from .form import form_document
from .page import Page
from .preset import Preset


def signature(secrets: Secrets) -> HMACBody:
    """Return GitHub's scheme (docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries)."""
    return HMACBody(secrets, signature="x-hub-signature-256", prefix="sha256=")


EVENT_MEMBERS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        event: frozenset(members.split())
        for event, members in {
            "push": "commits pusher",
            "create": "ref_type master_branch",
            "delete": "ref_type",
            "fork": "forkee",
            "gollum": "pages",
            "ping": "zen hook",
            "meta": "hook",
            "page_build": "build",
            "star": "starred_at",
            "status": "sha state context",
            "repository_dispatch": "branch client_payload",
            "workflow_dispatch": "inputs workflow",
            "workflow_job": "workflow_job",
            "deployment_review": "workflow_run since",
            "deployment_status": "deployment deployment_status",
            "deployment": "deployment",
            "workflow_run": "workflow_run",
            "check_run": "check_run",
            "check_suite": "check_suite",
            "issue_comment": "issue comment",
            "issues": "issue",
            "pull_request_review": "pull_request review",
            "pull_request_review_comment": "pull_request comment",
            "pull_request_review_thread": "pull_request thread",
            "pull_request": "pull_request",
            "discussion_comment": "discussion comment",
            "discussion": "discussion",
            "commit_comment": "comment",
            "merge_group": "merge_group",
            "release": "release",
            "label": "label",
            "milestone": "milestone",
            "membership": "member team",
            "member": "member",
            "team": "team",
            "team_add": "team",
            "org_block": "blocked_user",
            "code_scanning_alert": "alert commit_oid",
            "secret_scanning_alert_location": "alert location",
            "dependabot_alert": "alert",
            "repository_vulnerability_alert": "alert",
            "secret_scanning_alert": "alert",
            "branch_protection_rule": "rule",
            "custom_property": "definition",
            "deploy_key": "key",
            "installation_repositories": "repositories_added",
            "installation_target": "target_type",
            "marketplace_purchase": "marketplace_purchase",
            "package": "package",
            "registry_package": "registry_package",
            "projects_v2_item": "projects_v2_item",
            "project_card": "project_card",
            "project_column": "project_column",
            "project": "project",
            "security_advisory": "security_advisory",
            "sponsorship": "sponsorship",
            **dict.fromkeys(
                (
                    "branch_protection_configuration",
                    "custom_property_values",
                    "github_app_authorization",
                    "installation",
                    "organization",
                    "public",
                    "repository",
                    "repository_import",
                    "watch",
                ),
                "",
            ),
        }.items()
    }
)
"""The members by which GitHub's documents tell their events: those that its schemas require, and no other event has."""


_REPOSITORY: Mapping[str, Any] = {
    "id": 35129377,
    "name": "parcels",
    "full_name": "octocat/parcels",
    "private": False,
    "owner": {"login": "octocat", "id": 583231},
    "html_url": "https://github.com/octocat/parcels",
    "default_branch": "main",
}
_USER: Mapping[str, Any] = {"login": "octocat", "id": 583231, "type": "User"}
_COMMIT: Mapping[str, Any] = {
    "id": "0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c",
    "message": "Find lost parcels",
    "timestamp": "2026-11-24T12:03:08+01:00",
    "author": {"name": "Mona Lisa", "email": "mona@example.com", "username": "octocat"},
    "added": [],
    "removed": [],
    "modified": ["README.md"],
}

SAMPLES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "push": {
            "ref": "refs/heads/main",
            "before": "6113728f27ae82c7b1a177c8d03f9e96e0adf246",
            "after": _COMMIT["id"],
            "created": False,
            "deleted": False,
            "forced": False,
            "commits": [_COMMIT],
            "head_commit": _COMMIT,
            "repository": _REPOSITORY,
            "pusher": {"name": "octocat", "email": "mona@example.com"},
            "sender": _USER,
        },
        "pull_request": {
            "action": "opened",
            "number": 2,
            "pull_request": {
                "id": 279147437,
                "number": 2,
                "state": "open",
                "title": "Find lost parcels",
                "user": _USER,
                "head": {"ref": "lost", "sha": _COMMIT["id"]},
                "base": {"ref": "main", "sha": "6113728f27ae82c7b1a177c8d03f9e96e0adf246"},
                "draft": False,
                "merged": False,
            },
            "repository": _REPOSITORY,
            "sender": _USER,
        },
        "issues": {
            "action": "opened",
            "issue": {"id": 444500041, "number": 1, "title": "A parcel is lost", "state": "open", "user": _USER},
            "repository": _REPOSITORY,
            "sender": _USER,
        },
        "ping": {
            "zen": "Keep it logically awesome.",
            "hook_id": 109948940,
            "hook": {"type": "Repository", "id": 109948940, "name": "web", "active": True, "events": ["push"]},
            "repository": _REPOSITORY,
            "sender": _USER,
        },
    }
)
"""A few members each of the documents that docs.github.com/en/webhooks/webhook-events-and-payloads describes; the
values are made up."""


class _Part(BaseModel, frozen=True, extra="allow", hide_input_in_errors=True):
    """A part of GitHub's documents. Fields that it does not declare are in `model_extra`."""


class User(_Part, frozen=True):
    """A user, an organization or an app."""

    id: int
    login: str


class Repository(_Part, frozen=True):
    """A repository."""

    id: int
    name: str
    full_name: str
    private: bool
    html_url: str


class Commit(_Part, frozen=True):
    """A commit of a push."""

    id: str
    message: str
    timestamp: datetime


class Push(Event, frozen=True):
    """The event `push`: a branch or a tag was pushed, made or deleted."""

    event: Literal["push"]
    ref: str
    before: str
    after: str
    created: bool
    deleted: bool
    forced: bool
    commits: tuple[Commit, ...]
    head_commit: Commit | None
    repository: Repository


class PullRequestDetails(_Part, frozen=True):
    """A pull request."""

    id: int
    number: int
    title: str
    state: str


class PullRequest(Event, frozen=True):
    """The event `pull_request`: what `action` says happened to a pull request."""

    event: Literal["pull_request"]
    action: str
    number: int
    pull_request: PullRequestDetails
    repository: Repository
    sender: User


class Issue(_Part, frozen=True):
    """An issue."""

    id: int
    number: int
    title: str


class Issues(Event, frozen=True):
    """The event `issues`: what `action` says happened to an issue."""

    event: Literal["issues"]
    action: str
    issue: Issue
    repository: Repository
    sender: User


class Ping(Event, frozen=True):
    """The event `ping`: the webhook was made."""

    event: Literal["ping"]
    zen: str
    hook_id: int


def github(secret: Secrets) -> Sender:
    """Return the sender GitHub.

    Args:
        secret: the webhook's secret, or several while it is changed.

    Raises:
        ConfigurationError: a secret cannot work.
    """
    return Sender(
        name="github",
        scheme=signature(secret),
        facts=(
            "docs.github.com/en/webhooks, read in November 2026",
            "signatures compared with gidgethub and octokit, see tests/signatures/test_peers.py",
            "members of documents: the schemas in @octokit/webhooks-schemas 7.6.1",
            "a body has at most 25 MB: docs.github.com/en/webhooks/webhook-events-and-payloads, under payload cap",
        ),
        decode=form_document,  # of "content type": application/x-www-form-urlencoded, which its form preselects
        event_header="X-GitHub-Event",
        event_members=EVENT_MEMBERS,
        delivery_id="X-GitHub-Delivery",
        max_body=25_000_000,
    )


PRESETS = (
    Preset(
        "github",
        "GitHub",
        github,
        signature,
        ("x-hub-signature-256",),
        marks=("x-github-event", "x-github-delivery", "x-github-hook-id"),
        samples=SAMPLES,
        events=(Push, PullRequest, Issues, Ping),
        page=Page(
            trade="code hosts",
            docs="docs.github.com/en/webhooks",
            setup=(
                "In the repository or organization, Settings, Webhooks, Add webhook: the URL, a content type, a secret "
                "of your own, and the events."
            ),
            answer="Any 2xx within 10 seconds. Nothing is sent again by itself: redeliver it by hand or by the API.",
            traps=(
                "Event name and delivery id are in headers that are not signed.",
                "No time is signed: a copy of a delivery is told by its equal body, as long as the inbox has it.",
                "With the content type that its form preselects, the JSON is in the field payload of a form.",
            ),
            verified=("gidgethub 6.0.0 (Python), @octokit/webhooks-methods 6.0.0 (Node)", "2026-11-29"),
        ),
    ),
)
