"""`kia explain patches`: key patches and masked versions of an image (Paper: Fig. 3, Fig. 8)."""

from pathlib import Path
from typing import Annotated

import typer


def patches(
    file: Annotated[Path, typer.Option("--out", help="the picture, a PNG")],
    image: Annotated[
        Path | None, typer.Option("--image", help="a frontal chest X-ray; a phantom if absent")
    ] = None,
    masked: Annotated[
        Path | None,
        typer.Option("--masked", help="also draw the image as general and anatomy masking hide it"),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", help="text of the image's report, whose landmarks are masked"),
    ] = None,
    atlas: Annotated[
        Path | None, typer.Option("--atlas", help="made by kia knowledge atlas; kia's if absent")
    ] = None,
    grid: Annotated[
        int, typer.Option("--grid", min=2, max=64, help="patches a side: image size / patch size")
    ] = 14,
    seed: Annotated[int, typer.Option("--seed", min=0, help="of the phantom and masks")] = 0,
) -> None:
    """Draw the key patches of all 34 landmarks on a chest X-ray (Figure 8), and its masks."""
    from kia.cli.console import check_picture, out
    from kia.errors import UsageError
    from kia.explain.patches import draw_key_patches, draw_masked_versions
    from kia.imaging.one_study import check_frontal
    from kia.imaging.reading import read_image
    from kia.imaging.resize import resize_square
    from kia.knowledge.atlas.landmarks import mentioned_landmarks
    from kia.knowledge.atlas.places import Atlas, shipped_atlas
    from kia.phantoms.studies import phantom_study
    from kia.tables.reports import read_one_report

    check_picture(file)
    if masked:
        check_picture(masked, "--masked")
        if image and not report:
            raise UsageError("--masked: give the --report that says which landmarks to mask")
    if report and not (masked and image):
        raise UsageError("--report goes with --image and --masked")
    text = read_one_report(report) if report else ""
    chosen = Atlas.read(atlas) if atlas else shipped_atlas()
    if image:
        check_frontal(image)
        pixels = resize_square(read_image(image), 448)
        landmarks = mentioned_landmarks(text)
    else:
        phantom = phantom_study(seed, 0, size=448)
        pixels, landmarks = phantom.pixels[0], mentioned_landmarks(phantom.study.report)
    file.parent.mkdir(parents=True, exist_ok=True)
    draw_key_patches(pixels, chosen, file, grid=grid)
    out.print(f"wrote {file}")
    if masked:
        masked.parent.mkdir(parents=True, exist_ok=True)
        draw_masked_versions(pixels, chosen, landmarks, masked, grid=grid, seed=seed)
        out.print(f"wrote {masked}: {', '.join(landmarks) or 'no landmark is mentioned'}")
