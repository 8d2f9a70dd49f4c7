"""What a picture's figures say, on pictures whose figures are known."""

import pytest

from stages.imaging.arrays import Picture
from stages.imaging.quality import Quality, quality_issues, quality_of
from stages.imaging.thumbnail import thumbnail
from testing.pictures import checkerboard, flat, noise

GOOD = Quality(brightness=0.5, contrast=0.5, sharpness=100.0, calm_share=0.5, subject_share=0.3, colorfulness=0.3)


def halves() -> Picture:
    """Black on the left, white on the right."""
    picture = flat(384, 200, (0, 0, 0))
    picture[:, 192:] = 255
    return picture


def test_a_picture_of_one_edge_is_calm_but_for_a_narrow_band() -> None:
    quality = quality_of(halves())
    # The edge is smeared over a few hundredths of the width.
    assert quality.calm_share == pytest.approx(0.943, abs=0.01)
    assert quality.subject_share == pytest.approx(0.031, abs=0.006)
    assert quality.brightness == pytest.approx(0.5)
    assert quality.contrast == pytest.approx(1.0)


def test_calm_and_subject_leave_the_fairly_calm_between_them() -> None:
    assert (quality_of(flat(384, 384)).calm_share, quality_of(flat(384, 384)).subject_share) == (1.0, 0.0)
    assert (quality_of(noise(384, 384)).calm_share, quality_of(noise(384, 384)).subject_share) == (0.0, 1.0)
    quality = quality_of(halves())
    assert quality.calm_share + quality.subject_share < 1.0


def test_a_picture_is_as_colourful_as_its_colours() -> None:
    grey, pale, vivid = (quality_of(flat(64, 64, color)) for color in ((90, 90, 90), (120, 110, 100), (250, 20, 20)))
    assert grey.colorfulness < 0.01
    assert 0.05 < pale.colorfulness < 0.25
    assert vivid.colorfulness == 1.0


def test_blurring_takes_sharpness_away() -> None:
    sharp, soft = checkerboard(384, 384, 2), flat(384, 384)
    assert quality_of(sharp).sharpness > 1000
    assert quality_of(soft).sharpness == 0.0


@pytest.mark.parametrize(
    ("figure", "still_good", "no_longer", "issue"),
    [
        ("brightness", 0.08, 0.079, "very dark (brightness 0.08)"),
        ("brightness", 0.95, 0.951, "very bright (brightness 0.95)"),
        ("contrast", 0.04, 0.039, "almost without contrast (0.04)"),
        ("sharpness", 12.0, 11.9, "blurred (sharpness 12)"),
    ],
)
def test_an_issue_begins_beyond_its_bound(figure: str, still_good: float, no_longer: float, issue: str) -> None:
    assert quality_issues(GOOD._replace(**{figure: still_good})) == ()
    assert quality_issues(GOOD._replace(**{figure: no_longer})) == (issue,)


def test_a_thumbnail_of_exactly_the_allowed_bytes_is_kept() -> None:
    picture = noise(300, 200)
    small = thumbnail(picture)
    assert thumbnail(picture, len(small)) == small
    assert len(thumbnail(picture, len(small) - 1)) < len(small)
