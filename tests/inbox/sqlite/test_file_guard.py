from __future__ import annotations

from pathlib import Path

import pytest

from webhook_receiver.errors import ConfigurationError, InboxDamaged, InboxUnavailable
from webhook_receiver.inbox.sqlite.file_guard import Place


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "hooks.db"
    path.touch()
    return path


def test_a_file_that_was_removed_or_replaced_is_noticed(path: Path) -> None:
    place = Place(path, 0)
    place.refuse_moved()  # none is remembered
    place.remember()
    place.refuse_moved()
    path.rename(path.with_name("moved.db"))
    with pytest.raises(InboxDamaged, match="removed or replaced while it was in use"):
        place.refuse_moved()
    path.touch()
    with pytest.raises(InboxDamaged):
        place.refuse_moved()
    place.forget()
    place.refuse_moved()


def test_a_folder_in_whose_place_there_is_a_file_now_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "hooks.db").touch()
    place = Place(folder / "hooks.db", 0)
    place.remember()
    (folder / "hooks.db").unlink()
    folder.rmdir()
    folder.touch()
    with pytest.raises(InboxDamaged):
        place.refuse_moved()


def test_a_disk_with_too_little_room_is_refused(path: Path) -> None:
    Place(path, 0).refuse_full()
    place = Place(path, 2**62)
    for at_once in (False, True):
        with pytest.raises(InboxUnavailable, match=r"bytes free, less than min_free="):
            place.refuse_full(at_once=at_once)


def test_where_no_file_can_be_is_a_mistake(path: Path, tmp_path: Path) -> None:
    Place(path, 0).refuse_impossible(create=False)
    Place(tmp_path / "new.db", 0).refuse_impossible(create=True)
    with pytest.raises(ConfigurationError, match="there is no inbox at"):
        Place(tmp_path / "new.db", 0).refuse_impossible(create=False)
    with pytest.raises(ConfigurationError, match=r"there is no folder .*: make it"):
        Place(tmp_path / "nowhere" / "new.db", 0).refuse_impossible(create=True)
