"""The data formats: each reads one way of laying out data into splits."""

from mobilevision.data.data_format import DataFormat
from mobilevision.data.formats.auto import Auto
from mobilevision.data.formats.boxes_csv import BoxesCsv
from mobilevision.data.formats.celeba import CelebA
from mobilevision.data.formats.cifar10 import Cifar10
from mobilevision.data.formats.coco import Coco
from mobilevision.data.formats.coco_json import CocoJson
from mobilevision.data.formats.cub200 import Cub200
from mobilevision.data.formats.fgvc_aircraft import FgvcAircraft
from mobilevision.data.formats.flowers102 import Flowers102
from mobilevision.data.formats.folder import ImageFolder
from mobilevision.data.formats.gps import Gps
from mobilevision.data.formats.identities import Identities
from mobilevision.data.formats.im2gps import Im2Gps
from mobilevision.data.formats.imagenet import ImageNet
from mobilevision.data.formats.lfw import LFW
from mobilevision.data.formats.oxford_pets import OxfordPets
from mobilevision.data.formats.pairs import PairTable
from mobilevision.data.formats.stanford_cars import StanfordCars
from mobilevision.data.formats.stanford_dogs import StanfordDogs
from mobilevision.data.formats.table import Csv
from mobilevision.data.formats.tool_json import ToolJson
from mobilevision.data.formats.voc import Voc
from mobilevision.data.formats.voc_xml import VocXml
from mobilevision.data.formats.yolo_txt import YoloTxt
from mobilevision.data.multitask import Multitask
from mobilevision.data.synthetic.beetles import Beetles
from mobilevision.data.synthetic.faces import DrawnFaces
from mobilevision.data.synthetic.identities import DrawnIdentities
from mobilevision.data.synthetic.places import Places
from mobilevision.data.synthetic.scenes import Scenes
from mobilevision.data.synthetic.shapes import Shapes

__all__ = [
    "LFW",
    "Auto",
    "Beetles",
    "BoxesCsv",
    "CelebA",
    "Cifar10",
    "Coco",
    "CocoJson",
    "Csv",
    "Cub200",
    "DataFormat",
    "DrawnFaces",
    "DrawnIdentities",
    "FgvcAircraft",
    "Flowers102",
    "Gps",
    "Identities",
    "Im2Gps",
    "ImageFolder",
    "ImageNet",
    "Multitask",
    "OxfordPets",
    "PairTable",
    "Places",
    "Scenes",
    "Shapes",
    "StanfordCars",
    "StanfordDogs",
    "ToolJson",
    "Voc",
    "VocXml",
    "YoloTxt",
]
