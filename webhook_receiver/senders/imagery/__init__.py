"""Providers of images: one module for each, with its senders and its events, and one with the sources that ask its API.

`statuses` has the table of all their words for "ready" and the rest; `events` the base class of their events, and how
a document of theirs becomes one.
"""
