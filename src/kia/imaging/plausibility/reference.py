"""What the training images of a model look like; pictures that look otherwise are flagged.

The Gaussians of `kia.imaging.plausibility.thumbnails` are fitted to all training images. All
limits are those of training images that were held out. See docs/plausibility.md.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
from safetensors.numpy import load_file, save_file

from kia.files.tensors import StoredTensor, optional_tensors, read_header
from kia.imaging.plausibility.thumbnails import (
    COMPONENTS,
    SIDE,
    Change,
    Pixels,
    Rows,
    ViewModel,
    all_misfits,
    ranked,
)
from kia.studies import VIEWS, View

FEWEST = 200
"""Training images that the model of a view needs."""
FOLDS = 4
"""Of the cross-validation that gives the limits."""
FLAT = 2.0
"""Standard deviation of grey values (of 255) below which a thumbnail shows nothing."""
ALARMS = {"unlike": 0.003, "changed": 0.007, "mirrored": 0.008}
"""Shares of the held-out training images that lie beyond the limits."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How far held-out training images of a view went.

    Attributes:
        high: Largest misfit.
        changed: Largest fall of the misfit with another orientation, grey scale or view.
        mirrored: Largest fall of the misfit of a frontal image when it is mirrored.
    """

    high: float
    changed: float
    mirrored: float


class Reference:
    """What the training images of a model look like; a file of the model's folder.

    Attributes:
        models: A view's Gaussian; a view with too few training images has none.
        limits: Of the same views.
    """

    FILE = "plausibility.safetensors"

    def __init__(self, models: Mapping[View, ViewModel], limits: Mapping[View, Limits]) -> None:
        self.models, self.limits = models, limits

    @classmethod
    def learn(cls, thumbnails: Mapping[View, Pixels]) -> Self | None:
        """Fits the models to training images, and the limits to those that were held out.

        Args:
            thumbnails: uint8 (n, 16, 16) a view.

        Returns:
            None if no view has `FEWEST` images.
        """
        rows = {view: ranked(small) for view, small in thumbnails.items() if len(small) >= FEWEST}
        if not rows:
            return None
        held: dict[View, list[dict[Change, Rows]]] = {view: [] for view in rows}
        for fold in range(FOLDS):
            models = {
                view: ViewModel.fit(all_of[np.arange(len(all_of)) % FOLDS != fold], view)
                for view, all_of in rows.items()
            }
            for view, all_of in rows.items():
                held[view].append(all_misfits(models, all_of[fold::FOLDS]))
        limits = {
            view: _limits({c: np.concatenate([f[c] for f in folds]) for c in folds[0]}, view)
            for view, folds in held.items()
        }
        return cls({view: ViewModel.fit(all_of, view) for view, all_of in rows.items()}, limits)

    def judge(self, small: Pixels, view: View) -> tuple[View | None, list[tuple[str, str]]]:
        """What a thumbnail looks like.

        Args:
            small: uint8 (16, 16).
            view: What the picture is read as.

        Returns:
            The view that it seems to be, None if it is no chest X-ray; kinds and texts of flags.
        """
        if small.std() < FLAT:
            return None, [("empty", "shows next to nothing: it is almost one grey value")]
        if view not in self.models:
            return view, []
        misfits = {c: float(m[0]) for c, m in all_misfits(self.models, ranked(small[None])).items()}
        given = Change(view)
        best, gain = _best_change(misfits, view)
        seen = best._replace(mirrored=False) if gain > self.limits[view].changed else given
        mirror = seen._replace(mirrored=True)
        if misfits[seen] - misfits.get(mirror, np.inf) > self.limits[seen.view].mirrored:
            seen = mirror
        if all(misfits[change] > self.limits[change.view].high for change in (given, seen)):
            return None, [("unlike", _TEXTS["unlike"])]
        flags = {
            "inverted": seen.inverted,
            "rotated": seen.turns > 0,
            "mirrored": seen.mirrored,
            seen.view: seen.view != view,
        }
        texts = _TEXTS | {"rotated": _ROTATED[seen.turns]}
        return seen.view, [(kind, texts[kind]) for kind, found in flags.items() if found]

    def save(self, folder: Path) -> None:
        """Writes plausibility.safetensors (100 kB) into a model folder."""
        tensors: dict[str, np.ndarray] = {}
        for view, model in self.models.items():
            parts = {
                "mean": model.mean,
                "components": model.components,
                "variances": model.variances,
                "noise": np.array(model.noise),
                **{f"limit.{name}": np.array(x) for name, x in asdict(self.limits[view]).items()},
            }
            tensors |= {f"{view}.{name}": part.astype(np.float32) for name, part in parts.items()}
        save_file(tensors, folder / self.FILE, {"format": "kia-plausibility 1"})

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """Reads what `save` wrote; None if the folder has no such file, as old models.

        Raises:
            ModelError: The file is damaged.
        """
        file = folder / cls.FILE
        if not os.path.lexists(file):
            return None
        with optional_tensors(file):
            views = _check_header(read_header(file))
            tensors = {k: v.astype(np.float64) for k, v in load_file(file).items()}
            _check_values(tensors)
        models = {
            view: ViewModel(
                tensors[f"{view}.mean"],
                tensors[f"{view}.components"],
                tensors[f"{view}.variances"],
                float(tensors[f"{view}.noise"]),
            )
            for view in views
        }
        names = Limits.__annotations__
        limits = {
            view: Limits(*(float(tensors[f"{view}.limit.{name}"]) for name in names))
            for view in views
        }
        return cls(models, limits)


def _check_header(header: Mapping[str, StoredTensor]) -> list[View]:
    """The views that a file has models of; ValueError if it is not what `save` writes."""
    views = [view for view in VIEWS if f"{view}.mean" in header]
    shapes: dict[str, list[int]] = {}
    for view in views:
        shapes |= {
            f"{view}.mean": [SIDE**2],
            f"{view}.components": [COMPONENTS, SIDE**2],
            f"{view}.variances": [COMPONENTS],
            f"{view}.noise": [],
            **{f"{view}.limit.{name}": [] for name in Limits.__annotations__},
        }
    if not views or {name: list(stored.shape) for name, stored in header.items()} != shapes:
        raise ValueError("other names or shapes than kia writes")
    if {stored.dtype for stored in header.values()} != {"F32"}:
        raise ValueError("other types than F32")
    return views


def _check_values(tensors: Mapping[str, Rows]) -> None:
    """ValueError where the values are none of a Gaussian."""
    for name, values in tensors.items():
        if not np.isfinite(values).all():
            raise ValueError(f"{name} is not finite")
        if name.endswith(("variances", "noise")) and not (values > 0).all():
            raise ValueError(f"{name} is not above 0")


_TEXTS = {
    "unlike": "does not look like the chest X-rays that this model was trained on",
    "inverted": "seems to be inverted: air should be dark and bone bright",
    "mirrored": "seems to be mirrored, or the heart lies on the right",
    "lateral": "seems to be a lateral view, but is read as a frontal one",
    "frontal": "seems to be a frontal view, but is read as a lateral one",
}
_ROTATED = (
    "",
    "seems to be turned by 90° clockwise",
    "seems to be upside down",
    "seems to be turned by 90° counterclockwise",
)


def _changes(misfits: Mapping[Change, object], view: View) -> Iterator[Change]:
    """All but the picture as given, and its mirror image, which has a limit of its own."""
    return (change for change in misfits if change._replace(mirrored=False) != Change(view))


def _best_change(misfits: Mapping[Change, float], view: View) -> tuple[Change, float]:
    best = min(_changes(misfits, view), key=misfits.__getitem__)
    return best, misfits[Change(view)] - misfits[best]


def _limits(misfits: Mapping[Change, Rows], view: View) -> Limits:
    """Quantiles over held-out images; a change must at least fit better."""
    given = misfits[Change(view)]
    changed = given - np.min([misfits[change] for change in _changes(misfits, view)], axis=0)
    mirrored = given - misfits.get(Change(view, mirrored=True), given)
    return Limits(
        high=float(np.quantile(given, 1 - ALARMS["unlike"])),
        changed=max(0.0, float(np.quantile(changed, 1 - ALARMS["changed"]))),
        mirrored=max(0.0, float(np.quantile(mirrored, 1 - ALARMS["mirrored"]))),
    )
