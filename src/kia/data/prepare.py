"""Decodes the images of studies in parallel and hands them to the data set writer in order."""

import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing

from kia.data.deidentify import Deidentifier
from kia.data.readers.inputs import Input
from kia.data.store.dataset import DatasetWriter
from kia.data.store.rows import why_not_stored
from kia.imaging.reading import ImageWarning
from kia.imaging.workers import LoadedStudy, Reject, decode_studies
from kia.studies import Study

SHOWN_DOUBTS = 20
"""Warnings of images that may not be chest X-rays; of the others only the number is shown."""
_NO_IMAGE = "no image could be decoded"


def write_studies(
    writer: DatasetWriter,
    inputs: Iterable[Input],
    *,
    annotate: Callable[[Iterable[Study]], Iterable[Study]] = lambda studies: studies,
    workers: int | None = None,
    advance: Callable[[], None] = lambda: None,
    deidentifier: Deidentifier | None = None,
) -> list[Reject]:
    """Decode studies in worker processes and store them in order.

    Args:
        writer: Takes the studies, and the rejects as they occur.
        inputs: Those that the writer has not seen; paths are readable.
        annotate: Adds labels and graphs to studies, in their order.
        workers: Processes; None for one a processor.
        advance: Called after each input.
        deidentifier: Hashes ids and names of images on their way to the writer; None for none.

    Returns:
        One reject for each study, of all inputs of the writer, that has no image left.
    """
    waiting: deque[tuple[list[Reject], Study | None]] = deque()  # what has been read ahead

    def studies() -> Iterator[Study]:
        for items in map(_storable, inputs):
            found = [item for item in items if isinstance(item, Study)]
            rejects = [item for item in items if isinstance(item, Reject)]
            waiting.append((rejects, found[0] if found else None))
            yield from found

    def settle(loaded: LoadedStudy | None) -> None:
        """Store the inputs up to a study, or those that are left."""
        while waiting:
            rejects, study = waiting.popleft()
            if loaded is None or study is None:
                writer.reject(*hidden(rejects, study))
            elif loaded.pixels is None:
                why = "; ".join(reject.why for reject in loaded.rejects)
                lost = Reject(loaded.study.id, f"{_NO_IMAGE}: {why}")
                writer.reject(*hidden([*rejects, lost], study))
            else:
                left_out = hidden([*rejects, *loaded.rejects], study)
                named = loaded.study if deidentifier is None else deidentifier.named(loaded.study)
                writer.add(named, loaded.pixels, left_out)
            advance()
            if study is not None:
                return

    def hidden(rejects: list[Reject], study: Study | None) -> list[Reject]:
        if deidentifier is None:
            return rejects
        return [deidentifier.reject(reject, study) for reject in rejects]

    decoded = decode_studies(annotate(studies()), writer.image_size, writer.resize, workers)
    doubts = 0
    with closing(decoded):
        for loaded in decoded:
            for doubt in loaded.doubts[: max(0, SHOWN_DOUBTS - doubts)]:
                warnings.warn(f"{doubt.what}: {doubt.why}", ImageWarning, stacklevel=2)
            doubts += len(loaded.doubts)
            settle(loaded)
    if doubts > SHOWN_DOUBTS:
        warnings.warn(f"{doubts - SHOWN_DOUBTS:,} more such images", ImageWarning, stacklevel=2)
    settle(None)
    return [reject for reject in writer.rejects() if reject.why.startswith(_NO_IMAGE)]


def _storable(items: Input) -> Input:
    """An input, with a reject in place of a study that could not be stored."""
    reasons = [why_not_stored(item) if isinstance(item, Study) else "" for item in items]
    return [
        Reject(item.id, why) if why and isinstance(item, Study) else item
        for item, why in zip(items, reasons, strict=True)
    ]
