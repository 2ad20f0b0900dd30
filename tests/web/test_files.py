"""What the page is made of: nothing inline, nothing from elsewhere, nothing that makes markup of text."""

import re
from pathlib import Path

import pytest

WEB = Path(__file__).parents[2] / "server" / "steersman_server" / "web"
SCRIPTS = sorted(WEB.rglob("*.js"))
FILES = [*SCRIPTS, *sorted(WEB.rglob("*.css")), WEB / "index.html"]
MARKUP = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser")
ELSEWHERE = re.compile(r"""["'(](?:https?:)?//(?!www\.w3\.org/2000/svg)[\w.]""")
IMPORT = re.compile(r"""import\s+(?:\{(?P<names>[^}]*)\}\s+from\s+)?["'](?P<path>[^"']+)["']""")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_text_never_becomes_markup(path: Path) -> None:
    assert not MARKUP.search(path.read_text())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_comes_from_another_host(path: Path) -> None:
    assert not ELSEWHERE.search(path.read_text())


def test_the_page_holds_no_inline_script_or_style() -> None:
    page = (WEB / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|style=", page)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_every_import_is_exported_and_used(path: Path) -> None:
    source = path.read_text()
    body = IMPORT.sub("", source)
    for match in IMPORT.finditer(source):
        imported = (path.parent / match["path"]).resolve()
        exported = imported.read_text()
        for name in filter(None, (part.strip() for part in (match["names"] or "").split(","))):
            assert re.search(rf"export (?:async )?(?:function\*?|const|class) {name}\b", exported), name
            assert re.search(rf"\b{name}\b", body), f"{name} is imported and not used"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_every_script_is_reached(path: Path) -> None:
    if path.name == "app.js":
        return
    imports = {
        (script.parent / match["path"]).resolve()
        for script in SCRIPTS
        for match in IMPORT.finditer(script.read_text())
    }
    assert path.resolve() in imports
