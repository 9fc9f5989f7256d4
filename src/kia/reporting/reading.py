"""Studies on disk, read in processes that a damaged file may kill."""

import os
from collections.abc import Generator, Sequence
from contextlib import closing

from kia.errors import ImageError
from kia.imaging.pictures import Pictures
from kia.imaging.workers import decode_studies
from kia.processing import KIAProcessor
from kia.reporting.report import Unreadable
from kia.studies import Study


def read_each(
    studies: Sequence[Study], processor: KIAProcessor
) -> Generator[Pictures | Unreadable, None, None]:
    """The images of each study as the model reads them, in order; close it to stop early.

    Args:
        studies: With readable paths (`kia.read_studies`).
        processor: Of the model.
    """
    workers = min(os.cpu_count() or 1, sum(len(study.images) for study in studies))
    size, resize = processor.image_size, processor.resize
    with closing(decode_studies(studies, size, resize, workers)) as decoded:
        for asked, one in zip(studies, decoded, strict=True):
            if one.rejects:
                yield Unreadable([image.path for image in asked.images], one.rejects[0].why)
            else:
                yield Pictures.of_loaded(one, processor.reference)


def read_all(studies: Sequence[Study], processor: KIAProcessor) -> list[Pictures]:
    """The same for all of them at once, so that a bad file costs no time.

    Raises:
        ImageError: An image cannot be read.
    """
    found = []
    with closing(read_each(studies, processor)) as read:
        for one in read:
            if isinstance(one, Unreadable):
                raise ImageError(one.why)
            found.append(one)
    return found
