"""Asks one library for Python: `python python_driver.py SENDER:PACKAGE`, a question a line, an answer a line.

A question is a request, a secret and a time: the clock of the library shows that time. It runs in the environment of
the libraries, so it has nothing of this project; what it imports is not known where the project is checked.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import traceback
from base64 import b64decode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from importlib import import_module
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs


class Question:
    """A request, and with which secret and when to sign or verify it."""

    def __init__(self, asked: Mapping[str, Any]) -> None:
        self.method: str = asked["method"]
        self.url: str = asked["url"]
        self.headers: dict[str, str] = asked["headers"]
        self.body = b64decode(asked["body"])
        self.secret: str = asked["secret"]
        self.time: int = asked["time"]

    @property
    def text(self) -> str:
        """The body as text, for libraries that take no bytes."""
        return self.body.decode()

    def header(self, name: str) -> str:
        return self.headers[name]

    @property
    def title_case(self) -> dict[str, str]:
        return {name.title(): value for name, value in self.headers.items()}


Verify = Callable[[Question], object]
"""Returns anything but False for a request that the library takes; returns False, or raises, for another one."""
Sign = Callable[[Question], Mapping[str, str]]
"""Returns the headers of a request."""

LIBRARIES: dict[str, Callable[[], Verify | tuple[Verify, Sign]]] = {}


def library(name: str) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    def named(ask: Callable[[], Any]) -> Callable[[], Any]:
        LIBRARIES[name] = ask
        return ask

    return named


@library("github:gidgethub")
def gidgethub() -> Verify:
    sansio = import_module("gidgethub.sansio")
    return lambda asked: sansio.validate_event(
        asked.body, signature=asked.header("x-hub-signature-256"), secret=asked.secret
    )


@library("stripe:stripe")
def stripe() -> tuple[Verify, Sign]:
    library = import_module("stripe")

    def verify(asked: Question) -> object:
        return library.Webhook.construct_event(asked.body, asked.header("stripe-signature"), asked.secret)

    def sign(asked: Question) -> Mapping[str, str]:
        value = library.WebhookSignature.generate_signature_header(asked.text, asked.secret, asked.time)
        return {"stripe-signature": value}

    return verify, sign


@library("slack:slack_sdk")
def slack() -> tuple[Verify, Sign]:
    verifier = import_module("slack_sdk.signature").SignatureVerifier

    def sign(asked: Question) -> Mapping[str, str]:
        value = verifier(asked.secret).generate_signature(timestamp=str(asked.time), body=asked.body)
        return {"x-slack-request-timestamp": str(asked.time), "x-slack-signature": value}

    return lambda asked: verifier(asked.secret).is_valid_request(asked.body, asked.headers), sign


def standard(module: str, prefix: str, **options: Any) -> tuple[Verify, Sign]:
    webhook = import_module(module).Webhook

    def sign(asked: Question) -> Mapping[str, str]:
        id, time = asked.headers[f"{prefix}-id"], datetime.fromtimestamp(asked.time, UTC)
        value = webhook(asked.secret).sign(id, time, asked.text)
        return {f"{prefix}-timestamp": str(asked.time), f"{prefix}-signature": value}

    return lambda asked: webhook(asked.secret).verify(asked.body, asked.headers, **options), sign


@library("standard-webhooks:standardwebhooks")
def standardwebhooks() -> tuple[Verify, Sign]:
    return standard("standardwebhooks.webhooks", "webhook", json_parse=False)


@library("svix:svix")
def svix() -> tuple[Verify, Sign]:
    return standard("svix.webhooks", "svix")


@library("http-message:http-message-signatures")
def http_message_signatures() -> tuple[Verify, Sign]:
    library = import_module("http_message_signatures")
    covered = ("@method", "@target-uri")

    def keys(asked: Question) -> Mapping[str, Any]:
        key = {"key-1": asked.secret.encode()}
        resolver = import_module("http_message_signatures.resolvers").MappingKeyResolver
        return {
            "signature_algorithm": library.algorithms.HMAC_SHA256,
            "key_resolver": resolver(public_keys=key, private_keys=key),
        }

    def message(asked: Question) -> SimpleNamespace:
        return SimpleNamespace(method=asked.method, url=asked.url, headers=dict(asked.headers))

    def verify(asked: Question) -> object:
        verifier = library.HTTPMessageVerifier(**keys(asked))
        verifier.max_clock_skew = timedelta(seconds=300)
        components = (*covered, "content-digest")
        return verifier.verify(message(asked), max_age=timedelta(0), require_components=components, body=asked.body)

    def sign(asked: Question) -> Mapping[str, str]:
        signed, created = message(asked), datetime.fromtimestamp(asked.time, UTC)
        library.HTTPMessageSigner(**keys(asked)).sign(
            signed, key_id="key-1", created=created, covered_component_ids=covered, body=asked.body
        )
        return {name: value for name, value in signed.headers.items() if name not in asked.headers}

    return verify, sign


@library("razorpay:razorpay")
def razorpay() -> Verify:
    utility = import_module("razorpay.utility").Utility()
    return lambda asked: utility.verify_webhook_signature(
        asked.text, asked.header("x-razorpay-signature"), asked.secret
    )


@library("square:squareup")
def square() -> Verify:
    verify = import_module("square.utils.webhooks_helper").verify_signature
    return lambda asked: verify(
        request_body=asked.text,
        signature_header=asked.header("x-square-hmacsha256-signature"),
        signature_key=asked.secret,
        notification_url=asked.url,
    )


@library("paddle:paddle-python-sdk")
def paddle() -> tuple[Verify, Sign]:
    library = import_module("paddle_billing.Notifications")
    signature = import_module("paddle_billing.Notifications.PaddleSignature").PaddleSignature

    def sign(asked: Question) -> Mapping[str, str]:
        made = signature.calculate_hmac(asked.secret, f"{asked.time}:{asked.text}".encode()).hexdigest()
        return {"paddle-signature": f"ts={asked.time};h1={made}"}

    def verify(asked: Question) -> object:
        request = SimpleNamespace(headers=asked.title_case, body=asked.body)
        return library.Verifier().verify(request, library.Secret(asked.secret))

    return verify, sign


@library("gocardless:gocardless-pro")
def gocardless() -> Verify:
    webhooks = import_module("gocardless_pro.webhooks")
    return lambda asked: webhooks.parse(asked.text, asked.secret, asked.header("webhook-signature"))


@library("mollie:mollie-api-py")
def mollie() -> tuple[Verify, Sign]:
    validator = import_module("mollie.utils.webhooks.signature_validator").SignatureValidator

    def sign(asked: Question) -> Mapping[str, str]:
        return {"x-mollie-signature": "sha256=" + validator.create_signature(asked.text, asked.secret)}

    def verify(asked: Question) -> object:
        return validator(asked.secret).validate_payload(asked.text, asked.header("x-mollie-signature"))

    return verify, sign


@library("coinbase-commerce:coinbase-commerce")
def coinbase_commerce() -> Verify:
    webhook = import_module("coinbase_commerce.webhook").Webhook
    return lambda asked: webhook.construct_event(asked.text, asked.header("x-cc-webhook-signature"), asked.secret)


@library("adyen-platform:Adyen")
def adyen_platform() -> Verify:
    util = import_module("Adyen.util")
    return lambda asked: util.is_valid_hmac_payload(asked.header("hmacsignature"), asked.secret, asked.body)


@library("polar:polar-sdk")
def polar() -> Verify:
    webhooks, general = import_module("polar.v2026_04.webhooks"), import_module("polar.webhooks")

    def verify(asked: Question) -> object:
        try:
            return webhooks.validate_event(asked.body, asked.headers, asked.secret)
        except general.PolarWebhookUnknownTypeError:  # verified
            return True

    return verify


@library("lithic:lithic")
def lithic() -> Verify:
    webhooks = import_module("lithic").Lithic(api_key="key").webhooks
    return lambda asked: webhooks.verify_signature(asked.body, asked.headers, secret=asked.secret)


@library("increase:increase")
def increase() -> Verify:
    events = import_module("increase").Increase(api_key="key")
    return lambda asked: events.with_options(webhook_secret=asked.secret).events.unwrap(
        asked.text, headers=asked.headers
    )


@library("paystack:pypaystack2")
def paystack() -> Verify:
    client = import_module("pypaystack2").PaystackClient
    return lambda asked: client(secret_key=asked.secret).is_verified_webhook_payload(
        asked.body, asked.header("x-paystack-signature")
    )


@library("sendgrid:sendgrid")
def sendgrid() -> Verify:
    webhook = import_module("sendgrid.helpers.eventwebhook").EventWebhook
    prefix = "x-twilio-email-event-webhook"
    return lambda asked: webhook(asked.secret).verify_signature(
        asked.text, asked.header(f"{prefix}-signature"), asked.header(f"{prefix}-timestamp")
    )


@library("resend:resend")
def resend() -> Verify:
    webhooks = import_module("resend").Webhooks

    def verify(asked: Question) -> object:
        headers = {part: asked.header(f"svix-{part}") for part in ("id", "timestamp", "signature")}
        return webhooks.verify({"payload": asked.text, "headers": headers, "webhook_secret": asked.secret})

    return verify


@library("discord:discord-interactions")
@library("discord-interactions:discord-interactions")
def discord() -> Verify:
    verify_key = import_module("discord_interactions").verify_key
    return lambda asked: verify_key(
        asked.body, asked.header("x-signature-ed25519"), asked.header("x-signature-timestamp"), asked.secret
    )


@library("twilio:twilio")
def twilio() -> tuple[Verify, Sign]:
    validator = import_module("twilio.request_validator").RequestValidator

    class Fields(dict[str, list[str]]):
        def getlist(self, name: str) -> list[str]:
            return self[name]

    def fields(asked: Question) -> Fields:
        return Fields(parse_qs(asked.text, keep_blank_values=True))

    def sign(asked: Question) -> Mapping[str, str]:
        return {"x-twilio-signature": validator(asked.secret).compute_signature(asked.url, fields(asked))}

    def verify(asked: Question) -> object:
        return validator(asked.secret).validate(asked.url, fields(asked), asked.header("x-twilio-signature"))

    return verify, sign


@library("line:line-bot-sdk")
def line() -> Verify:
    validator = import_module("linebot.v3.webhook").SignatureValidator
    return lambda asked: validator(asked.secret).validate(asked.text, asked.header("x-line-signature"))


@library("meta:pywa")
def meta() -> Verify:
    verify = import_module("pywa.utils").webhook_updates_validator
    return lambda asked: verify(asked.secret, asked.body, asked.header("x-hub-signature-256"))


@library("viber:viberbot")
def viber() -> Verify:
    library = import_module("viberbot")

    def verify(asked: Question) -> object:
        configuration = library.BotConfiguration(auth_token=asked.secret, name="bot", avatar="")
        return library.Api(configuration).verify_signature(asked.body, asked.header("x-viber-content-signature"))

    return verify


@library("stream:stream-chat")
def stream() -> Verify:
    verify = import_module("stream_chat.webhook").verify_and_parse_webhook
    return lambda asked: verify(asked.body, asked.header("x-signature"), asked.secret)


@library("hubspot:hubspot-api-client")
def hubspot() -> tuple[Verify, Sign]:
    signature = import_module("hubspot.utils.signature").Signature

    def sign(asked: Question) -> Mapping[str, str]:
        time = str(asked.time * 1000)
        made = signature.get_signature(asked.secret, asked.text, "v3", asked.url, asked.method, time)
        return {"x-hubspot-request-timestamp": time, "x-hubspot-signature-v3": made}

    def verify(asked: Question) -> object:
        return signature.is_valid(
            signature=asked.header("x-hubspot-signature-v3"),
            client_secret=asked.secret,
            request_body=asked.text,
            http_uri=asked.url,
            http_method=asked.method,
            signature_version="v3",
            timestamp=asked.header("x-hubspot-request-timestamp"),
        )

    return verify, sign


@library("box:boxsdk")
def box() -> Verify:
    manager = import_module("box_sdk_gen.managers.webhooks").WebhooksManager
    return lambda asked: manager.validate_message(asked.text, asked.headers, asked.secret)


@library("workos:workos")
def workos() -> Verify:
    verify_header = import_module("workos.webhooks._verification").verify_header
    return lambda asked: verify_header(
        event_body=asked.body, event_signature=asked.header("workos-signature"), secret=asked.secret
    )


@library("openai:openai")
def openai() -> Verify:
    webhooks = import_module("openai").OpenAI(api_key="key").webhooks
    return lambda asked: webhooks.verify_signature(asked.body, asked.headers, secret=asked.secret)


@library("replicate:replicate")
def replicate() -> Verify:
    library = import_module("replicate.webhook")

    def verify(asked: Question) -> object:
        secret = library.WebhookSigningSecret(key=asked.secret)
        return library.Webhooks.validate(headers=asked.headers, body=asked.text, secret=secret, tolerance=300)

    return verify


@library("liveblocks:liveblocks")
def liveblocks() -> Verify:
    handler = import_module("liveblocks").WebhookHandler
    return lambda asked: handler(asked.secret).verify_request(headers=asked.headers, raw_body=asked.text)


@library("elevenlabs:elevenlabs")
def elevenlabs() -> Verify:
    client = import_module("elevenlabs.webhooks_custom").WebhooksClient
    webhooks = client(client_wrapper=SimpleNamespace())
    return lambda asked: webhooks.construct_event(asked.text, asked.header("elevenlabs-signature"), asked.secret)


@library("qstash:qstash")
def qstash() -> Verify:
    receiver = import_module("qstash").Receiver
    return lambda asked: receiver(asked.secret, asked.secret).verify(
        signature=asked.header("upstash-signature"), body=asked.text, url=asked.url
    )


@library("livekit:livekit-api")
def livekit() -> Verify:
    library = import_module("livekit.api")
    return lambda asked: library.WebhookReceiver(library.TokenVerifier("key", asked.secret)).receive(
        asked.text, asked.header("authorization")
    )


@library("vonage:vonage-jwt")
def vonage() -> Verify:
    """The body's hash is for the caller to compare, by the documentation of Vonage."""
    verify_signature = import_module("vonage_jwt").verify_signature
    jwt, sha256 = import_module("jwt"), import_module("hashlib").sha256

    def verify(asked: Question) -> object:
        token = asked.header("authorization").removeprefix("Bearer ")
        if not verify_signature(token, asked.secret):
            return False
        claims = jwt.decode(token, options={"verify_signature": False})
        return claims["payload_hash"] == sha256(asked.body).hexdigest()

    return verify


@library("gitlab:gidgetlab")
def gitlab() -> Verify:
    event = import_module("gidgetlab.sansio").Event
    return lambda asked: event.from_http(asked.headers, asked.body, secret=asked.secret)


@library("telegram:python-telegram-bot")
def telegram() -> Verify:
    handler = import_module("telegram.ext._utils.webhookhandler").TelegramHandler

    def verify(asked: Question) -> object:
        request = SimpleNamespace(headers=asked.title_case)
        return handler._validate_post(SimpleNamespace(request=request, secret_token=asked.secret))

    return verify


@library("mandrill:django-anymail")
def mandrill() -> Verify:
    import_module("django.conf").settings.configure()
    view = import_module("anymail.webhooks.mandrill").MandrillCombinedWebhookView
    query_dict = import_module("django.http").QueryDict

    def verify(asked: Question) -> object:
        meta = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in asked.headers.items()}
        request = SimpleNamespace(META=meta, POST=query_dict(asked.body))
        return view(webhook_key=asked.secret, webhook_url=asked.url).validate_request(request)

    return verify


@library("mailgun:mailgun")
def mailgun() -> Verify:
    guard = import_module("mailgun.security").SecurityGuard

    def verify(asked: Question) -> object:
        given = json.loads(asked.body)["signature"]
        return guard.verify_webhook(asked.secret, given["token"], given["timestamp"], given["signature"])

    return verify


@library("adyen:Adyen")
def adyen() -> Verify:
    util = import_module("Adyen.util")
    # It returns None for what is not signed.
    return lambda asked: util.is_valid_hmac_notification(json.loads(asked.body), asked.secret) is True


def main() -> None:
    """Answer questions until there are none."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    sys.stdout = sys.stderr  # some libraries print
    time_machine = import_module("time_machine")
    asked_for = (LIBRARIES | import_module("python_platforms").LIBRARIES)[sys.argv[1]]()
    verify, sign = asked_for if isinstance(asked_for, tuple) else (asked_for, None)
    for line in sys.stdin:
        asked = json.loads(line)
        question = Question(asked)
        with time_machine.travel(question.time, tick=False):
            try:
                if asked["do"] == "sign":
                    answer = {"headers": [*sign(question).items()]} if sign else {"broken": "it does not sign"}
                else:
                    answer = answered(verify, question)
            except Exception:
                answer = {"broken": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def answered(verify: Verify, question: Question) -> dict[str, Any]:
    try:
        verdict = verify(question)
        if asyncio.iscoroutine(verdict):
            verdict = asyncio.run(verdict)
    except Exception as error:  # many raise all sorts of errors for what is no request of theirs
        return {"taken": False, "why": f"{type(error).__name__}: {error}"}
    return {"taken": verdict is not False, "why": str(type(verdict).__name__)}


if __name__ == "__main__":
    main()
