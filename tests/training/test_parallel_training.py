"""Several processes train one model: the same weights, one voice, and nobody is left behind.

On the CPU, by the same code that gives each GPU its process; there NCCL carries the gradients.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import numpy as np
import torch

from inference import checkpoint
from tests.training.snapshots import write_disks
from tests.training.team_member import data, network
from training.config import TrainConfig
from training.errors import Cancelled, TrainingError
from training.evaluate import evaluate
from training.parallel import ALONE, Share, _wait_until_ready, ready_file, team_size
from training.train import train

ROOT = Path(__file__).parents[2]
QUICK = {
    "width": 8,
    "crop": 64,
    "batch_size": 4,
    "crops_per_epoch": 32,
    "epochs": 3,
    "learning_rate": 5e-3,
    "ema": 0.9,
    "device": "cpu",
    "devices": 2,
}
LEAD = """
import json
import sys
from pathlib import Path
from training.config import TrainConfig
from training.train import train
config = TrainConfig.for_family("segmenter", json.loads(sys.argv[1]))
told = lambda report: print(report.epoch, flush=True)
train(config, Path(sys.argv[2]), Path(sys.argv[3]), on_epoch=told)
"""
MEMBER = """
import sys
import time
from pathlib import Path
from training.parallel import ready
while not Path(sys.argv[3]).exists():
    time.sleep(0.05)
ready(Path(sys.argv[1]), int(sys.argv[2]))
"""


def members(lead: int | None = None) -> list[int]:
    """The processes that ``lead``, or this process, has started to train along."""
    command = ["pgrep", "-P", str(lead or os.getpid()), "-f", "training[.]member"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


def gone(processes: list[int], within: float = 20.0) -> bool:
    """Whether they have ended after so many seconds."""
    until = time.monotonic() + within
    while any(map(lives, processes)) and time.monotonic() < until:
        time.sleep(0.1)
    return not any(map(lives, processes))


def lives(process: int) -> bool:
    try:
        # One that has ended and that nobody has asked for yet is none.
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


class ShareTest(unittest.TestCase):
    def test_the_shares_of_a_batch_are_the_batch(self) -> None:
        parts = [each for rank in range(3) for each in Share(rank, 3).part(range(7))]
        self.assertEqual(sorted(parts), list(range(7)))
        self.assertEqual(list(ALONE.part(range(7))), list(range(7)))

    def test_each_draws_numbers_of_its_own_and_one_alone_the_common_ones(self) -> None:
        common = np.random.default_rng(0)
        self.assertIs(ALONE.rng(common, 1, 2), common)
        drawn = {float(Share(rank, 2).rng(common, 1, 2).random()) for rank in range(2)}
        self.assertEqual(len(drawn), 2)


class TeamTest(unittest.TestCase):
    def test_two_processes_have_the_weights_of_one_and_the_mean_gradient(self) -> None:
        with tempfile.TemporaryDirectory() as meeting:
            command = [sys.executable, "-m", "tests.training.team_member"]
            both = [
                subprocess.Popen([*command, str(rank), meeting], cwd=ROOT, stdout=subprocess.PIPE)
                for rank in range(2)
            ]
            for each in both:
                self.addCleanup(each.kill)
            first, second = (json.loads(each.communicate(timeout=120)[0]) for each in both)
        self.assertEqual(first, second)
        self.assertEqual((first["agreed"], first["mean"]), (10.0, 0.5))
        net = network(0)
        self.assertEqual(first["begun"], {k: v.tolist() for k, v in net.state_dict().items()})
        outputs = net["used"](data())
        (outputs.square().mean() + net["rarely"](outputs[::2]).mean() / 2).backward()
        for name, parameter in net.named_parameters():
            wanted = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            torch.testing.assert_close(torch.tensor(first["gradients"][name]), wanted)


class JoiningTest(unittest.TestCase):
    def setUp(self) -> None:
        self.meeting = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def started(self, rank: int, until: Path) -> subprocess.Popen[bytes]:
        """A member that has read its images once the file ``until`` is there."""
        (self.meeting / f"log-{rank}").touch()
        member = subprocess.Popen(
            [sys.executable, "-c", MEMBER, str(self.meeting), str(rank), str(until)], cwd=ROOT
        )
        self.addCleanup(member.wait)
        self.addCleanup(member.kill)
        return member

    def test_nobody_joins_before_the_slowest_has_read_its_images(self) -> None:
        read = self.meeting / "read"
        quick, slow = self.started(1, self.meeting), self.started(2, read)
        seen: list[tuple[bool, bool]] = []

        def check() -> None:
            if ready_file(self.meeting, 1).exists():
                seen.append((ready_file(self.meeting, 2).exists(), quick.poll() is None))
                read.touch()

        _wait_until_ready([quick, slow], self.meeting, check)
        self.assertIn((False, True), seen)  # ready, and waiting
        self.assertEqual([each.wait(20) for each in (quick, slow)], [0, 0])

    def test_one_that_ends_while_it_waits_for_others_is_noticed(self) -> None:
        quick, slow = self.started(1, self.meeting), self.started(2, self.meeting / "never")

        def kill() -> None:
            if ready_file(self.meeting, 1).exists():
                quick.kill()

        with self.assertRaisesRegex(TrainingError, "GPU 1 could not start"):
            _wait_until_ready([quick, slow], self.meeting, kill)


class ParallelTrainingTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.snapshot = write_disks(
            self.folder / "snapshot", ["train"] * 3 + ["validation", "test"]
        )
        self.run_folder = self.folder / "run"
        self.addCleanup(lambda: self.assertEqual(members(), [], "a process was left behind"))

    def config(self, **overrides: object) -> TrainConfig:
        return TrainConfig.for_family("segmenter", QUICK | overrides)

    def test_two_processes_learn_as_one_does(self) -> None:
        reports = train(self.config(epochs=8), self.snapshot, self.run_folder).epochs
        self.assertEqual([report.epoch for report in reports], list(range(1, 9)))
        self.assertLess(reports[-1].train_loss, 0.6 * reports[0].train_loss)
        self.assertGreater(evaluate(self.run_folder, self.snapshot, "test")["ap50"], 0.5)
        self.assertEqual(checkpoint.load(self.run_folder)[1].lineage["devices"], 2)

    def test_a_detector_too(self) -> None:
        quick = {"crop": 64, "batch_size": 2, "crops_per_epoch": 4, "epochs": 2}
        config = TrainConfig.for_family(
            "detector", quick | {"device": "cpu", "devices": 2, "width": 8}
        )
        result = train(config, self.snapshot, self.run_folder)
        self.assertEqual(len(result.epochs), 2)

    def test_a_cancelled_run_goes_on_where_it_was(self) -> None:
        seen: list[int] = []

        def stop() -> bool:
            return len(seen) >= 2

        with self.assertRaises(Cancelled):
            train(
                self.config(),
                self.snapshot,
                self.run_folder,
                on_epoch=lambda report: seen.append(report.epoch),
                should_stop=stop,
            )
        more: list[int] = []
        train(
            self.config(),
            self.snapshot,
            self.run_folder,
            on_epoch=lambda report: more.append(report.epoch),
        )
        self.assertEqual(more, [3])

    def test_a_process_that_dies_ends_the_training_with_a_reason(self) -> None:
        def kill(report: object) -> None:
            for member in members():
                os.kill(member, signal.SIGKILL)

        with (
            self.assertLogs("training.parallel", "WARNING") as logged,
            self.assertRaisesRegex(TrainingError, "trains on another GPU is gone"),
        ):
            train(self.config(), self.snapshot, self.run_folder, on_epoch=kill)
        self.assertIn("The process for GPU 1 ended (-9)", logged.output[0])
        # The run can be resumed in this very process.
        self.assertEqual(train(self.config(), self.snapshot, self.run_folder).epochs[-1].epoch, 3)

    def test_a_process_that_cannot_start_says_why(self) -> None:
        hidden = self.folder / "elsewhere"

        def hide() -> bool:
            # The lead has read the images by now, and waits for the others.
            if members() and self.snapshot.exists():
                self.snapshot.rename(hidden)
            return False

        with self.assertRaisesRegex(TrainingError, "GPU 1 could not start"):
            train(self.config(), self.snapshot, self.run_folder, should_stop=hide)

    def test_the_others_end_with_a_lead_that_is_killed(self) -> None:
        quick = json.dumps(QUICK | {"epochs": 500})
        command = [sys.executable, "-c", LEAD, quick, str(self.snapshot), str(self.run_folder)]
        lead = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
        assert lead.stdout is not None
        self.assertEqual(lead.stdout.readline(), b"1\n")
        others = members(lead.pid)
        self.assertEqual(len(others), 1)
        for other in others:  # as whoever stops a whole group
            os.kill(other, signal.SIGTERM)
        lead.stdout.readline()
        self.assertTrue(lives(others[0]))
        lead.kill()
        lead.wait()
        lead.stdout.close()
        self.assertTrue(gone(others))

    def test_what_cannot_be_shared_is_not(self) -> None:
        self.assertEqual(team_size(self.config(batch_size=1)), 1)
        self.assertEqual(team_size(self.config()), 2)
        # Nobody wants eight processes on a server without a GPU for a setting of another machine.
        there = max(1, torch.cuda.device_count())
        for asked in (0, 8):
            with self.subTest(asked):
                config = self.config(device="", devices=asked, batch_size=64)
                self.assertEqual(team_size(config), min(asked or there, there))
        with self.assertRaisesRegex(TrainingError, "must not be negative"):
            self.config(devices=-1)
