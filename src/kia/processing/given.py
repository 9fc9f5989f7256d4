"""The images that a caller of `KIAProcessor` gives: one study or several, in any form."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from PIL import Image

from kia.errors import DataError
from kia.imaging.arrays import any_picture, is_rows
from kia.imaging.facts import UNKNOWN
from kia.imaging.grey import MAX_BYTES, Picture
from kia.imaging.one_study import OneStudy, one_study
from kia.imaging.reading import read_facts
from kia.studies import VIEWS, View


def is_batch(images: Any) -> bool:
    """Whether these are studies, each a list of images, and not the images of one study."""
    if not isinstance(images, list | tuple) or is_rows(images):
        return False
    studies = [isinstance(one, list | tuple) and not is_rows(one) for one in images]
    if any(studies) and not all(studies):
        raise DataError("give the images of one study, or a list of images for each study")
    return any(studies)


def is_one_image(images: Any) -> bool:
    """Whether this is an image and no list of images; a string names one."""
    if isinstance(images, list | tuple):
        return is_rows(images)
    kinds = (str, bytes, bytearray, memoryview)
    return not isinstance(images, Sequence) or isinstance(images, kinds)


def given_study(images: Any, views: Sequence[str] | None) -> tuple[list[Any], OneStudy]:
    """The images that are read, and what they are."""
    if is_one_image(images):
        images = [images]
    if not isinstance(images, Sequence):
        raise DataError("give the images of a study as a list, one a view")
    if not images:
        raise DataError("a study needs at least one image")
    unknown = [view for view in views or () if view not in VIEWS]
    if unknown or (views and len(views) != len(images)):
        raise DataError(f"views must be one of {', '.join(VIEWS)} for each image")
    images = [_content(image, f"image {number}") for number, image in enumerate(images, start=1)]
    files = []
    for number, image in enumerate(images, start=1):
        if isinstance(image, str | Path):
            files.append((str(image), read_facts(image)))
        else:
            is_file = isinstance(image, bytes | bytearray | memoryview)
            files.append((f"image {number}", read_facts(bytes(image)) if is_file else UNKNOWN))
    study = one_study(files, cast(Sequence[View] | None, views))
    return [images[place] for place in study.places], study


def read_pictures(images: Sequence[Any], study: OneStudy) -> list[tuple[str, Picture]]:
    """Name and content of each image of a study."""
    names = [image.path for image in study.images]
    return [(name, any_picture(image, name)) for name, image in zip(names, images, strict=True)]


def _content(image: Any, name: str) -> Any:
    """An image as it can be read more than once."""
    loaded = sys.modules.get("pydicom")  # not imported for it
    if loaded is not None and isinstance(image, loaded.Dataset):
        from kia.imaging.dicom.data_set import file_of

        return file_of(image, name)
    is_file = hasattr(image, "read") and not isinstance(image, Image.Image)
    return image.read(MAX_BYTES + 1) if is_file else image
