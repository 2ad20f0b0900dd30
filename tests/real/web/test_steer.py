"""Seeing and turning features beside the chat."""

import json
import re

from playwright.sync_api import Page, expect


def test_a_reason_says_what_it_did_and_shades_where_it_fires(visitor, page: Page) -> None:
    visitor.ask()
    first = visitor.explain(3).first
    expect(first.locator(".amount")).to_have_text(re.compile(r"^[+−]\d+\.\d\d$"))
    expect(first).to_contain_text("of its maximum")
    page.wait_for_load_state("networkidle")
    rows = page.locator(".reason")
    for at in range(rows.count()):  # some fire in the question alone, some on the template
        rows.nth(at).hover()
        page.wait_for_timeout(300)
        if page.locator(".words.shaded").count() and heats(page):
            break
    assert heats(page), "no token of the answer was shaded by any of its reasons"
    page.get_by_label("Your message").hover()
    assert not heats(page)


def heats(page: Page) -> list[float]:
    found = page.locator(".token").evaluate_all(
        "all => all.map(one => Number(one.style.getPropertyValue('--heat')))"
    )
    return [heat for heat in found if heat > 0]


def test_the_rail_lists_what_was_strongest_in_the_answer(visitor, page: Page) -> None:
    visitor.ask()
    page.get_by_role("tab", name="Explain").click()
    expect(page.get_by_role("heading", name="Strongest in this answer")).to_be_visible()
    shares = page.locator(".reason .amount").all_inner_texts()
    values = [float(share.removesuffix(" %")) for share in shares]
    assert len(values) > 5
    assert values == sorted(values, reverse=True)


def test_the_keyboard_is_enough_to_explain_a_word(visitor, page: Page) -> None:
    visitor.ask()
    page.locator(".words").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".token.picked")).to_have_attribute("data-at", "1")
    visitor.reasons()


def test_the_two_directions_of_a_dial_look_different(visitor, page: Page) -> None:
    visitor.turn("food", "0.5")
    expect(page.locator(".dial")).to_have_class(re.compile(r"\bup\b"))
    up = color(page)
    page.locator(".dial input[type=range]").fill("-0.5")
    expect(page.locator(".dial")).to_have_class(re.compile(r"\bdown\b"))
    expect(page.locator(".dial .number")).to_have_value("-0.5")
    expect(page.locator(".dial .means")).to_contain_text("below silence")
    assert color(page) != up


def color(page: Page) -> str:
    return page.locator(".dial").evaluate("dial => getComputedStyle(dial).getPropertyValue('--tint')")


def test_changes_can_be_dropped(visitor, page: Page) -> None:
    visitor.turn("food", "0.5")
    page.get_by_role("button", name="Drop").click()
    expect(page.locator(".dial")).to_have_count(0)
    expect(page.locator(".pending")).to_be_hidden()


def test_after_an_answer_edits_are_suggested(visitor, page: Page) -> None:
    visitor.ask()
    chip = page.locator(".suggestions .chip").first
    expect(chip).to_be_visible()
    label = chip.locator("a").inner_text()
    chip.get_by_title("More").click()
    expect(page.locator(".dial .label")).to_have_text(label)
    expect(page.locator(".dial .number")).to_have_value("0.4")


def test_dials_are_kept_as_a_variant_that_any_client_can_use(visitor, page: Page) -> None:
    visitor.turn("food", "0.6")
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


def test_a_variant_made_elsewhere_is_sent_as_it_was_made(visitor, page: Page) -> None:
    edit = {"feature": 885, "mode": "scale", "strength": 0.5, "phase": "generation"}
    page.evaluate(
        """edit => fetch("/v1/variants", { method: "POST", headers: { "content-type": "application/json" },
        body: JSON.stringify({ name: "other", feature_edits: [edit] }) })""",
        edit,
    )
    page.reload()
    page.locator(".variants").get_by_role("button", name="other", exact=True).click()
    expect(page.locator(".dial .means")).to_contain_text("only in the answer")
    with page.expect_request("**/completions") as asked:
        visitor.ask()
    assert json.loads(asked.value.post_data or "{}")["feature_edits"] == [edit]
    page.get_by_label("Delete other").click()
    expect(page.locator(".variants li")).to_have_count(0)
