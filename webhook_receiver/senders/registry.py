"""The registry of senders: every preset of this package, and of other packages.

Other packages have an entry point of the group `webhook_receiver.senders` that names a `Preset`. Commands, `explain`,
captures and tests read the registry, so a sender that is added once is known everywhere.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from itertools import islice
from typing import Any, NamedTuple, cast

from ..delivery import Headers, RequestHead
from ..errors import (
    AddressNotAllowed,
    ConfigurationError,
    MalformedChallenge,
    MalformedSignature,
    MissingSignature,
    UnexpectedSignature,
    VerificationError,
)
from ..events import parsed_paths, value_at
from ..signatures import KeysNeeded
from .base import Sender
from .challenge_request import MAX_CHALLENGE
from .preset import Make, Preset

logger = logging.getLogger("webhook_receiver")

GROUP = "webhook_receiver.senders"
"""The group of entry points by which other packages add senders."""


@cache
def presets() -> Mapping[str, Preset]:
    """Return all presets by name: those of this package, the default sender first, then those of other packages.

    An entry point that cannot be loaded, names something else or a name that is taken is left out, with a log line.
    """
    from importlib.metadata import entry_points  # slow to import, as some of these modules are

    from . import catalogue

    own = [preset for module in catalogue.MODULES for preset in import_module(module, catalogue.__name__).PRESETS]
    found: dict[str, Preset] = {preset.name: preset for preset in own}
    for entry in entry_points(group=GROUP):
        if (preset := _loaded(entry.name, entry.load)) is None:
            continue
        if preset.name in found:
            logger.error("the entry point %s of %s is left out: there is a sender %s", entry.name, GROUP, preset.name)
            continue
        found[preset.name] = preset
    return found


def _loaded(name: str, load: Callable[[], object]) -> Preset | None:
    """Return the preset that an entry point loads; None, with a log line, if it loads none.

    One broken package must not take every command and every other sender with it.
    """
    try:
        preset = load()
    except Exception as error:  # whatever the other package raises when it is imported
        logger.error("the entry point %s of %s is left out: it raised %s", name, GROUP, type(error).__name__)
        return None
    if isinstance(preset, Preset):
        return preset
    logger.error("the entry point %s of %s is left out: it names no Preset, but %r", name, GROUP, type(preset))
    return None


class Candidate(NamedTuple):
    """A sender that a request may come from."""

    preset: Preset
    """The sender."""
    likeness: tuple[int, ...]
    """How like the sender's the request is: of two candidates, the greater is likelier."""


def candidates(head: RequestHead, body: bytes = b"") -> list[Candidate]:
    """Return the senders that a request may come from, the likeliest first.

    What counts is, in this order: the headers that only this sender has; whether its scheme can read the proof, whoever
    made it; what else the sender's requests have, in headers and body; and how many of the headers with the proof are
    there. Of several that are alike in all of that, such as those that deliver through Svix, all are as likely.

    Of a body of more than 64 KiB a part counts: the first items of its arrays, and the beginning of its texts.

    Args:
        head: the head of the request; the URL is made of the header Host where it is not known.
        body: the body's bytes as received.
    """
    if head.url is None:
        host = next((value for name, value in head.headers if name == b"host"), b"localhost")
        head = head._replace(url=f"https://{host.decode('latin-1')}{head.target.decode('latin-1')}")
    read = _Reading(body if len(body) <= _MOST_GUESSED else _cut(body))
    found = [each for preset in presets().values() if (each := _candidate(preset, head, read)) is not None]
    return sorted(found, key=lambda each: each.likeness, reverse=True)


def alike(found: Sequence[Candidate]) -> list[Preset]:
    """Return the likeliest of these candidates, and those that are as likely."""
    return [each.preset for each in found if each.likeness == found[0].likeness]


def asking(head: RequestHead, body: bytes = b"") -> list[Preset]:
    """Return the senders that have such a challenge as a request is, with an answer, whoever made it.

    Args:
        head: the head of the request.
        body: the body's bytes as received.
    """
    if len(body) > MAX_CHALLENGE:
        return []
    return [preset for preset in presets().values() if _asks(preset, head, body)]


def _asks(preset: Preset, head: RequestHead, body: bytes) -> bool:
    try:
        challenges = preset.registering(preset.example).challenges
        answers = (each.answer(head, body, 0.0) for each in challenges if head.method in each.methods)
        return any(answer is not None and answer.body for answer in answers)
    except (ConfigurationError, MalformedChallenge):  # an extra is missing, or it has no token that could be sent back
        return False


def recognize(headers: Headers, body: bytes = b"") -> Preset | None:
    """Return the preset of the sender whose requests are such; None if no preset fits. See `candidates`."""
    found = candidates(RequestHead("POST", b"/webhooks/secret", headers), body)  # which may be one
    return found[0].preset if found else None


_READABLE, _MALFORMED, _ABSENT = 2, 1, 0
"""What a scheme says of a request that somebody else has signed."""
_SHARED = {"authorization"}
"""Headers that requests have for other reasons, too."""


_MOST_GUESSED = 65_536  # bytes of a body
_MOST_CUT = 1_048_576  # bytes of a body that is parsed to be cut
_MOST_ITEMS, _MOST_MEMBERS, _MOST_TEXT, _MOST_DEPTH = 2, 100, 512, 16  # of a body that is cut


def _cut(body: bytes) -> bytes:
    """Return a part of a large body that has its shape; its first bytes where it is no JSON, or too large to look."""
    document = _parsed(body) if len(body) <= _MOST_CUT else None
    short = b"" if document is None else json.dumps(_shortened(document, _MOST_DEPTH)).encode()
    return short if 0 < len(short) <= _MOST_GUESSED else body[:_MOST_GUESSED]


def _shortened(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return value[:_MOST_TEXT]
    if isinstance(value, list):
        items = cast("Sequence[Any]", value)[:_MOST_ITEMS]
        return [_shortened(each, depth - 1) for each in items] if depth else []
    if isinstance(value, dict):
        members = islice(cast("dict[str, Any]", value).items(), _MOST_MEMBERS)
        return {name: _shortened(each, depth - 1) for name, each in members} if depth else {}
    return value


class _Reading:
    """A body that many presets read, and the documents in it, each parsed once."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self._documents: dict[bytes, object] = {}

    def parsed(self, text: bytes) -> object:
        """Return a document in JSON; None for what is none."""
        if text not in self._documents:
            self._documents[text] = _parsed(text)
        return self._documents[text]


def _candidate(preset: Preset, head: RequestHead, read: _Reading) -> Candidate | None:
    sender = _sample(preset)
    if sender is None:
        return None
    fits = preset.fits(head.headers)
    marks, headers = preset.likeness(head.headers)
    form = _form(preset, sender, head, read.body)
    shape = _shape(preset, sender, head.headers, read)
    is_told = marks > 0 or shape >= _NAMED or (not preset.headers and shape > 1 and form == _READABLE)
    if fits and form < _READABLE and preset.headers[0] in _SHARED:
        fits = False
    return Candidate(preset, (marks, form, shape, headers)) if fits or is_told else None


@cache
def _sample(preset: Preset) -> Sender | None:
    """Return the sender with the secret for tests; None where that needs an extra that is not installed."""
    try:
        return preset.sender(preset.example)
    except ConfigurationError:
        return None


def _form(preset: Preset, sender: Sender, head: RequestHead, body: bytes) -> int:
    scheme = sender.scheme if preset.made_for is None else preset.make_for(head.headers)(preset.example)
    try:
        scheme.verify(head, 0.0)(body)
    except (MissingSignature, UnexpectedSignature, AddressNotAllowed):
        return _ABSENT
    except MalformedSignature:
        return _MALFORMED
    except (VerificationError, KeysNeeded):
        return _READABLE
    return _READABLE if scheme.secret_count else _ABSENT  # it lets everybody in


_NAMED = 4
"""The points for a request that names its sender as the one who made it."""


def _shape(preset: Preset, sender: Sender, headers: Headers, read: _Reading) -> int:
    """Return points for what a sender's requests have besides their proof."""
    present = dict(headers)
    points = sum(
        name is not None and name.lower().encode() in present for name in (sender.event_header, sender.delivery_id)
    )
    agent = present.get(b"user-agent", b"").decode("latin-1").lower()
    if any(len(name) > 3 and name in agent for name in (preset.name, preset.title.lower())):
        points += _NAMED
    whole, document, is_part = _document(sender, headers, read)
    points += is_part
    if preset.shape and all(value_at(whole, path) is not None for path in parsed_paths(preset.shape)):
        points += _NAMED + len(preset.shape)
    if paths := parsed_paths(sender.delivery_id_paths):
        points += all(value_at(document, path) is not None for path in paths)
    names = (sender.event_name,) if isinstance(sender.event_name, str) else sender.event_name
    points += any(_has_name(template, document) for template in names)
    both = (document, read.parsed(read.body))
    like = [_is_like(sample, each) for sample in preset.samples.values() for each in both]
    return points + max(like, default=0)


def _is_like(sample: Mapping[str, Any], document: Any) -> int:
    """Return points for the members of a sample that a document has: 1 for those at the top, 2 with those within."""
    if not isinstance(document, dict) or not sample.keys() <= cast("dict[str, Any]", document).keys():
        return 0
    return 1 + _has_members(sample, cast("object", document))


def _has_members(sample: object, document: object) -> bool:
    if isinstance(sample, Mapping):
        inner = cast("Mapping[str, object]", sample)
        return isinstance(document, dict) and all(
            name in document and _has_members(value, cast("object", document[name])) for name, value in inner.items()
        )
    if isinstance(sample, list) and sample:
        return isinstance(document, list) and all(
            _has_members(cast("list[object]", sample)[0], each) for each in cast("list[object]", document)
        )
    return True


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _has_name(template: str, document: dict[str, Any]) -> bool:
    """Return whether a document has all members that a name is made of, see `Sender.event_name`."""
    places = _NAMES.findall(template) if "{" in template else [template]
    members = [place for place in places if ":" not in place]
    return bool(members) and all(value_at(document, path) is not None for path in parsed_paths(members))


_NAMES = re.compile(r"{([^{}]+)}")


def _document(sender: Sender, headers: Headers, read: _Reading) -> tuple[object, dict[str, Any], bool]:
    """Return the JSON in a body, the first object in it, and whether that is where the sender has its events."""
    body = read.body
    try:
        whole = body if sender.decode is None else sender.decode(body)
        whole = whole if sender.envelope is None else sender.envelope(whole, headers)
        part = whole if sender.split is None else next(iter(sender.split.parts(whole)), b"")
    except Exception:  # whatever a sender's functions raise on a stranger's body
        return None, {}, False
    document, found = read.parsed(whole), read.parsed(part)
    if not isinstance(found, dict):
        return document, {}, False
    # A function that makes a document of a document finds events in any.
    is_part = part != whole and (whole == body or read.parsed(body) is None)
    return document, cast("dict[str, Any]", found), is_part


def preset_of(make: Make) -> Preset | None:
    """Return the preset whose scheme `make` makes, with or without options by `functools.partial`; None without one."""
    for way in (make, getattr(make, "func", None)):
        for preset in presets().values():
            if preset.make == way:
                return preset
    return None
