"""A live server and a real Chromium; without one the tests are skipped, under CI=true they fail."""

from __future__ import annotations

import os
import re
import shutil
import unittest
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.staticfiles.testing import StaticLiveServerTestCase
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.people import PASSWORD

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
SLOW = 30_000  # ms to wait for what the page should show


class BrowserTest(StaticLiveServerTestCase):
    """Each test gets ``self.page``, signed out, at 1280 × 800."""

    browser: Browser

    @classmethod
    def setUpClass(cls) -> None:
        if CHROMIUM is None:
            if os.environ.get("CI") == "true":
                raise RuntimeError("Chromium is not installed, and CI must run the browser tests.")
            raise unittest.SkipTest("Chromium is not installed.")
        # Playwright's synchronous API runs an event loop in this thread, where Django would
        # otherwise refuse to touch the database.
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
        super().setUpClass()
        playwright = sync_playwright().start()
        cls.addClassCleanup(playwright.stop)
        cls.browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        cls.addClassCleanup(cls.browser.close)

    def setUp(self) -> None:
        context = self.browser.new_context(viewport={"width": 1280, "height": 800})
        context.set_default_timeout(SLOW)
        expect.set_options(timeout=SLOW)
        self.addCleanup(context.close)
        self.page: Page = context.new_page()
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.url: str = self.live_server_url  # where the pages are

    def tearDown(self) -> None:
        self.assertEqual(self.errors, [], "the page threw")

    def sign_in(self, user: User) -> None:
        """Sign in by the page's own form."""
        user.set_password(PASSWORD)
        user.save()
        self.page.goto(f"{self.url}/sign-in")
        self.page.get_by_label("User name").fill(user.username)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_role("heading", level=1)).to_contain_text("Data sets")

    def hand_in(self) -> None:
        """Submit with Shift+Enter, cells without a type too."""
        self.page.keyboard.press("Shift+Enter")
        asked = self.page.get_by_role("button", name="Submit all the same")
        others = self.page.get_by_role("dialog").or_(
            self.page.get_by_text(re.compile("^Submitted "))
        )
        expect(asked.or_(others).first).to_be_visible()
        if asked.is_visible():
            asked.click()

    def screenshot(self, name: str) -> Path:
        """Write what the page shows under CYTOLOOP_VAR/screenshots and return where."""
        path = Path(settings.VAR_DIR) / "screenshots" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=str(path))
        return path
