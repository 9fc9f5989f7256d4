"""`make docs`: the API reference in build/api, from the docstrings. A warning is an error."""

import pkgutil
import sys
import warnings
from importlib import import_module
from pathlib import Path
from typing import Literal

import pdoc
import pdoc.render

import kia
import kia.hugging_face.configuration


def show_everything() -> None:
    """Tells pdoc of submodules and of names that are loaded at first use.

    It shows what a package holds and what its `__all__` names, so both get the rest.
    """
    names = [m.name for m in pkgutil.walk_packages(kia.__path__, "kia.") if m.ispkg]
    for package in (kia, *map(import_module, names)):
        if hasattr(package, "__all__"):
            for name in package.__all__:
                setattr(package, name, getattr(package, name))
            inside = [m.name for m in pkgutil.iter_modules(package.__path__)]
            package.__all__ = [*package.__all__, *inside]  # type: ignore[attr-defined]
    for name in ("cli", "__main__"):  # kia --help tells of it
        kia.__all__.remove(name)
    # KIAConfig inherits an annotation that transformers writes as a string, with a name of its own.
    kia.hugging_face.configuration.Literal = Literal  # type: ignore[attr-defined]


def main(folder: Path) -> None:
    """Writes the pages."""
    warnings.simplefilter("error")
    show_everything()
    pdoc.render.configure(docformat="google", show_source=False, footer_text=kia.__version__)
    pdoc.pdoc("kia", output_directory=folder)
    print(folder / "index.html")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/api"))
