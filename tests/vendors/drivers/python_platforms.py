"""Libraries for Python of platforms, and of senders that prove a delivery by a key or in the body: see `python_driver`.

What is asked is a `Question` of that module, which may not be imported here: it is the script that runs.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from types import SimpleNamespace
from typing import Any

Ask = Callable[[Any], object]
CERTIFICATE_URL = "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-" + "7" * 32 + ".pem"


def jira() -> Ask:
    source = import_module("airflow_inbound_webhooks.sources").JiraSource()
    return lambda asked: source.verify(asked.title_case, asked.body, asked.secret)


def lark() -> Ask:
    library = import_module("lark_oapi")
    core = import_module("lark_oapi.core.model")

    def verify(asked: Any) -> object:
        handler = library.EventDispatcherHandler.builder(asked.secret, "")
        handler.register_p2_customized_event("a.b", lambda event: None)
        request = core.RawRequest()
        request.headers, request.body, request.uri = asked.title_case, asked.body, "/"
        return handler.build().do(request).status_code == 200

    return verify


def aws_sns() -> Ask:
    library = import_module("sns_message_validator")

    def verify(asked: Any) -> object:
        validator = library.SNSMessageValidator()
        known = {CERTIFICATE_URL: SimpleNamespace(content=asked.secret.encode())}
        validator._cert_session = SimpleNamespace(get=known.__getitem__)
        return validator.validate_message(json.loads(asked.body))

    return verify


def google_pubsub() -> Ask:
    id_token = import_module("google.oauth2.id_token")

    def verify(asked: Any) -> object:
        certificates = json.dumps({"key-1": asked.secret}).encode()

        def request(url: str, method: str = "GET", **options: object) -> object:
            return SimpleNamespace(status=200, data=certificates, headers={})

        token = asked.header("authorization").removeprefix("Bearer ")
        return id_token.verify_oauth2_token(token, request, asked.url)

    return verify


def inngest() -> tuple[Ask, Ask]:
    net, server = import_module("inngest._internal.net"), import_module("inngest._internal.server_lib")

    def verify(asked: Any) -> object:
        found = net.validate_request_sig(
            body=asked.body,
            headers=asked.headers,
            mode=server.ServerKind.CLOUD,
            signing_key=asked.secret,
            signing_key_fallback=None,
        )
        if isinstance(found, Exception):
            raise found
        return True

    def sign(asked: Any) -> dict[str, str]:
        return {"x-inngest-signature": net.sign_request(asked.body, asked.secret)}

    return verify, sign


def wechat_pay() -> Ask:
    core = import_module("wechatpayv3.core").Core
    rsa = import_module("cryptography.hazmat.primitives.asymmetric.rsa")
    forms = import_module("cryptography.hazmat.primitives.serialization")
    ours = rsa.generate_private_key(65537, 2048).private_bytes(
        forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption()
    )

    def verify(asked: Any) -> object:
        options = {"public_key": asked.secret, "public_key_id": "PUB_KEY_ID_7"}
        api = core("merchant", "serial", ours.decode(), "k" * 32, **options)
        return api.callback(asked.title_case, asked.body) is not None

    return verify


def postmark() -> Ask:
    import_module("django.conf").settings.configure()
    view = import_module("anymail.webhooks.postmark").PostmarkTrackingWebhookView

    def verify(asked: Any) -> object:
        request = SimpleNamespace(META={"HTTP_AUTHORIZATION": asked.headers.get("authorization", "")})
        return view(basic_auth=[f"postmark:{asked.secret}"]).validate_request(request)

    return verify


def paypal() -> Ask:
    apps = ["django.contrib.contenttypes", "paypal_checkout"]
    import_module("django.conf").settings.configure(INSTALLED_APPS=apps)
    import_module("django").setup()
    library: Any = import_module("paypal_checkout.webhooks.verify")
    headers = import_module("django.http.request").HttpHeaders

    def verify(asked: Any) -> object:
        library.fetch_certificate = lambda url, **options: asked.secret.encode()
        meta = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in asked.headers.items()}
        given = library.signature_headers(SimpleNamespace(headers=headers(meta)))
        config = SimpleNamespace(require_webhook_id=lambda: "WH-1")
        return library.verify_offline(config=config, headers=given, body=asked.body)

    return verify


def braintree() -> Ask:
    library = import_module("braintree")
    environment = library.Environment.Sandbox

    def verify(asked: Any) -> object:
        options = {"environment": environment, "merchant_id": "m", "public_key": "a-public-key"}
        gateway = library.BraintreeGateway(library.Configuration(**options, private_key=asked.secret))
        fields = dict(import_module("urllib.parse").parse_qsl(asked.text, strict_parsing=True))
        return gateway.webhook_notification.parse(fields["bt_signature"], fields["bt_payload"])

    return verify


LIBRARIES: dict[str, Callable[[], Any]] = {
    "jira:airflow-provider-inbound-webhooks": jira,
    "lark:lark-oapi": lark,
    "aws-sns:aws-sns-message-validator": aws_sns,
    "google-pubsub:google-auth": google_pubsub,
    "inngest:inngest": inngest,
    "wechat-pay:wechatpayv3": wechat_pay,
    "postmark:django-anymail": postmark,
    "braintree:braintree": braintree,
    "paypal:dj-paypal-checkout": paypal,
}
