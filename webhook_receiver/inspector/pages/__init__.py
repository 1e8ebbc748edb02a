"""The pages of the inspector, in the order of the navigation."""

from __future__ import annotations

from collections.abc import Sequence

from ..site import SitePage
from .acting import confirm_purge, confirm_replay, finished, purge, replay
from .audit import audit
from .dead import dead
from .deliveries import deliveries
from .delivery import body, delivery
from .editing import edit_form, replay_edited
from .exporting import curl, signed_curl, test
from .handlers import handlers
from .overview import overview
from .pausing import confirm_pause, confirm_resume, pause, resume
from .senders import senders

PAGES: Sequence[SitePage] = (
    SitePage("/", overview, "Overview"),
    SitePage("/deliveries", deliveries, "Deliveries"),
    SitePage("/deliveries/{id}", delivery),
    SitePage("/deliveries/{id}/body", body),
    SitePage("/deliveries/{id}/test", test),
    SitePage("/deliveries/{id}/curl", curl),
    SitePage("/deliveries/{id}/curl", signed_curl, posts=True),
    SitePage("/deliveries/{id}/edit", edit_form, writes=True),
    SitePage("/deliveries/{id}/edit", replay_edited, posts=True),
    SitePage("/dead", dead, "Dead letters"),
    SitePage("/handlers", handlers, "Handlers"),
    SitePage("/senders", senders, "Senders and secrets"),
    SitePage("/audit", audit, "Audit"),
    SitePage("/replay", confirm_replay, writes=True),
    SitePage("/replay", replay, posts=True),
    SitePage("/purge", confirm_purge, writes=True),
    SitePage("/purge", purge, posts=True),
    SitePage("/pause", confirm_pause, writes=True),
    SitePage("/pause", pause, posts=True),
    SitePage("/resume", confirm_resume, writes=True),
    SitePage("/resume", resume, posts=True),
    SitePage("/finished", finished),
)
