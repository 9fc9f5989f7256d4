"""`kia evaluate --localisation`: does the model look where findings are?"""

from pathlib import Path
from typing import Any

from kia.cli import console
from kia.cli.trained import open_model
from kia.errors import UsageError

PHANTOM = "phantom"


def evaluate_localisation(
    model: str,
    source: str,
    data: Path | None,
    split: str,
    json_file: Path | None,
    *,
    resamples: int,
    seed: int,
) -> None:
    """Scores the maps of a model's 14 [MASK] and prints them beside what needs no model.

    Args:
        model: Run folder or model folder.
        source: "phantom" for the findings drawn in the phantoms of `data`, or a table of boxes.
        data: Prepared phantoms; with a table of boxes, images like its own: gradients show what
            is unlike the mean of its training images.
        split: Of the phantoms.
        json_file: For the numbers.
        resamples: Of the interval.
        seed: Of the interval.
    """
    if source == PHANTOM and data is None:
        raise UsageError("--localisation phantom: name the phantoms with --data")
    from kia.data.store.dataset import PreparedDataset
    from kia.explain.attention.gradient import mean_images
    from kia.explain.findings import check_answers
    from kia.explain.localisation.measure import finding_maps, score_localisation

    loaded, processor = open_model(model)
    check_answers(loaded)
    dataset = None if data is None else PreparedDataset.open(data)
    batches, images, used = _batches(source, dataset, split, processor)
    with console.progress() as bar:
        task = bar.add_task("images", total=images)
        reference = None if dataset is None else mean_images(processor, dataset)

        def counted() -> Any:
            for batch in batches:
                yield batch
                bar.advance(task, len(batch[0]["pixel_values"]))

        findings, maps = finding_maps(loaded, processor, counted(), reference)
    scores = score_localisation(findings, maps, resamples=resamples, seed=seed)
    result = {"model": model, "dataset": used, "images": images, **scores}
    _print(result)
    if json_file:
        console.write_json(json_file, result)


def _batches(source: str, dataset: Any, split: str, processor: Any) -> tuple[Any, int, Any]:
    """Batches of images with their findings, how many images, and what they are from."""
    if source != PHANTOM:
        from kia.explain.localisation.boxes import box_batches, read_boxes

        rows = read_boxes(Path(source))
        return box_batches(rows, processor), len(rows), {"source": source}
    from kia.cli.image_input import split_studies
    from kia.explain.localisation.measure import phantom_batches, phantom_findings
    from kia.generation import check_image_size

    check_image_size(dataset, processor)
    studies = split_studies(dataset, split)
    findings = phantom_findings(dataset, studies)
    used = {"source": dataset.info.get("source"), "split": split}
    used["hash"] = dataset.info["content_hash"]
    return phantom_batches(dataset, processor, studies, findings), len(studies), used


def _print(result: dict[str, Any]) -> None:
    systems = result["systems"]
    first = next(iter(systems.values()))["observations"]
    rows: list[list[object]] = [
        [name, one["findings"], *(s["observations"][name]["pointing"] for s in systems.values())]
        for name, one in first.items()
    ]
    for kind, label in (("mean", "all findings"), ("macro", "mean of observations")):
        total = result["findings"] if kind == "mean" else None
        rows.append([label, total, *(system[kind]["pointing"] for system in systems.values())])
    title = f"pointing game, {result['images']} images, {result['grid']} cells a side"
    console.table(["observation", "findings", *systems], rows, title=title)
    measures = ("pointing", "iou", "inside", "lift")
    table = [
        [name, *(one["mean"][m] for m in measures), one["threshold"]]
        for name, one in systems.items()
    ]
    words = ["pointing", "IoU", "share inside", "lift", "threshold of IoU"]
    console.table(["map", *words], table, title="mean over all findings")
    for name, gain in result["above_atlas"].items():
        low, high = (f"{100 * gain[end]:+.1f}" for end in ("low", "high"))
        points = f"{100 * gain['pointing']:+.1f} points (95 % interval {low} to {high})"
        console.out.print(f"{name} against the atlas: {points}")
