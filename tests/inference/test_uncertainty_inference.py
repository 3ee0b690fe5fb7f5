"""What counts as doubt, and how it is said."""

from __future__ import annotations

import unittest

from inference.uncertainty import (
    Sight,
    cell_terms,
    combined,
    existence_score,
    image_uncertainty,
    reasons,
)


def sight(segmenter=0.9, detector=0.9, iou=0.9, probabilities=(1.0, 0.0), committee=True):
    return Sight(segmenter, detector, iou, probabilities, committee)


class CellTests(unittest.TestCase):
    def test_a_cell_both_models_see_alike_is_nearly_certain(self):
        terms = cell_terms(sight())
        self.assertLess(terms["existence"], 0.05)
        self.assertAlmostEqual(terms["border"], 0.1)
        self.assertEqual(terms["type"], 0.0)
        self.assertLess(combined(terms), 0.15)

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

    def test_every_term_raises_the_whole_and_the_whole_stays_below_one(self):
        none = {"existence": 0.0, "border": 0.0, "type": 0.0}
        self.assertEqual(combined(none), 0.0)
        for name in none:
            self.assertGreater(combined({**none, name: 0.5}), 0.3)
        self.assertLess(combined(dict.fromkeys(none, 1.0)), 1.0)


class ImageTests(unittest.TestCase):
    def test_few_hopeless_cells_count_more_than_a_general_haze(self):
        self.assertGreater(image_uncertainty([1.0, 0.0, 0.0, 0.0]), image_uncertainty([0.25] * 4))

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
