"""Asking in the web chat: turns, columns, settings, what is kept and what is taken away."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

LONG = {"max_tokens": 2000}
STORY = "Tell me a very long story about a ship."


def test_a_person_asks_sees_why_turns_a_feature_and_compares(visitor, page: Page) -> None:
    visitor.ask()
    (plain,) = visitor.answers()
    assert plain.strip()

    used = visitor.explain(3).locator(".label").all_inner_texts()
    page.get_by_role("button", name="What would push it").click()
    assert visitor.reasons().locator(".label").all_inner_texts() != used

    visitor.turn("food", "0.6")
    expect(page.locator(".pending")).to_contain_text("1 change not applied")
    assert visitor.answers() == [plain], "nothing changes before it is applied"
    visitor.apply()
    (steered,) = visitor.answers()
    assert steered != plain
    expect(page.locator(".pending")).to_be_hidden()
    expect(page.locator(".receipt")).to_contain_text("Steered by 1 feature")

    page.get_by_role("button", name="Compare with plain").click()
    visitor.settled()
    assert visitor.answers() == [steered, plain]

    page.reload()
    expect(page.locator(".words").first).to_be_visible()
    assert visitor.answers() == [steered, plain], "a reload finds everything"
    expect(page.locator(".dial")).to_have_count(1)


def test_changes_can_be_tried_beside_the_answer_they_would_replace(visitor, page: Page) -> None:
    visitor.ask()
    (plain,) = visitor.answers()
    visitor.turn("food", "0.6")
    page.get_by_role("button", name="Side by side").click()
    visitor.settled()
    assert visitor.answers()[0] == plain
    assert visitor.answers()[1] != plain
    expect(page.locator(".head")).to_have_count(2)
    expect(page.locator(".head").first).to_contain_text("plain")


def test_four_columns_are_as_many_as_there_are(visitor, page: Page) -> None:
    for _ in range(3):
        page.get_by_role("button", name="Add a column").click()
    expect(page.locator(".head")).to_have_count(4)
    expect(page.get_by_role("button", name="Add a column")).to_be_disabled()
    page.get_by_label("Remove column B").click()
    expect(page.locator(".head")).to_have_count(3)


def test_a_conversation_goes_on_knowing_what_was_said(visitor, page: Page) -> None:
    asked: list[list[str]] = []
    page.on(
        "request",
        lambda request: asked.append(roles(request.post_data)) if "completions" in request.url else None,
    )
    visitor.ask()
    visitor.ask("Why?")
    assert len(visitor.answers()) == 2
    assert asked == [["user"], ["user", "assistant", "user"]]


def roles(body: str | None) -> list[str]:
    return [message["role"] for message in json.loads(body or "{}")["messages"]]


def test_an_answer_under_way_can_be_stopped(visitor, page: Page) -> None:
    visitor.draw(**LONG)
    visitor.begin(STORY)
    expect(page.locator(".token").nth(3)).to_be_visible(timeout=90_000)
    page.get_by_role("button", name="Stop").click()
    visitor.settled()
    expect(page.locator(".answer-foot")).to_contain_text("Stopped.")


def test_nothing_jumps_while_an_answer_streams(visitor, page: Page) -> None:
    page.evaluate("""() => {
        window.shifted = 0;
        new PerformanceObserver(list => list.getEntries().forEach(entry => (window.shifted += entry.value)))
            .observe({ type: "layout-shift", buffered: false });
    }""")
    visitor.ask()
    assert page.evaluate("window.shifted") < 0.02  # of the window's area, times how far


def test_an_answer_left_under_way_is_kept_where_it_belongs(visitor, page: Page) -> None:
    visitor.draw(**LONG)
    visitor.begin(STORY)
    expect(page.locator(".token").nth(3)).to_be_visible(timeout=90_000)
    page.get_by_role("button", name="New chat").click()
    expect(page.get_by_role("heading", name="See what moves an answer")).to_be_visible()
    page.locator(".conversations button", has_text="Tell me").first.click()
    expect(page.locator(".answer-foot")).to_contain_text("Stopped.")
    assert visitor.answers()[0].strip()


def test_a_question_can_be_asked_in_other_words(visitor, page: Page) -> None:
    visitor.ask()
    page.locator(".question").hover()
    page.get_by_label("Edit and ask again").click()
    page.locator(".question-editor textarea").fill("Name a colour.")
    page.get_by_role("button", name="Ask again").click()
    visitor.settled()
    expect(page.locator(".question p")).to_have_text("Name a colour.")
    assert len(visitor.answers()) == 1


def test_an_answer_is_drawn_again_with_the_next_seed(visitor, page: Page) -> None:
    seeds: list[int] = []
    page.on(
        "request",
        lambda request: (
            seeds.append(json.loads(request.post_data or "{}")["seed"])
            if "completions" in request.url
            else None
        ),
    )
    visitor.ask()
    page.get_by_label("Answer again").click()
    visitor.settled()
    assert seeds == [0, 1]


def test_settings_shape_the_next_answer(visitor, page: Page) -> None:
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("System prompt").fill("Answer in French.")
    page.get_by_label("Longest answer, in tokens").fill("3")
    page.get_by_label("Longest answer, in tokens").press("Tab")
    page.get_by_role("button", name="Close").first.click()
    with page.expect_request("**/completions") as asked:
        visitor.ask()
    body = json.loads(asked.value.post_data or "{}")
    assert body["messages"][0] == {"role": "system", "content": "Answer in French."}
    expect(page.locator(".token")).to_have_count(3)
    expect(page.locator(".answer-foot")).to_contain_text("Cut off at the length in the settings.")


@pytest.fixture
def steered(visitor, page: Page) -> str:
    """What the steered answer to an awkward question says."""
    visitor.turn("food", "0.6")
    page.get_by_role("button", name="Apply").click()
    visitor.ask("It's \"odd\"\n\\ isn't it? $HOME `date`")
    return visitor.answers()[0]


def test_the_exported_code_gives_the_same_answer(steered: str, page: Page, tmp_path: Path) -> None:
    page.get_by_role("button", name="Export").click()
    curl, openai, sdk = page.locator(".code pre").all_inner_texts()
    said = json.loads(run(["bash", "-c", curl]))
    assert said["choices"][0]["message"]["content"] == steered
    for code in (openai, sdk):
        (tmp_path / "code.py").write_text(code)
        assert run([sys.executable, str(tmp_path / "code.py")]).removesuffix("\n") == steered


def run(command: list[str]) -> str:
    """Run it as a person would, with this project's packages at hand."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run(
        command, env=environment, check=True, capture_output=True, text=True, timeout=120
    ).stdout


def test_a_chat_is_downloaded_with_what_steered_it(steered: str, page: Page) -> None:
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    chat = json.loads(download.value.path().read_text())
    (column,) = chat["columns"]
    assert column["messages"][-1] == {"role": "assistant", "content": steered}
    assert column["steering"][0]["edits"][0]["feature"] == column["feature_edits"][0]["feature"]
    assert chat["seed"] == 0
