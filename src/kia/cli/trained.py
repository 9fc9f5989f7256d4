"""The trained model that a command is given."""

from typing import TYPE_CHECKING, Annotated

import typer

from kia.cli import console

if TYPE_CHECKING:
    from kia.models.kia import KIAModel
    from kia.processing import KIAProcessor

Model = Annotated[str, typer.Argument(help="run folder or model folder")]


def open_model(source: str) -> "tuple[KIAModel, KIAProcessor]":
    """Loads the model of a run folder or model folder onto this process's device.

    Raises:
        ModelError: It cannot be used.
    """
    from kia.generation import load_model
    from kia.training.distributed import join

    console.quiet_libraries()
    model, processor = load_model(source)
    model.to(join())
    return model, processor
