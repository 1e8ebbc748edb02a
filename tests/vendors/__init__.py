"""The senders' own libraries, pinned, and what they make of our signatures and we of theirs.

`proofs.py` says which libraries prove which sender; `drivers/` asks them, each in a process of an environment that has
them; `comparison.py` holds their verdicts against ours. What they said is written down in `tests/vectors/`, and
`test_vectors.py` replays it without any library. `python -m tests.vendors` writes it anew.
"""
