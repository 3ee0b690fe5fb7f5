"""The gallery in a browser: bulk changes, undo, the keyboard alone, cells one is asked about."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from django.test import tag
from playwright.sync_api import Locator, expect

from annotator import storage
from annotator.models import CellQuestion, Image, Revision
from tests.annotator.factories import (
    make_cells,
    make_dataset,
    make_image,
    make_prediction,
    make_revision,
    make_version,
)
from tests.e2e.browser import BrowserTest
from tests.people import make_people

SIDE = 160
PER_IMAGE = 16


def field(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels and labels of 16 round cells, no two images alike."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    pixels = rng.integers(100, 400, (2, SIDE, SIDE))
    labels = np.zeros((SIDE, SIDE), np.uint16)
    for number in range(PER_IMAGE):
        cy, cx = 20 + 40 * np.array(divmod(number, 4))
        apart = np.hypot(y - cy, (x - cx) * rng.uniform(0.8, 1.3))
        labels[apart < 13] = number + 1
        pixels[0][apart < 13] += 2500
        pixels[1][apart < 6] += 3000
    return pixels.astype(np.uint16), labels


@tag("browser")
class Gallery(BrowserTest):
    def setUp(self) -> None:
        super().setUp()
        self.dataset = make_dataset("coculture")
        self.people = make_people(self.dataset)
        self.version = make_version(self.dataset)
        self.images = [self.predicted(number) for number in range(1, 4)]
        self.sign_in(self.people.bob)

    def predicted(self, number: int) -> Image:
        pixels, labels = field(number)
        image = make_image(self.dataset, f"mixed_b{number}_001.tif", pixels, split="train")
        prediction = make_prediction(image, self.version, labels)
        said: dict[int, dict[str, Any]] = {
            # The first image's cells are the most uncertain, in the order of their labels.
            label: {"uncertainty": 1 - 0.2 * number - 0.01 * label, "terms": {"border": 0.5}}
            for label in range(1, PER_IMAGE + 1)
        }
        make_cells(prediction, said, type="HEK", probabilities={"HEK": 0.7, "N2a": 0.3})
        return image

    def open(self, query: str = "") -> None:
        self.page.goto(f"{self.live_server_url}/datasets/{self.dataset.pk}/gallery{query}")
        expect(self.page.get_by_text("48 cells", exact=False).first).to_be_visible()
        expect(self.option(0).locator("img")).to_be_visible()

    def option(self, place: int) -> Locator:
        return self.page.locator(f'[role="option"][aria-posinset="{place + 1}"]')

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def types(self, image: Image) -> dict[int, str | None]:
        head = Revision.objects.filter(image=image).order_by("-number").first()
        return dict(head.cells.values_list("label", "type__name")) if head else {}

    def test_a_rubber_band_selects_cells_and_a_digit_retypes_them(self) -> None:
        self.open()
        first, last = self.option(0).bounding_box(), self.option(2).bounding_box()
        assert first is not None
        assert last is not None
        self.page.mouse.move(first["x"] + 5, first["y"] + 5)
        self.page.mouse.down()
        self.page.mouse.move(last["x"] + 40, last["y"] + 40, steps=5)
        self.screenshot("gallery-band")
        self.page.mouse.up()
        expect(self.page.get_by_text("3 cells selected")).to_be_visible()
        self.press("2")
        expect(self.option(0)).to_have_attribute("aria-label", self.named("N2a", 1, "retyped"))
        types = self.types(self.images[0])
        self.assertEqual([types[label] for label in (1, 2, 3, 4)], ["N2a"] * 3 + ["HEK"])
        self.screenshot("gallery")
        self.press("u")
        expect(self.page.get_by_text("Undone: 3 cells made N2a.")).to_be_visible()
        expect(self.option(0)).to_have_attribute("aria-label", self.named("HEK", 1, ""))
        self.assertEqual(set(self.types(self.images[0]).values()), {"HEK"})
        self.assertEqual(Revision.objects.count(), 2)

    def named(self, kind: str, label: int, mark: str) -> Any:
        end = f", {mark}$" if mark else "%$"
        return re.compile(rf"^{kind}, cell {label} of mixed_b1_001\.tif, uncertainty \d+ ?.*{end}")

    def test_cells_of_several_images_are_changed_at_once(self) -> None:
        self.open()
        self.page.get_by_label("Order").select_option("image")
        self.option(0).click()
        self.option(20).click(modifiers=["Control"])
        self.option(40).click(modifiers=["Control"])
        expect(self.page.get_by_text("3 cells selected")).to_be_visible()
        self.page.get_by_role("button", name="N2a").click()
        expect(self.option(40)).to_have_attribute("aria-label", re.compile("retyped$"))
        self.assertEqual(
            sorted(Revision.objects.values_list("image", "number")),
            [(image.pk, 1) for image in self.images],
        )
        self.press("Escape", "Home", "1")  # for the cells, though a button has the focus
        expect(self.page.get_by_role("button", name="Undo")).to_have_attribute(
            "title", "Undo: 1 cell made HEK"
        )

    def test_everything_goes_by_the_keyboard_alone(self) -> None:
        self.open()
        self.press("ArrowRight", "Shift+ArrowRight", "Shift+ArrowRight")
        expect(self.page.get_by_text("3 cells selected")).to_be_visible()
        self.press("x")
        expect(self.option(2)).to_have_attribute("aria-label", self.named("HEK", 3, "rejected"))
        self.assertEqual(sorted(self.types(self.images[0]))[:3], [1, 5, 6])
        self.press("Home", "Enter")
        expect(self.option(0)).to_have_attribute("aria-label", self.named("HEK", 1, "accepted"))
        self.press("z")
        expect(self.page.locator('[role="option"] svg')).to_have_count(0)
        self.press("z", "u")
        expect(self.page.get_by_text("Undone: 1 cell accepted.")).to_be_visible()
        self.press("u")
        expect(self.page.get_by_text("Undone: 3 cells rejected.")).to_be_visible()
        self.assertEqual(len(self.types(self.images[0])), PER_IMAGE)
        self.press("n")
        expect(self.page.get_by_label("Order")).to_have_value("nearest")
        expect(self.page.get_by_text("by size and shape")).to_be_visible()
        self.press("Escape")
        expect(self.page.get_by_label("Order")).to_have_value("uncertainty")
        self.press("?")
        expect(self.page.get_by_role("dialog")).to_contain_text("Reject: there is no cell")
        self.press("Escape")
        expect(self.page.get_by_role("dialog")).to_be_hidden()

    def test_only_what_is_in_view_is_in_the_page(self) -> None:
        self.page.set_viewport_size({"width": 700, "height": 420})
        self.open()
        self.page.get_by_label("Size of the pictures").fill("192")
        expect(self.option(40)).to_have_count(0)
        self.press("Escape")  # from the slider back to the cells
        self.press("End")
        expect(self.option(47).locator("img")).to_be_visible()
        expect(self.option(0)).to_have_count(0)

    def test_the_list_scrolls_on_while_the_hand_rests_below_it(self) -> None:
        self.page.set_viewport_size({"width": 700, "height": 420})
        self.open()
        self.page.get_by_label("Size of the pictures").fill("192")
        expect(self.option(40)).to_have_count(0)
        box = self.page.get_by_role("listbox", name="Cells").bounding_box()
        assert box is not None
        self.page.mouse.move(box["x"] + 5, box["y"] + 5)
        self.page.mouse.down()
        self.page.mouse.move(box["x"] + box["width"] - 5, box["y"] + box["height"] + 60, steps=4)
        expect(self.page.get_by_text("48 cells selected")).to_be_visible()
        self.page.mouse.up()

    def test_a_click_takes_no_key_from_the_cells(self) -> None:
        self.open()
        self.page.get_by_role("button", name="Outlines").click()
        self.press("Enter")
        expect(self.option(0)).to_have_attribute("aria-label", self.named("HEK", 1, "accepted"))
        self.page.get_by_role("link", name="Ask me").click()
        card = self.page.get_by_label("The cell in question")
        strip = self.page.get_by_role("list", name="Cells at hand")
        strip.get_by_role("button", name="cell 3 of mixed_b1_001.tif").click()
        expect(card).to_contain_text("#3")
        self.press("Enter")
        expect(self.page.get_by_text("1 answer ")).to_be_visible()
        expect(card).not_to_contain_text("#3")

    def test_an_image_that_somebody_else_changed_is_left_alone_and_said(self) -> None:
        self.open()
        make_revision(self.images[0], self.people.alice, types={1: "HEK"}, labels=field(1)[1])
        self.press("2")
        expect(self.page.get_by_text("Left alone: mixed_b1_001.tif was changed")).to_be_visible()
        self.assertEqual(self.types(self.images[0])[1], "HEK")

    def test_cells_one_is_asked_about_are_answered_by_keys(self) -> None:
        self.open()
        self.page.get_by_role("link", name="Ask me").click()
        card = self.page.get_by_label("The cell in question")
        expect(card).to_contain_text("the models disagree on the border")
        expect(card).to_contain_text("mixed_b1_001.tif")
        self.screenshot("gallery-asked")
        self.assertGreater(CellQuestion.objects.filter(annotator=self.people.bob).count(), 5)
        self.press("2", "Enter", "x", "s")
        expect(self.page.get_by_text("3 answers")).to_be_visible()
        self.press("u")
        expect(self.page.get_by_text("2 answers")).to_be_visible()
        expect(card).to_contain_text("#3")
        self.press("x", "Escape")
        expect(self.page.get_by_label("Order")).to_be_visible()
        expect(self.option(0).locator("img")).to_be_visible()
        verdicts = CellQuestion.objects.exclude(verdict="").order_by("cell")
        self.page.wait_for_timeout(500)
        self.assertEqual(
            list(verdicts.values_list("verdict", flat=True)), ["retyped", "accepted", "rejected"]
        )
        head = Revision.objects.get(image=self.images[0])
        self.assertEqual((head.author, head.source), (self.people.bob, "gallery"))
        self.assertGreater(head.seconds_spent or 0, 0)
        types = self.types(self.images[0])
        self.assertEqual((types[1], types[2], 3 in types), ("N2a", "HEK", False))
        # What was not answered is free for others.
        waiting = CellQuestion.objects.filter(answered_at=None)
        self.assertFalse(waiting.exclude(annotator=None).exists())

    def test_a_cell_that_no_model_drew_is_added_by_a_key(self) -> None:
        prediction = self.images[0].predictions.get()
        labels = storage.labels_get(prediction.labels_key)
        prediction.cells.filter(label=6).delete()
        prediction.labels_key = storage.labels_put(np.where(labels == 6, 0, labels))
        prediction.missed_at, prediction.missed, prediction.diameter = [[60, 60, 0.8]], 0.8, 26.0
        prediction.save()
        self.page.goto(f"{self.live_server_url}/datasets/{self.dataset.pk}/gallery?ask")
        card = self.page.get_by_role("status", name="The cell in question")
        expect(card).to_contain_text("Is a cell missing here?")
        expect(card).to_contain_text("it looks like a cell (80 %)")
        expect(self.page.locator(".large img")).to_be_visible()
        self.screenshot("gallery-missing")
        self.page.keyboard.press("2")
        expect(card).not_to_contain_text("missing here")
        self.page.keyboard.press("Escape")
        expect(self.option(0)).to_be_visible()
        head = self.images[0].revisions.get()
        added = head.cells.get(type__name="N2a", type_source="human")
        there = storage.labels_get(head.labels_key) == added.label
        true = field(1)[1] == 6
        self.assertGreater((there & true).sum() / (there | true).sum(), 0.7)

    def test_a_viewer_looks_but_changes_nothing(self) -> None:
        self.page.context.clear_cookies()
        self.sign_in(self.people.vera)
        self.open()
        expect(self.page.get_by_text("annotators can change cells")).to_be_visible()
        self.press("2", "x")
        self.page.wait_for_timeout(300)
        self.assertFalse(Revision.objects.exists())
