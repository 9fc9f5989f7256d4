"""Shares: the studies of a batch, cut into parts and over ranks."""

import numpy as np
import pytest

from kia.data.batches.shares import SharedBatches


class Builder:
    """Stands in for the batches of an epoch; study 3 has one view, the others two."""

    batches = (np.array([5, 3, 8, 1, 9]), np.array([2, 3, 4, 6, 7]), np.array([0]))

    class builder:
        class dataset:
            @staticmethod
            def views(study):
                return ("frontal",) if study == 3 else ("frontal", "lateral")

    def __len__(self):
        return len(self.batches)

    def build(self, number, studies, views):
        return Built(studies, views)


class Built:
    """A batch, as far as this test needs one."""

    def __init__(self, studies, views):
        self.studies, self.views = studies.tolist(), views

    def without_studies(self):
        return Built(np.array([], np.int64), self.views)


@pytest.mark.parametrize("parts", [1, 2, 3])
@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_ranks_and_parts_in_order_are_the_batch_and_each_study_comes_once(ranks, parts):
    shared = [SharedBatches(Builder(), parts=parts, rank=r, ranks=ranks) for r in range(ranks)]
    for number, whole in enumerate(Builder.batches):
        given = [batches[number] for batches in shared]
        assert len({len(each) for each in given}) == 1  # all join in every part
        in_order = [part.studies for step in zip(*given, strict=True) for part in step]
        assert [study for studies in in_order for study in studies] == whole.tolist()
        sizes = [len(studies) for studies in in_order]
        assert ranks * parts > len(whole) or max(sizes) - min(sizes) <= 2


def test_all_shares_have_the_views_of_the_widest_study():
    """The absent ones of a batch count in batch norm, also where a rank alone would have none."""
    first, second = (SharedBatches(Builder(), parts=1, rank=r, ranks=3)[1][0] for r in (0, 1))
    assert (first.studies, first.views) == ([2, 3], 2)
    assert (second.studies, second.views) == ([4, 6], 2)
