"""The Markdown files of the project, taken apart."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from resources.settings import PROJECT

_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_SPAN = re.compile(r"`([^`\n]+)`")


class Block(NamedTuple):
    """One fenced block, with the heading above it and the mark `<!-- test: … -->` on the line before it."""

    language: str
    code: str
    heading: str
    mark: str


@dataclass(frozen=True)
class Page:
    path: Path

    @property
    def name(self) -> str:
        return self.path.relative_to(PROJECT).as_posix()

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @property
    def prose(self) -> str:
        """The text without its fenced blocks."""
        return _FENCE.sub("", self.text)

    @property
    def blocks(self) -> list[Block]:
        text = self.text
        return [_block(text, found) for found in _FENCE.finditer(text)]

    @property
    def commands(self) -> list[str]:
        """The lines of the shell blocks, without comments."""
        lines = "\n".join(block.code for block in self.blocks if block.language == "bash").splitlines()
        return [command for line in lines if (command := re.sub(r"(^|\s+)#.*", "", line).strip())]

    @property
    def code(self) -> str:
        """All that is set as code: shell commands and the spans of the prose."""
        return "\n".join([*self.commands, *_SPAN.findall(self.prose)])

    @property
    def links(self) -> list[str]:
        return _LINK.findall(self.prose)

    @property
    def anchors(self) -> set[str]:
        """The anchors that a Git forge makes of the headings."""
        return {_anchor(heading) for heading in _HEADING.findall(self.prose)}


def pages() -> list[Page]:
    folders = [PROJECT, *(path for path in PROJECT.iterdir() if path.is_dir() and not path.name.startswith("."))]
    found = [path for folder in folders for path in folder.glob("*.md")]
    return [Page(path) for path in sorted(found)]


def _block(text: str, found: re.Match[str]) -> Block:
    before = text[: found.start()]
    headings = _HEADING.findall(_FENCE.sub("", before))
    mark = re.search(r"<!-- test: (\w+) -->\n$", before)
    return Block(found[2], found[3], headings[-1] if headings else "", mark[1] if mark else "")


def _anchor(heading: str) -> str:
    words = re.sub(r"[^\w\s-]", "", heading.lower())
    return re.sub(r"\s", "-", words.strip())
