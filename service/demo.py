"""The main job for everyone to watch: acts as js and ye do, then only looks on until the job is done."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) == signal.default_int_handler:
    # While libraries are imported nothing runs yet: a Ctrl-C ends this at once, without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import NullPool

from resources.fonts import installed_fonts
from resources.images import ImageStore, png
from resources.postgres.queries import load
from resources.settings import Settings
from service.commands import ServiceError, run_command
from service.contact_sheet import FinishedVariant, contact_sheet, plan_sheet
from service.running import port_note, running_environment, start, stop
from service.shop import Shop, image_url, store
from service.state import State
from stages.imaging.geometry import size_of
from stages.pipeline import STAGE_NAMES
from stages.values import Detections, Overlap, Plan, Readability, Recognition, Verdict

TENANT = "demo-cafe"
_STATEMENTS = Path(__file__).with_name("demo.sql")
KOREAN = "나른한 오후를 깨우는 커피, 아메리카노 3,900원"
ENGLISH = "The coffee that wakes a drowsy afternoon, americano 3,900 won"
_GIVE_UP_S = 300.0
_SIDE_PX = 1080
# Left, top, right and bottom of the square; docs/licences.md names the photographers.
_PHOTOGRAPHS = {"coffee": (200, 0, 600, 400), "chelsea": (151, 0, 451, 300), "rocket": (106, 0, 533, 427)}


class DemoError(ServiceError):
    """The job did not become done; the message says why."""


@dataclass
class Demo:
    """One job of one shop, ordered and generated as the other parts do it."""

    engine: Engine
    asset_root: Path
    state: State
    job: UUID = field(init=False)
    handed_over_s: float = 0.0

    def order(self) -> None:
        """What js does: the shop, the job, its copy in two languages."""
        shop = Shop(self.engine)
        shop.add_tenant(TENANT, "Demo Café")
        [self.job] = shop.order(tenant=TENANT, korean=KOREAN, english=ENGLISH)
        shop.add_copy(self.job, korean=KOREAN, english=ENGLISH)

    def generate(self) -> None:
        """What ye does: three images one after another, then the hand-over."""
        shop = Shop(self.engine)
        for number, image in enumerate(generated_images(), start=1):
            url = image_url(TENANT)
            asset = shop.add_image(url, job=self.job, size=size_of(image))
            [variant] = shop.add_variants(self.job, [asset])
            store(self.asset_root, url, png(image))
            shop.set_state(variant, "img_gen", "done")
            print(f"ye: image {number} of 3 is done", flush=True)
        shop.hand_over(self.job)
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
                    recognition=Recognition.model_validate(results["ocr_eval"]),
                    readability=Readability.model_validate(results["readability_eval"]),
                    overlap=Overlap.model_validate(results["iou_eval"]),
                    verdict=Verdict.model_validate(row.verdict),
                ),
                {stage: float(latency_ms) for stage, latency_ms in row.latencies_ms.items()},
            )

    def _rows(self, query: str, **parameters: Any) -> Sequence[Any]:
        with self.engine.begin() as connection:
            return connection.execute(load(_STATEMENTS)[query], parameters).all()


def generated_images() -> Iterator[NDArray[np.uint8]]:
    """Squares of three photographs that scikit-image brings along, each of shape (1080, 1080, 3)."""
    from skimage import data

    for name, square_px in _PHOTOGRAPHS.items():
        square = Image.fromarray(getattr(data, name)()).crop(square_px)
        yield np.asarray(square.resize((_SIDE_PX, _SIDE_PX), Image.Resampling.LANCZOS))


def table(finished: Sequence[tuple[FinishedVariant, dict[str, float]]]) -> str:
    """Stage times and scores, one column per variant."""
    rows: list[tuple[str, list[str]]] = [
        (stage, [f"{times[stage]:.0f} ms" for _, times in finished])
        for stage in sorted(finished[0][1], key=STAGE_NAMES.index)
    ]
    rows += [
        ("all stages", [f"{sum(times.values()):.0f} ms" for _, times in finished]),
        ("verdict", [f"{variant.verdict.outcome} {variant.verdict.score:.2f}" for variant, _ in finished]),
        ("contrast_p1", [f"{variant.readability.contrast_p1:.1f}:1" for variant, _ in finished]),
        ("readability", [f"{variant.readability.score:.2f}" for variant, _ in finished]),
        ("CER", [f"{variant.recognition.cer_ignoring_spaces:.2f}" for variant, _ in finished]),
        ("covered at most", [f"{variant.overlap.max_coverage:.1%}" for variant, _ in finished]),
    ]
    head = f"{'':18}" + "".join(f"{f'variant {number}':>12}" for number in range(1, len(finished) + 1))
    return "\n".join([head, *(f"{name:18}" + "".join(f"{cell:>12}" for cell in cells) for name, cells in rows)])


def play(state: State, running: Settings) -> str:
    """The whole demo on the service that runs with these settings; returns the line that says how it went."""
    demo = Demo(create_engine(running.require_database_url(), poolclass=NullPool), running.asset_root, state)
    demo.order()
    demo.generate()
    seconds = demo.watch()
    finished = list(demo.finished())
    print(f"\n{table(finished)}\n")
    variants, fonts = [variant for variant, _ in finished], installed_fonts(running.font_folders)
    for name, draw in (("ads", contact_sheet), ("plans", plan_sheet)):
        sheet = state.folder / f"{name}.png"
        sheet.write_bytes(png(draw(variants, fonts)))
        print(f"{name}: {sheet}")
    return f"job done: {len(finished)} of {len(finished)} variants in {seconds:.1f} s"


def show(settings: Settings, *, stays: bool) -> str:
    """Starts the service, plays the demo and stops what was started; with `stays` only after Ctrl-C."""
    state = State.of(settings)
    runs_already = running_environment(state) is not None
    try:
        record = start(settings)
        note = "" if runs_already else port_note(record, settings.webserver_port)
        print(f"the UI is at {record.url}{note}", flush=True)
        outcome = play(state, Settings.from_environment(running_environment(state) or {}))
        if stays and not runs_already:
            _until_interrupted(f"{outcome}\nthe UI stays at {record.url}; Ctrl-C stops everything")
        return outcome
    finally:
        if not runs_already:
            stop(state)


def _until_interrupted(words: str) -> None:
    print(words, flush=True)
    with suppress(KeyboardInterrupt):
        while True:
            time.sleep(3600)


def _demo() -> int:
    print("starting PostgreSQL and Dagster …", flush=True)
    print(show(Settings(), stays=os.environ.get("WAIT", "1") != "0"))
    return 0


def main() -> int:
    return run_command(_demo, failed="the demo failed: ")


if __name__ == "__main__":
    sys.exit(main())
