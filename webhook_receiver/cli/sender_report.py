"""What `senders` prints: the list, and the page of one sender."""

from __future__ import annotations

import shutil
import textwrap

from ..errors import ConfigurationError
from ..senders.profile import Profile, profile_of
from ..senders.registry import presets
from . import output

_WIDEST = 100  # characters of a line of text on a terminal


def list_all(as_json: bool) -> None:
    """Print all senders, a line each; those whose extra is missing are told beside that."""
    profiles, lacking = list[Profile](), list[str]()
    for preset in presets().values():
        try:
            profiles.append(profile_of(preset))
        except (ConfigurationError, ImportError) as error:  # an extra is missing
            lacking.append(f"{preset.name}: {error}")
    profiles.sort(key=lambda each: (each.page.trade, each.preset.name))
    for line in lacking:
        output.warn(line)
    if as_json:
        for each in profiles:
            output.say_json(each.as_json())
        return
    short = output.is_terminal()
    rows = [
        (each.preset.name, each.page.trade, each.proof.covered, each.verified_on if short else each.verified)
        for each in profiles
    ]
    output.table(("name", "trade", "proves", "how sure"), rows, shortest={"trade": 8, "proves": 8})
    if short:
        output.say("all about one: webhook-receiver senders show NAME", "dim")


def show(name: str, as_json: bool) -> None:
    """Print all about a sender."""
    try:
        profile = profile_of(presets()[name])
    except (ConfigurationError, ImportError) as error:  # an extra is missing
        raise output.fail(str(error)) from None
    if as_json:
        output.say_json(profile.as_json())
    else:
        _show(profile)


def _show(profile: Profile) -> None:
    preset, page = profile.preset, profile.page
    output.say(f"{preset.title} ({preset.name}), {page.trade}", "bold")
    if page.docs:
        output.say(f"https://{page.docs}", "dim")
    output.say("")
    for line in profile.code:
        output.say(f"  {line}".rstrip())
    for heading, sentences in profile.sections():
        output.say("")
        output.say(heading, "bold")
        for sentence in sentences:
            for line in _wrapped(output.printable(sentence)):
                output.say(line)


def _wrapped(sentence: str) -> list[str]:
    """Return the lines of a sentence: as wide as the terminal, and one in a pipe."""
    if not output.is_terminal():
        return [f"  {sentence}"]
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    return textwrap.wrap(
        sentence, width, initial_indent="  ", subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
