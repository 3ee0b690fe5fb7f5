"""The Training page in a real browser: real runs by a real worker, followed from start to end."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from django.conf import settings
from django.test import tag
from playwright.sync_api import Locator, expect

from annotator.models import RunStatus, TrainingRun
from annotator.work.importing import import_model
from tests.annotator.elsewhere import make_model_file
from tests.annotator.factories import make_dataset
from tests.annotator.trained import TINY, add_large
from tests.annotator.workers import Worker
from tests.e2e.browser import SLOW, BrowserTest
from tests.e2e.server import Server
from tests.people import make_people

# Predictions go to a queue that nobody listens to: they would only take the training's cores.
QUIET = {"PREDICTION_QUEUE": "nobody"}
EPOCHS = 6
# Keeps every sentence that the first card has shown.
LISTEN = """() => {
  window.heard = [];
  const note = () => {
    const said = document.querySelector("article p[aria-live]")?.textContent ?? "";
    if (said !== "" && window.heard.at(-1) !== said) window.heard.push(said);
  };
  new MutationObserver(note).observe(document.body, {
    characterData: true, childList: true, subtree: true,
  });
  note();
}"""


@tag("browser", "training")
class Training(BrowserTest):
    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(self.enterContext(TemporaryDirectory()))
        # What an earlier run of this test has prepared would be taken again, too fast to be seen.
        shutil.rmtree(settings.SNAPSHOTS_DIR, ignore_errors=True)
        # Without types: the policy would train a first detector beside these runs.
        self.dataset = make_dataset("coculture", types=(), training=TINY)
        self.people = make_people(self.dataset)
        # So many that each step lasts a few heartbeats, with which it is told.
        for seed in range(16):
            add_large(self.dataset, seed, "train" if seed < 14 else "validation", side=2)
        for seed in range(20, 26):
            add_large(self.dataset, seed, "test", side=2)
        file = make_model_file(self.dataset, self.folder / "m.zip")
        import_model(dataset=self.dataset, family="segmenter", file=file)
        self.url = self.enterContext(Server(self.folder, **QUIET)).url

    def _go(self, page: str = "") -> None:
        self.page.goto(f"{self.url}/datasets/{self.dataset.pk}{page}")

    def _start(self, epochs: int) -> Locator:
        """Start a run of the segmenter from the page; its card."""
        before = TrainingRun.objects.count()
        form = self.page.locator("form").filter(has_text="Train now")
        form.get_by_label("Start from").select_option("current")
        form.get_by_label("Until").select_option("epochs")
        form.get_by_label("Epochs").fill(str(epochs))
        form.get_by_role("button", name="Start training").click()
        expect(self.page.get_by_role("article")).to_have_count(before + 1)
        return self.page.get_by_role("article").first

    def test_a_run_is_started_followed_to_its_end_and_another_is_cancelled(self) -> None:
        self.sign_in(self.people.alice)
        self._go("/training")
        card = self._start(EPOCHS)
        expect(card).to_contain_text("Segmenter training waits for a free worker.")
        self.page.evaluate(LISTEN)
        with Worker(self.folder, slots=1, **QUIET):
            self._followed(card)
            self._cancelled()
        self._lineage_and_learning_curve()

    def _followed(self, card: Locator) -> None:
        # The worker has yet to start, and to load PyTorch.
        expect(card).to_contain_text(
            re.compile(r"preparing: \w+ images, \d+ s left"), timeout=2 * SLOW
        )
        expect(card).to_contain_text(re.compile(r"\d+ of 16 images"))
        self.screenshot("training-preparing")
        expect(card.get_by_role("img", name="Loss")).to_be_visible()
        expect(card.get_by_role("img", name="Validation images")).to_be_visible()
        expect(card).to_contain_text(re.compile(r"CPU.* on .+, [\d,]+ MB of memory"))
        expect(card).to_contain_text(re.compile("Waiting for images took .* of the training"))
        card.get_by_text("Log", exact=True).click()
        log = card.get_by_role("region", name=re.compile("Log of run"))
        expect(log).to_contain_text("Epoch 1 of 6: training loss")
        self.screenshot("training-live")
        expect(log).to_contain_text("is evaluating", timeout=SLOW)
        expect(card.get_by_text("done", exact=True)).to_be_visible(timeout=3 * SLOW)
        expect(card.get_by_text("segmenter-2", exact=True)).to_be_visible()
        expect(card.get_by_role("button", name=re.compile("Cancel|Resume"))).to_have_count(0)
        self.screenshot("training-done")
        heard = "\n".join(self.page.evaluate("window.heard"))
        for said in (
            r"waits for a free worker",
            r"is preparing: (reading|preparing) images, \d+ s left",
            rf"is training: epoch \d of {EPOCHS}, \d+ s left",
            r"is being evaluated: (trying|measuring) segmenter-\d, \d+ s left",
        ):
            self.assertRegex(heard, said)
        run = TrainingRun.objects.latest("pk")
        self.assertEqual((run.status, run.epoch), (RunStatus.DONE, EPOCHS))
        self.assertEqual(run.requested_by, self.people.alice)

    def _cancelled(self) -> None:
        card = self._start(500)
        expect(card).to_contain_text(re.compile(r"is training: epoch \d+ of 500, .* left"))
        card.get_by_role("button", name="Cancel").click()
        asked = time.monotonic()
        expect(card.get_by_text("cancelled", exact=True)).to_be_visible()
        self.assertLess(time.monotonic() - asked, 10)
        expect(card.get_by_role("button", name="Resume")).to_be_visible()
        expect(card).to_contain_text("what was trained so far is kept")
        self.screenshot("training-cancelled")
        self.assertEqual(TrainingRun.objects.latest("pk").status, RunStatus.CANCELLED)

    def _lineage_and_learning_curve(self) -> None:
        self._go("/models")
        lineage = self.page.get_by_role("region", name="Segmenter: where each version comes from")
        taught = re.compile("segmenter-2 .*: from segmenter-1, taught by 14 images")
        expect(lineage).to_contain_text(taught)
        lineage.scroll_into_view_if_needed()
        self.screenshot("training-lineage")
        for page in ("/models", ""):
            self._go(page)
            panel = self.page.get_by_role("region", name="Learning curve")
            expect(panel.get_by_role("img", name="Segmenter AP@0.5")).to_be_visible()
            verdict = panel.get_by_role("list", name="Whether more labels help")
            expect(verdict).to_contain_text("Segmenter AP@0.5")
            panel.get_by_label("Against").select_option("minutes")
            panel.scroll_into_view_if_needed()
        self.screenshot("training-learning-curve")
