"""The settings are those of the paper's tables."""

import pytest

from kia.ablations.settings import ABLATIONS, MASK_PROBABILITIES, SETTINGS, setting_configs
from kia.cli.ablate import TABLES
from kia.config import RunConfig
from kia.errors import UsageError

# Paper: Tables 1 to 3. (masking of MIM, masking of MLM, IRC and IRM); None: the task is absent.
PAPER = {
    ("table1", "KIA (Graph)"): ("anatomy", "graph", True),
    ("table1", "KIA (Label)"): ("anatomy", "label", True),
    ("table2", "KIA"): ("anatomy", "graph", True),
    ("table2", "KIA w/o MIM"): (None, "graph", True),
    ("table2", "KIA w/o MLM"): ("anatomy", None, True),
    ("table3", "baseline: RG"): (None, None, False),
    ("table3", "a: general MIM"): ("general", None, False),
    ("table3", "b: Anatomy-MIM"): ("anatomy", None, False),
    ("table3", "c: general MLM"): (None, "general", False),
    ("table3", "d: Graph-MLM"): (None, "graph", False),
    ("table3", "e: Label-MLM"): (None, "label", False),
    ("table3", "f: b + d (local)"): ("anatomy", "graph", False),
    ("table3", "g: IRC + IRM (global)"): (None, None, True),
    ("table3", "KIA: all"): ("anatomy", "graph", True),
    ("fig5", "Graph-MLM"): ("anatomy", "graph", True),
    ("fig5", "Label-MLM"): ("anatomy", "label", True),
}


def tasks_of(config: RunConfig) -> tuple[str | None, str | None, bool]:
    tasks = config.tasks
    assert (tasks.irc.weight > 0) == (tasks.irm.weight > 0) and tasks.rg.weight == 1
    return (
        tasks.mim.masking if tasks.mim.weight else None,
        tasks.mlm.masking if tasks.mlm.weight else None,
        tasks.irc.weight > 0,
    )


@pytest.mark.parametrize("preset", ["tiny", "small", "kia-label", "paper-iu-xray"])
@pytest.mark.parametrize("table", ["table1", "table2", "table3", "fig5"])
def test_a_row_has_the_tasks_of_the_paper_whatever_the_preset(table: str, preset: str) -> None:
    configs = setting_configs(table, preset, [])
    labels = ABLATIONS[table].rows
    assert {(table, labels[name]): tasks_of(config) for name, (_, config) in configs.items()} == {
        key: value for key, value in PAPER.items() if key[0] == table
    }


def test_rows_differ_from_the_preset_in_nothing_but_the_tasks() -> None:
    base = setting_configs("table3", "tiny", ["train.batch_size=8"])
    for _, config in base.values():
        assert config.train.batch_size == 8
        assert config.model == base["kia-graph"][1].model
        assert config.train == base["kia-graph"][1].train


def test_table_4_switches_sharing_alone() -> None:
    configs = {name: config for name, (_, config) in setting_configs("table4", "tiny", []).items()}
    assert [configs[name].model.share_parameters for name in ("separate", "shared")] == [
        False,
        True,
    ]
    assert tasks_of(configs["shared"]) == tasks_of(configs["separate"])


def test_table_5_has_the_eleven_pairs() -> None:
    """p_total {.4, .6, .75} × p_key {p_total, .75, .9, 1}, .75 with .75 once."""
    expected = [
        *((0.4, 0.4), (0.4, 0.75), (0.4, 0.9), (0.4, 1.0)),
        *((0.6, 0.6), (0.6, 0.75), (0.6, 0.9), (0.6, 1.0)),
        *((0.75, 0.75), (0.75, 0.9), (0.75, 1.0)),
    ]
    assert list(MASK_PROBABILITIES) == expected
    configs = setting_configs("table5", "tiny", [])
    pairs = [(c.tasks.mim.p_total, c.tasks.mim.p_key) for _, c in configs.values()]
    assert pairs == expected


def test_equal_settings_of_different_tables_have_one_folder() -> None:
    """tiny shares towers and masks with .6 and .9: KIA of all tables is one run."""
    names = {
        setting_configs(table, "tiny", [])[setting][0]
        for table, setting in (
            *((table, "kia-graph") for table in ("table1", "table2", "table3", "fig5")),
            *(("table4", "shared"), ("table5", "mask-0.6-0.9")),
        )
    }
    assert names == {"kia-graph"}
    folders = [name for name, _ in setting_configs("table3", "tiny", []).values()]
    assert len(set(folders)) == 9


def test_another_preset_keeps_unequal_settings_apart() -> None:
    more = ["tasks.mim.p_key=0.8"]
    assert setting_configs("table1", "tiny", more)["kia-graph"][0] == "kia-graph"
    with pytest.raises(UsageError, match=r"table5 sets tasks.mim.p_key itself"):
        setting_configs("table5", "tiny", more)
    separate = ["model.share_parameters=false"]
    configs = setting_configs("table3", "tiny", separate)
    assert not configs["kia-graph"][1].model.share_parameters


def test_a_task_that_the_preset_lacks_is_named_with_the_remedy() -> None:
    with pytest.raises(UsageError, match=r"kia-label needs irc.*--set tasks.irc.weight=1"):
        setting_configs("table1", "tiny", ["tasks.irc.weight=0"])
    assert setting_configs("table3", "tiny", ["tasks.mim.weight=0.5"])


def test_every_row_and_claim_is_a_setting() -> None:
    assert tuple(ABLATIONS) == TABLES
    for ablation in ABLATIONS.values():
        assert set(ablation.rows) <= set(SETTINGS)
        for pair in ablation.claims:
            assert set(pair) <= set(ablation.rows)
