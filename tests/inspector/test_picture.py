"""The pictures of the inspector show the pages that it has now."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers import ROOT
from tests.inspector.picture import SCHEMES, digest_in, file_of, noted, prepared


async def test_the_pictures_show_the_pages_as_they_are(tmp_path: Path) -> None:
    for name, digest in (await prepared(tmp_path)).items():
        for scheme in SCHEMES:
            found = digest_in(file_of(name, scheme).read_bytes())
            assert found == digest, "it is stale: python -m tests.inspector.picture"


@pytest.mark.parametrize("text", ["README.md", "docs/inspector.md"])
def test_the_readme_and_the_guide_have_pictures_in_the_light_and_in_the_dark(text: str) -> None:
    found = ROOT.joinpath(text).read_text(encoding="utf-8")
    for scheme in SCHEMES:
        assert file_of("overview", scheme).name in found


def test_what_is_noted_in_a_picture_is_found_again() -> None:
    picture = file_of("overview", "light").read_bytes()
    assert digest_in(noted(picture, "0" * 64)) == "0" * 64
