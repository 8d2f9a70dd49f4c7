"""What the two stages that ask a vision-language model share: the trace of a request, and the form of an answer."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from stages.imaging.arrays import Picture
from stages.imaging.geometry import size_of
from stages.wording import harmless

NEEDS_MODEL = "needs a vision-language model; set VLM"
"""Why the measuring stand-in leaves a question open."""

# Patterns rather than lengths alone, and enums rather than numbers: constrained decoding then ends, whatever the model.
Sentence = Annotated[str, Field(pattern=r"^[A-Za-z0-9 ,.;:()%'/+-]{1,90}$")]
Text = Annotated[str, Field(pattern=r"^[A-Za-z0-9 ,.;:()%'/+-]{1,200}$")]
Color = Annotated[str, Field(pattern=r"^#[0-9a-f]{6}$")]
Sentences = Annotated[list[Sentence], Field(max_length=3)]


class Answer(BaseModel):
    """A model's answer as it comes, in JSON. Every field has bounds; the schema then also bounds what is decoded."""

    model_config = ConfigDict(extra="forbid", strict=True)


def request_trace(image: Picture, **texts: str) -> dict[str, Any]:
    """What is stored of a request: its texts as a model reads them, and the picture's size in place of its pixels."""
    return {**{name: harmless(text) for name, text in texts.items()}, "image": size_of(image).model_dump()}
