"""Whatever is written in whatever order, no invariant is broken."""

from testing import any_order


def test_no_order_of_writes_breaks_an_invariant(database_url: str) -> None:
    any_order.run(database_url, examples=25, steps=30)
