"""`kia bench data` and `kia bench knowledge` say what they timed."""

import json


def test_data(kia_command, tmp_path):
    file = tmp_path / "data.json"
    code, out, err = kia_command("bench", "data", "tiny", "--studies", "4", "--json", str(file))
    assert code == 0, err
    found = json.loads(file.read_text())
    assert found["studies"] == 4 and found["file_pixels"] == [2048, 2048]
    assert found["ratio"] == found["loaded_per_second"] / found["decoded_per_second"]
    assert "times decoding" in out


def test_knowledge(kia_command, tmp_path):
    reports = tmp_path / "reports.txt"
    reports.write_text("No pneumothorax.\nThe heart is enlarged.\nNo pneumothorax.\n")
    file = tmp_path / "knowledge.json"
    code, out, err = kia_command("bench", "knowledge", str(reports), "--json", str(file))
    assert code == 0, err
    found = json.loads(file.read_text())
    assert (found["reports"], found["different"]) == (3, 2)
    assert found["labels_per_second"] > 0 < found["graphs_per_second"]
    assert "graphs" in out
