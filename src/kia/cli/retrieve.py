"""`kia retrieve`: studies that fit an image or a text (Paper: Fig. 10), and how well that works."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kia.cli import console
from kia.cli.image_input import SplitOf, check_split, split_studies
from kia.cli.trained import Model, open_model
from kia.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from kia.data.store.dataset import PreparedDataset
    from kia.explain.retrieval.index import RetrievalIndex
    from kia.explain.retrieval.picture import Shown
    from kia.explain.retrieval.search import Hit
    from kia.models.kia import KIAModel
    from kia.processing import KIAProcessor

_KINDS = ("images", "reports")


def retrieve(
    model: Model,
    data: Annotated[Path, typer.Option(help="prepared data set that is searched")],
    image: Annotated[
        list[Path] | None,
        typer.Option("--image", help="the query: an image; again for a second view"),
    ] = None,
    text: Annotated[str | None, typer.Option("--text", help="the query: a report or words")] = None,
    split: SplitOf = "test",
    among: Annotated[
        str | None,
        typer.Option(
            help="compare with images or with reports; reports for --image, images for --text"
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="studies to show")] = 5,
    rerank: Annotated[
        int, typer.Option(min=0, help="most similar studies that [MATCH] puts in order; 0: none")
    ] = 32,
    file: Annotated[Path | None, typer.Option("--out", help="write a picture, a PNG")] = None,
    index: Annotated[
        Path | None, typer.Option(help="folder of the embeddings; a cache folder if absent")
    ] = None,
    json_file: console.NumbersFile = None,
) -> None:
    """Find the studies that fit an image or a text best (Figure 10).

    Without a query, every study of the split is one, and the table says how often it is found.
    """
    _check(image, text, split, among, file)
    from kia.data.store.dataset import PreparedDataset
    from kia.explain.retrieval.index import check_contrast
    from kia.generation import check_image_size

    loaded, processor = open_model(model)
    check_contrast(loaded)
    if rerank and not loaded.trained_on("irm"):
        console.show_warning("the model was trained without [MATCH]: order by similarity alone")
        rerank = 0
    inputs = dict(processor(image)) if image else text
    dataset = PreparedDataset.open(data)
    check_image_size(dataset, processor)
    embeddings = _index(model, loaded, processor, dataset, split, index)
    if inputs is None:
        _numbers(loaded, processor, dataset, split, embeddings, rerank, json_file)
        return
    from kia.explain.retrieval.search import find

    hits = find(
        loaded,
        processor,
        dataset,
        split,  # type: ignore[arg-type]
        embeddings,
        inputs,
        among=among or ("reports" if image else "images"),  # type: ignore[arg-type]
        count=top,
        rerank=rerank,
    )
    _show(dataset, split, hits, file, _query(processor, inputs), json_file)


def _check(
    image: list[Path] | None, text: str | None, split: str, among: str | None, file: Path | None
) -> None:
    if image and text is not None:
        raise UsageError("give one query: --image or --text")
    if text is not None and not text.strip():
        raise UsageError("--text is empty")
    check_split(split)
    if among not in (None, *_KINDS):
        raise UsageError(f"--among {among}: use images or reports")
    if (among or file) and not (image or text):
        raise UsageError("--among and --out go with a query: --image or --text")
    if file:
        console.check_picture(file)


def _index(
    source: str,
    model: "KIAModel",
    processor: "KIAProcessor",
    dataset: "PreparedDataset",
    split: str,
    folder: Path | None,
) -> "RetrievalIndex":
    from kia.explain.retrieval.index import open_index

    studies = split_studies(dataset, split)
    with console.progress() as bar:
        task = bar.add_task("embeddings", total=len(studies), visible=False)
        return open_index(
            source,
            model,
            processor,
            dataset,
            split,  # type: ignore[arg-type]
            folder=folder,
            on_progress=lambda count: bar.update(task, advance=count, visible=True),
        )


def _query(processor: "KIAProcessor", inputs: "dict[str, Tensor] | str") -> "Shown":
    from kia.explain.retrieval.picture import Shown
    from kia.studies import VIEWS

    if isinstance(inputs, str):
        return Shown("query", [], [], inputs)
    views = list(processor.grey(inputs["pixel_values"][0]).numpy())
    return Shown("query", views, [VIEWS[i] for i in inputs["view_ids"][0].tolist()], "")


def _show(
    dataset: "PreparedDataset",
    split: str,
    hits: "list[Hit]",
    file: Path | None,
    query: "Shown",
    json_file: Path | None,
) -> None:
    numbers = dataset.indices(split)  # type: ignore[arg-type]
    studies = [dataset.study(int(numbers[hit.place])) for hit in hits]
    rows: list[dict[str, Any]] = [
        {"id": study.id, "match": hit.match, "similarity": hit.similarity, "report": study.report}
        for study, hit in zip(studies, hits, strict=True)
    ]
    table = [[rank, *row.values()] for rank, row in enumerate(rows, 1)]
    console.table(["", "study", "[MATCH]", "similarity", "report"], table)
    if json_file:
        console.write_json(json_file, rows)
    if not file:
        return
    from kia.explain.retrieval.picture import Shown, draw_retrieval

    shown = [
        Shown.of(dataset, int(numbers[hit.place]), f"{rank}.", hit.match, hit.similarity)
        for rank, hit in enumerate(hits, 1)
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    draw_retrieval(query, shown, file, title="Studies found. Not for clinical use.")
    console.out.print(f"wrote {file}")


def _numbers(
    model: "KIAModel",
    processor: "KIAProcessor",
    dataset: "PreparedDataset",
    split: str,
    index: "RetrievalIndex",
    rerank: int,
    json_file: Path | None,
) -> None:
    from kia.explain.retrieval.search import DIRECTIONS, score_split

    with console.progress() as bar:
        task = bar.add_task("[MATCH]", total=None, visible=bool(rerank))
        scores = score_split(
            model,
            processor,
            dataset,
            split,  # type: ignore[arg-type]
            index,
            rerank=rerank,
            on_progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    names = {
        "recall_1": "recall@1",
        "recall_5": "recall@5",
        "recall_10": "recall@10",
        "mean_rank": "mean rank",
        "clinical_precision_5": "clinical precision@5",
    }
    rows = []
    for direction in DIRECTIONS:
        for stage, title in (("similarity", "similarity"), ("match", "then [MATCH]")):
            if one := scores[direction][stage]:
                rows.append([direction.replace("_", " "), title, *map(one.get, names)])
    rows.append(["either", "at random", *map(scores["random"].get, names)])
    title = f"{scores['studies']} {split} studies, {scores['different_reports']} different reports"
    console.table(["", "order", *names.values()], rows, title=title)
    if json_file:
        found = {"split": split, "data": dataset.info["content_hash"], **scores}
        console.write_json(json_file, found)
