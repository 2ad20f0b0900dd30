"""The web chat in a real browser, on the real server with the real small model.

It needs Chromium: Debian's (`apt-get install chromium`), or any that CHROMIUM names.
"""

import json
import os
import re
import shutil
import threading
from collections.abc import Iterator
from typing import Literal
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from steersman_engine.serving import Loaded
from steersman_server.app import create_app
from steersman_server.config import ServerConfig
from steersman_server.listen import Server
from steersman_server.served import ServedModel

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
QUESTION = "What should I do this weekend?"
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
ANSWER_MS = 60_000

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        CHROMIUM is None, reason="no Chromium here: `apt-get install chromium`, or set CHROMIUM"
    ),
]


class Running:
    """The server on a port of its own; it can be stopped and started again there."""

    def __init__(self, served: ServedModel) -> None:
        self.served = served
        self.port = 0
        self.start()

    def start(self) -> None:
        config = ServerConfig(port=self.port, graceful_shutdown_s=1)
        self.server = Server(create_app(self.served, config), config)
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()
        assert self.server.listening.wait(20)
        self.url = self.server.url or ""
        self.port = urlsplit(self.url).port or 0

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(20)


@pytest.fixture(scope="module")
def server(loaded: Loaded) -> Iterator[Running]:
    running = Running(ServedModel.of(loaded))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, server: Running) -> Iterator[Page]:
    """A fresh visitor; a message on the console of the page fails the test."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.goto(server.url)
    set_short_answers(page)
    yield page
    context.close()
    assert not [line for line in said if "Failed to load resource" not in line]


def set_short_answers(page: Page) -> None:
    settings = {"system": "", "temperature": 0, "top_p": 1, "max_tokens": 24, "seed": 0}
    page.evaluate("value => localStorage.setItem('steersman.settings', value)", json.dumps(settings))
    page.reload()


def ask(page: Page, question: str = QUESTION) -> None:
    page.get_by_label("Your message").fill(question)
    page.get_by_label("Your message").press("Enter")
    settled(page)


def settled(page: Page) -> None:
    """Wait until every answer is whole."""
    expect(page.get_by_role("button", name="Send")).to_be_visible(timeout=ANSWER_MS)


def answers(page: Page) -> list[str]:
    return page.locator(".words").all_inner_texts()


def add_food(page: Page, strength: str = "0.6") -> None:
    page.get_by_role("tab", name="Steer").click()
    page.get_by_label("Search features").fill("food")
    page.locator(".results .feature-row button").first.click()
    page.locator(".dial .number").first.fill(strength)
    page.locator(".dial .number").first.press("Enter")


def test_a_person_asks_sees_why_turns_a_feature_and_compares(page: Page) -> None:
    ask(page)
    (plain,) = answers(page)
    assert plain.strip()

    page.locator(".token").nth(3).click()
    expect(page.locator(".reason").first).to_be_visible(timeout=ANSWER_MS)
    used = page.locator(".reason .label").all_inner_texts()
    page.get_by_role("button", name="What would push it").click()
    expect(page.locator(".waiting")).to_have_count(0, timeout=ANSWER_MS)
    expect(page.locator(".reason").first).to_be_visible(timeout=ANSWER_MS)
    assert page.locator(".reason .label").all_inner_texts() != used

    add_food(page)
    expect(page.locator(".pending")).to_contain_text("1 change not applied")
    assert answers(page) == [plain], "nothing changes before it is applied"
    page.get_by_role("button", name="Apply and answer again").click()
    settled(page)
    (steered,) = answers(page)
    assert steered != plain
    expect(page.locator(".receipt")).to_contain_text("Steered by 1 feature")

    page.get_by_role("button", name="Compare with plain").click()
    settled(page)
    assert answers(page) == [steered, plain]

    page.reload()
    expect(page.locator(".words").first).to_be_visible()
    assert answers(page) == [steered, plain], "a reload finds everything"


def test_dials_are_kept_as_a_variant_that_any_client_can_use(page: Page) -> None:
    add_food(page)
    page.get_by_label("Name of the variant").fill("chef")
    page.get_by_role("button", name="Save dials").click()
    expect(page.locator(".variants")).to_contain_text("chef")
    page.reload()
    page.locator(".variants").get_by_role("button", name="chef", exact=True).click()
    expect(page.locator(".dial")).to_have_count(1)
    models = page.evaluate("fetch('/v1/models').then(response => response.json())")
    assert any(model["id"].endswith(":chef") for model in models["data"])
    page.get_by_label("Delete chef").click()
    expect(page.locator(".variants li")).to_have_count(0)


def test_an_answer_under_way_can_be_stopped(page: Page) -> None:
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Longest answer, in tokens").fill("2000")
    page.get_by_label("Longest answer, in tokens").press("Tab")
    page.get_by_role("button", name="Close").first.click()
    page.get_by_label("Your message").fill("Tell me a very long story about a ship.")
    page.get_by_label("Your message").press("Enter")
    expect(page.locator(".token").nth(3)).to_be_visible(timeout=ANSWER_MS)
    page.get_by_role("button", name="Stop").click()
    settled(page)
    expect(page.locator(".answer-foot")).to_contain_text("Stopped.")


def test_a_question_can_be_asked_in_other_words(page: Page) -> None:
    ask(page)
    page.locator(".question").hover()
    page.get_by_label("Edit and ask again").click()
    page.locator(".question-editor textarea").fill("Name a colour.")
    page.get_by_role("button", name="Ask again").click()
    settled(page)
    expect(page.locator(".question p")).to_have_text("Name a colour.")
    assert len(answers(page)) == 1


def test_features_are_found_filtered_and_read(page: Page) -> None:
    page.get_by_role("link", name="Features").click()
    expect(page.locator("tbody tr")).to_have_count(40)
    page.get_by_role("button", name="More", exact=True).click()
    expect(page.locator("tbody tr")).to_have_count(80)
    page.locator(".filters [name=query]").fill("food")
    page.locator(".filters [name=query]").press("Enter")
    expect(page).to_have_url(re.compile("query=food"))
    page.locator("tbody a").first.click()
    expect(page.get_by_role("heading", name="Where it fires")).to_be_visible()
    assert page.locator(".fires").count() > 5
    page.get_by_role("button", name="Turn it up").click()
    expect(page.locator(".dial")).to_have_count(1)


def test_the_map_shows_features_and_lists_those_in_view(page: Page) -> None:
    points = [{"index": i, "label": f"feature {i}", "x": i % 20, "y": i // 20} for i in range(400)]
    page.route("**/v1/features/map", lambda route: route.fulfill(json={"object": "map", "data": points}))
    page.get_by_role("link", name="Map").click()
    canvas = page.locator("canvas")
    canvas.focus()
    expect(page.locator(".map-side .wrong")).to_have_count(0)
    page.wait_for_load_state("networkidle")
    canvas.press("+")
    canvas.press("Enter")
    expect(page.locator(".map-side h2")).to_have_text(re.compile(r"[\d,]+ selected"))
    assert page.locator(".map-side .feature-row").count() > 10
    box = canvas.bounding_box()
    assert box is not None
    page.get_by_role("button", name="Lasso").click()
    page.mouse.move(box["x"] + 50, box["y"] + 50)
    page.mouse.down()
    for x, y in ((400, 50), (400, 500), (50, 500), (50, 60)):
        page.mouse.move(box["x"] + x, box["y"] + y)
    page.mouse.up()
    expect(page.locator(".map-side h2")).to_have_text(re.compile(r"[\d,]+ selected"))


def test_a_hostile_label_is_only_text(page: Page) -> None:
    def poisoned(route) -> None:
        feature = {"index": 1, "label": HOSTILE, "label_kind": "statistical", "h_max": 5, "density": 0.1}
        route.fulfill(json={"object": "list", "data": [feature], "has_more": False, "last_id": "1"})

    page.route("**/v1/features?*", poisoned)
    page.get_by_label("Search features").fill("anything")
    expect(page.locator(".results .label")).to_have_text(HOSTILE)
    page.locator(".results button").click()
    expect(page.locator(".dial .label")).to_have_text(HOSTILE)
    page.wait_for_timeout(200)
    assert page.title() == "steersman"
    assert page.locator("img[src=x]").count() == 0


def test_a_server_that_went_away_is_said_and_comes_back(page: Page, server: Running) -> None:
    ask(page)
    server.stop()
    page.get_by_label("Your message").fill("Still there?")
    page.get_by_label("Your message").press("Enter")
    expect(page.locator(".banner")).to_contain_text("does not answer")
    settled(page)
    server.start()
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".banner")).to_have_count(0)
    page.get_by_label("Answer again").click()
    settled(page)
    assert answers(page)[-1].strip()


def test_nothing_is_asked_of_another_host(page: Page, server: Running) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    ask(page)
    page.locator(".token").nth(2).click()
    expect(page.locator(".reason").first).to_be_visible(timeout=ANSWER_MS)
    for view in ("features", "map", "feature/885"):
        page.goto(f"{server.url}/#/{view}")
        page.wait_for_load_state("networkidle")
    assert {urlsplit(url).netloc for url in asked} == {urlsplit(server.url).netloc}


def test_the_keyboard_is_enough_to_explain_a_word(page: Page) -> None:
    ask(page)
    page.locator(".words").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".token.picked")).to_have_attribute("data-at", "1")
    expect(page.locator(".reason").first).to_be_visible(timeout=ANSWER_MS)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_the_accessibility_checker_finds_nothing_serious(
    page: Page, theme: Literal["light", "dark"], width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    page.emulate_media(color_scheme=theme, reduced_motion="reduce")
    ask(page)
    page.locator(".token").nth(3).click()
    expect(page.locator(".reason").first).to_be_visible(timeout=ANSWER_MS)
    found = serious(page)
    page.get_by_role("button", name="Turn", exact=False).nth(1).click()
    page.get_by_role("tab", name="Steer").click()
    found += serious(page)
    page.keyboard.press("Escape")
    for view in ("features?query=food", "map", "feature/885"):
        page.evaluate("hash => { location.hash = hash }", f"#/{view}")
        page.wait_for_load_state("networkidle")
        found += serious(page)
    assert not found


def serious(page: Page) -> list[str]:
    results = Axe().run(page).response
    return [
        f"{rule['id']}: {node['html'][:120]} {node['failureSummary']}"
        for rule in results["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]
