"""The pictures of all teams: `/assets/...` URLs below one folder, read safely and written atomically."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import stat
import struct
import tempfile
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path, PurePosixPath
from uuid import UUID, uuid5

import numpy as np
from PIL import Image, ImageOps, TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin

from resources.recent_pictures import Pixels, RecentPictures
from stages.imaging.arrays import Mask, Picture
from stages.values import StageError

# Pillow's own: ultralytics replaces Image.open with a function that installs packages for unknown files.
_open_image = Image.open
_URL_PREFIX = "/assets/"
OWN_PREFIX = f"{_URL_PREFIX}yh/"
# Listed, because Pillow gives EPS files to Ghostscript. The last two are known only once their plug-ins are imported.
_FORMATS = ("PNG", "JPEG", "GIF", "BMP", TiffImagePlugin.TiffImageFile.format, WebPImagePlugin.WebPImageFile.format)
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,127}")
_KIND = re.compile(r"[a-z][a-z_]{0,31}")
_RECENT_BYTES = 128_000_000
"""Enough for image, mask and ad of a variant of 18 million pixels; larger ones are decoded again by each stage."""


class ImageStore:
    """Reads and writes below `root`, and never outside it, whatever URL the database has.

    The arrays it returns are read-only. A picture is decoded once, as long as it is among those used last.
    """

    def __init__(self, root: Path, max_pixels: int = 50_000_000) -> None:
        self._root = root
        self._max_pixels = max_pixels
        self._recent = RecentPictures(_RECENT_BYTES)

    def load(self, image_url: str) -> Picture:
        """The picture upright and in RGB, shape (height, width, 3); transparency lies on white.

        Raises StageError for anything that is not a whole image of at most `max_pixels` below the root.
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
        try:
            with warnings.catch_warnings():
                # The limit is checked below; Pillow's own only warns.
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                with _open_image(io.BytesIO(content), formats=_FORMATS) as image:
                    self._check_size(image_url, image.size)
                    return convert(image)
        except (UnidentifiedImageError, Image.DecompressionBombError) as error:
            raise StageError(self._unreadable(image_url, content, error)) from error
        except (OSError, SyntaxError, ValueError, struct.error) as error:
            raise StageError(
                f"image_url {image_url!r} is truncated or damaged after {len(content)} bytes ({error});"
                " generate the image again"
            ) from error

    def save(self, image: Picture | Mask, *, tenant_id: str, kind: str, day: date, name: UUID) -> str:
        """Writes a PNG file, whole or not at all, and returns its URL. Saving the same picture again changes nothing.

        `image` has shape (height, width, 3), or (height, width) for a mask. Raises StageError for a tenant or kind
        that is no plain name.
        """
        if not _TENANT.fullmatch(tenant_id) or ".." in tenant_id:
            raise StageError(
                f"tenant_id {tenant_id!r} cannot be a folder; only letters, digits and _ . @ - are allowed"
            )
        if not _KIND.fullmatch(kind):
            raise StageError(f"kind {kind!r} cannot be a folder; only lower-case letters and _ are allowed")
        url = f"{_URL_PREFIX}yh/tenants/{tenant_id}/{kind}/{day:%Y/%m/%d}/{name}.png"
        path = self._path(url)
        make_shared_folder(path.parent)
        content = png(image)
        _write_whole(path, content)
        # A PNG of 8 bits gives back every pixel.
        self._recent.keep(_key(content, "L" if image.ndim == 2 else "RGB"), image)
        return url

    def own_before(self, when: datetime) -> Iterator[str]:
        """The URLs of the pictures that `save` wrote before this time. Links are neither followed nor named."""
        for folder, _, names in os.walk(self._root / "yh"):
            for name in names:
                path = Path(folder, name)
                written = path.lstat()
                if stat.S_ISREG(written.st_mode) and name.endswith(".png") and written.st_mtime < when.timestamp():
                    yield f"{_URL_PREFIX}{path.relative_to(self._root).as_posix()}"

    def remove(self, image_url: str) -> None:
        """Removes one of our own pictures, if it is still there."""
        if not image_url.startswith(OWN_PREFIX):
            raise StageError(f"image_url {image_url!r} belongs to another part, which alone may remove it")
        self._path(image_url).unlink(missing_ok=True)

    def _read(self, image_url: str) -> bytes:
        path = self._path(image_url)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise StageError(
                f"image_url {image_url!r} is missing on disk below {self._root}; generate the image again or correct"
                " ASSET_ROOT"
            ) from None
        except (IsADirectoryError, NotADirectoryError):
            raise StageError(f"image_url {image_url!r} is not a file below {self._root}") from None
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENAMETOOLONG):
                raise
            raise StageError(f"image_url {image_url!r} can name no file ({error.strerror}); correct it") from error
        if not content:
            raise StageError(f"image_url {image_url!r} is a file of 0 bytes; generate the image again")
        return content

    def _path(self, image_url: str) -> Path:
        relative = image_url.removeprefix(_URL_PREFIX)
        parts = relative.split("/")
        plain = relative != image_url and relative.isprintable() and not re.search(r"[\\%]", relative)
        if not plain or any(part in ("", ".", "..") for part in parts):
            raise StageError(f"image_url {image_url!r} leaves the asset root; it must be {_URL_PREFIX}part/…/name.png")
        if not self._root.is_dir():
            # A folder that is not mounted yet may be there at the next try.
            raise NotADirectoryError(f"the asset root {self._root} is no folder; mount it or correct ASSET_ROOT")
        root = self._root.resolve()
        # Unlike Path.resolve, this leaves a loop of links for the reading to report.
        path = Path(os.path.realpath(root.joinpath(*parts)))
        if not path.is_relative_to(root):
            raise StageError(
                f"image_url {image_url!r} leaves the asset root through a link; store the file itself there"
            )
        return path

    def _check_size(self, image_url: str, size_px: tuple[int, int]) -> None:
        width_px, height_px = size_px
        if width_px * height_px > self._max_pixels:
            raise StageError(
                f"image_url {image_url!r} has {width_px} × {height_px} px, more than the {self._max_pixels} that"
                " MAX_IMAGE_PIXELS allows"
            )

    def _unreadable(self, image_url: str, content: bytes, error: Exception) -> str:
        if isinstance(error, Image.DecompressionBombError):
            return f"image_url {image_url!r} has more pixels than MAX_IMAGE_PIXELS={self._max_pixels} allows: {error}"
        start = content[:16]
        return f"image_url {image_url!r} is not an image (it starts with {start!r}); store a PNG, JPEG or WebP"


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
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith(("I", "F")):
        return _from_deep(upright)
    if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
        rgba = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return np.asarray(upright.convert("RGB"))


def _grey(image: Image.Image) -> Mask:
    return np.asarray(image.convert("L"))


def _from_deep(image: Image.Image) -> Picture:
    """16-bit and float greys, scaled to 8 bits."""
    values = np.asarray(image, dtype=np.float64)
    highest = 65535.0 if image.mode.startswith("I") else 1.0
    grey = np.clip(values / highest * 255.0, 0, 255).round().astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def make_shared_folder(folder: Path) -> None:
    """Makes what is missing of this path; other users may read it whatever the umask is, for all teams use it."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        # Another run may make it at the same time.
        with suppress(FileExistsError):
            each.mkdir()
            each.chmod(0o755)


def _write_whole(path: Path, content: bytes) -> None:
    descriptor, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(unfinished, 0o644)
        os.replace(unfinished, path)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise
