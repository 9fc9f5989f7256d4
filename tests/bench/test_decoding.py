"""`kia bench generate`: the three decoders write as they should, and the command says how fast."""

import json

import pytest
import torch
from tests.bench.test_step import TOY

from kia.bench.decoding import bench_generate
from kia.config import load_config
from kia.errors import ConfigError


def test_all_three_write_all_tokens():
    """Equal tokens with and without caches are checked by the function itself."""
    found = bench_generate(load_config("tiny", TOY), studies=3, beams=2, tokens=9, rounds=1)
    assert {"cached", "uncached", "blip", "uncached_ratio", "blip_ratio"} <= set(found)
    assert found["tokens_per_second"] == pytest.approx(27 / found["cached"])


def test_a_cache_that_changes_a_report_is_found(monkeypatch):
    from kia.bench import decoding

    real = decoding.Uncached.generate

    def wrong(self, *words, **named):
        tokens = real(self, *words, **named)
        tokens[0, -1] += 1
        return tokens

    monkeypatch.setattr(decoding.Uncached, "generate", wrong)
    with pytest.raises(ConfigError, match="changed a report"):
        bench_generate(load_config("tiny", TOY), studies=2, beams=2, tokens=4, rounds=1, blip=False)


def test_the_command(kia_command, tmp_path):
    settings = [word for value in TOY for word in ("--set", value)]
    file = tmp_path / "bench.json"
    words = ["--batch", "2", "--tokens", "5", "--rounds", "1", "--json", str(file)]
    code, out, err = kia_command("bench", "generate", "tiny", *words, *settings)
    assert code == 0 and "BLIP" in out, err
    assert json.loads(file.read_text())["tokens"] == 5
    assert torch.get_num_threads() >= 1
    code, _, err = kia_command("bench", "generate", "tiny", "--tokens", "500")
    assert code == 2 and "holds" in err and "Traceback" not in err
