"""Weights on disk: round trips, damage, and cellpose's files."""

from __future__ import annotations

import json
import tempfile
import unittest
from pathlib import Path

import numpy as np
import torch
from cellpose.resnet_torch import CPnet

from inference import checkpoint as under_test
from inference.checkpoint import ModelMeta
from inference.errors import InferenceError
from inference.files import file_sha256

NBASE = [2, 4, 8, 8, 8]
META = ModelMeta(
    family="segmenter",
    architecture={"name": "cpnet", "nbase": NBASE},
    channels=("cytoplasm", "nucleus"),
    types=("HEK", "N2a"),
    fixed_diameter=21.5,
    settings={"precision": "bfloat16"},
)


class CheckpointTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def cellpose_file(self, name="model", **changes):
        """A checkpoint as cellpose 3 saves it."""
        torch.manual_seed(1)
        state = CPnet(list(NBASE), nout=3, sz=3, diam_mean=30.0).state_dict()
        state["diam_labels"] = torch.tensor([23.0])
        state.update(changes)
        file = self.folder / name
        torch.save(state, file)
        return file, state


class FolderTest(CheckpointTest):
    def test_weights_and_meta_come_back(self):
        state = {
            "a": torch.randn(3, 4).to(torch.bfloat16),
            "b": torch.arange(4),
            "c": torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last),
        }
        state["tied"] = state["a"]
        digest = under_test.save(self.folder / "m", state, META)
        again, meta = under_test.load(self.folder / "m")
        self.assertEqual(meta, META)
        self.assertEqual(digest, file_sha256(self.folder / "m/weights.safetensors"))
        for name, tensor in state.items():
            self.assertTrue(torch.equal(again[name], tensor), name)

    def test_it_rejects_a_folder_without_a_model(self):
        with self.assertRaisesRegex(InferenceError, "meta.json is missing"):
            under_test.load(self.folder)

    def test_it_rejects_damaged_weights_and_damaged_meta(self):
        under_test.save(self.folder, {"a": torch.zeros(9)}, META)
        weights = self.folder / "weights.safetensors"
        weights.write_bytes(weights.read_bytes()[:-8])
        with self.assertRaisesRegex(InferenceError, "damaged"):
            under_test.load(self.folder)
        weights.unlink()
        with self.assertRaisesRegex(InferenceError, "has no weights"):
            under_test.load(self.folder)
        (self.folder / "meta.json").write_text('{"family": "segm')
        with self.assertRaisesRegex(InferenceError, "damaged"):
            under_test.load(self.folder)
        (self.folder / "meta.json").write_text('{"family": "segmenter"}')
        with self.assertRaisesRegex(InferenceError, "lacks architecture, channels"):
            under_test.load(self.folder)

    def test_meta_of_a_newer_version_still_reads(self):
        document = json.loads(json.dumps(META.to_json())) | {"colour": "blue"}
        self.assertEqual(ModelMeta.from_json(document), META)


class CellposeFileTest(CheckpointTest):
    def test_a_cellpose_3_checkpoint_is_imported_bit_for_bit(self):
        file, state = self.cellpose_file()
        again, meta = under_test.import_cellpose(file, ("nucleus",), fixed_diameter=17.0)
        self.assertEqual(set(again), set(state))
        self.assertTrue(all(torch.equal(again[name], state[name]) for name in state))
        self.assertEqual(meta.architecture, {"name": "cpnet", "nbase": NBASE})
        self.assertEqual((meta.diameter, meta.fixed_diameter), (30.0, 17.0))
        self.assertEqual(meta.settings["diameter_labels"], 23.0)
        self.assertEqual(meta.channels, ("nucleus",))

    def test_the_published_nuclei_weights_work_at_17_px(self):
        file, state = self.cellpose_file("nucleitorch_0")
        del state["diam_mean"], state["diam_labels"]
        torch.save(state, file)
        self.assertEqual(under_test.import_cellpose(file, ("nucleus",))[1].diameter, 17.0)

    def test_it_rejects_what_is_no_cellpose_u_net(self):
        text = self.folder / "notes.txt"
        text.write_text("not a model")
        array = self.folder / "array.npy"
        np.save(array, np.zeros(3))
        other = self.folder / "other.pt"
        torch.save({"weight": torch.zeros(3)}, other)
        numbers = self.folder / "numbers.pt"
        torch.save({"epoch": 3}, numbers)
        sam, _ = self.cellpose_file("sam", W2=torch.zeros(1))
        wide, _ = self.cellpose_file("wide", **{"output.2.weight": torch.zeros(4, 4, 1, 1)})
        for file, words in (
            (text, "does not load"),
            (array, "does not load"),
            (other, "no cellpose 2/3 U-Net"),
            (numbers, "holds no weights"),
            (sam, "cellpose-SAM"),
            (wide, "only 2 and 3"),
            (self.folder / "absent", "There is no file"),
        ):
            with self.subTest(file.name), self.assertRaisesRegex(InferenceError, words):
                under_test.import_cellpose(file, ("cytoplasm", "nucleus"))

    def test_it_rejects_three_channels(self):
        file, _ = self.cellpose_file()
        with self.assertRaisesRegex(InferenceError, "one or two channels"):
            under_test.import_cellpose(file, ("a", "b", "c"))

    def test_code_hidden_in_a_pickle_is_not_run(self):
        class Trap:
            def __reduce__(self):
                return (Path.touch, (Path(trace),))

        trace = str(self.folder / "ran")
        file = self.folder / "trap"
        torch.save({"weight": Trap()}, file)
        with self.assertRaises(InferenceError):
            under_test.import_cellpose(file, ("nucleus",))
        self.assertFalse(Path(trace).exists())
