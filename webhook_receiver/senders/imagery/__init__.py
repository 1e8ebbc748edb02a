"""Providers of images: one module for each, with its senders and its events.

`statuses` has the table of all their words for "ready" and the rest; `events` the base class of their events, and how
a document of theirs becomes one.
"""
