"""The main job for everyone to watch: acts as js and ye do, then only looks on until the job is done."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter
from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import NullPool

from resources.images import ImageStore, png
from resources.postgres.queries import load
from resources.settings import SettingError, Settings
from service.contact_sheet import FinishedVariant, contact_sheet
from service.postgres import PostgresError
from service.running import ServiceError, port_note, running_environment, start, stop
from service.state import State
from stages.pipeline import STAGE_NAMES
from stages.type.fonts import Fonts
from stages.values import Detections, Layout, Overlap, Plan, Readability, Recognition, Verdict

TENANT = "demo-cafe"
_STATEMENTS = Path(__file__).with_name("demo.sql")
KOREAN = "오늘 볶은 원두로 내린 커피 한 잔, 아메리카노 3,900원"
ENGLISH = "A cup of coffee from beans roasted today, americano 3,900 won"
_GIVE_UP_S = 300.0
_SIDE_PX = 1080


class DemoError(Exception):
    """The job did not become done; the message says why."""


@dataclass
class Demo:
    """One job of one shop, ordered and generated as the other parts do it."""

    engine: Engine
    asset_root: Path
    state: State
    job: UUID = field(default_factory=uuid4)
    handed_over_s: float = 0.0

    def order(self) -> None:
        """What js does: the shop, the job, its copy in two languages."""
        self._do("insert_tenant", tenant=TENANT, name="Demo Café")
        self._do("insert_job", job=str(self.job), tenant=TENANT)
        self._do("insert_inputs", job=str(self.job), korean=KOREAN, english=ENGLISH)
        self._do("insert_copy", job=str(self.job), stage="ad_copy_kor", korean=KOREAN, english=None)
        self._do("insert_copy", job=str(self.job), stage="ad_copy_eng", korean=None, english=ENGLISH)

    def generate(self) -> None:
        """What ye does: three images one after another, then the hand-over."""
        for number, image in enumerate(generated_images(), start=1):
            variant, asset = str(uuid4()), uuid4()
            url = f"/assets/ye/tenants/{TENANT}/generated/{datetime.now(UTC):%Y/%m/%d}/{asset}.png"
            path = self.asset_root / url.removeprefix("/assets/")
            path.parent.mkdir(parents=True, exist_ok=True)
            size = {"width_px": image.shape[1], "height_px": image.shape[0]}
            self._do("insert_image", image=str(asset), url=url, tenant=TENANT, job=str(self.job), **size)
            self._do("insert_variant", variant=variant, job=str(self.job), image=str(asset), number=number)
            path.write_bytes(png(image))
            self._do("image_is_done", variant=variant)
            print(f"ye: image {number} of 3 is done", flush=True)
        self._do("hand_over", job=str(self.job))
        self.handed_over_s = time.monotonic()
        print("ye: the job is handed over; from here on nobody pushes anything", flush=True)

    def watch(self) -> float:
        """Prints every change until the job has ended; returns the seconds from the hand-over to done."""
        seen: list[str] = []
        while True:
            rows = self._rows("progress", job=str(self.job))
            since_s = time.monotonic() - self.handed_over_s
            now = [f"{row.current_step} {row.status}" for row in rows]
            for number, (before, state) in enumerate(zip(seen or [""] * len(now), now, strict=True), start=1):
                if before != state:
                    print(f"{since_s:6.1f} s  variant {number}: {state}", flush=True)
            seen = now
            if rows[0].job_status == "done":
                return since_s
            errors = [f"variant {number}: {row.error}" for number, row in enumerate(rows, 1) if row.status == "failed"]
            if rows[0].job_status == "failed":
                raise DemoError("the job failed; " + "; ".join(errors))
            if since_s > _GIVE_UP_S:
                raise DemoError(
                    f"the job is not done after {since_s:.0f} s; variants are at {now}\n{self.state.log_tails()}"
                )
            time.sleep(0.25)

    def finished(self) -> Iterator[tuple[FinishedVariant, dict[str, float]]]:
        """Per variant its pictures and results, and its stage times in ms."""
        images = ImageStore(self.asset_root)
        for row in self._rows("results", job=str(self.job)):
            results = row.results
            yield (
                FinishedVariant(
                    original=images.load(row.image_url),
                    ad=images.load(row.ad_url),
                    detections=Detections.model_validate(results["yolo_detect"]),
                    plan=Plan.model_validate(results["planner"]),
                    layout=Layout.model_validate(results["overlay"]),
                    recognition=Recognition.model_validate(results["ocr_eval"]),
                    readability=Readability.model_validate(results["readability_eval"]),
                    overlap=Overlap.model_validate(results["iou_eval"]),
                    verdict=Verdict.model_validate(row.verdict),
                ),
                {stage: float(latency_ms) for stage, latency_ms in row.latencies_ms.items()},
            )

    def _do(self, query: str, **parameters: Any) -> None:
        with self.engine.begin() as connection:
            connection.execute(load(_STATEMENTS)[query], parameters)

    def _rows(self, query: str, **parameters: Any) -> Sequence[Any]:
        with self.engine.begin() as connection:
            return connection.execute(load(_STATEMENTS)[query], parameters).all()


def generated_images() -> Iterator[NDArray[np.uint8]]:
    """Three different pictures of one real photograph, each (1080, 1080, 3): room above, beside, and a close-up."""
    from skimage import data

    photograph = Image.fromarray(data.coffee())
    mirrored = photograph.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    yield _graded(_with_room(photograph, above_px=200), brightness=1.0, color=1.0, contrast=1.0)
    yield _graded(
        _with_room(mirrored.crop((60, 0, 460, 400)), above_px=110, beside_px=110),
        brightness=1.1,
        color=0.9,
        contrast=1.05,
    )
    yield _graded(photograph.crop((200, 0, 600, 400)), brightness=0.8, color=1.15, contrast=0.9)


def _with_room(photograph: Image.Image, *, above_px: int = 0, beside_px: int = 0) -> Image.Image:
    """The photograph on a larger canvas; its edge goes on there out of focus, as a table does."""
    wide = np.pad(np.asarray(photograph), ((above_px, 0), (beside_px, 0), (0, 0)), mode="edge")
    blurred = np.asarray(Image.fromarray(wide).filter(ImageFilter.GaussianBlur(14)))
    y, x = np.mgrid[: wide.shape[0], : wide.shape[1]]
    sharp = np.clip(np.minimum(y - above_px if above_px else 99, x - beside_px if beside_px else 99) / 12, 0, 1)
    return Image.fromarray((blurred + (wide.astype(float) - blurred) * sharp[..., None]).astype(np.uint8))


def _graded(picture: Image.Image, *, brightness: float, color: float, contrast: float) -> NDArray[np.uint8]:
    picture = picture.resize((_SIDE_PX, _SIDE_PX), Image.Resampling.LANCZOS)
    picture = ImageEnhance.Brightness(picture).enhance(brightness)
    picture = ImageEnhance.Color(picture).enhance(color)
    return np.asarray(ImageEnhance.Contrast(picture).enhance(contrast))


def table(finished: Sequence[tuple[FinishedVariant, dict[str, float]]]) -> str:
    """Stage times and scores, one column per variant."""
    rows: list[tuple[str, list[str]]] = [
        (stage, [f"{times[stage]:.0f} ms" for _, times in finished])
        for stage in sorted(finished[0][1], key=STAGE_NAMES.index)
    ]
    rows += [
        ("all stages", [f"{sum(times.values()):.0f} ms" for _, times in finished]),
        ("verdict", [f"{variant.verdict.outcome} {variant.verdict.score:.2f}" for variant, _ in finished]),
        ("contrast p1", [f"{variant.readability.contrast_p1:.1f}:1" for variant, _ in finished]),
        ("readability", [f"{variant.readability.score:.2f}" for variant, _ in finished]),
        ("CER", [f"{variant.recognition.cer_ignoring_spaces:.2f}" for variant, _ in finished]),
        ("covered at most", [f"{variant.overlap.max_coverage:.1%}" for variant, _ in finished]),
    ]
    head = f"{'':18}" + "".join(f"{f'variant {number}':>12}" for number in range(1, len(finished) + 1))
    return "\n".join([head, *(f"{name:18}" + "".join(f"{cell:>12}" for cell in cells) for name, cells in rows)])


def play(given: dict[str, str]) -> str:
    """The whole demo on the running service; returns the line that says how it went."""
    settings = Settings.from_environment(running_environment(given) or given)
    state = State.of(given)
    demo = Demo(create_engine(settings.database_url, poolclass=NullPool), settings.asset_root, state)
    demo.order()
    demo.generate()
    seconds = demo.watch()
    finished = list(demo.finished())
    sheet = state.folder / "contact-sheet.png"
    sheet.write_bytes(png(contact_sheet([variant for variant, _ in finished], Fonts(settings.font_folders))))
    print(f"\n{table(finished)}\n\ncontact sheet: {sheet}")
    return f"job done: {len(finished)} of {len(finished)} variants in {seconds:.1f} s"


def show(given: dict[str, str], *, stays: bool) -> str:
    """Starts the service, plays the demo and stops what was started; with `stays` only after Ctrl-C."""
    runs_already = running_environment(given) is not None
    try:
        record = start(given)
        print(f"the UI is at {record.url}{'' if runs_already else port_note(record, given)}", flush=True)
        outcome = play(given)
        if stays and not runs_already:
            _until_interrupted(f"{outcome}\nthe UI stays at {record.url}; Ctrl-C stops everything")
        return outcome
    finally:
        if not runs_already:
            stop(given)


def _until_interrupted(words: str) -> None:
    try:
        print(words, flush=True)
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        print("\nstopping …", flush=True)


def main() -> int:
    # Whoever ends the demo otherwise than by Ctrl-C leaves as little behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print("starting PostgreSQL and Dagster …", flush=True)
    try:
        outcome = show(dict(os.environ), stays=os.environ.get("WAIT", "1") != "0")
    except (ServiceError, SettingError, PostgresError, DemoError) as error:
        first, *details = str(error).splitlines()
        print("\n".join([*details, f"the demo failed: {first}"]), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("the demo was interrupted before the job was done", file=sys.stderr)
        return 130
    print(outcome)
    return 0


if __name__ == "__main__":
    sys.exit(main())
