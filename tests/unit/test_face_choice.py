"""Which of the installed faces is chosen, on catalogues made up for the question."""

from typing import Any

import pytest
from PIL import Image, ImageFont

from stages.type.fonts import Fonts, Typeface, typeface
from stages.values import FontFace, FontStyle
from testing.drawing import NANUM


def face(
    family: str, *, weight: int = 400, style: FontStyle = "sans", regular_cut: bool = True, hangul: bool = True
) -> Typeface:
    file = f"/fonts/{family}-{weight}.ttf"
    return Typeface(FontFace(family=family, file=file, bold=weight >= 600), weight, style, "", regular_cut, hangul)


def chosen(*faces: Typeface, style: FontStyle = "sans", bold: bool = True) -> tuple[str, bool, str]:
    """Family, boldness and file name."""

    def never_opened(_: FontFace, __: int) -> None:
        raise AssertionError("a choice needs no glyphs")

    found = Fonts(faces, never_opened).choose(style, bold=bold)  # type: ignore[arg-type]
    return found.family, found.bold, found.file.rpartition("-")[2]


def test_a_slanted_or_condensed_face_is_not_chosen_while_a_regular_cut_has_hangul() -> None:
    assert chosen(face("A Slanted", regular_cut=False), face("B Upright"))[0] == "B Upright"
    assert chosen(face("A Slanted", regular_cut=False), face("B Latin", hangul=False))[0] == "A Slanted"


def test_a_face_without_hangul_is_never_chosen() -> None:
    assert chosen(face("A Latin", hangul=False), face("B Korean", style="display"))[0] == "B Korean"


@pytest.mark.parametrize(
    ("style", "families"),
    [
        ("sans", ["sans", "rounded", "display", "serif"]),
        ("rounded", ["rounded", "sans", "display", "serif"]),
        ("serif", ["serif", "sans", "rounded", "display"]),
        ("display", ["display", "rounded", "sans", "serif"]),
    ],
)
def test_the_nearest_style_is_taken_where_a_style_is_missing(style: FontStyle, families: list[FontStyle]) -> None:
    installed = [face(name, style=name) for name in sorted(families)]
    for nearest in families:
        assert chosen(*installed, style=style)[0] == nearest
        installed = [each for each in installed if each.face.family != nearest]


@pytest.mark.parametrize(
    ("weights", "bold", "file"),
    [
        ([300, 400, 700, 900], True, "700.ttf"),
        ([300, 400, 700, 900], False, "400.ttf"),
        ([300, 800], True, "800.ttf"),
        ([200, 600], False, "200.ttf"),
        ([500, 900], True, "500.ttf"),
    ],
)
def test_the_nearest_weight_of_the_family_is_taken(weights: list[int], bold: bool, file: str) -> None:
    assert chosen(*(face("Gothic", weight=weight) for weight in weights), bold=bold)[2] == file


def test_a_known_family_goes_before_one_that_is_not_known_and_names_decide_among_the_unknown() -> None:
    assert chosen(face("Aaa"), face("NanumGothic"), face("NanumSquare"))[0] == "NanumSquare"
    assert chosen(face("Zzz"), face("Aaa"))[0] == "Aaa"


def test_a_face_is_as_bold_as_its_cut_says_whatever_its_file_is_called() -> None:
    for file, bold in (("NanumGothic.ttf", False), ("NanumGothicBold.ttf", True)):
        found = typeface("/elsewhere/font.ttf", 0, ImageFont.truetype(str(NANUM / file), 40))
        assert (found.face.family, found.face.bold, found.hangul, found.regular_cut) == (
            "NanumGothic",
            bold,
            True,
            True,
        )


class Named:
    """A font of which only the name is known, and which draws nothing."""

    def __init__(self, family: str, cut: str) -> None:
        self._name = family, cut

    def getname(self) -> tuple[str, str]:
        return self._name

    def getmask(self, _: str) -> Any:
        return Image.new("L", (1, 1)).im


def described(family: str, cut: str = "Regular") -> Typeface:
    return typeface(f"/fonts/{family}.ttf", 0, Named(family, cut))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("family", "style"),
    [
        ("Some Batang", "serif"),
        ("Some Serif", "serif"),
        ("Sans Serif Text", "sans"),
        ("Some Rounded", "rounded"),
        ("Some Gothic", "sans"),
    ],
)
def test_the_style_of_an_unknown_family_is_guessed_from_its_name(family: str, style: FontStyle) -> None:
    assert described(family).style == style


@pytest.mark.parametrize(("cut", "bold"), [("Medium", False), ("SemiBold", True), ("Bold", True), ("Light", False)])
def test_a_cut_is_bold_from_semibold_on(cut: str, bold: bool) -> None:
    assert described("Some Gothic", cut).face.bold is bold


def test_slanted_condensed_and_monospaced_cuts_are_no_regular_ones() -> None:
    assert described("Some Gothic").regular_cut
    for cut in ("Italic", "Bold Oblique", "Condensed"):
        assert not described("Some Gothic", cut).regular_cut
    assert not described("Some Mono").regular_cut
