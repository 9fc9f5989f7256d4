"""kia: chest X-ray report generation by knowledge-guided implicit vision-language alignment.

The names below are loaded at their first use, so `import kia` loads neither torch nor transformers.
transformers' AutoConfig, AutoModel and AutoProcessor know kia's classes from then on.
"""

import sys

if sys.argv[:1] == ["-m"] and f"{sys.orig_argv[-len(sys.argv)]}.".startswith(("kia.", "-mkia.")):
    # `python -m kia` looks for modules in the current folder, which may be a stranger's
    from kia.processes.safe_path import leave_folder

    leave_folder()

from importlib import import_module
from typing import TYPE_CHECKING, Any

from kia.hugging_face.auto_classes import register_when_loaded

__version__ = "0.2.0"

__all__ = [
    "KIA",
    "KIAConfig",
    "KIAForReportGeneration",
    "KIAProcessor",
    "Report",
    "Study",
    "__version__",
    "evaluate",
    "label",
    "load",
    "read_studies",
]

if TYPE_CHECKING:
    from kia.evaluation.evaluate import evaluate as evaluate
    from kia.generation import load_model as load
    from kia.hugging_face.configuration import KIAConfig as KIAConfig
    from kia.hugging_face.model import KIAForReportGeneration as KIAForReportGeneration
    from kia.imaging.grouping import read_studies as read_studies
    from kia.knowledge.labels.label import label as label
    from kia.processing import KIAProcessor as KIAProcessor
    from kia.reporting.model import KIA as KIA
    from kia.reporting.report import Report as Report
    from kia.studies import Study as Study

_HOME = {
    "KIA": "kia.reporting.model",
    "Report": "kia.reporting.report",
    "KIAConfig": "kia.hugging_face.configuration",
    "KIAForReportGeneration": "kia.hugging_face.model",
    "KIAProcessor": "kia.processing",
    "Study": "kia.studies",
    "load": "kia.generation:load_model",
    "evaluate": "kia.evaluation.evaluate",
    "label": "kia.knowledge.labels.label",
    "read_studies": "kia.imaging.grouping",
}
"""Where each name is at home; behind the colon what it is called there."""


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'kia' has no attribute '{name}'")
    module, _, own_name = _HOME[name].partition(":")
    return getattr(import_module(module), own_name or name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])


register_when_loaded()
