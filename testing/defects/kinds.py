"""Every kind of defect, and how an ad is spoilt with one."""

from __future__ import annotations

import numpy as np

from stages.type.glyphs import draw_layout
from stages.values import Layout
from testing.defects import drawn_wrong, spoilt_pictures
from testing.defects.perturb import DEFECTS, DrawnAd

# Imported for what they add to DEFECTS.
MODULES = (drawn_wrong, spoilt_pictures)
KINDS = tuple(DEFECTS)


def spoil(defect: str, good: DrawnAd) -> DrawnAd | None:
    """None where the defect does not apply: a wrong digit to a copy without one, exchanged colours to a grey ad."""
    changed = DEFECTS[defect](good)
    if changed is None:
        return None
    if isinstance(changed, Layout):
        return good._replace(layout=changed, image=draw_layout(good.scene.image, changed, good.fonts))
    return None if np.array_equal(changed, good.image) else good._replace(image=changed)
