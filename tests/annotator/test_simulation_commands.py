"""``loop_simulate`` on a small real database."""

from __future__ import annotations

import io
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import TransactionTestCase

from tests.annotator.factories import make_dataset
from tests.annotator.trained import add_drawn, make_trainable
from training.study_model import Budget

TINY = Budget(width=4, crop=48, batch=2, start_steps=3, steps=2, type_steps=2)


def run(name: str, **options: Any) -> dict[str, Any]:
    out = io.StringIO()
    call_command("loop_simulate", name, json=True, stdout=out, stderr=io.StringIO(), **options)
    printed: dict[str, Any] = json.loads(out.getvalue().splitlines()[-1])
    return printed


class LoopSimulateTest(TransactionTestCase):
    def setUp(self) -> None:
        small = mock.patch("annotator.work.simulation.BUDGET", TINY)
        small.start()
        self.addCleanup(small.stop)

    def test_strategies_are_compared_on_the_datasets_own_masks(self) -> None:
        dataset = make_trainable(train=5, test=2)
        found = run(
            dataset.name,
            strategies="uncertainty",
            asking="region",
            budget=30,
            rounds=1,
            seeds=1,
        )
        self.assertEqual((found["pool"], found["test"]), (5, 2))
        runs = {(r["asking"], r["strategy"]): r for r in found["runs"]}
        self.assertEqual(set(runs), {("image", "random"), ("region", "uncertainty")})
        for each in runs.values():
            self.assertEqual(len(each["curve"]), 2)
            # A start may have shown all that five small images' regions hold.
            self.assertLessEqual(each["curve"][0]["cells"], each["curve"][1]["cells"])
        self.assertEqual(runs["image", "random"]["cells_ratio"]["mean"], 1.0)
        self.assertEqual(list((Path(settings.SNAPSHOTS_DIR) / "measured").iterdir()), [])

    def test_an_interrupted_simulation_goes_on_from_its_results(self) -> None:
        dataset = make_trainable(train=5, test=2)
        with TemporaryDirectory() as name:
            how = {"strategies": "random", "budget": 30, "rounds": 1, "seeds": 1}
            how["results"] = Path(name) / "runs.jsonl"
            first = run(dataset.name, **how)
            with mock.patch("training.study.work_on", side_effect=AssertionError):
                again = run(dataset.name, **how)
        self.assertEqual(first, again)

    def test_people_read_a_table(self) -> None:
        dataset = make_trainable(train=4, test=2)
        out = io.StringIO()
        options = {"strategies": "random", "budget": 30, "rounds": 1, "seeds": 1}
        call_command("loop_simulate", dataset.name, stdout=out, stderr=io.StringIO(), **options)
        self.assertIn("4 images to choose from, 2 to judge by", out.getvalue())
        self.assertRegex(out.getvalue(), r"image +random +\d+ +\d+\.\d +1\.00 +\d of 1")

    def test_too_few_images_unknown_names_and_budgets_are_told(self) -> None:
        empty = make_dataset()
        add_drawn(empty, 1, "train")
        with self.assertRaisesMessage(CommandError, "has 1 images to choose from and 0 to judge"):
            run(empty.name)
        for options, told in (
            ({"strategies": "badge"}, "no strategy badge"),
            ({"asking": "pixel"}, "no way of asking pixel"),
            ({"budget": 5}, "above the 15 cells"),
            ({"seeds": 0}, "above zero"),
        ):
            with self.assertRaisesMessage(CommandError, told):
                run(empty.name, **options)
