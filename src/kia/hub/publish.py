"""Uploads a model: its own files and a card, nothing else that lies in or beside its folder."""

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from kia.errors import ModelError
from kia.files.plain import read_json
from kia.generation import MODEL_FILES, load_model, model_folder
from kia.hub.card import model_card

CARD = "README.md"


def write_card(
    source: str | Path,
    *,
    results: Path | None = None,
    licence: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Writes README.md into the model folder.

    Args:
        source: Run folder or model folder.
        results: As `model_card`.
        licence: As `model_card`.
        overwrite: Whether to replace a card that is there.

    Raises:
        ModelError: There is no model, or it has a card already.
        DataError: As `model_card`.
    """
    file = model_folder(source) / CARD
    if file.exists() and not overwrite:
        raise ModelError(f"{file} is there already, perhaps edited; replace it with --overwrite")
    file.write_text(model_card(source, results=results, licence=licence), encoding="utf-8")
    return file


def push(
    source: str | Path,
    repository: str,
    *,
    public: bool = False,
    token: str | None = None,
    message: str = "Upload a kia model",
) -> str:
    """Uploads configuration, weights, tokenizer, processor and card in one commit.

    Args:
        source: Run folder or model folder. Without a README.md, a card is written for the upload.
        repository: OWNER/NAME; made if need be.
        public: Whether a new repository can be seen by everyone.
        token: Of the hub; by default the one that `hf auth login` or HF_TOKEN gave.
        message: Of the commit.

    Returns:
        Address of the commit.

    Raises:
        ModelError: The model cannot be loaded, or the hub refuses.
        DataError: As `model_card`.
    """
    load_model(source)  # what does not load is not shared
    folder, api = model_folder(source), HfApi(token=token)
    with tempfile.TemporaryDirectory() as name:
        staged = Path(name)
        _stage(folder, staged)
        if not (staged / CARD).is_file():
            (staged / CARD).write_text(model_card(source), encoding="utf-8")
        try:
            repo = api.create_repo(repository, private=not public, exist_ok=True)
            files = [CommitOperationAdd(file.name, file) for file in sorted(staged.iterdir())]
            commit = api.create_commit(repo.repo_id, files, commit_message=message)
        except (HfHubHTTPError, HFValidationError, OSError) as error:
            reason = " ".join(str(error).split())[:300]
            raise ModelError(f"cannot upload to {repository}: {reason}") from error
    return str(commit.commit_url)


def _stage(folder: Path, staged: Path) -> None:
    """Copies the model's own files; their settings lose the folders of this machine."""
    for name in (*MODEL_FILES, CARD):
        file = folder / name
        if not file.is_file():
            continue
        shutil.copyfile(file, staged / name)
        if name.endswith("config.json"):
            try:
                settings = read_json(file)
            except (OSError, ValueError) as error:
                raise ModelError(f"{file} cannot be read: {error}") from error
            if (cleaned := _without_folders(settings)) != settings:
                text = json.dumps(cleaned, indent=2, ensure_ascii=False)
                (staged / name).write_text(text + "\n", encoding="utf-8")


def _without_folders(value: Any) -> Any:
    """The same settings, of each path only its last part."""
    if isinstance(value, dict):
        return {key: _without_folders(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_folders(one) for one in value]
    if isinstance(value, str) and os.sep in value and (Path(value).is_absolute() or _here(value)):
        return Path(value).name
    return value


def _here(value: str) -> bool:
    try:
        return Path(value).exists()
    except OSError:  # a long text is no path
        return False
