"""Fonts as files: found in folders, read, and opened."""

from pathlib import Path

import pytest

from resources.fonts import FontFiles, installed_fonts
from stages.type.fonts import Fonts
from stages.values import FontFace, StageError
from testing.drawing import NANUM
from testing.pictures import latin_font


def test_fonts_without_hangul_are_refused_as_a_whole() -> None:
    with pytest.raises(StageError, match="no font with Hangul and Latin"):
        installed_fonts([latin_font()])


def test_no_path_at_all_is_refused() -> None:
    with pytest.raises(StageError, match="no font with Hangul"):
        installed_fonts([])


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"nowhere\.ttf does not exist"):
        installed_fonts([NANUM, tmp_path / "nowhere.ttf"])


def test_a_file_that_is_no_font_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.ttf"
    broken.write_bytes(b"not a font")
    with pytest.raises(StageError, match=r"broken\.ttf cannot be read"):
        installed_fonts([NANUM, broken])


def test_a_broken_file_in_a_folder_is_reported_and_the_others_serve(tmp_path: Path) -> None:
    (tmp_path / "broken.ttf").write_bytes(b"")
    found = FontFiles([NANUM, tmp_path])
    assert found.catalogue.choose("sans").family == "NanumSquare"
    assert list(found.unreadable) == [str(tmp_path / "broken.ttf")]


def test_a_face_is_found_by_its_file_name_on_another_machine(fonts: Fonts) -> None:
    face = fonts.choose("sans")
    moved = face.model_copy(update={"file": f"/elsewhere/{Path(face.file).name}"})
    assert fonts.load(moved, 40).getlength("가") == fonts.load(face, 40).getlength("가")


def test_a_face_that_is_gone_is_named(fonts: Fonts) -> None:
    with pytest.raises(StageError, match=r"gone\.ttf \(Gone\) is missing; install"):
        fonts.load(FontFace(family="Gone", file="/elsewhere/gone.ttf"), 40)
