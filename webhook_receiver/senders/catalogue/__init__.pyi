from ...signatures.secrets import Secrets
from ..base import Sender
from ..github import github
from ..http_message import http_message
from ..shopify import shopify
from ..slack import slack
from ..standard_webhooks import standard_webhooks, svix
from ..stripe import stripe
from ..up42 import up42

MODULES: tuple[str, ...]

__all__ = [
    "github",
    "http_message",
    "razorpay",
    "shopify",
    "slack",
    "square",
    "standard_webhooks",
    "stripe",
    "svix",
    "up42",
]

# payments
def razorpay(secret: Secrets) -> Sender: ...
def square(secret: Secrets) -> Sender: ...
