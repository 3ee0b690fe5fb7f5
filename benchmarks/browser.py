"""A server with an empty database and a Chromium signed in to it, for the browser's benchmarks."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

PASSWORD = "benchmark"  # noqa: S105
BROWSER = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
WAIT = 60_000  # ms
UNWANTED = ("DATABASE_URL", "BROKER_URL", "S3_BUCKET")


@dataclass(frozen=True)
class Server:
    """A running server and the folder of its images."""

    address: str
    environment: dict[str, str]


@contextmanager
def served(folder: Path) -> Iterator[Server]:
    """A server with an empty database of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **{key: value for key, value in os.environ.items() if key not in UNWANTED},
        "CYTOLOOP_VAR": str(folder / "var"),
        "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
    }
    manage(environment, "migrate", "--verbosity", "0")
    user = ("--username", "bench", "--email", "bench@example.org")
    manage(environment, "createsuperuser", "--noinput", *user)
    manage(environment, "dataset_create", "bench", "--types", "HEK,N2a", "--type-pattern", "")
    command = [sys.executable, "-m", "uvicorn", "annotator.asgi:application", "--port", str(port)]
    server = subprocess.Popen([*command, "--log-level", "warning"], env=environment)
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(f"{address}/health/live")
        yield Server(address, environment)
    finally:
        server.terminate()
        server.wait(20)


def manage(environment: dict[str, str], *arguments: str) -> str:
    """The output of a management command."""
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return done.stdout


def wait_for(address: str) -> None:
    """Return when the server answers."""
    for _ in range(200):
        try:
            urllib.request.urlopen(address, timeout=2).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"nothing answers at {address}")


@contextmanager
def signed_in(server: Server, chromium: str) -> Iterator[Page]:
    """A page of a new Chromium that keeps the editor's script times, signed in to ``server``."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=BROWSER)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(WAIT)
        page.add_init_script("localStorage.setItem('cytoloop:timing', 'on')")
        sign_in(page, server)
        yield page
        browser.close()


def sign_in(page: Page, server: Server) -> None:
    """By the page's own form."""
    page.goto(f"{server.address}/sign-in")
    page.get_by_label("User name").fill("bench")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Data sets").wait_for()
