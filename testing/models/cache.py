"""Where the small models made here are kept from one run to the next."""

import os

from resources.settings import PROJECT

CACHE = PROJECT / ".service" / "test-models"


def prepare_libraries() -> None:
    """Keeps the model libraries off the network and their settings in the cache; to be called before their import."""
    (CACHE / "ultralytics").mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("YOLO_CONFIG_DIR", str(CACHE / "ultralytics"))
    os.environ.update(YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false", HF_HUB_OFFLINE="1")
