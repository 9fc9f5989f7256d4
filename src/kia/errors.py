"""Every error that kia raises on purpose.

KIAError                 one line: what, where, what to do; exit code 1
├── UsageError           the command or the configuration is wrong; exit code 2
│   └── ConfigError      a configuration key or value is wrong
├── DataError            an input file, study or data set cannot be used
│   └── ImageError       an image cannot be decoded or is refused
├── ModelError           a model folder or checkpoint cannot be used
├── RunError             a run folder is locked, damaged or belongs to another configuration
└── MissingDependency    an optional package is needed; says which extra to install
"""

from importlib import import_module


class KIAError(Exception):
    """Base of all expected failures; its text is shown to the user as one line."""

    exit_code = 1


class UsageError(KIAError):
    """The command line or the configuration is wrong."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration key or value is wrong; names its dotted path."""


class DataError(KIAError):
    """An input file, a study or a prepared data set cannot be used."""


class ImageError(DataError):
    """An image is missing, cannot be decoded, or is refused."""


class ModelError(KIAError):
    """A model folder or checkpoint cannot be used."""


class RunError(KIAError):
    """A run folder is in use, damaged, or belongs to another configuration."""


class MissingDependency(KIAError):
    """An optional package is needed; the text says which extra brings it."""


def require(module: str, extra: str, what: str) -> None:
    """Refuses at once what needs a package that is not installed.

    Args:
        module: Of the package, by its full name; it is imported.
        extra: Of kia, that brings the package.
        what: Needs it; opens the line.

    Raises:
        MissingDependency: It cannot be imported.
    """
    package = module.partition(".")[0]
    try:
        import_module(package)
        import_module(module)
    except ImportError:
        raise MissingDependency(f"{what} needs {package}: pip install 'kia[{extra}]'") from None
