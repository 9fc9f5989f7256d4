"""The scoreboard as tables of text, whatever draws them: terminal, Markdown, LaTeX or HTML."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kia.evaluation.baselines import BASELINES
from kia.evaluation.clinical.efficacy import CELLS, POLICIES, PUBLISHED_CELLS, SCORES
from kia.evaluation.clinical.errors import KINDS
from kia.evaluation.clinical.graphs import LEVELS
from kia.evaluation.clinical.organs import COLUMNS
from kia.evaluation.language.protocols import MAX_REFERENCE_WORDS
from kia.evaluation.language.scores import METRICS, PROTOCOLS
from kia.evaluation.leaderboard import nearest_of
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

NEEDS_TRAINING = "needs --train-references"
"""What stands in a row of the protocol r2gen where there are no training reports."""


@dataclass(frozen=True)
class Row:
    """A row: its label, its cells as text, and what it is.

    Attributes:
        kind: "model", "system" (one of several), "interval", "baseline", "published" or "".
        strong: Places of the cells in bold.
    """

    label: str
    cells: list[str]
    kind: str = ""
    strong: frozenset[int] = frozenset()


@dataclass
class ScoreTable:
    r"""A table with its title; `sections` are groups of rows with a line between them.

    `key` is what LaTeX's \label calls it.
    """

    title: str
    columns: list[str]
    sections: list[list[Row]]
    notes: list[str] = field(default_factory=list)
    key: str = ""


def score_tables(result: Values) -> list[ScoreTable]:
    """The tables of language and of labels of one system.

    Args:
        result: From `kia.evaluation.board.scoreboard`, or read back from its JSON file.
    """
    tables = [_language(result), _clinical(result), _observations(result)]
    if "organs" in result:
        tables.append(_organs(result))
    return [*tables, _table_2(result)] if comparable_dataset(result) == "MIMIC-CXR" else tables


def detail_tables(result: Values) -> list[ScoreTable]:
    """Groups of studies, tools of others, the comparison with another system."""
    tables = [group_table(column, groups) for column, groups in result.get("by", {}).items()]
    tables += [_extra(name, found) for name, found in result.get("extra", {}).items()]
    return tables + [_against(run) for run in result.get("runs", [result]) if "against" in run]


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
    cells = [spread_cell(result, (*path, name)) for name in names]
    return [Row(f"  {spread_label(result)}", cells, "interval")]


def spread_cell(result: Values, path: Sequence[str], digits: int = 4) -> str:
    """The interval of a score, or its standard deviation over seeds; empty if there is none."""
    if "sd" in result:
        value = at_path(result["sd"], path)
        return "" if value is None else f"±{value:.{digits}f}"
    return short_range(at_path(result["confidence"], baseline_path(path)))


def baseline_path(path: Sequence[str]) -> Sequence[str]:
    """Where the score of a system stands in a baseline, and its interval."""
    return path[1:] if path[0] == "protocols" else path


def at_path(tree: Any, path: Sequence[str]) -> Any:
    """What stands there in nested dictionaries; None if a part of the path is absent."""
    for name in path:
        tree = (tree or {}).get(name)
    return tree


def baseline_rows(result: Values, path: Sequence[str]) -> Iterator[tuple[str, Values]]:
    """Name in tables, and what stands at a path, of each baseline that has it."""
    for _, label, scores in named_baselines(result):
        if found := at_path(scores, path):
            yield label, found


def named_baselines(result: Values) -> Iterator[tuple[str, str, Any]]:
    """Key, name in tables and scores (or None) of each baseline.

    Of several systems these are what all share, then the nearest neighbours by each one's own
    embeddings.
    """
    for key, label in BASELINES.items():
        yield key, label, result["baselines"].get(key)
    for name, found in result.get("systems", {}).items():
        label = f"{BASELINES['nearest']} by {name}"
        yield nearest_of(name), label, found["baselines"].get("nearest")


def _language(result: Values) -> ScoreTable:
    sections = []
    for protocol in PROTOCOLS:
        values = result["protocols"][protocol] or {}
        needs = f" ({NEEDS_TRAINING})" if result["protocols"][protocol] is None else ""
        label = f"{row_name(result)} · {protocol}{needs}"
        rows = [Row(label, numbers(values, METRICS), "model")]
        if values:
            rows += spread_row(result, ("protocols", protocol), METRICS)
        rows += [
            Row(f"{label} · {protocol}", numbers(found, METRICS), "baseline")
            for label, found in baseline_rows(result, (protocol,))
        ]
        if protocol == "r2gen":
            rows += published_rows(result)
        sections.append(rows)
    title = "Language metrics, protocol by protocol"
    columns = ["reports · protocol", *HEADERS.values()]
    notes = conventions(result, *PROTOCOLS)
    return ScoreTable(title, columns, sections, notes, "language")


def published_rows(result: Values) -> list[Row]:
    """The rows of the paper's Table 1 that compare with a result; none for other test splits."""
    dataset = comparable_dataset(result)
    return [
        Row(f"{row.method}, paper", numbers(row.values, METRICS, 3), "published")
        for row in (TABLE_1[dataset] if dataset else ())
    ]


def conventions(result: Values, *protocols: str) -> list[str]:
    """What the names of protocols mean, and how intervals came about."""
    settings = result["settings"]
    style = settings["cleaning"]
    cleaned = next(name for name, split in TEST_SPLITS.items() if split.cleaning == style)
    known = {
        "r2gen": f"r2gen: both sides cleaned as R2Gen cleans {cleaned}, references mapped through "
        f"the training vocabulary and cut to {MAX_REFERENCE_WORDS[style]} words.",
        "r2gen-full": f"r2gen-full: both sides cleaned as R2Gen cleans {cleaned}.",
        "coco": "coco: Penn Treebank tokens.",
        "rexrank": "rexrank: words at spaces, the mean of each study's own BLEU-2.",
    }
    notes = [" ".join(known[protocol] for protocol in protocols)]
    if set(protocols) != {"rexrank"}:
        notes[0] += " METEOR 1.5; CIDEr: idf of these references."
    if "sd" not in result:
        notes.append(
            f"Intervals: {settings['resamples']:,} bootstrap resamples of the studies, seed "
            f"{settings['seed']}."
        )
    return notes


def numbers(values: Values, names: Sequence[str], digits: int = 4) -> list[str]:
    """Scores of these names as text."""
    return [number(values.get(name), digits) for name in names]


def row_name(result: Values) -> str:
    """What the row of a system is called: the model, or the mean of its runs."""
    return "model" if "sd" not in result else f"mean of {len(result['runs'])} runs"


def spread_label(result: Values) -> str:
    """What the row below it is called."""
    return "sd over runs" if "sd" in result else "95 % interval"


def sources(result: Values, key: str) -> str:
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
            spread = [spread_cell(result, (*path, "f1"))]
            best = max((found["f1"] for _, found in baseline_rows(result, path)), default=None)
            papers = [p.paper for p in PUBLISHED_CELLS if cell in p.cells and policy in p.policies]
            cells = [*numbers(at_path(result, path), SCORES, 3), *spread, number(best, 3)]
            rows.append(
                Row(f"{cell.replace('_', '-')}, {_UNCERTAIN[policy]}", [*cells, "; ".join(papers)])
            )
        sections.append(rows)
    title = f"Clinical efficacy ({sources(result, 'labelers')})"
    columns = ["average", "P", "R", "F1", spread_name(result), "best baseline F1", "printed by"]
    notes = ["An observation that neither side has counts as 0 in macro averages."]
    notes += [f"{paper.paper}: {paper.note}." for paper in PUBLISHED_CELLS]
    return ScoreTable(title, columns, sections, notes, "clinical")


def spread_name(result: Values) -> str:
    """The column of the same."""
    return "sd" if "sd" in result else "95 %"


def _observations(result: Values) -> ScoreTable:
    columns = ["observation"]
    for shown in ("absent", "present"):
        columns += [f"support, {shown}", "P", "R", "F1", spread_name(result)]
    names = list(result["clinical"][POLICIES[0]]["observations"])
    rows = []
    for name in names:
        cells: list[str] = []
        for policy in POLICIES:
            path = ("clinical", policy, "observations", name)
            found = at_path(result, path)
            cells += [str(found["support"]), *numbers(found, SCORES, 3)]
            cells.append(spread_cell(result, (*path, "f1")))
        rows.append(Row(name, cells))
    title = "Observations, uncertain as absent and as present"
    return ScoreTable(title, columns, [rows], key="observations")


def _organs(result: Values) -> ScoreTable:
    rows = []
    for name in (*ORGANS, "macro"):
        path = ("organs", name)
        found = at_path(result, path)
        best = [max((b[s] for _, b in baseline_rows(result, path)), default=None) for s in _BEST]
        support = found.get("support")
        cells = ["" if support is None else f"{support:g}", *numbers(found, COLUMNS, 3)]
        rows.append(
            Row(
                name if name != "macro" else "mean",
                [*cells, spread_cell(result, (*path, "f1")), *(number(value, 3) for value in best)],
                "model" if name == "macro" else "",
            )
        )
    columns = ["organ", "abnormal", "P", "R", "F1", "same state", f"F1 {spread_name(result)}"]
    columns += ["best baseline F1", "best baseline same"]
    notes = [
        "What a report says of an organ, read by kia's rules: abnormal (or uncertain), normal, not "
        "mentioned. P, R, F1: organs called abnormal. Of devices, abnormal means that there is one."
    ]
    return ScoreTable("Organ by organ", columns, [rows], notes, key="organs")


_BEST = ("f1", "same_state")


def _table_2(result: Values) -> ScoreTable:
    rows = [
        Row(f"{row_name(result)} · micro-14, {_UNCERTAIN[policy]}", numbers(
            result["clinical"][policy]["micro_14"], SCORES, 3), "model")
        for policy in POLICIES
    ]  # fmt: skip
    rows += [Row(f"{r.method}, paper", numbers(r.values, SCORES, 3), "published") for r in TABLE_2]
    notes = [f"Labels of the paper: CheXpert labeler; ours: {sources(result, 'labelers')}."]
    notes += [f"{cell.paper}: {cell.note}." for cell in PUBLISHED_CELLS if not cell.cells]
    return ScoreTable("Table 2 of the paper", ["reports", *SCORES], [rows], notes, "table-2")


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
    **{f"graph_f1_kia.{level}": f"graph-F1 by kia, {level}" for level in LEVELS},
    **{f"radgraph_f1.{level}": f"RadGraph-F1 {level}" for level in LEVELS},
    **{f"organs.{name}.f1": f"{name} abnormal, F1" for name in (*ORGANS, "macro")},
    "clinical_errors.weight": "errors a study, weighed",
    "clinical_errors.count": "errors a study",
    **{f"clinical_errors.{k}.count": f"errors a study, {k.replace('_', ' ')}" for k in KINDS},
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
    return ScoreTable(title, columns, [rows], notes, "differences")


_GROUP_COLUMNS = {
    "bleu_4": "B-4",
    "meteor": "METEOR",
    "rouge_l": "ROUGE-L",
    "cider": "CIDEr",
}


def group_table(column: str, groups: Values) -> ScoreTable:
    """The headline scores of each group of studies."""
    rows = []
    for value, found in groups.items():
        protocols = found.get("protocols", {})
        language = protocols.get("r2gen") or protocols.get("r2gen-full") or {}
        cells = [str(found["n"]), *numbers(language, list(_GROUP_COLUMNS), 3)]
        cells += [
            number(found["clinical"]["uncertain_negative"][cell]["f1"], 3)
            for cell in ("micro_14", "macro_14")
        ]
        cells.append(number(found["graph_f1_kia"]["complete"], 3))
        rows.append(Row(value, [*cells, number(found["clinical_errors"]["weight"], 3)]))
    columns = [column, "n", *_GROUP_COLUMNS.values(), "micro-14 F1", "macro-14 F1"]
    columns += ["graph-F1 by kia", "errors, weighed"]
    notes = ["Language by r2gen (r2gen-full without training reports), uncertain as absent."]
    return ScoreTable(f"By {column}", columns, [rows], notes, f"by-{column}")


def _extra(name: str, found: Values) -> ScoreTable:
    """Scores of an optional package."""
    rows = [Row(key, [number(value)]) for key, value in flat_scores(found)]
    return ScoreTable(f"By {name}", ["score", "value"], [rows], key=f"extra-{name}")


def flat_scores(tree: Values, prefix: str = "") -> Iterator[tuple[str, float]]:
    """Name and value of each number of nested scores."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from flat_scores(value, f"{prefix}{key} ")
        elif isinstance(value, int | float):
            yield f"{prefix}{key}", value
