"""An ablation as tables of text: the paper's columns, and below them what makes them honest."""

from collections.abc import Sequence
from typing import Any

from kia.ablations.results import not_compared
from kia.ablations.settings import ABLATIONS, CE, NLG
from kia.evaluation.baselines import BASELINES
from kia.evaluation.board.rendering import Page
from kia.evaluation.board.summary import note_lines, warning_lines
from kia.evaluation.board.tables import (
    DASH,
    HEADERS,
    Row,
    ScoreTable,
    Values,
    at_path,
    number,
    numbers,
    spread_row,
)
from kia.evaluation.clinical.efficacy import POLICIES, SCORES
from kia.evaluation.language.scores import METRICS
from kia.evaluation.published import TABLE_1, TABLE_2, comparable_dataset

OBSERVATIONS_SHOWN = 6  # as in Figure 5
NOT_SHOWN = ("No Finding", "Support Devices")  # no abnormalities


def ablation_page(found: Values) -> Page:
    """The tables of an ablation, and what stands beside them.

    Args:
        found: From `ablation_result`, or read back from its JSON file.
    """
    results = [run for row in found["rows"] for run in row["result"].get("runs", [row["result"]])]
    whole = {"runs": results, "coverage": results[0]["coverage"]}
    first = found["rows"][0]["result"]
    told = _is_told if ABLATIONS[found["ablation"]].shows != "observations" else _is_metric
    notes = {key: note for key, note in first["notes"].items() if told(key)}
    return Page(
        [_scores(found), _honesty(found)],
        warning_lines(whole),
        _summary(found),
        [*_conventions(found), *note_lines(notes)],
        found["version"],
    )


def shown_observations(found: Values) -> list[str]:
    """The observations of Figure 5: those that most references have, in the order of their number.

    The paper names its six in the picture alone, which our copy lacks.
    """
    policy = CE.split(".")[1]
    support = at_path(found["rows"][0]["result"], ("clinical", policy, "observations"))
    names = [name for name in support if name not in NOT_SHOWN]
    return sorted(names, key=lambda name: -support[name]["support"])[:OBSERVATIONS_SHOWN]


def _scores(found: Values) -> ScoreTable:
    """The table of the paper."""
    shows = ABLATIONS[found["ablation"]].shows
    table = {"language": _language, "clinical": _clinical, "observations": _observations}
    return table[shows](found)


def _language(found: Values) -> ScoreTable:
    ablation = ABLATIONS[found["ablation"]]
    columns = list(HEADERS.values())
    if ablation.baseline:
        columns.append("AVG.Δ")
    if ablation.parameters:
        columns.append("parameters")
    rows: list[Row] = []
    for row in found["rows"]:
        values = at_path(row["result"], NLG.split(".")) or {}
        spread = spread_row(row["result"], NLG.split("."), METRICS)[0]
        cells, beside = numbers(values, METRICS), list(spread.cells)
        if ablation.baseline:
            is_baseline = row["setting"] == ablation.baseline
            cells.append(DASH if is_baseline else _percent(row["gain"]["value"]))
            beside.append("" if is_baseline else _percent_spread(row["gain"]))
        if ablation.parameters:
            cells.append(f"{row['parameters'] / 1e6:.2f}M")
            beside.append("")
        rows += [Row(row["label"], cells, "model"), Row(spread.label, beside, "interval")]
    sections = [rows, _constants(found, bool(ablation.baseline), ablation.parameters)]
    dataset = comparable_dataset(found["rows"][0]["result"])
    if dataset and found["ablation"] == "table1":
        published = [Row(f"{r.method}, paper", numbers(r.values, METRICS, 3), "published")
                     for r in TABLE_1[dataset]]  # fmt: skip
        sections.append(published)
    return ScoreTable(found["title"], ["setting · r2gen", *columns], sections, [])


def _constants(found: Values, gains: bool, parameters: bool) -> list[Row]:
    """Baselines that look at no image, the same for all settings."""
    rows = []
    for key, label in BASELINES.items():
        values = at_path(found["rows"][0]["result"]["baselines"].get(key), ("r2gen",))
        if key == "nearest" or not values:
            continue
        cells = numbers(values, METRICS)
        if gains:
            cells.append(_percent(found["baselines"].get(key)))
        if parameters:
            cells.append("")
        rows.append(Row(label, cells, "baseline"))
    return rows


def _clinical(found: Values) -> ScoreTable:
    rows: list[Row] = []
    for row in found["rows"]:
        cells: list[str] = []
        beside: list[str] = []
        for policy in POLICIES:
            path = ("clinical", policy, "micro_14")
            cells += numbers(at_path(row["result"], path), SCORES, 3)
            beside += spread_row(row["result"], path, SCORES)[0].cells
        label = spread_row(row["result"], ("clinical", POLICIES[0], "micro_14"), SCORES)[0].label
        rows += [Row(row["label"], cells, "model"), Row(label, beside, "interval")]
    constants = [
        Row(
            label,
            [
                cell
                for policy in POLICIES
                for cell in numbers(at_path(values, (policy, "micro_14")), SCORES, 3)
            ],
            "baseline",
        )
        for key, label in BASELINES.items()
        if key != "nearest"
        and (values := at_path(found["rows"][0]["result"]["baselines"].get(key), ("clinical",)))
    ]
    sections = [rows, constants]
    if comparable_dataset(found["rows"][0]["result"]) == "MIMIC-CXR":
        sections.append(
            [
                Row(f"{r.method}, paper", [*numbers(r.values, SCORES, 3), "", "", ""], "published")
                for r in TABLE_2
            ]
        )
    columns = [f"{score}, {word}" for word in ("absent", "present") for score in ("P", "R", "F1")]
    notes = ["micro-14, an uncertain label read as absent and as present; the paper does not say."]
    return ScoreTable(found["title"], ["setting", *columns], sections, notes)


def _observations(found: Values) -> ScoreTable:
    names = shown_observations(found)
    rows: list[Row] = []
    for row in found["rows"]:
        cells, beside, label = [], [], ""
        for name in names:
            path = (*CE.split("."), "observations", name)
            cells += numbers(at_path(row["result"], path), ("f1",), 3)
            spread = spread_row(row["result"], path, ("f1",))[0]
            beside.append(spread.cells[0])
            label = spread.label
        rows += [Row(row["label"], cells, "model"), Row(label, beside, "interval")]
    support = at_path(found["rows"][0]["result"], (*CE.split("."), "observations"))
    rows.append(Row("references that have it", [f"{support[n]['support']:.0f}" for n in names]))
    notes = ["F1, an uncertain label read as absent; the observations that most references have."]
    return ScoreTable(found["title"], ["setting", *names], [rows], notes)


def _honesty(found: Values) -> ScoreTable:
    """CIDEr alone misleads: does the model write different reports, and does it look?"""
    columns = {
        "different reports": ("diversity", "unique_reports"),
        "copied": ("diversity", "copied_ratio"),
        "image gain": ("image_gain", "value"),
        "CIDEr": (*NLG.split("."), "cider"),
        "CIDEr, nearest": ("baselines", "nearest", "r2gen", "cider"),
        "micro-14 F1": (*CE.split("."), "micro_14", "f1"),
        "F1, nearest": ("baselines", "nearest", "clinical", CE.split(".")[1], "micro_14", "f1"),
        "finding F1": ("phantom_findings", "predictions", "f1"),
    }
    if "phantom_findings" not in found["rows"][0]["result"]:
        del columns["finding F1"]
    rows = [
        Row(row["label"], [_with_sd(row["result"], path) for path in columns.values()], "model")
        for row in found["rows"]
    ]
    notes = [
        f"Different reports for {found['n']} studies; copied: word for word from training. Image "
        "gain: validation loss with another study's image minus that with its own, nats a token. "
        "Nearest: the report of the training study nearest by this model's own image features."
    ]
    if "finding F1" in columns:
        notes.append("Finding F1: against what the phantoms show, without a labeler.")
    return ScoreTable("Does it look at the image?", ["setting", *columns], [rows], notes)


def _with_sd(result: Values, path: Sequence[str]) -> str:
    value = at_path(result, path)
    if value is None:
        return DASH
    digits = 0 if path[-1] == "unique_reports" else 1 if path[-1] == "copied_ratio" else 3
    scale = 100 if path[-1] == "copied_ratio" else 1
    sd = at_path(result["sd"], path) if "sd" in result else None
    spread = "" if sd is None else f" ±{number(scale * sd, digits)}"
    return f"{number(scale * value, digits)}{spread}{' %' if scale == 100 else ''}"


def _percent(share: float | None) -> str:
    return DASH if share is None else f"{100 * share:+.1f} %"


def _percent_spread(found: Values) -> str:
    if "sd" in found:
        return f"±{100 * found['sd']:.1f}"
    if "interval" in found:
        low, high = found["interval"]
        return f"{100 * low:+.1f} to {100 * high:+.1f}"
    return ""


def _summary(found: Values) -> list[str]:
    origin, seeds = found["dataset"], found["seeds"]
    split = origin["split"]
    lines = [f"{found['n']} studies of split {split}; training seeds {', '.join(map(str, seeds))}."]
    lines.append(f"The paper: {ABLATIONS[found['ablation']].paper}")
    return lines + [_claim(found, claim) for claim in found["claims"]]


def _claim(found: Values, claim: dict[str, Any]) -> str:
    labels = {row["setting"]: row["label"] for row in found["rows"]}
    in_percent = claim["score"] == "gain"
    says = f"{labels[claim['better']]} above {labels[claim['worse']]}"
    if claim["holds"] is None:
        return f"{says}: cannot be told, a score is missing."
    if in_percent:
        value, spread = _percent(claim["value"]), _percent_spread(claim)
    else:
        value = f"{claim['value']:+.4f}"
        spread = f"±{claim['sd']:.4f}" if "sd" in claim else ""
        if "interval" in claim:
            spread = " to ".join(f"{bound:+.4f}" for bound in claim["interval"])
    unsure = "" if claim["certain"] else ", within the uncertainty"
    verdict = "holds" if claim["holds"] else "does not hold"
    if claim["value"] == 0 and not claim["certain"]:
        return f"{says}: does not hold, they are equal."
    return f"{says}: {verdict}{unsure} ({value}{f', {spread}' if spread else ''})."


def _conventions(found: Values) -> list[str]:
    ablation = ABLATIONS[found["ablation"]]
    lines = []
    if len(found["seeds"]) > 1:
        lines.append(
            "±: standard deviation over training seeds (n − 1); an order is within the uncertainty "
            "if the mean difference, seed by seed, is smaller than its deviation."
        )
    else:
        lines.append(
            "Ranges: 95 % bootstrap intervals over studies, of differences over the same studies; "
            "another training seed may move a score further. Use --seeds 3."
        )
    if ablation.baseline:
        left_out = [HEADERS[metric] for metric in not_compared(_baseline_scores(found))]
        lines.append(
            f"AVG.Δ: mean over the NLG metrics of score / {ablation.rows[ablation.baseline]} − 1; "
            f"left out (0 for the baseline, or not computed): {', '.join(left_out) or 'none'}."
        )
    if found.get("select_by", "cider") != "cider":
        lines.append(f"Models were kept by validation {found['select_by']}; the paper: by CIDEr.")
    if found["dataset"]["split"] == "test":
        lines.append("Test scores are to be reported, not chosen by: choose with --split val.")
    else:
        lines.append("The models were kept by these validation studies: the scores are high.")
    return lines


def _baseline_scores(found: Values) -> Values:
    baseline = ABLATIONS[found["ablation"]].baseline
    row = next(row for row in found["rows"] if row["setting"] == baseline)
    return at_path(row["result"], NLG.split(".")) or {}


def _is_told(key: str) -> bool:
    """Notes that hold for all rows: constants, and metrics of r2gen that were not computed."""
    return _is_metric(key) or (key.startswith("baselines.") and key != "baselines.nearest")


def _is_metric(key: str) -> bool:
    return key.startswith(f"{NLG}.")
