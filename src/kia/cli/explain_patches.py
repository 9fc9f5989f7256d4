"""`kia explain patches`: the key patches of all landmarks (Paper: Fig. 8)."""

from pathlib import Path
from typing import Annotated

import typer


def patches(
    file: Annotated[Path, typer.Option("--out", help="the picture, a PNG")],
    image: Annotated[
        Path | None, typer.Option("--image", help="a frontal chest X-ray; a phantom if absent")
    ] = None,
    atlas: Annotated[
        Path | None, typer.Option("--atlas", help="made by kia knowledge atlas; kia's if absent")
    ] = None,
    grid: Annotated[
        int, typer.Option("--grid", min=2, max=64, help="patches a side: image size / patch size")
    ] = 14,
    seed: Annotated[int, typer.Option("--seed", min=0, help="of the phantom")] = 0,
) -> None:
    """Draw the key patches of all 34 landmarks on a chest X-ray (Figure 8)."""
    from kia.cli.console import check_picture, out
    from kia.data.images import read_image, resize_square
    from kia.data.phantom import phantom_study
    from kia.explain.patches import draw_key_patches
    from kia.knowledge.atlas import Atlas, shipped_atlas

    check_picture(file)
    chosen = Atlas.read(atlas) if atlas else shipped_atlas()
    if image:
        pixels = resize_square(read_image(image), 448)
    else:
        pixels = phantom_study(seed, 0, size=448).pixels[0]
    file.parent.mkdir(parents=True, exist_ok=True)
    draw_key_patches(pixels, chosen, file, grid=grid)
    out.print(f"wrote {file}")
