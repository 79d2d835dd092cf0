"""Recognises the format of a data set and reads it."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, final

from mobilevision.data.data_format import DataFormat
from mobilevision.data.formats.annotations.json_kind import PREDICTIONS
from mobilevision.data.formats.boxes_csv import BoxesCsv
from mobilevision.data.formats.celeba import CelebA
from mobilevision.data.formats.cifar10 import Cifar10
from mobilevision.data.formats.coco_json import CocoJson
from mobilevision.data.formats.cub200 import Cub200
from mobilevision.data.formats.fgvc_aircraft import FgvcAircraft
from mobilevision.data.formats.flowers102 import Flowers102
from mobilevision.data.formats.folder import ImageFolder
from mobilevision.data.formats.gps import Gps
from mobilevision.data.formats.im2gps import Im2Gps
from mobilevision.data.formats.imagenet import ImageNet
from mobilevision.data.formats.lfw import LFW
from mobilevision.data.formats.oxford_pets import OxfordPets
from mobilevision.data.formats.scan import has_images
from mobilevision.data.formats.stanford_cars import StanfordCars
from mobilevision.data.formats.stanford_dogs import StanfordDogs
from mobilevision.data.formats.table import Csv, holds_unknown_boxes, table_kind, unread_tables
from mobilevision.data.formats.tool_json import ToolJson, class_json, unsupported_json
from mobilevision.data.formats.voc_xml import VocXml, foreign_xml
from mobilevision.data.formats.yolo_txt import YoloTxt
from mobilevision.data.records import Splits
from mobilevision.errors import UserError

BOXES = (
    "COCO json, Pascal VOC xml, YOLO txt (with data.yaml or classes.txt), the json of an annotation tool or a CSV"
    " filename,class,xmin,ymin,xmax,ymax, with the images"
)

_KINDS = {  # what lies in a place, and the task that learns from it
    "class": ("classes", "classification"),
    "attributes": ("attributes", "face_attributes"),
    "boxes": ("boxes", "detection"),
    "coordinate": ("places", "geolocalization"),
}

PLACES = "a CSV path,latitude,longitude with the images, or a folder of photos with GPS in their EXIF"


@final
class Auto(DataFormat):
    """Takes the first format that claims the place, and says in the notes which one."""

    kinds: ClassVar[tuple[str, ...]] = ("class", "attributes", "boxes", "identity", "coordinate")
    expected: ClassVar[str] = (
        "a folder of images (a folder a class, with or without train/val/test) or a CSV path,label (or identity),"
        " path,latitude,longitude, or of attributes; for places also photos with GPS in their EXIF;"
        f" for boxes, {BOXES}"
    )

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`."""
        root = self.place(root)
        try:
            splits = self._read(root, kind, channels, seed)
        except UserError as error:
            if "task=" in str(error) or (kind == "boxes" and holds_unknown_boxes(root)):
                raise  # says which columns there are
            if not (other := _other_kind(root, kind)):
                raise
            named = kind == "attributes" and table_kind(root)[0] == "class"  # of its columns some may be meant
            raise UserError(f"{error}; or {other}" if named else f"data.root={root}: {other}") from error
        nothing = kind in ImageFolder.kinds and len(splits.classes) < 2
        swapped = kind == "attributes" and table_kind(root)[0] == "coordinate"  # its degrees would be the attributes
        if (nothing or swapped) and (other := _other_kind(root, kind)):
            raise UserError(f"data.root={root}: {other}")
        return splits

    def _read(self, root: Path, kind: str, channels: int, seed: int) -> Splits:
        document = class_json(root) if kind == "class" else None
        if document is not None:
            splits = ToolJson().read(root=root, kind=kind, channels=channels, seed=seed)
            splits.notes.insert(0, f"data=auto took the format tool_json, since {document.name} says what images show")
            return splits
        table = Csv().describes(root) if kind in ImageFolder.kinds and root.is_dir() else None
        for option, candidate in candidates().items():
            if option == "folder" and table is not None:
                continue  # its folders hold the images that the table labels
            if option == "tool_json" and kind != "boxes":
                continue  # its classes were looked for
            if kind in candidate.kinds and candidate.claims(root):
                splits = candidate.read(root=root, kind=kind, channels=channels, seed=seed)
                why = "" if table is None or option != "csv" else f", since {table.name} says what the images show"
                splits.notes.insert(0, f"data=auto took the format {option}{why}")
                if option == "folder" and (unread := unread_tables(root)):
                    splits.notes.insert(1, unread)
                return splits
        if kind == "coordinate":
            raise UserError(f"data.root={root}: data=auto found no places in it; it should be {PLACES}")
        if kind == "attributes":
            raise UserError(
                f"data.root={root}: data=auto found no attributes in it; it should be a CSV with path and a column of"
                " 0 and 1 for each attribute"
            )
        if kind == "boxes":
            if foreign := foreign_xml(root) or unsupported_json(root):
                raise UserError(f"data.root={root}: {foreign}")
            raise UserError(f"data.root={root}: data=auto found no boxes in it; it should be {BOXES}")
        if kind == "class" and (guessed := unsupported_json(root, PREDICTIONS)):
            raise UserError(f"data.root={root}: {guessed}")
        why = "images lie in it, but neither class folders nor a CSV say what they show" if _loose(root) else "nothing"
        raise UserError(f"data.root={root}: data=auto found {why}; it should be {self.expected}")


def candidates() -> dict[str, DataFormat]:
    """The formats to try, narrow ones first, by the name of their option.

    Those whose layout another one reads as well (``coco``, ``voc``, ``identities``), and those of plugins, are named:
    ``data=NAME``.
    """
    return {
        "cifar10": Cifar10(download=False),
        "oxford_pets": OxfordPets(download=False),
        "stanford_dogs": StanfordDogs(),
        "cub200": Cub200(),
        "stanford_cars": StanfordCars(),
        "fgvc_aircraft": FgvcAircraft(download=False),
        "flowers102": Flowers102(download=False),
        "imagenet": ImageNet(),
        "celeba": CelebA(),
        "lfw": LFW(),
        "im2gps": Im2Gps(),
        "folder": ImageFolder(),
        "coco_json": CocoJson(),
        "voc_xml": VocXml(),
        "yolo_txt": YoloTxt(),
        "tool_json": ToolJson(),
        "boxes_csv": BoxesCsv(),
        "csv": Csv(),
        "gps": Gps(),
    }


def _other_kind(root: Path, kind: str) -> str:
    """What lies there and the task that learns from it, where that is of another kind; empty where it is not."""
    held, where = table_kind(root)
    if document := class_json(root):
        held, where = "class", f"the json {document.name}"
    elif boxes := _box_format(root):
        held, where = "boxes", f"the format {boxes}"
    elif not held and not foreign_xml(root) and not unsupported_json(root) and ImageFolder().claims(root):
        held, where = "class", "a folder each"
    if held in ("", kind) or (held == "class" and kind == "identity"):
        return ""
    what, task = _KINDS[held]
    return f"these are {what} ({where}): task={task}"


def _box_format(root: Path) -> str:
    """The option of the format that finds boxes there; empty where none does."""
    formats = {name: each for name, each in candidates().items() if each.kinds[0] == "boxes"}
    return next((name for name, each in formats.items() if each.claims(root)), "")


def _loose(root: Path) -> bool:
    return root.is_dir() and has_images(root)
