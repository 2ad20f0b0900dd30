"""What the documents say is so."""

import ast
import re
from pathlib import Path

import msgspec
import pytest

ROOT = Path(__file__).parent.parent
BUNDLE = ROOT / "server/steersman_engine/bundles/smollm2-135m"
DOCUMENTS = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"]
LINKED = sorted(str(path.relative_to(ROOT)) for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def metrics() -> dict:
    return msgspec.json.decode((BUNDLE / "bundle.json").read_bytes())["metrics"]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_python_fence_compiles_and_its_imports_exist(name: str) -> None:
    for fence in re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), re.DOTALL):
        for node in ast.walk(ast.parse(fence)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                exec(ast.unparse(node), {})


@pytest.mark.parametrize("name", LINKED)
def test_every_local_link_leads_somewhere(name: str) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)[^)]*\)", (ROOT / name).read_text(encoding="utf-8")):
        assert (ROOT / name).parent.joinpath(target).exists(), target


def test_every_folder_in_the_readme_s_tree_exists() -> None:
    tree = (ROOT / "README.md").read_text(encoding="utf-8").split("## What is where")[1].split("```")[1]
    for line in tree.strip().splitlines():
        for folder in line.split("   ")[0].split():
            assert (ROOT / folder).is_dir(), folder


def test_the_readme_s_metrics_are_the_bundle_s() -> None:
    rebuilt, loss = metrics()["reconstruction"]["all"], metrics()["next_token"]["all"]
    row = (
        f"| {rebuilt['l0']:.1f} | {rebuilt['explained_variance']:.3f} | {loss['fidelity_zero']:.4f}"
        f" | +{loss['delta_ce']:.3f} nats | {metrics()['usage']['dead']:.2%} |"
    )
    assert row in (ROOT / "README.md").read_text(encoding="utf-8"), row


def test_every_module_the_architecture_names_exists() -> None:
    named = set(
        re.findall(r"`(?:steersman_\w+/)?(\w+\.py)`", (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"))
    )
    found = {
        path.name
        for folder in ("sdk", "catalog", "server", "training")
        for path in (ROOT / folder).rglob("*.py")
    }
    assert named and named <= found, named - found


def test_the_readme_shows_the_example_that_is_shipped() -> None:
    """The fence of README and `examples/steer.py` ask the same of the same feature."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    example = (ROOT / "examples/steer.py").read_text(encoding="utf-8")
    values = {
        name: ast.literal_eval(value)
        for name, value in re.findall(r"^([A-Z]+) = (.*?)(?:  #.*)?$", example, re.M)
    }
    assert f'"content": "{values["QUESTION"]}"' in readme
    assert f'{{"feature": {values["FEATURE"]}, "strength": {values["STRENGTH"]}}}' in readme
