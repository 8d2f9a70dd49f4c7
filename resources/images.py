"""The pictures: `/assets/...` URLs below one asset root, read as RGB and written atomically."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import secrets
import stat
import struct
import zlib
from contextlib import suppress
from datetime import date
from pathlib import Path
from uuid import UUID, uuid5

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, TiffImagePlugin, WebPImagePlugin

from variant_assets.stages.values import StageError

Pixels = NDArray[np.uint8]

URL_PREFIX = "/assets/"
PART = "yh"
# A named list, because Pillow would else hand EPS to Ghostscript and load plug-ins nobody asked for.
# It knows the last two only once their plug-ins are imported.
FORMATS = (
    "PNG",
    "JPEG",
    "GIF",
    "BMP",
    TiffImagePlugin.TiffImageFile.format,
    WebPImagePlugin.WebPImageFile.format,
)
MAX_BYTES = 256 * 2**20
# 0.1 s for a photograph of 1080 × 1080; level 6 takes four times as long to save a tenth of the bytes.
PNG_COMPRESS_LEVEL = 2
# What Pillow's decoders raise on damaged bytes. They read from memory, so an OSError is never the disk's.
DAMAGED = (
    OSError, SyntaxError, ValueError, TypeError, EOFError, IndexError, KeyError, AttributeError,
    OverflowError, ZeroDivisionError, struct.error, zlib.error,
)  # fmt: skip
UNUSABLE_PATH = {
    errno.ELOOP: "is a loop of symbolic links",
    errno.ENAMETOOLONG: "is longer than the file system allows",
    errno.ENOTDIR: "leads through a file",
    errno.EISDIR: "is a folder",
}


class ImageStore:
    """Reads and writes pictures below `root`, the folder that `/assets/` stands for.

    Bad input raises StageError (no use trying again); trouble with the disk raises OSError (try again).
    """

    def __init__(self, root: Path, max_pixels: int = 50_000_000) -> None:
        self.root = root
        self.max_pixels = max_pixels

    def load(self, image_url: str) -> Pixels:
        """The picture as uint8 RGB (height, width, 3), turned upright by EXIF, on white where transparent.

        Raises StageError if the URL leaves the root or the file is missing, empty, damaged, not an image or
        larger than `max_pixels` (seen in its header, before decoding).
        """
        data = _read(self._path(image_url), image_url)
        image = self._open(data, image_url)
        try:
            image.load()
            return np.asarray(_as_rgb(ImageOps.exif_transpose(image), image_url))
        except DAMAGED as error:
            raise StageError(
                f"image_url {image_url!r} is a damaged or truncated {image.format} of {len(data)} bytes "
                f"({error}); write the file again"
            ) from error

    def save(self, image: Pixels, *, tenant_id: str, kind: str, day: date, name: UUID) -> str:
        """Write uint8 RGB (height, width, 3) or a grey mask (height, width) as PNG and give its URL.

        The file appears complete or not at all, and the same bytes twice are one effect. Raises StageError
        if `tenant_id` or `kind` is not one plain name.
        """
        for label, value in (("tenant_id", tenant_id), ("kind", kind)):
            _require_plain_name(value, f"{label} {value!r}")
        url = f"{URL_PREFIX}{PART}/tenants/{tenant_id}/{kind}/{day:%Y/%m/%d}/{name}.png"
        path = self._path(url)
        data = png_bytes(image)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not _holds(path, data):
            _write_atomically(path, data)
        return url

    def _path(self, url: str) -> Path:
        if not url.startswith(URL_PREFIX):
            raise StageError(
                f"image_url {url!r} does not begin with {URL_PREFIX!r}; store a URL below the asset root"
            )
        segments = url.removeprefix(URL_PREFIX).split("/")
        for segment in segments:
            _require_plain_name(segment, f"image_url {url!r}: the part {segment!r}")
        if not self.root.is_dir():
            raise NotADirectoryError(
                f"the asset root {self.root} is not a folder; mount it or correct its setting"
            )
        path = self.root.joinpath(*segments)
        # Symbolic links are followed here, so one that leads out is found wherever in the path it is.
        resolved = Path(os.path.realpath(path))
        if not resolved.is_relative_to(os.path.realpath(self.root)):
            raise StageError(
                f"image_url {url!r} leaves the asset root through a symbolic link; store the file inside it"
            )
        return path

    def _open(self, data: bytes, url: str) -> Image.Image:
        try:
            image = Image.open(io.BytesIO(data), formats=FORMATS)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise StageError(self._too_large(url, str(error))) from error
        except DAMAGED as error:
            raise StageError(
                f"image_url {url!r} is not a readable {', '.join(FORMATS)} image "
                f"(it begins with {data[:12]!r}); store the whole picture itself"
            ) from error
        if image.width * image.height > self.max_pixels:
            raise StageError(self._too_large(url, f"{image.width} × {image.height}"))
        return image

    def _too_large(self, url: str, found: str) -> str:
        return f"image_url {url!r} has more than {self.max_pixels} pixels ({found}); store a smaller picture"


def content_name(variant_id: UUID, image: Pixels) -> UUID:
    """The name this picture of this variant always gets, so that writing it again changes nothing."""
    digest = hashlib.sha256(f"{image.shape}{image.dtype}".encode() + np.ascontiguousarray(image).tobytes())
    return uuid5(variant_id, digest.hexdigest())


def png_bytes(image: Pixels) -> bytes:
    """The PNG file of a uint8 picture (height, width, 3) or mask (height, width): same pixels, same bytes."""
    if image.dtype != np.uint8 or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
        raise ValueError(f"a picture is uint8 (height, width[, 3]), not {image.dtype} {image.shape}")
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, "PNG", compress_level=PNG_COMPRESS_LEVEL)
    return buffer.getvalue()


def _require_plain_name(name: str, what: str) -> None:
    """Refuse whatever could mean another place than the one file or folder of that name."""
    plain = name.isprintable() and not any(sign in name for sign in "/\\%") and name == name.strip()
    if not name or not plain or name in (".", "..") or len(name.encode("utf-8", "replace")) > 255:
        raise StageError(
            f"{what} is not a plain name (not empty, not '.' or '..', no slash, backslash, '%' or "
            "control sign); correct it"
        )


def _read(path: Path, url: str) -> bytes:
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise StageError(f"image_url {url!r} is not a file; store the URL of a picture")
        if found.st_size > MAX_BYTES:
            raise StageError(
                f"image_url {url!r} has {found.st_size} bytes, more than {MAX_BYTES}; store a smaller file"
            )
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise StageError(
            f"image_url {url!r} is missing on disk ({path}); write the file or correct the URL"
        ) from error
    except OSError as error:
        if error.errno in UNUSABLE_PATH:
            raise StageError(f"image_url {url!r} {UNUSABLE_PATH[error.errno]}; correct the URL") from error
        raise
    if not data:
        raise StageError(f"image_url {url!r} is an empty file (0 bytes); write the picture again")
    return data


def _as_rgb(image: Image.Image, url: str) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):
        image = _as_eight_bits(image, url)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def _as_eight_bits(image: Image.Image, url: str) -> Image.Image:
    """Grey of 16 bits in 8. Pillow's own conversion clips at 255 instead of scaling."""
    values = np.asarray(image)
    if image.mode == "F" or values.min() < 0 or values.max() > 65_535:
        raise StageError(
            f"image_url {url!r} has pixels outside 0…65535 or with fractions; store 8 bits per channel"
        )
    return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))


def _holds(path: Path, data: bytes) -> bool:
    with suppress(FileNotFoundError):
        return path.stat().st_size == len(data) and path.read_bytes() == data
    return False


def _write_atomically(path: Path, data: bytes) -> None:
    """Replace `path` in one step: a reader, or a crash, meets the old file or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # else the new name itself may be lost with the power
    finally:
        os.close(folder)
