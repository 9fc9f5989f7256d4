"""Doubtful pictures, as a user of `kia generate` and `kia findings` meets them."""

import json

import pytest
from PIL import Image


@pytest.mark.parametrize("command", ["generate", "findings"])
def test_a_colour_photograph_is_warned_of_in_text_and_json(
    command, make_model, pictures, tmp_path, kia_command
):
    model = make_model(tmp_path / "model", positions=160)
    photograph, answer = tmp_path / "photograph.png", tmp_path / "answer.json"
    ramp, none = Image.linear_gradient("L"), Image.new("L", (256, 256))
    Image.merge("RGB", [ramp, ramp, none]).save(photograph)
    code, _, err = kia_command(
        command, str(model), pictures[0][0], str(photograph), "--json", str(answer)
    )
    assert code == 0
    warned = [
        line
        for line in err.splitlines()
        if line.startswith("warning:") and "of an earlier kia" not in line  # said once a process
    ]
    assert warned == [f"warning: {photograph}: No X-ray? The picture is coloured."]
    first, second = json.loads(answer.read_text())
    assert first["flags"] == [] and first["views"] == ["frontal"]
    message = "No X-ray? The picture is coloured."
    assert second["flags"] == [{"view": 0, "kind": "colour", "message": message}]
