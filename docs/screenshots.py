"""Make the pictures of the web chat in `docs/screens` again: its main views, light and dark, wide and narrow.

With a server running and Chromium at hand (see `tests/real/web`):

    python docs/screenshots.py http://127.0.0.1:8000
"""

import argparse
import base64
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, expect, sync_playwright

SCREENS = Path(__file__).parent / "screens"
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-sync",
]
SIZES = {"wide": (1440, 900), "narrow": (390, 844)}
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
SETTINGS = {"system": "", "temperature": 0, "top_p": 1, "max_tokens": 48, "seed": 0}
QUESTION = "What should I do this weekend?"
FEATURE = 885  # food, in the bundle that ships
PATIENCE_MS = 120_000


def main() -> None:
    """Go through the views as a visitor would, and keep each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="of a running server")
    parser.add_argument("--out", type=Path, default=SCREENS)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for size in SIZES:
            with visit(browser, args.url, size) as page:
                for name, show in VIEWS.items():
                    show(page)
                    for theme in THEMES:
                        page.emulate_media(color_scheme=theme, reduced_motion="reduce")
                        picture(page, args.out / f"{name}-{size}-{theme}.webp")
        browser.close()


@contextmanager
def visit(browser: Browser, url: str, size: str) -> Iterator[Page]:
    """A first-time visitor, whose answers come out the same each time."""
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, has_touch=size == "narrow")
    page = context.new_page()
    page.goto(url)
    page.evaluate("value => localStorage.setItem('steersman.settings', value)", json.dumps(SETTINGS))
    page.reload()
    page.wait_for_load_state("networkidle")
    yield page
    context.close()


def picture(page: Page, path: Path) -> None:
    """What the window shows, as WebP: a fifth of a PNG."""
    page.wait_for_timeout(300)  # for the map to be drawn in the colours of the theme
    shot = page.context.new_cdp_session(page).send(
        "Page.captureScreenshot", {"format": "webp", "quality": 80}
    )
    path.write_bytes(base64.b64decode(shot["data"]))


def welcome(page: Page) -> None:
    """Nothing asked yet."""
    expect(page.get_by_role("button", name="Send")).to_be_visible()


def explain(page: Page) -> None:
    """Why a word: its features, and where one of them fires."""
    page.get_by_label("Your message").fill(QUESTION)
    page.get_by_label("Your message").press("Enter")
    answered(page)
    page.locator(".token", has_text="weekend").first.click()
    expect(page.locator(".reason").first).to_be_visible(timeout=PATIENCE_MS)
    page.wait_for_load_state("networkidle")
    page.locator(".reason .label").nth(1).hover()
    page.wait_for_load_state("networkidle")


def steer(page: Page) -> None:
    """A feature found, and turned up; nothing applied yet."""
    page.get_by_role("tab", name="Steer").click()
    page.get_by_label("Search features").fill("food")
    page.locator(f'.results .feature-row:has(a[href="#/feature/{FEATURE}"]) button').click()
    number = page.locator(".dial .number").first
    number.fill("0.6")
    number.press("Enter")
    page.wait_for_load_state("networkidle")


def compare(page: Page) -> None:
    """The steered answer beside the plain one."""
    page.get_by_role("button", name="Apply").click()
    answered(page)
    page.get_by_role("button", name="Compare with plain").click()
    answered(page)
    page.locator(".head .choose").first.click()
    page.wait_for_load_state("networkidle")


def feature(page: Page) -> None:
    """All that is known of a feature."""
    page.evaluate(f"location.hash = '#/feature/{FEATURE}'")
    expect(page.get_by_role("heading", name="Where it fires")).to_be_visible()
    page.wait_for_load_state("networkidle")


def features(page: Page) -> None:
    """All features about a topic, best label first."""
    page.evaluate("location.hash = '#/features?sort=-rating&kind=topic'")
    expect(page.locator("tbody tr").first).to_be_visible()


def the_map(page: Page) -> None:
    """All features as points, those about food lit."""
    page.evaluate("location.hash = '#/map'")
    page.wait_for_load_state("networkidle")
    page.get_by_label("Find on the map").fill("food")
    page.get_by_label("Find on the map").press("Enter")
    page.wait_for_load_state("networkidle")


def answered(page: Page) -> None:
    """Wait until every answer is whole."""
    expect(page.get_by_role("button", name="Send")).to_be_visible(timeout=PATIENCE_MS)


VIEWS: dict[str, Callable[[Page], None]] = {
    "welcome": welcome,
    "explain": explain,
    "steer": steer,
    "compare": compare,
    "feature": feature,
    "features": features,
    "map": the_map,
}

if __name__ == "__main__":
    main()
