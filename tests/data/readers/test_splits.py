"""Splits: drawn by name, or read from what people keep them in."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kia.data.readers.splits import RandomSplit, read_split, split_named
from kia.errors import DataError

names = st.lists(st.text(max_size=5), max_size=60, unique=True)


@given(names, st.integers(0, 3))
def test_a_draw_puts_each_group_into_one_split_whatever_their_order(groups, seed):
    drawn = RandomSplit(seed).draw(groups)
    assert drawn.keys() == set(groups)
    assert RandomSplit(seed).draw([*reversed(groups), *groups]) == drawn


def test_a_draw_has_the_sizes_of_its_ratio():
    drawn = list(RandomSplit().draw(f"p{n}" for n in range(1000)).values())
    assert [drawn.count(split) for split in ("train", "val", "test")] == [700, 100, 200]
    halves = list(RandomSplit(ratio=(1, 0, 1)).draw(f"p{n}" for n in range(1000)).values())
    assert [halves.count(split) for split in ("train", "val", "test")] == [500, 0, 500]


def test_another_seed_draws_another_split():
    groups = [f"p{n}" for n in range(100)]
    assert RandomSplit(0).draw(groups) != RandomSplit(1).draw(groups)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("s.csv", "id,split\na,train\nb,validate\nc,TEST\n"),
        ("s.jsonl", '{"id": "a", "split": "train"}\n{"id": "b", "split": "dev"}\n'),
        ("s.json", json.dumps({"train": ["a"], "val": ["b"], "test": ["c"]})),
        ("s.json", json.dumps({"train": [{"id": "a", "report": ""}], "val": [{"id": "b"}]})),
    ],
)
def test_a_split_is_read_from_any_of_its_forms(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    found = read_split(tmp_path / name)
    assert found["a"] == "train"
    assert found["b"] == "val"
    assert found.get("c", "test") == "test"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("s.csv", "id,split\na,train\na,test\n", "a is in train and in test"),
        ("s.csv", "id,split\na,holdout\n", "split 'holdout' is none of train, val, test"),
        ("s.csv", "id,part\na,train\n", "no column split"),
        ("s.csv", "id,split\n", "no row below its header"),
        ("s.csv", "id,split\na,\n", "a has no split"),
        ("s.csv", "id,split\nNULL,test\n", "an entry of test has no id"),
        ("s.json", "{}", "names no study"),
        ("s.json", "[]", "expected the keys"),
        ("s.json", '{"train": [{}]}', "an entry of train has no id"),
        ("s.md", "a train", "not a table that kia reads"),
    ],
)
def test_a_malformed_split_is_one_line(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message) as caught:
        read_split(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_names_of_splits():
    assert [split_named(n, "x") for n in ("validate", " Valid", "training")] == [
        *("val", "val", "train")
    ]
