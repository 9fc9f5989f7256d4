"""Numbers that papers print, to stand beside ours where data set, split and protocol are the same.

Source: Tables 1 and 2 of the paper (COLING 2025), with the rows that it cites from others.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from kia.evaluation.language.protocols import DatasetStyle
from kia.evaluation.language.scores import METRICS


class PublishedRow(NamedTuple):
    """One row of a published table.

    Attributes:
        method: As the paper names it.
        values: Name of a score → value, None where the paper has none.
    """

    method: str
    values: dict[str, float | None]


def _language(method: str, *values: float | None) -> PublishedRow:
    """Values in the order of the paper: B-1 … B-4, ROUGE-L, METEOR, CIDEr."""
    order = ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "meteor", "cider")
    found = dict(zip(order, values, strict=True))
    return PublishedRow(method, {metric: found[metric] for metric in METRICS})


TABLE_1 = {
    "IU X-Ray": (
        _language("R2Gen (2020)", 0.470, 0.304, 0.219, 0.165, 0.371, 0.187, None),
        _language("PPKED (2021)", 0.483, 0.315, 0.224, 0.168, 0.376, None, 0.351),
        _language("R2GenCMN (2022)", 0.475, 0.309, 0.222, 0.170, 0.375, 0.191, None),
        _language("MSAT (2022)", 0.481, 0.316, 0.226, 0.171, 0.372, 0.190, 0.394),
        _language("DCL (2023)", None, None, None, 0.163, 0.383, 0.193, 0.586),
        _language("METransformer (2023)", 0.483, 0.322, 0.228, 0.172, 0.380, 0.192, 0.435),
        _language("PromptMRG (2024)", 0.401, None, None, 0.098, 0.281, 0.160, None),
        _language("BootstrapLLM (2024)", 0.499, 0.323, 0.238, 0.184, 0.390, 0.208, None),
        _language("KIA (Label)", 0.501, 0.325, 0.240, 0.183, 0.375, 0.207, 0.559),
        _language("KIA (Graph)", 0.503, 0.329, 0.242, 0.188, 0.385, 0.208, 0.641),
    ),
    "MIMIC-CXR": (
        _language("R2Gen (2020)", 0.353, 0.218, 0.145, 0.103, 0.277, 0.142, None),
        _language("PPKED (2021)", 0.360, 0.224, 0.149, 0.106, 0.284, 0.149, None),
        _language("R2GenCMN (2022)", 0.353, 0.218, 0.148, 0.106, 0.278, 0.142, None),
        _language("MSAT (2022)", 0.373, 0.235, 0.162, 0.120, 0.282, 0.143, 0.299),
        _language("KiUT (2023)", 0.393, 0.243, 0.159, 0.113, 0.285, 0.160, None),
        _language("UAR (2023)", 0.363, 0.229, 0.158, 0.107, 0.289, 0.157, 0.289),
        _language("PromptMRG (2024)", 0.398, None, None, 0.112, 0.268, 0.157, None),
        _language("BootstrapLLM (2024)", 0.402, 0.262, 0.180, 0.128, 0.291, 0.175, None),
        _language("KIA (Label)", 0.413, 0.272, 0.185, 0.136, 0.305, 0.164, 0.307),
        _language("KIA (Graph)", 0.415, 0.274, 0.187, 0.138, 0.307, 0.167, 0.316),
    ),
}
"""Data set → rows of Table 1; they compare with our protocol ``r2gen``."""


def _clinical(method: str, precision: float, recall: float, f1: float) -> PublishedRow:
    return PublishedRow(method, {"precision": precision, "recall": recall, "f1": f1})


TABLE_2 = (
    _clinical("R2Gen", 0.333, 0.273, 0.276),
    _clinical("KnowMat", 0.458, 0.348, 0.371),
    _clinical("KiUT", 0.371, 0.318, 0.321),
    _clinical("DCL", 0.471, 0.352, 0.373),
    _clinical("KIA w/o MIM", 0.496, 0.392, 0.438),
    _clinical("KIA w/o MLM", 0.486, 0.359, 0.413),
    _clinical("KIA", 0.504, 0.425, 0.461),
)
"""Rows of Table 2: clinical efficacy on MIMIC-CXR."""


class PublishedSplit(NamedTuple):
    """A test split that the tables are about.

    Attributes:
        studies: How many it has.
        cleaning: How its reports are cleaned.
    """

    studies: int
    cleaning: DatasetStyle


TEST_SPLITS = {"IU X-Ray": PublishedSplit(590, "iu"), "MIMIC-CXR": PublishedSplit(3858, "mimic")}
"""Data set → R2Gen's test split."""


def comparable_dataset(result: Mapping[str, Any]) -> str | None:
    """The data set whose published rows a result may stand beside, or None.

    That is a key of `TABLE_1`, where the whole test split of that data set was scored by its own
    cleaning.
    """
    origin, cleaning = result["dataset"], result["settings"]["cleaning"]
    source = str(origin["source"] or "")
    for name, split in TEST_SPLITS.items():
        scored = PublishedSplit(result["n"], cleaning)
        if source.startswith(name) and origin["split"] == "test" and scored == split:
            return name
    return None
