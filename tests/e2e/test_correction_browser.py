"""A lab member's first hour, in a real browser: sign in, upload, correct, submit."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import numpy as np
from django.test import tag
from playwright.sync_api import expect

from annotator import storage
from annotator.models import Image, Revision
from tests.annotator.factories import make_dataset, make_image, make_revision, square_labels
from tests.e2e.browser import BrowserTest
from tests.people import make_people
from training.synthetic import Layout, draw_image, write_folder


@tag("browser")
class Correction(BrowserTest):
    def setUp(self) -> None:
        super().setUp()
        self.dataset = make_dataset("coculture")
        self.people = make_people(self.dataset)

    def _surface(self) -> dict[str, float]:
        surface = self.page.get_by_role("application")
        expect(surface).to_be_visible()
        box = surface.bounding_box()
        assert box is not None
        return {"x": box["x"], "y": box["y"], "width": box["width"], "height": box["height"]}

    def _stroke(self, *points: tuple[float, float]) -> None:
        """Drag through ``points``, given in px from the middle of the editing surface."""
        box = self._surface()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.move(x + points[0][0], y + points[0][1])
        self.page.mouse.down()
        for dx, dy in points[1:]:
            self.page.mouse.move(x + dx, y + dy, steps=4)
        self.page.mouse.up()

    def test_a_folder_is_uploaded_and_its_masks_become_revisions(self) -> None:
        self.sign_in(self.people.alice)
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        layout = Layout(kinds=("HEK", "N2a"), batch_size=2, shape=(96, 96))
        write_folder(folder, 2, seed=5, masked=lambda stem: stem.startswith("HEK"), layout=layout)
        (folder / "HEK_b9_001.png").write_text("not an image")
        self.page.goto(f"{self.live_server_url}/datasets/{self.dataset.pk}/upload")
        self.page.locator("input[type=file]").first.set_input_files(sorted(folder.iterdir()))
        expect(self.page.get_by_role("cell", name="HEK_b1_001.tif")).to_be_visible()
        self.page.get_by_role("button", name=re.compile("^(Upload|Import)")).click()
        expect(self.page.get_by_text(re.compile("HEK_b9_001.png is no image"))).to_be_visible()
        self.assertEqual(Image.objects.filter(dataset=self.dataset).count(), 2)
        self.assertEqual(Revision.objects.get().author, self.people.alice)

    def test_a_cell_is_painted_typed_undone_redone_and_submitted(self) -> None:
        drawn = draw_image("mixed", (128, 128), 3)
        image = make_image(self.dataset, "mixed_b1_001.tif", drawn.image, split="train")
        self.sign_in(self.people.bob)
        self.page.goto(f"{self.live_server_url}/datasets/{self.dataset.pk}/correct")
        self._surface()
        self.page.keyboard.press("b")
        self._stroke((-60, -60), (60, -60), (60, 40))
        total = self.page.get_by_text("1 cell", exact=True)
        expect(total).to_be_visible()
        self.page.keyboard.press("2")  # the stroke's cell is selected: it becomes an N2a
        self.page.keyboard.press("Control+z")
        self.page.keyboard.press("Control+z")
        expect(total).to_be_hidden()
        self.page.keyboard.press("Control+Shift+z")
        self.page.keyboard.press("Control+Shift+z")
        expect(total).to_be_visible()
        self.page.keyboard.press("Shift+Enter")
        expect(self.page.get_by_text("Submitted").first).to_be_visible()
        revision = Revision.objects.get(image=image)
        self.assertEqual((revision.number, revision.author), (1, self.people.bob))
        cell = revision.cells.get()
        self.assertEqual((str(cell.type), cell.type_source), ("N2a", "human"))
        labels = storage.labels_get(revision.labels_key)
        self.assertEqual(np.count_nonzero(labels), cell.area)
        self.assertGreater(cell.area, 100)

    def test_somebody_elses_newer_revision_is_not_overwritten(self) -> None:
        image = make_image(self.dataset, array=np.ones((2, 64, 64), np.uint16) * 500)
        make_revision(image, self.people.alice, square_labels(2, (64, 64)))
        self.sign_in(self.people.bob)
        self.page.goto(f"{self.live_server_url}/images/{image.pk}")
        self._surface()
        expect(self.page.get_by_text("2 cells", exact=True)).to_be_visible()
        self.page.keyboard.press("b")
        self._stroke((150, 150), (200, 200))
        expect(self.page.get_by_text("3 cells", exact=True)).to_be_visible()
        theirs = make_revision(image, self.people.alice, square_labels(1, (64, 64)))
        self.hand_in()
        expect(self.page.get_by_text("Somebody else saved first")).to_be_visible()
        self.assertEqual(image.revisions.order_by("-number").first(), theirs)

    def test_a_stranger_sees_no_data_set(self) -> None:
        self.sign_in(self.people.charlie)
        expect(self.page.get_by_text("coculture")).to_have_count(0)
        self.page.goto(f"{self.live_server_url}/datasets/{self.dataset.pk}")
        expect(
            self.page.get_by_text(
                re.compile("no such|not found|does not exist|nothing here", re.I)
            ).first
        ).to_be_visible()
