"""What SSD's augmentation costs a data worker: ours against torchvision's v2 transforms.

    python benchmarks/augmentation.py                     # photo-like images, drawn
    python benchmarks/augmentation.py --root IMAGES     # your JPEGs, brought to 640 x 480

One thread and processor time; the two ways take turns, and the medians of their times are compared. Both read the files
and decode them, change colours, lay the image on a larger ground, crop round an object, mirror, resize to 300, and
give a uint8 batch with its boxes, eight an image; only what a draw costs differs. ``decoded`` leaves the files out:
torchvision's side is handed decoded tensors, ours still decodes.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from data_worker import images, measure
from PIL import Image
from torchvision import tv_tensors
from torchvision.io import ImageReadMode, decode_jpeg, read_file
from torchvision.transforms import v2

from mobilevision.data import BoxAugment
from mobilevision.data.boxes import Boxes, BoxTargets, boxes_of
from mobilevision.data.files import FileRecords
from mobilevision.data.loader import BatchSource

WIDTH, HEIGHT, SIDE, BOXES, BATCH = 640, 480, 300, 8, 16

USUAL = v2.Compose(
    [
        v2.RandomPhotometricDistort(),
        v2.RandomZoomOut(fill=127),
        v2.RandomIoUCrop(),
        v2.RandomHorizontalFlip(),
        v2.Resize((SIDE, SIDE), antialias=True),
        v2.ClampBoundingBoxes(),
        v2.SanitizeBoundingBoxes(),
    ]
)


def some_boxes(seed: int) -> Boxes:
    """Eight boxes from a tenth to half of the image's sides."""
    rng = np.random.default_rng(seed)
    size = rng.uniform(0.1, 0.5, (BOXES, 2)) * (WIDTH, HEIGHT)
    corner = rng.random((BOXES, 2)) * (np.array([WIDTH, HEIGHT]) - size)
    return boxes_of(np.concatenate([corner, corner + size], axis=1).round(), rng.integers(0, 20, BOXES))


def usual(image: torch.Tensor, boxes: Boxes) -> dict[str, torch.Tensor]:
    """A sample as torchvision's reference scripts make it."""
    corners = tv_tensors.BoundingBoxes(  # type: ignore[call-arg]
        torch.from_numpy(boxes.boxes).float(), format="XYXY", canvas_size=(HEIGHT, WIDTH)
    )
    changed: dict[str, torch.Tensor] = USUAL(
        {"image": tv_tensors.Image(image), "boxes": corners, "labels": torch.from_numpy(boxes.labels)}
    )
    return changed


def usual_batch(items: list[tuple[torch.Tensor, Boxes]]) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Images in one tensor, boxes in a list."""
    samples = [usual(image, boxes) for image, boxes in items]
    return torch.stack([sample["image"] for sample in samples]), [sample["boxes"] for sample in samples]


def decoded(path: Path) -> torch.Tensor:
    """uint8 [3, height, width], by torchvision's own decoder."""
    return decode_jpeg(read_file(str(path)), mode=ImageReadMode.RGB)


def framed(image: Image.Image) -> Image.Image:
    """The image at 640 x 480."""
    return image.convert("RGB").resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def main() -> None:
    """Make the files, measure, print a line a way and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="folder with JPEGs; without it images are drawn")
    parser.add_argument("--count", type=int, default=32, help="images")
    parser.add_argument("--quality", type=int, default=90, help="JPEG quality")
    parser.add_argument("--repeats", type=int, default=11, help="rounds after the one to warm up")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        paths, boxes = [], []
        for number, image in enumerate(images(arguments.root, arguments.count, WIDTH)):
            paths.append(Path(folder, f"{number}.jpg"))
            framed(image).save(paths[-1], quality=arguments.quality)
            boxes.append(some_boxes(number))
        ways = sides(paths, boxes)
        spent = measure(ways, arguments.repeats)
        size = statistics.mean(path.stat().st_size for path in paths) / 1000
    count = len(paths)
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}, {count} files of {size:.0f} kB")
    for name, seconds in spent.items():
        print(f"{name:>16}: {count / seconds:7.0f} images/s a core ({1000 * seconds / count:.2f} ms)")
    ratio, handed = spent["usual"] / spent["ours"], spent["usual, decoded"] / spent["ours"]
    print(f" ratio: {ratio:.2f}; {handed:.2f} if only ours decodes")


def sides(paths: list[Path], boxes: list[Boxes]) -> dict[str, Callable[[], object]]:
    """What takes turns, each a pass over all files in batches; ours draws another epoch each time."""
    records = FileRecords(paths=map(bytes, paths), targets=BoxTargets.of(boxes), channels=3)
    source = BatchSource(records, channels=3, resolution=(SIDE, SIDE), crop=1.0, fit="stretch", augment=BoxAugment())
    batches = [range(at, min(at + BATCH, len(paths))) for at in range(0, len(paths), BATCH)]
    ready = [decoded(path) for path in paths]
    epochs = iter(range(1_000_000))

    def ours() -> object:
        epoch = next(epochs)
        return [source.__getitems__([(epoch, index) for index in batch]) for batch in batches]

    return {
        "usual": lambda: [usual_batch([(decoded(paths[i]), boxes[i]) for i in batch]) for batch in batches],
        "usual, decoded": lambda: [usual_batch([(ready[i], boxes[i]) for i in batch]) for batch in batches],
        "ours": ours,
    }


if __name__ == "__main__":
    main()
