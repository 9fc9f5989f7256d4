"""Figure 10: exact search, an index that knows whose it is, and scores by the slow path."""

import json

import numpy as np
import pytest
import torch

import kia.explain.retrieval.search as retrieval
from kia.errors import ModelError
from kia.evaluation.retrieval import clinical_agreement, present_observations, retrieval_scores
from kia.explain.retrieval.index import (
    check_contrast,
    index_folder,
    nearest,
    open_index,
    report_embeddings,
)
from kia.explain.retrieval.search import DIRECTIONS, find, reranked, score_split
from kia.generation import dataset_inputs, image_features
from kia.matching import matching_degree


@pytest.fixture(scope="module")
def built(toy, tmp_path_factory):
    """Processor, model and model folder."""
    processor, model = toy()
    folder = tmp_path_factory.mktemp("retrieval") / "model"
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return processor, model, folder


def opened(built, dataset, folder, **options):
    processor, model, source = built
    return open_index(source, model, processor, dataset, "train", folder=folder, **options)


def unit(random, *shape):
    rows = random.standard_normal(shape).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


@pytest.mark.parametrize(("count", "queries"), [(1, 1), (7, 3), (500, 70), (900, 2)])
def test_search_is_the_head_of_the_whole_order(count, queries):
    random = np.random.default_rng(0)
    embeddings = unit(random, 500, 16)
    embeddings[100:140] = embeddings[3]  # equal reports are common
    asked = np.concatenate([embeddings[3:4], unit(random, queries - 1, 16)])
    places, similarities = nearest(embeddings, asked, count)
    scores = asked @ embeddings.T
    order = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    np.testing.assert_allclose(similarities, np.take_along_axis(scores, order, 1), atol=1e-6)
    if queries == 1:
        assert places.tolist() == order.tolist()
    assert (np.sort(places, 1)[:, 1:] != np.sort(places, 1)[:, :-1]).all()


@torch.no_grad()
def test_the_index_holds_each_study_embedded_alone_and_is_mapped(built, six_studies, tmp_path):
    processor, model, _ = built
    index = opened(built, six_studies, tmp_path / "index", batch_size=4)
    assert index.built and index.images.dtype == np.float32
    assert isinstance(index.images.base, np.memmap) and isinstance(index.reports.base, np.memmap)
    for place, number in enumerate(six_studies.indices("train")):
        one = image_features(model, dataset_inputs(six_studies, processor, np.array([number])))
        expected = model.image_projection(one.pooled).numpy()[0]
        np.testing.assert_allclose(index.images[place], expected, atol=1e-5)
        ids = processor.encode([six_studies.study(int(number)).report], max_words=99, max_tokens=99)
        ends = [processor.token_id(token) for token in ("[CLS]", "[SEP]")]
        text = model.text_encoder(torch.tensor([[ends[0], *ids[0], ends[1]]]))
        expected = model.text_projection(text[:, 0]).numpy()[0]
        np.testing.assert_allclose(index.reports[place], expected, atol=1e-5)


def test_an_index_is_built_once_and_again_for_anything_else(
    built, toy, six_studies, write_studies, tmp_path
):
    processor = built[0]
    folder = tmp_path / "index"
    first = opened(built, six_studies, folder)
    counted = []
    again = opened(built, six_studies, folder, on_progress=counted.append)
    assert (first.built, again.built, counted) == (True, False, [])
    np.testing.assert_array_equal(first.images, again.images)

    other_data = write_studies(tmp_path / "other", seed=1)
    changed = opened(built, other_data, folder)
    assert changed.built and (changed.images != first.images).any()
    # the arrays of the first are those of before, though their files were replaced
    np.testing.assert_array_equal(first.images, again.images)

    _, other_model = toy(seed=1)
    other_model.save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    other = open_index(
        tmp_path / "model", other_model, processor, other_data, "train", folder=folder
    )
    assert other.built

    (folder / "reports.npy").write_bytes(b"damaged")
    assert open_index(
        tmp_path / "model", other_model, processor, other_data, "train", folder=folder
    ).built
    names = {path.name for path in folder.iterdir()}
    assert names == {"index.json", "images.npy", "reports.npy"}
    said = json.loads((folder / "index.json").read_text())
    assert said["data"] == other_data.info["content_hash"] and said["width"] == 8


def test_a_build_that_fails_leaves_no_index(built, six_studies, tmp_path):
    def stop(count):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        opened(built, six_studies, tmp_path / "index", on_progress=stop)
    assert list((tmp_path / "index").iterdir()) == []


def test_the_folder_of_an_index_depends_on_model_data_and_split(
    built, six_studies, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    train = index_folder(built[2], six_studies, "train")
    assert train.parent == tmp_path / "kia" / "retrieval"
    assert train != index_folder(built[2], six_studies, "test")


@pytest.mark.parametrize("among", ["images", "reports"])
@pytest.mark.parametrize("kind", ["image", "text"])
def test_hits_are_the_most_similar_in_the_order_of_match(built, six_studies, tmp_path, kind, among):
    processor, model, _ = built
    index = opened(built, six_studies, tmp_path / "index")
    reports = [six_studies.study(place).report for place in range(6)]
    everyone = dataset_inputs(six_studies, processor, np.arange(6))
    if kind == "image":
        query = processor([np.array(six_studies.pixels(2)[0])])
        vector = model.image_projection(image_features(model, query).pooled)
        degrees = matching_degree(model, processor, query, reports, [0] * 6)
    else:
        query = "The heart is enlarged."
        vector = torch.from_numpy(report_embeddings(model, processor, [query]))
        degrees = matching_degree(model, processor, everyone, [query] * 6)
    similar = (torch.from_numpy(np.array(getattr(index, among))) @ vector[0].detach()).numpy()
    first = np.argsort(-similar, kind="stable")[:4]
    expected = first[np.argsort(-degrees.numpy()[first], kind="stable")][:3]
    hits = find(
        model, processor, six_studies, "train", index, query, among=among, count=3, rerank=4
    )
    same = {4: 0}  # studies 0 and 4 have one report, so rounding decides between them
    assert [same.get(hit.place, hit.place) for hit in hits] == [
        same.get(place, place) for place in expected.tolist()
    ]
    for hit in hits:
        assert hit.similarity == pytest.approx(similar[hit.place], abs=1e-5)
        assert hit.match == pytest.approx(degrees[hit.place].item(), abs=1e-5)
    plain = find(
        model, processor, six_studies, "train", index, query, among=among, count=3, rerank=0
    )
    assert [same.get(hit.place, hit.place) for hit in plain] == [
        same.get(place, place) for place in first[:3].tolist()
    ]
    assert plain[0].match is None


def test_reranking_moves_the_first_alone():
    places = np.array([[4, 2, 9, 7]])
    assert reranked(places, np.array([[0.1, 0.9, 0.5]])).tolist() == [[2, 9, 4, 7]]


@pytest.mark.parametrize("rerank", [3, 32])
def test_scores_of_a_split_are_those_of_every_query_alone(
    built, six_studies, tmp_path, rerank, monkeypatch
):
    monkeypatch.setattr(retrieval, "_PAIRS", 5)
    monkeypatch.setattr(retrieval, "_QUERIES", 4)
    processor, model, _ = built
    index = opened(built, six_studies, tmp_path / "index")
    progress = []
    found = score_split(
        model,
        processor,
        six_studies,
        "train",
        index,
        rerank=rerank,
        on_progress=lambda *done: progress.append(done),
    )
    assert (found["studies"], found["different_reports"]) == (6, 5)
    assert progress[-1][0] == progress[-1][1] <= 36
    reports = [six_studies.study(place).report for place in range(6)]
    present = present_observations([six_studies.study(place).labels for place in range(6)])
    for direction, (asked, searched) in DIRECTIONS.items():
        for stage in ("similarity", "match"):
            ranks, agreement = [], []
            for query in range(6):
                scores = getattr(index, searched) @ getattr(index, asked)[query]
                order = np.argsort(-scores, kind="stable").tolist()
                if stage == "match":
                    first = order[:rerank]
                    match = {
                        place: degree(built, six_studies, direction, query, place)
                        for place in first
                    }
                    order[:rerank] = sorted(first, key=lambda place: -match[place])
                same = {0, 4} if query in (0, 4) else {query}
                ranks.append(1 + min(order.index(place) for place in same))
                agreement += [clinical_agreement(present, np.array([order]), np.array([query]))[0]]
            expected = retrieval_scores(np.array(ranks), np.array(agreement))
            assert found[direction][stage] == expected, (direction, stage)
    assert found["random"]["recall_1"] == pytest.approx((4 * 1 + 2 * 2) / 6 / 6)
    assert reports[0] != reports[4]


def degree(built, dataset, direction, query, place):
    processor, model, _ = built
    image, report = (query, place) if direction == "image_to_report" else (place, query)
    inputs = dataset_inputs(dataset, processor, np.array([image]))
    text = dataset.study(report).report
    return matching_degree(model, processor, inputs, [text]).item()


def test_models_without_the_tasks_say_so(toy, built, six_studies, tmp_path):
    processor, model = toy(irc={"weight": 0})
    with pytest.raises(ModelError, match="image-report contrast"):
        check_contrast(model)
    processor, model = toy(irm={"weight": 0})
    index = opened(built, six_studies, tmp_path / "index")
    found = score_split(model, processor, six_studies, "train", index)
    assert found["rerank"] is None and found["image_to_report"]["match"] is None


@pytest.mark.slow
@pytest.mark.parametrize("width", [64, 256])
def test_270000_studies_are_searched_exactly_from_the_file(width, tmp_path):
    """The time is measured by benchmarks/performance.py."""
    random = np.random.default_rng(0)
    everything = unit(random, 270_000, width)
    np.save(tmp_path / "e.npy", everything)
    embeddings = np.asarray(np.load(tmp_path / "e.npy", mmap_mode="r", allow_pickle=False))
    for query in unit(random, 3, 1, width):
        places, similarities = nearest(embeddings, query, 32)
        every = everything @ query[0]
        expected = np.argsort(-every, kind="stable")[:32]
        assert np.ravel(places).tolist() == expected.tolist()
        np.testing.assert_allclose(np.ravel(similarities), every[expected], rtol=1e-5)
