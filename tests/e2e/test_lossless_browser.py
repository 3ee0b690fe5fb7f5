"""Work is never lost: a killed tab, a server gone, an expired sign-in, a rival's revision."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable

import numpy as np
from django.contrib.sessions.models import Session
from django.test import tag
from playwright.sync_api import Error, Page, expect

from annotator import storage
from annotator.models import Draft, QueueItem, Revision
from tests.annotator.factories import make_dataset, make_image, make_revision, square_labels
from tests.e2e.browser import BrowserTest
from tests.people import PASSWORD, client_of, make_people

SHAPE = (64, 64)
DRAFT = "**/api/v1/images/*/draft/"


@tag("browser")
class Lossless(BrowserTest):
    def setUp(self) -> None:
        super().setUp()
        self.dataset = make_dataset("coculture")
        self.people = make_people(self.dataset)
        self.image = make_image(self.dataset, array=np.ones((2, *SHAPE), np.uint16) * 500)
        self.first = make_revision(self.image, self.people.alice, square_labels(2, SHAPE))
        self.sign_in(self.people.bob)

    def _open(self, page: Page | None = None) -> None:
        page = page or self.page
        page.goto(f"{self.live_server_url}/images/{self.image.pk}")
        expect(page.get_by_role("application")).to_be_visible()

    def _cells(self, count: int) -> None:
        noun = "cell" if count == 1 else "cells"
        expect(self.page.get_by_text(f"{count} {noun}", exact=True)).to_be_visible()

    def _draw(self, *points: tuple[float, float]) -> None:
        """A new cell through ``points``, in px from the middle of the editing surface."""
        box = self.page.get_by_role("application").bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.keyboard.press("b")
        self.page.mouse.move(x + points[0][0], y + points[0][1])
        self.page.mouse.down()
        for dx, dy in points[1:]:
            self.page.mouse.move(x + dx, y + dy, steps=4)
        self.page.mouse.up()

    def _crash(self) -> None:
        """Kill the tab: no unload, no last words; a new one takes its place."""
        with (
            self.page.expect_event("crash", timeout=10_000),
            contextlib.suppress(Error),
        ):
            self.page.goto("chrome://crash", timeout=5_000)
        self.page = self.page.context.new_page()
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _within(self, seconds: float, check: Callable[[], bool]) -> None:
        until = time.monotonic() + seconds
        while not check():
            self.assertLess(time.monotonic(), until, f"not within {seconds} s")
            self.page.wait_for_timeout(100)

    def test_a_killed_tab_loses_nothing_and_can_still_undo(self) -> None:
        gone = [True]
        self.page.context.route(
            DRAFT, lambda route: route.abort() if gone[0] else route.continue_()
        )
        self._open()
        self._draw((150, 150), (200, 200))
        self._cells(3)
        self._draw((-200, 100), (-150, 150))
        self._cells(4)
        expect(self.page.get_by_text("Offline since")).to_be_visible()
        self._crash()
        self._open()
        dialog = self.page.get_by_role("dialog")
        expect(dialog).to_contain_text("This browser kept 2 edits")
        self.screenshot("lossless-restore")
        dialog.get_by_role("button", name="Go on with it").click()
        self._cells(4)
        self.page.keyboard.press("Control+z")
        self._cells(3)
        self.page.keyboard.press("Control+z")
        self._cells(2)
        self.page.keyboard.press("Control+Shift+z")
        self._cells(3)
        self.assertFalse(Draft.objects.exists())
        gone[0] = False
        # The network is back, which the browser says: to this page, the killed one is still there.
        network = self.page.context.new_cdp_session(self.page)
        speed = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        for offline in (True, False):
            network.send("Network.emulateNetworkConditions", {"offline": offline, **speed})
        self._within(6, Draft.objects.exists)
        expect(self.page.get_by_text(re.compile(r"^Saved \d"))).to_be_visible()

    def test_the_server_has_the_work_in_six_seconds_and_another_browser_goes_on(self) -> None:
        self._open()
        self._draw((150, 150), (200, 200))
        url = f"/api/v1/images/{self.image.pk}/draft/"
        bob = client_of(self.people.bob)
        self._within(6, lambda: bob.get(url).status_code == 200)
        self.assertEqual(bob.get(url).json()["base"], 1)
        expect(self.page.get_by_text(re.compile(r"^Saved \d"))).to_be_visible()
        other = self.browser.new_context(viewport={"width": 1280, "height": 800})
        self.addCleanup(other.close)
        self.page = other.new_page()
        self.sign_in(self.people.bob)
        self.page.goto(f"{self.live_server_url}/datasets/{self.dataset.pk}")
        card = self.page.get_by_role("region", name="Your unsubmitted work")
        card.get_by_role("link", name=self.image.name).click()
        dialog = self.page.get_by_role("dialog")
        expect(dialog).to_contain_text("The server kept 1 edit")
        dialog.get_by_role("button", name="Go on with it").click()
        self._cells(3)
        self.hand_in()
        expect(self.page.get_by_text("Submitted").first).to_be_visible()
        self.assertEqual(Revision.objects.get(number=2).author, self.people.bob)
        self.assertFalse(Draft.objects.exists())

    def test_an_expired_sign_in_is_renewed_in_place(self) -> None:
        self._open()
        Session.objects.all().delete()
        self._draw((150, 150), (200, 200))
        dialog = self.page.get_by_role("dialog")
        expect(dialog).to_contain_text("Your sign-in has expired")
        self.screenshot("lossless-signed-out")
        dialog.get_by_role("button", name="Later").click()
        self._draw((-200, 100), (-150, 150))
        self._cells(4)
        self.page.get_by_role("button", name="Sign in").click()
        dialog.get_by_label("Password").fill(PASSWORD)
        dialog.get_by_role("button", name="Sign in and go on").click()
        self._within(6, Draft.objects.exists)
        self.assertEqual(Draft.objects.get().document["edits"], 2)
        self._cells(4)

    def test_two_tabs_hand_the_image_over_at_once(self) -> None:
        self._open()
        self._draw((150, 150), (200, 200))
        self._cells(3)
        first = self.page
        self.page = first.context.new_page()
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self._open()
        dialog = self.page.get_by_role("dialog", name="Open in another tab")
        expect(dialog).to_contain_text("1 edit not submitted")
        self.screenshot("lossless-other-tab")
        self.page.keyboard.press("Enter")
        self._cells(3)
        expect(first.get_by_text("read only", exact=True)).to_be_visible(timeout=1_000)
        self._draw((-200, 100), (-150, 150))
        self._cells(4)
        self.page = first
        self._draw((-200, -100), (-150, -50))
        self._cells(3)
        self.screenshot("lossless-first-tab")
        self.page.get_by_role("button", name="Go on here instead").click()
        self._cells(4)
        self.page.keyboard.press("Control+z")
        self._cells(3)

    def test_cells_of_a_newer_revision_are_taken_beside_mine(self) -> None:
        self._open()
        self._draw((150, 150), (200, 200))
        self._cells(3)
        theirs = square_labels(2, SHAPE)
        theirs[50:60, 4:14] = 9
        make_revision(self.image, self.people.alice, theirs)
        self.hand_in()
        self.page.get_by_role("button", name="Compare with theirs").click()
        view = self.page.get_by_role("dialog", name=re.compile("Your work beside revision 2"))
        expect(view.get_by_text("2 cells differ")).to_be_visible()
        added = view.get_by_role("listitem").filter(has_text=re.compile("only alice has it"))
        added.get_by_label(re.compile("theirs")).check()
        self.page.wait_for_timeout(500)  # a frame of both pictures, for whoever looks at them
        self.screenshot("lossless-merge")
        view.get_by_role("button", name="Submit the result").click()
        expect(self.page.get_by_text("Submitted").first).to_be_visible()
        revision = Revision.objects.get(image=self.image, number=3)
        labels = storage.labels_get(revision.labels_key)
        self.assertEqual(revision.cells.count(), 4)
        self.assertEqual(len(np.unique(labels[50:60, 4:14])), 1)
        self.assertNotIn(labels[55, 8], (0, 1, 2))
        mine = labels[SHAPE[0] // 2 :, SHAPE[1] // 2 :]
        self.assertGreater(np.count_nonzero(mine), 10)

    def test_without_the_lease_the_editor_only_shows_and_the_work_is_kept(self) -> None:
        other = make_image(self.dataset, array=np.ones((2, *SHAPE), np.uint16) * 400)
        self.page.goto(f"{self.live_server_url}/datasets/{self.dataset.pk}/correct")
        expect(self.page.get_by_role("application")).to_be_visible()
        self._draw((150, 150), (200, 200))
        item = QueueItem.objects.get(annotator=self.people.bob)
        self.assertEqual(item.image, other)
        QueueItem.objects.filter(pk=item.pk).update(annotator=self.people.alice)
        self.hand_in()
        dialog = self.page.get_by_role("dialog")
        expect(dialog).to_contain_text("in the hands of alice")
        dialog.get_by_role("button", name="Not now").click()
        banner = self.page.get_by_role("alert").filter(has_text="Read only")
        expect(banner).to_contain_text("in the hands of alice")
        self.screenshot("lossless-lease")
        self._draw((-200, 100), (-150, 150))
        self._cells(1)
        self._within(6, Draft.objects.exists)
        banner.get_by_role("button", name="Submit as a revision anyway").click()
        expect(self.page.get_by_text("Submitted").first).to_be_visible()
        self.assertEqual(Revision.objects.get(image=other).cells.count(), 1)
