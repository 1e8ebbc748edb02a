"""The proofs of all senders whose libraries run here, by the name of the sender."""

from __future__ import annotations

from ..comparison import Proof
from . import business, chat, general, in_body, money

PROOFS: dict[str, Proof] = {
    proof.sender: proof for proof in (*general.PROOFS, *money.PROOFS, *chat.PROOFS, *business.PROOFS, *in_body.PROOFS)
}
