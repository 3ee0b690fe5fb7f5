"""What counts as doubt, and how it is said."""

from __future__ import annotations

import unittest
from dataclasses import replace

import numpy as np

from inference.doubt import MASK, TYPE, USUAL, DoubtRule
from inference.uncertainty import (
    Look,
    Sight,
    cell_terms,
    disagreement,
    existence_score,
    image_uncertainty,
    reasons,
)

NONE = dict.fromkeys((*MASK, *TYPE), 0.0)


def sight(segmenter=0.9, detector=0.9, iou=0.9, probabilities=(1.0, 0.0), committee=True):
    return Sight(segmenter, detector, iou, probabilities, committee)


class CellTests(unittest.TestCase):
    def test_a_cell_both_models_see_alike_is_nearly_certain(self):
        terms = cell_terms(sight())
        self.assertLess(terms["existence"], 0.05)
        self.assertAlmostEqual(terms["border"], 0.1)
        self.assertEqual(terms["type"], 0.0)
        self.assertLess(USUAL.wrong(terms), 0.1)

    def test_a_cell_one_model_alone_sees_is_doubtful(self):
        for alone in (sight(detector=None, iou=None), sight(segmenter=None, iou=None)):
            self.assertGreater(cell_terms(alone)["existence"], 0.8)

    def test_without_a_detector_the_segmenters_word_counts_in_full(self):
        alone = sight(detector=None, iou=None, probabilities=(), committee=False)
        self.assertAlmostEqual(existence_score(alone), 0.9)
        self.assertAlmostEqual(cell_terms(alone)["existence"], 0.2)
        self.assertEqual(cell_terms(alone)["type"], 0.0)

    def test_a_tie_of_types_is_full_doubt_and_one_type_only_is_none(self):
        self.assertAlmostEqual(cell_terms(sight(probabilities=(0.5, 0.5)))["type"], 1.0)
        self.assertAlmostEqual(cell_terms(sight(probabilities=(1 / 3,) * 3))["type"], 1.0)
        self.assertEqual(cell_terms(sight(probabilities=(1.0,)))["type"], 0.0)

    def test_every_term_raises_the_chance_of_an_error_and_only_all_together_make_it_sure(self):
        least = USUAL.wrong(NONE)
        self.assertLess(least, 0.02)
        for name in NONE:
            self.assertGreater(USUAL.wrong({**NONE, name: 1.0}), 1.2 * least, name)
        worst = USUAL.wrong(dict.fromkeys(NONE, 1.0))
        self.assertGreater(worst, 0.99)
        self.assertLess(worst, 1.0)

    def test_what_the_networks_say_of_the_mask_is_kept_apart(self):
        look = Look(inside=0.7, flow_error=0.2, sharpness=0.6, views=0.4)
        terms = cell_terms(sight(probabilities=(0.6, 0.4)), 0.9, look)
        expected = {
            "existence": 0.2,
            "alone": 0.0,
            "inside": 0.3,
            "border": 0.1,
            "flow": 0.2,
            "edge": 0.4,
            "margin": 0.8,
            "views": 0.4,
        }
        for name, value in expected.items():
            self.assertAlmostEqual(terms[name], value, msg=name)

    def test_a_type_that_the_file_name_tells_is_not_in_doubt(self):
        tie = sight(probabilities=(0.5, 0.5))
        asked, known = (cell_terms(tie, 0.99, type_known=known) for known in (False, True))
        self.assertGreater(USUAL.wrong(asked), 3 * USUAL.wrong(known))
        self.assertEqual([known[name] for name in TYPE], [0.0] * 3)

    def test_a_wrong_mask_or_a_wrong_type_makes_a_wrong_cell(self):
        flat = {"offset": 0.0}
        rule = DoubtRule(mask=flat, type=flat)
        self.assertAlmostEqual(rule.wrong({**NONE, "type": 0.1}), 0.75)
        self.assertAlmostEqual(rule.wrong(NONE), 0.5)
        self.assertEqual(DoubtRule.from_dict(rule.to_dict()), rule)

    def test_places_count_as_both_kinds_are_weighed_and_hardly_likely_ones_are_left_out(self):
        rule = replace(USUAL, missed=2.0, unseen=0.5)
        spots, likely = rule.spots([(1.0, 2.0, 0.4)], [(3.0, 4.0, 0.02), (5.0, 6.0, 0.8)])
        self.assertEqual(spots, [(1.0, 2.0, 0.8), (5.0, 6.0, 0.4)])
        self.assertEqual(likely, [0, 2])

    def test_a_rule_from_before_such_places_weighs_them_as_usual(self):
        older = {name: value for name, value in USUAL.to_dict().items() if name != "unseen"}
        self.assertEqual(DoubtRule.from_dict(older), USUAL)

    def test_views_that_agree_on_a_tie_disagree_on_nothing(self):
        alike = np.full((1, 4, 2), 0.5)
        split = np.array([[[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]])
        np.testing.assert_allclose(disagreement(np.concatenate([alike, split])), [0, 1], atol=1e-9)
        self.assertEqual(disagreement(np.zeros((3, 4, 0))).tolist(), [0, 0, 0])


class ImageTests(unittest.TestCase):
    def test_an_image_is_as_uncertain_as_the_share_of_it_that_is_likely_wrong(self):
        self.assertAlmostEqual(image_uncertainty([0.5, 0.1, 0.0]), 0.2)
        self.assertAlmostEqual(image_uncertainty([0.0, 0.0, 0.0], missed=1.0), 0.25)
        self.assertAlmostEqual(image_uncertainty([], missed=2.0), 1.0)
        speck = image_uncertainty([], missed=0.5)
        self.assertEqual(speck, image_uncertainty([]))

    def test_cells_that_seem_to_be_missing_are_told(self):
        told = reasons([NONE] * 3, ["both"] * 3, True, missed=2.2)
        self.assertEqual(told[0]["text"], "about 2 cells may be missing")
        self.assertEqual(reasons([NONE] * 3, ["both"] * 3, True, missed=0.3), [])
        self.assertEqual(reasons([], [], True, missed=1.0)[0]["code"], "missed")

    def test_an_image_in_which_nothing_was_found_is_uncertain_and_says_so(self):
        self.assertGreater(image_uncertainty([]), 0.5)
        self.assertEqual(reasons([], [], True)[0]["text"], "no cell was found")

    def test_reasons_count_cells_in_words_with_the_commonest_first(self):
        sure = {"existence": 0.0, "border": 0.0, "type": 0.0}
        terms = [{**sure, "type": 1.0}] * 3 + [{**sure, "border": 0.6}, sure]
        seen = ["both"] * 4 + ["detector"]
        found = reasons(terms, seen, True)
        self.assertEqual(
            [reason["text"] for reason in found],
            [
                "3 cells are of doubtful type",
                "the models disagree on the border of 1 cell",
                "1 cell only the detector sees",
            ],
        )
        self.assertEqual([reason["value"] for reason in found], [3, 1, 1])

    def test_with_a_segmenter_alone_no_cell_is_said_to_be_seen_by_it_only(self):
        doubtful = {"existence": 0.7, "border": 0.0, "type": 0.0}
        found = reasons([doubtful], ["segmenter"], False)
        self.assertEqual([reason["code"] for reason in found], ["existence"])
        found = reasons([doubtful], ["segmenter"], True)
        self.assertEqual([reason["code"] for reason in found], ["segmenter_only"])

    def test_nothing_is_said_of_certain_images(self):
        self.assertEqual(
            reasons([dict.fromkeys(("existence", "border", "type"), 0.1)], ["both"], True), []
        )
