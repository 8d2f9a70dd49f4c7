"""`make release N=100`: starts old work that has been held since the database was adopted, the newest first."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from sqlalchemy.exc import DBAPIError

from resources.postgres.database import Database
from resources.postgres.errors import reason
from resources.settings import SettingError, Settings


def main(arguments: Sequence[str] = ()) -> int:
    parser = argparse.ArgumentParser(prog="make release", description=__doc__)
    parser.add_argument("variants", type=int, help="at most so many; 0 only counts what is held")
    given = parser.parse_args(arguments)
    try:
        settings = Settings()
        database = Database(settings.require_database_url())
        released, held = database.maintenance.release_old_work(given.variants)
        database.close()
    except SettingError as error:
        print(error, file=sys.stderr)
        return 1
    except DBAPIError as error:
        print(f"cannot release in {settings.database_for_people}: {reason(error)}", file=sys.stderr)
        return 1
    print(f"released {released} variants; {held} are still held. New variants go first.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
