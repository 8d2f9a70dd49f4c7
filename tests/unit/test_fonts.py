"""Which face draws what."""

import pytest

from stages.type.fonts import Fonts
from stages.values import FontStyle, StageError


@pytest.mark.parametrize(
    ("style", "family"),
    [("sans", "NanumSquare"), ("rounded", "NanumSquareRound"), ("serif", "NanumMyeongjo")],
)
def test_each_style_has_a_family_with_hangul_and_latin(fonts: Fonts, style: FontStyle, family: str) -> None:
    bold, regular = fonts.choose(style), fonts.choose(style, bold=False)
    assert (bold.family, bold.bold, regular.family, regular.bold) == (family, True, family, False)
    assert fonts.missing(bold, "가나다 ABC 0123 ₩%!?") == ""


def test_a_style_nobody_installed_gets_the_next_best_one(fonts: Fonts) -> None:
    assert fonts.missing(fonts.choose("display"), "가나다") == ""


def test_monospaced_faces_are_never_chosen(fonts: Fonts) -> None:
    styles: tuple[FontStyle, ...] = ("sans", "rounded", "serif", "display")
    assert "NanumGothicCoding" not in {fonts.choose(style).family for style in styles}


def test_every_catalogued_family_has_its_licence_noted(fonts: Fonts) -> None:
    licences = {face.face.family: face.licence for face in fonts.faces}
    assert licences["NanumSquare"] == "SIL Open Font License 1.1"
    assert "Vera" in licences["DejaVu Sans"]


def test_hangul_is_missing_in_a_latin_face(fonts: Fonts) -> None:
    latin = next(face.face for face in fonts.faces if face.face.family == "DejaVu Sans")
    assert fonts.missing(latin, "ab 가나가") == "가나"


def test_single_missing_glyphs_come_from_another_face(fonts: Fonts) -> None:
    square = fonts.choose("sans")
    assert fonts.missing(square, "€") == "€"
    runs = fonts.runs("커피 5€!", square)
    assert "".join(text for text, _ in runs) == "커피 5€!"
    assert [(text, face == square) for text, face in runs] == [("커피 5", True), ("€", False), ("!", True)]
    assert all(fonts.missing(face, text) == "" for text, face in runs)


def test_a_rare_syllable_comes_from_another_hangul_face(fonts: Fonts) -> None:
    ((_, face),) = fonts.runs("힣", fonts.choose("sans"))
    assert face.family != "NanumSquare"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("따뜻한 🔥 커피", r"U\+1F525 FIRE"),
        ("กาแฟ", r"U\+0E01 THAI CHARACTER KO KAI"),
        ("قهوة", r"U\+0642 ARABIC LETTER QAF"),
        ("x\u0302", r"U\+0302 COMBINING CIRCUMFLEX ACCENT"),
        ("\U000f1234", r"U\+F1234 a character without a name"),
    ],
)
def test_a_character_no_font_can_draw_is_named_with_the_way_out(fonts: Fonts, text: str, named: str) -> None:
    with pytest.raises(StageError, match=rf"{named}\); remove it from the copy or install a font"):
        fonts.runs(text, fonts.choose("sans"))
