"""Makes a torchvision wheel that was linked for CUDA import beside the CPU build of torch.

Only machines with that pair need it: there the wheel's own operators are missing, so non-maximum suppression is
registered here in plain torch.
"""

import subprocess
import sys
from pathlib import Path

import torch


def install() -> None:
    """Registers what is missing; does nothing where torchvision imports by itself."""
    try:
        import torchvision  # noqa: F401
    except RuntimeError as error:
        if "torchvision::nms does not exist" not in str(error):
            raise
        _register()


def hide() -> None:
    """For who decodes pictures with torchvision where it is there: that wheel cannot, and Pillow can."""
    try:
        import torchvision  # noqa: F401
    except RuntimeError as error:
        if "torchvision::nms does not exist" not in str(error):
            raise
        sys.modules["torchvision"] = None  # type: ignore[assignment]


def hidden_in_children(folder: Path) -> dict[str, str]:
    """The environment in which processes cannot import torchvision; empty where it works."""
    # Asked in another process, for in this one it may have been mended.
    if subprocess.run([sys.executable, "-c", "import torchvision"], capture_output=True).returncode == 0:
        return {}
    (folder / "sitecustomize.py").write_text("import sys\n\nsys.modules['torchvision'] = None\n")
    return {"PYTHONPATH": str(folder)}


def _register() -> None:
    library = torch.library.Library("torchvision", "FRAGMENT")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.impl("nms", _nms, "CPU")
    _kept.append(library)
    import torchvision.extension
    import torchvision.ops.boxes

    for module in (torchvision.extension, torchvision.ops.boxes):
        module._assert_has_ops = lambda: None


# A library that is collected takes its operators along.
_kept: list[torch.library.Library] = []


def _nms(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """Greedy non-maximum suppression: indices of the boxes (n, 4) to keep, best first."""
    x0, y0, x1, y1 = boxes.unbind(1)
    areas = (x1 - x0) * (y1 - y0)
    order = scores.argsort(descending=True, stable=True)
    keep = []
    while order.numel():
        best, order = order[0], order[1:]
        keep.append(best)
        width = (torch.minimum(x1[best], x1[order]) - torch.maximum(x0[best], x0[order])).clamp(min=0)
        height = (torch.minimum(y1[best], y1[order]) - torch.maximum(y0[best], y0[order])).clamp(min=0)
        common = width * height
        order = order[common / (areas[best] + areas[order] - common) <= iou_threshold]
    return torch.stack(keep) if keep else order
