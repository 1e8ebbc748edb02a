"""Senders: who delivers, how each proves itself, and what its events are. One module each."""
