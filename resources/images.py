"""The pictures of all teams: `/assets/...` URLs below one folder, read safely and written atomically."""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
import struct
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path, PurePosixPath
from uuid import UUID, uuid5

import numpy as np
from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin

from resources.picture_files import FileRefused, read_file, remove_file, write_file
from resources.picture_structure import scanned_too_often, structure_fault
from resources.recent_pictures import Pixels, RecentPictures
from resources.store_trouble import store_trouble, trouble_behind
from stages.imaging.arrays import Mask, Picture
from stages.values import StageError
from stages.wording import shown

MOST_PIXELS = 16_777_216
"""4096 × 4096: with it no picture of any format takes more than 300 MB of memory to read."""

MOST_BYTES = 32_000_000
LEAST_SIDE_PX = 32
MOST_ASPECT = 20
"""The longer side by the shorter one."""

# Pillow's own: ultralytics replaces Image.open with a function that installs packages for unknown files.
_open_image = Image.open
_URL_PREFIX = "/assets/"
OWN_PREFIX = f"{_URL_PREFIX}yh/"
USUAL_FORMATS = ("PNG", "JPEG", str(WebPImagePlugin.WebPImageFile.format))
# Listed, because Pillow gives EPS files to Ghostscript. TIFF and WebP are known only once their plug-ins are imported.
KNOWN_FORMATS = (*USUAL_FORMATS, "GIF", "BMP", str(TiffImagePlugin.TiffImageFile.format))
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,127}")
_KIND = re.compile(r"[a-z][a-z_]{0,31}")
# As write_file names them, before the last character of a picture is written.
_UNFINISHED = re.compile(r"\..+\.png\..+")
_LONGEST_URL = 1_000
_RECENT_BYTES = 128_000_000
"""Enough for image, mask and ad of a variant of 18 million pixels; larger ones are decoded again by each stage."""

_STRIP_PX = 256
"""So many rows are converted at a time: a whole picture in each form on the way would take several times its memory."""

# What Pillow raises for damaged files. None of these is the disk's, for the file has been read before.
_DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    ArithmeticError,
    LookupError,
    TypeError,
    RuntimeError,
    struct.error,
)
# By the EXIF orientation; without it, and with 1, a picture stands upright already.
_TURNS: dict[int, Callable[[Picture], Picture]] = {
    2: lambda picture: picture[:, ::-1],
    3: lambda picture: picture[::-1, ::-1],
    4: lambda picture: picture[::-1],
    5: lambda picture: picture.swapaxes(0, 1),
    6: lambda picture: np.rot90(picture, -1),
    7: lambda picture: picture[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}


class ImageStore:
    """Reads and writes below `root`, and never outside it, whatever URL the database has.

    The arrays it returns are read-only. A picture is decoded once, as long as it is among those used last.
    """

    def __init__(self, root: Path, max_pixels: int = MOST_PIXELS, formats: Sequence[str] = USUAL_FORMATS) -> None:
        self._root = root
        self._max_pixels = max_pixels
        self._formats = tuple(formats)
        self._recent = RecentPictures(_RECENT_BYTES)

    def trouble(self) -> str | None:
        """What is wrong with the store as a whole; None if it is in order."""
        return store_trouble(self._root)

    def trouble_behind(self, error: BaseException) -> str | None:
        """The trouble of the store that this error comes from; None where it has another cause."""
        return trouble_behind(error, self._root)

    def load(self, image_url: str) -> Picture:
        """The picture upright and in RGB, shape (height, width, 3); transparency lies on white.

        Raises StageError for anything that is not a whole image of one of the formats, of at most `max_pixels` and
        32 MB, in a file of its own below the root.
        """
        return self._decoded(image_url, "RGB", _upright_rgb)

    def load_mask(self, image_url: str) -> Mask:
        """A mask that `save` wrote, shape (height, width). Raises StageError as `load` does."""
        return self._decoded(image_url, "L", _grey)

    def _decoded(self, image_url: str, mode: str, convert: Callable[[Image.Image], Pixels]) -> Pixels:
        content = self._read(image_url)
        key = _key(content, mode)
        recent = self._recent.get(key)
        return self._recent.keep(key, self._decode(image_url, content, convert)) if recent is None else recent

    def _decode(self, image_url: str, content: bytes, convert: Callable[[Image.Image], Pixels]) -> Pixels:
        if fault := structure_fault(content):
            raise StageError(f"image_url {shown(image_url)} {fault}; save the image again")
        try:
            with warnings.catch_warnings():
                # The limits are checked here; Pillow's own only warn, and so does odd metadata, which is not used.
                warnings.simplefilter("ignore")
                with _open_image(io.BytesIO(content), formats=self._formats) as image:
                    self._check_size(image_url, image.size)
                    if scanned_too_often(content, image.width * image.height):
                        raise StageError(f"image_url {shown(image_url)} is a JPEG of too many scans; save it again")
                    return convert(image)
        except (UnidentifiedImageError, Image.DecompressionBombError) as error:
            raise StageError(self._unreadable(image_url, content, error)) from error
        except _DAMAGED as error:
            raise StageError(
                f"image_url {shown(image_url)} is truncated or damaged after {len(content)} bytes ({shown(error)});"
                " generate the image again"
            ) from error

    def save(self, image: Picture | Mask, *, tenant_id: str, kind: str, day: date, name: UUID) -> str:
        """Writes a PNG file, whole or not at all, and returns its URL. Saving the same picture again changes nothing.

        `image` has shape (height, width, 3), or (height, width) for a mask. Raises StageError for a tenant or kind
        that is no plain name.
        """
        if not _TENANT.fullmatch(tenant_id) or ".." in tenant_id:
            raise StageError(
                f"tenant_id {shown(tenant_id)} cannot be a folder; only letters, digits and _ . @ - are allowed"
            )
        if not _KIND.fullmatch(kind):
            raise StageError(f"kind {shown(kind)} cannot be a folder; only lower-case letters and _ are allowed")
        url = f"{tenant_folder('yh', tenant_id)}{kind}/{day:%Y/%m/%d}/{name}.png"
        content = png(image)
        try:
            write_file(self._root, self._parts(url), content)
        except FileRefused as refused:
            raise StageError(f"the folder of {url} {refused}; let nothing but folders be below {self._root}") from None
        # A PNG of 8 bits gives back every pixel.
        self._recent.keep(_key(content, "L" if image.ndim == 2 else "RGB"), image)
        return url

    def own_before(self, when: datetime) -> Iterator[str]:
        """The URLs of the pictures that `save` wrote before this time. Links are neither followed nor named."""
        for parts in self._own_files(when):
            if parts[-1].endswith(".png"):
                yield f"{_URL_PREFIX}{'/'.join(parts)}"

    def remove_unfinished(self, before: datetime) -> int:
        """Removes what a `save` that was killed has left behind. Returns how many files."""
        unfinished = [parts for parts in self._own_files(before) if _UNFINISHED.fullmatch(parts[-1])]
        for parts in unfinished:
            remove_file(self._root, parts)
        return len(unfinished)

    def _own_files(self, before: datetime) -> Iterator[tuple[str, ...]]:
        """The names below the root that lead to each of our files that was last written before this time."""
        for folder, inner, names in os.walk(self._root):
            if Path(folder) == self._root:
                # A link of this name would be followed if the walk began there.
                inner[:] = [name for name in inner if name == "yh"]
                continue
            for path in (Path(folder, name) for name in names):
                written = path.lstat()
                if stat.S_ISREG(written.st_mode) and written.st_mtime < before.timestamp():
                    yield path.relative_to(self._root).parts

    def remove(self, image_url: str) -> None:
        """Removes one of our own pictures, if it is still there."""
        if not image_url.startswith(OWN_PREFIX):
            raise StageError(f"image_url {shown(image_url)} belongs to another part, which alone may remove it")
        try:
            remove_file(self._root, self._parts(image_url))
        except FileRefused as refused:
            raise StageError(f"image_url {shown(image_url)} {refused}; it is left alone") from None

    def _read(self, image_url: str) -> bytes:
        # A large ad of ours may have more bytes than others may send; its pixels are limited all the same.
        is_own = image_url.startswith(OWN_PREFIX)
        try:
            content = read_file(self._root, self._parts(image_url), 4 * self._max_pixels if is_own else MOST_BYTES)
        except FileNotFoundError:
            raise StageError(
                f"image_url {shown(image_url)} is missing on disk below {self._root}; generate the image again or"
                " correct ASSET_ROOT"
            ) from None
        except FileRefused as refused:
            raise StageError(
                f"image_url {shown(image_url)} {refused}; store the image itself there, as a file of its own below"
                f" {self._root}"
            ) from None
        if not content:
            raise StageError(f"image_url {shown(image_url)} is a file of 0 bytes; generate the image again")
        return content

    def _parts(self, image_url: str) -> list[str]:
        """The names below the root that a URL leads through."""
        relative = image_url.removeprefix(_URL_PREFIX)
        parts = relative.split("/")
        plain = relative != image_url and relative.isprintable() and not re.search(r"[\\%]", relative)
        if not plain or len(relative) > _LONGEST_URL or any(part in ("", ".", "..") for part in parts):
            raise StageError(
                f"image_url {shown(image_url)} leaves the asset root; it must be {_URL_PREFIX}part/…/name.png"
            )
        if not self._root.is_dir():
            # A folder that is not mounted yet may be there at the next try.
            raise NotADirectoryError(f"the asset root {self._root} is no folder; mount it or correct ASSET_ROOT")
        return parts

    def _check_size(self, image_url: str, size_px: tuple[int, int]) -> None:
        width_px, height_px = size_px
        if width_px * height_px > self._max_pixels:
            raise StageError(
                f"image_url {shown(image_url)} has {width_px} × {height_px} px, more than the {self._max_pixels} that"
                " MAX_IMAGE_PIXELS allows"
            )
        if min(size_px) < LEAST_SIDE_PX or max(size_px) > MOST_ASPECT * min(size_px):
            raise StageError(
                f"image_url {shown(image_url)} has {width_px} × {height_px} px; an ad needs {LEAST_SIDE_PX} px or more"
                f" on each side, and a longer side of at most {MOST_ASPECT} times the shorter one"
            )

    def _unreadable(self, image_url: str, content: bytes, error: Exception) -> str:
        if isinstance(error, Image.DecompressionBombError):
            return (
                f"image_url {shown(image_url)} has more pixels than MAX_IMAGE_PIXELS={self._max_pixels} allows: {error}"
            )
        return (
            f"image_url {shown(image_url)} is not an image of a format that is read (it starts with {content[:16]!r});"
            f" store one of {', '.join(self._formats)}"
        )


def tenant_folder(part: str, tenant_id: str) -> str:
    """The URL below which a part stores the pictures of a tenant."""
    return f"{_URL_PREFIX}{part}/tenants/{tenant_id}/"


def tenant_of(image_url: str) -> str | None:
    """The tenant whose folder a URL lies in; None when it lies in nobody's."""
    folders = image_url.split("/")
    return folders[4] if len(folders) > 5 and (folders[1], folders[3]) == ("assets", "tenants") else None


def png(image: Picture | Mask) -> bytes:
    """The picture as a PNG file; the same picture always becomes the same bytes."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def content_name(variant: UUID, image: Picture | Mask) -> UUID:
    """A file name made from the variant and the pixels, so that a repeated stage writes the same file.

    Its first half tells the variant, so that all pictures of a deleted one are found.
    """
    pixels = hashlib.sha256(f"{image.shape} ".encode() + image.tobytes())
    return UUID(bytes=_half(variant).bytes[:8] + pixels.digest()[:8], version=5)


# Of a UUID as text: 16 digits and two dashes.
_HALF = 18


def names_variant(image_url: str, variants: Collection[UUID]) -> bool:
    """Whether one of our own pictures is of one of these variants."""
    return PurePosixPath(image_url).name[:_HALF] in {str(_half(variant))[:_HALF] for variant in variants}


def _half(variant: UUID) -> UUID:
    return uuid5(variant, "pictures")


def _key(content: bytes, mode: str) -> str:
    """Made from the content, so that a replaced file is another picture. `mode` is Pillow's."""
    return f"{mode} {hashlib.sha256(content).hexdigest()}"


def _upright_rgb(image: Image.Image) -> Picture:
    rgb = np.empty((image.height, image.width, 3), dtype=np.uint8)
    for top in range(0, image.height, _STRIP_PX):
        bottom = min(image.height, top + _STRIP_PX)
        rgb[top:bottom] = _rgb(image.crop((0, top, image.width, bottom)))
    turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    # Its pixels are not needed any more while the picture is turned.
    image.close()
    upright = rgb if turn is None else np.ascontiguousarray(turn(rgb))
    upright.setflags(write=False)
    return upright


def _rgb(image: Image.Image) -> Picture:
    if image.mode.startswith(("I", "F")):
        return _from_deep(image)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return np.asarray(image.convert("RGB"))


def _grey(image: Image.Image) -> Mask:
    return np.asarray(image.convert("L"))


def _from_deep(image: Image.Image) -> Picture:
    """16-bit and float greys, scaled to 8 bits."""
    values = np.asarray(image, dtype=np.float32)
    highest = 65535.0 if image.mode.startswith("I") else 1.0
    grey = np.clip(values * (255.0 / highest), 0, 255).round().astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def make_shared_folder(folder: Path) -> None:
    """Makes what is missing of this path; other users may read it whatever the umask is, for all teams use it."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        # Another run may make it at the same time.
        with suppress(FileExistsError):
            each.mkdir()
            each.chmod(0o755)
