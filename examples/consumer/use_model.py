"""Use an ONNX model that `mobilevision export` made: onnxruntime, NumPy and Pillow are all it takes.

python use_model.py FOLDER IMAGE [IMAGE ...]
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

Array = np.ndarray[Any, Any]


def read_input(given: str | Image.Image, how: dict[str, Any]) -> tuple[Array, Callable[[Array], Array]]:
    """A file or Pillow image as the model takes it, uint8 [C, H, W], and the way of a box back to its own pixels."""
    opened = Image.open(given) if isinstance(given, str) else given
    image = ImageOps.exif_transpose(opened).convert(how["colours"])
    high, wide = how["height"], how["width"]
    left, top, right, bottom = 0.0, 0.0, float(image.width), float(image.height)
    size, place = (high, wide), (0, 0)
    if how["fit"] == "crop":  # the centre: the largest part of the input's shape, times the crop
        scale = how["crop"] * min(image.height / high, image.width / wide)
        left, top = (image.width - wide * scale) / 2, (image.height - high * scale) / 2
        right, bottom = left + wide * scale, top + high * scale
    elif how["fit"] == "letterbox":  # all of it with its shape kept, grey at two sides
        scale = min(high / image.height, wide / image.width)
        size = max(1, round(image.height * scale)), max(1, round(image.width * scale))
        place = (high - size[0]) // 2, (wide - size[1]) // 2
    part = max(left, 0.0), max(top, 0.0), min(right, float(image.width)), min(bottom, float(image.height))
    pixels = np.asarray(image.resize((size[1], size[0]), Image.Resampling.BILINEAR, box=part))
    canvas = np.full((high, wide, how["channels"]), how["fill"], np.uint8)
    canvas[place[0] : place[0] + size[0], place[1] : place[1] + size[1]] = pixels.reshape(*size, -1)

    def to_image(box: Array) -> Array:
        x, y = (right - left) / size[1], (bottom - top) / size[0]
        shift = np.array([place[1], place[0], place[1], place[0]])
        return (box - shift) * [x, y, x, y] + [left, top, left, top]

    return canvas.transpose(2, 0, 1), to_image


def answer(about: dict[str, Any], outputs: dict[str, Array], to_image: Callable[[Array], Array]) -> str:
    """What the outputs of one image mean, in words."""
    if about["answer"] == "parts":  # of several tasks: each part is described as a model of its own would be
        told = []
        for name, part in about["facts"]["parts"].items():
            own = {key.removeprefix(f"{name}/"): value for key, value in outputs.items() if key.startswith(f"{name}/")}
            told.append(f"{name}: {answer({**part, 'decision': about['decision'].get(name, {})}, own, to_image)}")
        return "; ".join(told)
    names, thresholds = about["classes"], about["decision"].get("thresholds") or [0.5] * len(about["classes"])
    if about["answer"] == "classes":
        best = np.argsort(-outputs["probabilities"], kind="stable")[:3]
        return ", ".join(f"{names[k]} {outputs['probabilities'][k]:.3f}" for k in best)
    if about["answer"] == "attributes":
        order = np.argsort(-outputs["probabilities"], kind="stable")
        there = [k for k in order if outputs["present"][k]]
        return ", ".join(f"{names[k]} {outputs['probabilities'][k]:.3f}" for k in there) or "no attribute"
    if about["answer"] == "places":
        return "{:.4f} {:.4f}".format(*outputs["coordinate"])
    if about["answer"] in ("boxes", "raw_boxes"):
        found = zip(outputs["labels"], outputs["scores"], outputs["boxes"], strict=True)
        shown = [(names[k], s, to_image(box)) for k, s, box in found if k >= 0 and s >= thresholds[k]]
        return (
            "; ".join(f"{name} {score:.3f} at {np.round(box, 1).tolist()}" for name, score, box in shown) or "nothing"
        )
    return "; ".join(f"{name} {np.round(value, 4).tolist()}" for name, value in outputs.items())


def finished(folder: str, about: dict[str, Any], outputs: dict[str, Array]) -> dict[str, Array]:
    """Detections of a model that was exported with --raw, by the decode.py in its folder; other outputs as they are.

    Importing runs that file: do it with folders that you trust, or keep a copy of it beside your own code.
    """
    if about["answer"] != "raw_boxes":
        return outputs
    sys.path.insert(0, folder)
    from decode import decode

    found: dict[str, Array] = decode(outputs["logits"], outputs["deltas"], about["facts"])
    return found


def main(folder: str, *files: str) -> None:
    """Print what the model in a folder says of images."""
    about = json.loads((Path(folder) / "model.json").read_text(encoding="utf-8"))
    if about["format"] != "onnx":
        sys.exit(
            f"{folder}: a model for {about['format']}; this example runs ONNX only (mobilevision export --format onnx)"
        )
    session = onnxruntime.InferenceSession(Path(folder) / about["file"]["name"], providers=["CPUExecutionProvider"])
    names = [output["name"] for output in about["outputs"]]
    for file in files:
        try:
            pixels, to_image = read_input(file, about["preprocessing"])
        except OSError as error:
            sys.exit(f"{file}: cannot be read: {error.strerror or 'not an image that Pillow knows, or a damaged one'}")
        image = pixels[None].astype(about["input"]["type"])
        found = session.run(names, {about["input"]["name"]: image})
        whole = finished(folder, about, dict(zip(names, found, strict=True)))
        outputs = {name: value[0] for name, value in whole.items()}
        print(f"{file}: {answer(about, outputs, to_image)}")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
