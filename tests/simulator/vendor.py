"""Drives the vendor's own SDK, unchanged, against a simulator: run by the SDK's Python, not by ours.

    python vendor.py PORT URL

Every host name is at PORT here, with TLS and the certificate that REQUESTS_CA_BUNDLE trusts; nothing else differs.
Prints what the SDK returned as one JSON document.
"""

import json
import socket
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any

PORT, URL = int(sys.argv[1]), sys.argv[2]


def here(*_: object, **__: object) -> list[Any]:
    return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", PORT))]


socket.getaddrinfo = here

up42: Any = import_module("up42")
up42.authenticate(username="user@example.com", password="a password")
told: dict[str, Any] = {}
if find_spec("up42.webhooks"):  # they were removed in 3.0
    Webhook: Any = import_module("up42.webhooks").Webhook
    told["events"] = [each["name"] for each in Webhook.get_webhook_events()]
    webhook = Webhook(url=URL, name="made by the SDK", events=["order.status"], secret="try-me", active=True)
    webhook.save()
    told["created"] = webhook.id
    told["all"] = [each.id for each in Webhook.all()]
    told["got"] = vars(Webhook.get(webhook.id))
    webhook.name = "renamed by the SDK"
    webhook.save()
    told["renamed"] = Webhook.get(webhook.id).name
    told["tests"] = webhook.trigger_test_events()
    webhook.delete()
    told["left"] = [each.id for each in Webhook.all()]

Order: Any = import_module("up42.order").Order
orders = [*Order.all()]
told["orders"] = [order.id for order in orders]
told["fulfilled"] = [order.id for order in Order.all(status=["FULFILLED"])]
told["tasking"] = [order.id for order in Order.all(order_type="TASKING", sub_status=["QUOTATION_ACCEPTED"])]
told["tagged"] = [order.id for order in Order.all(tags=["b"])]
told["named"] = [order.id for order in Order.all(display_name="arb")]
told["statuses"] = [Order.get(order.id).status for order in orders]
if hasattr(orders[0], "cancel"):
    told["canceled"] = next(order for order in orders if order.status == "CREATED").cancel().status
print(json.dumps(told))
