"""Makes transformers' Auto classes know kia's, without importing transformers (ADR 0017)."""

import sys
from collections.abc import Sequence
from functools import wraps
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from kia.installed import installed_folder

CONFIGURATIONS = "transformers.models.auto.configuration_auto"
MODELS = "transformers.models.auto.modeling_auto"
PROCESSORS = "transformers.models.auto.processing_auto"
_REGISTRIES = (CONFIGURATIONS, MODELS, PROCESSORS)
_AUTO = {CONFIGURATIONS: "AutoConfig", MODELS: "AutoModel", PROCESSORS: "AutoProcessor"}


def _register(loaded: str) -> None:
    """Tells the registry in a module of transformers, which was just loaded, of kia's class."""
    itself = {CONFIGURATIONS: "configuration", MODELS: "model"}
    if loaded in itself:  # it registers itself
        import_module(f"kia.hugging_face.{itself[loaded]}")
    else:
        processor = import_module("kia.processing").KIAProcessor
        configuration = import_module("kia.hugging_face.configuration").KIAConfig
        register = import_module(PROCESSORS).AutoProcessor.register
        register(configuration, processor, exist_ok=True)
    _take_installed_names(getattr(import_module(loaded), _AUTO[loaded]))


def _take_installed_names(auto: Any) -> None:
    """Lets an Auto class load an installed model by its name; whatever else it is told stays."""
    theirs = auto.from_pretrained.__func__
    if getattr(theirs, "_takes_installed_names", False):
        return

    @wraps(theirs)
    def from_pretrained(cls: Any, source: Any, *arguments: Any, **options: Any) -> Any:
        found = installed_folder(source) if isinstance(source, str) else source
        return theirs(cls, found, *arguments, **options)

    from_pretrained._takes_installed_names = True  # type: ignore[attr-defined]
    auto.from_pretrained = classmethod(from_pretrained)


class _Finder:
    """Finds these modules as Python itself does, and registers kia's class after each."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _REGISTRIES:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_register(module: ModuleType) -> None:
                execute(module)
                _register(fullname)

            spec.loader.exec_module = execute_and_register  # type: ignore[method-assign]
        return spec


def register_when_loaded() -> None:
    """Registers kia's classes once transformers' registries are loaded: now, if they are."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    for name in _REGISTRIES:
        if name in sys.modules:
            _register(name)
