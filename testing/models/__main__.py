"""Makes the small models of tests/models; `make test` does it beside the tests that do not need them."""

from __future__ import annotations

import warnings

from testing.models.cache import CACHE, prepare_libraries


def main() -> None:
    warnings.simplefilter("ignore")
    prepare_libraries()
    from testing.models.cpu_torchvision import install
    from testing.models.shapes import trained
    from testing.models.taught_llava import taught

    install()
    taught(CACHE)
    for task in ("detect", "segment"):
        trained(CACHE, task)


if __name__ == "__main__":
    main()
