"""Files that somebody may store as a picture: each must be refused with a reason, or be loaded, fast and small."""

from __future__ import annotations

import io
import itertools
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from resources.images import MOST_PIXELS, ImageStore
from stages.values import StageError
from testing.hostile.attacks import Attack, NotHeld

_SIDE = int(MOST_PIXELS**0.5)
_PNG = b"\x89PNG\r\n\x1a\n"
_NOISE_S = 3.0
"""As long as the largest picture that is allowed may take: it is no attack, but as much work as there can be."""

Content = Callable[[], bytes]


def file_attacks(root: Path, *, every: int = 1) -> Iterator[Attack]:
    """All files, or every n-th one. Each is written below `root` when it is asked for, and removed by its attack."""
    for number, (name, content) in enumerate(itertools.islice(_files(), 0, None, every)):
        file = root / f"{number}.png"
        file.write_bytes(content())
        yield Attack("files", name, partial(_load, file), most_s=_NOISE_S if "noise" in name else 1.0)


def _load(file: Path) -> str:
    try:
        picture = ImageStore(file.parent).load(f"/assets/{file.name}")
    except StageError as refused:
        if file.name not in str(refused):
            raise NotHeld(f"the reason does not name the file: {refused}") from refused
        return "refused"
    finally:
        file.unlink()
    if picture.ndim != 3 or picture.shape[2] != 3:
        raise NotHeld(f"loaded with shape {picture.shape}")
    return "loaded"


def _files() -> Iterator[tuple[str, Content]]:
    yield from _damaged()
    yield from _lying_headers()
    yield from _other_formats()
    yield from _heavy_pngs()
    yield from _heavy_jpegs()
    yield from _heavy_webps()
    yield from _polyglots()


@cache
def _usual(kind: str) -> bytes:
    noise = np.random.default_rng(1).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    return _saved(Image.fromarray(noise), kind)


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _damaged() -> Iterator[tuple[str, Content]]:
    for kind in ("PNG", "JPEG", "WEBP"):
        for tenth in range(10):
            yield f"{kind} cut at {tenth * 10} %", partial(_cut, kind, tenth / 10)
        for seed in range(9):
            yield f"{kind} with damage {seed}", partial(_with_damage, kind, seed)


def _cut(kind: str, share: float) -> bytes:
    content = _usual(kind)
    return content[: int(len(content) * share)]


def _with_damage(kind: str, seed: int) -> bytes:
    """Some bytes are others; with small seeds in the header."""
    content, random = bytearray(_usual(kind)), np.random.default_rng(seed)
    last = 64 if seed < 5 else len(content)
    for position in random.integers(4, last, 6):
        content[position] = random.integers(0, 256)
    return bytes(content)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _png(width: int, height: int, *before: bytes, depth: int = 8, color: int = 2, interlace: int = 0) -> bytes:
    """A PNG of zeros, whose header says what it likes."""
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace))
    return _PNG + header + b"".join(before) + _chunk(b"IDAT", zlib.compress(b"\0" * 999)) + _chunk(b"IEND", b"")


def _lying_headers() -> Iterator[tuple[str, Content]]:
    sizes = [(0, 0), (1, 1), (1, 10_000), (10_000, 1), (31, 31), (60_000, 60_000), (2**31 - 1, 2**31 - 1), (7000, 60)]
    for width, height in sizes:
        yield f"PNG that says {width} × {height}", partial(_png, width, height)
    for depth, color in ((3, 2), (16, 3), (8, 9)):
        yield f"PNG of depth {depth} and colour {color}", partial(_png, 64, 64, depth=depth, color=color)
    yield "JPEG that says 65,500 × 65,500", partial(_jpeg_of_size, 65_500, 65_500)
    yield "JPEG that says 0 × 0", partial(_jpeg_of_size, 0, 0)
    yield "WebP that says 16,383 × 16,383", _webp_of_size
    yield "1 × 1 PNG", lambda: _saved(Image.new("RGB", (1, 1)), "PNG")
    yield "1 × 1 JPEG", lambda: _saved(Image.new("RGB", (1, 1)), "JPEG")
    yield "1 × 1 WebP", lambda: _saved(Image.new("RGB", (1, 1)), "WEBP")


def _jpeg_of_size(width: int, height: int) -> bytes:
    content = _usual("JPEG")
    at = content.index(b"\xff\xc0") + 5
    return content[:at] + struct.pack(">HH", height, width) + content[at + 4 :]


def _webp_of_size() -> bytes:
    content = bytearray(_usual("WEBP"))
    content[26:30] = struct.pack("<HH", 16_383, 16_383)
    return bytes(content)


def _other_formats() -> Iterator[tuple[str, Content]]:
    picture = Image.new("RGB", (64, 64))
    for kind in ("GIF", "BMP", "TIFF", "ICO", "PCX", "PPM", "TGA", "EPS", "PDF", "JPEG2000", "DDS", "SGI"):
        yield kind, partial(_saved, picture, kind)
    starts = {
        "nothing": b"",
        "text": b"hello",
        "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        "HTML": b"<!doctype html><script>alert(1)</script>",
        "shell script": b"#!/bin/sh\nid\n",
        "program": b"\x7fELF" + b"\0" * 60,
        "pickle": b"\x80\x04cos\nsystem\n(S'id'\ntR.",
        "archive": b"PK\x03\x04" + b"\0" * 60,
        "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n",
        "AVIF": b"\0\0\0\x20ftypavif" + b"\0" * 60,
        "zeros": b"\0" * 1_000_000,
    }
    for name, content in starts.items():
        yield name, partial(bytes, content)


def _heavy_pngs() -> Iterator[tuple[str, Content]]:
    text = _chunk(b"tEXt", b"a\0b")
    packed = _chunk(b"zTXt", b"a\0\0" + zlib.compress(b"\0" * 60_000_000))
    profile = _chunk(b"iCCP", b"a\0\0" + zlib.compress(b"\0" * 60_000_000))
    some_packed = _chunk(b"zTXt", b"a\0\0" + zlib.compress(b"\0" * 900_000))
    yield "PNG with 100,000 notes", lambda: _png(64, 64, text * 100_000)
    yield "PNG with 1,900 notes", lambda: _saved(Image.new("RGB", (64, 64)), "PNG", pnginfo=_notes(1_900))
    yield "PNG with a note of 60 MB, packed", lambda: _png(64, 64, packed)
    yield "PNG with 200 notes of 0.9 MB, packed", lambda: _png(64, 64, some_packed * 200)
    yield "PNG with a colour profile of 60 MB, packed", lambda: _png(64, 64, profile)
    yield "PNG with 500,000 pieces of pixels", lambda: _png(64, 64, _chunk(b"IDAT", b"") * 500_000)
    yield "PNG with 1 MB of EXIF", lambda: _png(64, 64, _chunk(b"eXIf", _exif_bomb(1_000_000)))
    yield "PNG of 33 MB", lambda: _usual("PNG") + b"\0" * 33_000_000
    yield "PNG with more pixels than allowed", lambda: _full_size("RGB", extra=1)
    for mode in ("RGB", "RGBA", "P", "L", "LA", "1", "I;16"):
        yield f"{mode} PNG of all allowed pixels", partial(_full_size, mode)
    yield "transparent palette PNG of all allowed pixels", partial(_full_size, "P", transparency=0)
    yield "PNG of all allowed pixels, turned", lambda: _full_size("RGBA", exif=_turned(6))
    yield "PNG with 300 moving frames", _moving_png
    yield "interlaced PNG without pixels", lambda: _png(4000, 4000, interlace=1)


def _notes(number: int) -> PngImagePlugin.PngInfo:
    notes = PngImagePlugin.PngInfo()
    for _ in range(number):
        notes.add_text("a", "b")
    return notes


@cache
def _full_size(mode: str, *, extra: int = 0, kind: str = "PNG", **options: object) -> bytes:
    return _saved(Image.new(mode, (_SIDE + extra, _SIDE)), kind, **{"compress_level": 1, **options})


def _turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def _exif_bomb(size: int) -> bytes:
    """As many entries as fit, each of which says that its value is the whole block."""
    entries = b"".join(struct.pack(">HHII", 0x9000 + n, 7, size - 100, 8) for n in range(5000))
    return (b"MM\0*\0\0\0\x08" + struct.pack(">H", 5000) + entries).ljust(size, b"\0")


def _moving_png() -> bytes:
    frames = [Image.new("RGB", (64, 64), (n % 256, n // 256, 0)) for n in range(300)]
    return _saved(frames[0], "PNG", save_all=True, append_images=frames[1:])


def _heavy_jpegs() -> Iterator[tuple[str, Content]]:
    yield "JPEG of 65 scans", lambda: _jpeg_with_scans(65)
    yield "JPEG of 1,000 scans", lambda: _jpeg_with_scans(1_000)
    yield "JPEG of 60 scans over all allowed pixels", lambda: _jpeg_with_scans(50, side_px=_SIDE)
    yield "JPEG with 300,000 comments", lambda: _jpeg_with(b"\xff\xfe\0\x02" * 300_000)
    yield "JPEG with 5 MB of filling", lambda: _jpeg_with(b"\xff" * 5_000_000)
    yield "JPEG with 5 MB of anything between", lambda: _jpeg_with(b"\0" * 5_000_000)
    yield "JPEG with 300 blocks of EXIF", lambda: _jpeg_with(_segment(0xE1, b"Exif\0\0" + _exif_bomb(65_000)) * 300)
    yield "progressive JPEG of all allowed pixels", partial(_full_size, "RGB", kind="JPEG", progressive=True)
    yield "CMYK JPEG of all allowed pixels", partial(_full_size, "CMYK", kind="JPEG")
    yield "JPEG of all allowed pixels, turned", lambda: _full_size("RGB", kind="JPEG", exif=_turned(5))
    yield "JPEG with orientation 99", lambda: _saved(Image.new("RGB", (64, 64)), "JPEG", exif=_turned(99))


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _jpeg_with(before: bytes) -> bytes:
    content = _usual("JPEG")
    return content[:2] + before + content[2:]


def _jpeg_with_scans(number: int, *, side_px: int = 2000) -> bytes:
    """The last scan of a progressive JPEG again and again."""
    content = _saved(Image.new("RGB", (side_px, side_px)), "JPEG", progressive=True)
    scan = content[content.rindex(b"\xff\xda") : -2]
    return content[:-2] + scan * number + content[-2:]


def _heavy_webps() -> Iterator[tuple[str, Content]]:
    yield "lossless WebP of all allowed pixels", partial(_full_size, "RGBA", kind="WEBP", lossless=True, method=0)
    yield "WebP of all allowed pixels", partial(_full_size, "RGB", kind="WEBP", method=0)
    yield "WebP of noise of all allowed pixels", _noisy_webp
    yield "WebP with 300 moving frames", _moving_webp


def _noisy_webp() -> bytes:
    noise = np.random.default_rng(1).integers(0, 255, (_SIDE, _SIDE, 3), dtype=np.uint8)
    return _saved(Image.fromarray(noise), "WEBP", method=0, quality=50)


def _moving_webp() -> bytes:
    frames = [Image.new("RGB", (64, 64), (n % 256, n // 256, 0)) for n in range(300)]
    return _saved(frames[0], "WEBP", save_all=True, append_images=frames[1:])


def _polyglots() -> Iterator[tuple[str, Content]]:
    yield "PNG with an archive behind it", lambda: _usual("PNG") + b"PK\x03\x04" + b"\0" * 100
    yield "JPEG with a page in a comment", lambda: _jpeg_with(_segment(0xFE, b"<script>alert(1)</script>"))
    yield "GIF start before a PNG", lambda: b"GIF89a" + _usual("PNG")
    yield "PNG start before a JPEG", lambda: _PNG + _usual("JPEG")
    yield "WebP start before a PNG", lambda: b"RIFF\0\0\0\0WEBPVP8 " + _usual("PNG")
