"""What a processor hands to a model."""

from typing import Any, Self

import torch


class Inputs(dict[str, Any]):
    """Tensors by name; `to` and access by dots as transformers' BatchFeature has them."""

    def to(self, *place: Any, **options: Any) -> Self:
        """The same on another device.

        Args:
            place: As those of `torch.Tensor.to`; a type is for what holds no whole numbers.
            options: As those of `torch.Tensor.to`.
        """
        devices = [one for one in place if isinstance(one, str | int | torch.device)]

        def moved(value: torch.Tensor) -> torch.Tensor:
            if value.is_floating_point():
                return value.to(*place, **options)
            return value.to(options.get("device") or (devices or [value.device])[0])

        return type(self)({name: moved(value) for name, value in self.items()})

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None
