"""The settings of Tables 1 to 5 and Figure 5, as changes of a preset.

All else (sizes, schedule, data) is the preset's, so that rows differ in what the table is about. A
task that a setting has keeps the preset's weight λ; one that it lacks gets weight 0 and is neither
built nor computed. Every setting has both stages and as many epochs as the preset: "RG only" trains
report generation alone in stage 1 too. Stage 2 is the paper's, without rehearsal. Rows have equal
epochs, not equal time.
"""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from kia.config import RunConfig, load_config, validate
from kia.errors import UsageError

Changes = dict[str, Any]
"""Dotted path of a configuration field → value."""


def _tasks(mim: str | None = None, mlm: str | None = None, alignment: bool = False) -> Changes:
    """Report generation and these: the masking of MIM and of MLM, and whether IRC and IRM run."""
    changes: Changes = {}
    for task, masking in (("mim", mim), ("mlm", mlm)):
        changes |= {f"tasks.{task}.masking": masking} if masking else {f"tasks.{task}.weight": 0}
    return changes if alignment else changes | {"tasks.irc.weight": 0, "tasks.irm.weight": 0}


KIA = _tasks("anatomy", "graph", alignment=True)
"""The whole method: Anatomy-MIM, Graph-MLM, IRC, IRM, RG."""

# Ours: Table 5's cells are lost in our copy of the paper, but for .6 with .9. p_key = p_total masks
# all patches alike, as general masking does.
MASK_PROBABILITIES = tuple(
    (p_total, p_key)
    for p_total in (0.4, 0.6, 0.75)
    for p_key in dict.fromkeys((p_total, 0.75, 0.9, 1.0))
)
"""(p_total, p_key) of Table 5."""

SETTINGS: dict[str, Changes] = {
    "kia-graph": KIA,
    "kia-label": KIA | {"tasks.mlm.masking": "label"},
    "without-mim": _tasks(None, "graph", alignment=True),
    "without-mlm": _tasks("anatomy", None, alignment=True),
    "rg-only": _tasks(),
    "mim-general": _tasks("general"),
    "mim-anatomy": _tasks("anatomy"),
    "mlm-general": _tasks(None, "general"),
    "mlm-graph": _tasks(None, "graph"),
    "mlm-label": _tasks(None, "label"),
    "local": _tasks("anatomy", "graph"),
    "global": _tasks(alignment=True),
    "shared": KIA | {"model.share_parameters": True},
    "separate": KIA | {"model.share_parameters": False},
    **{
        f"mask-{p_total}-{p_key}": KIA | {"tasks.mim.p_total": p_total, "tasks.mim.p_key": p_key}
        for p_total, p_key in MASK_PROBABILITIES
    },
}
"""Name → changes. The names are those of the folders that the runs are in."""

NLG, CE = "protocols.r2gen", "clinical.uncertain_negative"


@dataclass(frozen=True)
class Ablation:
    """A table or figure of the paper.

    Attributes:
        title: What it is about.
        rows: Setting → what the paper calls it, in the order of the paper.
        shows: What the columns are: language metrics, clinical averages, or observations.
        score: Path of the score by which the paper orders the rows; "gain" for AVG.Δ.
        claims: (better, worse): settings whose order the paper reports.
        paper: What the paper says of it, a sentence.
        baseline: The setting that AVG.Δ compares with.
        parameters: Whether there is a column of parameter counts.
    """

    title: str
    rows: dict[str, str]
    shows: Literal["language", "clinical", "observations"]
    score: str
    claims: tuple[tuple[str, str], ...]
    paper: str
    baseline: str | None = None
    parameters: bool = False


ABLATIONS: dict[str, Ablation] = {
    # Paper: Sec. 4.3, Table 1 (its last two rows of each data set)
    "table1": Ablation(
        "Table 1: graphs or labels guide MLM",
        {"kia-label": "KIA (Label)", "kia-graph": "KIA (Graph)"},
        "language",
        f"{NLG}.cider",
        (("kia-graph", "kia-label"),),
        "CIDEr .559 (Label) and .641 (Graph) on IU X-Ray, .307 and .316 on MIMIC-CXR.",
    ),
    # Paper: Sec. 4.3, Table 2. Ours: its KIA is Graph, and its average micro-14; it says neither.
    "table2": Ablation(
        "Table 2: clinical efficacy without local tasks",
        {"without-mim": "KIA w/o MIM", "without-mlm": "KIA w/o MLM", "kia-graph": "KIA"},
        "clinical",
        f"{CE}.micro_14.f1",
        (("kia-graph", "without-mim"), ("without-mim", "without-mlm")),
        "F1 .438 (w/o MIM), .413 (w/o MLM), .461 (KIA) on MIMIC-CXR.",
    ),
    # Paper: Sec. 4.4, Table 3. Ours: f and g, whose column heads are lost in our copy.
    "table3": Ablation(
        "Table 3: combinations of tasks",
        {
            "rg-only": "baseline: RG",
            "mim-general": "a: general MIM",
            "mim-anatomy": "b: Anatomy-MIM",
            "mlm-general": "c: general MLM",
            "mlm-graph": "d: Graph-MLM",
            "mlm-label": "e: Label-MLM",
            "local": "f: b + d (local)",
            "global": "g: IRC + IRM (global)",
            "kia-graph": "KIA: all",
        },
        "language",
        "gain",
        (
            ("mim-general", "rg-only"),
            ("mim-anatomy", "mim-general"),
            ("mlm-graph", "rg-only"),
            ("mlm-graph", "mlm-general"),
            *(("kia-graph", part) for part in ("mim-anatomy", "mlm-graph", "local", "global")),
        ),
        "AVG.Δ +5.9 % (a), +6.5 % (b), +6.3 % (d), +15.1 % (KIA) on IU X-Ray; "
        "the other cells are lost in our copy.",
        baseline="rg-only",
    ),
    # Paper: Sec. 4.4, Table 4
    "table4": Ablation(
        "Table 4: parameter sharing",
        {"separate": "separate towers", "shared": "shared towers"},
        "language",
        f"{NLG}.bleu_4",
        (("shared", "separate"),),
        "BLEU-4 .166 (separate, 283M parameters) and .188 (shared, 120M) on IU X-Ray.",
        parameters=True,
    ),
    # Paper: App. B, Table 5
    "table5": Ablation(
        "Table 5: masking probabilities, p_total + p_key",
        {f"mask-{total}-{key}": f"{total} + {key}" for total, key in MASK_PROBABILITIES},
        "language",
        f"{NLG}.cider",
        tuple(
            ("mask-0.6-0.9", f"mask-{total}-{key}")
            for total, key in MASK_PROBABILITIES
            if (total, key) != (0.6, 0.9)
        ),
        "0.6 + 0.9 is best on MIMIC-CXR, its CIDEr 2.5 % above that of plain 0.6.",
    ),
    # Paper: Sec. 4.3, Fig. 5. Ours: which six, the names are in the picture alone.
    "fig5": Ablation(
        "Figure 5: F1 of six observations, Graph-MLM and Label-MLM",
        {"kia-graph": "Graph-MLM", "kia-label": "Label-MLM"},
        "observations",
        f"{CE}.micro_14.f1",
        (("kia-label", "kia-graph"),),
        "Label-MLM is better in clinical efficacy.",
    ),
}
"""Name of the command's argument → what it runs."""


def setting_configs(
    ablation: str, preset: str, overrides: Sequence[str]
) -> dict[str, tuple[str, RunConfig]]:
    """The configuration of each row.

    Args:
        ablation: A key of `ABLATIONS`.
        preset: Name or YAML file.
        overrides: `a.b=c`, of all rows.

    Returns:
        Setting → (name of its folder, configuration). Settings that come to the same configuration
        under this preset have one folder, and so are trained once.

    Raises:
        ConfigError: The preset or an override is wrong.
        UsageError: An override is what the table varies, or the preset lacks a task.
    """
    rows = ABLATIONS[ablation].rows
    _check_overrides(ablation, rows, overrides)
    names: dict[str, str] = {}
    configs: dict[str, RunConfig] = {}
    base = load_config(preset, ["train.rehearse_every=", *overrides]).model_dump()
    for name, changes in SETTINGS.items():  # of all tables: a folder's name depends on none
        configs[name] = validate(_changed(base, changes), f"{preset}, setting {name}")
        names.setdefault(configs[name].model_dump_json(), name)
    for name in rows:
        _check_weights(name, configs[name])
    return {name: (names[configs[name].model_dump_json()], configs[name]) for name in rows}


def _changed(tree: dict[str, Any], changes: Changes) -> dict[str, Any]:
    changed = copy.deepcopy(tree)
    for key, value in changes.items():
        *parents, last = key.split(".")
        node = changed
        for parent in parents:
            node = node[parent]
        node[last] = value
    return changed


def _check_overrides(ablation: str, rows: Iterable[str], overrides: Sequence[str]) -> None:
    varied = {key for name in rows for key in SETTINGS[name] if not key.endswith(".weight")}
    for override in overrides:
        key = override.partition("=")[0].strip()
        if key in varied:
            raise UsageError(f"--set {override}: {ablation} sets {key} itself; leave it out")


def _check_weights(name: str, config: RunConfig) -> None:
    for task in ("mim", "mlm", "irc", "irm"):
        off = getattr(config.tasks, task).weight == 0
        if off and f"tasks.{task}.weight" not in SETTINGS[name]:
            raise UsageError(
                f"setting {name} needs {task}, whose weight is 0 here: --set tasks.{task}.weight=1"
            )
