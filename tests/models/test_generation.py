"""Generation on random weights: beams, cache and batching never change a report."""

from typing import Any

import pytest
import torch
from torch import Tensor

from kia import KIAConfig, KIAForReportGeneration
from kia.models.decoding import Search

STUDIES, PAD = 4, 0


def inputs(missing_view: bool = True) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(11)
    pixels = torch.randn(STUDIES, 2, 1, 32, 32, generator=generator)
    mask = torch.ones(STUDIES, 2, dtype=torch.bool)
    mask[1, 1] = not missing_view
    return {
        "pixel_values": pixels * mask[..., None, None, None],
        "view_ids": torch.tensor([[0, 1]] * STUDIES),
        "view_mask": mask,
    }


def reports(model: Any, batch: dict[str, Tensor], **options: Any) -> list[list[int]]:
    """Token ids up to the end of each report."""
    options = {"max_new_tokens": 10} | options
    return cut(model, model.generate(**batch, **options).tolist())


def cut(model: Any, rows: list[list[int]]) -> list[list[int]]:
    end = model.config.eos_token_id
    return [row[: row.index(end)] if end in row else row for row in rows]


@pytest.fixture(params=[True, False], ids=["shared", "separate"])
def model(request: Any, build: Any) -> Any:
    made = build(share_parameters=request.param)
    with torch.no_grad():
        made.word_prediction.bias[PAD] -= 20.0
        made.text_decoder.position.weight *= 4  # not the same word again and again
    # a word that these weights write early in some reports and never in others
    made.config.eos_token_id = 28 if request.param else 34
    return made


def test_greedy_takes_the_likeliest_word_each_time(model: Any) -> None:
    batch = inputs()
    with torch.no_grad():
        features = model.encode_images(**batch)
        context = model.text_decoder.stack.context(features.sequence, features.mask)
        rows = torch.full((STUDIES, 1), model.config.start_token_id)
        for _ in range(10):
            following = model(rows, context).logits[:, -1].argmax(-1)
            rows = torch.cat([rows, following[:, None]], dim=1)
    expected = cut(model, rows.tolist())
    assert reports(model, batch, num_beams=1) == expected
    lengths = {len(row) for row in expected}
    assert len(lengths) > 1, "these weights should end some reports early"


@pytest.mark.parametrize("beams", [1, 3])
def test_cache_changes_nothing(model: Any, beams: int) -> None:
    batch = inputs()
    with_cache, without = (
        reports(model, batch, num_beams=beams, use_cache=cache) for cache in (True, False)
    )
    assert with_cache == without


@pytest.mark.parametrize("beams", [1, 3])
def test_a_report_does_not_depend_on_its_batch(model: Any, beams: int) -> None:
    batch = inputs()
    together = reports(model, batch, num_beams=beams)
    for study in range(STUDIES):
        views = int(batch["view_mask"][study].sum())
        alone = {
            "pixel_values": batch["pixel_values"][study : study + 1, :views],
            "view_ids": batch["view_ids"][study : study + 1, :views],
        }
        assert reports(model, alone, num_beams=beams) == [together[study]]


def test_beams_as_many_as_words_find_the_likeliest_report(model: Any) -> None:
    """Of two words: such a search is exhaustive, so it must agree with trying them all."""
    batch, words = inputs(), model.config.vocab_size
    pairs = torch.cartesian_prod(torch.arange(words), torch.arange(words))
    start = torch.full((len(pairs), 1), model.config.start_token_id)
    ids = torch.cat([start, pairs], dim=1)
    with torch.no_grad():
        features = model.encode_images(**batch)
        for study in range(STUDIES):
            one = slice(study, study + 1)
            context = model.text_decoder.stack.context(features.sequence[one], features.mask[one])
            scores = model(ids, context).logits.log_softmax(-1)[:, :-1]
            total = scores.gather(-1, pairs[..., None]).sum((1, 2))
            total[
                (pairs == model.config.eos_token_id).any(1)
            ] = -torch.inf  # not yet, as min_new_tokens asks
            best = ids[total.argmax()].tolist()
            alone = {name: tensor[one] for name, tensor in batch.items()}
            found = model.generate(**alone, num_beams=words, min_new_tokens=2, max_new_tokens=2)
            assert found.tolist() == [best]


@pytest.mark.parametrize("beams", [1, 3])
def test_images_are_encoded_once(model: Any, beams: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = {"image": 0, "keys": 0}
    block = model.text_decoder.stack.blocks[0].cross_attention
    encode, project = model.image_encoder.forward, block.keys_values

    def counted(name: str, function: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            calls[name] += 1
            return function(*args, **kwargs)

        return call

    monkeypatch.setattr(model.image_encoder, "forward", counted("image", encode))
    monkeypatch.setattr(block, "keys_values", counted("keys", project))
    reports(model, inputs(), num_beams=beams)
    assert calls == {"image": 1, "keys": 1}


def test_several_reports_a_study(model: Any) -> None:
    rows = model.generate(**inputs(), num_beams=3, num_return_sequences=3, max_new_tokens=6)
    assert rows.shape[0] == 3 * STUDIES
    best = reports(model, inputs(), num_beams=3, max_new_tokens=6)
    assert cut(model, rows.tolist())[::3] == best


SETTINGS: list[dict[str, Any]] = [
    {"num_beams": 1},
    {"num_beams": 1, "repetition_penalty": 1.7},
    {"num_beams": 1, "no_repeat_ngram_size": 2, "min_new_tokens": 4},
    {"num_beams": 2},
    {"num_beams": 3, "length_penalty": 2.0},
    {"num_beams": 3, "length_penalty": -1.0},
    {"num_beams": 4, "num_return_sequences": 4, "max_new_tokens": 5},
    {"num_beams": 4, "num_return_sequences": 2, "repetition_penalty": 0.6},
    {"num_beams": 3, "no_repeat_ngram_size": 1, "min_new_tokens": 3},
    {"num_beams": 30},
]


@pytest.mark.parametrize("options", SETTINGS, ids=str)
@pytest.mark.parametrize("cached", [True, False])
def test_reports_are_those_of_transformers(
    options: dict[str, Any], cached: bool, model: Any, theirs: Any
) -> None:
    options = {"max_new_tokens": 16} | options
    batch = inputs()
    expected = cut(model, theirs.generate(**batch, **options).tolist())
    assert reports(model, batch, use_cache=cached, **options) == expected
    assert len({tuple(row) for row in expected}) > 1


@pytest.fixture
def theirs(model: Any) -> Any:
    """The same model as one of transformers."""
    made = KIAForReportGeneration(KIAConfig(**model.config.to_dict())).eval()
    made.load_state_dict(model.state_dict())
    return made


def test_a_report_goes_on_from_what_is_begun(model: Any) -> None:
    """Given the first half of a report, greedy search writes the other half."""
    images = model.encode_images(**inputs())
    context = model.text_decoder.stack.context(images.sequence, images.mask)
    whole = model.generate(image_features=images, num_beams=1, min_new_tokens=9, max_new_tokens=10)
    again = Search(PAD, model.config.eos_token_id, 5, min_new_tokens=4).write(
        lambda ids, cache: model(ids, context, cache).logits[:, -1], whole[:, :6]
    )
    assert torch.equal(again, whole)


class Told:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.words: list[int] = []
        self.ended = 0

    def put(self, value: Tensor) -> None:
        self.words += value.flatten().tolist()

    def end(self) -> None:
        self.ended += 1


def test_a_streamer_is_told_every_word(model: Any) -> None:
    batch = {name: tensor[:1] for name, tensor in inputs().items()}
    told = Told()
    rows = model.generate(**batch, num_beams=1, max_new_tokens=8, streamer=told)
    assert told.words == rows[0].tolist() and told.ended == 1
    with pytest.raises(ValueError, match="num_beams=1"):
        model.generate(**batch, num_beams=2, streamer=told)


def test_what_cannot_be_searched_for_is_refused(model: Any) -> None:
    with pytest.raises(ValueError, match="num_return_sequences=3 of num_beams=2"):
        model.generate(**inputs(), num_beams=2, num_return_sequences=3)
    with pytest.raises(ValueError, match="max_new_tokens=0"):
        model.generate(**inputs(), max_new_tokens=0)


def test_sampling_runs_and_repeats_with_a_seed(model: Any, theirs: Any) -> None:
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        rows = theirs.generate(**inputs(), do_sample=True, num_beams=1, max_new_tokens=10)
        drawn.append(cut(model, rows.tolist()))
    assert drawn[0] == drawn[1] != drawn[2]
