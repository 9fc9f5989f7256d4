"""Tables of several systems: a row each, the best of a column in bold, differences marked."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from kia.evaluation.board.graph_tables import (
    ERRORS,
    NOT_RADGRAPH,
    RADGRAPH,
    WEIGHTS,
    graph_tables,
)
from kia.evaluation.board.leaderboard_table import leaderboard_table
from kia.evaluation.board.tables import (
    DASH,
    HEADERS,
    HEADLINES,
    NEEDS_TRAINING,
    Row,
    ScoreTable,
    at_path,
    baseline_path,
    conventions,
    detail_tables,
    flat_scores,
    group_table,
    named_baselines,
    number,
    published_rows,
    score_tables,
    sources,
    spread_cell,
)
from kia.evaluation.clinical.efficacy import POLICIES, SCORES
from kia.evaluation.clinical.graphs import LEVELS
from kia.evaluation.language.scores import METRICS, PROTOCOLS
from kia.evaluation.published import TABLE_2, comparable_dataset

Values = Mapping[str, Any]

SIGNIFICANT = 0.05
"""Corrected p-value below which a difference is marked."""

MARK = "*"

_AVERAGES = ("macro_14", "example_14", "micro_5", "macro_5", "example_5")  # F1 alone
_COMPARED = (
    "protocols.r2gen.bleu_4",
    "protocols.r2gen.cider",
    "protocols.r2gen-full.bleu_4",
    "protocols.r2gen-full.meteor",
    "protocols.r2gen-full.cider",
    "protocols.rexrank.bleu_2",
    "clinical.uncertain_negative.micro_14.f1",
    "clinical.uncertain_negative.macro_14.f1",
    "clinical_errors.weight",
    "graph_f1_kia.complete",
    "radgraph_f1.complete",
)  # of `HEADLINES`


class Column(NamedTuple):
    """A score of all systems.

    Attributes:
        header: What stands above it.
        path: In the result of a system.
    """

    header: str
    path: tuple[str, ...]


def scoreboard_tables(result: Values) -> list[ScoreTable]:
    """All tables of a result of ``kia evaluate``, of one system or of several.

    Args:
        result: From `kia.evaluation.evaluate`, or read back from its JSON file.
    """
    board = [leaderboard_table(result)] if "rexrank" in result else []
    if "systems" not in result:
        tables = [*score_tables(result), *graph_tables(result), *detail_tables(result)]
        return board + tables
    tables = board + [_language(result, protocol) for protocol in PROTOCOLS]
    tables += [_clinical(result, policy) for policy in POLICIES]
    tables += [*_graphs(result), _reports(result)]
    if result["against"] is not None:
        tables.append(_differences(result))
    systems = result["systems"].items()
    for name, found in systems:
        tables += [
            replace(table, title=f"{table.title}: {name}")
            for table in (group_table(*group) for group in found.get("by", {}).items())
        ]
    tools = dict.fromkeys(tool for _, found in systems for tool in found.get("extra", {}))
    return tables + [_extra(result, tool) for tool in tools]


def _language(result: Values, protocol: str) -> ScoreTable:
    metrics = METRICS if protocol != "rexrank" else ("bleu_2",)
    columns = [Column(HEADERS[metric], ("protocols", protocol, metric)) for metric in metrics]
    table = _table(result, f"Language, protocol {protocol}", f"language-{protocol}", columns)
    if protocol == "r2gen":
        table.sections.append(published_rows(result))
    notes = [*conventions(result, protocol), *table.notes]
    return replace(table, sections=[rows for rows in table.sections if rows], notes=notes)


def _clinical(result: Values, policy: str) -> ScoreTable:
    micro = [
        Column(
            f"micro-14 {name[0].upper() if name != 'f1' else 'F1'}",
            ("clinical", policy, "micro_14", name),
        )
        for name in SCORES
    ]
    others = [
        Column(f"{cell.replace('_', '-')} F1", ("clinical", policy, cell, "f1"))
        for cell in _AVERAGES
    ]
    read = "absent" if policy == "uncertain_negative" else "present"
    first = next(iter(result["systems"].values()))
    title = f"Clinical efficacy, uncertain as {read} ({sources(first, 'labelers')})"
    table = _table(result, title, f"clinical-{read}", [*micro, *others], digits=3)
    if comparable_dataset(result) == "MIMIC-CXR":
        table.sections.append(
            [
                Row(f"{row.method}, paper", [
                    *(number(row.values[name], 3) for name in SCORES), *[DASH] * len(others)
                ], "published")
                for row in TABLE_2
            ]
        )  # fmt: skip
    return table


def _graphs(result: Values) -> list[ScoreTable]:
    """Errors, their weights by organ, and F1 of graphs; whose graphs, each title says."""
    first = next(iter(result["systems"].values()))
    source = first["graph_sources"]["graph_f1_kia"]
    errors = [Column(name, ("clinical_errors", *path.split("."))) for path, name in ERRORS.items()]
    organs = [
        Column(organ, ("clinical_errors", "organs", organ, "weight"))
        for organ in first["clinical_errors"]["organs"]
    ]
    weights = f"Weight of the errors a study, by organ ({source})"
    tables = [
        _table(result, f"Errors a study, by {source}", "errors", errors, digits=3),
        _table(result, weights, "errors-by-organ", organs, digits=3),
    ]
    silence = number(first["clinical_errors"]["silence"], 3)
    cells = [silence, *[""] * (len(errors) - 1)]
    tables[0].sections[-1].append(Row("an empty report", cells, "baseline"))
    tables[0].notes.insert(0, WEIGHTS)
    levels = [Column(level, ("graph_f1_kia", level)) for level in LEVELS]
    tables.append(_table(result, f"Graph-F1 by {source}", "graphs", levels))
    tables[-1].notes.insert(0, NOT_RADGRAPH)
    if any(found["radgraph_f1"] for found in result["systems"].values()):
        levels = [Column(level, ("radgraph_f1", level)) for level in LEVELS]
        tables.append(_table(result, RADGRAPH, "radgraph", levels))
    return tables


def _table(
    result: Values, title: str, key: str, columns: Sequence[Column], digits: int = 4
) -> ScoreTable:
    """Systems above, baselines below."""
    rows: list[Row] = []
    for name, found in result["systems"].items():
        rows.append(_system_row(result, name, found, columns, digits))
        if any(cell != DASH for cell in rows[-1].cells):
            rows.append(_spread_row(found, columns, digits))
    baselines = list(_baseline_rows(result, columns, digits))
    sections = [rows, baselines] if baselines else [rows]
    return ScoreTable(
        title, ["systems", *(column.header for column in columns)], sections, _notes(result), key
    )


def _system_row(
    result: Values, name: str, found: Values, columns: Sequence[Column], digits: int
) -> Row:
    cells, strong = [], set()
    for place, column in enumerate(columns):
        cell = number(at_path(found, column.path), digits)
        difference = at_path(found.get("against"), column.path)
        if difference and difference["p_holm"] < SIGNIFICANT:
            cell += MARK
        best = at_path(result["best"], column.path)
        if best and best["beats_baselines"] and name in best["systems"]:
            strong.add(place)
        cells.append(cell)
    needs = columns[0].path[1] == "r2gen" and found["protocols"]["r2gen"] is None
    label = f"{name} · {NEEDS_TRAINING}" if needs else name
    return Row(label, cells, "system", frozenset(strong))


def _spread_row(found: Values, columns: Sequence[Column], digits: int) -> Row:
    """The intervals of a row, or its standard deviations over runs."""
    cells = [spread_cell(found, column.path, digits) for column in columns]
    label = f"sd over {len(found['runs'])} runs" if "sd" in found else "95 % interval"
    return Row(f"  {label}", cells, "interval")


def _baseline_rows(result: Values, columns: Sequence[Column], digits: int) -> Iterator[Row]:
    for _, label, found in named_baselines(result):
        values = [at_path(found, baseline_path(column.path)) for column in columns]
        if any(value is not None for value in values):
            yield Row(label, [number(value, digits) for value in values], "baseline")


def _notes(result: Values) -> list[str]:
    notes = ["Bold: the best system of a column, where it beats every baseline."]
    if (against := result["against"]) is not None:
        others = len(result["systems"]) - 1
        notes.append(
            f"{MARK} differs from {against} (p < {SIGNIFICANT:.2f}; approximate randomisation over "
            f"studies, Holm's correction for {others} comparison{'s' if others > 1 else ''} a "
            "column)."
        )
    return notes


def _differences(result: Values) -> ScoreTable:
    rows = []
    for name, found in result["systems"].items():
        for path in _COMPARED:
            one = at_path(found.get("against"), path.split("."))
            if one is None:
                continue
            low, high = one["interval"]
            cells = [f"{one['difference']:+.4f}", f"{low:+.4f} to {high:+.4f}"]
            cells += [f"{one['p_value']:.3f}", f"{one['p_holm']:.3f}"]
            rows.append(Row(f"{name} · {HEADLINES[path]}", cells))
    resamples = result["settings"]["resamples"]
    notes = [
        f"Interval: paired bootstrap of the studies; p: approximate randomisation; {resamples:,} "
        "draws each. Holm: corrected for the systems that one score compares, not for the number "
        "of scores. All scores: the JSON."
    ]
    columns = ["system · score", "difference", "95 %", "p", "p (Holm)"]
    return ScoreTable(
        f"Differences from {result['against']}", columns, [rows], notes, "differences"
    )


def _reports(result: Values) -> ScoreTable:
    """What no score tells: how many different reports, how long, how many copied."""
    rows = []
    for name, found in result["systems"].items():
        spread, priors = found["diversity"], found["prior_comparisons"]
        cells = [f"{spread['unique_reports']:.0f}", f"{spread['mean_length']:.1f}"]
        cells += [number(spread["length_ratio"], 2), _percent(spread["copied_ratio"])]
        rows.append(Row(name, [*cells, _percent(priors["predictions"])], "system"))
    columns = ["systems", "different", "words", "length ratio", "copied", "prior"]
    notes = [
        f"Of {result['n']} reports: how many differ, their mean words, their length against the "
        "references', the share copied word for word from training, the share of sentences that "
        "compare with an earlier study."
    ]
    return ScoreTable("The reports themselves", columns, [rows], notes, "reports")


def _percent(share: float | None) -> str:
    return DASH if share is None else f"{share:.1%}"


def _extra(result: Values, tool: str) -> ScoreTable:
    """Scores of an optional package."""
    of_system = {
        name: dict(flat_scores(found.get("extra", {}).get(tool, {})))
        for name, found in result["systems"].items()
    }
    names = dict.fromkeys(name for scores in of_system.values() for name in scores)
    rows = [
        Row(name, [number(scores.get(name)) for scores in of_system.values()]) for name in names
    ]
    return ScoreTable(f"By {tool}", ["score", *of_system], [rows], key=f"extra-{tool}")
