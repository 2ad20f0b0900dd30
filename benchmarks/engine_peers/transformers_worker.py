"""transformers: `transformers_worker.py MODEL_FOLDER DTYPE generate [BUNDLE]` or `... continuous NUM_BLOCKS`.

`generate` takes all prompts, which are of one length, as one batch; edits are made by a forward hook, for
every row its own, written here from their definition. `continuous` is transformers' continuous batching.
"""

import sys
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, StoppingCriteria, StoppingCriteriaList
from worker import Clock, serve


class Ticking(StoppingCriteria):
    """Notes every step of `generate`, and never stops."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        """Which rows are done: none."""
        for row, token in enumerate(input_ids[:, -1].tolist()):
            self.clock.tick(row, token)
        return torch.zeros(len(input_ids), dtype=torch.bool)


def steering_hook(bundle: str, edits: list[list[tuple[int, float]]]) -> tuple[int, Any]:
    """The layer, and a hook that sets each row's features there, attention sinks excepted."""
    from steersman_engine.bundle import Bundle

    opened = Bundle.named(bundle)
    sae, sink_norm = opened.sae("cpu"), opened.manifest.sink_norm
    features = torch.tensor([[feature for feature, _ in row] for row in edits])
    add = torch.tensor([[value for _, value in row] for row in edits])[:, None]
    encoder = sae.W_enc.T[features].transpose(1, 2).contiguous()  # [rows, d_model, edits]
    decoder = sae.W_dec[features]  # [rows, edits, d_model]
    bias, threshold = sae.b_enc[features][:, None], sae.threshold[features][:, None]

    def hook(block: Any, args: Any, x: torch.Tensor) -> torch.Tensor:
        before = x @ encoder + bias
        h = torch.where(before > threshold, before, 0)
        ordinary = x.norm(dim=-1, keepdim=True) <= sink_norm
        return x + ordinary * ((add - h) @ decoder)

    return opened.manifest.layer, hook


def generate(model: Any, bundle: str | None, asked: dict[str, Any]) -> dict[str, Any]:
    ids = torch.tensor(asked["prompts"])
    clock, handle = Clock(len(ids)), None
    if asked["edits"][0]:
        layer, hook = steering_hook(bundle or "", asked["edits"])
        handle = model.model.layers[layer].register_forward_hook(hook)
    try:
        model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=asked["new_tokens"],
            do_sample=False,
            eos_token_id=None,
            pad_token_id=0,
            stopping_criteria=StoppingCriteriaList([Ticking(clock)]),
        )
    finally:
        if handle is not None:
            handle.remove()
    return clock.answer()


def continuous(manager: Any, asked: dict[str, Any]) -> dict[str, Any]:
    prompts = asked["prompts"]
    clock = Clock(len(prompts))
    names = [
        manager.add_request(ids, max_new_tokens=asked["new_tokens"], streaming=True, eos_token_id=-1)
        for ids in prompts
    ]
    place, left = {name: index for index, name in enumerate(names)}, len(names)
    while left:
        result = manager.get_result(timeout=120)
        if result is None:
            raise RuntimeError(f"It stopped: {manager.background_thread_status.fatal_error!r}")
        if result.error:
            raise RuntimeError(result.error)
        index = place[result.request_id]
        for token in result.generated_tokens[len(clock.tokens[index]) :]:
            clock.tick(index, token)
        left -= result.is_finished()
    return clock.answer()


def main(folder: str, dtype: str, kind: str, given: str | None = None) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()
    software = {"transformers": transformers.__version__, "torch": torch.__version__}
    if kind == "generate":
        serve(lambda asked: generate(model, given, asked), steers=given is not None, software=software)
        return
    config = transformers.ContinuousBatchingConfig(allow_block_sharing=False, num_blocks=int(given or 0))
    model.generation_config.do_sample = False
    manager = model.init_continuous_batching(continuous_batching_config=config)
    manager.start()
    serve(lambda asked: continuous(manager, asked), steers=False, software=software)
    manager.stop(block=True)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main(*sys.argv[1:])
