"""The image store: what it reads, what it refuses and how it writes."""

import errno
import io
import os
import zlib
from contextlib import suppress
from datetime import date
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from resources.images import ImageStore, content_name, png_bytes
from variant_assets.stages.values import StageError

NAME = UUID("6f1ab1d0-4f2e-4f0e-9a53-5b4b0b6b0f01")
DAY = date(2026, 3, 7)
URL = f"/assets/yh/tenants/shop/final/2026/03/07/{NAME}.png"


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    root = tmp_path / "root"
    root.mkdir()
    return ImageStore(root)


def put(store: ImageStore, data: bytes, name: str = "a.png") -> str:
    (store.root / name).write_bytes(data)
    return f"/assets/{name}"


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def picture(width: int = 40, height: int = 30) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


def red(mode: str) -> Image.Image:
    return Image.new("RGB", (6, 4), (255, 0, 0)).convert(mode)


@pytest.mark.parametrize(
    ("image", "form"),
    [
        (red("P"), "PNG"), (red("P"), "GIF"), (red("CMYK"), "TIFF"), (red("RGBA"), "PNG"),
        (red("RGBA"), "WEBP"), (red("RGB"), "BMP"), (red("YCbCr"), "TIFF"),
    ],
)  # fmt: skip
def test_every_colour_mode_is_read_as_rgb(store: ImageStore, image: Image.Image, form: str) -> None:
    options = {"lossless": True} if form == "WEBP" else {}
    pixels = store.load(put(store, encoded(image, form, **options)))
    assert pixels.shape == (4, 6, 3)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - (255, 0, 0)).max() <= 2


def test_a_cmyk_jpeg_keeps_its_colours(store: ImageStore) -> None:
    pixels = store.load(put(store, encoded(red("CMYK"), "JPEG", quality=95)))
    assert np.abs(pixels.astype(int) - (255, 0, 0)).max() <= 6


def test_transparent_pixels_become_white(store: ImageStore) -> None:
    image = Image.new("RGBA", (3, 1), (0, 0, 0, 0))
    image.putpixel((1, 0), (0, 0, 0, 255))
    image.putpixel((2, 0), (0, 0, 0, 128))
    assert store.load(put(store, encoded(image)))[0, :, 0].tolist() == [255, 0, 127]


def test_a_transparent_palette_colour_becomes_white(store: ImageStore) -> None:
    pixels = store.load(put(store, encoded(red("P"), "PNG", transparency=red("P").getpixel((0, 0)))))
    assert (pixels == 255).all()


def test_sixteen_bit_grey_is_scaled_and_not_clipped(store: ImageStore) -> None:
    image = Image.fromarray(np.array([[0, 257, 32_896, 65_535]], dtype=np.uint16))
    assert store.load(put(store, encoded(image)))[0, :, 1].tolist() == [0, 1, 128, 255]


def test_floating_point_pixels_are_refused(store: ImageStore) -> None:
    with pytest.raises(StageError, match="8 bits per channel"):
        store.load(put(store, encoded(Image.new("F", (4, 4), 0.5), "TIFF")))


def test_the_camera_s_rotation_is_applied(store: ImageStore) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.new("RGB", (40, 20), (0, 0, 0))
    image.paste((255, 255, 255), (0, 0, 20, 20))
    pixels = store.load(put(store, encoded(image, "JPEG", exif=exif)))
    assert pixels.shape == (40, 20, 3)
    assert pixels[5, 10, 0] > 250
    assert pixels[35, 10, 0] < 5


@pytest.mark.parametrize(
    "url",
    [
        "/assets/../../etc/passwd", "/assets/..", "/assets/a/../b.png", "/assets/./a.png", "/assets//a.png",
        "/assets/", "/etc/passwd", "assets/a.png", "", "/assetsx/a.png", "/assets/..\\..\\x",
        "/assets/%2e%2e/x", "/assets/a%00", "/assets/a\x00.png", "/assets/a\n.png", "/assets/ /a.png",
        "/assets/\ud800.png", "file:///assets/a.png",
        "/assets/" + "a" * 300 + ".png",
    ],
)  # fmt: skip
def test_a_url_that_is_no_plain_path_below_the_root_is_refused(store: ImageStore, url: str) -> None:
    with pytest.raises(StageError, match="image_url") as refused:
        store.load(url)
    assert repr(url) in str(refused.value)


def test_symbolic_links_may_stay_inside_but_not_lead_out(store: ImageStore, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(png_bytes(picture()))
    put(store, png_bytes(picture()), "real.png")
    (store.root / "in.png").symlink_to(store.root / "real.png")
    (store.root / "out.png").symlink_to(tmp_path / "secret.png")
    (store.root / "folder").symlink_to(tmp_path)
    assert store.load("/assets/in.png").shape == (30, 40, 3)
    for url in ("/assets/out.png", "/assets/folder/secret.png"):
        with pytest.raises(StageError, match="leaves the asset root"):
            store.load(url)


def test_nothing_is_written_through_a_link_that_leads_out(store: ImageStore, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (store.root / "yh").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StageError, match="leaves the asset root"):
        store.save(picture(), tenant_id="shop", kind="final", day=DAY, name=NAME)
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty file"),
        (b"hello, this is text", "is not a readable PNG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not a readable PNG"),
        (png_bytes(picture())[:800], "damaged or truncated PNG"),
        (encoded(Image.fromarray(picture()), "JPEG")[:700], "damaged or truncated JPEG"),
        (png_bytes(picture())[:-60].replace(b"IDAT", b"IDAX"), "not a readable PNG"),
    ],
)
def test_a_file_that_is_no_whole_picture_says_so(store: ImageStore, data: bytes, says: str) -> None:
    with pytest.raises(StageError, match=says):
        store.load(put(store, data))


def test_a_missing_file_and_a_folder_say_so(store: ImageStore) -> None:
    (store.root / "folder").mkdir()
    put(store, b"x", "file")
    with pytest.raises(StageError, match="missing on disk"):
        store.load("/assets/none.png")
    with pytest.raises(StageError, match="not a file"):
        store.load("/assets/folder")
    with pytest.raises(StageError, match="leads through a file"):
        store.load("/assets/file/a.png")


def test_a_loop_of_links_is_refused(store: ImageStore) -> None:
    (store.root / "a.png").symlink_to(store.root / "a.png")
    with pytest.raises(StageError, match="loop"):
        store.load("/assets/a.png")


def test_too_many_pixels_are_refused_before_decoding(
    store: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = put(store, png_bytes(picture()))
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("the pixels were decoded"))
    with pytest.raises(StageError, match=r"more than 1199 pixels \(40 × 30\)"):
        ImageStore(store.root, max_pixels=1199).load(url)


def test_a_header_that_claims_gigapixels_is_refused(store: ImageStore) -> None:
    data = bytearray(png_bytes(picture()))
    data[16:24] = (100_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    with pytest.raises(StageError, match="more than 50000000 pixels"):
        store.load(put(store, bytes(data)))


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ESTALE])
def test_trouble_with_the_disk_is_not_the_picture_s_fault(
    store: ImageStore, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    url = put(store, png_bytes(picture()))

    def fail(path: Path) -> bytes:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(OSError, match=os.strerror(number)):
        store.load(url)


def test_a_root_that_is_not_there_is_worth_another_try(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError, match="asset root"):
        ImageStore(tmp_path / "unmounted").load("/assets/a.png")


def test_what_is_saved_is_read_back_under_the_agreed_url(store: ImageStore) -> None:
    url = store.save(picture(), tenant_id="shop", kind="final", day=DAY, name=NAME)
    assert url == URL
    assert (store.load(url) == picture()).all()


def test_the_other_parts_may_read_what_is_saved(store: ImageStore) -> None:
    before = os.umask(0o022)
    try:
        url = store.save(picture(), tenant_id="shop", kind="final", day=DAY, name=NAME)
    finally:
        os.umask(before)
    assert (store.root / url.removeprefix("/assets/")).stat().st_mode & 0o777 == 0o644


def test_a_mask_is_saved_as_grey(store: ImageStore) -> None:
    mask = picture()[:, :, 0]
    url = store.save(mask, tenant_id="shop", kind="mask", day=DAY, name=NAME)
    with Image.open(store.root / url.removeprefix("/assets/")) as image:
        assert image.mode == "L"
    assert (store.load(url) == mask[:, :, None]).all()


def test_saving_twice_leaves_one_untouched_file(store: ImageStore) -> None:
    arguments = {"tenant_id": "shop", "kind": "final", "day": DAY, "name": NAME}
    path = store.root / store.save(picture(), **arguments).removeprefix("/assets/")
    before = path.stat()
    store.save(picture(), **arguments)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert [p.name for p in path.parent.iterdir()] == [f"{NAME}.png"]


def test_a_new_picture_under_the_same_name_replaces_the_old_one(store: ImageStore) -> None:
    arguments = {"tenant_id": "shop", "kind": "final", "day": DAY, "name": NAME}
    store.save(picture(), **arguments)
    url = store.save(255 - picture(), **arguments)
    assert (store.load(url) == 255 - picture()).all()


def test_a_failed_write_leaves_nothing_behind(store: ImageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        store.save(picture(), tenant_id="shop", kind="final", day=DAY, name=NAME)
    assert not [p for p in store.root.rglob("*") if p.is_file()]


@pytest.mark.parametrize(
    "tenant", ["../x", "..", ".", "", "a/b", "a\\b", "a%2fb", "a\x00", "a\n", " a", "a" * 300]
)
def test_a_tenant_that_is_no_plain_name_is_refused(store: ImageStore, tenant: str) -> None:
    with pytest.raises(StageError, match="tenant_id"):
        store.save(picture(), tenant_id=tenant, kind="final", day=DAY, name=NAME)
    assert not list(store.root.iterdir())


def test_a_kind_that_is_no_plain_name_is_refused(store: ImageStore) -> None:
    with pytest.raises(StageError, match="kind"):
        store.save(picture(), tenant_id="shop", kind="../final", day=DAY, name=NAME)


@given(tenant=st.text(max_size=20))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_saved_can_be_loaded_and_lies_inside_the_root(store: ImageStore, tenant: str) -> None:
    pixels = picture(4, 3)
    try:
        url = store.save(pixels, tenant_id=tenant, kind="final", day=DAY, name=NAME)
    except StageError:
        return
    assert (store.load(url) == pixels).all()
    assert (store.root / "yh" / "tenants" / tenant).is_dir()


@pytest.mark.filterwarnings("ignore")  # Pillow warns of odd metadata before it gives up or goes on
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
@given(data=st.data())
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_bytes_give_pixels_or_a_stage_error_and_nothing_else(
    store: ImageStore, form: str, data: st.DataObject
) -> None:
    good = encoded(Image.fromarray(picture(12, 9)), form)
    damaged = bytearray(good[: data.draw(st.integers(1, len(good)))])
    for _ in range(data.draw(st.integers(0, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    small = ImageStore(store.root, max_pixels=1_000_000)
    with suppress(StageError):
        assert small.load(put(store, bytes(damaged))).ndim == 3


def test_the_same_pixels_give_the_same_bytes_and_name() -> None:
    assert png_bytes(picture()) == png_bytes(picture().copy())
    assert content_name(NAME, picture()) == content_name(NAME, np.asfortranarray(picture()))
    assert content_name(NAME, picture()) != content_name(NAME, 255 - picture())
    assert content_name(NAME, picture()) != content_name(UUID(int=1), picture())
    assert content_name(NAME, picture(40, 30)) != content_name(NAME, picture(40, 30).reshape(40, 30, 3))


def test_pixels_of_another_kind_are_a_programming_error() -> None:
    with pytest.raises(ValueError, match="uint8"):
        png_bytes(picture().astype(np.float32))
