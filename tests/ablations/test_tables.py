"""Ablations as tables: complete in every form, and honest about what they are worth."""

import re
from typing import Any

import pytest

from kia.ablations.results import ScoredRun, ablation_result
from kia.ablations.settings import ABLATIONS
from kia.ablations.tables import ablation_page, shown_observations
from kia.evaluation.board.entries import Settings
from kia.evaluation.board.rendering import latex, markdown
from kia.evaluation.board.scoreboard import Evaluation
from kia.evaluation.board.systems import References, System

REFS = {
    "1": "The heart is enlarged. There is a large right pleural effusion.",
    "2": "The heart is normal in size. The lungs are clear.",
    "3": "There is a left pleural effusion. No pneumothorax.",
    "4": "The heart is normal in size. No pneumothorax.",
}
TRAIN = [*REFS.values()] * 3


@pytest.fixture(scope="module")
def runs() -> dict[str, ScoredRun]:
    """Two models: one that writes the references, one that has collapsed."""
    systems = [System(REFS, "good"), System(dict.fromkeys(REFS, REFS["2"]), "collapsed")]
    origin = {"hash": "", "split": "test", "source": "MIMIC-CXR"}
    references = References(REFS, TRAIN, dataset="mimic", origin=origin)
    evaluation = Evaluation(systems, references, Settings(resamples=100))
    found = {}
    for result in evaluation.results:
        resampled = {
            f"{path}.{name}": values
            for path, measure in evaluation.measures(result["name"]).items()
            for name, values in measure.resampled(resamples=100).items()
        }
        found[result["name"]] = ScoredRun(0, f"runs/{result['name']}", result, resampled, 2_500_000)
    return found


def ablation(name: str, runs: dict[str, ScoredRun], seeds: int = 1) -> dict[str, Any]:
    """The last setting is the good model, all others have collapsed."""
    *others, last = ABLATIONS[name].rows
    chosen = {setting: [runs["collapsed"]] * seeds for setting in others}
    return ablation_result(name, chosen | {last: [runs["good"]] * seeds})


@pytest.mark.parametrize("seeds", [1, 2])
@pytest.mark.parametrize("name", ABLATIONS)
def test_every_row_and_both_tables_are_there_in_every_form(name, seeds, runs) -> None:
    page = ablation_page(ablation(name, runs, seeds))
    for table in page.tables:
        for section in table.sections:
            for row in section:
                assert len(row.cells) == len(table.columns) - 1, (table.title, row.label)
    main, honesty = page.tables
    labels = list(ABLATIONS[name].rows.values())
    assert [row.label for row in main.sections[0] if row.kind == "model"] == labels
    assert [row.label for row in honesty.sections[0]] == labels
    spread = {row.label.strip() for row in main.sections[0] if row.kind == "interval"}
    assert spread == {"95 % interval" if seeds == 1 else "sd over runs"}
    text = markdown(page)
    assert len(re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)) == 2
    assert latex(page).count(r"\begin{tabular}") == 2


def test_the_baselines_stand_below_and_have_their_gain(runs) -> None:
    page = ablation_page(ablation("table3", runs))
    below = {row.label: row.cells for row in page.tables[0].sections[1]}
    assert set(below) == {
        *("constant", "best constant (CIDEr)", "best constant (BLEU-4)", "most frequent")
    }
    assert all(cells[-1].endswith(" %") for cells in below.values())
    text = latex(page)
    assert r"AVG.$\Delta$" in text and "Δ" not in text


def test_table_3_says_what_holds_and_who_has_collapsed(runs) -> None:
    page = ablation_page(ablation("table3", runs))
    lines = "\n".join(page.summary)
    assert re.search(r"KIA: all above b: Anatomy-MIM: holds \(\+\d", lines)
    assert "b: Anatomy-MIM above a: general MIM: does not hold, they are equal." in lines
    assert "+15.1 %" in lines  # the paper's own
    assert any("it has collapsed" in line for line in page.warnings)
    assert any("not chosen by" in line for line in page.notes)
    # no three words of the collapsed baseline stand in a reference, of
    # which <unk> for words seen less than 10 times leaves little
    assert any(line.endswith("not computed): B-3, B-4.") for line in page.notes)


def test_published_rows_stand_beside_the_whole_test_split_alone(runs) -> None:
    found = ablation("table2", runs)
    assert len(ablation_page(found).tables[0].sections) == 2
    for row in found["rows"]:
        row["result"] |= {"n": 3858}  # R2Gen's test split of MIMIC-CXR
    published = ablation_page(found).tables[0].sections[2]
    assert {row.label: row.cells[:3] for row in published}["KIA w/o MIM, paper"] == [
        *("0.496", "0.392", "0.438")  # Paper: Table 2
    ]
    for row in found["rows"]:
        row["result"] |= {"n": 4}


def test_figure_5_shows_the_most_frequent_observations(runs) -> None:
    shown = shown_observations(ablation("fig5", runs))
    assert len(shown) == 6 and shown[:2] == ["Pleural Effusion", "Cardiomegaly"]  # 2 and 1 of 4
    assert "No Finding" not in shown and "Support Devices" not in shown


def test_the_figure_is_drawn_for_one_seed_and_for_several(runs, tmp_path) -> None:
    from kia.ablations.figure import draw_observations

    for seeds in (1, 2):
        file = tmp_path / "new" / f"{seeds}.png"
        draw_observations(ablation("fig5", runs, seeds), file)
        assert file.read_bytes()[:4] == b"\x89PNG"
