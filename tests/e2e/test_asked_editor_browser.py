"""From a cell that one is asked about into the editor, which shows it, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from django.test import tag
from playwright.sync_api import Page, expect

from annotator import storage
from annotator.models import CellQuestion, Image, Revision
from annotator.selectors.answered import answered_cells
from tests.annotator.factories import (
    make_cells,
    make_dataset,
    make_image,
    make_prediction,
    make_version,
)
from tests.e2e.browser import BrowserTest
from tests.e2e.test_gallery_browser import PER_IMAGE, field
from tests.people import make_people


@tag("browser")
class AskedEditor(BrowserTest):
    def setUp(self) -> None:
        super().setUp()
        self.dataset = make_dataset("coculture")
        self.people = make_people(self.dataset)
        self.image = self.predicted()
        self.sign_in(self.people.bob)

    def predicted(self) -> Image:
        pixels, labels = field(1)
        image = make_image(self.dataset, "mixed_b1_001.tif", pixels, split="train")
        prediction = make_prediction(image, make_version(self.dataset), labels)
        said: dict[int, dict[str, Any]] = {
            label: {"uncertainty": 0.9 - 0.01 * label, "terms": {"border": 0.5}}
            for label in range(1, PER_IMAGE + 1)
        }
        make_cells(prediction, said, type="HEK", probabilities={"HEK": 0.7, "N2a": 0.3})
        return image

    def ask(self) -> None:
        self.page.goto(f"{self.live_server_url}/datasets/{self.dataset.pk}/gallery?ask")
        expect(self.page.locator(".large img")).to_be_visible()

    def in_editor(self) -> Page:
        with self.page.expect_popup() as opened:
            self.page.keyboard.press("e")
        editor = opened.value
        editor.on("pageerror", lambda error: self.errors.append(str(error)))
        expect(editor.get_by_role("region", name="Asked about")).to_be_visible()
        return editor

    def shoot(self, editor: Page, name: str) -> None:
        seen, self.page = self.page, editor
        self.screenshot(name)
        self.page = seen

    def head(self) -> Revision:
        head = Revision.objects.filter(image=self.image).order_by("-number").first()
        assert head is not None
        return head

    def test_a_cell_is_redrawn_and_only_what_surrounds_it_is_complete(self) -> None:
        self.ask()
        card = self.page.get_by_role("status", name="The cell in question")
        expect(card).to_contain_text("#1 ")
        editor = self.in_editor()
        panel = editor.get_by_role("region", name="Asked about")
        expect(panel).to_contain_text("Cell 1. Redraw it, check its type and submit")
        expect(editor.get_by_role("region", name="Cell", exact=True)).to_contain_text("1")
        expect(editor.get_by_role("checkbox", name="Whole image")).not_to_be_checked()
        self.shoot(editor, "asked-editor")
        # The view is on the cell: a stroke from its middle upwards makes it larger.
        box = editor.get_by_role("application").bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        editor.keyboard.press("b")
        editor.mouse.move(x, y)
        editor.mouse.down()
        editor.mouse.move(x + 140, y, steps=8)
        editor.mouse.up()
        self.shoot(editor, "asked-editor-drawn")
        editor.keyboard.press("Shift+Enter")
        expect(editor.get_by_text("Submitted mixed_b1_001.tif")).to_be_visible()
        expect(panel.get_by_role("button", name="Back to Ask me")).to_be_visible()
        self.shoot(editor, "asked-editor-submitted")
        head = self.head()
        labels = storage.labels_get(head.labels_key)
        self.assertGreater((labels == 1).sum(), (field(1)[1] == 1).sum())
        self.assertEqual(list(answered_cells(head).values_list("label", flat=True)), [1])
        complete = np.zeros(labels.shape, bool)
        for x0, y0, x1, y1 in head.complete_regions or []:
            complete[y0:y1, x0:x1] = True
        self.assertTrue(complete[labels == 1].all())
        self.assertFalse(complete[labels > 1].any())
        self.assertLess(complete.mean(), 0.1)
        with editor.expect_event("close"):
            panel.get_by_role("button", name="Back to Ask me").click()
        self.goes_on()

    def goes_on(self) -> None:
        """Back in the panel the next cell is asked about, and the first one never again."""
        card = self.page.get_by_role("status", name="The cell in question")
        expect(card).not_to_contain_text("#1 ")
        strip = self.page.get_by_role("list", name="Cells at hand")
        expect(strip.get_by_role("button", name="cell 1 of", exact=False).first).to_have_attribute(
            "aria-label", "HEK, cell 1 of mixed_b1_001.tif, mended"
        )
        self.page.keyboard.press("Enter")
        expect(self.page.get_by_text("1 answer")).to_be_visible()
        self.page.keyboard.press("Escape")
        expect(self.page.get_by_label("Order")).to_be_visible()
        self.page.wait_for_timeout(500)  # what was not answered is given back
        self.ask()
        cells = CellQuestion.objects.filter(annotator=self.people.bob, answered_at=None)
        asked = set(cells.values_list("cell__label", flat=True))
        self.assertTrue(asked)
        self.assertFalse(asked & {1, 2})

    def test_a_place_without_a_cell_is_framed(self) -> None:
        prediction = self.image.predictions.get()
        labels = storage.labels_get(prediction.labels_key)
        prediction.cells.filter(label=6).delete()
        prediction.labels_key = storage.labels_put(np.where(labels == 6, 0, labels))
        prediction.missed_at, prediction.missed, prediction.diameter = [[60, 60, 0.8]], 0.8, 26.0
        prediction.save()
        self.ask()
        editor = self.in_editor()
        panel = editor.get_by_role("region", name="Asked about")
        expect(panel).to_contain_text("Is a cell missing in the frame?")
        expect(editor.get_by_role("checkbox", name="Whole image")).not_to_be_checked()
        self.shoot(editor, "asked-editor-place")
        editor.keyboard.press("Shift+Enter")
        expect(editor.get_by_text("Nothing changed yet.")).to_be_visible()
        self.assertFalse(Revision.objects.exists())
