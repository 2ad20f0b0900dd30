"""`steersman search`, `show`, `inspect` and `attribute`: single questions to a running server."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from steersman.cli import Command
from steersman.client import Client
from steersman.connection import DEFAULT_BASE_URL
from steersman.terminal.render import Style, feature_line, feature_page, one_line
from steersman.types import FeatureEdit

JSON_NOTE = "\nWith --json the answer is printed as the server sent it, for jq and scripts."


def _command(
    summary: str,
    add: Callable[[ArgumentParser], None],
    ask: Callable[[Client, Namespace], Any],
    show: Callable[[Any], Iterable[str]],
    examples: Sequence[str],
) -> Command:
    """A command that asks a server one thing and shows the answer as text or JSON."""

    def add_arguments(parser: ArgumentParser) -> None:
        add(parser)
        parser.add_argument("--url", help=f"the server; $STEERSMAN_BASE_URL, or {DEFAULT_BASE_URL}")
        parser.add_argument("--json", action="store_true", help="print JSON")

    def run(args: Namespace) -> None:
        with Client(args.url) as client:
            answer = ask(client, args)
        lines = [msgspec.json.encode(answer).decode()] if args.json else show(answer)
        sys.stdout.writelines(f"{line}\n" for line in lines)

    shown = "\n".join(["examples:", *(f"  steersman {example}" for example in examples)])
    return Command(summary=summary, add_arguments=add_arguments, run=run, epilog=shown + JSON_NOTE)


def edit_of(text: str) -> FeatureEdit:
    """An edit as it is written on the command line, `FEATURE=STRENGTH`.

    Raises:
        ValueError: It is written otherwise.
    """
    feature, equals, strength = text.partition("=")
    try:
        assert equals
        return FeatureEdit(int(feature), float(strength))
    except (AssertionError, ValueError) as error:
        raise ValueError(f"Edit {text!r}: write FEATURE=STRENGTH, such as 885=0.6.") from error


def _search_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("words", nargs="+", help="what the label should be about")
    parser.add_argument(
        "--mode", choices=["semantic", "keyword", "hybrid"], help="default: the best there is"
    )
    parser.add_argument("--limit", type=int, default=10, help="how many (default: %(default)s)")


def _search(client: Client, args: Namespace) -> Any:
    return client.features.search(" ".join(args.words), mode=args.mode, limit=args.limit).page


def _search_lines(page: Any) -> Iterable[str]:
    return map(feature_line, page.data) if page.data else ["No feature is like that."]


def _show_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("feature", type=int, help="its index")


def _conversation_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("message", help="what the user says")
    parser.add_argument("--answer", help="what the assistant replies")
    parser.add_argument("--system", help="a system message before it")
    parser.add_argument(
        "--edit",
        action="append",
        default=[],
        metavar="FEATURE=STRENGTH",
        help="read under this edit; repeatable",
    )
    parser.add_argument("--top", type=int, default=10, help="features shown (default: %(default)s)")


def _messages(args: Namespace) -> list[dict[str, str]]:
    said = [("system", args.system), ("user", args.message), ("assistant", args.answer)]
    return [{"role": role, "content": text} for role, text in said if text is not None]


def _inspect(client: Client, args: Namespace) -> Any:
    return client.features.inspect(
        _messages(args), feature_edits=map(edit_of, args.edit), top_k=args.top, skip_template=True
    )


def _inspect_lines(inspection: Any) -> Iterable[str]:
    yield f"{'feature':>7}  {'max':>7}  {'mean':>7}  {'tokens':>6}  label"
    for each in inspection.features:
        numbers = f"{each.feature:>7}  {each.max:>7.2f}  {each.mean:>7.2f}  {each.count:>6}"
        yield f"{numbers}  {one_line(each.label)}"


def _attribute_arguments(parser: ArgumentParser) -> None:
    _conversation_arguments(parser)
    parser.add_argument(
        "--method",
        choices=["gradient", "gradient_x_activation"],
        default="gradient_x_activation",
        help="what would push the words, or what the model used (default: %(default)s)",
    )


def _attribute(client: Client, args: Namespace) -> Any:
    if args.answer is None:
        raise ValueError("Give the words to explain with --answer.")
    edits = map(edit_of, args.edit)
    return client.features.attribute(_messages(args), feature_edits=edits, top_k=args.top, method=args.method)


def _attribute_lines(result: Any) -> Iterable[str]:
    yield f"{'feature':>7}  {'sum':>9}  label"
    for each in result.attribution.top():
        yield f"{each.feature:>7}  {each.attribution:>+9.3f}  {one_line(each.label)}"


search = _command(
    "find features by meaning or words",
    _search_arguments,
    _search,
    _search_lines,
    ["search pirates and the sea", "search python code --mode keyword --json"],
)
show = _command(
    "show a feature: its label, its facts, where it fires",
    _show_arguments,
    lambda client, args: client.features.get(args.feature),
    lambda feature: [feature_page(feature, Style(colour=False))],
    ["show 885"],
)
inspect = _command(
    "list the features that fire on a conversation",
    _conversation_arguments,
    _inspect,
    _inspect_lines,
    ['inspect "What should I cook?"', 'inspect "Hi" --answer "Ahoy, matey!" --edit 885=0.6'],
)
attribute = _command(
    "list the features behind an answer",
    _attribute_arguments,
    _attribute,
    _attribute_lines,
    ['attribute "What is the capital of France?" --answer "Paris"'],
)
