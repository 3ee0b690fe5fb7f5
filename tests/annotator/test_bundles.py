"""Training bundles: unzipped, trained by a Python that knows no server, and taken back in."""

from __future__ import annotations

import importlib.metadata
import io
import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from django.conf import settings
from django.core.management.base import CommandError
from django.test import TransactionTestCase, tag
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from annotator.models import Dataset, ModelVersion, RunStatus, Stage, TrainingRun
from tests.annotator.factories import make_dataset
from tests.annotator.test_model_commands import run
from tests.annotator.trained import add_drawn, make_trainable
from training import elsewhere, sealed

_BUNDLE = Path(settings.BASE_DIR) / "training" / "bundle"
_SPLITS = {"train", "validation"}


class BundleCase(TransactionTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(TemporaryDirectory()))
        self.dataset = make_trainable()
        add_drawn(self.dataset, 200, "validation")

    def unzipped(self, family: str = "segmenter", **options: Any) -> Path:
        out = self.folder / "lab bundle.zip"
        run("training_bundle", self.dataset.name, family, out, **options)
        bundle = self.folder / "unzipped"
        with zipfile.ZipFile(out) as archive:
            archive.extractall(bundle)
        return bundle

    def trained(self, bundle: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """``train.py`` in a process that sees installed packages and the bundle, not this tree."""
        return subprocess.run(
            command(*arguments), cwd=bundle, env=ALONE, capture_output=True, text=True, check=False
        )


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-I", "train.py", "--device", "cpu", *arguments]


ALONE = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"}


@tag("training")
class RoundTripTest(BundleCase):
    def test_a_model_whose_training_was_killed_once_comes_back_as_a_candidate_with_its_curve(
        self,
    ) -> None:
        run("model_train", self.dataset.name, "segmenter", base="scratch", wait=True)
        run("model_promote", self.dataset.name, "segmenter-1")
        bundle = self.unzipped(base="segmenter-1", epochs=2)
        asked = ("--epochs", "3", "--run", str(self.folder / "drive"))
        self._killed_after_an_epoch(bundle, *asked)
        done = self.trained(bundle, *asked)
        self.assertEqual(done.returncode, 0, done.stderr)
        epochs = [line.split(":")[0] for line in done.stdout.splitlines() if "epoch " in line[:6]]
        self.assertEqual(epochs[-1:], ["epoch 3/3"])
        self.assertNotIn("epoch 1/3", epochs)
        file = bundle / f"{self.dataset.name}-segmenter.cytoloop-model.zip"
        made = run("model_import", self.dataset.name, "segmenter", file)
        self.assertEqual((made["version"], made["stage"]), ("segmenter-2", Stage.CANDIDATE))
        version = ModelVersion.objects.get(number=2)
        ours = TrainingRun.objects.get(candidate=version)
        self.assertEqual(version.parent, ModelVersion.objects.get(number=1))
        self.assertEqual((ours.status, ours.reason), (RunStatus.DONE, "trained elsewhere"))
        self.assertEqual([point.epoch for point in ours.epoch_rows.all()], [1, 2, 3])
        self.assertEqual(ours.snapshot, TrainingRun.objects.get(candidate__number=1).snapshot)
        measured = run("model_evaluate", self.dataset.name, "segmenter-2")
        self.assertEqual((measured["split"], measured["images"]), ("test", 1))
        with self.assertRaisesMessage(CommandError, "here already, as segmenter-2"):
            run("model_import", self.dataset.name, "segmenter", file)
        with self.assertRaisesMessage(CommandError, "is a segmenter, not a detector"):
            run("model_import", self.dataset.name, "detector", file)
        other = make_dataset()
        with self.assertRaisesMessage(CommandError, "the data set that its bundle came from"):
            run("model_import", other.name, "segmenter", file)

    def _killed_after_an_epoch(self, bundle: Path, *asked: str) -> None:
        process = subprocess.Popen(
            command(*asked), cwd=bundle, env=ALONE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        with process.stdout as lines:
            self.assertTrue(any(line.startswith("epoch 1/3") for line in lines))
            process.send_signal(signal.SIGKILL)
        process.wait()
        self.assertEqual([*bundle.glob("*.cytoloop-model.zip")], [])

    def test_a_detector_is_trained_from_a_bundle_too(self) -> None:
        bundle = self.unzipped("detector", base="scratch")
        done = self.trained(bundle, "--out", str(self.folder / "found.zip"))
        self.assertEqual(done.returncode, 0, done.stderr)
        made = run("model_import", self.dataset.name, "detector", self.folder / "found.zip")
        self.assertEqual((made["version"], made["family"]), ("detector-1", "detector"))


class ContentTest(BundleCase):
    def test_a_damaged_bundle_is_refused_by_the_name_of_its_file(self) -> None:
        bundle = self.unzipped(base="scratch")
        (bundle / "snapshot" / "manifest.json").write_text("{}")
        said = io.StringIO()
        with redirect_stdout(io.StringIO()), redirect_stderr(said):
            self.assertEqual(elsewhere.main(bundle, []), 1)
        self.assertRegex(
            said.getvalue(), r"^snapshot/manifest.json is not what was packed .*again\.$"
        )

    def test_it_holds_what_a_training_reads_and_no_test_image(self) -> None:
        bundle = self.unzipped(base="scratch", epochs=7)
        manifest = sealed.check_folder(bundle)
        self.assertEqual((manifest["family"], manifest["base"]), ("segmenter", None))
        self.assertEqual((manifest["config"]["epochs"], manifest["config"]["minutes"]), (7, 0))
        shown = json.loads((bundle / "snapshot" / "manifest.json").read_text())
        self.assertEqual(shown["hash"], manifest["snapshot"])
        self.assertEqual({image["split"] for image in shown["images"]}, _SPLITS)
        self.assertEqual(len([*(bundle / "snapshot" / "images").iterdir()]), 4)
        self.assertFalse((bundle / "base").exists())
        there = {
            path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()
        }
        self.assertEqual(there, {*manifest["files"], sealed.MANIFEST})
        readme = (bundle / "README.md").read_text()
        self.assertIn(f"model_import {self.dataset.name} segmenter", readme)
        self.assertNotIn("$", readme.replace("$(", ""))

    def test_what_cannot_be_trained_is_refused_as_a_training_is(self) -> None:
        empty: Dataset = make_dataset("empty")
        out = self.folder / "b.zip"
        for name, words, options in (
            (empty.name, "no training image", {"base": "scratch"}),
            (self.dataset.name, "no version segmenter-9", {"base": "segmenter-9"}),
            (self.dataset.name, "must not be negative", {"epochs": -1}),
            (self.dataset.name, "not from file:/etc/passwd", {"base": "file:/etc/passwd"}),
        ):
            with self.subTest(words), self.assertRaisesMessage(CommandError, words):
                run("training_bundle", name, "segmenter", out, **options)
        with self.assertRaisesMessage(CommandError, "file of this server"):
            run("training_bundle", self.dataset.name, "detector", out, base="file:/etc/passwd")
        with self.assertRaisesMessage(CommandError, "cannot be written"):
            run("training_bundle", self.dataset.name, "segmenter", Path("/proc/no/b.zip"))
        self.assertFalse(out.exists())

    def test_the_notebooks_cells_are_python_but_for_their_shell_lines(self) -> None:
        notebook = json.loads((_BUNDLE / "train.ipynb").read_text())
        cells = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]
        for cell in cells:
            lines = cell.splitlines()
            compile("\n".join(x for x in lines if not x.startswith("!")), "cell", "exec")
        # What they do but for installing and training, where a bundle's zip lies beside them.
        self.unzipped(base="scratch")
        script = "\n".join(x for cell in cells[:3] for x in cell.splitlines())
        alone = [sys.executable, "-I", "-c", script]
        done = subprocess.run(
            alone, cwd=self.folder, env=ALONE, capture_output=True, text=True, check=False
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        wanted = (self.folder / "bundle" / "wanted.txt").read_text()
        self.assertEqual("torch==" in wanted, not torch.cuda.is_available())
        self.assertIn("cellpose==", wanted)
        shell = [x for cell in cells for x in cell.splitlines() if x.startswith("!")]
        self.assertEqual(len(shell), 2)
        self.assertIn("train.py", shell[1])


class RequirementsTest(TransactionTestCase):
    pins = (_BUNDLE / "requirements.txt").read_text().splitlines()

    def test_every_pin_is_the_servers_own_and_none_of_a_web_server(self) -> None:
        ours = (Path(settings.BASE_DIR) / "requirements.txt").read_text().splitlines()
        pins = [line for line in self.pins if not line.startswith("#")]
        self.assertLessEqual(set(pins), set(ours))
        self.assertEqual([p for p in pins if re.match("(?i)django|celery|psycopg|boto", p)], [])

    def test_nothing_that_the_imports_need_is_missing(self) -> None:
        """By the packages' own metadata, but for cellpose: of it only the network is imported."""
        pinned = {canonicalize_name(Requirement(p).name) for p in self.pins if p[:1] not in "#"}
        linux = {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"}
        for name in sorted(pinned - {"cellpose"}):
            for line in importlib.metadata.requires(name) or []:
                need = Requirement(line)
                wanted = need.marker is None or need.marker.evaluate({"extra": "", **linux})
                if wanted and need.name != "setuptools":  # only for compiling
                    self.assertIn(canonicalize_name(need.name), pinned, f"{name} needs {line}")
