"""`make doctor`: what each chosen backend needs, what of it is there, and whether it can run."""

from __future__ import annotations

import sys

from resources.loading.availability import findings
from resources.settings import SettingError, Settings


def main() -> int:
    try:
        found = findings(Settings())
    except SettingError as error:
        print(error, file=sys.stderr)
        return 1
    for backend, needed in found.items():
        runs = not any(each.missing for each in needed)
        print(f"{backend}: {'can run' if runs else 'CANNOT RUN'}")
        for each in needed:
            print(f"  {each.what:24} {each.found}" + (f"  → {each.way_out}" if each.missing else ""))
    return int(any(each.missing for needed in found.values() for each in needed))


if __name__ == "__main__":
    sys.exit(main())
