"""The editor's tools in a real browser: what was drawn is read back over REST, pixel by pixel."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable

import numpy as np
from django.test import tag
from numpy.typing import NDArray
from playwright.sync_api import expect

from annotator import storage
from annotator.models import Image, PredictedCell
from inference.flow_cache import pack
from inference.flows import masks_to_flows
from tests.annotator.factories import make_dataset, make_image, make_prediction
from tests.e2e.browser import BrowserTest
from tests.people import client_of, make_people

SIDE = 240
# Label → rows and columns of its square; 4 is what the network was too unsure of to show.
SQUARES = {
    1: np.s_[20:60, 20:60],
    2: np.s_[20:60, 70:110],
    3: np.s_[20:60, 110:150],
    4: np.s_[120:160, 20:60],
}


def squares(*labels: int) -> NDArray[np.uint16]:
    drawn = np.zeros((SIDE, SIDE), np.uint16)
    for label in labels:
        drawn[SQUARES[label]] = label
    return drawn


@tag("browser")
class Tools(BrowserTest):
    def setUp(self) -> None:
        super().setUp()
        self.dataset = make_dataset("coculture")
        self.people = make_people(self.dataset)
        self.image = self._predicted_image()
        self.sign_in(self.people.bob)
        self.page.goto(f"{self.live_server_url}/images/{self.image.pk}")
        surface = self.page.get_by_role("application")
        expect(surface).to_be_visible()
        expect(self.page.get_by_text("3 cells", exact=True)).to_be_visible()
        self.page.get_by_role("button", name="1:1").click()
        box = surface.bounding_box()
        assert box is not None
        self.middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    def _predicted_image(self) -> Image:
        pixels = np.full((2, SIDE, SIDE), 300, np.uint16)
        pixels[0][squares(1, 2, 3, 4) > 0] = 4000
        image = make_image(self.dataset, "mixed_b1_001.tif", pixels, split="train")
        labels = squares(1, 2, 3)
        everything = squares(1, 2, 3, 4)
        logits = np.where(everything > 0, 4.0, -6.3).astype(np.float32)
        logits[everything == 4] = -1.0
        raw = pack(5 * masks_to_flows(everything), logits, 200)
        prediction = make_prediction(
            image, labels=labels, flows_key=storage.put("flows/tools", raw), diameter=45.0
        )
        for label in (1, 2, 3):
            rows, columns = SQUARES[label]
            PredictedCell.objects.create(
                prediction=prediction,
                label=label,
                score=0.9,
                uncertainty=0.1,
                seen_by="segmenter",
                bbox=[columns.start, rows.start, columns.stop, rows.stop],
                area=1600,
                centroid=[0.0, 0.0],
            )
        return image

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where an image point lies on the screen, at one image pixel per screen pixel."""
        return self.middle[0] + x - SIDE / 2, self.middle[1] + y - SIDE / 2

    def stroke(self, *points: tuple[float, float]) -> None:
        self.page.mouse.move(*self.at(*points[0]))
        self.page.mouse.down()
        for point in points[1:]:
            self.page.mouse.move(*self.at(*point), steps=6)
        self.page.mouse.up()

    def click(self, x: float, y: float) -> None:
        self.page.mouse.click(*self.at(x, y))

    def submitted(self) -> NDArray[np.uint16]:
        """Submit with Shift+Enter and read the head revision's labels over REST."""
        self.hand_in()
        expect(self.page.get_by_text("Submitted").first).to_be_visible()
        answer = client_of(self.people.vera).get(
            f"/api/v1/images/{self.image.pk}/annotation/labels/"
        )
        raw = gzip.decompress(answer.content)
        return np.frombuffer(raw, answer["X-Dtype"]).reshape(SIDE, SIDE)

    def types(self) -> dict[int, str | None]:
        found = client_of(self.people.vera).get(f"/api/v1/images/{self.image.pk}/annotation/")
        return {cell["label"]: cell["type"] for cell in found.json()["cells"]}

    def test_the_panel_scrolls_and_not_the_page(self) -> None:
        self.page.set_viewport_size({"width": 1280, "height": 560})
        hidden = "document.documentElement.scrollHeight - innerHeight"
        self.assertEqual(self.page.evaluate(hidden), 0)

    def test_what_is_drawn_bit_by_bit_is_what_is_drawn_at_once(self) -> None:
        self.page.keyboard.press("v")

        def draw() -> None:
            self.page.keyboard.press("n")
            self.stroke((200, 30), (200, 100))

        gestures: list[Callable[[], None]] = [
            lambda: self.page.mouse.move(*self.at(90, 40)),
            lambda: self.click(40, 40),
            lambda: self.page.keyboard.press("1"),
            lambda: self.page.mouse.move(*self.at(130, 40)),
            lambda: self.page.keyboard.press("Control+a"),
            lambda: self.page.keyboard.press("Escape"),
            draw,
            lambda: self.page.keyboard.press("Control+z"),
        ]
        for do in gestures:
            before = self._drawn()
            do()
            part = self._drawn()
            self.page.set_viewport_size({"width": 1290, "height": 810})
            self._drawn()
            self.page.set_viewport_size({"width": 1280, "height": 800})
            self.assertEqual(part, self._drawn())
            self.assertNotEqual(part, before)

    def _drawn(self) -> str:
        """The image's canvas, once it rests."""
        self.page.wait_for_timeout(300)
        canvas = self.page.get_by_role("application").locator("canvas").first
        return str(canvas.evaluate("canvas => canvas.toDataURL()"))

    def test_brush_and_eraser_change_the_pixels_under_them_and_spare_other_cells(self) -> None:
        self.page.keyboard.press("n")
        self.stroke((200, 30), (200, 100))
        self.page.keyboard.press("e")
        self.stroke((40, 40), (40, 42))
        labels = self.submitted()
        new = labels[60, 200]
        self.assertGreater(new, 3)
        self.assertTrue((labels[32:98, 198:202] == new).all())
        self.assertEqual(labels[41, 40], 0)
        self.assertEqual(labels[22, 22], 1)
        np.testing.assert_array_equal(labels == 2, squares(2) == 2)

    def test_a_line_splits_a_cell_and_both_halves_keep_its_type(self) -> None:
        self.page.keyboard.press("v")
        self.click(40, 40)
        self.page.keyboard.press("2")
        self.page.keyboard.press("k")
        self.stroke((10, 40), (70, 40))
        self.page.keyboard.press("Shift+Enter")  # meant for seeds that are gone
        expect(self.page.get_by_text("press again to submit")).to_be_visible()
        labels = self.submitted()
        inside = labels[SQUARES[1]]
        self.assertEqual(len(np.unique(inside)), 2)
        self.assertTrue((inside > 0).all(), "no pixel is lost")
        self.assertNotEqual(labels[25, 40], labels[55, 40])
        types = self.types()
        self.assertEqual({types[int(label)] for label in np.unique(inside)}, {"N2a"})

    def test_a_stroke_merges_two_cells_and_undo_parts_them(self) -> None:
        self.page.keyboard.press("j")
        self.stroke((90, 40), (130, 40))
        expect(self.page.get_by_text("2 cells", exact=True)).to_be_visible()
        self.page.keyboard.press("Control+z")
        expect(self.page.get_by_text("3 cells", exact=True)).to_be_visible()
        self.page.keyboard.press("Control+y")
        labels = self.submitted()
        self.assertEqual(labels[40, 90], labels[40, 130])
        np.testing.assert_array_equal(labels == 1, squares(1) == 1)

    def test_delete_removes_the_selected_cell_alone(self) -> None:
        self.page.keyboard.press("v")
        self.click(90, 40)
        self.page.keyboard.press("Delete")
        np.testing.assert_array_equal(self.submitted(), squares(1, 3))

    def test_a_click_adds_the_cell_that_the_model_was_unsure_of(self) -> None:
        self.page.keyboard.press("c")
        self.click(40, 140)
        expect(self.page.get_by_text("4 cells", exact=True)).to_be_visible()
        labels = self.submitted()
        found, wanted = labels == labels[140, 40], squares(4) == 4
        self.assertGreater((found & wanted).sum() / (found | wanted).sum(), 0.8)

    def test_a_lower_threshold_shows_more_cells_and_spares_what_was_corrected(self) -> None:
        self.page.keyboard.press("v")
        self.click(40, 40)
        self.page.keyboard.press("Delete")
        self.page.get_by_role("button", name="Change", exact=True).click()
        slider = self.page.get_by_role("slider", name="Cell probability threshold")
        slider.fill("-2")
        expect(self.page.get_by_text(re.compile("3 cells. Cells you corrected"))).to_be_visible()
        self.page.get_by_role("button", name="Reset").click()
        expect(self.page.get_by_text("2 cells", exact=True)).to_be_visible()
        slider.fill("-2")
        expect(self.page.get_by_text(re.compile("3 cells. Cells you corrected"))).to_be_visible()
        self.page.get_by_role("button", name="Apply").click()
        labels = self.submitted()
        self.assertGreater(labels[140, 40], 0)
        np.testing.assert_array_equal(labels == 2, squares(2) == 2)
