"""Figure 9b: which words are hidden, which image is read, and what counts as guessed."""

from collections import Counter

import numpy as np
import pytest
import torch

import kia.explain.words as masked_words
from kia.data.store.dataset import DatasetWriter
from kia.errors import DataError
from kia.explain.words import guess_words, other_studies
from kia.generation import dataset_inputs, image_features
from kia.studies import Study, StudyImage


@pytest.fixture(scope="module")
def built(toy):
    return toy()


def recorded(monkeypatch, built, dataset):
    """The rows that are guessed, by kind of word, of studies 0 and 1."""
    rows = []
    monkeypatch.setattr(
        masked_words,
        "_right_pieces",
        lambda model, given, own, other: (
            rows.append(given) or np.zeros((*given.ids.shape, 3), bool)
        ),
    )
    processor, model = built
    guess_words(model, processor, dataset, np.array([0, 1]))
    return processor, rows


def test_observations_are_hidden_then_anatomy_then_the_label_words(monkeypatch, built, six_studies):
    processor, (observations, anatomy, labels) = recorded(monkeypatch, built, six_studies)

    def text(row, of):
        return processor.tokenizer.decode(of.ids[row][of.real[row]][1:-1])

    hidden = {
        kind: processor.tokenizer.decode(rows.originals[1][rows.kind[1] == kind])
        for kind, rows in ((0, observations), (1, anatomy))
    }
    assert "enlarged" in hidden[0] and "effusion" in hidden[0] and "heart" not in hidden[0]
    assert "heart" in hidden[1] and "enlarged" not in hidden[1]
    assert "[MASK]" in text(1, observations) and "heart" in text(1, observations)
    label = text(1, labels)
    assert label.count("[MASK]") == 14 and "present" not in label
    present = processor.token_id("present")
    assert (labels.originals[1][labels.kind[1] == 2] == present).all()
    # study 1 states cardiomegaly and an effusion; study 0 nothing but No Finding
    assert [(labels.kind[row] == 2).sum() for row in (0, 1)] == [1, 2]
    assert [(labels.kind[row] == 3).sum() for row in (0, 1)] == [13, 12]


@torch.no_grad()
def test_guesses_are_those_of_each_row_alone_with_its_image(built, six_studies):
    processor, model = built
    studies = six_studies.indices("train")
    others = other_studies(six_studies, studies)
    tower = model.text_cross_encoder
    masker_rows = list(
        masked_words._masked_rows(
            processor,
            masked_words.TextMasker(
                processor,
                masked_words.MaskedLanguageConfig(masking="label", uncertain_as="skip"),
                seed=0,
            ),
            [six_studies.study(int(study)) for study in studies],
            studies,
            model.config.max_tokens,
        )
    )
    own, other = (
        image_features(model, dataset_inputs(six_studies, processor, each))
        for each in (studies, others)
    )
    answers = set()
    for rows in masker_rows:
        # the answers of the slow path become the truth of one condition after the other
        for place in range(3):
            truth = rows.originals.copy()
            for row in range(len(studies)):
                ids = torch.from_numpy(rows.ids[row][rows.real[row]])[None]
                context = None
                if place < 2:
                    number = int((studies, others)[place][row])
                    one = dataset_inputs(six_studies, processor, np.array([number]))
                    context = tower.stack.context(image_features(model, one).sequence)
                likeliest = model.word_logits(tower(ids, context=context), tower).argmax(-1)[0]
                truth[row][rows.real[row]] = likeliest.numpy()
            answers.add(truth.tobytes())
            given = masked_words._Rows(rows.ids, rows.real, truth, rows.kind)
            right = masked_words._right_pieces(model, given, own, other)
            assert right[rows.kind >= 0][:, place].all()
            assert not right[rows.kind < 0].any()
    assert len(answers) == 9  # every condition answers differently


def test_another_study_never_has_the_same_report(six_studies, tmp_path):
    studies = six_studies.indices("train")
    others = other_studies(six_studies, studies)
    pairs = set(zip(studies.tolist(), others.tolist(), strict=True))
    assert not pairs & {*((i, i) for i in range(6)), (0, 4), (4, 0)}
    with DatasetWriter(tmp_path / "same", image_size=32, source="test") as writer:
        for name in "ab":
            study = Study(name, "train", (StudyImage(name, "frontal"),), "All is well.")
            writer.add(study, np.zeros((1, 32, 32), np.uint8))
    from kia.data.store.dataset import PreparedDataset

    same = PreparedDataset.open(tmp_path / "same")
    with pytest.raises(DataError, match="all have the same report"):
        other_studies(same, same.indices("train"))


def test_a_word_is_right_if_all_of_its_pieces_are():
    # row 0: a word of two pieces and a word of one; row 1: one that starts as row 0 ends
    continues = np.array([False, False, True])  # of pieces 0, 1 and 2
    originals = np.array([[1, 2, 1], [2, 0, 1]])
    kind = np.array([[0, 0, 0], [0, -1, 0]])
    rows = masked_words._Rows(originals, kind >= -1, originals, kind)
    right = np.zeros((2, 3, 3), bool)
    right[0, :, 0] = True, False, True
    right[0, :, 1] = True, True, False
    right[1, :, 2] = True
    words = {number: Counter() for number in range(4)}
    row, kinds, whole = masked_words._whole_words(rows, right, continues, words)
    assert row.tolist() == [0, 0, 1, 1] and kinds.tolist() == [0] * 4
    assert whole.tolist() == [
        [False, True, False],
        [True, False, False],
        [False, False, True],
        [False, False, True],
    ]
    assert words[0] == {(1, 2): 1, (1,): 2, (2,): 1}


def test_the_most_frequent_word_of_the_label_report_is_one_of_two():
    words = {n: Counter() for n in range(4)}
    words[0] = Counter({(5,): 3, (6, 7): 1})
    words[2], words[3] = Counter({(1,): 2}), Counter({(2,): 12})
    found = masked_words._most_frequent(words)
    assert found == {"observation words": 0.75, "present": 0, "absent": 1}
