"""The proofs of all senders whose libraries run here, by the name of the sender."""

from __future__ import annotations

from ..comparison import Proof
from . import business, chat, general, in_body, money, platforms

PROOFS: dict[str, Proof] = {
    proof.sender: proof for trade in (general, money, chat, business, in_body, platforms) for proof in trade.PROOFS
}
