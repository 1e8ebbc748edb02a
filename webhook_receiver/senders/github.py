"""The sender GitHub: an HMAC over the body. Event name and delivery id are in headers that are not signed."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

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
        ),
        decode=form_document,  # of "content type": application/x-www-form-urlencoded, which its form preselects
        event_header="X-GitHub-Event",
        event_members=EVENT_MEMBERS,
        delivery_id="X-GitHub-Delivery",
    )


PRESETS = (
    Preset(
        "github",
        "GitHub",
        github,
        signature,
        ("x-hub-signature-256",),
        marks=("x-github-event", "x-github-delivery", "x-github-hook-id"),
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
                "No time is signed: a copy of a delivery is told by its id alone.",
                "With the content type that its form preselects, the JSON is in the field payload of a form.",
            ),
        ),
    ),
)
