"""The libraries of a sender are asked, all at once."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager

from . import environments
from .comparison import Proof
from .library import Driver, driving
from .proofs import PROOFS


@contextmanager
def asking(proof: Proof) -> Generator[list[Driver]]:
    """Start a process for each library of a sender; yield what talks to them."""
    every = [library for proof in PROOFS.values() for library in proof.libraries]
    with ExitStack() as stack:
        yield [
            stack.enter_context(driving(environments.command(each.language, every), proof.sender, each, proof.secret))
            for each in proof.libraries
        ]
