"""A visitor in a real browser, on the real server with the real small model.

It needs Chromium: Debian's (`apt-get install chromium`), or any that CHROMIUM names.
"""

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from steersman_engine.serving import Loaded
from steersman_server.app import create_app
from steersman_server.config import ServerConfig
from steersman_server.listen import Server
from steersman_server.served import ServedModel

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
QUESTION = "What should I do this weekend?"
ANSWER_MS = 90_000
SHORT = {"system": "", "temperature": 0, "top_p": 1, "max_tokens": 20, "seed": 0}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs the real model and a browser."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.real)
            if CHROMIUM is None:
                reason = "no Chromium here: `apt-get install chromium`, or set CHROMIUM"
                item.add_marker(pytest.mark.skip(reason=reason))


class Running:
    """The server on a port of its own; it can be stopped and started again there."""

    def __init__(self, served: ServedModel, **settings: object) -> None:
        self.served, self.settings, self.port = served, settings, 0
        self.start()

    def start(self) -> None:
        config = ServerConfig(port=self.port, graceful_shutdown_s=1, **self.settings)  # pyright: ignore[reportArgumentType]
        self.server = Server(create_app(self.served, config), config)
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()
        assert self.server.listening.wait(20)
        self.url = self.server.url or ""
        self.port = urlsplit(self.url).port or 0

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(20)


class Visitor:
    """Somebody at the web chat."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url

    def draw(self, **settings: object) -> None:
        """Draw answers so, from now on."""
        stored = json.dumps(SHORT | settings)
        self.page.evaluate("value => localStorage.setItem('steersman.settings', value)", stored)
        self.page.reload()

    def ask(self, question: str = QUESTION) -> None:
        self.begin(question)
        self.settled()

    def begin(self, question: str = QUESTION) -> None:
        expect(self.page.locator(".model-name span")).to_be_attached()
        self.page.get_by_label("Your message").fill(question)
        self.page.get_by_label("Your message").press("Enter")

    def settled(self) -> None:
        """Wait until every answer is whole."""
        expect(self.page.get_by_role("button", name="Send")).to_be_visible(timeout=ANSWER_MS)

    def answers(self) -> list[str]:
        return self.page.locator(".words").all_inner_texts()

    def explain(self, token: int) -> Locator:
        """Click a word of the first answer; the rows that explain it."""
        self.page.locator(".words").first.locator(".token").nth(token).click()
        return self.reasons()

    def reasons(self) -> Locator:
        expect(self.page.locator(".waiting")).to_have_count(0, timeout=ANSWER_MS)
        expect(self.page.locator(".reason").first).to_be_visible(timeout=ANSWER_MS)
        return self.page.locator(".reason")

    def turn(self, words: str, strength: str) -> None:
        """Put the first feature that is found on the dials."""
        self.page.get_by_role("tab", name="Steer").click()
        self.page.get_by_label("Search features").fill(words)
        self.page.locator(".results .feature-row button").first.click()
        number = self.page.locator(".dial .number").last
        number.fill(strength)
        number.press("Enter")

    def apply(self) -> None:
        self.page.get_by_role("button", name="Apply").click()
        self.settled()


@pytest.fixture(scope="session")
def served(loaded: Loaded) -> ServedModel:
    return ServedModel.of(loaded)


@pytest.fixture(scope="module")
def server(served: ServedModel) -> Iterator[Running]:
    running = Running(served)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def run_server(served: ServedModel) -> Iterator[Callable[..., Running]]:
    """Start another server of the same model, with other settings."""
    with ExitStack() as stack:

        def start(**settings: object) -> Running:
            running = Running(served, **settings)
            stack.callback(running.stop)
            return running

        yield start


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    yield context
    context.close()


@pytest.fixture
def visit(context: BrowserContext) -> Iterator[Callable[[str], Visitor]]:
    """Somebody new at an address; an error on the console of a page fails the test."""
    said: list[str] = []

    def to(url: str) -> Visitor:
        page = context.new_page()
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.goto(url)
        return Visitor(page, url)

    yield to
    assert not [line for line in said if "Failed to load resource" not in line]


@pytest.fixture
def visitor(visit: Callable[[str], Visitor], server: Running) -> Visitor:
    """One who draws short answers that come out the same each time."""
    visitor = visit(server.url)
    visitor.draw()
    return visitor


@pytest.fixture
def page(visitor: Visitor) -> Page:
    return visitor.page
