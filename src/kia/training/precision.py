"""Which precision a device computes in (docs/decisions/0008)."""

import torch


def autocast_mode(precision: str) -> str:
    """accelerate's name of the precision; "auto" is bfloat16 where the device computes in it."""
    if precision == "auto":
        precision = "bfloat16" if computes_bfloat16() else "float32"
    return {"bfloat16": "bf16", "float32": "no"}[precision]


def computes_bfloat16() -> bool:
    """Whether the device multiplies in bfloat16; a CPU that only emulates it is slower with it."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
