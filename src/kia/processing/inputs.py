"""What a processor hands to a model."""

from typing import Any, Self


class Inputs(dict[str, Any]):
    """Tensors by name; `to` and access by dots as transformers' BatchFeature has them."""

    def to(self, *device: Any, **options: Any) -> Self:
        """The same on another device, for `torch.Tensor.to`; types of integers and masks stay."""
        return type(self)(
            {
                name: value.to(*device, **options)
                if value.is_floating_point()
                else value.to(
                    *(one for one in device if not _is_type(one)), **_without_type(options)
                )
                for name, value in self.items()
            }
        )

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def _is_type(value: Any) -> bool:
    import torch

    return isinstance(value, torch.dtype)


def _without_type(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != "dtype"}
