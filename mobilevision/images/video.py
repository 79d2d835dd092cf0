"""Movies and cameras, read frame by frame, and movies written; through PyAV, which is an extra."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, final

import numpy as np
from PIL import Image

from mobilevision.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray

ENDINGS = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".avi", ".webm", ".mpg", ".mpeg", ".wmv", ".mts", ".3gp"})
_CAMERA = re.compile(r"camera:(\d+)")
_DEVICES = {"linux": ("/dev/video{}", "v4l2"), "darwin": ("{}", "avfoundation")}
_TICKS = 1000  # a second of a written movie: frames keep the times that they had


class Shot(NamedTuple):
    """One frame of a movie.

    Attributes:
        number: from 0.
        seconds: since the first frame.
        pixels: uint8 [height, width, 3], upright.
    """

    number: int
    seconds: float
    pixels: NDArray[np.uint8]


def is_camera(given: str | Path) -> bool:
    """Whether an input is written as ``camera:0``."""
    return bool(_CAMERA.fullmatch(str(given)))


def is_movie(given: str | Path) -> bool:
    """Whether an input is a camera, or a file that is a movie by its ending."""
    return is_camera(given) or (Path(given).suffix.lower() in ENDINGS and not Path(given).is_dir())


@final
class Movie:
    """The frames of a movie file or of a camera, to be gone through once.

    Args:
        given: the file, or ``camera:0``.
        seconds: how much of it; None for all.

    Attributes:
        count: frames that there should be; None where nobody knows.
        rate: frames a second, about.
        trouble: why it ended early; None where it did not.

    Raises:
        UserError: PyAV is missing, or no such movie or camera.
    """

    def __init__(self, given: str | Path, *, seconds: float | None = None) -> None:
        self.given, self.seconds = given, seconds
        self.trouble: str | None = None
        self._container = _open(given)
        if not self._container.streams.video:
            self.close()
            raise UserError(f"{given}: holds no video")
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self.rate = float(self._stream.average_rate or self._stream.guessed_rate or 25)
        self.count: int | None = self._stream.frames or None
        if seconds is not None and self.count is not None:
            self.count = min(self.count, int(seconds * self.rate) + 1)

    def __iter__(self) -> Iterator[Shot]:
        """The frames; a file that breaks off ends there, and ``trouble`` says so."""
        import av

        first: float | None = None
        try:
            for number, frame in enumerate(self._container.decode(self._stream)):
                time = number / self.rate if frame.time is None else frame.time
                first = time if first is None else first
                if self.seconds is not None and time - first >= self.seconds:
                    return
                pixels = frame.to_ndarray(format="rgb24")
                yield Shot(number, max(0.0, time - first), np.rot90(pixels, getattr(frame, "rotation", 0) // 90))
        except av.FFmpegError as error:
            self.trouble = error.strerror

    def close(self) -> None:
        """Let go of the file or the camera."""
        self._container.close()


@final
class MovieWriter:
    """A movie file (H.264, or MPEG-4 where PyAV lacks that), begun by its first image.

    Args:
        path: the file; its folder is made.
        rate: frames a second, about.
    """

    def __init__(self, path: Path, *, rate: float) -> None:
        self.path, self.rate = path, rate
        self._container: Any = None
        self._last = -1

    def add(self, image: Image.Image, seconds: float) -> None:
        """One more image, shown from ``seconds`` on; in the size of the first, cut or with black at two sides."""
        import av

        if self._container is None:
            self._begin(image)
        sheet = Image.new("RGB", (self._stream.width, self._stream.height))
        sheet.paste(image, (0, 0))
        frame = av.VideoFrame.from_ndarray(np.asarray(sheet), format="rgb24")
        self._last = max(self._last + 1, round(seconds * _TICKS))
        frame.pts, frame.time_base = self._last, Fraction(1, _TICKS)
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Write what is still under way."""
        if self._container is not None:
            self._container.mux(self._stream.encode(None))
            self._container.close()
            self._container = None

    def _begin(self, image: Image.Image) -> None:
        import av

        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._container = av.open(str(self.path), "w")
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        self._stream: Any = self._container.add_stream(codec, rate=Fraction(self.rate).limit_denominator(1001))
        self._stream.width, self._stream.height = (side + side % 2 for side in image.size)  # even, as the codec asks
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, _TICKS)
        self._stream.codec_context.options = {"crf": "20", "preset": "veryfast"} if codec == "libx264" else {"q": "4"}


def _open(given: str | Path) -> Any:
    try:
        import av
    except ImportError as error:
        raise UserError(f"{given}: movies need PyAV: pip install 'mobilevision[video]'") from error
    try:
        if camera := _CAMERA.fullmatch(str(given)):
            return _camera(int(camera[1]))
        return av.open(str(given))
    except av.FFmpegError as error:
        raise UserError(f"{given}: cannot be opened: {error.strerror}") from error


def _camera(number: int) -> Any:
    import av

    if sys.platform not in _DEVICES:
        raise UserError(f"camera:{number}: cameras work on Linux and macOS; record a movie and predict for that")
    device, format = _DEVICES[sys.platform]
    return av.open(device.format(number), format=format)
