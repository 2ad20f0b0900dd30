"""What the residual stream is after some layers, of documents, in one pass that ends at the last of them.

Shapes: `batch` documents, `pos` positions, `d_model` the width of the residual stream.
"""

from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from steersman_engine.host import HostModel
from steersman_training.documents import Document, padded


def residuals(
    host: HostModel, group: Sequence[Document], *, batch_tokens: int
) -> Iterator[tuple[Document, Tensor]]:
    """Each document's residual stream `[pos, d_model]` at the host's layer."""
    for batch, input_ids in padded(group, batch_tokens=batch_tokens):
        resid = host.residual(input_ids.to(host.device))
        for row, document in enumerate(batch):
            yield document, resid[row, : len(document.prompt)]


def residuals_at(host: HostModel, input_ids: Tensor, layers: Sequence[int]) -> list[Tensor]:
    """The residual stream `[batch, pos, d_model]` after each of `layers`; later blocks do not run."""
    found: dict[int, Tensor] = {}
    last = max(layers)

    def keep(layer: int):
        def hook(block: nn.Module, args: tuple, output: Tensor) -> None:
            found[layer] = output

        return hook

    blocks = host.model.model.layers
    hooks = [blocks[layer].register_forward_hook(keep(layer)) for layer in layers if layer != last]
    try:
        found[last] = host.residual(input_ids, layer=last)
    finally:
        for hook in hooks:
            hook.remove()
    return [found[layer] for layer in layers]


def check_layers(host: HostModel, layers: Sequence[int]) -> None:
    """Refuse layers that the model does not have, or that come twice.

    Raises:
        ValueError: One is so.
    """
    for layer in layers:
        if not 0 <= layer < host.num_layers:
            raise ValueError(f"There is no layer {layer}: {host.name}'s are 0 to {host.num_layers - 1}.")
    if len(set(layers)) < len(layers):
        raise ValueError(f"A layer comes twice: {', '.join(map(str, layers))}.")
