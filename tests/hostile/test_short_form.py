"""A part of `make hostile`, in seconds; the attacks of a model server are in tests/models."""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from resources.fonts import installed_fonts
from testing.drawing import NANUM
from testing.hostile.attacks import Attack, NotHeld, attempt
from testing.hostile.copies import copy_attacks
from testing.hostile.files import file_attacks
from testing.hostile.paths import path_attacks
from testing.pictures import flat, latin_font


def not_held(attacks: Iterable[Attack]) -> list[str]:
    outcomes = [attempt(attack) for attack in attacks]
    assert len(outcomes) > 10
    return [f"{outcome.attack.name}: {outcome.said}" for outcome in outcomes if not outcome.held]


def test_no_file_is_loaded_that_should_not_be_or_takes_long_or_much(tmp_path: Path) -> None:
    assert not_held(file_attacks(tmp_path, every=5)) == []


def test_no_path_leads_out_of_the_asset_root(tmp_path: Path) -> None:
    assert not_held(path_attacks(tmp_path, race_s=0.5)) == []


def test_no_copy_holds_a_worker_up_or_deceives() -> None:
    attacks = copy_attacks(installed_fonts([NANUM, latin_font()]), flat(480, 480))
    assert not_held(islice(attacks, 0, None, 2)) == []


def test_an_attack_that_is_not_held_is_named() -> None:
    def lets_in() -> str:
        raise NotHeld("it was read")

    def wastes_memory() -> str:
        return f"loaded {len(b'x' * 50_000_000)}"

    assert attempt(Attack("files", "x", lets_in)).said == "NotHeld: it was read"
    assert attempt(Attack("files", "x", wastes_memory, most_mb=10)).held is False
    assert attempt(Attack("files", "x", lambda: "refused", most_s=0.0)).said.startswith("refused, but only after")
