"""The values that stages pass on: frozen, typed, and stored as JSON.

Coordinates are normalised to the image (0…1, origin top left) unless a name ends in `_px`.
Colours are sRGB triples 0…255. Every value round-trips through `model_dump(mode="json")`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from stages.wording import message_text

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Channel = Annotated[int, Field(ge=0, le=255)]
Rgb = tuple[Channel, Channel, Channel]


class StageError(Exception):
    """The input cannot be processed and trying again cannot help; the message says why and what to do.

    The message may hold texts of others: it is cut, and what nobody sees of it is written as an escape.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message_text(message))


class Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Size(Value):
    width_px: int = Field(gt=0)
    height_px: int = Field(gt=0)


class Rect(Value):
    """An axis-aligned rectangle inside the image, in fractions of its width and height."""

    x: Fraction
    y: Fraction
    width: Fraction
    height: Fraction

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height

    @property
    def area(self) -> float:
        return self.width * self.height

    @property
    def corners(self) -> tuple[float, float, float, float]:
        """(left, top, right, bottom), in fractions."""
        return self.x, self.y, self.right, self.bottom

    def corners_px(self, size: Size) -> tuple[float, float, float, float]:
        """(left, top, right, bottom) in px, not rounded."""
        return (
            self.x * size.width_px,
            self.y * size.height_px,
            self.right * size.width_px,
            self.bottom * size.height_px,
        )

    @classmethod
    def from_corners_px(cls, left: float, top: float, right: float, bottom: float, size: Size) -> Rect:
        """The rectangle with these px corners, clipped to the image."""
        x0, x1 = (min(max(v / size.width_px, 0.0), 1.0) for v in (left, right))
        y0, y1 = (min(max(v / size.height_px, 0.0), 1.0) for v in (top, bottom))
        return cls(x=x0, y=y0, width=max(0.0, x1 - x0), height=max(0.0, y1 - y0))


class ModelInfo(Value):
    """Which model made a result, so that any stored figure can be traced to it and repeated."""

    provider: str
    model: str
    revision: str
    parameters: dict[str, str | int | float | bool | None] = {}


# vlm_analyze ---------------------------------------------------------------------------------

FontStyle = Literal["sans", "rounded", "serif", "display"]
SizeCategory = Literal["small", "medium", "large"]


class FontRecommendation(Value):
    style: FontStyle
    size_category: SizeCategory
    color: Rgb


class Analysis(Value):
    """Does the image suit the copy? `None` means not known; `unknown` then says why, by field name."""

    is_valid: bool | None
    image_quality_ok: bool | None
    relevance_score: Fraction | None
    issues: tuple[str, ...] = ()
    recommendations: tuple[str, ...] = ()
    font: FontRecommendation
    text: str
    unknown: dict[str, str] = {}
    measured: dict[str, float] = {}
    model: ModelInfo


# yolo_detect ---------------------------------------------------------------------------------


OBJECT_MARGIN = 0.012
"""Kept clear around each object, of a side of the picture: text that touches an object looks as if it covered it."""


class DetectedObject(Value):
    """Something that text should not cover. `weight` is its importance: twice the weight, twice as bad to cover."""

    label: str
    score: Fraction
    box: Rect
    weight: float = Field(default=1.0, gt=0)


class Detections(Value):
    """Objects the text must not cover. The forbidden mask (255 = keep clear) is stored beside it."""

    objects: tuple[DetectedObject, ...]
    size: Size
    forbidden_share: Fraction
    model: ModelInfo


# planner -------------------------------------------------------------------------------------


class Proposal(Value):
    """One place for the copy: the score (higher is better) and what it is made of, by reason.

    `occlusion` is the share of the region's area that is forbidden, 0…1. `inset` is the least distance of the text from
    the region's edges, as a share of the picture's shorter side.
    """

    region: Rect
    inset: Fraction = 0.0
    score: float
    occlusion: Fraction
    source: str
    reasons: dict[str, float] = {}
    words: str


class Plan(Value):
    """Proposals ranked best first; `chosen` is an index into them.

    `needs_panel` is true where no region was free: the text there covers an object, and a panel is drawn under it.
    """

    proposals: tuple[Proposal, ...] = Field(min_length=1)
    chosen: int = 0
    needs_panel: bool = False
    size: Size

    @property
    def region(self) -> Rect:
        return self.proposals[self.chosen].region


# overlay -------------------------------------------------------------------------------------


class FontFace(Value):
    family: str
    file: str
    index: int = 0
    bold: bool = False


class GlyphRun(Value):
    """A stretch of one line drawn in one font; `origin_*_px` is the left end of its baseline."""

    text: str
    face: FontFace
    origin_x_px: float
    origin_y_px: float


class TextLine(Value):
    """One drawn line; `ink` bounds the pixels its glyphs touch.

    `font_size_px` is None where the line has the layout's size; a secondary line is smaller.
    """

    text: str
    runs: tuple[GlyphRun, ...]
    ink: Rect
    font_size_px: int | None = None


class Panel(Value):
    """A plate under the text: `rect` filled with `color` at `opacity`, corners rounded by `radius_px`.

    Outside `rect` the opacity falls to zero over `feather_px`: 0 makes a plate with a sharp edge, more a soft scrim.
    """

    rect: Rect
    color: Rgb
    opacity: Fraction
    radius_px: float = 0.0
    feather_px: float = 0.0


_RETIRED_FROM_LAYOUT = frozenset(("text_rect", "stroke", "stroke_width_px"))
"""Fields that layouts stored before version 0.2.0 have besides: the ink once more, and a stroke that never was."""


class Layout(Value):
    """The text as drawn. `region` is where the planner put it, `ink` bounds the pixels that its glyphs touch."""

    text: str
    lines: tuple[TextLine, ...] = Field(min_length=1)
    region: Rect
    ink: Rect
    face: FontFace
    font_size_px: int
    line_height_px: int
    fill: Rgb
    panel: Panel | None = None
    contrast_p1: float
    proposal: int
    size: Size
    warnings: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _without_retired_fields(cls, given: Any) -> Any:
        """Layouts that an older version stored can still be read."""
        if not isinstance(given, dict):
            return given
        return {name: value for name, value in given.items() if name not in _RETIRED_FROM_LAYOUT}

    def font_size_of(self, line: TextLine) -> int:
        """In px."""
        return line.font_size_px or self.font_size_px


# vlm_judge, ocr_eval, readability_eval, iou_eval ---------------------------------------------


class Judgement(Value):
    """A model's opinion of the finished ad. `None` means not known; `unknown` says why, by field name."""

    on_brief: bool | None
    occlusion: bool | None
    contrast_ok: bool | None
    cta_present: bool | None
    issues: tuple[str, ...] = ()
    reasoning: str
    unknown: dict[str, str] = {}
    model: ModelInfo


Script = Literal["hangul", "latin"]


class LineToRead(Value):
    """Where a drawn line is, and what a recogniser may know of it: its script and its colour."""

    box: Rect
    script: Script
    fill: Rgb


class LineRead(Value):
    text: str
    confidence: Fraction


class LineRecognition(Value):
    """One line. `edits` leave out what the recogniser cannot read, the distinct characters `unreadable_by_reader`."""

    expected: str
    recognized: str
    confidence: Fraction
    edits: int
    edits_ignoring_spaces: int
    unreadable_by_reader: tuple[str, ...] = ()


class Recognition(Value):
    """Edit figures over all lines: Σedits/ΣN. `cer_ignoring_spaces` is the figure to judge Korean by.

    Characters that the recogniser does not have in its character set count neither as edits nor in N;
    `unreadable_by_reader` names them. It is empty in results from before they were told apart.
    """

    recognized_text: str
    confidence: Fraction
    cer: float
    cer_ignoring_spaces: float
    wer: float
    edit_distance: int
    critical_tokens_missed: tuple[str, ...] = ()
    lines: tuple[LineRecognition, ...]
    unreadable_by_reader: tuple[str, ...] = ()
    reason: str
    model: ModelInfo


class Fidelity(Value):
    """The proof by drawing: does the finished ad show its layout, and does the layout show the ordered copy?

    An em is the font size of the smallest line; shares are of the picture's short side. `largest_difference_em2` is the
    area of the largest connected place, `differs_at`, where the ad differs from its layout drawn again.
    `least_margin_share` is negative where ink lies beyond the border. `lines_overlap` is the largest share of a line's
    ink rectangle that lies in the next line's. `displaced_em` is the largest distance of a run from where the advance
    widths of its font put it.
    """

    largest_difference_em2: float
    differs_at: Rect | None
    text_as_ordered: bool
    missing_glyphs: int
    smallest_text_share: float
    least_margin_share: float
    lines_overlap: Fraction
    lines_in_order: bool
    displaced_em: float
    reason: str


class Readability(Value):
    """WCAG contrast ratios of the drawn colour against the pixels next to the glyph edges.

    `fidelity` is None in results from before it was measured.
    """

    contrast_min: float
    contrast_p1: float
    contrast_p5: float
    contrast_median: float
    measured_fill: Rgb
    large_text: bool
    passes_aa: bool
    passes_aaa: bool
    score: Fraction
    reason: str
    fidelity: Fidelity | None = None


class ObjectOverlap(Value):
    label: str
    box: Rect
    iou: Fraction
    coverage: Fraction


class Overlap(Value):
    """Text against each object: IoU, and coverage = the share of the object that lies under the text.

    `plate_coverage` is the largest share of an object that lies under a panel that hides it.
    """

    objects: tuple[ObjectOverlap, ...]
    max_iou: Fraction
    max_coverage: Fraction
    text_on_objects: Fraction
    plate_coverage: Fraction = 0.0
    overlaps: bool
    reason: str


# verdict ----------------------------------------------------------------------------------------

Outcome = Literal["pass", "warn", "fail"]


class Reason(Value):
    """One reason against an ad, in English and in Korean."""

    outcome: Outcome
    english: str
    korean: str


class Verdict(Value):
    """All measurements of a variant in one: the worst outcome, every reason for it, and a score to rank variants by."""

    outcome: Outcome
    reasons: tuple[Reason, ...]
    score: Fraction
