"""What goes up: the model's own files and a card, to a stand-in for the hub; no network."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError

from kia import KIAForReportGeneration, KIAProcessor
from kia.errors import ModelError
from kia.generation import MODEL_FILES, load_model
from kia.hub.publish import push, write_card
from kia.imaging.plausibility import Reference
from kia.processing import Seen

SHARED = {*MODEL_FILES, "README.md"} - {*("special_tokens_map.json", Reference.FILE, Seen.FILE)}


@dataclass
class Hub:
    """What the stand-in was told.

    Attributes:
        repositories: Name → whether it was made private.
        files: Path in the repository → content.
    """

    repositories: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """Everything but weights."""
        return "".join(
            content.decode() for name, content in self.files.items() if "safetensors" not in name
        )


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    told = Hub()

    def create_repo(_: Any, repo_id: str, *, private: bool | None = None, **__: Any) -> Any:
        told.repositories[repo_id] = private
        return huggingface_hub.RepoUrl(f"https://huggingface.co/{repo_id}")

    def create_commit(_: Any, repo_id: str, operations: Any, **__: Any) -> Any:
        for operation in operations:
            with operation.as_file() as file:
                told.files[operation.path_in_repo] = file.read()
        url = f"https://huggingface.co/{repo_id}/commit/1"
        return huggingface_hub.CommitInfo(url, "message", "", "1")

    def no_card(*_: Any, **__: Any) -> None:
        raise EntryNotFoundError("none")

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", create_repo)
    monkeypatch.setattr(huggingface_hub.HfApi, "create_commit", create_commit)
    monkeypatch.setattr(huggingface_hub.ModelCard, "load", no_card)
    return told


def test_a_run_goes_up_without_anything_of_the_run(run: Path, hub: Hub) -> None:
    assert push(run, "me/kia-test") == "https://huggingface.co/me/kia-test/commit/1"
    assert hub.repositories == {"me/kia-test": True}
    assert set(hub.files) == SHARED
    for name in SHARED - {"README.md"}:
        assert hub.files[name] == (run / "model" / name).read_bytes(), name
    assert "Not for clinical use" in hub.files["README.md"].decode()
    assert "secret-hospital" not in hub.text and "patient 17" not in hub.text
    assert not (run / "model" / "README.md").exists()


def test_what_went_up_loads_again(run: Path, hub: Hub, tmp_path: Path) -> None:
    push(run / "model", "me/kia-test", public=True)
    assert hub.repositories == {"me/kia-test": False}
    for name, content in hub.files.items():
        (tmp_path / name).write_bytes(content)
    (before, _), (after, _) = load_model(run), load_model(tmp_path)
    for name, weight in before.state_dict().items():
        assert torch.equal(after.state_dict()[name], weight), name


def test_folders_of_this_machine_stay_here(run: Path, hub: Hub) -> None:
    file = run / "model" / "config.json"
    settings = json.loads(file.read_text(encoding="utf-8"))
    settings["image_tower"]["pretrained"] = str(run / "vit")
    file.write_text(json.dumps(settings), encoding="utf-8")
    push(run, "me/kia-test")
    sent = json.loads(hub.files["config.json"])
    assert sent["image_tower"].pop("pretrained") == "vit"
    assert settings["image_tower"].pop("pretrained") != "vit"
    assert sent == settings
    assert "secret-hospital" not in hub.text


def test_an_edited_card_goes_up_as_it_is(run: Path, hub: Hub) -> None:
    file = write_card(run, licence="cc-by-nc-4.0")
    file.write_text("My own words.\n", encoding="utf-8")
    push(run, "me/kia-test")
    assert hub.files["README.md"] == b"My own words.\n"
    with pytest.raises(ModelError, match="--overwrite"):
        write_card(run)
    assert "My own words" not in write_card(run, overwrite=True).read_text(encoding="utf-8")


def test_a_link_out_of_the_folder_is_no_way_out(run: Path, hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "id_rsa").write_text("secret", encoding="utf-8")
    (run / "model" / "more.json").symlink_to(tmp_path / "id_rsa")
    push(run, "me/kia-test")
    assert set(hub.files) == SHARED


def test_what_does_not_load_is_not_shared(run: Path, hub: Hub) -> None:
    weights = run / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    with pytest.raises(ModelError, match="cannot load"):
        push(run, "me/kia-test")
    assert not hub.repositories


def test_a_refusal_is_one_line(run: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match="cannot upload to a/b/c: "):
        monkeypatch.undo()  # the real client checks the name before it asks anyone
        push(run, "a/b/c")

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("401\nnot logged in")

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", refuse)
    with pytest.raises(ModelError, match="cannot upload to me/x: 401 not logged in"):
        push(run, "me/x")
    assert issubclass(HfHubHTTPError, OSError)  # so that one clause catches both


def test_transformers_own_push_sends_the_same_files(run: Path, hub: Hub) -> None:
    KIAForReportGeneration.from_pretrained(run / "model").push_to_hub("me/kia-test")
    assert set(hub.files) == {
        *("config.json", "generation_config.json", "model.safetensors", "README.md")
    }
    KIAProcessor.from_pretrained(run / "model").push_to_hub("me/kia-test")
    assert set(hub.files) == SHARED
    assert "secret-hospital" not in hub.text


def test_an_id_of_the_hub_is_a_model_too(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kia_command: Callable[..., Any]
) -> None:
    asked = {}

    def download(repo_id: str, allow_patterns: list[str], **options: Any) -> str:
        asked[repo_id] = (set(allow_patterns), options)
        return str(run / "model")

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert load_model("me/kia-test")[1].image_size == 32
    assert asked.pop("me/kia-test") == (set(MODEL_FILES), {})
    KIAProcessor.from_pretrained("me/kia-test", revision="v1", _from_auto=True)
    files, options = asked.pop("me/kia-test")
    assert options == {"revision": "v1"} and "model.safetensors" not in files
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    code, _, err = kia_command("generate", "runs/none", "x.png")
    assert code == 1
    assert err.startswith("error: runs/none is no folder here, and not on the hub: ")
