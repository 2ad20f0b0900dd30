"""Looking around among the features: the browser, a feature's page, the map."""

import json
import re

import pytest
from playwright.sync_api import Page, Route, expect

POINTS = [{"index": i, "label": f"feature {i}", "x": i % 20, "y": i // 20} for i in range(400)]
SCORED = {
    "test": "contrastive",
    "judge": "embedding",
    "split": "test",
    "value": 0.8,
    "lo": 0.6,
    "hi": 0.9,
    "chance": 0.5,
    "n": 20,
    "failures": 0,
}
COHERENT = {
    "test": "coherent_strength",
    "judge": "",
    "split": "explain",
    "value": 0.65,
    "n": 1,
    "failures": 0,
}


@pytest.fixture
def canvas(page: Page):
    """The map, of points whose places are known."""
    page.route("**/v1/features/map", lambda route: route.fulfill(json={"object": "map", "data": POINTS}))
    page.get_by_role("link", name="Map").click()
    page.wait_for_load_state("networkidle")
    return page.locator("canvas")


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


def test_filters_are_in_the_address_which_can_be_handed_on(visitor, page: Page) -> None:
    page.get_by_role("link", name="Features").click()
    page.get_by_label("Order").select_option("-density")
    page.get_by_label("Fires on").select_option("0.01..0.1")
    expect(page).to_have_url(re.compile(r"sort=-density&min_density=0\.01&max_density=0\.1$"))
    expect(page.locator("tbody tr").first).to_be_visible()
    labels = page.locator("tbody .label").all_inner_texts()
    shares = [
        float(share.removesuffix(" %")) for share in page.locator("tbody td:nth-child(5)").all_inner_texts()
    ]
    assert shares == sorted(shares, reverse=True)
    assert 1 <= shares[-1] <= shares[0] <= 10
    page.goto("about:blank")
    page.go_back()
    expect(page.get_by_label("Fires on")).to_have_value("0.01..0.1")
    expect(page.locator("tbody .label")).to_have_text(labels)


def test_the_browser_is_found_again_as_it_was_left(page: Page) -> None:
    page.get_by_role("link", name="Features").click()
    page.get_by_role("button", name="More", exact=True).click()
    expect(page.locator("tbody tr")).to_have_count(80)
    page.locator("tbody a").nth(70).click()
    expect(page.get_by_role("heading", name="Where it fires")).to_be_visible()
    page.go_back()
    expect(page.locator("tbody a").nth(70)).to_be_in_viewport()


def test_a_filter_that_the_server_refuses_is_said_in_words(visitor, page: Page) -> None:
    page.goto(f"{visitor.url}/#/features?kind=thing")
    expect(page.locator(".browser .wrong")).to_contain_text("Supported values of 'kind'")


def test_a_feature_card_holds_all_that_was_measured(visitor, page: Page) -> None:
    def full(route: Route) -> None:
        board = json.loads(route.fetch().text())
        board["labels"][0] |= {"shown": True, "scores": [SCORED]}
        board["scores"] = [COHERENT]
        board |= {"histogram": [90, 30, 10], "echoes": [12]}
        board["promoted"] = [{"token": " bread", "logit": 0.31}]
        board["suppressed"] = [{"token": " code", "logit": -0.2}]
        route.fulfill(json=board)

    page.route("**/dashboard", full)
    page.goto(f"{visitor.url}/#/feature/885")
    card = page.locator(".feature-page")
    expect(card.locator(".scores li").first).to_contain_text("0.60–0.90 · chance 0.5 · 20 trials")
    expect(card.locator(".facts")).to_contain_text("up to +0.65")
    expect(card.locator(".histogram rect")).to_have_count(3)
    expect(card.get_by_role("heading", name="Echoes")).to_be_visible()
    expect(card.locator(".chip.plain").first).to_contain_text("bread")
    strata = ["strongest", "strong", "middling", "weak", "weakest"]
    shown = card.locator(".stratum h3").all_inner_texts()
    assert shown == [stratum for stratum in strata if stratum in shown], "from the strongest down"
    assert len(shown) > 3, "over the whole range"
    page.get_by_role("button", name="Turn it up").click()
    page.locator(".dial .number").fill("0.8")
    page.locator(".dial .number").press("Enter")
    expect(page.locator(".dial .means")).to_contain_text("Above +0.65")


def test_a_feature_that_does_not_exist_is_said_in_words(visitor, page: Page) -> None:
    page.goto(f"{visitor.url}/#/feature/999999")
    expect(page.locator(".feature-page .wrong")).to_contain_text("No feature 999999")
    page.get_by_role("link", name="All features").click()
    expect(page.locator("tbody tr").first).to_be_visible()


def test_the_map_is_moved_and_listed_by_keyboard(canvas, page: Page) -> None:
    canvas.focus()
    for key in ("+", "+", "Enter"):
        canvas.press(key)
    in_view = number_selected(page)
    assert 10 < in_view < len(POINTS)
    canvas.press("+")
    canvas.press("Enter")
    assert number_selected(page) < in_view


def test_a_lasso_selects_what_is_inside(canvas, page: Page) -> None:
    box = canvas.bounding_box()
    page.get_by_role("button", name="Lasso").click()
    middle = box["x"] + box["width"] / 2
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.down()
    for x, y in (
        (middle, box["y"] + 5),
        (middle, box["y"] + box["height"] - 5),
        (box["x"] + 5, box["y"] + box["height"] - 5),
    ):
        page.mouse.move(x, y)
    page.mouse.up()
    assert number_selected(page) == len(POINTS) / 2, "the left half"
    expect(page.get_by_role("button", name="Lasso")).to_have_attribute("aria-pressed", "false")
    page.locator(".map-side .feature-row button").first.click()
    expect(page.locator(".dial")).to_have_count(1)


def test_a_point_is_named_and_picked(canvas, page: Page) -> None:
    box = canvas.bounding_box()
    corner = (
        box["x"] + box["width"] / 2 - 0.47 * least(box),
        box["y"] + box["height"] / 2 - 0.47 * least(box),
    )
    page.mouse.move(*corner)
    expect(page.locator(".tip")).to_have_text("feature 0")
    page.mouse.click(*corner)
    expect(page.locator(".map-side .feature-row .label")).to_have_text("feature 0")


def least(box) -> float:
    return min(box["width"], box["height"])


def number_selected(page: Page) -> int:
    heading = page.locator(".map-side h2")
    expect(heading).to_have_text(re.compile(r"[\d,]+ selected"))
    return int(heading.inner_text().split()[0].replace(",", ""))
