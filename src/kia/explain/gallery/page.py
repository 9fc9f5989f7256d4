"""All of the paper's figures for some studies, as one web page (Paper: Sec. 4.5, App. A, C to E).

A figure that the model cannot show, because it was trained without the task, or that a study does
not allow, is left out with a line that says why.
"""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kia.data.store.dataset import PreparedDataset
from kia.errors import DataError, ModelError
from kia.evaluation.board.page import page
from kia.explain.attention.gradient import mean_images
from kia.explain.comparison.page import LEGEND, STYLE, compared_block
from kia.explain.gallery.figures import StudyFigures, picture
from kia.explain.patches import draw_key_patches
from kia.explain.retrieval.index import RetrievalIndex
from kia.explain.words import other_studies
from kia.knowledge.atlas.places import shipped_atlas
from kia.models.kia import KIAModel
from kia.processing import KIAProcessor

_STYLE = """
body { max-width: 1480px; } h2 { border-top: 3px solid #1b1f24; padding-top: 1rem; }
h3 { font-size: 1rem; margin: 1.8rem 0 .2rem; } .compared { border: 0; padding: .3rem 0; }
.figure { overflow-x: auto; } .figure img { display: block; }
.words { line-height: 1.3; margin: .6rem 0; }
.hidden { display: inline-flex; flex-direction: column; vertical-align: top; font-size: .87rem;
  border: 1px solid #57606a; border-radius: .25rem; padding: 0 .3rem; margin: 0 .1rem .25rem; }
.hidden b { border-bottom: 1px solid #d0d7de; }
.right { color: #00456b; } .wrong { color: #8a3700; }
nav a { margin-right: .8rem; white-space: nowrap; }
"""

_WIDE_DPI = 100  # of the widest picture, so that it fits the page

_HEADINGS = {
    "compare": "Figures 6 and 11: reports beside the reference",
    "match": "Figure 12: matching degrees",
    "mask": "Figure 7: attention of [MASK] in the label report",
    "gradient": "Figure 7 again: what speaks for “present” at [MASK]",
    "sentences": "Attention of the decoder, by sentence of the generated report",
    "patches": "Figure 8: key patches and masked versions",
    "rebuilt": "Figure 9a: reconstruction under different reports",
    "words": "Figure 9b: masked words",
    "retrieval": "Figure 10: reports found for the image",
}
_NOTES = {
    "compare": f"{LEGEND} In frontal images the patient's right is on the left.",
    "match": "Probability that a report belongs to an image, by [MATCH]; another study is the next "
    "of the split, by a draw, with another report.",
    "gradient": "Integrated gradients from the mean training image: what raises the answer, "
    "whether it is right or not.",
    "words": "In a box the hidden word, and below it what is guessed with the study's own image, "
    "with another study's, and without one; ✓ right, ✗ wrong. A model that learnt masked words on "
    "the label report alone knows no other answers than present and absent.",
}


def spread_studies(dataset: PreparedDataset, split: str, count: int) -> NDArray[np.int64]:
    """Studies at equal distances over a split, so that nobody chose them; at most all of it."""
    studies = dataset.indices(split)  # type: ignore[arg-type]
    places = np.linspace(0, len(studies) - 1, min(count, len(studies))).round().astype(int)
    return studies[places]


def gallery_page(
    model: KIAModel,
    processor: KIAProcessor,
    dataset: PreparedDataset,
    studies: NDArray[np.int64],
    reports: Mapping[str, Sequence[str]],
    index: RetrievalIndex | None,
    *,
    title: str,
    on_progress: Callable[[int], None] = lambda count: None,
) -> str:
    """The page. It holds images and reports: patient data, where the data set is of patients.

    Args:
        model: In evaluation mode.
        processor: Of the same model.
        dataset: Prepared for the model's image size.
        studies: (n,) numbers in the data set, of one split.
        reports: Name of a system → n raw reports; the first is this model.
        index: Contrastive embeddings of the split; None of a model without contrast.
        title: Heading.
        on_progress: Told 1 with each study finished.
    """
    written = next(iter(reports.values()))
    split = dataset.indices(dataset.study(int(studies[0])).split)
    places = np.searchsorted(split, studies)
    others = other_studies(dataset, split)[places]  # as over the whole split
    usual = mean_images(processor, dataset)
    blocks, links = [], []
    for place, number in enumerate(studies.tolist()):
        figures = StudyFigures(
            *(model, processor, dataset, number, int(others[place])),
            written[place],
            usual,
            index,
        )
        columns = {name: texts[place] for name, texts in reports.items()}
        id = dataset.study(number).id
        links.append(f'<a href="#s{place}">{escape(id)}</a>')
        blocks.append(f'<div id="s{place}"><h2>{escape(id)}</h2>{_study(figures, columns)}</div>')
        on_progress(1)
    head = [
        f"<h1>{escape(title)}</h1>",
        '<p class="warning">This file holds images and reports of the data set: patient data '
        "wherever these are. Research only; not for clinical use.</p>",
        f'<p class="note">{len(studies)} studies. R marks the patient\'s right.</p>',
        f"<nav>{' '.join(links)}</nav>",
        "<h3>Figure 8: key patches of the 34 landmarks</h3>",
        _key_patches(dataset, studies, model),
    ]
    return page(title, [*head, *blocks], STYLE + _STYLE)


def _study(figures: StudyFigures, columns: Mapping[str, str]) -> str:
    """All figures of a study under their headings."""
    reference = figures.dataset.study(figures.number).report
    views = [_png(view) for view in figures.dataset.pixels(figures.number)]
    block = compared_block("", {"reference": reference, **columns}, views)
    draw: dict[str, Callable[[], str]] = {
        "compare": lambda: block,
        "match": figures.match,
        "mask": lambda: figures.masks("attention"),
        "gradient": lambda: figures.masks("gradient"),
        "sentences": figures.sentences,
        "patches": figures.masked_versions,
        "rebuilt": figures.reconstruction,
        "words": figures.words,
        "retrieval": figures.retrieval,
    }
    return "".join(_section(name, one) for name, one in draw.items())


def _section(name: str, draw: Callable[[], str]) -> str:
    note = f'<p class="note">{escape(_NOTES[name])}</p>' if name in _NOTES else ""
    try:
        shown = note + draw()
    except (DataError, ModelError) as error:
        shown = f'<p class="note">Left out: {escape(str(error))}.</p>'
    return f"<h3>{escape(_HEADINGS[name])}</h3>{shown}"


def _key_patches(dataset: PreparedDataset, studies: NDArray[np.int64], model: KIAModel) -> str:
    """On the first frontal image."""
    frontal = [study for study in studies.tolist() if dataset.views(study)[0] == "frontal"]
    if not frontal:
        return '<p class="note">Left out: no study has a frontal image.</p>'
    pixels, grid = dataset.pixels(frontal[0])[0], model.config.grid
    return picture(
        lambda path: draw_key_patches(pixels, shipped_atlas(), path, grid=grid, dpi=_WIDE_DPI),
        "key patches of 34 landmarks",
    )


def _png(view: NDArray[np.uint8]) -> bytes:
    file = BytesIO()
    Image.fromarray(view).save(file, "PNG")
    return file.getvalue()
