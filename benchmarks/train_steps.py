"""Times one library's training steps: what `benchmarks/train.py` runs, each time in a process of its own.

It runs in whichever Python has the library. A step is all that the library does with a batch: forward and
backward pass, clipping, optimiser, dead-feature counts; without data loading and logging.
"""

import argparse
import json
import time
from importlib.metadata import version

import torch
from safetensors.torch import load_file

K = 48
L1 = 5.0
LR = 1e-6
"""Small: every timed step finds the same density."""


def steersman(architecture: str, given: dict, batch: int, compiled: bool):
    from steersman_training.train_config import BatchTopK, StandardL1, TopK, TrainConfig
    from steersman_training.trainer import Trainer

    options = {"standard": StandardL1(l1=L1), "topk": TopK(k=K), "batch_topk": BatchTopK(k=K)}[architecture]
    config = TrainConfig(
        architecture=options, d_sae=len(given["b_enc"]), num_samples=10**6 * batch, batch_size=batch,
        lr=LR, dead_after=10**7, dtype="float32",
    ).resolved("float32")  # fmt: skip
    trainer = Trainer(config, given["x"], "cpu")
    trainer.input_scale = 1.0
    with torch.no_grad():
        for name in ("W_enc", "b_enc", "W_dec", "b_dec"):
            getattr(trainer.sae, name).copy_(given[name])
        if architecture != "standard":
            trainer.sae.b_enc.add_(trainer.sae.centre @ trainer.sae.W_enc)
    return trainer.learn


def sae_lens(architecture: str, given: dict, batch: int, compiled: bool):
    from sae_lens import (
        BatchTopKTrainingSAE,
        BatchTopKTrainingSAEConfig,
        StandardTrainingSAE,
        StandardTrainingSAEConfig,
        TopKTrainingSAE,
        TopKTrainingSAEConfig,
    )
    from sae_lens.config import SAETrainerConfig
    from sae_lens.training.sae_trainer import SAETrainer

    common = {"d_in": given["x"].shape[1], "d_sae": len(given["b_enc"]), "apply_b_dec_to_input": False}
    if architecture == "standard":
        sae = StandardTrainingSAE(StandardTrainingSAEConfig(**common, l1_coefficient=L1))
    elif architecture == "topk":
        sae = TopKTrainingSAE(TopKTrainingSAEConfig(**common, k=K))
    else:
        sae = BatchTopKTrainingSAE(BatchTopKTrainingSAEConfig(**common, k=K))
    with torch.no_grad():
        for name in ("W_enc", "b_enc", "W_dec", "b_dec"):
            getattr(sae, name).copy_(given[name])
    config = SAETrainerConfig(
        total_training_samples=10**6 * batch, train_batch_size_samples=batch, lr=LR, lr_end=LR
    )
    trainer = SAETrainer(config, sae, iter(()))
    if compiled:
        sae.training_forward_pass = torch.compile(sae.training_forward_pass)

    def step(x):
        trainer.step(x)
        trainer.n_training_steps += 1

    return step


def dictionary_learning(architecture: str, given: dict, batch: int, compiled: bool):
    from dictionary_learning.dictionary import AutoEncoderNew
    from dictionary_learning.trainers.batch_top_k import BatchTopKTrainer
    from dictionary_learning.trainers.standard import StandardTrainerAprilUpdate
    from dictionary_learning.trainers.top_k import TopKTrainer

    common = {
        "steps": 10**6, "activation_dim": given["x"].shape[1], "dict_size": len(given["b_enc"]),
        "layer": 0, "lm_name": "none", "lr": LR, "device": "cpu",
    }  # fmt: skip
    if architecture == "standard":
        trainer = StandardTrainerAprilUpdate(**common, l1_penalty=L1, dict_class=AutoEncoderNew)
    else:
        kind = {"topk": TopKTrainer, "batch_topk": BatchTopKTrainer}[architecture]
        trainer = kind(**common, k=K, threshold_start_step=0)
    ae = trainer.ae
    with torch.no_grad():
        ae.encoder.weight.copy_(given["W_enc"].T)
        ae.encoder.bias.copy_(given["b_enc"])
        ae.decoder.weight.copy_(given["W_dec"].T)
        (ae.decoder.bias if architecture == "standard" else ae.b_dec).copy_(given["b_dec"])
    if compiled:
        trainer.loss = torch.compile(trainer.loss)
    count = iter(range(1, 10**6))
    return lambda x: trainer.update(next(count), x)


def sparsify(architecture: str, given: dict, batch: int, compiled: bool):
    from sparsify import SparseCoder, SparseCoderConfig

    assert architecture == "topk"
    coder = SparseCoder(given["x"].shape[1], SparseCoderConfig(num_latents=len(given["b_enc"]), k=K))
    with torch.no_grad():
        coder.encoder.weight.copy_(given["W_enc"].T)
        coder.encoder.bias.copy_(given["b_enc"])
        coder.W_dec.copy_(given["W_dec"])
        coder.b_dec.copy_(given["b_dec"])
    optimizer = torch.optim.Adam(coder.parameters(), lr=LR, fused=True)
    fired = torch.zeros(len(given["b_enc"]), dtype=torch.long)

    def step(x):  # its own Trainer wants a GPU; this is what that does with a batch
        out = coder(x)
        out.fvu.backward()
        coder.remove_gradient_parallel_to_decoder_directions()
        torch.nn.utils.clip_grad_norm_(coder.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        coder.set_decoder_norm_to_unit_norm()
        fired.add_(len(x))[out.latent_indices.flatten()] = 0

    return step


LIBRARIES = {
    "steersman": (steersman, "steersman"),
    "SAELens": (sae_lens, "sae-lens"),
    "dictionary_learning": (dictionary_learning, "dictionary_learning"),
    "sparsify": (sparsify, "eai-sparsify"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", choices=LIBRARIES)
    parser.add_argument("architecture", choices=["standard", "topk", "batch_topk"])
    parser.add_argument("start", help="safetensors with activations and the weights to begin with")
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    given = load_file(args.start)
    make, package = LIBRARIES[args.library]
    step = make(args.architecture, given, args.batch, args.compile)
    batches = given["x"].split(args.batch)
    seconds = []
    for number in range(args.steps + 2):
        begin = time.perf_counter()
        step(batches[number % len(batches)])
        seconds.append(time.perf_counter() - begin)
    print(json.dumps({"seconds": seconds[2:], "version": version(package), "torch": torch.__version__}))


if __name__ == "__main__":
    main()
