"""The pictures of the inspector in the README and the guide, from its real pages: `python -m tests.inspector.picture`.

Each picture says in itself which page it shows, by a digest of the page and its style, so that a test can tell when it
is stale. What a browser makes of them differs by its fonts, and is not compared.
"""

from __future__ import annotations

import asyncio
import random
import struct
import tempfile
import zlib
from hashlib import sha256
from pathlib import Path
from typing import Literal

from playwright.sync_api import ViewportSize

from tests.helpers import NOW, ROOT, serving
from tests.inspector.chromium import started
from tests.inspector.stage import DONE, DOWNLOAD, Browser, looked_at, receivers, sqlite, stored
from webhook_receiver import FailedAttempt, HandlerState, State, StoredDelivery
from webhook_receiver.inbox.records import Metric
from webhook_receiver.inspector import Inspector
from webhook_receiver.inspector.site import STATIC

FOLDER = ROOT / "docs"
HANDLERS = {DOWNLOAD: DONE, "app:notify": DONE}
TIMED_OUT = "TimeoutError: it took more than 30 s"
DEAD = "0000002a" + "0" * 24
PAGES = {"overview": ("/", 730), "delivery": (f"/deliveries/{DEAD}", 1010)}
"""The name of each picture, with the path of its page and its height in pixels."""
WIDTH = 1280
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
_KEYWORD = b"page"


def deliveries() -> list[StoredDelivery]:
    """Return what an hour has brought: images, pushes, three that died, and one that is tried again."""
    found: list[StoredDelivery] = []
    for number in range(40):
        at = NOW - 3500 + 90 * number
        if number % 9 == 4:
            pushed = {"app:deploy": DONE}
            found.append(stored(number, receiver="github", event="push", handlers=pushed, order="", received=at))
        else:
            found.append(stored(number, order=f"order-{1042 + number}", handlers=HANDLERS, received=at))
    for number, seconds in ((40, 900), (41, 600), (42, 95)):
        found.append(died(number, NOW - seconds))
    retried = {DOWNLOAD: HandlerState(State.WAITING, 2, 2, NOW + 190, expected_dead=4e9), "app:notify": DONE}
    found.append(
        stored(43, State.WAITING, order="order-1091", handlers=retried, received=NOW - 20, due=NOW + 190, settled=None)
    )
    return found


def died(number: int, at: float) -> StoredDelivery:
    """Return a delivery that died by timeouts, each wait longer than the one before."""
    begun = [at + 1, at + 41, at + 101]
    attempts = [
        FailedAttempt(DOWNLOAD, each, when, 30.0, "dead" if each == 3 else "retry", TIMED_OUT, "")
        for each, when in enumerate(begun, 1)
    ]
    handlers = {DOWNLOAD: HandlerState(State.DEAD, 3, 3), "app:notify": DONE}
    order, reason = f"order-{1042 + number}", f"{DOWNLOAD}: {TIMED_OUT}"
    return stored(
        number,
        State.DEAD,
        order=order,
        handlers=handlers,
        attempts=attempts,
        reason=reason,
        received=at,
        settled=at + 131,
    )


def counts() -> list[dict[Metric, int]]:
    """Return what was counted in each minute of the hour before."""
    chosen, found = random.Random(42), list[dict[Metric, int]]()
    for minute in range(60):
        busy = 15 if 34 <= minute <= 40 else 0
        new, again, forged = busy + chosen.randint(3, 11), chosen.random() < 0.3, 4 * (minute in (22, 23))
        stale, pushes = chosen.random() < 0.05, max(0, chosen.randint(-3, 4))
        found.append(
            {
                Metric("up42", "answered 202"): new,
                Metric("up42", "answered 200"): int(again),
                Metric("up42", "duplicate", 1): int(again),
                Metric("up42", "answered 401"): forged + stale,
                Metric("up42", "rejected BadSignature"): forged,
                Metric("up42", "rejected StaleSignature"): int(stale),
                Metric("up42", "stored", 1): new - new // 5,
                Metric("up42", "stored", 3): new // 5,
                Metric("github", "answered 202"): pushes,
                Metric("github", "stored", 1): pushes,
            }
        )
    return [{metric: count for metric, count in each.items() if count} for each in found]


async def fill(folder: Path) -> None:
    """Fill the inbox of a folder."""
    inbox = sqlite(folder)
    await inbox.open()
    await inbox.load(deliveries(), inbox.clock())
    for minute, counted in enumerate(counts()):
        await inbox.count(counted, NOW - 3480 + 60 * minute)
    await inbox.close()


def inspector(folder: Path) -> Inspector:
    """Return the inspector of the inbox in a folder, for whoever asks."""
    return looked_at(Inspector(receivers(sqlite(folder)), auth=lambda request: "ann", writable=True))


async def digests(folder: Path) -> dict[str, str]:
    """Return a digest of each page: of what it shows, and of its style."""
    there = inspector(folder)
    inbox = there.site.inspected[0].inbox
    await inbox.open()
    browser, found = Browser(there), dict[str, str]()
    async with browser.client:
        for name, (path, _) in PAGES.items():
            page = await browser.get(path)
            assert page.status == 200, page.text
            shown = page.html.replace(browser.token, "").replace(str(folder), "")
            found[name] = sha256(shown.encode() + (STATIC / "inspector.css").read_bytes()).hexdigest()
    await inbox.close()
    return found


def file_of(name: str, scheme: str) -> Path:
    """Return the file of a picture, in the light or in the dark."""
    return FOLDER / f"inspector-{name}-{scheme}.png"


def noted(picture: bytes, digest: str) -> bytes:
    """Return a picture with a digest in it, as a text chunk behind its header (RFC 2083, section 4.2.3)."""
    kind, text = b"tEXt", _KEYWORD + b"\0" + digest.encode()
    chunk = struct.pack(">I", len(text)) + kind + text + struct.pack(">I", zlib.crc32(kind + text))
    end_of_header = 8 + 25
    return picture[:end_of_header] + chunk + picture[end_of_header:]


def digest_in(picture: bytes) -> str:
    """Return the digest that is in a picture."""
    _, _, rest = picture.partition(b"tEXt" + _KEYWORD + b"\0")
    return rest[:64].decode()


async def prepared(folder: Path) -> dict[str, str]:
    """Fill the inbox of a folder; return the digest of each page."""
    await fill(folder)
    return await digests(folder)


def main() -> None:
    """Make all pictures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        digest_of = asyncio.run(prepared(folder))
        with serving(inspector(folder)) as url, started() as browser:
            for name, (path, height) in PAGES.items():
                for scheme in SCHEMES:
                    size: ViewportSize = {"width": WIDTH, "height": height}
                    page = browser.new_page(base_url=url, viewport=size, color_scheme=scheme)
                    page.goto(path, wait_until="load")
                    page.wait_for_selector("text=Live")
                    file_of(name, scheme).write_bytes(noted(page.screenshot(), digest_of[name]))
                    page.close()
                    print(file_of(name, scheme).relative_to(ROOT))


if __name__ == "__main__":
    main()
