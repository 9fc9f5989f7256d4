"""A study as one picture, its views side by side and its report below; many as a contact sheet."""

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from kia.data.store.dataset import PreparedDataset
from kia.studies import Study

_MARGIN = 12
_TEXT_SIZE = 15
_MIN_SIDE = 320
_SMALL_TEXT = 11


def study_picture(study: Study, pixels: npt.NDArray[np.uint8]) -> Image.Image:
    """Draw a study.

    Args:
        study: Its id, views and report are written.
        pixels: uint8 (W, S, S).
    """
    side = max(_MIN_SIDE, pixels.shape[-1])
    width = len(pixels) * (side + _MARGIN) + _MARGIN
    font = ImageFont.load_default(_TEXT_SIZE)
    lines = [f"{study.id} ({study.split})", "", *wrap(study.report, font, width - 2 * _MARGIN)]
    line_height = _TEXT_SIZE + 5
    top = _MARGIN + line_height
    height = top + side + _MARGIN + line_height * len(lines) + _MARGIN
    canvas = Image.new("L", (width, height), 255)
    draw = ImageDraw.Draw(canvas)
    for position, (image, array) in enumerate(zip(study.images, pixels, strict=True)):
        left = _MARGIN + position * (side + _MARGIN)
        draw.text((left, _MARGIN // 2), image.view, fill=0, font=font)
        canvas.paste(Image.fromarray(array).resize((side, side)), (left, top))
    for number, line in enumerate(lines):
        position_y = top + side + _MARGIN + number * line_height
        draw.text((_MARGIN, position_y), line, fill=0, font=font)
    return canvas


def contact_sheet(
    dataset: PreparedDataset, *, columns: int = 8, rows: int = 6, side: int = 144
) -> Image.Image:
    """Small pictures of studies from all over a data set, each view above id, view and split.

    Args:
        dataset: Its studies are taken at equal distances.
        columns: Images in a row.
        rows: Rows of images.
        side: Of an image in pixels.
    """
    font = ImageFont.load_default(_SMALL_TEXT)
    fitting = columns * rows * len(dataset) // max(1, sum(dataset.info["images"].values()))
    wanted = np.linspace(0, len(dataset) - 1, min(len(dataset), max(1, fitting))).astype(int)
    images = [
        (dataset.study(index), number, image)
        for index in wanted.tolist()
        for number, image in enumerate(dataset.pixels(index))
    ][: columns * rows]
    step = side + _SMALL_TEXT * 3 + _MARGIN
    width = columns * (side + _MARGIN) + _MARGIN
    canvas = Image.new("L", (width, -(-len(images) // columns) * step + _MARGIN), 255)
    draw = ImageDraw.Draw(canvas)
    for place, (study, number, image) in enumerate(images):
        left = _MARGIN + place % columns * (side + _MARGIN)
        top = _MARGIN + place // columns * step
        canvas.paste(Image.fromarray(image).resize((side, side)), (left, top))
        name = wrap(study.id, font, side)[0]
        draw.text((left, top + side + 2), name, fill=0, font=font)
        text = f"{study.images[number].view}, {study.split}"
        draw.text((left, top + side + 4 + _SMALL_TEXT), text, fill=0, font=font)
    return canvas


def wrap(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: float) -> list[str]:
    """Break text into lines that fit a width in pixels; longer words are broken too."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width:
            lines[-1] = longer
            continue
        if lines[-1]:
            lines.append("")
        for character in word:
            if lines[-1] and font.getlength(lines[-1] + character) > width:
                lines.append("")
            lines[-1] += character
    return lines
