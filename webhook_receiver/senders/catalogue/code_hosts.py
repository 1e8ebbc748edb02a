"""Hosts of code, builds and their errors that a row each tells."""

from __future__ import annotations

from functools import partial

from ...signatures.bearer_jwt import BearerJWT
from ...signatures.hmac_body import HMACBody
from ...signatures.shared_secret import HeaderSecret
from ..base import Sender
from ..form import form_document
from ..page import Page
from .row import row

PRESETS = (
    row(
        "gitlab",
        "GitLab",
        partial(HeaderSecret, header="x-gitlab-token"),
        partial(
            Sender,
            facts=(
                "gidgetlab 2.1.2 for Python, run in November 2026; n8n-nodes-base 2.41.2, read in November 2026",
                "docs.gitlab.com/user/project/integrations/webhooks, read in November 2026",
                "gitlab.com/gitlab-org/gitlab/-/merge_requests/230944: the signing token is of Standard Webhooks",
                "gitlab.com/gitlab-org/gitlab/-/merge_requests/38687: a body has at most 25 MB",
            ),
            event_header="X-Gitlab-Event",
            delivery_id="Idempotency-Key",
            max_body=25 * 1024 * 1024,
        ),
        ("x-gitlab-token",),
        marks=("x-gitlab-event", "x-gitlab-instance", "x-gitlab-webhook-uuid"),
        page=Page(
            trade="code hosts",
            docs="docs.gitlab.com/user/project/integrations/webhooks",
            setup="In the project or group, Settings, Webhooks: the URL, a secret token of your own, and the events.",
            answer="Any 2xx within 10 seconds.",
            traps=(
                "Events are named as in X-Gitlab-Event, such as Push Hook, not as by object_kind in the body.",
                "Webhooks that webhooks set off share one X-Gitlab-Event-UUID, so that is no id of a delivery.",
                "A hook with a signing token is signed by Standard Webhooks: take standard_webhooks for it.",
            ),
            verified=("gidgetlab 2.1.2 (Python)", "2026-11-29"),
        ),
    ),
    row(
        "forgejo",
        "Forgejo",
        partial(HMACBody, signature="x-forgejo-signature"),
        partial(
            Sender,
            facts=("forgejo.org/docs/latest/user/webhooks, read in November 2026",),
            decode=form_document,
            event_header="X-Forgejo-Event",
            delivery_id="X-Forgejo-Delivery",
        ),
        ("x-forgejo-signature",),
        marks=("x-forgejo-event", "x-forgejo-event-type", "x-forgejo-delivery"),
        page=Page(
            trade="code hosts",
            docs="forgejo.org/docs/latest/user/webhooks",
            setup="In the settings of the repository or organization, Webhooks: the URL by POST, a secret of your own.",
            traps=("It sends the headers of Gitea and GitHub as well.",),
        ),
    ),
    row(
        "gitea",
        "Gitea",
        partial(HMACBody, signature="x-gitea-signature"),
        partial(
            Sender,
            facts=("docs.gitea.com/usage/repository/webhooks, read in November 2026",),
            decode=form_document,
            event_header="X-Gitea-Event",
            delivery_id="X-Gitea-Delivery",
        ),
        ("x-gitea-signature",),
        marks=("x-gitea-event", "x-gitea-event-type", "x-gitea-delivery"),
        page=Page(
            trade="code hosts",
            docs="docs.gitea.com/usage/repository/webhooks",
            setup="In the settings of the repository or organization, Webhooks: the URL by POST, a secret of your own.",
            traps=("It sends the headers of GitHub and Gogs as well.",),
        ),
    ),
    row(
        "bitbucket",
        "Bitbucket Cloud",
        partial(HMACBody, signature="x-hub-signature", prefix="sha256="),
        partial(
            Sender,
            facts=("support.atlassian.com/bitbucket-cloud/docs/event-payloads, read in November 2026",),
            event_header="X-Event-Key",
            delivery_id="X-Request-UUID",
        ),
        ("x-hub-signature",),
        within=b"sha256=",
        marks=("x-event-key", "x-hook-uuid", "x-request-uuid", "x-attempt-number"),
        page=Page(
            trade="code hosts",
            docs="support.atlassian.com/bitbucket-cloud/docs/manage-webhooks",
            setup="In the repository's settings, Webhooks: the URL, a secret of your own, and the triggers.",
            traps=(
                "Its header is GitHub's old one for SHA-1, with SHA-256 in it.",
                "A webhook without a secret is not signed.",
            ),
        ),
    ),
    row(
        "jira",
        "Jira",
        partial(HMACBody, signature="x-hub-signature", prefix="sha256=", encoding="hex-any-case"),
        partial(
            Sender,
            facts=("airflow-provider-inbound-webhooks 0.2.0 for Python (of a third party), run in November 2026",),
            event_name="webhookEvent",
            delivery_id="X-Atlassian-Webhook-Identifier",
        ),
        ("x-hub-signature",),
        within=b"sha256=",
        marks=("x-atlassian-webhook-identifier", "x-atlassian-webhook-retry", "x-atlassian-webhook-flow"),
        page=Page(
            trade="code hosts",
            docs="developer.atlassian.com/cloud/jira/platform/webhooks",
            setup="In Jira's settings, System, WebHooks: the URL, a secret, and the events.",
            traps=(
                "Its header is GitHub's old one for SHA-1, with SHA-256 in it.",
                "Webhooks of a Connect app are not signed so: they bear a token (JWT) that does not cover the body.",
            ),
            verified=("airflow-provider-inbound-webhooks 0.2.0 (Python)", "2026-11-29"),
        ),
    ),
    row(
        "sentry",
        "Sentry",
        partial(HMACBody, signature="sentry-hook-signature"),
        partial(
            Sender,
            facts=(
                "docs.sentry.io/integrations/integration-platform/webhooks, read in November 2026",
                "@hookflo/tern 4.1.0 for Node (of a third party), run in November 2026",
            ),
            event_name=("{header:Sentry-Hook-Resource}.{action}", "header:Sentry-Hook-Resource"),
        ),
        ("sentry-hook-signature",),
        marks=("sentry-hook-resource", "sentry-hook-timestamp"),
        page=Page(
            trade="code hosts",
            docs="docs.sentry.io/integrations/integration-platform/webhooks",
            setup=(
                "In Settings, Developer Settings or Custom Integrations, create an internal integration with the "
                "webhook URL and the resources. Its client secret is the secret, and is shown for a short time alone."
            ),
            verified=("@hookflo/tern 4.1.0 (Node)", "2026-11-29"),
        ),
    ),
    row(
        "vercel",
        "Vercel",
        partial(HMACBody, signature="x-vercel-signature", hash="sha1"),
        partial(
            Sender,
            facts=(
                "vercel.com/docs/webhooks, read in November 2026",
                "third parties differ: @trigger.dev/core 4.8.3 and @hookflo/tern 4.1.0 have SHA-1 and SHA-256",
            ),
            event_name="type",
            delivery_id_path="id",
        ),
        ("x-vercel-signature",),
        page=Page(
            trade="code hosts",
            docs="vercel.com/docs/webhooks",
            setup="In the team's settings, Webhooks: the URL and the events; the secret is shown once.",
            traps=(
                "It signs by SHA-1.",
                "Webhooks of an integration are signed by the integration's client secret instead.",
            ),
        ),
    ),
    row(
        "netlify",
        "Netlify",
        partial(
            BearerJWT,
            algorithm="HS256",
            header="x-webhook-signature",
            prefix="",
            issuer="netlify",
            body_claim="sha256",
        ),
        partial(
            Sender,
            facts=(
                "n8n-nodes-base 2.41.2 (of a third party), run in November 2026",
                "docs.netlify.com/deploy/deploy-notifications, read in November 2026: the header of the event",
            ),
            event_header="X-Netlify-Event",
        ),
        ("x-webhook-signature",),
        within=b"eyJ",
        page=Page(
            trade="code hosts",
            docs="docs.netlify.com/deploy/deploy-notifications",
            setup=(
                "In the site's configuration, Notifications, HTTP POST request: the URL, and a secret of your own as "
                "its JWS secret token."
            ),
            traps=(
                "The signature is a token (JWT) without a time, and two deliveries may be equal: no copy is told.",
                "Without a JWS secret token nothing is signed.",
            ),
            verified=("n8n-nodes-base 2.41.2 (Node)", "2026-11-29"),
        ),
    ),
    row(
        "trigger-dev",
        "Trigger.dev",
        partial(HMACBody, signature="x-trigger-signature-hmacsha256"),
        partial(
            Sender,
            facts=("@trigger.dev/sdk 4.8.3 for Node, run in November 2026",),
            event_name="type",
            delivery_id_path="id",
        ),
        ("x-trigger-signature-hmacsha256",),
        page=Page(
            trade="code hosts",
            docs="trigger.dev/docs/troubleshooting-alerts",
            setup="In the project, Alerts, New alert, Webhook: the URL; it shows the secret.",
            verified=("@trigger.dev/sdk 4.8.3 (Node)", "2026-11-28"),
        ),
    ),
    row(
        "pagerduty",
        "PagerDuty",
        partial(HMACBody, signature="x-pagerduty-signature:v1"),
        partial(
            Sender,
            facts=(
                "docs/webhooks/02-Behavior.md and 04-Signatures.md in github.com/PagerDuty/developer-docs, read in "
                "November 2026",
            ),
            event_name="event.event_type",
            delivery_id="X-Webhook-Id",
        ),
        ("x-pagerduty-signature",),
        page=Page(
            trade="code hosts",
            docs="developer.pagerduty.com/docs/webhooks-overview",
            setup="In Integrations, Generic Webhooks (v3): the URL and the events. The secret is shown once.",
            answer=(
                "Any 2xx within 5 seconds. After a timeout, a 429 or a 5xx it is sent again, up to 4 times in about 20 "
                "minutes; after another 4xx it is not."
            ),
            traps=(
                "Three deliveries in a row that fail switch the webhook off for 24 hours.",
                "While the secret is changed the header has a signature by each.",
            ),
        ),
    ),
)
