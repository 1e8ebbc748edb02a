"""Routing: what users register, the router that finds the handlers of an event, and nothing that runs them."""

from __future__ import annotations

from .handlers import CallNext, DeadLetterHandler, Function, Handler, Middleware, Predicate, Route, name_of, old_names
from .router import Router

__all__ = [
    "CallNext",
    "DeadLetterHandler",
    "Function",
    "Handler",
    "Middleware",
    "Predicate",
    "Route",
    "Router",
    "name_of",
    "old_names",
]
