"""The pages of the inspector, in the order of the navigation."""

from __future__ import annotations

from collections.abc import Sequence

from ..site import SitePage
from .audit import audit
from .dead import dead
from .deliveries import deliveries
from .delivery import body, delivery
from .handlers import handlers
from .overview import overview
from .senders import senders

PAGES: Sequence[SitePage] = (
    SitePage("/", overview, "Overview"),
    SitePage("/deliveries", deliveries, "Deliveries"),
    SitePage("/deliveries/{id}", delivery),
    SitePage("/deliveries/{id}/body", body),
    SitePage("/dead", dead, "Dead letters"),
    SitePage("/handlers", handlers, "Handlers"),
    SitePage("/senders", senders, "Senders and secrets"),
    SitePage("/audit", audit, "Audit"),
)
