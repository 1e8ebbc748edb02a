"""What a receiver is given, checked when it is made: misuse must not wait for the first delivery."""

from __future__ import annotations

from collections.abc import Sequence

from .delivery import kept_headers
from .errors import ConfigurationError
from .events import Path
from .routing import DeadLetterHandler, Handler
from .signatures import Scheme, UP42Signature
from .signatures.secrets import Secrets


def scheme_for(secret: Secrets | None, scheme: Scheme | None) -> Scheme:
    """Return how deliveries are verified, from a secret or a scheme."""
    if secret is not None and scheme is not None:
        raise ConfigurationError("give the secret to the scheme: scheme=UP42Signature(secret, ...), not both")
    if secret is not None:
        return UP42Signature(secret)
    if scheme is None:
        raise ConfigurationError(
            "a receiver needs the secret that its sender signs with, or anyone could deliver: "
            'WebhookReceiver(secret=Secret.from_env("WEBHOOK_SECRET")); '
            "if the sender has no secret, say so with scheme=Unsigned()"
        )
    if isinstance(scheme, type) or not isinstance(scheme, Scheme):
        given = f"the class {scheme.__name__}" if isinstance(scheme, type) else type(scheme).__name__
        raise ConfigurationError(f"scheme=... takes a scheme, such as UP42Signature(secret), not {given}")
    return scheme


def refuse_limits(max_body: int, body_timeout: float, refused_status: int) -> None:
    """Refuse bounds that bound nothing, and a status that is no refusal."""
    if not isinstance(max_body, int) or max_body < 1:
        raise ConfigurationError(f"max_body is a number of bytes above 0, not {max_body!r}")
    if not isinstance(body_timeout, int | float) or not body_timeout > 0:
        raise ConfigurationError(f"body_timeout is a number of seconds above 0, not {body_timeout!r}")
    if not isinstance(refused_status, int) or not 400 <= refused_status <= 499:
        raise ConfigurationError(f"refused_status is a status from 400 to 499, not {refused_status!r}")


def refuse_header(name: str) -> bytes:
    """Return a header's name as it is among headers, or refuse one that no header has, or that is not kept."""
    if not isinstance(name, str) or not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
        raise ConfigurationError(f'event_header is the name of a header, such as "X-GitHub-Event", not {name!r}')
    header = name.lower().encode()
    if not kept_headers([(header, b"")]):
        raise ConfigurationError(f"event_header={name!r} cannot be: a header of that name is not kept in the inbox")
    return header


def refuse_without_inbox(handlers: Sequence[Handler], dead_letter_handlers: Sequence[DeadLetterHandler]) -> None:
    """Refuse what only a worker could do, where there is no inbox."""
    if dead_letter_handlers:
        raise ConfigurationError('on_dead needs an inbox: nothing else knows dead letters; inbox="sqlite:///hooks.db"')
    for handler in handlers:
        if handler.backoff is not None or handler.timeout is not None:
            raise ConfigurationError(
                f"backoff=... and timeout=... of {handler.name} need an inbox, without which a handler is run once, "
                'before the answer: inbox="sqlite:///hooks.db"'
            )


def parsed_paths(dotted: Sequence[str] | None) -> list[Path] | None:
    """Return the places that "body.orderId" and the like name."""
    if dotted is None:
        return None
    if isinstance(dotted, str) or not all(isinstance(path, str) and all(path.split(".")) for path in dotted):
        raise ConfigurationError(f'order_id_paths is a list such as ["body.orderId", "body.id"], not {dotted!r}')
    return [tuple(int(key) if key.isdecimal() else key for key in path.split(".")) for path in dotted]
