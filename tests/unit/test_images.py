"""What is read from, and written below, the asset root."""

import io
import os
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps

from resources import images
from resources.images import KNOWN_FORMATS, USUAL_FORMATS, ImageStore, content_name, tenant_of
from resources.picture_structure import structure_fault
from resources.recent_pictures import RecentPictures
from resources.settings import IMAGE_FORMATS, Settings
from stages.values import StageError

DAY = date(2026, 2, 3)
PICTURE = np.tile(np.arange(60, dtype=np.uint8)[:, None, None], (1, 80, 3))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    return tmp_path / "assets"


@pytest.fixture
def store(root: Path) -> ImageStore:
    return ImageStore(root, max_pixels=1_000_000)


def put(root: Path, image: Image.Image | bytes, kind: str = "PNG", **options: object) -> str:
    if isinstance(image, Image.Image):
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        image = buffer.getvalue()
    (root / "x.bin").write_bytes(image)
    return "/assets/x.bin"


def save(store: ImageStore, image: NDArray[np.uint8] = PICTURE, **other: str) -> str:
    given = {"tenant_id": "cafe", "kind": "final"} | other
    return store.save(image, day=DAY, name=content_name(uuid4(), image), **given)


def test_what_is_saved_is_loaded_again(store: ImageStore) -> None:
    url = save(store)
    assert url.startswith("/assets/yh/tenants/cafe/final/2026/02/03/")
    assert (store.load(url) == PICTURE).all()


def test_the_same_picture_is_the_same_file_with_the_same_bytes(store: ImageStore, root: Path) -> None:
    name = content_name(uuid4(), PICTURE)
    urls = [store.save(PICTURE, tenant_id="cafe", kind="final", day=DAY, name=name) for _ in range(2)]
    files = [path for path in root.rglob("*") if path.is_file()]
    assert urls[0] == urls[1]
    assert len(files) == 1


def test_other_teams_can_read_what_is_saved_whatever_the_umask_is(store: ImageStore, root: Path) -> None:
    before = os.umask(0o077)
    try:
        path = root / save(store).removeprefix("/assets/")
    finally:
        os.umask(before)
    made = [folder for folder in path.parents if folder.is_relative_to(root) and folder != root]
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in made} == {0o755}
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_another_picture_or_variant_has_another_name() -> None:
    variant = uuid4()
    assert content_name(variant, PICTURE) != content_name(variant, PICTURE + 1)
    assert content_name(variant, PICTURE) != content_name(uuid4(), PICTURE)


def test_an_interrupted_write_leaves_no_file(store: ImageStore, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def power_cut(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", power_cut)
    with pytest.raises(OSError, match="No space left"):
        save(store)
    assert [path for path in root.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    "url",
    [
        "/assets/../../etc/passwd",
        "/assets/a/../../x.png",
        "/etc/passwd",
        "assets/x.png",
        "/assets/",
        "/assets//etc/passwd",
        "/assets/%2e%2e/x.png",
        "/assets/a\\..\\x.png",
        "/assets/x.png\0.txt",
        "https://example.com/x.png",
        "",
    ],
)
def test_a_url_that_leaves_the_root_is_refused_by_name(store: ImageStore, url: str) -> None:
    with pytest.raises(StageError, match="leaves the asset root"):
        store.load(url)


def test_a_link_that_leads_out_is_refused(store: ImageStore, root: Path) -> None:
    (root.parent / "secret.png").write_bytes(b"secret")
    (root / "link.png").symlink_to(root.parent / "secret.png")
    with pytest.raises(StageError, match="is a link"):
        store.load("/assets/link.png")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=40))
def test_no_url_ever_reaches_a_file_outside_the_root(store: ImageStore, url: str) -> None:
    with pytest.raises(StageError):
        store.load(url if url.startswith("/assets/") else f"/assets/{url}")


@pytest.mark.parametrize("tenant", ["../x", "a/b", "", "..", ".hidden", "a\0b", "a" * 200])
def test_a_tenant_that_is_no_plain_name_is_refused(store: ImageStore, root: Path, tenant: str) -> None:
    with pytest.raises(StageError, match="tenant_id"):
        save(store, tenant_id=tenant)
    assert list(root.iterdir()) == []


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "LA", "1", "CMYK"])
def test_every_usual_mode_becomes_rgb(store: ImageStore, root: Path, mode: str) -> None:
    loaded = store.load(put(root, Image.fromarray(PICTURE).convert(mode), "JPEG" if mode == "CMYK" else "PNG"))
    assert loaded.shape == (60, 80, 3)
    assert loaded.dtype == np.uint8


def test_transparency_lies_on_white(store: ImageStore, root: Path) -> None:
    assert (store.load(put(root, Image.new("RGBA", (40, 40), (0, 0, 0, 0)))) == 255).all()


def test_a_picture_turned_by_its_camera_stands_upright(store: ImageStore, root: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert store.load(put(root, Image.fromarray(PICTURE), "JPEG", exif=exif)).shape == (80, 60, 3)


def test_sixteen_bit_greys_keep_their_brightness(store: ImageStore, root: Path) -> None:
    deep = Image.fromarray(np.full((40, 40), 65535, dtype=np.uint16))
    assert (store.load(put(root, deep)) == 255).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 bytes"),
        (b"hello", "not an image"),
    ],
)
def test_a_file_that_is_no_image_is_named(store: ImageStore, root: Path, content: bytes, message: str) -> None:
    with pytest.raises(StageError, match=rf"x\.bin.*{message}"):
        store.load(put(root, content))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_truncated_image_is_named(store: ImageStore, root: Path, kind: str) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, kind)
    with pytest.raises(StageError, match=r"x\.bin.*(truncated|not an image)"):
        store.load(put(root, buffer.getvalue()[: len(buffer.getvalue()) // 2]))


def test_a_missing_file_is_named(store: ImageStore) -> None:
    with pytest.raises(StageError, match=r"'/assets/ye/none\.png' is missing on disk"):
        store.load("/assets/ye/none.png")


def test_too_many_pixels_are_refused_before_they_are_decoded(store: ImageStore, root: Path) -> None:
    with pytest.raises(StageError, match="1200 × 1000 px, more than the 1000000"):
        store.load(put(root, Image.new("RGB", (1200, 1000))))


def test_a_file_that_may_not_be_read_now_is_no_verdict_on_the_image(
    store: ImageStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = put(root, Image.fromarray(PICTURE))

    def disk_error(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(images, "read_file", disk_error)
    with pytest.raises(OSError, match="Input/output error"):
        store.load(url)


@pytest.mark.parametrize("name", ["a" * 300 + ".png", "\ud800.png", "a\n.png", "loop.png"])
def test_a_url_that_can_name_no_file_is_refused_and_not_tried_again(store: ImageStore, root: Path, name: str) -> None:
    (root / "loop.png").symlink_to(root / "loop.png")
    with pytest.raises(StageError, match="image_url"):
        store.load(f"/assets/{name}")


def test_a_root_that_is_not_mounted_is_worth_another_try(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError, match="asset root"):
        ImageStore(tmp_path / "unmounted").load("/assets/a.png")


def test_a_format_that_another_program_would_read_is_no_image(store: ImageStore, root: Path) -> None:
    with pytest.raises(StageError, match="not an image"):
        store.load(put(root, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_the_usual_formats_are_read(store: ImageStore, root: Path, kind: str) -> None:
    assert store.load(put(root, Image.fromarray(PICTURE), kind)).shape == PICTURE.shape


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF"])
def test_other_formats_are_read_only_when_they_are_asked_for(store: ImageStore, root: Path, kind: str) -> None:
    url = put(root, Image.fromarray(PICTURE), kind)
    with pytest.raises(StageError, match=r"not an image of a format that is read.*store one of PNG, JPEG, WEBP"):
        store.load(url)
    assert ImageStore(root, formats=KNOWN_FORMATS).load(url).shape == PICTURE.shape


def test_every_format_that_can_be_set_is_known() -> None:
    assert set(KNOWN_FORMATS) == set(IMAGE_FORMATS)
    assert set(USUAL_FORMATS) == set(Settings().image_formats)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_pillow_turns_it(store: ImageStore, root: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 255, (300, 40, 4), dtype=np.uint8))
    url = put(root, picture, exif=exif)
    upright = ImageOps.exif_transpose(Image.open(root / "x.bin"))
    white = Image.new("RGBA", upright.size, "white")
    assert (store.load(url) == np.asarray(Image.alpha_composite(white, upright).convert("RGB"))).all()


def fifo(path: Path) -> None:
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))


def hard_link(path: Path) -> None:
    Image.fromarray(PICTURE).save(path.with_name("other.png"))
    path.hardlink_to(path.with_name("other.png"))


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    ("make", "message"),
    [(fifo, "is a pipe"), (unix_socket, "is a socket"), (Path.mkdir, "is a folder"), (hard_link, "has 2 names")],
)
def test_what_is_no_plain_file_is_refused_at_once(
    store: ImageStore, root: Path, make: Callable[[Path], None], message: str
) -> None:
    make(root / "x.png")
    with pytest.raises(StageError, match=rf"x\.png.*{message}"):
        store.load("/assets/x.png")


def test_a_link_inside_the_root_is_refused_too(store: ImageStore, root: Path) -> None:
    save(store)
    (root / "ye").symlink_to(root / "yh")
    with pytest.raises(StageError, match="behind a link"):
        store.load("/assets/ye/x.png")


def test_nothing_is_written_or_removed_behind_a_link(store: ImageStore, root: Path) -> None:
    theirs = root / "ye" / "tenants" / "cafe" / "final"
    theirs.mkdir(parents=True)
    (theirs / "x.png").write_bytes(b"theirs")
    (root / "yh" / "tenants").mkdir(parents=True)
    (root / "yh" / "tenants" / "cafe").symlink_to(theirs.parent)
    with pytest.raises(StageError, match="behind a link"):
        save(store)
    with pytest.raises(StageError, match="behind a link"):
        store.remove("/assets/yh/tenants/cafe/final/x.png")
    assert (theirs / "x.png").read_bytes() == b"theirs"


def test_a_link_in_place_of_our_folder_is_not_walked(store: ImageStore, root: Path) -> None:
    save(store)
    (root / "yh").rename(root / "ye")
    (root / "yh").symlink_to(root / "ye")
    assert list(store.own_before(datetime(2100, 1, 1))) == []


def test_a_file_of_more_than_32_mb_is_refused_unless_it_is_our_own(store: ImageStore, root: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (3300, 3300, 3), dtype=np.uint8)
    large = ImageStore(root, max_pixels=noise.size)
    own = save(large, noise)
    (root / "x.png").write_bytes((root / own.removeprefix("/assets/")).read_bytes())
    assert (ImageStore(root, max_pixels=noise.size).load(own) == noise).all()
    with pytest.raises(StageError, match=r"x\.png.* bytes, more than the 32,000,000 allowed"):
        large.load("/assets/x.png")


@pytest.mark.parametrize(("width", "height"), [(1, 1), (31, 600), (700, 34)])
def test_a_picture_that_no_ad_fits_on_is_refused(store: ImageStore, root: Path, width: int, height: int) -> None:
    with pytest.raises(StageError, match=f"{width} × {height} px; an ad needs 32 px or more"):
        store.load(put(root, Image.new("RGB", (width, height))))


@pytest.mark.parametrize(("scans", "is_read"), [(54, True), (55, False)])
def test_a_jpeg_of_at_most_64_scans_is_read(store: ImageStore, root: Path, scans: int, is_read: bool) -> None:
    buffer = io.BytesIO()
    Image.fromarray(PICTURE).save(buffer, "JPEG", progressive=True)
    content = buffer.getvalue()
    last = content[content.rindex(b"\xff\xda") : -2]
    assert content.count(b"\xff\xda") == 10
    assert (structure_fault(content[:-2] + last * scans + content[-2:]) is None) is is_read


def test_the_tenant_of_a_url_is_that_of_its_folder(store: ImageStore) -> None:
    assert tenant_of(save(store)) == "cafe"
    assert tenant_of("/assets/ye/tenants/a b/generated/x.png") == "a b"
    for url in ("/assets/x.png", "/assets/tenants/cafe/x.png", "/assets/ye/tenants/cafe", "/x/ye/tenants/cafe/x.png"):
        assert tenant_of(url) is None


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "TIFF"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_bytes_give_a_picture_or_a_stage_error_and_nothing_else(
    root: Path, kind: str, data: st.DataObject
) -> None:
    buffer = io.BytesIO()
    Image.fromarray(PICTURE[:36, :40]).save(buffer, kind)
    damaged = bytearray(buffer.getvalue()[: data.draw(st.integers(1, len(buffer.getvalue())))])
    for _ in range(data.draw(st.integers(0, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with suppress(StageError):
        assert ImageStore(root, formats=KNOWN_FORMATS).load(put(root, bytes(damaged))).ndim == 3


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The size in bytes of each file that is decoded."""
    sizes: list[int] = []
    opened = images._open_image

    def counted(content: io.BytesIO, **options: Any) -> Any:
        sizes.append(len(content.getvalue()))
        return opened(content, **options)

    monkeypatch.setattr(images, "_open_image", counted)
    return sizes


def test_a_picture_is_decoded_once(store: ImageStore, root: Path, decoded: list[int]) -> None:
    url = put(root, Image.fromarray(PICTURE))
    assert store.load(url) is store.load(url)
    assert len(decoded) == 1


def test_a_file_that_was_replaced_is_read_again(store: ImageStore, root: Path) -> None:
    url = put(root, Image.fromarray(PICTURE))
    store.load(url)
    put(root, Image.fromarray(PICTURE + 1))
    assert (store.load(url) == PICTURE + 1).all()


def test_what_was_saved_need_not_be_decoded(store: ImageStore, decoded: list[int]) -> None:
    assert (store.load(save(store)) == PICTURE).all()
    assert (store.load_mask(save(store, PICTURE[..., 0])) == PICTURE[..., 0]).all()
    assert decoded == []


def test_another_process_reads_a_mask_as_it_was_saved(store: ImageStore, root: Path, decoded: list[int]) -> None:
    url = save(store, PICTURE[..., 0])
    assert (ImageStore(root).load_mask(url) == PICTURE[..., 0]).all()
    assert len(decoded) == 1


def test_nobody_can_change_what_others_get(store: ImageStore) -> None:
    mine = PICTURE.copy()
    url = save(store, mine)
    mine[:] = 0
    assert (store.load(url) == PICTURE).all()
    with pytest.raises(ValueError, match="read-only"):
        store.load(url)[:] = 0


def test_the_pictures_used_last_are_kept_as_far_as_memory_is_given() -> None:
    recent = RecentPictures(most_bytes=2 * PICTURE.nbytes)
    first, second, _ = (recent.keep(name, PICTURE + number) for number, name in enumerate("abc"))
    assert recent.get("a") is None
    assert recent.get("b") is second
    recent.keep("d", first)
    assert recent.get("c") is None
    assert recent.get("b") is second


def test_a_picture_larger_than_that_is_handed_out_and_not_kept() -> None:
    recent = RecentPictures(most_bytes=PICTURE.nbytes - 1)
    assert (recent.keep("a", PICTURE) == PICTURE).all()
    assert recent.get("a") is None
