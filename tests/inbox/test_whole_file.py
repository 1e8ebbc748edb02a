from __future__ import annotations

from pathlib import Path

import pytest

from webhook_receiver.inbox.whole_file import whole_file


def test_a_file_has_its_name_only_when_it_is_whole_and_is_private(tmp_path: Path) -> None:
    file = tmp_path / "file"
    with whole_file(file) as temporary:
        temporary.write_text("all of it", encoding="utf-8")
        assert not file.exists()
    assert file.read_text(encoding="utf-8") == "all of it"
    assert file.stat().st_mode & 0o077 == 0
    assert [*tmp_path.iterdir()] == [file]


def test_what_fails_leaves_the_file_that_was_there_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("before", encoding="utf-8")

    def half(temporary: Path) -> None:
        temporary.write_text("half", encoding="utf-8")
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"), whole_file(file) as temporary:
        half(temporary)
    assert file.read_text(encoding="utf-8") == "before"
    assert [*tmp_path.iterdir()] == [file]


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "no" / "file"):
        pass
