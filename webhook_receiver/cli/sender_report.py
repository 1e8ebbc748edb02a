"""What `senders` prints: the list, and the page of one sender."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from ..errors import ConfigurationError, needs
from ..senders.page import Page
from ..senders.preset import Preset
from ..senders.profile import Profile, page_of, profile_of
from ..senders.registry import presets
from . import output


class _Lacking(NamedTuple):
    """What is known of a sender whose extra is not installed: its page, and nothing that is read from the sender."""

    preset: Preset
    page: Page
    needs: str
    """The sentence that says what to install."""

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object, with the names that a profile has."""
        preset, page = self.preset, self.page
        about: dict[str, Any] = {
            "name": preset.name,
            "title": preset.title,
            "trade": page.trade,
            "docs": f"https://{page.docs}",
        }
        about |= {"module": preset.module, "function": preset.function, "register": page.setup, "proof": None}
        return {**about, "answer": page.answer, "backfill": page.backfill, "traps": [*page.traps], "needs": self.needs}


def _known(preset: Preset) -> Profile | _Lacking:
    """Return the profile of a sender, or its page where an extra is missing."""
    try:
        return profile_of(preset)
    except ConfigurationError as error:
        return _Lacking(preset, page_of(preset), str(error))
    except ImportError:  # a part of the extra: cryptography without which PyJWT knows few algorithms
        return _Lacking(preset, page_of(preset), needs("a token (JWT)", "an extra", "jwt"))


def list_all(as_json: bool) -> None:
    """Print all senders, a line each; one whose extra is missing has its name in place of what is proven."""
    found = sorted(map(_known, presets().values()), key=lambda each: (each.page.trade, each.preset.name))
    if as_json:
        for each in found:
            output.say_json(each.as_json())
        return
    short = output.is_terminal()
    rows: list[tuple[str, ...]] = []
    for each in found:
        if isinstance(each, _Lacking):
            rows.append((each.preset.name, each.page.trade, "", f"needs {_pip(each.needs)}"))
        else:
            sure = each.verified_on if short else each.verified
            rows.append((each.preset.name, each.page.trade, each.proof.covered, sure))
    output.table(("name", "trade", "proves", "how sure"), rows, shortest={"trade": 8, "proves": 8})
    if short:
        output.say("all about one: webhook-receiver senders show NAME", "dim")


def _pip(needs: str) -> str:
    """Return the extra in a sentence that says what to install, as pip takes it."""
    return needs.partition("'")[2].partition("'")[0] or needs


def show(name: str, as_json: bool) -> None:
    """Print all about a sender; of one whose extra is missing, its page and what to install."""
    known = _known(presets()[name])
    if as_json:
        output.say_json(known.as_json())
    elif isinstance(known, _Lacking):
        page = known.page
        _say_head(known.preset, page)
        parts = ("register", [page.setup]), ("answer", [page.answer]), ("backfill", [page.backfill])
        _say_sections([*parts, ("traps", [*page.traps]), ("to install", [known.needs])])
    else:
        _show(known)


def _show(profile: Profile) -> None:
    _say_head(profile.preset, profile.page)
    output.say("")
    for line in profile.code:
        output.say(f"  {line}".rstrip())
    _say_sections(profile.sections())


def _say_head(preset: Preset, page: Page) -> None:
    output.say(f"{preset.title} ({preset.name}), {page.trade}", "bold")
    if page.docs:
        output.say(f"https://{page.docs}", "dim")


def _say_sections(sections: Iterable[tuple[str, list[str]]]) -> None:
    for heading, sentences in sections:
        if not any(sentences):
            continue
        output.say("")
        output.say(heading, "bold")
        for sentence in sentences:
            for line in output.wrapped(output.printable(sentence)):
                output.say(line)
