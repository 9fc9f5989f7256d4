"""What a frozen stem made of an image, kept: no image is convolved twice."""

from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Self

import torch
from torch import Tensor

MOST_BYTES = 4 * 2**30


class FeatureMemo:
    """Features by the content of the image, as float16, up to `MOST_BYTES`.

    Every image is computed alone: its features do not depend on the images beside it, so that a
    run that was killed and goes on sees the same ones. Worth it on CPUs, where a frozen network
    takes most of a step; on other devices it computes as if it were not there.
    """

    def __init__(self) -> None:
        self._kept: dict[bytes, Tensor] = {}
        self._room = MOST_BYTES

    def __deepcopy__(self, _: dict[int, Any]) -> Self:
        """Itself: a copy of a frozen stem makes the same of the same image."""
        return self

    @torch.no_grad()
    def __call__(self, compute: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        """What `compute` makes of images (R, …): (R, …)."""
        if images.device.type != "cpu":
            return compute(images)
        # cast before they are put together: autocast to bfloat16 stacks no float16
        return torch.stack([self._one(compute, image).to(images.dtype) for image in images])

    def _one(self, compute: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
        key = blake2b(image.contiguous().numpy().tobytes(), digest_size=16).digest()
        features = self._kept.get(key)
        if features is None:
            features = compute(image[None])[0].half().contiguous()
            size = features.numel() * features.element_size()
            if size <= self._room:
                self._room -= size
                self._kept[key] = features
        return features
