"""UP42: its API as far as it is known, and a client of it."""
