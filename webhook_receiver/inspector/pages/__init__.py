"""The pages of the inspector, in the order of the navigation."""

from __future__ import annotations

from collections.abc import Sequence

from ..site import SitePage
from . import acting, audit, dead, deliveries, delivery, editing, exporting, handlers, overview, pausing, senders

PAGES: Sequence[SitePage] = (
    SitePage("/", overview.show, "Overview"),
    SitePage("/deliveries", deliveries.show, "Deliveries"),
    SitePage("/deliveries/{id}", delivery.show),
    SitePage("/deliveries/{id}/body", delivery.body),
    SitePage("/deliveries/{id}/test", exporting.test),
    SitePage("/deliveries/{id}/curl", exporting.curl),
    SitePage("/deliveries/{id}/curl", exporting.signed_curl, posts=True),
    SitePage("/deliveries/{id}/edit", editing.edit_form, writes=True),
    SitePage("/deliveries/{id}/edit", editing.replay_edited, posts=True),
    SitePage("/dead", dead.show, "Dead letters"),
    SitePage("/handlers", handlers.show, "Handlers"),
    SitePage("/senders", senders.show, "Senders and secrets"),
    SitePage("/audit", audit.show, "Audit"),
    SitePage("/replay", acting.confirm_replay, writes=True),
    SitePage("/replay", acting.replay, posts=True),
    SitePage("/purge", acting.confirm_purge, writes=True),
    SitePage("/purge", acting.purge, posts=True),
    SitePage("/pause", pausing.confirm_pause, writes=True),
    SitePage("/pause", pausing.pause, posts=True),
    SitePage("/resume", pausing.confirm_resume, writes=True),
    SitePage("/resume", pausing.resume, posts=True),
    SitePage("/finished", acting.finished),
)
