"""The way into PostgreSQL: short transactions around the named queries. The state machine itself is in sql/."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from resources.postgres.claims import Claims
from resources.postgres.lease import Lease
from resources.postgres.maintenance import Maintenance
from resources.postgres.notifier import Listener
from resources.postgres.run_requests import RunRequests
from resources.postgres.transactions import Transactions


class Database:
    """One per process: what runs do (`claims`), what sensors request (`run_requests`), `maintenance`, and the service's
    `lease`. Every call of these is one transaction.
    """

    def __init__(self, url: str) -> None:
        self._transactions = Transactions(url)
        self.claims = Claims(self._transactions)
        self.run_requests = RunRequests(self._transactions)
        self.maintenance = Maintenance(self._transactions)
        self.lease = Lease(self._transactions)

    @property
    def engine(self) -> Engine:
        return self._transactions.engine

    def listener(self, *, stopping: Callable[[], bool] = lambda: False) -> Listener:
        """Waits for changes of variants, on a connection of its own, until `stopping` says that this process ends."""
        return Listener(self._transactions.url, stopping=stopping)

    def notify_shutdown(self) -> None:
        """Ends the wait of every listener."""
        self._transactions.one("notify_shutdown")

    def answers(self) -> bool:
        """Whether the server answers now."""
        try:
            with self.engine.connect():
                return True
        except OperationalError:
            return False

    def close(self) -> None:
        self._transactions.close()
