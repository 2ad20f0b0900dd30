"""Data is never code: nothing that the project reads can make it run something."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = [path for part in ("sdk", "catalog", "server", "training") for path in (ROOT / part).rglob("*.py")]
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
CALLS = {"eval", "exec", "compile", "__import__", "yaml.load", "os.system", "np.load", "numpy.load"}


def refused(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The line and name of what would run, or unpickle, what it reads."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, n.name) for n in node.names if n.name.partition(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in MODULES:
            yield node.lineno, node.module or ""
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if name in CALLS or (name == "torch.load" and given.get("weights_only") != "True"):
                yield node.lineno, name
            for flag in ("allow_pickle", "trust_remote_code", "shell"):
                if given.get(flag, "False") != "False":
                    yield node.lineno, f"{name}({flag}=...)"


def test_no_module_runs_or_unpickles_what_it_reads() -> None:
    found = {str(path.relative_to(ROOT)): list(refused(ast.parse(path.read_text("utf-8")))) for path in FILES}
    assert not {path: what for path, what in found.items() if what}


@pytest.mark.parametrize(
    "code",
    [
        "import pickle", "from joblib import load", "eval(text)", "torch.load(path)", "yaml.load(text)",
        "torch.load(path, weights_only=False)", "np.load(path, allow_pickle=True)", "run(x, shell=True)",
    ],
)  # fmt: skip
def test_each_way_to_run_data_would_be_seen(code: str) -> None:
    assert list(refused(ast.parse(code)))
