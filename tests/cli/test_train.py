"""`kia train` as a user meets it."""

import json
from pathlib import Path

import pytest


def words(yaml_file, data, run, *more) -> list[str]:
    return ["train", yaml_file, "--data", str(data), "--out", str(run), *more]


@pytest.fixture(scope="module")
def finished(yaml_file, data, tmp_path_factory) -> Path:
    from kia.cli.main import main

    run = tmp_path_factory.mktemp("train") / "run"
    assert main(words(yaml_file, data, run, "--resume")) == 0
    return run


def test_resume_starts_a_run_that_is_absent(finished):
    assert {path.name for path in finished.iterdir()} == {
        *("run.yaml", "run.lock", "log.jsonl", "checkpoints", "model", "processor")
    }
    kinds = [json.loads(line)["kind"] for line in (finished / "log.jsonl").open()]
    # 24 studies: the queue of 32 is cut to half an epoch
    assert [kind for kind in kinds if kind != "warning"] == ["queue", *["train", "validation"] * 2]


def test_resume_of_a_finished_run_ends_well_and_changes_nothing(
    finished, yaml_file, data, kia_command
):
    before = {p: p.stat().st_mtime_ns for p in finished.rglob("*") if p.name != "run.lock"}
    code, out, err = kia_command(*words(yaml_file, data, finished, "--resume"))
    assert code == 0
    assert "is finished" in err and f"best model: {finished / 'model'}" in out
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_no_library_writes_on_the_screen(yaml_file, data, tmp_path, kia_command):
    code, out, err = kia_command(
        *words(yaml_file, data, tmp_path / "run", "--set", "train.joint.epochs=0")
    )
    assert code == 0
    assert out.splitlines() == [f"best model: {tmp_path / 'run' / 'model'}"]
    assert "Writing" not in err and "shards" not in err and "Warning" not in err
    assert "epoch 1: CIDEr" in err


def test_a_run_is_not_started_twice(finished, yaml_file, data, one_line):
    assert "--resume" in one_line(1, *words(yaml_file, data, finished))


def test_another_configuration_is_refused_by_its_key(finished, yaml_file, data, one_line):
    line = one_line(1, *words(yaml_file, data, finished, "--resume", "--set", "train.seed=4"))
    assert "train.seed: 0 (now 4)" in line


def test_other_data_are_refused(finished, yaml_file, tmp_path, make_phantoms, one_line):
    other = make_phantoms(tmp_path / "other", 30)
    assert "other data" in one_line(1, *words(yaml_file, other, finished, "--resume"))


@pytest.mark.parametrize(
    ("code", "changes", "said"),
    [
        (2, {"config": "smal"}, "did you mean 'small'?"),
        (2, {"config": "absent.yaml"}, "absent.yaml"),
        (2, {"set": "train.batchsize=3"}, "train.batch_size"),
        (2, {"set": "train.batch_size=999"}, "larger than the"),
        (2, {"set": "train.batch_size=0"}, "train.batch_size"),
        (1, {"data": "nowhere"}, "nowhere"),
        (1, {"set": "model.image_size=96"}, "--size 96"),
        (1, {"set": "model.text_encoder.pretrained=/nowhere"}, "/nowhere"),
    ],
)
@pytest.mark.parametrize("resume", [[], ["--resume"]])
def test_what_cannot_be_trained_is_one_line_and_writes_nothing(
    code, changes, said, resume, yaml_file, data, tmp_path, one_line
):
    more = ["--set", changes["set"]] if "set" in changes else []
    source, place = changes.get("config", yaml_file), changes.get("data", data)
    assert said in one_line(code, *words(source, place, tmp_path / "run", *more, *resume))
    assert list(tmp_path.iterdir()) == []


def test_a_full_folder_is_refused_and_left(yaml_file, data, tmp_path, one_line):
    (tmp_path / "letter.txt").write_text("dear")
    assert "not empty" in one_line(1, *words(yaml_file, data, tmp_path, "--resume"))
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_run_folder_that_cannot_be_written(yaml_file, data, tmp_path, one_line):
    (tmp_path / "file").write_text("")
    assert "cannot write" in one_line(1, *words(yaml_file, data, tmp_path / "file" / "run"))


def test_seeds_are_runs_of_their_own_with_mean_and_sd_and_the_test_split_untouched(
    yaml_file, data, tmp_path, kia_command, one_line, monkeypatch
):
    from kia.data.store.dataset import PreparedDataset

    for name in ("indices", "ids", "reports"):
        real = getattr(PreparedDataset, name)

        def guarded(self, *split, real=real, **more):
            assert split != ("test",)
            return real(self, *split, **more)

        monkeypatch.setattr(PreparedDataset, name, guarded)
    out = tmp_path / "runs"
    command = words(yaml_file, data, out, "--seeds", "2", "--set", "train.seed=3")
    code, shown, _ = kia_command(*command)
    assert code == 0
    assert sorted(path.name for path in out.iterdir()) == ["seed-3", "seed-4"]
    kept = []
    for run in sorted(out.iterdir()):
        lines = [json.loads(line) for line in (run / "log.jsonl").open()]
        kept.append([line for line in lines if line.get("best")][-1])
    rows = {line.split()[0]: line.split() for line in shown.splitlines() if line.split()}
    for column, name in enumerate(("cider", "image_gain", "loss"), 1):
        first, second = (found[name] for found in kept)
        assert rows["mean"][column] == f"{(first + second) / 2:.4f}"
        # of two values the deviation with n − 1 is their difference over √2
        assert rows["±"][column + 1] == f"{abs(first - second) / 2**0.5:.4f}"
    assert "continue it with --resume" in one_line(1, *command)
    # one run is in the way: said before any of the others is trained
    more = ("--set", "train.seed=2", "--seeds", "2")
    assert "seed-3 holds a run" in one_line(1, *words(yaml_file, data, out, *more))
    assert not (out / "seed-2").exists()
    code, again, err = kia_command(*command, "--resume")
    assert code == 0 and again == shown and err.count("is finished") == 2


def test_seeds_do_not_go_into_a_run(finished, yaml_file, data, one_line):
    assert "another --out" in one_line(2, *words(yaml_file, data, finished, "--seeds", "2"))


def test_without_a_configuration_a_model_goes_on_as_it_is(finished, data, tmp_path, kia_command):
    run = tmp_path / "on"
    epochs = ("--set", "train.joint.epochs=0", "--set", "train.generation.epochs=1")
    words = ("train", "--from", str(finished), "--data", str(data), "--out", str(run), *epochs)
    code, out, err = kia_command(*words)
    assert code == 0, err
    assert out.splitlines() == [f"best model: {run / 'model'}"]
    assert f"started from {finished}: it knows" in err
    kept = "model/tokenizer.json"
    assert (run / kept).read_bytes() == (finished / kept).read_bytes()


def test_neither_a_configuration_nor_a_model_is_wrong_usage(data, tmp_path, one_line):
    line = one_line(2, "train", "--data", str(data), "--out", str(tmp_path / "run"))
    assert "name a preset" in line and "--from" in line
