"""What the senders' libraries said of requests, which are in files, is what our schemes say, but for known differences.

No library is needed here.
"""

from __future__ import annotations

import pytest

from webhook_receiver.senders.registry import presets

from . import pygeoapi, vectors
from .comparison import NOW, Proof, we_take
from .proofs import PROOFS

every = pytest.mark.parametrize("proof", PROOFS.values(), ids=PROOFS)


@every
def test_we_take_what_its_libraries_take(proof: Proof) -> None:
    told = vectors.read(proof.sender)
    assert (told.secret, told.url, told.time, told.libraries) == (proof.secret, proof.url, NOW, [*proof.libraries])
    scheme = proof.ours()
    for case in told.cases:
        assert we_take(scheme, case.request, proof.url) is case.here, case
        assert len(case.there) == len(proof.libraries)
        assert case.is_one or case.why, case


@every
def test_its_file_has_requests_that_all_take_and_that_nobody_takes(proof: Proof) -> None:
    cases = vectors.read(proof.sender).cases
    assert cases[0].what == "signed here"
    assert cases[0].here
    assert all(cases[0].there)
    signed = [each for each in proof.libraries if each.signs]
    for library in signed:
        assert next(case for case in cases if case.what == f"signed by {library}").is_one
    assert sum(not case.here and not any(case.there) for case in cases) >= vectors.REJECTED


def test_the_pages_say_by_what_a_sender_was_verified_and_when() -> None:
    proven = {name: vectors.read(name).verified for name in PROOFS if name in presets()}
    pages = {name: preset.page.verified for name, preset in presets().items() if preset.page is not None}
    proven |= pygeoapi.VERIFIED
    assert {name: verified for name, verified in pages.items() if verified != "by documentation"} == proven


def test_there_is_no_file_without_a_proof() -> None:
    assert {file.stem for file in vectors.FOLDER.glob("*.json")} - {"up42"} == {*PROOFS}
