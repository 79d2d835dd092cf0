"""What a data worker costs: ours against Pillow with torchvision's v1 transforms, on the same crops of the same files.

    python benchmarks/data_worker.py                     # photo-like images, drawn
    python benchmarks/data_worker.py --root IMAGES     # your JPEGs, brought to ImageNet's usual 500 x 375

One thread and processor time; the two ways take turns, and the medians of their times are compared. Both read the
files, decode, crop, resize to 224, mirror, and give a batch; the usual way as float32, ours as uint8 (the model
normalises on the device).
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import default_collate
from torchvision import transforms
from torchvision.transforms import functional

from mobilevision.data import Augment, Pixels
from mobilevision.data.files import FileRecords
from mobilevision.data.loader import BatchSource
from mobilevision.data.sampling import DRAW, stream

SIDE, BATCH = 224, 32
NORMALIZE = transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def drawn(seed: int, longer: int) -> Image.Image:
    """An image with the spectrum of photographs: amplitudes fall with the frequency."""
    rng = np.random.default_rng(seed)
    height, width = longer * 3 // 4, longer
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]) + 1 / width
    channels = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(3, height, width))) / frequency**1.2, (height, width))
    grey = channels[:1] * 0.8 + channels * 0.2  # channels of a photograph are much alike
    grey = 128 + 52 * (grey - grey.mean()) / grey.std()
    return Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8).transpose(1, 2, 0).copy())


def images(root: Path | None, count: int, longer: int) -> list[Image.Image]:
    """``count`` images whose longer side is ``longer`` pixels."""
    if root is None:
        return [drawn(seed, longer) for seed in range(count)]
    found = sorted(root.rglob("*.jpg"))
    opened = [Image.open(path).convert("RGB") for path in found[:: max(1, len(found) // count)][:count]]
    return [enlarged(image, longer) for image in opened]


def enlarged(image: Image.Image, longer: int) -> Image.Image:
    """The image with a longer side of ``longer`` pixels."""
    width, height = image.size
    factor = longer / max(width, height)
    return image.resize((round(width * factor), round(height * factor)), Image.Resampling.LANCZOS)


def usual(source: BatchSource, keys: list[tuple[int, int]]) -> object:
    """The batch as most training scripts make it."""
    samples = []
    for epoch, index in keys:
        records = source.records
        assert isinstance(records, FileRecords)
        assert source.augment is not None
        with open(records.path(index), "rb") as stream_:
            image = Image.open(stream_).convert("RGB")
        (x, y, w, h), flip = crop(source, epoch, index, image.height, image.width)
        image = functional.resized_crop(image, y, x, h, w, [SIDE, SIDE])
        image = functional.hflip(image) if flip else image
        samples.append((NORMALIZE(functional.to_tensor(image)), int(records.targets[index])))
    return default_collate(samples)


def crop(source: BatchSource, epoch: int, index: int, height: int, width: int) -> tuple[tuple[int, ...], bool]:
    """The crop that ours draws, so that both take the same."""
    assert source.augment is not None
    box, flip = source.augment.draw(stream(DRAW, source.seed, epoch, index), height, width)
    assert box is not None
    return tuple(int(edge) for edge in box), flip


def measure(ways: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median processor seconds of each, the ways taking turns."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(repeats + 1):
        for name, way in ways.items():
            start = time.process_time()
            way()
            if repeat:  # the first round warms up
                times[name].append(time.process_time() - start)
    return {name: statistics.median(spent) for name, spent in times.items()}


def fidelity(source: BatchSource, count: int) -> float:
    """Median PSNR in dB of the fast path against Pillow's exact one, on the crops of epoch 0."""
    found = []
    for index in range(count):
        box, _ = crop(source, 0, index, *source.records.shape(index))
        edges = (float(box[0]), float(box[1]), float(box[2]), float(box[3]))
        fast, exact = (source.records.pixels(index, box=edges, size=(SIDE, SIDE), exact=e) for e in (False, True))
        found.append(psnr(fast, exact))
    return statistics.median(found)


def psnr(first: Pixels, second: Pixels) -> float:
    """Peak signal to noise ratio in dB."""
    return float(10 * np.log10(255**2 / max(float(np.mean((first.astype(np.float64) - second) ** 2)), 1e-9)))


def main() -> None:
    """Make the files, measure, print one line of result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="folder with JPEGs; without it images are drawn")
    parser.add_argument("--count", type=int, default=64, help="images")
    parser.add_argument("--longer", type=int, default=500, help="longer side of the images, pixels")
    parser.add_argument("--quality", type=int, default=94, help="JPEG quality; ImageNet's files have about 110 kB")
    parser.add_argument("--repeats", type=int, default=15, help="rounds after the one to warm up")
    parser.add_argument("--scale", type=float, default=0.08, help="smallest area of the crop")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, image in enumerate(images(arguments.root, arguments.count, arguments.longer)):
            files.append(Path(folder, f"{number}.jpg"))
            image.save(files[-1], quality=arguments.quality)
        count = len(files)
        records = FileRecords(paths=map(bytes, files), targets=np.zeros(count, np.int64), channels=3)
        augment = Augment(crop_scale=(arguments.scale, 1.0))
        source = BatchSource(records, channels=3, resolution=(SIDE, SIDE), crop=0.875, augment=augment)
        batches = [[(0, i) for i in range(at, min(at + BATCH, count))] for at in range(0, count, BATCH)]
        ways = {
            "usual": lambda: [usual(source, keys) for keys in batches],
            "ours": lambda: [source.__getitems__(keys) for keys in batches],
        }
        spent = measure(ways, arguments.repeats)
        size = statistics.mean(path.stat().st_size for path in files) / 1000
        print(
            f"{platform.processor() or platform.machine()}, torch {torch.__version__}, {count} files of {size:.0f} kB"
        )
        for name, seconds in spent.items():
            print(f"{name:>6}: {count / seconds:7.0f} images/s a core ({1000 * seconds / count:.2f} ms)")
        loss = f"{fidelity(source, count):.0f} dB against the exact path"
        print(f" ratio: {spent['usual'] / spent['ours']:.2f} ({loss})")


if __name__ == "__main__":
    main()
