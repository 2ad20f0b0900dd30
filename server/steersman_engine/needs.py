"""How much memory a model takes, known from its files before it is loaded."""

from dataclasses import dataclass
from typing import Self

import torch

from steersman_engine.bundle import BundleManifest
from steersman_engine.fast_forward import MODEL_TYPES
from steersman_engine.fast_linear import can_pack
from steersman_engine.kv import KVCache
from steersman_engine.local_engine import EngineConfig, room
from steersman_engine.memory import OutOfMemoryError, free_memory, size
from steersman_engine.model_files import ModelFiles
from steersman_engine.transformers_forward import kv_shape

RUNTIME_BYTES = 770 * 2**20
"""Of a server's process beside all that is counted here, as measured of SmolLM2-135M after its self-test."""


@dataclass(frozen=True, slots=True)
class Needs:
    """Bytes on the model's device."""

    device: torch.device
    weights: int
    """With their packed copies, where the engine makes such."""
    sae: int
    kv: int
    """Keys and values, once all slots are full; on a CPU they are taken as answers grow."""
    num_slots: int

    @classmethod
    def of(
        cls,
        files: ModelFiles,
        manifest: BundleManifest,
        *,
        device: torch.device,
        dtype: torch.dtype,
        config: EngineConfig,
    ) -> Self:
        """What a model takes with an SAE.

        Raises:
            ValueError: The memory for keys and values does not hold one token.
        """
        num_slots, positions = room(files.config, dtype, config)
        a_weight = dtype.itemsize
        if device.type == "cpu" and dtype == torch.float32 and files.config.model_type in MODEL_TYPES:
            a_weight += torch.float16.itemsize * can_pack()
        return cls(
            device=device,
            weights=files.num_weights * a_weight,
            sae=2 * manifest.d_in * manifest.d_sae * torch.float32.itemsize,
            kv=num_slots * positions * KVCache.bytes_per_position(dtype=dtype, **kv_shape(files.config)),
            num_slots=num_slots,
        )

    @property
    def rest(self) -> int:
        """Main memory for Python, PyTorch and the catalogue; not counted where the model is elsewhere."""
        return RUNTIME_BYTES if self.device.type == "cpu" else 0

    @property
    def at_start(self) -> int:
        """What is taken before the first answer."""
        return self.weights + self.sae + self.rest + (0 if self.device.type == "cpu" else self.kv)

    @property
    def at_most(self) -> int:
        """What is taken when all slots are full."""
        return self.weights + self.sae + self.rest + self.kv

    def free(self) -> int:
        """What the device has left now."""
        if self.device.type == "cuda":
            return torch.cuda.mem_get_info(self.device)[0]
        return free_memory()

    def check(self) -> str | None:
        """See that the model fits; a warning where its answers may come not to, on a CPU.

        Raises:
            OutOfMemoryError: It does not.
        """
        free = self.free()
        if self.at_start > free:
            less = "--dtype bfloat16 takes less" if self.device.type == "cpu" else "lower --kv-gib or --slots"
            raise OutOfMemoryError(f"Not enough memory on {self.device}: {self.says(free)}; {less}.")
        if self.at_most > free:
            return f"{self.says(free)}, too few for full slots; lower --kv-gib or --slots"
        return None

    def says(self, free: int) -> str:
        """For people."""
        parts = {"weights": self.weights, "SAE": self.sae, "the rest": self.rest}
        taken = ", ".join(f"{what} {size(part)}" for what, part in parts.items() if part)
        return (
            f"{taken}, keys and values up to {size(self.kv)} in {self.num_slots} slots:"
            f" {size(self.at_most)}; {size(free)} are free"
        )
