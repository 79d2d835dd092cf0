"""Finding image files, quickly and in an order that no file system changes; what is left out is counted."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import final

from mobilevision.errors import UserError
from mobilevision.io.printable_text import visible
from mobilevision.io.regular_files import open_regular

HEIF_SUFFIXES = (".heic", ".heif", ".hif", ".heics", ".heifs")
_READERS = ("pi_heif", "pillow_heif")


@cache
def reads_heif() -> bool:
    """Whether HEIC can be read here; imports nothing."""
    return any(find_spec(name) is not None for name in _READERS)


@cache
def register_heif() -> None:
    """Let Pillow open HEIC, upright as its own rotation says, with EXIF; without a reader nothing happens."""
    for name in _READERS:
        if find_spec(name) is not None:
            import_module(name).register_heif_opener()
            return


IMAGE_SUFFIXES = tuple(
    f".{kind}".encode()
    for kind in (
        *("jpg", "jpeg", "jpe", "jfif", "jfi", "jif", "mpo", "png", "apng", "webp", "bmp", "dib", "gif", "tif", "tiff"),
        *("ppm", "pgm", "pbm", "pnm", "pfm", "avif", "jp2", "j2k", "j2c", "jpc", "jpf", "jpx", "tga", "qoi", "ico"),
        *("dds", "pcx", "psd", "sgi", "ras"),
    )
)
"""Suffixes of what Pillow reads; a file with another suffix, or with none, is asked for its first bytes."""
_TEXT_SUFFIXES = tuple(suffix.decode() for suffix in IMAGE_SUFFIXES)

_RAW_WORDS = (
    ".3fr .arw .cr2 .cr3 .crw .dcr .dng .erf .iiq .kdc .mef .mos .mrw .nef .nrw .orf .pef .raf .raw .rw2 .rwl .sr2 .srf"
    " .srw .x3f"
)
_FIXES: dict[str, str] = {
    **dict.fromkeys(HEIF_SUFFIXES, 'HEIC: pip install "mobilevision[heic]" reads them'),
    **dict.fromkeys((".jxl",), "JPEG XL: Pillow does not read it, convert them to PNG or JPEG"),
    **dict.fromkeys(_RAW_WORDS.split(), "camera RAW: develop them to JPEG or TIFF"),
    **dict.fromkeys((".dcm", ".dicom"), "DICOM: convert them to PNG or TIFF"),
    **dict.fromkeys((".svg", ".eps", ".pdf"), "drawings, not pixels: convert them to PNG"),
}
"""Images that Pillow does not read, by suffix, with what to do about them."""

_OTHER_WORDS = (
    ".txt .csv .tsv .json .jsonl .xml .yaml .yml .md .rst .html .htm .css .js .py .ipynb .sh .log .cfg .ini .toml"
    " .names .data .xls .xlsx .ods .doc .docx .parquet .arrow .feather .h5 .hdf5 .npy .npz .mat .pkl .pickle .pt"
    " .pth .ckpt .onnx .safetensors .tfrecord .lmdb .mdb .db .sqlite .zip .tar .gz .tgz .bz2 .xz .7z .rar .mp4"
    " .mov .avi .mkv .webm .mpg .mpeg .wav .mp3 .xcf .aae .xmp .thm .lnk .url .sha256 .md5 .bak .tmp .part .swp"
    " .nii .ply .pcd .obj .stl"
)
_OTHERS = frozenset(_OTHER_WORDS.split())
"""Suffixes that say what a file is: nobody looks into it."""

_SYSTEM_FOLDERS = frozenset(
    (b"__macosx", b"@eadir", b"@recycle", b"#recycle", b"#snapshot", b"$recycle.bin", b"system volume information",
     b"lost+found", b"__pycache__")
)  # fmt: skip
_SYSTEM_FILES = frozenset((b"thumbs.db", b"ehthumbs.db", b"desktop.ini", b"icon\r"))
_SHOWN = 4


def has_image_suffix(name: bytes | str) -> bool:
    """Whether a file is named like an image."""
    return name.lower().endswith(IMAGE_SUFFIXES) if isinstance(name, bytes) else name.lower().endswith(_TEXT_SUFFIXES)


def printable(path: bytes | str | Path) -> str:
    """A path as text that can be printed and written as UTF-8, whatever bytes and control characters its name has."""
    return visible(os.fsencode(path).decode("utf-8", "backslashreplace"))


@final
class LeftOut:
    """Counts what a look through folders leaves out: files of other types, and what no person put there as data."""

    def __init__(self) -> None:
        self._types: Counter[str] = Counter()
        self._example: dict[str, str] = {}
        self._system: Counter[str] = Counter()
        self._links: list[str] = []

    def file(self, name: bytes, kind: str | None = None) -> None:
        """A file that is no image; ``kind`` says which type its bytes are, None: its suffix does."""
        suffix = kind or os.path.splitext(os.fsdecode(name))[1].lower() or "no suffix"
        self._types[suffix] += 1
        self._example.setdefault(suffix, printable(name))

    def system(self, name: bytes) -> None:
        """A hidden file or folder, or one that an operating system or a device makes."""
        self._system[printable(name)] += 1

    def link(self, path: bytes) -> None:
        """A link to a folder that it lies in."""
        self._links.append(printable(path))

    def fixes(self) -> list[str]:
        """A line for each type of image that cannot be read: how many there are, and what to do."""
        counted: Counter[str] = Counter()
        for suffix, count in self._types.items():
            if suffix in _FIXES:
                counted[_FIXES[suffix]] += count
        named = {_FIXES[suffix]: name for suffix, name in reversed(self._example.items()) if suffix in _FIXES}
        return [f"{count:,} images cannot be read ({named[fix]} ...), {fix}" for fix, count in counted.items()]

    def lines(self) -> list[str]:
        """All that was left out, for the console."""
        lines = [f"left out: {line}" for line in self.fixes()]
        others = [(suffix, count) for suffix, count in self._types.most_common() if suffix not in _FIXES]
        if others:
            named = ", ".join(f"{count:,} {suffix} ({self._example[suffix]})" for suffix, count in others[:_SHOWN])
            more = f" and {len(others) - _SHOWN} more types" if len(others) > _SHOWN else ""
            lines.append(f"left out, no images: {named}{more}")
        if self._system:
            named = ", ".join(f"{name} {count:,}" for name, count in self._system.most_common(_SHOWN))
            more = f" and {len(self._system) - _SHOWN} more" if len(self._system) > _SHOWN else ""
            lines.append(f"left out, hidden or made by the system: {named}{more}")
        if self._links:
            more = f" and {len(self._links) - _SHOWN} more" if len(self._links) > _SHOWN else ""
            lines.append(f"not followed, a link to a folder that it lies in: {', '.join(self._links[:_SHOWN])}{more}")
        return lines


def entries(folder: bytes, left: LeftOut | None = None) -> list[os.DirEntry[bytes]]:
    """What lies in a folder, sorted by the bytes of its name.

    Hidden things, those of the system, and links to a folder above are left out.


    Raises:
        UserError: the folder cannot be looked into.
    """
    try:
        with os.scandir(folder) as found:
            everything = sorted(found, key=_name)
    except (FileNotFoundError, NotADirectoryError):
        raise  # the place itself: whoever asks knows what to say
    except OSError as error:
        raise UserError(f"{printable(folder)}: cannot be looked into ({error.strerror})") from None
    kept = [entry for entry in everything if not _of_system(entry) and not _leads_up(entry, folder)]
    if left is not None and len(kept) < len(everything):
        for entry in everything:
            if _leads_up(entry, folder):
                left.link(entry.path)
            if _of_system(entry) and (is_folder(entry) or has_image_suffix(entry.name)):
                left.system(entry.name + (b"/" if is_folder(entry) else b""))
    return kept


def is_image(entry: os.DirEntry[bytes], left: LeftOut | None = None) -> bool:
    """Whether a file is an image: by its suffix, where that says nothing by its first bytes."""
    if has_image_suffix(entry.name):
        return not is_folder(entry)  # a link to nothing, or a pipe: an image that cannot be read, and is listed
    kind = _kind(entry)
    if kind is not None and left is not None and _is_file(entry):
        left.file(entry.name, kind or None)
    return kind is None


def images(folder: bytes, prefix: bytes, left: LeftOut | None = None) -> Iterator[bytes]:
    """Paths, relative to what ``prefix`` is, of the image files in a folder and in those below it.

    Args:
        folder: where to look.
        prefix: what the paths begin with.
        left: counts what is left out.

    Raises:
        UserError: a folder that cannot be looked into.
    """
    yield from _below(folder, prefix, left, ())


def _below(folder: bytes, prefix: bytes, left: LeftOut | None, above: tuple[tuple[int, int], ...]) -> Iterator[bytes]:
    here: tuple[int, int] | None = None
    for entry in entries(folder, left):
        path = os.path.join(prefix, entry.name)
        if is_folder(entry):
            if here is None:
                info = os.stat(folder)
                here = (info.st_dev, info.st_ino)
            if entry.is_symlink() and _identity(entry.path) in (*above, here):
                if left is not None:
                    left.link(path)
                continue
            yield from _below(entry.path, path, left, (*above, here))
        elif is_image(entry, left):
            yield path


def _kind(entry: os.DirEntry[bytes]) -> str | None:
    """None for a file whose bytes are an image that Pillow reads, else its type as a suffix, or "" for its own."""
    suffix = os.path.splitext(os.fsdecode(entry.name))[1].lower()
    if suffix in HEIF_SUFFIXES and reads_heif():
        return None
    if suffix in _OTHERS or suffix in _FIXES or not _is_file(entry):
        return ""
    try:
        with open_regular(entry.path) as file:
            head = file.read(32)
    except OSError:
        return ""
    found = image_type(head)
    if found == ".heic":
        return None if reads_heif() else ".heic"
    return found if found == ".jxl" else ("" if found is None else None)


def image_type(head: bytes) -> str | None:
    """The usual suffix of the type of image that a file begins with (32 bytes are enough); None for no image."""
    for magic, suffix in _MAGIC:
        if head.startswith(magic):
            return suffix
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return ".webp"
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        return ".avif" if brand in (b"avif", b"avis") else ".heic" if brand in _HEIF_BRANDS else None
    if head[:2] == b"BM" and head[6:10] == bytes(4) and head[14:18] in _BMP_HEADERS:
        return ".bmp"
    if (
        len(head) > 3
        and head[:1] == b"P"
        and head[1:2] in b"123456"
        and head[2:3] in b" \t\r\n"
        and head[3:4] in b"0123456789#"
    ):
        return ".ppm"
    return None


_MAGIC = (
    (b"\xff\xd8\xff", ".jpg"),
    (b"\x89PNG\r\n\x1a\n", ".png"),
    (b"GIF87a", ".gif"),
    (b"GIF89a", ".gif"),
    (b"II*\0", ".tif"),
    (b"MM\0*", ".tif"),
    (b"II+\0", ".tif"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", ".jp2"),
    (b"\xff\x4f\xff\x51", ".j2k"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", ".jxl"),
    (b"\xff\x0a", ".jxl"),
    (b"8BPS\0\x01", ".psd"),
    (b"qoif", ".qoi"),
)
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_BMP_HEADERS = tuple(size.to_bytes(4, "little") for size in (12, 40, 52, 56, 64, 108, 124))


def _name(entry: os.DirEntry[bytes]) -> bytes:
    return entry.name


def _of_system(entry: os.DirEntry[bytes]) -> bool:
    name = entry.name.lower()
    return name.startswith(b".") or name in _SYSTEM_FOLDERS or name in _SYSTEM_FILES


def _leads_up(entry: os.DirEntry[bytes], folder: bytes) -> bool:
    """Whether it is a link to a folder that it lies in, which would be looked through for ever."""
    if not entry.is_symlink() or not is_folder(entry):
        return False
    target, here = os.path.realpath(entry.path), os.path.realpath(folder)
    return here == target or here.startswith(target.rstrip(b"/") + b"/")


def is_folder(entry: os.DirEntry[bytes]) -> bool:
    """Whether it is a folder, or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a link that goes round in a circle
        return False


def _is_file(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def _identity(path: bytes) -> tuple[int, int] | None:
    info = os.stat(path)
    return (info.st_dev, info.st_ino) if stat.S_ISDIR(info.st_mode) else None
