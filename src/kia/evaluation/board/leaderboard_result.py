"""A leaderboard in a result: its rows, and how sure the scores of our baselines are."""

from collections.abc import Mapping, Sequence
from typing import Any

from kia.evaluation.baselines import BASELINES
from kia.evaluation.board.entries import Settings
from kia.evaluation.board.scoreboard import Evaluation
from kia.evaluation.leaderboard import Leaderboard, nearest_of


def leaderboard_result(
    board: Leaderboard | None,
    evaluation: Evaluation,
    settings: Settings,
    runs: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    """{"rexrank": …}, with the intervals of our baselines; {} without a board.

    Args:
        board: Whose references these are.
        evaluation: Of all runs.
        settings: Resamples and seed.
        runs: System → its runs; a system of several has no interval of its nearest neighbour.
    """
    if board is None:
        return {}
    how = {"resamples": settings.resamples, "seed": settings.seed}
    named = {key: (key, "") for key in BASELINES if key != "nearest"}
    for system, own in runs.items():
        if len(own) == 1:
            named[nearest_of(system)] = ("nearest", own[0])
    intervals = {
        name: list(measures["protocols.rexrank"].intervals(**how)["bleu_2"])
        for name, key in named.items()
        if (measures := evaluation.baseline_measures(*key))
    }
    return {"rexrank": {**board.as_dict(), "confidence": intervals}}
