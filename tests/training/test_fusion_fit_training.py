"""The rule that fuses two models is learnt from images whose true cells are known."""

from __future__ import annotations

import unittest
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from inference.detector import BoxMask, Detections
from inference.drawings import Drawings, drawings
from inference.fusion_rule import DETECTOR, LIKELIER, SEGMENTER, UNFITTED, Curve, FusionRule, logit
from inference.segmenter import Segmentation
from inference.uncertainty import Sight
from training.dataset import SnapshotImage
from training.errors import Cancelled
from training.fusion_fit import (
    USUAL,
    _alone,
    _Figures,
    _fused,
    _gains,
    _look,
    _Looked,
    fit_curve,
    fit_rule,
    measure_rule,
)

SIDE, PITCH, CELL = 240, 24, 14
GRID = [(y, x) for y in range(4, SIDE, PITCH) for x in range(4, SIDE, PITCH)]


@dataclass
class Flawed:
    """Two models whose mistakes are known: the segmenter's lone cells are right or wrong by their
    probability, the detector's by their score; ``rough`` draws the segmenter's cells too small.
    """

    folder: Path
    rough: bool = False
    detector = None

    def image(self, seed: int) -> SnapshotImage:
        rng = np.random.default_rng(seed)
        truth, drawn = np.zeros((2, SIDE, SIDE), np.uint16)
        cellprob = np.full((SIDE, SIDE), -4, np.float32)
        boxes, scores, masks = [], [], []
        for number, (y, x) in enumerate(GRID, 1):
            place = np.s_[y : y + CELL, x : x + CELL]
            real = rng.random() < 0.7
            segmented = rng.random() < (0.9 if real else 0.4)
            detected = rng.random() < (0.8 if real else 0.3)
            if real:
                truth[place] = number
            if segmented:
                inner = np.s_[y : y + CELL - 3, x : x + CELL] if self.rough else place
                drawn[inner] = number
                cellprob[inner] = rng.normal(3.0 if real else 0.3, 0.5)
            if detected:
                boxes.append([x, y, x + CELL, y + CELL])
                scores.append(np.clip(rng.normal(0.8 if real else 0.25, 0.1), 0.06, 0.99))
                mask = np.ones((CELL, CELL), bool)
                if not self.rough:
                    mask[CELL - 3 :] = False
                masks.append(BoxMask(x, y, mask))
        name = f"{seed}"
        np.save(self.folder / f"{name}.npy", np.stack([drawn, cellprob]).astype(np.float32))
        np.savez(
            self.folder / f"{name}.npz", boxes=boxes, scores=scores, masks=[m.mask for m in masks]
        )
        np.save(self.folder / f"{name}_labels.npy", truth)
        pixels = self.folder / f"{name}_pixels.npy"
        np.save(pixels, np.full((1, SIDE, SIDE), seed, np.uint16))
        labels = self.folder / f"{name}_labels.npy"
        return SnapshotImage(name, name, "validation", name, pixels, labels)

    def planes(self, pixels):
        return pixels.astype(np.float32)  # not normalised: a pixel tells which image it is

    def seen_planes(self, planes, diameter=None):
        name = str(int(planes[0, 0, 0]))
        drawn, cellprob = np.load(self.folder / f"{name}.npy")
        found = np.load(self.folder / f"{name}.npz")
        flows = np.zeros((2, SIDE, SIDE), np.float32)
        segmentation = Segmentation(
            drawn.astype(np.uint16), cellprob, flows, CELL, np.zeros(8, np.float32)
        )
        boxes = found["boxes"].astype(np.float32)
        masks = [
            BoxMask(int(x), int(y), mask)
            for (x, y, _, _), mask in zip(boxes, found["masks"], strict=True)
        ]
        detections = Detections(boxes, found["scores"].astype(np.float32), masks)
        return segmentation, detections


class FusionFitTests(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(TemporaryDirectory()))

    def test_the_fused_cells_beat_each_model_alone_on_images_never_seen(self):
        models = Flawed(self.folder)
        rule = fit_rule(models, [models.image(seed) for seed in range(4)])
        unseen = [models.image(seed) for seed in range(10, 14)]
        figures = measure_rule(models, rule, unseen)
        ap, missed = figures["ap50"], figures["missed"]
        self.assertEqual(figures["images"], 4)
        self.assertGreater(ap["fused"], max(ap["segmenter"], ap["detector"]) + 0.02)
        self.assertLess(missed["fused"], min(missed["segmenter"], missed["detector"]))
        plain = measure_rule(models, UNFITTED, unseen)
        self.assertGreater(ap["fused"], plain["ap50"]["fused"])
        self.assertLess(figures["existence_error"], 0.08)
        self.assertLess(figures["existence_error"], plain["existence_error"])
        self.assertIsNone(figures["type_error"])

    def test_masks_are_those_of_the_model_that_draws_the_better_borders(self):
        for rough, better in ((False, SEGMENTER), (True, DETECTOR)):
            models = Flawed(self.folder, rough)
            images = [models.image(seed) for seed in range(2)]
            self.assertEqual(fit_rule(models, images).borders, better)

    def test_who_draws_some_cells_too_badly_to_find_them_has_not_the_better_borders(self):
        # The segmenter's cells are exact but every third, which is too small; the detector's are
        # all a little too small.
        truth, drawn = np.zeros((2, SIDE, SIDE), np.uint16)
        masks = []
        for number, (y, x) in enumerate(GRID[:30], 1):
            truth[y : y + CELL, x : x + CELL] = number
            drawn[y : y + (6 if number % 3 == 0 else CELL), x : x + CELL] = number
            masks.append(BoxMask(x, y, np.ones((CELL - 2, CELL), bool)))
        np.save(self.folder / "labels.npy", truth)
        np.save(self.folder / "pixels.npy", np.zeros((1, SIDE, SIDE), np.uint16))
        files = self.folder / "pixels.npy", self.folder / "labels.npy"
        image = SnapshotImage("1", "1", "validation", "1", *files)
        cellprob = np.where(drawn > 0, 4, -4).astype(np.float32)
        flows, style = np.zeros((2, SIDE, SIDE), np.float32), np.zeros(8, np.float32)
        segmentation = Segmentation(drawn, cellprob, flows, CELL, style)
        boxes = np.array([[m.x0, m.y0, m.x0 + CELL, m.y0 + CELL - 2] for m in masks], np.float32)
        detections = Detections(boxes, np.full(30, 0.9, np.float32), masks)
        look = _look(image, drawings(segmentation, detections))
        self.assertEqual(len(look.gain), 30)
        self.assertGreater(np.mean(look.gain), 0)
        self.assertLess(np.median(look.gain), 0)

    def test_only_cells_in_complete_regions_teach(self):
        models = Flawed(self.folder)
        image = models.image(1)
        labels = np.load(image.labels_file)
        labels[:, SIDE // 2 :] = 0  # nobody has drawn the right half
        np.save(image.labels_file, labels)
        regions = ((0, 0, SIDE // 2, SIDE),)
        half = SnapshotImage(
            **{**image.__dict__, "complete_regions": regions},
        )
        told, untold = (measure_rule(models, UNFITTED, [each]) for each in (half, image))
        self.assertGreater(told["ap50"]["fused"], untold["ap50"]["fused"] + 0.2)

    def test_a_handful_of_cells_moves_the_rule_a_little_and_many_move_it(self):
        models = Flawed(self.folder)
        image = models.image(1)
        few = SnapshotImage(**{**image.__dict__, "complete_regions": ((0, 0, 50, 50),)})
        little = fit_rule(models, [few])
        self.assertEqual(little.borders, SEGMENTER)
        much = fit_rule(models, [models.image(seed) for seed in range(4)])
        for family in (SEGMENTER, DETECTOR):
            usual = np.array(astuple(USUAL[family]))
            moved = [
                np.abs(astuple(getattr(rule, family)) - usual).sum() for rule in (little, much)
            ]
            self.assertLess(moved[0], moved[1])
            self.assertLess(moved[0], 2.0)

    def test_images_without_a_cell_change_nothing(self):
        models = Flawed(self.folder)
        none = SnapshotImage(**{**models.image(1).__dict__, "complete_regions": ((0, 0, 2, 2),)})
        rule = fit_rule(models, [none])
        self.assertEqual((rule.segmenter, rule.detector, rule.borders), (None, None, SEGMENTER))

    def test_where_nothing_is_true_nothing_stays_that_one_model_alone_sees(self):
        models = Flawed(self.folder)
        image = models.image(1)
        np.save(image.labels_file, np.zeros((SIDE, SIDE), np.uint16))
        both = _look(image, drawings(*models.seen_planes(models.planes(image.pixels())))).both
        kept = np.flatnonzero(both.chosen(fit_rule(models, [image])))
        lone = [row for row in kept if both.sights[row].iou is None]
        self.assertEqual((len(lone), len(kept) > 0), (0, True))  # what both see stays anyhow

    def test_the_rule_is_the_one_that_gains_most_over_each_model_alone(self):
        models = Flawed(self.folder)
        known = [models.image(seed) for seed in range(4)]
        looked = [
            _look(image, drawings(*models.seen_planes(models.planes(image.pixels()))))
            for image in known
        ]
        rule = fit_rule(models, known)
        alone = [_Figures.of(_alone(model, looked)) for model in (SEGMENTER, DETECTOR)]

        def gain(borders, least):
            found = _Figures.of(_fused(replace(rule, borders=borders, least=least), looked))
            return min(
                found.ap - max(each.ap for each in alone),
                found.recall - max(each.recall for each in alone),
            )

        own = gain(rule.borders, rule.least)
        self.assertGreater(own, 0.0)
        for least in (0.25, 0.35, 0.45, 0.55):
            # An unlikely rule must earn its place.
            self.assertLessEqual(gain(rule.borders, least), own + 0.002)
            for borders in (SEGMENTER, DETECTOR, LIKELIER):
                self.assertLessEqual(gain(borders, least), own + 0.007)

    def test_beside_a_model_that_draws_far_too_much_the_gain_in_ap_is_not_given_away(self):
        alone = [_Figures(0.80, 0.85), _Figures(0.60, 0.98)]
        precise, greedy = FusionRule(least=0.45), FusionRule(least=0.27)
        tried = [(precise, _Figures(0.86, 0.93)), (greedy, _Figures(0.79, 0.97))]
        self.assertEqual([rule for rule, _ in _gains(tried, alone)], [precise])

    def test_where_nothing_is_missed_ap_decides(self):
        alone = [_Figures(0.80, 1.0), _Figures(0.70, 1.0)]
        better, little = FusionRule(least=0.45), FusionRule(least=0.49)
        tried = [(better, _Figures(0.90, 1.0)), (little, _Figures(0.801, 1.0))]
        gains = [(round(gain, 3), rule) for rule, gain in _gains(tried, alone)]
        self.assertEqual(gains, [(1.9, better)])

    def test_a_gain_in_one_alone_is_none(self):
        alone = [_Figures(0.80, 0.85), _Figures(0.75, 0.86)]
        one, both = FusionRule(least=0.33), FusionRule(least=0.41)
        tried = [(one, _Figures(0.86, 0.86)), (both, _Figures(0.82, 0.88))]
        gains = {rule.least: round(gain, 3) for rule, gain in _gains(tried, alone)}
        self.assertEqual(gains, {0.33: 0.0, 0.41: 0.02})

    def test_only_judged_drawings_teach(self):
        models = Flawed(self.folder)
        image = models.image(1)
        half = SnapshotImage(**{**image.__dict__, "complete_regions": ((0, 0, SIDE // 2, SIDE),)})
        known = fit_rule(models, [half])
        labels = np.load(image.labels_file)
        labels[:, SIDE // 2 :] = 0  # nobody has drawn the right half
        np.save(image.labels_file, labels)
        self.assertEqual(fit_rule(models, [half]), known)
        self.assertNotEqual(fit_rule(models, [image]), known)

    def test_a_true_cell_drawn_twice_is_found_once(self):
        sights = [Sight(0.9, None, None, (), committee=True)]
        sights += [Sight(None, 0.9, None, (), committee=True, drawn_by=DETECTOR)]
        none = np.zeros((1, 1), np.uint16)
        both = Drawings(none, none, np.arange(1), sights, np.zeros((0, 2), np.intp))
        look = _Looked(both, np.ones(2, bool), np.array([7, 7]), 1, [])
        [found] = _fused(UNFITTED, [look])
        self.assertEqual((found.hits, found.kept, found.ap), (1, 2, 0.5))

    def test_a_worker_told_to_leave_does(self):
        models = Flawed(self.folder)
        with self.assertRaises(Cancelled):
            fit_rule(models, [models.image(1)], lambda: True)

    def test_chances_are_honest_and_never_certain(self):
        rng = np.random.default_rng(0)
        score = rng.random(4000)
        seen = np.column_stack([logit(score), rng.random((4000, 2))])
        usual = USUAL[DETECTOR]
        curve = fit_curve(seen, rng.random(4000) < score**2, usual)  # scores that promise too much
        for asked in (0.3, 0.6, 0.9):
            chance = curve(np.array([logit(asked), 0.5, 0.5]))
            self.assertAlmostEqual(float(chance), asked**2, delta=0.06)
        faultless = np.column_stack([logit(np.linspace(0.6, 0.9, 20)), np.ones((20, 2))])
        sure = fit_curve(faultless, np.ones(20, bool), Curve(1, 0, 0, 0))(faultless[-1])
        self.assertLess(sure, 0.995)
        self.assertGreater(sure, 0.9)
        fooled = fit_curve(seen, rng.random(4000) > score, usual)
        low, high = fooled(np.array([[logit(0.2), 0, 0], [logit(0.9), 0, 0]]))
        self.assertLessEqual(low, high)

    def test_a_rule_survives_json(self):
        models = Flawed(self.folder)
        rule = fit_rule(models, [models.image(seed) for seed in range(3)])
        self.assertEqual(FusionRule.from_dict(rule.to_dict()), rule)
        self.assertEqual(FusionRule.from_dict(UNFITTED.to_dict()), UNFITTED)
