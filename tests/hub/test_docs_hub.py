"""docs/hub.md, run block by block in the order of the page; the upload goes to a stand-in."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "hub.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_page_works_from_top_to_bottom(
    run: Path,
    pictures: list[str],
    tmp_path: Path,
    kia_command: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    from kia.data.readers.phantoms import write_phantoms
    from kia.data.store.dataset import DatasetWriter, PreparedDataset

    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    run.rename("runs/iu")
    with DatasetWriter("data/iu", image_size=32, source="phantom (seed 0)") as writer:
        write_phantoms(writer, 20, seed=0)
    data = PreparedDataset.open("data/iu")
    rows = (
        json.dumps({"id": id_, "report": "The heart is normal in size."})
        for id_ in data.ids("test")
    )
    Path("runs/iu/predictions-test.jsonl").write_text("\n".join(rows), encoding="utf-8")
    sent: list[str] = []
    monkeypatch.setattr(
        huggingface_hub.HfApi,
        "create_repo",
        lambda _, name, **__: huggingface_hub.RepoUrl(f"https://huggingface.co/{name}"),
    )

    def create_commit(_: Any, repository: str, files: Any, **__: Any) -> Any:
        sent.extend(file.path_in_repo for file in files)
        url = f"https://huggingface.co/{repository}/commit/1"
        return huggingface_hub.CommitInfo(url, "message", "", "1")

    monkeypatch.setattr(huggingface_hub.HfApi, "create_commit", create_commit)
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert [language for language, _ in blocks] == ["python", "python", "bash", "bash"]
    for language, text in blocks:
        if language == "python":
            exec(text, {})
            continue
        for line in text.splitlines():
            code, _, err = kia_command(*line.split()[1:])
            assert code == 0, (line, err)
    card = Path("runs/iu/model/README.md").read_text(encoding="utf-8")
    assert "license: other" in card and "| CIDEr (`r2gen`) |" in card
    assert "studies of phantom, split test" in card
    assert "README.md" in sent and "model.safetensors" in sent and "notes.txt" not in sent
    # and the card's own lines load the model
    codes = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert codes
    monkeypatch.chdir("runs/iu/model")
    for picture in pictures:
        Path(picture).rename(Path(picture).name)
    capfd.readouterr()
    for code in codes:
        exec(code, {})
        assert capfd.readouterr().out.strip()
