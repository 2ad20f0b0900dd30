"""`steersman catalog search`: find features by words or by meaning."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from steersman_engine.commands import add_cache_argument


def add_arguments(parser: ArgumentParser) -> None:
    """What to look for, and where."""
    parser.add_argument("catalog", type=Path, metavar="FILE")
    parser.add_argument("query", metavar="QUERY")
    parser.add_argument(
        "--mode",
        choices=("keyword", "semantic", "hybrid"),
        default="keyword",
        help="by words, by meaning, or by the mean of both (default: %(default)s)",
    )
    parser.add_argument(
        "--limit", type=int, default=20, metavar="N", help="how many to show (default: %(default)s)"
    )
    parser.add_argument("--trusted", action="store_true", help="only features whose label is trusted")
    parser.add_argument("--hidden", action="store_true", help="also features that moderation hides")
    add_cache_argument(parser)


def run(args: Namespace) -> None:
    """Print what is found."""
    from rich.console import Console  # heavy, as all here: not for --help
    from rich.table import Table

    from steersman_catalog import Catalog, FeatureFilter

    embedder = None
    if args.mode != "keyword":
        from steersman_engine.text_embedder import find_embedder

        embedder = find_embedder(args.cache_dir)
    catalog = Catalog.open(args.catalog, embedder)
    where = FeatureFilter(trusted=True if args.trusted else None, hidden=args.hidden)
    found, more = catalog.search(args.query, limit=args.limit, mode=args.mode, where=where)
    table = Table("feature", "score", "label", "by", "density", box=None)
    for feature in found:
        score = f"{feature.score:.2f}"
        table.add_row(str(feature.index), score, feature.label, feature.label_kind, f"{feature.density:.2%}")
    Console().print(table)
    if more:
        print(f"There are more: --limit {2 * args.limit}")
