"""A search for better settings in a real browser: start it, read its plots, cancel it."""

from __future__ import annotations

import math
import random
import re

from django.test import tag
from playwright.sync_api import expect

from annotator.models import Search, SearchStatus, SearchTrial, TrialState
from annotator.services.runs import RunRequest
from annotator.services.searches import SearchRequest, search_create
from tests.annotator.factories import make_dataset, make_image, make_revision, square_labels
from tests.e2e.browser import BrowserTest
from tests.people import make_people


def fill(search: Search, trials: int, over: int) -> None:
    """Give the first ``over`` trials settings and a score, as a worker would."""
    chance = random.Random(4)
    for trial in search.trials.filter(number__lte=over):
        rate = 2e-3 if trial.number == 1 else 10 ** chance.uniform(-4, -2)
        score = -0.32 - 0.25 * (math.log10(rate) + 2.9) ** 2 - chance.uniform(0, 0.1)
        pruned = trial.number > 5 and score < -0.5
        trial.state = TrialState.PRUNED if pruned else TrialState.DONE
        if trial.number == trials // 2:
            trial.state, score = TrialState.FAILED, math.nan
        trial.value = None if math.isnan(score) else score
        trial.params = {
            "learning_rate": rate,
            "weight_decay": 10 ** chance.uniform(-6, -2),
            "warmup": chance.uniform(0, 0.2),
            "ema": chance.uniform(0.9, 0.999),
            "clip": 10 ** chance.uniform(-1, 1),
            "batch_size": chance.choice([4, 8, 16]),
            "crop": chance.choice([160, 192, 224, 256, 288]),
            "scale_low": chance.uniform(0.5, 1),
            "scale_high": chance.uniform(1, 2),
        }
        epochs = [{"epoch": n, "score": score - 1 / n, "metrics": {"ap50": 0.7}} for n in (1, 2)]
        trial.epochs = epochs if trial.value is not None else []
        trial.save()
    SearchTrial.objects.filter(search=search, number=over + 1).update(state=TrialState.TRAINING)
    Search.objects.filter(pk=search.pk).update(status=SearchStatus.SEARCHING)


@tag("browser")
class Searching(BrowserTest):
    def setUp(self) -> None:
        super().setUp()
        self.dataset = make_dataset("coculture")
        self.people = make_people(self.dataset)
        for name in ("mixed_a_1.tif", "mixed_b_1.tif"):
            make_revision(make_image(self.dataset, name, split="train"), labels=square_labels(6))

    def test_a_manager_starts_a_search_and_cancels_it(self) -> None:
        self.sign_in(self.people.alice)
        self.page.goto(f"{self.live_server_url}/datasets/{self.dataset.pk}/models")
        self.page.get_by_role("button", name="Start a search").click()
        dialog = self.page.get_by_role("dialog")
        dialog.get_by_label("Trials").fill("4")
        dialog.get_by_label("Minutes per trial").fill("2")
        expect(dialog).to_contain_text("At most 8 min")
        self.screenshot("search-form")
        dialog.get_by_role("button", name="Start search").click()
        panel = self.page.get_by_role("region", name="Search for better settings")
        expect(panel).to_contain_text("queued")
        search = Search.objects.get()
        self.assertEqual((search.wanted, search.minutes), (4, 2.0))
        self.assertEqual(search.requested_by, self.people.alice)
        panel.get_by_role("button", name="Cancel").click()
        expect(panel).to_contain_text("cancelled")
        search.refresh_from_db()
        self.assertEqual(search.status, SearchStatus.CANCELLED)

    def test_a_viewer_reads_the_plots_by_hand_and_by_key(self) -> None:
        training = RunRequest(self.dataset, "segmenter", "a test", self.people.alice, "scratch")
        search = search_create(request=SearchRequest(training, 20, 5.0))
        fill(search, 20, 16)
        self.sign_in(self.people.vera)
        self.page.set_viewport_size({"width": 1280, "height": 1500})
        self.page.goto(f"{self.live_server_url}/datasets/{self.dataset.pk}/models")
        panel = self.page.get_by_role("region", name="Search for better settings")
        expect(panel).to_contain_text("16 of 20 trials are over")
        expect(panel.get_by_role("button", name=re.compile("Start|Cancel"))).to_have_count(0)
        self.screenshot("search-dark")
        history = panel.get_by_role("img", name="Validation score of each trial")
        history.focus()
        self.page.keyboard.press("ArrowRight")
        expect(panel).to_contain_text("Trial 1 · done · score")
        self.screenshot("search-chosen")
        self.page.evaluate("document.documentElement.dataset.theme = 'light'")
        panel.get_by_text("All trials", exact=True).click()
        expect(panel.get_by_role("table", name="All trials with their settings")).to_be_visible()
        self.screenshot("search-light")
        self.page.set_viewport_size({"width": 420, "height": 1500})
        self.screenshot("search-narrow")
