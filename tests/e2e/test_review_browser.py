"""Review by keyboard alone, complete regions and the comparison with the model, in a browser."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from django.test import tag
from playwright.sync_api import Locator, expect

from annotator.models import CellType, Flag, Image, PredictedCell, Prediction, Revision
from tests.annotator.factories import make_dataset, make_image, make_prediction, make_version
from tests.e2e.browser import BrowserTest
from tests.people import make_people

SIDE = 96
# x0 of each cell's 10 px square in a row at y 40, and what the models said of it
CELLS: dict[int, dict[str, Any]] = {
    1: {"uncertainty": 0.9, "terms": {"border": 0.8}},
    2: {
        "uncertainty": 0.8,
        "terms": {"type": 0.9},
        "probabilities": {"HEK": 0.52, "N2a": 0.48},
    },
    3: {"uncertainty": 0.7, "terms": {"existence": 0.7}, "seen_by": "detector"},
    4: {"uncertainty": 0.6},
    5: {"uncertainty": 0.1},
}

COUNT_WHITE = """canvas => {
  const copy = document.createElement("canvas");
  copy.width = canvas.width;
  copy.height = canvas.height;
  const brush = copy.getContext("2d");
  brush.drawImage(canvas, 0, 0);
  const { data } = brush.getImageData(0, 0, copy.width, copy.height);
  let count = 0;
  for (let at = 0; at < data.length; at += 4) {
    if (Math.min(data[at], data[at + 1], data[at + 2]) > 230) count += 1;
  }
  return count;
}"""


@tag("browser")
class Review(BrowserTest):
    def setUp(self) -> None:
        super().setUp()
        self.dataset = make_dataset("coculture")
        self.people = make_people(self.dataset)
        random = np.random.default_rng(7)
        pixels, self.noise = random.integers(100, 900, (2, 2, SIDE, SIDE)).astype(np.uint16)
        self.image = make_image(self.dataset, "mixed_b1_001.tif", pixels, split="train")
        self.detector = make_version(self.dataset, family="detector")
        self.prediction = self._predict(self.image)
        self.sign_in(self.people.bob)
        self.page.goto(f"{self.live_server_url}/images/{self.image.pk}")
        expect(self.page.get_by_text("5 cells", exact=True)).to_be_visible()

    def _predict(self, image: Image) -> Prediction:
        labels = np.zeros((SIDE, SIDE), np.uint16)
        for label in CELLS:
            labels[40:50, 16 * label - 10 : 16 * label] = label
        prediction = make_prediction(image, labels=labels, detector=self.detector)
        hek = CellType.objects.get(dataset=self.dataset, name="HEK")
        said = {"score": 0.9, "probabilities": {"HEK": 1.0}, "terms": {}, "seen_by": "both"}
        PredictedCell.objects.bulk_create(
            PredictedCell(
                prediction=prediction,
                label=label,
                type=hek,
                bbox=[16 * label - 10, 40, 16 * label, 50],
                area=100,
                centroid=[16 * label - 5, 45],
                **said | opinion,
            )
            for label, opinion in CELLS.items()
        )
        return prediction

    def _press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def _bar(self) -> Locator:
        return self.page.get_by_role("region", name="Review")

    def _card(self) -> Locator:
        return self.page.get_by_label("Cell under review")

    def _submit(self) -> Revision:
        self._press("Shift+Enter")
        expect(self.page.get_by_text("Submitted").first).to_be_visible()
        return Revision.objects.get(image=self.image)

    def _place(self, x: float, y: float) -> tuple[float, float]:
        """Where an image point lies on the screen while the whole image is in view."""
        box = self.page.get_by_role("application").bounding_box()
        assert box is not None
        scale = min(box["width"] - 48, box["height"] - 48) / SIDE
        return (
            box["x"] + box["width"] / 2 + (x - SIDE / 2) * scale,
            box["y"] + box["height"] / 2 + (y - SIDE / 2) * scale,
        )

    def _drag(self, *points: tuple[float, float]) -> None:
        """Drag through ``points``, given in image px; the whole image is in view."""
        places = [self._place(x, y) for x, y in points]
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*place, steps=5)
        self.page.mouse.up()

    def test_cells_are_reviewed_by_the_keyboard_alone(self) -> None:
        self._press("u")
        expect(self._bar()).to_contain_text("Reviewing 1 of 5")
        expect(self._card()).to_contain_text("the models disagree on the border")
        self.screenshot("review")
        self._press("2")
        expect(self._bar()).to_contain_text("Reviewing 2 of 5")
        expect(self._card()).to_contain_text("52 % HEK / 48 % N2a")
        self._press("u")
        expect(self._card()).to_contain_text("only the detector sees it")
        self._press("Delete")
        expect(self._bar()).to_contain_text("Reviewing 4 of 5")
        self._press("Enter", "Enter")
        expect(self._bar()).to_contain_text("Reviewing 2 of 5")  # looked past before
        self._press("Backspace")
        expect(self._bar()).to_contain_text("Reviewing 1 of 5")
        self._press("Enter", "Enter")
        expect(self._bar()).to_contain_text("Reviewed all 5 cells")
        self._press("Enter")  # one too many submits nothing
        self._press("Escape")
        expect(self._bar()).to_be_hidden()
        self._press("Enter")  # nor does one after the review
        self.page.wait_for_timeout(300)
        self.assertEqual(Revision.objects.count(), 0)
        cells = self._submit().cells.select_related("type").order_by("label")
        found = [(cell.label, str(cell.type), cell.type_source) for cell in cells]
        human = [(1, "N2a", "human")] + [(label, "HEK", "human") for label in (2, 4, 5)]
        self.assertEqual(found, human)

    def test_undo_brings_a_deleted_cell_back_under_review(self) -> None:
        self._press("u", "Delete")
        expect(self._bar()).to_contain_text("Reviewing 2 of 5")
        self._press("Control+z")
        expect(self._bar()).to_contain_text("Reviewing 1 of 5")
        expect(self._bar()).to_contain_text("5 to decide")

    def test_white_outlines_are_those_of_the_cell_under_review_alone(self) -> None:
        surface = self.page.get_by_role("application")
        self._press("v")
        self._point_at(16 * 2 - 5, 45)
        expect(self.page.get_by_text("#2", exact=True).first).to_be_visible()
        self.assertEqual(self._white_pixels(surface), 0, "the pointer draws no white")
        self._press("u", "Delete", "Control+z")
        expect(self._bar()).to_contain_text("Reviewing 1 of 5")
        self.screenshot("restored")
        self.assertGreater(self._white_pixels(surface), 200, "the restored cell is in view")

    def _point_at(self, x: float, y: float) -> None:
        self.page.mouse.move(*self._place(x, y))

    def _white_pixels(self, surface: Locator) -> int:
        """On the image itself, without what lies over it."""
        self.page.wait_for_timeout(200)
        pixels = surface.locator("canvas").first.evaluate(COUNT_WHITE)
        return int(pixels)

    def test_a_region_marked_complete_arrives_with_the_revision(self) -> None:
        self._press("m")
        self._drag((8, 16), (60, 64))
        expect(self.page.get_by_text(re.compile("1 region, 2[67] % of the image"))).to_be_visible()
        self._drag((70, 70), (90, 90))
        expect(self.page.get_by_text(re.compile("2 regions,"))).to_be_visible()
        self.screenshot("regions")
        self._press("Control+z")
        expect(self.page.get_by_text(re.compile("1 region,"))).to_be_visible()
        regions = self._submit().complete_regions
        assert regions is not None
        np.testing.assert_allclose(regions, [[8, 16, 60, 64]], atol=1)

    def test_the_next_image_was_loaded_ahead_and_a_flag_reaches_the_managers(self) -> None:
        second = make_image(self.dataset, "mixed_b1_002.tif", self.noise, split="train")
        self._predict(second)
        asked: list[str] = []
        self.page.on("request", lambda request: asked.append(request.url))
        self.page.goto(f"{self.live_server_url}/datasets/{self.dataset.pk}/correct")
        expect(self.page.get_by_text("5 cells", exact=True)).to_be_visible()
        self.page.wait_for_load_state("networkidle")
        images = (self.image.pk, second.pk)
        loaded = [sum(f"/images/{pk}/pixels/" in url for url in asked) for pk in images]
        self.assertEqual(loaded, [1, 1], "both the shown and the next image are loaded")
        self.page.get_by_role("button", name="Flag for review").click()
        self.page.get_by_label("What should be looked at?").fill("Is this debris?")
        self.page.get_by_role("button", name="Flag", exact=True).click()
        expect(self.page.get_by_role("dialog")).to_be_hidden()
        shown = self.page.get_by_role("heading", level=1).inner_text()
        self._press("e", "u", "Enter", "Control+Enter")
        expect(self.page.get_by_role("heading", level=1)).not_to_have_text(shown)
        eraser = self.page.get_by_role("button", name="Eraser (E)")
        expect(eraser).to_have_attribute("aria-pressed", "true")  # the hand keeps its tool
        expect(self.page.get_by_text("5 cells", exact=True)).to_be_visible()
        loaded = [sum(f"/images/{pk}/pixels/" in url for url in asked) for pk in images]
        self.assertEqual(loaded, [1, 1], "what was loaded ahead was not asked for again")
        flag = Flag.objects.get()
        self.assertEqual((flag.author, flag.image.name), (self.people.bob, shown))

    def test_keys_like_those_of_another_program_are_chosen_and_kept(self) -> None:
        self._press("?")
        dialog = self.page.get_by_role("dialog", name="Keys")
        dialog.get_by_label("Like").select_option("napari")
        expect(dialog.get_by_role("button", name="Change the key of Brush: P")).to_be_visible()
        self.screenshot("keys")
        self._press("Escape")
        self._press("l")
        expect(self.page.get_by_role("button", name="Select (L)")).to_have_attribute(
            "aria-pressed", "true"
        )
        self.page.reload()
        self._press("p")
        expect(self.page.get_by_role("button", name="Brush (P)")).to_have_attribute(
            "aria-pressed", "true"
        )

    def test_the_comparison_counts_what_was_changed(self) -> None:
        self._press("u", "2", "Delete", "Escape", "y")
        changes = self.page.get_by_role("list", name="Changes")
        expect(changes).to_contain_text(re.compile(r"Removed\s*1"))
        expect(changes).to_contain_text(re.compile(r"Retyped\s*1"))
        expect(changes).to_contain_text(re.compile(r"Added\s*0"))
        self._press("Home")
        self.screenshot("comparison")
        self._press("y")
        expect(changes).to_be_hidden()
