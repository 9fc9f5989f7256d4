"""How often pictures that are no upright chest X-rays are flagged, and how often X-rays are.

    python experiments/plausibility.py DATASET [--model MODEL]

The reference is the model's or, without one, learnt from the training images of the data set.
X-rays are the validation images; the test split is not opened. Other pictures come from packages
of the development environment: pydicom-data, and the sample photographs of matplotlib,
scikit-learn and gradio. Documents, noise and patterns are drawn.
"""

import argparse
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom.data import get_testdata_file
from rich.console import Console
from rich.table import Table

from kia.data.reference import learn_reference
from kia.data.store.dataset import PreparedDataset
from kia.errors import DataError
from kia.generation import model_folder
from kia.imaging.grey import Doubt
from kia.imaging.plausibility import Reference, study_flags
from kia.imaging.plausibility.reference import FEWEST
from kia.imaging.reading import read_doubtful
from kia.imaging.resize import resize_square
from kia.studies import VIEWS, View

Grey = NDArray[np.uint8] | NDArray[np.float32]
CHANGES: dict[str, tuple[str, Callable[[Grey], Grey]]] = {
    "as they are": ("", lambda x: x),
    "with γ = 2": ("", lambda x: (255 * (x / 255) ** 2).astype(np.float32)),
    "cut by a tenth": ("", lambda x: x[len(x) // 20 : -len(x) // 20, len(x) // 20 : -len(x) // 20]),
    "tilted by 5°": ("", lambda x: np.asarray(Image.fromarray(x).rotate(5))),
    "turned by 90°": ("rotated", lambda x: np.rot90(x)),
    "turned by 180°": ("rotated", lambda x: np.rot90(x, 2)),
    "turned by 270°": ("rotated", lambda x: np.rot90(x, 3)),
    "mirrored": ("mirrored", lambda x: x[:, ::-1]),
    "inverted": ("inverted", lambda x: 255 - x),
    "inverted and turned by 180°": ("inverted", lambda x: 255 - np.rot90(x, 2)),
}
DICOM = {
    "CT": "693_UNCR CT_small explicit_VR-UN J2K_pixelrep_mismatch bad_sequence",
    "MR": "MR2_UNCR MR_small MR-SIEMENS-DICOM-WithOverlays examples_overlay",
    "ultrasound": "US1_UNCR OBXXXX1A JPGLosslessP14SV1_1s_1f_8b examples_palette color-pl",
    "nuclear medicine": "JPEG2000_UNC",
    "radiograph of a leg": "RG3_UNCR",
    "radiograph of a chest": "RG1_UNCR",
}
PHOTOGRAPHS = {
    "matplotlib": ["mpl-data/sample_data/grace_hopper.jpg"],
    "sklearn": ["datasets/images/flower.jpg", "datasets/images/china.jpg"],
    "gradio": [f"media_assets/images/{n}.jpg" for n in ("cheetah", "cheetah1", "lion", "tower")],
}
CROPS = 40  # of each photograph


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="prepared data set")
    parser.add_argument("--model", help="run or model folder")
    options = parser.parse_args()
    dataset = PreparedDataset.open(options.data)
    if options.model:
        reference = Reference.load(model_folder(options.model))
    else:
        reference = learn_reference(dataset)
    if reference is None:
        raise DataError(f"no reference: {FEWEST} training images of a view are needed")
    table = Table("pictures", "number", "flagged", "as what they are", "named as")
    for name, expected, kinds in measured(dataset, reference):
        named = sorted({kind for found in kinds for kind in found})
        counts = ", ".join(f"{kind} {sum(kind in found for found in kinds)}" for kind in named)
        flagged = sum(map(bool, kinds))
        right = f"{sum(expected in f for f in kinds) / len(kinds):.1%}" if expected else ""
        share = f"{flagged} ({flagged / len(kinds):.1%})"
        table.add_row(name, str(len(kinds)), share, right, counts)
    Console(width=140).print(table)


def measured(
    dataset: PreparedDataset, reference: Reference
) -> Iterator[tuple[str, str, list[set[str]]]]:
    """(pictures, the kind of flag they should get, the kinds that each got)."""
    size = dataset.image_size

    def kinds(picture: Grey, view: View = "frontal", doubts: Sequence[Doubt] = ()) -> set[str]:
        square = resize_square(picture, size, dataset.info.get("resize", "squash"))
        flags = study_flags(square[None], [view], reference, [doubts], [picture.shape])
        return {flag["kind"] for flag in flags}

    val = [(dataset.pixels(i), named_views(dataset, i)) for i in dataset.indices("val").tolist()]
    flags = [study_flags(pixels, views, reference) for pixels, views in val]
    yield "studies, as they are", "", [{flag["kind"] for flag in found} for found in flags]
    by_view = {
        v: [x for own, views in val for x, w in zip(own, views, strict=True) if w == v]
        for v in VIEWS
    }
    for view, images in by_view.items():
        for change, (expected, apply) in CHANGES.items():
            # every lateral view of its own is "lateral only", which says nothing about the change
            known = {"lateral only"} if view == "lateral" else set()
            yield (
                f"{view} views, {change}",
                expected,
                [kinds(apply(i), view) - known for i in images],
            )
    yield "lateral views as frontal", "lateral only", [kinds(i) for i in by_view["lateral"]]
    yield "frontal views as lateral", "frontal", [kinds(i, "lateral") for i in by_view["frontal"]]
    for name, files in DICOM.items():
        read = [
            read_doubtful(str(get_testdata_file(f"{f}.dcm", download=False))) for f in files.split()
        ]
        yield name, "", [kinds(one.grey, doubts=one.doubts) for one in read]
        yield f"{name}, pixels alone", "", [kinds(one.grey) for one in read]
    pictures = [read_doubtful(file) for file in photographs()]
    yield "photographs", "colour", [kinds(one.grey, doubts=one.doubts) for one in pictures]
    yield "photographs in grey", "unlike", [kinds(one.grey) for one in pictures]
    rng = np.random.default_rng(0)
    parts = [crop(one.grey, rng) for one in pictures for _ in range(CROPS)]
    yield "parts of photographs in grey", "unlike", [kinds(part) for part in parts]
    yield "documents", "unlike", [kinds(document(rng)) for _ in range(100)]
    yield "noise", "unlike", [kinds(noise(rng)) for _ in range(100)]
    yield "constant", "empty", [kinds(np.full((256, 256), g, np.uint8)) for g in (0, 128, 255)]
    yield "ramps and discs", "unlike", [kinds(pattern) for pattern in patterns()]


def named_views(dataset: PreparedDataset, study: int) -> list[View]:
    """Of the images of a study."""
    return [image.view for image in dataset.study(study).images]


def photographs() -> Iterator[Path]:
    """Sample photographs that packages bring, of those that are installed."""
    for package, names in PHOTOGRAPHS.items():
        found = find_spec(package)
        if not found or not found.origin:
            print(f"{package} is not installed: its photographs are left out", file=sys.stderr)
            continue
        yield from (Path(found.origin).parent / name for name in names)


def crop(grey: Grey, rng: np.random.Generator) -> Grey:
    """A square part, of a third to all of the shorter side."""
    shorter = min(grey.shape)
    side = rng.integers(shorter // 3, shorter)
    top, left = (rng.integers(length - side + 1) for length in grey.shape)
    return grey[top : top + side, left : left + side]


def document(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A page of text, as scanned."""
    page = Image.new("L", (850, 1100), 255)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(18)
    top, step = int(rng.integers(40, 240)), int(rng.integers(20, 40))
    for line in range(rng.integers(8, 50)):
        words = "".join(rng.choice(list("etaoin shrdlu "), rng.integers(10, 80)))
        draw.text((60, top + line * step), words, fill=0, font=font)
    packed = io.BytesIO()
    page.save(packed, "JPEG", quality=80)
    return read_doubtful(packed.getvalue()).grey.astype(np.uint8)


def noise(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Random grey values, from coarse to fine."""
    side = int(rng.choice([2, 4, 8, 16, 32, 64, 128, 256]))
    values = Image.fromarray(rng.integers(0, 256, (side, side)).astype(np.uint8))
    return np.asarray(values.resize((256, 256), Image.Resampling.BICUBIC))


def patterns() -> Iterator[NDArray[np.uint8]]:
    """Smooth pictures without anatomy."""
    y, x = np.mgrid[-1:1:256j, -1:1:256j]
    for shape in (x, y, x + y, -y, -(x**2) - y**2, x**2 + y**2, x**2 + y**2 < 0.5, abs(x) < 0.5):
        values = shape.astype(float)
        yield ((values - values.min()) / np.ptp(values) * 255).astype(np.uint8)


if __name__ == "__main__":
    main()
