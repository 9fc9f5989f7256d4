"""The scoreboard as tables of text, whatever draws them: terminal, Markdown, LaTeX or HTML."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kia.evaluation.baselines import BASELINES
from kia.evaluation.clinical.efficacy import CELLS, POLICIES, PUBLISHED_CELLS, SCORES
from kia.evaluation.clinical.graphs import LEVELS
from kia.evaluation.clinical.organs import COLUMNS
from kia.evaluation.language.protocols import MAX_REFERENCE_WORDS
from kia.evaluation.language.scores import METRICS, PROTOCOLS
from kia.evaluation.published import TABLE_1, TABLE_2, TEST_SPLITS, comparable_dataset
from kia.knowledge.organs import ORGANS

Values = Mapping[str, Any]

HEADERS = dict(
    zip(METRICS, ("B-1", "B-2", "B-3", "B-4", "METEOR", "ROUGE-L", "CIDEr"), strict=True)
)
"""Metric → column."""

TEXT_COLUMNS = ("printed by",)
"""Columns of words, which stand left."""

DASH = "–"


@dataclass(frozen=True)
class Row:
    """A row: its label, its cells as text, and what it is.

    Attributes:
        kind: "model", "interval", "baseline", "published" or "".
    """

    label: str
    cells: list[str]
    kind: str = ""


@dataclass
class ScoreTable:
    """A table with its title; `sections` are groups of rows with a line between them."""

    title: str
    columns: list[str]
    sections: list[list[Row]]
    notes: list[str] = field(default_factory=list)


def result_tables(result: Values) -> list[ScoreTable]:
    """All tables of a result of ``kia evaluate``.

    Args:
        result: From `kia.evaluation.board.scoreboard`, or read back from its JSON file.
    """
    tables = [_language(result), _graphs(result), _clinical(result), _observations(result)]
    if "organs" in result:
        tables.append(_organs(result))
    if comparable_dataset(result) == "MIMIC-CXR":
        tables.append(_table_2(result))
    tables += [_groups(column, groups) for column, groups in result.get("by", {}).items()]
    tables += [_extra(name, found) for name, found in result.get("extra", {}).items()]
    tables += [_against(run) for run in result.get("runs", [result]) if "against" in run]
    return tables


def number(value: float | None, digits: int = 4) -> str:
    """A score as text, a dash for None."""
    return DASH if value is None else f"{value:.{digits}f}"


def short_range(interval: Sequence[float] | None) -> str:
    """Such as ".104–.188", short enough for a table of seven."""
    if interval is None:
        return ""
    return "–".join(f"{bound:.3f}".removeprefix("0") for bound in interval)


def spread_row(result: Values, path: Sequence[str], names: Sequence[str]) -> list[Row]:
    """The intervals of a row, or its standard deviations over seeds."""
    if "sd" in result:
        found = at_path(result["sd"], path) or {}
        cells = ["" if found.get(name) is None else f"±{found[name]:.4f}" for name in names]
        return [Row("  sd over runs", cells, "interval")]
    path = path[1:] if path[0] == "protocols" else path
    found = at_path(result["confidence"], path) or {}
    return [Row("  95 % interval", [short_range(found.get(name)) for name in names], "interval")]


def at_path(tree: Any, path: Sequence[str]) -> Any:
    """What stands there in nested dictionaries; None if a part of the path is absent."""
    for name in path:
        tree = (tree or {}).get(name)
    return tree


def _baselines(result: Values, path: Sequence[str]) -> Iterator[tuple[str, Values]]:
    for key, label in BASELINES.items():
        if found := at_path(result["baselines"].get(key), path):
            yield label, found


def _language(result: Values) -> ScoreTable:
    sections = []
    dataset = comparable_dataset(result)
    for protocol in PROTOCOLS:
        values = result["protocols"][protocol] or {}
        rows = [Row(f"{_name(result)} · {protocol}", numbers(values, METRICS), "model")]
        if values:
            rows += spread_row(result, ("protocols", protocol), METRICS)
        rows += [
            Row(f"{label} · {protocol}", numbers(found, METRICS), "baseline")
            for label, found in _baselines(result, (protocol,))
        ]
        if protocol == "r2gen" and dataset:
            rows += [
                Row(f"{row.method}, paper", numbers(row.values, METRICS, 3), "published")
                for row in TABLE_1[dataset]
            ]
        sections.append(rows)
    title = "Language metrics, protocol by protocol"
    columns = ["reports · protocol", *HEADERS.values()]
    return ScoreTable(title, columns, sections, _conventions(result))


def _conventions(result: Values) -> list[str]:
    settings = result["settings"]
    style = settings["cleaning"]
    cleaned = next(name for name, split in TEST_SPLITS.items() if split.cleaning == style)
    notes = [
        f"r2gen, r2gen-full: cleaned as R2Gen cleans {cleaned}. r2gen: references mapped through "
        f"the training vocabulary, cut to {MAX_REFERENCE_WORDS[style]} words. coco: Penn Treebank "
        "tokens. METEOR 1.5; CIDEr: idf of these references."
    ]
    if "sd" not in result:
        notes.append(
            f"Intervals: {settings['resamples']:,} bootstrap resamples of the studies, seed "
            f"{settings['seed']}."
        )
    return notes


def numbers(values: Values, names: Sequence[str], digits: int = 4) -> list[str]:
    """Scores of these names as text."""
    return [number(values.get(name), digits) for name in names]


def numbers_of(values: Sequence[float | None], digits: int = 4) -> list[str]:
    """These scores as text."""
    return [number(value, digits) for value in values]


def _name(result: Values) -> str:
    return "model" if "sd" not in result else f"mean of {len(result['runs'])} runs"


def _graphs(result: Values) -> ScoreTable:
    rows = [Row(_name(result), numbers(result["radgraph_f1"], LEVELS), "model")]
    rows += spread_row(result, ("radgraph_f1",), LEVELS)
    rows += [
        Row(label, numbers(found, LEVELS), "baseline")
        for label, found in _baselines(result, ("radgraph_f1",))
    ]
    title = f"RadGraph-F1 ({_sources(result, 'graph_sources')})"
    return ScoreTable(title, ["reports", *LEVELS], [rows])


def _sources(result: Values, key: str) -> str:
    """Where labels or graphs come from; both sides' where they differ."""
    ours, theirs = result[key]["predictions"], result[key]["references"]
    return ours if ours == theirs else f"{ours}; references: {theirs}"


_UNCERTAIN = {
    "uncertain_negative": "uncertain as absent",
    "uncertain_positive": "uncertain as present",
}


def _clinical(result: Values) -> ScoreTable:
    sections = []
    for policy in POLICIES:
        rows = []
        for cell in CELLS:
            path = ("clinical", policy, cell)
            spread = spread_row(result, path, ("f1",))[0].cells
            best = max((found["f1"] for _, found in _baselines(result, path)), default=None)
            papers = [p.paper for p in PUBLISHED_CELLS if cell in p.cells and policy in p.policies]
            cells = [*numbers(at_path(result, path), SCORES, 3), *spread, number(best, 3)]
            rows.append(
                Row(f"{cell.replace('_', '-')}, {_UNCERTAIN[policy]}", [*cells, "; ".join(papers)])
            )
        sections.append(rows)
    title = f"Clinical efficacy ({_sources(result, 'labelers')})"
    columns = ["average", "P", "R", "F1", _spread_name(result), "best baseline F1", "printed by"]
    notes = ["An observation that neither side has counts as 0 in macro averages."]
    notes += [f"{paper.paper}: {paper.note}." for paper in PUBLISHED_CELLS]
    return ScoreTable(title, columns, sections, notes)


def _spread_name(result: Values) -> str:
    return "sd" if "sd" in result else "95 %"


def _observations(result: Values) -> ScoreTable:
    columns = ["observation"]
    for shown in ("absent", "present"):
        columns += [f"support, {shown}", "P", "R", "F1", _spread_name(result)]
    names = list(result["clinical"][POLICIES[0]]["observations"])
    rows = []
    for name in names:
        cells: list[str] = []
        for policy in POLICIES:
            path = ("clinical", policy, "observations", name)
            found = at_path(result, path)
            cells += [str(found["support"]), *numbers(found, SCORES, 3)]
            cells.append(spread_row(result, path, ("f1",))[0].cells[0])
        rows.append(Row(name, cells))
    return ScoreTable("Observations, uncertain as absent and as present", columns, [rows])


def _organs(result: Values) -> ScoreTable:
    rows = []
    for name in (*ORGANS, "macro"):
        path = ("organs", name)
        found = at_path(result, path)
        best = [max((b[s] for _, b in _baselines(result, path)), default=None) for s in _BEST]
        support = found.get("support")
        cells = ["" if support is None else f"{support:g}", *numbers(found, COLUMNS, 3)]
        rows.append(
            Row(
                name if name != "macro" else "mean",
                [*cells, spread_row(result, path, ("f1",))[0].cells[0], *numbers_of(best, 3)],
                "model" if name == "macro" else "",
            )
        )
    columns = ["organ", "abnormal", "P", "R", "F1", "same state", f"F1 {_spread_name(result)}"]
    columns += ["best baseline F1", "best baseline same"]
    notes = [
        "What a report says of an organ, read by kia's rules: abnormal (or uncertain), normal, not "
        "mentioned. P, R, F1: organs called abnormal. Of devices, abnormal means that there is one."
    ]
    return ScoreTable("Organ by organ", columns, [rows], notes)


_BEST = ("f1", "same_state")


def _table_2(result: Values) -> ScoreTable:
    rows = [
        Row(f"{_name(result)} · micro-14, {_UNCERTAIN[policy]}", numbers(
            result["clinical"][policy]["micro_14"], SCORES, 3), "model")
        for policy in POLICIES
    ]  # fmt: skip
    rows += [Row(f"{r.method}, paper", numbers(r.values, SCORES, 3), "published") for r in TABLE_2]
    notes = [f"Labels of the paper: CheXpert labeler; ours: {_sources(result, 'labelers')}."]
    notes += [f"{cell.paper}: {cell.note}." for cell in PUBLISHED_CELLS if not cell.cells]
    return ScoreTable("Table 2 of the paper", ["reports", *SCORES], [rows], notes)


HEADLINES = {
    **{
        f"protocols.{protocol}.{metric}": f"{HEADERS[metric]} ({protocol})"
        for protocol in PROTOCOLS
        for metric in METRICS
    },
    **{
        f"clinical.{policy}.{cell}.f1": f"{cell.replace('_', '-')} F1, {_UNCERTAIN[policy]}"
        for policy in POLICIES
        for cell in CELLS
    },
    **{f"radgraph_f1.{level}": f"RadGraph-F1 {level}" for level in LEVELS},
    **{f"organs.{name}.f1": f"{name} abnormal, F1" for name in (*ORGANS, "macro")},
}
"""Path of a headline number in a result → its name."""


def _against(result: Values) -> ScoreTable:
    rows = []
    for path, name in HEADLINES.items():
        found = at_path(result["against"], path.split("."))
        if found is None:
            continue
        value = at_path(result, path.split("."))
        cells = [number(value), number(value - found["difference"]), f"{found['difference']:+.4f}"]
        low, high = found["interval"]
        rows.append(Row(name, [*cells, f"{low:+.4f} to {high:+.4f}", f"{found['p_value']:.3f}"]))
    columns = ["score", "model", "other", "difference", "95 %", "p"]
    notes = [
        "Paired bootstrap and approximate randomisation over studies; p-values are not corrected "
        "for the number of scores."
    ]
    title = f"{result['name']} against {result['against']['name']}"
    return ScoreTable(title, columns, [rows], notes)


_GROUP_COLUMNS = {
    "bleu_4": "B-4",
    "meteor": "METEOR",
    "rouge_l": "ROUGE-L",
    "cider": "CIDEr",
}


def _groups(column: str, groups: Values) -> ScoreTable:
    rows = []
    for value, found in groups.items():
        protocols = found.get("protocols", {})
        language = protocols.get("r2gen") or protocols.get("r2gen-full") or {}
        cells = [str(found["n"]), *numbers(language, list(_GROUP_COLUMNS), 3)]
        cells += [
            number(found["clinical"]["uncertain_negative"][cell]["f1"], 3)
            for cell in ("micro_14", "macro_14")
        ]
        rows.append(Row(value, [*cells, number(found["radgraph_f1"]["complete"], 3)]))
    columns = [column, "n", *_GROUP_COLUMNS.values(), "micro-14 F1", "macro-14 F1", "RadGraph"]
    notes = ["Language by r2gen (r2gen-full without training reports), uncertain as absent."]
    return ScoreTable(f"By {column}", columns, [rows], notes)


def _extra(name: str, found: Values) -> ScoreTable:
    """Scores of an optional package."""
    rows = [Row(key, [number(value)]) for key, value in _flat(found)]
    return ScoreTable(f"By {name}", ["score", "value"], [rows])


def _flat(tree: Values, prefix: str = "") -> Iterator[tuple[str, float]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key} ")
        elif isinstance(value, int | float):
            yield f"{prefix}{key}", value
