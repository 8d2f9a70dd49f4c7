"""All scenes under one numbering: an edition is every generated scene and every photograph once."""

from __future__ import annotations

from functools import cache

from testing.scenes.generated import scenes
from testing.scenes.photographs import photographs
from testing.scenes.scene import Scene


@cache
def _per_edition() -> int:
    return len([*scenes(0), *photographs(0)])


def scenes_of(edition: int) -> range:
    """The numbers of the pictures of one edition: as many in each, and of the same kinds, but others."""
    return range(edition * _per_edition(), (edition + 1) * _per_edition())


def scene(number: int) -> Scene:
    edition, place = divmod(number, _per_edition())
    return [*scenes(number - place), *photographs(edition)][place]()
