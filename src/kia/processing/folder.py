"""Where a model's files lie: a folder, an installed package, or the hub."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kia.errors import ModelError
from kia.installed import installed_folder

_ON_THE_HUB = re.compile(r"[\w.-]*\w/[\w.-]+")


def local_folder(source: str | Path, files: Sequence[str], **options: Any) -> Path:
    """A folder here, that of an installed model, or the files of a repository of the hub.

    Args:
        source: A folder, whether it is there or not; if no folder is called so, the name of an
            installed model, or OWNER/NAME, which is downloaded.
        files: Names of those that are downloaded.
        options: transformers' for the hub; others are left alone.

    Raises:
        ModelError: There is neither such a folder nor such a repository.
    """
    found = Path(installed_folder(source))
    if found.exists() or isinstance(source, Path) or not _ON_THE_HUB.fullmatch(source):
        return found
    from huggingface_hub import snapshot_download

    known = ("revision", "token", "cache_dir", "local_files_only", "force_download")
    named = {name: options[name] for name in known if options.get(name) is not None}
    try:
        return Path(snapshot_download(source, allow_patterns=list(files), **named))
    except Exception as error:  # the hub's client raises many kinds
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{source} is no folder here, and not on the hub: {reason}") from error
