"""The senders' own libraries: what they sign is taken here, what we sign there, and what they reject is rejected.

Where they and we differ over two hundred changed requests, the difference is known; another one fails. A library that
says of a request something else than in its file has changed.
"""

from __future__ import annotations

import pytest

from . import vectors
from .asking import asking
from .comparison import MUTATIONS, NOW, Proof, cases
from .proofs import PROOFS

pytestmark = pytest.mark.vendor


@pytest.mark.parametrize("proof", PROOFS.values(), ids=PROOFS)
def test_the_libraries_say_what_we_say_and_what_they_said_before(proof: Proof) -> None:
    with asking(proof) as drivers:
        for told in vectors.read(proof.sender).cases:
            said = [driver.takes(told.request, proof.url, NOW) for driver in drivers]
            assert said == told.there, f"{told}: write the file anew, with `python -m tests.vendors {proof.sender}`"
        judged = [*cases(proof, drivers)]
    unknown = [case for case in judged if not case.is_one and case.why is None]
    assert unknown == []
    assert sum(case.here for case in judged) >= len(proof.bodies)  # also those that a library is known not to take
    assert any(case.here and case.is_one for case in judged)
    assert sum(not case.here and case.is_one for case in judged) >= MUTATIONS / 2
