"""ReXrank's submission: its input file in, the same file with the model's reports out.

Form: example_files/merversa_inference.py, submission_tutorial.md (github.com/rajpurkarlab/ReXrank):
an object of studies, each with `image_path` and what else the board knows of it; the output adds
`model_prediction`. Reports are in the raw form, which scores read.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

from kia.candidates import chosen_reports
from kia.config import GenerationConfig
from kia.data.readers.iu_xray.images import IUImages, Listed, read_projections
from kia.data.readers.iu_xray.reports import uid_of
from kia.errors import DataError, ImageError
from kia.evaluation.coverage import first_ids
from kia.files.plain import read_json
from kia.files.regular import MOST_TABLE
from kia.generation import study_inputs
from kia.imaging.paths import ImageRoots
from kia.imaging.views import pair_of_views, view_at, view_named
from kia.imaging.workers import decode_studies
from kia.models.kia import KIAModel
from kia.processing import KIAProcessor
from kia.studies import Study, StudyImage

PREDICTION = "model_prediction"
"""Key of a generated report."""

Entries = dict[str, dict[str, Any]]
"""Study → what ReXrank's file says of it."""


def read_entries(path: Path) -> Entries:
    """ReXrank's file of studies.

    Raises:
        DataError: It cannot be read, or is none.
    """
    try:
        found = read_json(path, MOST_TABLE)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: {error}") from None
    if not isinstance(found, dict) or not all(isinstance(one, dict) for one in found.values()):
        raise DataError(
            f'{path}: expected ReXrank\'s form, {{"study": {{"image_path": […], …}}, …}}'
        )
    return found


def rexrank_studies(entries: Entries, root: Path, projections: Path | None = None) -> list[Study]:
    """The studies of an input file, their images found below a folder.

    An image that is not there by its name is looked for by its study, in a folder of IU X-Ray with
    Kaggle's or Open-i's names.

    Args:
        entries: From `read_entries`.
        root: Folder that `image_path` counts from, or that holds those images.
        projections: indiana_projections.csv: the views of such images.

    Raises:
        DataError: Studies have no image there; says how many, and the first.
    """
    roots, views = ImageRoots(root), {} if projections is None else read_projections(projections)
    flat = _flat_images(root)
    studies: list[Study] = []
    lost: list[str] = []
    for name, entry in entries.items():
        found = _named_images(name, entry, roots) or _images_of_study(name, flat, views)
        if found:
            studies.append(Study(name, "test", pair_of_views(found), ""))
        else:
            lost.append(name)
    if lost:
        hint = "" if projections else "; --projections indiana_projections.csv helps with Kaggle's"
        raise DataError(
            f"{root}: no image of {len(lost)} of {len(entries)} studies: {first_ids(lost)} "
            f"({_paths(lost[0], entries[lost[0]])[0]} is not "
            f"there, nor an image by its study{hint})"
        )
    return studies


def write_submission(
    model: KIAModel,
    processor: KIAProcessor,
    input_file: Path,
    save_file: Path,
    root: Path,
    settings: GenerationConfig,
    *,
    projections: Path | None = None,
    seed: int = 0,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Writes the reports of ReXrank's input file; what the output has already is kept.

    The output is whole after every batch, so that what was stopped goes on where it was.

    Args:
        model: In evaluation mode.
        processor: Of the same model.
        input_file: ReXrank's.
        save_file: The same with `model_prediction`.
        root: As for `rexrank_studies`.
        settings: Decoding settings and batch size.
        projections: As for `rexrank_studies`.
        seed: Of candidates that are drawn.
        on_progress: Told the studies that are done, and all.

    Returns:
        How many reports were written now.

    Raises:
        DataError: A file is not ReXrank's, or images are not there.
        ImageError: An image cannot be read.
    """
    entries = read_entries(input_file)
    saved = read_entries(save_file) if save_file.exists() else {}
    done = {name: one for name, one in saved.items() if isinstance(one.get(PREDICTION), str)}
    left = {name: one for name, one in entries.items() if name not in done}
    studies = rexrank_studies(left, root, projections)
    for reports in _batches(model, processor, studies, settings, seed):
        done |= {name: entries[name] | {PREDICTION: report} for name, report in reports.items()}
        _write(save_file, {name: done[name] for name in entries if name in done})
        on_progress(sum(name in done for name in entries), len(entries))
    if not studies:
        _write(save_file, {name: done[name] for name in entries})
    return len(studies)


def _batches(
    model: KIAModel,
    processor: KIAProcessor,
    studies: Sequence[Study],
    settings: GenerationConfig,
    seed: int,
) -> Iterator[dict[str, str]]:
    """Study → report, a batch at a time."""
    workers = min(os.cpu_count() or 1, max(1, len(studies)))
    decoded = decode_studies(studies, processor.image_size, processor.resize, workers)
    with closing(decoded):
        while batch := list(islice(decoded, settings.batch_size)):
            if bad := next((one.rejects[0] for one in batch if one.rejects), None):
                raise ImageError(bad.why)
            squares = [one.pixels for one in batch if one.pixels is not None]
            views = [[image.view for image in one.study.images] for one in batch]
            inputs = study_inputs(processor, squares, views)
            reports = chosen_reports(model, processor, inputs, settings, seed=seed)
            yield dict(zip((one.study.id for one in batch), reports, strict=True))


def _paths(name: str, entry: Mapping[str, Any]) -> list[str]:
    """The names of a study's images.

    Raises:
        DataError: The entry has none.
    """
    paths = entry.get("image_path") or entry.get("key_image_path")
    paths = [paths] if isinstance(paths, str) else paths
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise DataError(f"study {name[:60]!r} has no image_path, a list of names")
    return [path.lstrip("/") for path in paths]


def _named_images(name: str, entry: Mapping[str, Any], roots: ImageRoots) -> list[StudyImage]:
    """The images that lie where the entry says."""
    paths = _paths(name, entry)
    told = entry.get("frontal_lateral")
    if not isinstance(told, list) or len(told) != len(paths):  # it may list views of others
        told = [None] * len(paths)
    key = entry.get("key_image_path")
    found = []
    for place, (path, word) in enumerate(zip(paths, told, strict=True)):
        guess = "frontal" if path == key else view_at(place if key not in paths else 1)
        view = view_named(str(word)) or guess
        try:
            found.append(StudyImage(str(roots.find(path)), view))
        except ImageError:
            continue
    return found


def _flat_images(root: Path) -> IUImages | None:
    try:
        return IUImages.in_folder(root)
    except DataError:  # of another collection
        return None


def _images_of_study(
    name: str, flat: IUImages | None, views: Mapping[str, list[Listed]]
) -> Sequence[StudyImage]:
    try:
        uid = uid_of(name)
    except DataError:
        return ()
    if flat is None or not flat.files:
        return ()
    return flat.find(uid, views.get(uid) or flat.listed(uid))[0]


def _write(path: Path, entries: Entries) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        hidden.write_text(json.dumps(entries, indent=4), encoding="utf-8")
        hidden.replace(path)
    finally:
        hidden.unlink(missing_ok=True)
