"""How the web chat behaves: what it asks for, what it refuses, what it says when something is wrong."""

import json
from collections.abc import Callable
from typing import Literal
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, Route, expect

from steersman_server.keys import read_keys

HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


def test_a_hostile_label_is_only_text(visitor, page: Page) -> None:
    def poisoned(route: Route) -> None:
        feature = {"index": 1, "label": HOSTILE, "label_kind": "statistical", "h_max": 5, "density": 0.1}
        route.fulfill(json={"object": "list", "data": [feature], "has_more": False, "last_id": "1"})

    page.route("**/v1/features?*", poisoned)
    page.get_by_label("Search features").fill("anything")
    expect(page.locator(".results .label")).to_have_text(HOSTILE)
    page.locator(".results button").click()
    expect(page.locator(".dial .label")).to_have_text(HOSTILE)
    page.get_by_role("link", name="Features").click()
    expect(page.locator("tbody .label")).to_have_text(HOSTILE)
    page.wait_for_timeout(200)
    assert "owned" not in page.title()
    assert page.locator("img[src=x]").count() == 0


def test_hostile_words_of_the_model_are_only_text(visitor, page: Page) -> None:
    choice = {"index": 0, "delta": {"content": HOSTILE}, "finish_reason": "stop"}
    body = f"data: {json.dumps({'choices': [choice]})}\n\ndata: [DONE]\n\n"
    page.route("**/completions", lambda route: route.fulfill(body=body, content_type="text/event-stream"))
    visitor.ask(HOSTILE)
    expect(page.locator(".words")).to_have_text(HOSTILE)
    expect(page.locator(".question p")).to_have_text(HOSTILE)
    page.wait_for_timeout(200)
    assert page.title() == "steersman"


def test_a_server_that_went_away_is_said_and_comes_back(visitor, page: Page, server) -> None:
    visitor.ask()
    server.stop()
    visitor.begin("Still there?")
    expect(page.locator(".banner")).to_contain_text("does not answer")
    visitor.settled()
    page.get_by_label("Your message").fill("A draft")
    server.start()
    expect(page.locator(".banner")).to_have_count(0, timeout=15_000)
    expect(page.get_by_label("Your message")).to_have_value("A draft")
    page.get_by_role("button", name="Try again").click()
    visitor.settled()
    assert visitor.answers()[-1].strip()


def test_a_key_is_asked_for_and_kept(visit: Callable, run_server: Callable) -> None:
    page = visit(run_server(keys=read_keys(["secret"])).url).page
    expect(page.locator(".banner")).to_contain_text("wants an API key")
    page.get_by_label("API key").fill("wrong")
    page.get_by_role("button", name="Use it").click()
    expect(page.locator(".banner")).to_contain_text("does not know this API key")
    page.get_by_label("API key").fill("secret")
    page.get_by_role("button", name="Use it").click()
    expect(page.locator(".banner")).to_have_count(0)
    page.reload()
    expect(page.locator(".model-name span")).to_be_attached()
    expect(page.locator(".banner")).to_have_count(0)


def test_a_key_that_may_only_chat_chats(visit: Callable, run_server: Callable) -> None:
    visitor = visit(run_server(keys=read_keys(["secret talker chat"])).url)
    visitor.page.get_by_label("API key").fill("secret")
    visitor.page.get_by_role("button", name="Use it").click()
    visitor.draw()
    visitor.ask()
    assert visitor.answers()[0].strip()
    visitor.page.locator(".token").nth(2).click()
    expect(visitor.page.locator(".explain .wrong")).to_contain_text("has the role 'chat'")


ERRORS = [
    (403, "key_not_allowed", "The key 'a' has the role 'chat'; to ask for this needs 'steer'."),
    (429, "rate_limit_exceeded", "The key 'a' may use 2 requests a minute, and has."),
    (400, "content_policy_violation", "The server does not answer this."),
]


@pytest.mark.parametrize(("status", "code", "message"), ERRORS, ids=[code for _, code, _ in ERRORS])
def test_a_refusal_is_said_in_its_own_words(
    visitor, page: Page, status: int, code: str, message: str
) -> None:
    error = {"message": message, "type": "x", "param": None, "code": code}
    headers = {"retry-after": "7"} if status == 429 else {}
    page.route(
        "**/completions", lambda route: route.fulfill(status=status, json={"error": error}, headers=headers)
    )
    visitor.ask()
    expect(page.locator(".failure")).to_contain_text(message)
    expect(page.locator(".failure")).to_contain_text("Retry in 7 s." if status == 429 else message)
    page.unroute("**/completions")
    page.get_by_role("button", name="Try again").click()
    visitor.settled()
    assert visitor.answers()[0].strip()


def test_an_answer_that_the_filter_ended_says_so(visitor, page: Page) -> None:
    choice = {"index": 0, "delta": {"content": "Well"}, "finish_reason": "content_filter"}
    result = {"flagged": True, "categories": {"self_harm": True}, "blocked": "self_harm"}
    chunk = {"choices": [choice], "moderation": {"input": {"results": []}, "output": {"results": [result]}}}
    body = f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n"
    page.route("**/completions", lambda route: route.fulfill(body=body, content_type="text/event-stream"))
    visitor.ask()
    expect(page.locator(".answer-foot")).to_contain_text("content filter")
    expect(page.locator(".answer-foot")).to_contain_text("Blocked, answer: self harm.")


def test_nothing_is_asked_of_another_host(visitor, page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    visitor.ask()
    visitor.explain(2)
    for view in ("features", "map", "feature/885"):
        page.goto(f"{visitor.url}/#/{view}")
        page.wait_for_load_state("networkidle")
    assert {urlsplit(url).netloc for url in asked} == {urlsplit(visitor.url).netloc}


def test_the_page_may_load_and_run_nothing_but_its_own(context: BrowserContext, server) -> None:
    page = context.new_page()
    page.goto(server.url)
    blocked = page.evaluate("""() => new Promise(resolve => {
        const seen = [];
        document.addEventListener("securitypolicyviolation", event => {
            seen.push(event.effectiveDirective);
            if (seen.length === 3) resolve(seen.sort());
        });
        document.body.append(Object.assign(new Image(), { src: "https://elsewhere.example/x.png" }));
        document.body.append(Object.assign(document.createElement("script"), { text: "window.owned = 1" }));
        fetch("https://elsewhere.example/").catch(() => {});
    })""")
    assert blocked == ["connect-src", "img-src", "script-src-elem"]
    assert page.evaluate("window.owned") is None


@pytest.mark.parametrize("width", [1440, 390])
def test_no_view_is_wider_than_the_window(visitor, page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    for view in ("chat", "features?query=food", "map", "feature/885"):
        page.evaluate("hash => { location.hash = hash }", f"#/{view}")
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, view
        assert page.evaluate("document.getElementById('main').scrollWidth") <= width, view


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_the_accessibility_checker_finds_nothing_serious(
    visitor, page: Page, theme: Literal["light", "dark"], width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    page.emulate_media(color_scheme=theme, reduced_motion="reduce")
    found = serious(page)
    visitor.ask()
    visitor.explain(3)
    found += serious(page)
    page.get_by_role("button", name="Turn", exact=False).nth(1).click()
    page.get_by_role("tab", name="Steer").click()
    found += serious(page)
    page.keyboard.press("Escape")
    for dialog in ("Settings", "Export"):
        page.get_by_role("button", name=dialog).click()
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
