"""Guided masks of real word pieces: reports, label reports, and the coin between them."""

import re

import numpy as np
import pytest

from kia.config import MaskedLanguageConfig
from kia.data.batches.masked_text import TextMasker, token_rows
from kia.knowledge.chexpert import OBSERVATIONS
from kia.knowledge.radgraph import tokenise
from kia.processing import KIAProcessor, train_tokenizer
from kia.studies import Study

REPORT = "Small left pleural effusion. The heart is normal, unchanged."
ENTITIES = {"Small": "OBS", "left": "ANAT", "pleural": "ANAT", "effusion": "OBS", "heart": "ANAT"}
LABELS = dict.fromkeys(OBSERVATIONS) | {"Pleural Effusion": 1, "Edema": -1, "Cardiomegaly": 0}


def graph():
    tokens = tokenise(REPORT)
    entities = {
        str(n): {
            "tokens": word,
            "label": "ANAT-DP" if kind == "ANAT" else "OBS-DP",
            "start_ix": tokens.index(word),
            "end_ix": tokens.index(word),
            "relations": [],
        }
        for n, (word, kind) in enumerate(ENTITIES.items())
    }
    return {"text": " ".join(tokens), "entities": entities}


STUDIES = [
    Study(f"s{n}", "train", (), REPORT, labels=labels, graph=record)
    for n, (labels, record) in enumerate([(LABELS, graph()), (None, None)] * 20)
]
NUMBERS = np.arange(len(STUDIES))


@pytest.fixture(scope="module")
def processor():
    # few entries, so that words fall into pieces
    return KIAProcessor(train_tokenizer([REPORT] * 3, 140), image_size=32)


def rows(processor, epoch=0, studies=STUDIES, numbers=NUMBERS, **options):
    masker = TextMasker(processor, MaskedLanguageConfig.model_validate(options), seed=1)
    encoded = processor.encode_spans([s.report for s in studies], max_words=99, max_tokens=99)
    return masker.rows(studies, numbers, encoded, epoch)


def read(processor, ids):
    return processor.tokenizer.decode(ids).split("[CLS]")[1].split("[SEP]")[0].strip()


def test_label_rows_hide_the_fourteen_states_and_nothing_else(processor):
    made = rows(processor, masking="label")
    labelled = [study.labels is not None for study in STUDIES]
    assert (made.chosen.sum(1)[labelled] == 14).all()
    assert (made.input_ids == made.originals)[~made.chosen].all()
    states = [processor.tokenizer.convert_ids_to_tokens(made.originals[0][made.chosen[0]].tolist())]
    expected = [
        "present" if name in ("Pleural Effusion", "Edema") else "absent" for name in OBSERVATIONS
    ]
    assert states == [expected]
    masked = processor.tokenizer.convert_ids_to_tokens(made.input_ids[0][made.chosen[0]].tolist())
    assert set(masked) == {"[MASK]"}
    # without labels the report itself is read, masked by chance
    assert read(processor, made.originals[1]).startswith("small left pleural effusion")


@pytest.mark.parametrize(("uncertain_as", "word"), [("present", "present"), ("absent", "absent")])
def test_uncertain_labels_are_worded_as_configured(processor, uncertain_as, word):
    made = rows(processor, masking="label", uncertain_as=uncertain_as)
    assert f"edema is {word}" in read(processor, made.originals[0])


def test_skipped_uncertain_labels_are_hidden_but_not_asked_for(processor):
    asked = rows(processor, masking="label")
    skipped = rows(processor, masking="label", uncertain_as="skip")
    assert (asked.input_ids == skipped.input_ids).all()
    left_out = asked.chosen & ~skipped.chosen
    assert left_out[0].sum() == 1
    position = np.flatnonzero(asked.chosen[0]).tolist().index(np.flatnonzero(left_out[0])[0])
    assert OBSERVATIONS[position] == "Edema"


def test_graph_rows_hide_all_pieces_of_one_side_of_a_sentence(processor):
    made = rows(processor, masking="graph")
    seen = set()
    for row in range(0, len(STUDIES), 2):
        ids = np.where(made.chosen[row], processor.token_id("[UNK]"), made.originals[row])
        text = re.sub(r"(\[UNK\]\s*)+", "_ ", read(processor, ids)).strip()
        seen.add(text)
        assert (made.input_ids[row] == processor.token_id("[MASK]"))[made.chosen[row]].all()
    second = "the _ is normal, unchanged."  # "heart" is its only entity
    assert {text.replace(" ,", ",").replace(" .", ".") for text in seen} == {
        f"_ left pleural _. {second}",
        f"small _ effusion. {second}",
    }


def test_the_coin_takes_graph_or_label_rows_evenly_and_anew_each_epoch(processor):
    many = [STUDIES[0]] * 1000
    made = [rows(processor, e, many, np.arange(1000), masking="graph+label") for e in (0, 1)]
    labelled = [np.array([n == 14 for n in m.chosen.sum(1)]) for m in made]
    assert abs(labelled[0].mean() - 0.5) < 5 * np.sqrt(0.25 / 1000)
    assert 300 < (labelled[0] != labelled[1]).sum() < 700


@pytest.mark.parametrize("masking", ["general", "graph", "label", "graph+label"])
def test_masks_do_not_depend_on_the_batch(processor, masking):
    whole = rows(processor, 3, masking=masking)
    for pick in ([0], [1, 6, 8], [39, 0, 2]):
        part = rows(processor, 3, [STUDIES[i] for i in pick], NUMBERS[pick], masking=masking)
        for row, study in enumerate(pick):
            real, all_real = part.real[row], whole.real[study]
            assert part.input_ids[row][real].tolist() == whole.input_ids[study][all_real].tolist()
            assert part.chosen[row][real].tolist() == whole.chosen[study][all_real].tolist()


def test_rows_are_framed_and_padded(processor):
    ids, real = token_rows(processor, [[9, 10], []])
    cls, sep, pad = (processor.token_id(f"[{name}]") for name in ("CLS", "SEP", "PAD"))
    assert ids.tolist() == [[cls, 9, 10, sep], [cls, sep, pad, pad]]
    assert real.tolist() == [[True] * 4, [True, True, False, False]]
