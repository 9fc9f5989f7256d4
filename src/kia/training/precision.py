"""Which precision a device computes in (docs/decisions/0008)."""

import torch

NAMES = {"bfloat16": "bf16", "float16": "fp16", "float32": "no"}
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast_mode(precision: str) -> str:
    """accelerate's name of the precision; "auto" is bfloat16 where the device computes in it."""
    if precision == "auto":
        precision = "bfloat16" if computes_bfloat16() else "float32"
    return NAMES[precision]


class Precision:
    """Computes in the precision of a run, and scales losses where float16 would lose gradients."""

    def __init__(self, precision: str, device: torch.device) -> None:
        self._device = device.type
        self._dtype = DTYPES.get(autocast_mode(precision))
        self.scaler = torch.amp.GradScaler(self._device, enabled=self._dtype is torch.float16)

    def autocast(self) -> torch.autocast:
        """The context for a forward pass."""
        return torch.autocast(self._device, self._dtype, enabled=self._dtype is not None)

    def state(self) -> dict[str, float]:
        """The scaler, for a checkpoint; {} if losses are not scaled."""
        return self.scaler.state_dict()

    def restore(self, state: dict[str, float]) -> None:
        """Continues from the `state` of a checkpoint."""
        if state:
            self.scaler.load_state_dict(state)


def computes_bfloat16() -> bool:
    """Whether the device multiplies in bfloat16; a CPU that only emulates it is slower with it."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
