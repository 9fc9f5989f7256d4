"""`kia knowledge atlas`: key patches from annotated chest X-rays."""

from pathlib import Path
from typing import Annotated

import typer


def atlas(
    file: Annotated[Path, typer.Option("--out", help="the atlas, a .npz file")],
    boxes: Annotated[
        Path | None,
        typer.Option(
            "--boxes",
            help="CSV of landmark,x1,y1,x2,y2 (fractions of the picture), or Chest ImaGenome scene "
            "graphs (a .json or a folder of them)",
        ),
    ] = None,
    contours: Annotated[
        Path | None,
        typer.Option("--contours", help="JSRT contours (JSON), from which kia's own atlas is made"),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="also write the key patches as JSON")
    ] = None,
) -> None:
    """Build the atlas of the 34 landmarks from annotated frontal chest X-rays."""
    from kia.cli.console import out, progress, table, write_json
    from kia.errors import UsageError
    from kia.knowledge.atlas.boxes import read_boxes, read_contours
    from kia.knowledge.atlas.places import LANDMARKS, Atlas, shipped_atlas

    if file.suffix.lower() != ".npz":
        raise UsageError(f"{file}: an atlas is a .npz file; use a name that ends in .npz")
    if boxes is not None and contours is None:
        images, source, rest = read_boxes(boxes), f"boxes of {boxes.name}", shipped_atlas()
    elif contours is not None and boxes is None:
        images, source, rest = read_contours(contours), f"rules on {contours.name}", None
    else:
        raise UsageError("give either --boxes or --contours")
    with progress() as bar:
        task = bar.add_task("annotations", total=None)
        built = Atlas.from_masks(images, source, rest=rest, advance=lambda: bar.advance(task))
    built.save(file)
    rows = []
    for name, count in zip(LANDMARKS, built.images.tolist(), strict=True):
        coverage = built.coverage_on(name, 14).ravel()
        covered = float(coverage[built.key_patches(name)].mean())
        rows.append([name, count, float(coverage.sum()), covered])
    table(["landmark", "images", "size in patches", "mean coverage of its 20 key patches"], rows)
    if not built.images.all():
        missing = [name for name, count, *_ in rows if not count]
        out.print(f"no boxes, so as in kia's own atlas: {', '.join(missing)}")
    if json_file is not None:
        write_json(json_file, {name: built.key_patches(name).tolist() for name in LANDMARKS})
    out.print(f"wrote {file}")
