"""What the leaderboard ReXrank publishes of other systems, on IU X-Ray on our very test studies.

Sources, as of 2026: ``results/findings_result_iu_xray.csv`` (commit 1602a4c) and
``results/findings_result_mimiccxr.csv`` (commit 0b9b62e) of github.com/rajpurkarlab/ReXrank (MIT).
Its BLEU is the mean of each study's own BLEU-2 (`kia.evaluation.language.rexrank`).
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from kia.errors import UsageError

COLUMNS = {
    "bleu_2": "BLEU-2",
    "bertscore": "BERT",
    "semb_score": "Semb",
    "radgraph": "RadGraph",
    "inverse_radcliq_v1": "1/RadCliQ",
    "ratescore": "RaTE",
    "green": "GREEN",
    "crimson": "CRIMSON",
}
"""Key of a score → its column, shorter than on the board; higher is better in all of them."""


class LeaderboardRow(NamedTuple):
    """A system of the board.

    Attributes:
        system: As the board names it.
        institution: Likewise.
        year: Likewise.
        values: Some of `COLUMNS` → score, None where the board has none.
    """

    system: str
    institution: str
    year: int
    values: dict[str, float | None]

    def as_dict(self) -> dict[str, Any]:
        """The row, for the result."""
        return {"system": self.system, "institution": self.institution, "year": self.year} | (
            self.values
        )


class Leaderboard(NamedTuple):
    """One test set of the board.

    Attributes:
        dataset: Its name.
        studies: What is scored against what.
        source: Where the numbers were published, and when they were read.
        rows: In the order of the board.
    """

    dataset: str
    studies: str
    source: str
    rows: tuple[LeaderboardRow, ...]

    def as_dict(self) -> dict[str, Any]:
        """The board, for the result."""
        return {**self._asdict(), "rows": [row.as_dict() for row in self.rows]}


_IU_X_RAY = """
CheXagent,Stanford,2024,0.116,0.353,0.488,0.139,0.827,0.503,0.389,0.633
CheXpertPlus-MIMIC,Stanford,2024,0.178,0.386,0.593,0.169,0.988,0.585,0.661,0.619
CheXpertPlus-CheX,Stanford,2024,0.157,0.413,0.495,0.153,0.92,0.534,0.541,0.559
CheXpertPlus-CheX-MIMIC,Stanford,2024,0.198,0.453,0.593,0.211,1.179,0.618,0.648,0.632
Cvt2distilgpt2-MIMIC,CSIRO,2023,0.199,0.422,0.609,0.209,1.126,0.606,0.682,0.632
Cvt2distilgpt2-IU,CSIRO,2023,0.244,0.482,0.548,0.265,1.283,0.62,0.686,0.654
MedVersa,Harvard,2024,0.206,0.527,0.606,0.235,1.46,0.65,0.631,0.623
RadFM,SJTU,2023,0.2,0.459,0.566,0.23,1.187,0.627,0.615,0.562
RaDialog,TUM,2023,0.201,0.444,0.544,0.205,1.086,0.586,0.586,0.532
RGRG,TUM,2023,0.216,0.437,0.602,0.223,1.174,0.62,0.665,0.481
VLCI-MIMIC,SYSU,2023,0.139,0.364,0.483,0.22,0.913,0.578,0.474,-0.036
VLCI-IU,SYSU,2023,0.268,0.455,0.619,0.288,1.381,0.679,0.698,0.654
LLM-CXR,KAIST,2024,0.033,0.186,0.057,0.023,0.486,0.28,0.025,-0.554
GPT4V,OpenAI,2024,0.076,0.274,0.405,0.146,0.708,0.517,0.651,0.52
BiomedGPT-IU,Lehigh University,2024,0.142,0.375,0.522,0.213,0.956,0.543,0.523,0.654
MAIRA-2,Microsoft,2024,0.219,0.477,0.604,0.233,1.298,0.627,0.194,0.552
CXRMate-ED,CSIRO,2024,0.225,0.464,0.557,0.249,1.22,0.655,0.685,0.534
CXRMate-RRG24,CSIRO,2024,0.245,0.456,0.638,0.302,1.458,0.666,0.68,0.633
Libra,University of Glasgow,2024,0.183,0.441,0.614,0.21,1.176,0.624,0.698,0.642
MoERad-IU,IIT Madras,2025,0.277,0.525,0.641,0.341,1.922,0.684,0.665,0.656
MoERad-MIMIC,IIT Madras,2025,0.171,0.42,0.559,0.178,1.02,0.603,0.584,0.573
DD-LLaVA-X,SNUH,2025,0.189,0.443,0.6,0.233,1.204,0.636,0.671,0.635
MedGemma,Google,2025,0.217,0.475,0.6,0.26,1.34,0.678,0.724,0.524
UniRG-CXR,Microsoft Research,2025,0.376,0.636,0.701,0.398,4.804,0.729,0.664,0.632
CheXOne-R1,Stanford,2025,0.265,0.542,0.611,0.28,1.669,0.617,0.585,0.49
CX-Mind,SJTU,2025,0.205,0.489,0.603,0.232,1.328,0.662,0.644,0.648
zzy-RGv1-8b,Individual,2025,0.213,0.459,0.601,0.227,1.231,0.629,0.588,0.601
CARE-X,Microsoft Research,2026,0.272,0.537,0.653,0.302,1.859,0.702,0.63,0.661
MedGemma 1.5 4B,Google,2026,0.208,0.457,0.641,0.271,1.385,0.675,0.706,0.561
zzy-RGv2-2b,Individual,2025,0.305,0.584,0.656,0.34,2.43,0.684,0.632,0.615
Deepwise-RG,Deepwise,2026,0.309,0.535,0.662,0.338,2.046,0.684,0.640,0.641
"""

_MIMIC_CXR = """
MoERad-IU,IIT Madras,2025,0.064,0.321,0.213,0.122,0.643,0.455,0.174
MoERad-MIMIC,IIT Madras,2025,0.163,0.341,0.334,0.143,0.726,0.465,0.24
RadPhi3.5Vision,Microsoft,2025,0.223,0.386,0.431,0.207,0.888,0.534,0.294
DD-LLaVA-X,SNUH,2025,0.154,0.348,0.402,0.182,0.801,0.505,0.301
MedGemma,Google,2025,0.165,0.346,0.339,0.159,0.744,0.549,0.293
UniRG-CXR,Microsoft Research,2025,0.262,0.492,0.496,0.269,1.233,0.602,0.36
CheXOne-R1,Stanford,2025,0.218,0.461,0.455,0.235,1.06,0.519,0.314
RadPhi4VisionCXR,Microsoft Research,2025,0.234,0.444,0.439,0.251,1.033,0.584,0.351
zzy-RGv1-8b,Individual,2025,0.213,0.432,0.455,0.253,1.031,0.579,0.339
CX-Mind,SJTU,2025,0.15,0.385,0.319,0.174,0.782,0.543,0.267
MedGemma 1.5 4B,Google,2026,0.113,0.24,0.355,0.18,0.678,0.565,0.284
zzy-RGv2-2b,Individual,2025,0.237,0.488,0.495,0.292,1.267,0.603,0.366
"""


def _rows(lines: str) -> tuple[LeaderboardRow, ...]:
    """Lines of system, institution, year and scores; CRIMSON is new, and may be absent."""
    found = []
    for line in lines.split("\n")[1:-1]:
        system, institution, year, *scores = line.split(",")
        values = dict(zip(COLUMNS, map(float, scores), strict=False))
        row = LeaderboardRow(system, institution, int(year), dict.fromkeys(COLUMNS) | values)
        found.append(row)
    return tuple(found)


REXRANK = {
    "IU X-Ray": Leaderboard(
        "IU X-Ray",
        "590 studies, R2Gen's test split; findings",
        "ReXrank, results/findings_result_iu_xray.csv, commit 1602a4c, 2026",
        _rows(_IU_X_RAY),
    ),
    "MIMIC-CXR": Leaderboard(
        "MIMIC-CXR",
        "official test split, a study each (R2Gen's 3,858 are images); findings",
        "ReXrank, results/findings_result_mimiccxr.csv, commit 0b9b62e, 2026",
        _rows(_MIMIC_CXR),
    ),
}
"""Data set → its board. That of MIMIC-CXR has the rows of 2025 and 2026 alone."""


def leaderboard_for(references: Iterable[str], origin: Mapping[str, Any]) -> Leaderboard:
    """The board that scores of these references may stand in.

    Args:
        references: All of them, raw.
        origin: "source" and "split" of the prepared data set, where there is one.

    Raises:
        UsageError: There is none.
    """
    if is_rexrank_iu(references):
        return REXRANK["IU X-Ray"]
    if str(origin.get("source")).startswith("MIMIC-CXR") and origin.get("split") == "test":
        return REXRANK["MIMIC-CXR"]
    raise UsageError(
        "--rexrank: the references are not the findings of ReXrank's 590 studies of IU X-Ray "
        "(R2Gen's test split; of ReXRank_IUXray_test.json --reference-column section_findings)"
    )


_IU_DIGEST = "5352c016220f1cfb637aa2a106a24879e394ccae1325442e580545540a2dbbe8"


def nearest_of(system: str) -> str:
    """Key of the nearest neighbour by a system's own embeddings; "nearest" of an only system."""
    return f"nearest {system}".strip()


def is_rexrank_iu(references: Iterable[str]) -> bool:
    """Whether references are the findings of ReXrank's 590 studies of IU X-Ray, in any order."""
    lines = sorted(" ".join(text.split()) for text in references)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest() == _IU_DIGEST
