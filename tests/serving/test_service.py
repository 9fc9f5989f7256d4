"""Reports are the same alone and in a batch, whoever else asks."""

import asyncio

import numpy as np
import pytest

from kia.errors import DataError, ImageError
from kia.explain.describe import describe
from kia.generation import generation_settings
from kia.reporting.model import KIA
from kia.serving.service import Upload


def studies(png) -> list[list[bytes]]:
    """Some of one image, some of two."""
    return [[png(10 * n + view) for view in range(1 + n % 2)] for n in range(6)]


def close(one, other) -> bool:
    """Equal texts, and numbers that differ by what the order of a sum may do."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(close(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(close, one, other))
    if isinstance(one, float):
        return bool(np.isclose(one, other, rtol=1e-4, atol=1e-6))
    return one == other


def test_reports_are_equal_with_and_without_batching(service, png):
    async def together():
        return await asyncio.gather(*(service.report(images) for images in studies(png)))

    async def one_by_one():
        return [await service.report(images) for images in studies(png)]

    before = service.metrics.registry.get_sample_value("kia_batch_studies_count")
    batched = asyncio.run(together())
    batches = service.metrics.registry.get_sample_value("kia_batch_studies_count") - before
    alone = asyncio.run(one_by_one())
    assert batches < len(batched)
    assert [one["raw"] for one in batched] == [one["raw"] for one in alone]
    assert len({one["raw"] for one in alone}) > 1
    assert all(map(close, batched, alone))


def test_the_server_says_what_the_library_says(service, loaded, png):
    model, processor = loaded
    files = [png(1), png(2)]
    (expected,) = describe(model, processor, processor(files), generation_settings(model))
    found = asyncio.run(service.report(files))
    assert close(found, found | expected)
    assert close(found, KIA.of(model, processor, name=service.kia.writer.name)(files).to_record())


def test_views_may_be_named(service, png):
    pictures = asyncio.run(service.read([png(1)], ["lateral"]))
    assert pictures.views == ("lateral",)
    assert pictures.squares.shape == (1, 64, 64)
    assert service.inputs([pictures])["view_ids"].tolist() == [[1]]


@pytest.mark.parametrize(
    ("images", "views", "kind", "said"),
    [
        ([], None, DataError, "1 to 2 images"),
        ([b"1", b"2", b"3"], None, DataError, "1 to 2 images"),
        ([b"1"], ["frontal", "lateral"], DataError, "1 images and 2 views"),
        ([b""], None, ImageError, "image 1: empty"),
        ([b"GIF89a"], None, ImageError, "image 1: not a PNG, JPEG or DICOM"),
        ([Upload(b"no dicom", dicom=True)], None, ImageError, "image 1.dcm: "),
    ],
)
def test_what_cannot_be_read_is_one_line(service, images, views, kind, said):
    with pytest.raises(kind) as error:
        asyncio.run(service.read(images, views))
    assert said in str(error.value) and "\n" not in str(error.value)


def test_what_is_odd_about_a_picture_is_flagged(service, png):
    found = asyncio.run(service.report([png(1, side=20)]))
    assert [(flag["view"], flag["kind"]) for flag in found["flags"]] == [(0, "size")]


def test_other_uses_of_the_model_wait_for_their_turn(service):
    names = asyncio.run(service.run(lambda: __import__("threading").current_thread().name))
    assert names == "kia-model"
