"""`kia info`: the parameters of a preset or model, by component, with the arithmetic."""

from pathlib import Path
from typing import Annotated, cast

import typer

from kia.cli import console


def info(
    what: Annotated[str, typer.Argument(help="preset, YAML file, run folder or model folder")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="change a value of a preset")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the table")] = None,
) -> None:
    """Show the parameter count by component, with towers shared and not."""
    from kia.config import load_config
    from kia.models.configuration import KIAConfig
    from kia.models.sizes import model_sizes, preset_configuration

    configuration: KIAConfig
    folder = Path(what)
    if (folder / "run.yaml").is_file() or (folder / "config.json").is_file():
        from kia.generation import load_model

        console.quiet_libraries()
        configuration = cast(KIAConfig, load_model(what)[0].config)
    else:
        configuration = preset_configuration(load_config(what, overrides or []))
    shared, separate = (model_sizes(configuration, shared=value) for value in (True, False))
    names = [*dict.fromkeys([*shared, *separate])]
    console.table(
        ["component", "shared", "separate towers"],
        [[name, shared.get(name), separate.get(name)] for name in names],
        title=f"parameters of {what}",
    )
    image, text = configuration.image_tower or {}, configuration.text_tower or {}
    console.out.print(
        f"image tower: {image['depth']} layers, width {image['width']}, "
        f"{configuration.grid}×{configuration.grid} patches; text tower: {text['depth']} layers, "
        f"width {text['width']}, {configuration.vocab_size} word pieces. A layer of width D, "
        "context C and hidden F has 4D²+4D (self) + 2D²+2CD+4D (cross) + 2DF+D+F (feed-forward) "
        "+ 6D (norms) parameters.",
        soft_wrap=True,
    )
    if json_file:
        console.write_json(json_file, {"shared": shared, "separate": separate})
