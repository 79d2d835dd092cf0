"""Plugins that are sloppy or hostile: each mistake is a line with plugin, class and fix, before any training."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import mobilevision
from mobilevision.config import keys, source_code
from mobilevision.config.compose import compose
from mobilevision.errors import UserError
from mobilevision.io.error_lines import error_line
from mobilevision.plugins import discover, load
from mobilevision.tools.plugin_template import FILES

ROOT = Path(__file__).resolve().parents[2]
Write = Callable[[Path, dict[str, str]], Path]
NAME = "odd"
NAMES = {"name": NAME, "kind": NAME, "package": NAME, "distribution": NAME, "camel": "Odd"}
MODULES = ("data", "model", "metric", "answer", "task")
QUICK = ["trainer=debug", "logger=none", "backbone.width=0.25", "data.workers=0", "data.batch_size=8"]
QUICK += ["data.resolution=32", "data.format.train=16", "data.format.val=8", "data.format.test=8"]


def template() -> dict[str, str]:
    """The files of a plugin as `mobilevision plugins new` writes them, laid out as a folder of one package."""
    files = {}
    for module in ("__init__", *MODULES):
        text = (FILES / "package" / f"{module}.py.txt").read_text(encoding="utf-8")
        files[f"{NAME}/{module}.py"] = text.format(**NAMES)
    for group in ("task", "data", "head", "loss"):
        text = (FILES / "package" / "conf" / group / f"{group}.yaml.txt").read_text(encoding="utf-8")
        files[f"conf/{group}/{NAME}.yaml"] = text.format(**NAMES)
    return files


def forget() -> None:
    """Source files that were read: another plugin of the same names is written next."""
    source_code.load.cache_clear()
    keys.signature.cache_clear()


@pytest.fixture
def use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Write) -> Iterator[Callable[[dict[str, str]], Path]]:
    """Writes a plugin and lets it be found; its modules and answers are gone afterwards."""
    from mobilevision.deploy.answers import ANSWERS

    modules, path, answers = set(sys.modules), list(sys.path), dict(ANSWERS)

    def found(files: dict[str, str]) -> Path:
        folder = write(tmp_path / "mine", files)
        forget()
        importlib.invalidate_caches()
        monkeypatch.setenv("MOBILEVISION_PATH", str(folder))
        return folder

    yield found
    forget()
    sys.path[:] = path
    ANSWERS.clear()
    ANSWERS.update(answers)
    for name in set(sys.modules) - modules:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def said_of(action: Callable[[], object]) -> str:
    """The line that a user reads of what an action raises; of several errors in a configuration, a line each."""
    with pytest.raises(Exception) as raised:  # noqa: PT011 - whatever it is, it is shown as a line
        action()
    line = error_line(raised.value)
    assert "\n" not in line or " errors in the configuration:" in line
    assert "Traceback" not in line
    return line


# name: (module, what stands in it, what stands there instead, what is said)
SLOPPY: dict[str, tuple[str, str, str, str]] = {
    "the head is no head": ("model", "class OddHead(Head):", "class OddHead(nn.Module):", "odd.model.OddHead"),
    "the head takes no arguments": (
        "model",
        "def __init__(self, *, backbone: BackboneSpec, data: DataSpec, hidden: PositiveInt = 64) -> None:",
        "def __init__(self, hidden=64) -> None:",
        "OddHead",
    ),
    "the head says no needs": (
        "model",
        "needs = Needs(pooled=True)",
        "wants = 1",
        "give it needs = Needs(pooled=True)",
    ),
    "the needs are a tuple": ("model", "needs = Needs(pooled=True)", "needs = (8, 16)", "give it needs = Needs("),
    "a stride that no map has": ("model", "needs = Needs(pooled=True)", "needs = Needs(strides=(7,))", "stride 7"),
    "the head raises": (
        "model",
        "outputs: Tensor = self.layers",
        "raise ValueError('no'); self.layers",
        "forward: ValueError: no",
    ),
    "the head gives nothing": (
        "model",
        "        return outputs\n",
        "        return None\n",
        "raw outputs of",
    ),
    "the head's constructor raises": ("model", "self.layers = nn", "self.layers = 1 / 0 or nn", "ZeroDivisionError"),
    "layers that do not fit": ("model", "nn.Linear(hidden, len", "nn.Linear(hidden + 1, len", "forward: RuntimeError"),
    "the loss is no loss": ("model", "class OddLoss(Loss):", "class OddLoss(nn.Module):", "OddLoss"),
    "the loss gives a tensor": ("model", '{"distance": smooth', "(smooth", ""),
    "the loss gives numbers": ("model", "beta=0.1)}", "beta=0.1).item()}", "distance is a float"),
    "the loss gives a vector": ("model", "beta=0.1)}", "beta=0.1, reduction='none')}", "distance is a tensor [2, 3]"),
    "the loss is not a number": ("model", "beta=0.1)}", "beta=0.1) * float('nan')}", "distance is nan"),
    "the loss raises": ("model", 'batch["target"]', 'batch["targets"]', "OddLoss.forward: KeyError: 'targets'"),
    "the task is no task": ("task", "class Odd(Task):", "class Odd:", "Odd"),
    "the task decodes nothing": ("task", "def decode(", "def decoded(", "decode"),
    "the task has no metric to follow": ("task", 'primary: ClassVar[str] = "error"', "", "primary"),
    "predictions are a tensor": ("task", '{"values": outputs.float()}', "outputs", "gives Tensor"),
    "predictions are of one sample": ("task", "outputs.float()}", "outputs.float()[:1]}", "for a batch of 2"),
    "predictions are numbers": ("task", "outputs.float()}", "0.5}", "values is a float for a batch of 2"),
    "an answer that nobody has": ("task", 'answers: ClassVar[str] = "odd"', 'answers = "odder"', "answer=odder"),
    "the metric is none": (
        "task",
        "return OddMetrics(names=self.data_spec.classes)",
        "return None",
        "configure_metrics",
    ),
    "the metric raises": (
        "metric",
        'prediction["values"]',
        'prediction["value"]',
        "OddMetrics.update: KeyError: 'value'",
    ),
    "the metric gives a list": ("metric", 'return {"error": ', "return [1] or {1: ", "OddMetrics.compute: gives list"),
    "the primary metric is missing": ("metric", 'return {"error": ', 'return {"errors": ', "primary metric"),
    "the metric gives vectors": ("metric", ".clamp(min=1)).mean()}", ".clamp(min=1))}", "error is a tensor [3]"),
    "tables hold tensors": ("metric", '"error": round(mean, 4)', '"error": self.total', "OddMetrics.tables"),
    "the answer's name is another's": (
        "answer",
        'name: ClassVar[str] = "odd"',
        'name = "classes"',
        "classes is in",
    ),
    "a row is a text": ("answer", 'return {"found": ', 'return "a" or {"found": ', "OddAnswer.describe"),
    "a row holds arrays": ("answer", "**values}", "**values, 'all': prediction['values']}", "OddAnswer.describe"),
    "describing raises": ("answer", "numbers = np.asarray(", "numbers = np.no_such(", "OddAnswer.describe"),
    "a drawing is an array": ("answer", "return captioned(", "return image if 1 else captioned(", "OddAnswer.draw"),
    "drawing raises": ("answer", "return captioned(", "return uncaptioned(", "OddAnswer.draw"),
    "the truth is a number": ("answer", 'return str(self.describe({"values": target})["found"])', "return 1", "a text"),
    "the format is no format": ("data", "class Drawn(DataFormat):", "class Drawn:", "Drawn"),
    "reading gives a list": ("data", "return Splits(train, val", "return [] or list((train, val", ""),
    "records are a list": ("data", "return Splits(train,", "return Splits([1, 2],", "is no Records"),
    "records without targets": ("data", "self.targets =", "self.labels =", ""),
    "reading raises": ("data", "train, val, test = (", "1 / 0; train, val, test = (", "ZeroDivisionError"),
    "pixels are floats": ("data", "return resample(", "return 1.0 * resample(", "gives float64"),
    "pixels of another size": ("data", ", box, size)", ", None, None)", "DrawnRecords.pixels"),
    "pixels raise": ("data", "noise = np", "noise = 1 / 0 or np", "DrawnRecords.pixels: division by zero"),
}


@pytest.mark.parametrize("case", SLOPPY.values(), ids=SLOPPY.keys())
def test_what_is_wrong_with_a_part_is_said_in_a_line(
    use: Callable[[dict[str, str]], Path], tmp_path: Path, case: tuple[str, str, str, str]
) -> None:
    module, right, wrong, said = case
    files = template()
    assert right in files[f"{NAME}/{module}.py"]
    files[f"{NAME}/{module}.py"] = files[f"{NAME}/{module}.py"].replace(right, wrong, 1)
    use(files)
    line = said_of(lambda: mobilevision.train([f"task={NAME}", f"run_dir={tmp_path / 'run'}", *QUICK]))
    assert said in line, line
    assert "plugin mine" in line or f"{NAME}." in line or f"{NAME}/" in line, line
    assert not (tmp_path / "run" / "metrics.csv").exists()


BROKEN: dict[str, tuple[dict[str, str], str]] = {
    "a syntax error": ({"odd/model.py": "def x(:\n"}, "model.py:1: invalid syntax"),
    "a class that is not there": ({"odd/model.py": "x = 1\n"}, "odd.model.OddHead does not exist"),
    "a module that is not there": (
        {"conf/head/odd.yaml": "_target_: nowhere.Head\nkinds: [odd]\n"},
        "nowhere.Head does not exist",
    ),
    "yaml that is none": ({"conf/head/odd.yaml": "x: [1\n"}, "conf/head/odd.yaml"),
    "yaml without a class": ({"conf/head/odd.yaml": "kinds: [odd]\n"}, "head"),
    "a key that the class has not": (
        {"conf/head/odd.yaml": "_target_: odd.model.OddHead\nkinds: [odd]\nhiden: 3\n"},
        "hiden",
    ),
    "a default outside its range": (
        {"conf/head/odd.yaml": "_target_: odd.model.OddHead\nkinds: [odd]\nhidden: 0\n"},
        "hidden",
    ),
    "an option of ours": ({"conf/head/linear.yaml": "kinds: [odd]\n"}, "brought by mobilevision and by mine"),
    "raising at import": ({"odd/__init__.py": "1 / 0\n"}, "odd does not import: ZeroDivisionError"),
    "leaving at import": ({"odd/__init__.py": "import sys\nsys.exit(3)\n"}, "odd does not import: SystemExit"),
    "a package that is not installed": (
        {"odd/__init__.py": "import there_is_no_such_package\n"},
        "there_is_no_such_package",
    ),
}


@pytest.mark.parametrize("case", BROKEN.values(), ids=BROKEN.keys())
def test_what_cannot_be_loaded_is_said_in_a_line(
    use: Callable[[dict[str, str]], Path], tmp_path: Path, case: tuple[dict[str, str], str]
) -> None:
    files, said = case
    use({**template(), **files})
    line = said_of(lambda: mobilevision.train([f"task={NAME}", f"run_dir={tmp_path / 'run'}", *QUICK]))
    assert said in line, line


def test_the_template_itself_trains(use: Callable[[dict[str, str]], Path], tmp_path: Path) -> None:
    use(template())
    metrics = mobilevision.train([f"task={NAME}", f"run_dir={tmp_path / 'run'}", *QUICK])
    assert 0 <= metrics["test/error"] < 2


def test_samples_that_cannot_be_read_are_left_out_where_that_is_wanted(
    use: Callable[[dict[str, str]], Path], tmp_path: Path
) -> None:
    files = template()
    broken = "if index < 2: raise UnreadableImageError(f'{self.name(index)}: broken')"
    files["odd/data.py"] = (
        files["odd/data.py"]
        .replace("        noise = np", f"        {broken}\n        noise = np")
        .replace("import CropBox", "import UnreadableImageError, CropBox")
    )
    use(files)
    words = [f"task={NAME}", f"run_dir={tmp_path / 'run'}", *QUICK]
    line = said_of(lambda: mobilevision.train(words))
    assert "odd/train/0: broken" in line
    assert mobilevision.train([*words, "data.on_error=skip"])["test/error"] >= 0


def test_a_broken_plugin_leaves_everything_else_alone(use: Callable[[dict[str, str]], Path]) -> None:
    use({**template(), "odd/__init__.py": "import sys\nsys.exit(3)\n"})
    (plugin,) = load()
    assert "SystemExit" in str(plugin.error)
    assert compose(["task=classification"]).task.name == "classification"


def test_another_version_of_the_interface_is_told(tmp_path: Path) -> None:
    """Of a package with an entry point, without importing it."""
    site = tmp_path / "site"
    (site / "future" / "conf").mkdir(parents=True)
    (site / "future" / "__init__.py").write_text("MOBILEVISION_API = 99\n1 / 0\n", encoding="utf-8")
    told = site / "future-1.0.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: future\nVersion: 1.0\n", encoding="utf-8")
    (told / "entry_points.txt").write_text("[mobilevision.plugins]\nfuture = future\n", encoding="utf-8")
    code = "from mobilevision.plugins import discover; print([p.error for p in discover() if p.name == 'future'])"
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
    assert "written for version 99 of mobilevision.api, and this is version 1" in done.stdout


def test_finding_plugins_imports_none(use: Callable[[dict[str, str]], Path]) -> None:
    use({**template(), "odd/__init__.py": "raise RuntimeError('imported')\n"})
    assert [plugin.error for plugin in discover()] == [None]
    with pytest.raises(UserError, match="did you mean odd"):
        compose(["task=od"])
