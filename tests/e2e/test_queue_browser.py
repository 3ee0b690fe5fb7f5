"""The explained queue and work on a region, in a real browser."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import numpy as np
from django.test import tag
from django.utils import timezone
from playwright.sync_api import Locator, expect

from annotator import storage
from annotator.models import (
    GALLERY,
    CellType,
    Image,
    PredictedCell,
    Prediction,
    QueueItem,
    Revision,
)
from tests.annotator.factories import (
    make_dataset,
    make_image,
    make_prediction,
    make_revision,
    make_version,
)
from tests.e2e.browser import BrowserTest
from tests.people import make_people

SIDE = 160
PITCH = 20  # px: cells of 12 px in a grid of 8 by 8, numbered by rows from 1
REGION = [74, 38, 134, 98]  # rows of cells 3 to 5 and columns 4 to 7, of which the outer are cut
# Alpha of the heat picture in its middle, as the browser has drawn it; null while it is loading.
HEAT_ALPHA = """img => {
  if (!img.complete || img.naturalWidth === 0) return null;
  const copy = document.createElement("canvas");
  copy.width = img.naturalWidth;
  copy.height = img.naturalHeight;
  const brush = copy.getContext("2d");
  brush.drawImage(img, 0, 0);
  const at = (x, y) => brush.getImageData(x, y, 1, 1).data[3];
  return [at(10, 10), at(30, 10), at(20, 20)];
}"""


def why(code: str, text: str, value: float | None) -> dict[str, Any]:
    return {"code": code, "text": text, "value": value}


@tag("browser")
class Queue(BrowserTest):
    def setUp(self) -> None:
        super().setUp()
        self.dataset = make_dataset("coculture")
        self.people = make_people(self.dataset)
        self.detector = make_version(self.dataset, family="detector")
        border = why("border", "the models disagree on the border of 12 cells", 12)
        kind = why("type", "3 cells are of doubtful type", 3)
        self.first = self._item("mixed_b1_001.tif", 0.9, [border, kind], minutes=6.2)
        self.second = self._item("mixed_b1_002.tif", 0.8, [kind], minutes=2)
        self.third = self._item("HEK_b2_003.tif", 0.7, [border], split="validation")
        self.sign_in(self.people.bob)

    def _item(
        self, name: str, score: float, reasons: list[dict[str, Any]], **fields: Any
    ) -> QueueItem:
        pixels = np.random.default_rng(3).integers(100, 400, (2, SIDE, SIDE)).astype(np.uint16)
        labels = self._labels()
        pixels[0][labels > 0] += 2500
        split = fields.pop("split", "train")
        image = make_image(self.dataset, name, pixels + len(name) + int(10 * score), split=split)
        return QueueItem.objects.create(
            image=image,
            prediction=self._predict(image, labels),
            score=score,
            reasons=reasons,
            **fields,
        )

    def _labels(self) -> np.ndarray:
        labels = np.zeros((SIDE, SIDE), np.uint16)
        for number in range(64):
            y, x = PITCH * (number // 8) + 4, PITCH * (number % 8) + 4
            labels[y : y + 12, x : x + 12] = number + 1
        return labels

    def _predict(self, image: Image, labels: np.ndarray) -> Prediction:
        prediction = make_prediction(
            image, labels=labels, detector=self.detector, missed_at=[[140, 150, 0.9]], missed=0.9
        )
        hek = CellType.objects.get(dataset=self.dataset, name="HEK")
        PredictedCell.objects.bulk_create(
            PredictedCell(
                prediction=prediction,
                label=label,
                type=hek,
                score=0.9,
                uncertainty=0.95 if label % 2 else 0.02,
                terms={"border": 0.8 if label % 2 else 0.0},
                probabilities={"HEK": 1.0},
                seen_by="both",
                bbox=[x, y, x + 12, y + 12],
                area=144,
                centroid=[x + 6, y + 6],
            )
            for label in range(1, 65)
            for y, x in [(PITCH * ((label - 1) // 8) + 4, PITCH * ((label - 1) % 8) + 4)]
        )
        return prediction

    def _card(self, item: QueueItem) -> Locator:
        return self.page.get_by_role("article", name=item.image.name)

    def _cards(self) -> list[str]:
        return [each or "" for each in self.page.get_by_role("article").all_text_contents()]

    def _open_queue(self) -> None:
        self.page.goto(f"{self.live_server_url}/datasets/{self.dataset.pk}/queue")
        expect(self.page.get_by_role("heading", level=1)).to_have_text("Queue")
        expect(self._card(self.first)).to_be_visible()

    def test_the_queue_explains_itself_is_filtered_and_hands_out_the_chosen_image(self) -> None:
        QueueItem.objects.filter(pk=self.third.pk).update(
            annotator=self.people.alice, leased_until=timezone.now() + timedelta(minutes=9)
        )
        self._open_queue()
        card = self._card(self.first)
        expect(card).to_contain_text("the models disagree on the border of 12 cells")
        expect(card).to_contain_text("about 6 min")
        expect(self._card(self.third)).to_contain_text(re.compile("with alice, [89] min"))
        heat = card.get_by_alt_text("Where the models are unsure")
        expect(heat).to_be_visible()
        self.page.wait_for_function(
            f"img => ({HEAT_ALPHA})(img) !== null", arg=heat.element_handle()
        )
        unsure, sure, background = heat.evaluate(HEAT_ALPHA)
        self.assertGreater(unsure, 200)
        self.assertLess(sure, 60)
        self.assertEqual(background, 0)
        self.screenshot("queue")
        self.page.get_by_role("checkbox", name="Heat").uncheck()
        expect(heat).to_be_hidden()
        self.page.get_by_role("checkbox", name="Heat").check()
        reasons = self.page.get_by_role("group", name="Reasons")
        reasons.get_by_role("button", name="Border 2").click()
        expect(self._card(self.second)).to_be_hidden()
        expect(self.page.get_by_role("article")).to_have_count(2)
        self.page.get_by_label("Split", exact=True).select_option("train")
        expect(self.page.get_by_role("article")).to_have_count(1)
        self.page.reload()
        expect(self.page.get_by_role("article")).to_have_count(1)  # the address keeps the filter
        self.page.get_by_role("button", name="Show all").click()
        expect(self.page.get_by_role("article")).to_have_count(3)
        self.page.get_by_label("Order", exact=True).select_option("minutes")
        expect(self.page.get_by_role("article").first).to_contain_text("mixed_b1_002.tif")
        self._card(self.second).get_by_role("button", name="Correct this one").click()
        expect(self.page.get_by_role("application")).to_be_visible()
        expect(self.page.get_by_role("heading", level=1)).to_have_text("mixed_b1_002.tif")
        self.second.refresh_from_db()
        self.assertEqual(self.second.annotator, self.people.bob)

    def test_open_shows_an_image_that_cannot_be_changed(self) -> None:
        self._open_queue()
        self._card(self.first).get_by_role("link", name="Open mixed_b1_001.tif").click()
        expect(self.page.get_by_text("read only")).to_be_visible()
        expect(self.page.get_by_text("64 cells", exact=True)).to_be_visible()
        expect(self.page.get_by_role("button", name="Submit")).to_be_hidden()
        self.assertFalse(QueueItem.objects.exclude(annotator=None).exists())
        self.page.go_back()
        expect(self._card(self.first)).to_be_visible()

    def test_open_shows_the_region_that_is_asked_about_and_why(self) -> None:
        QueueItem.objects.filter(pk=self.first.pk).update(region=REGION, minutes=2.5)
        self._open_queue()
        self._card(self.first).get_by_role("link", name="Open mixed_b1_001.tif").click()
        panel = self.page.get_by_role("region", name="Region asked about")
        expect(panel).to_contain_text("12 cells in this region · about 3 min")
        expect(self.page.get_by_text("disagree on the border of 12 cells")).to_be_visible()
        expect(self.page.get_by_text("read only")).to_be_visible()
        self.screenshot("queue-region-opened")
        self.assertFalse(QueueItem.objects.exclude(annotator=None).exists())

    def test_of_an_image_that_is_complete_in_parts_the_queue_asks_for_the_rest(self) -> None:
        make_revision(
            self.first.image,
            self.people.alice,
            labels=self._labels(),
            source=GALLERY,
            complete_regions=[[0, 0, 80, 40]],
            keeps_work=True,
        )
        self._open_queue()
        self._card(self.first).get_by_role("button", name="Correct this one").click()
        expect(self.page.get_by_role("checkbox", name="Whole image")).to_be_checked()
        expect(self.page.get_by_text("of the image was complete")).to_be_visible()
        self.screenshot("queue-rest")
        self.hand_in()
        expect(self.page.get_by_text(f"Submitted {self.first.image.name}")).to_be_visible()
        head = Revision.objects.filter(image=self.first.image).latest("number")
        self.assertEqual((head.number, head.complete_regions), (2, None))

    def _place(self, x: float, y: float) -> tuple[float, float]:
        """Where an image point lies on the screen while the asked region is in view."""
        box = self.page.get_by_role("application").bounding_box()
        assert box is not None
        width, height = REGION[2] - REGION[0], REGION[3] - REGION[1]
        around = 2 * 0.08 * max(width, height)
        scale = min(
            (box["width"] - 48) / (width + around), (box["height"] - 48) / (height + around)
        )
        return (
            box["x"] + box["width"] / 2 + (x - (REGION[0] + REGION[2]) / 2) * scale,
            box["y"] + box["height"] / 2 + (y - (REGION[1] + REGION[3]) / 2) * scale,
        )

    def _drag(self, *points: tuple[float, float]) -> None:
        places = [self._place(x, y) for x, y in points]
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*place, steps=6)
        self.page.mouse.up()

    def test_a_region_is_worked_on_submitted_and_nothing_outside_changes(self) -> None:
        QueueItem.objects.filter(pk=self.first.pk).update(region=REGION, minutes=2.5)
        self._open_queue()
        card = self._card(self.first)
        expect(card.get_by_role("img", name="The region asked about")).to_be_visible()
        self.screenshot("queue-region")
        card.get_by_role("button", name="Correct this one").click()
        panel = self.page.get_by_role("region", name="Region asked about")
        expect(panel).to_contain_text("12 cells in this region · about 3 min")
        self.screenshot("region")

        self.page.keyboard.press("u")
        bar = self.page.get_by_role("region", name="Review")
        expect(bar).to_contain_text("Reviewing 1 of 12 cells in this region")
        self.page.keyboard.press("2")
        expect(bar).to_contain_text("Reviewing 2 of 12 cells in this region")
        self.screenshot("region-review")
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("Escape")  # out of the review; then nothing is selected
        panel.get_by_role("button", name="Show it").click()

        self.page.keyboard.press("e")
        self._drag((70, 35), (70, 32))  # over a cell above the frame
        expect(self.page.get_by_text("Outside the region.")).to_be_visible()
        self.page.keyboard.press("q")
        self._drag((110, 70), (110, 70))  # a cell in the middle of the region goes
        expect(panel).to_contain_text("11 cells in this region")
        self.page.keyboard.press("b")
        self._drag((80, 60), (128, 60))  # a new one between two rows
        expect(panel).to_contain_text("12 cells in this region")
        self.screenshot("region-worked-on")
        self.hand_in()
        expect(self.page.get_by_text("Submitted").first).to_be_visible()

        revision = Revision.objects.get(image=self.first.image)
        self.assertEqual(revision.complete_regions, [REGION])
        self.assertEqual(revision.author, self.people.bob)
        self._check_masks(revision)

    def _check_masks(self, revision: Revision) -> None:
        x0, y0, x1, y1 = REGION
        before, after = self._labels(), storage.labels_get(revision.labels_key)
        inside = set(np.unique(before[y0:y1, x0:x1])) - {0}
        others = ~np.isin(before, list(inside)) & (before > 0)
        self.assertEqual(len(inside), 12)
        np.testing.assert_array_equal(after[others], before[others])
        gone = set(np.unique(before)) - set(np.unique(after))
        self.assertEqual(len(gone), 1)
        self.assertLessEqual(gone, inside)
        typed = revision.cells.filter(type_source="human").values_list("label", "type__name")
        self.assertEqual([name for _, name in typed if name == "N2a"], ["N2a"])
        self.assertLessEqual({label for label, _ in typed}, inside | {65})
        self.assertGreater((after == 65).sum(), 40)
