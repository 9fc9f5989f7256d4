"""RadGraph graphs: tokens, records of both shapes and label sets, and what is refused."""

import copy
import json
import re
import string
import sys
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kia.errors import DataError, MissingDependency
from kia.knowledge.radgraph import (
    LABELS,
    RELATIONS,
    Entity,
    ReportGraph,
    read_graphs,
    token_spans,
    tokenise,
    write_graphs,
)

# the form of RadGraph's files (Jain et al. 2021, PhysioNet), with a sentence of our own
RECORD = {
    "text": "Small pleural effusion .",
    "entities": {
        "1": {
            "tokens": "Small",
            "label": "OBS-DP",
            "start_ix": 0,
            "end_ix": 0,
            "relations": [["modify", "3"]],
        },
        "2": {
            "tokens": "pleural",
            "label": "ANAT-DP",
            "start_ix": 1,
            "end_ix": 1,
            "relations": [],
        },
        "3": {
            "tokens": "effusion",
            "label": "OBS-DP",
            "start_ix": 2,
            "end_ix": 2,
            "relations": [["located_at", "2"]],
        },
    },
}
GRAPH = ReportGraph(
    "Small pleural effusion .",
    {
        "1": Entity("Small", "OBS-DP", 0, 0, (("modify", "3"),)),
        "2": Entity("pleural", "ANAT-DP", 1, 1),
        "3": Entity("effusion", "OBS-DP", 2, 2, (("located_at", "2"),)),
    },
)


@given(st.text())
def test_tokens_are_the_runs_of_the_scheme_and_lie_where_their_spans_say(text):
    tokens = tokenise(text)
    assert tokens == re.findall(r"\w+|[^\w\s]+", text)
    assert [text[start:end] for start, end in token_spans(text)] == tokens
    assert " ".join(tokens).split() == tokens  # so the positions hold in the graph's text


def test_a_record_is_read_and_written_as_radgraph_has_it():
    assert ReportGraph.from_record(RECORD) == GRAPH
    assert GRAPH.to_record() == RECORD


@pytest.mark.parametrize(
    ("xl", "v1"),
    [
        ("Anatomy::definitely present", "ANAT-DP"),
        ("Anatomy::uncertain", "ANAT-DP"),
        ("Anatomy::definitely absent", "ANAT-DP"),
        ("Anatomy::measurement::definitely present", "ANAT-DP"),
        ("Observation::definitely present", "OBS-DP"),
        ("Observation::uncertain", "OBS-U"),
        ("Observation::definitely absent", "OBS-DA"),
        ("Observation::measurement::definitely present", "OBS-DP"),
        ("Observation::measurement::uncertain", "OBS-U"),
    ],
)
def test_labels_of_radgraph_xl_are_read(xl, v1):
    record = copy.deepcopy(RECORD)
    record["entities"]["2"]["label"] = xl
    assert ReportGraph.from_record(record).entities["2"].label == v1


def test_labels_of_radgraph_xl_are_written():
    labels = [e["label"] for e in GRAPH.to_record("xl")["entities"].values()]
    assert labels == [
        "Observation::definitely present",
        "Anatomy::definitely present",
        "Observation::definitely present",
    ]


def test_records_with_two_labelers_give_the_one_asked_for():
    other = {"1": {**RECORD["entities"]["1"], "label": "OBS-U", "relations": []}}
    record = {
        "text": RECORD["text"],
        "labeler_1": {"entities": RECORD["entities"]},
        "labeler_2": {"entities": other},
    }
    assert ReportGraph.from_record(record) == GRAPH
    assert ReportGraph.from_record(record, labeler="2").entities["1"].label == "OBS-U"


@st.composite
def graphs(draw):
    words = draw(st.lists(st.text(string.ascii_letters, min_size=1), min_size=1, max_size=8))
    count = draw(st.integers(0, 5))
    keys = [str(number + 1) for number in range(count)]
    relation = st.tuples(st.sampled_from(RELATIONS), st.sampled_from(keys or [""]))
    entities = {}
    for key in keys:
        start = draw(st.integers(0, len(words) - 1))
        end = draw(st.integers(start, len(words) - 1))
        entities[key] = Entity(
            " ".join(words[start : end + 1]),
            draw(st.sampled_from(LABELS)),
            start,
            end,
            tuple(draw(st.lists(relation, max_size=3))),
        )
    return ReportGraph(" ".join(words), entities)


@given(graphs(), st.sampled_from(["v1", "xl"]))
def test_a_graph_survives_its_record(graph, label_set):
    record = json.loads(json.dumps(graph.to_record(label_set)))
    assert ReportGraph.from_record(record) == graph


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"start_ix": -1}, "positions"),
        ({"end_ix": 4}, "positions"),
        ({"start_ix": 2, "end_ix": 1}, "positions"),
        ({"start_ix": "1"}, "positions"),
        ({"start_ix": True}, "positions"),
        ({"start_ix": 2, "end_ix": 2}, "tokens"),  # of another word
        ({"end_ix": 2}, "tokens"),  # an exclusive end
        ({"label": "OBS"}, "unknown label 'OBS'"),
        ({"label": None}, "unknown label"),
        ({"relations": [["located_at", "9"]]}, "'9', which is not there"),
        ({"relations": [["causes", "1"]]}, "unknown relation 'causes'"),
        ({"relations": [["modify"]]}, "[relation, entity]"),
        ({"relations": {"modify": "1"}}, "list"),
    ],
)
def test_a_wrong_entity_is_named(change, words):
    record = copy.deepcopy(RECORD)
    record["entities"]["2"] |= change
    with pytest.raises(DataError) as error:
        ReportGraph.from_record(record, "report 7")
    line = str(error.value)
    assert line.startswith("report 7, entity 2: ") and words in line and "\n" not in line
    assert "effusion" not in line  # reports are patient data


@pytest.mark.parametrize("record", [None, [], {}, {"text": "a"}, {"text": "a", "entities": []}])
def test_a_record_that_is_no_graph_is_refused(record):
    with pytest.raises(DataError, match=r"^report 7: "):
        ReportGraph.from_record(record, "report 7")


def test_an_entity_that_lacks_a_field_is_refused():
    record = copy.deepcopy(RECORD)
    del record["entities"]["2"]["relations"]
    with pytest.raises(DataError, match="entity 2: lacks relations"):
        ReportGraph.from_record(record)


def test_files_are_read_and_written(tmp_path):
    path = tmp_path / "new" / "graphs.json"
    write_graphs(path, {"a": GRAPH, "b": ReportGraph("")}, "xl")
    assert read_graphs(path) == {"a": GRAPH, "b": ReportGraph("")}
    write_graphs(path, {"a": GRAPH})
    assert json.loads(path.read_text()) == {"a": RECORD}
    assert [file.name for file in path.parent.iterdir()] == ["graphs.json"]


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"{", "not JSON"), (b"\xff", "not UTF-8"), (b"[]", "expected"), (b'{"a": 1}', "report a")],
)
def test_a_file_without_graphs_is_one_clear_line(tmp_path, content, words):
    path = tmp_path / "graphs.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(str(path))) as error:
        read_graphs(path)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_a_missing_file_is_one_clear_line(tmp_path):
    with pytest.raises(DataError, match="cannot read"):
        read_graphs(tmp_path / "none.json")


class TestPackage:
    """The adapter, against a stand-in with the interface of `radgraph` 0.1.18."""

    @pytest.fixture
    def package(self, monkeypatch):
        from huggingface_hub import constants

        seen = types.SimpleNamespace(offline=None, texts=[])

        class RadGraph:
            def __init__(self, model_type, model_cache_dir):
                print("Using device: cpu")
                seen.offline, seen.model = constants.HF_HUB_OFFLINE, model_type

            def __call__(self, texts):
                seen.texts += texts
                return {"0": {**RECORD, "data_source": None, "data_split": "inference"}}

        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        module = types.SimpleNamespace(RadGraph=RadGraph)
        monkeypatch.setitem(sys.modules, "radgraph", module)
        return types.SimpleNamespace(module=module, seen=seen, constants=constants)

    def test_it_gives_one_graph_a_report_and_stays_off_the_network(self, package, capsys):
        from kia.knowledge.radgraph_package import package_graphs

        assert package_graphs(["a", " "], model="radgraph") == [GRAPH, ReportGraph("")]
        assert package.seen.texts == ["a"] and package.seen.model == "radgraph"
        assert package.seen.offline is True and package.constants.HF_HUB_OFFLINE is False
        assert capsys.readouterr().out == ""

    def test_missing_weights_are_one_line_that_says_how_to_get_them(self, package):
        from kia.knowledge.radgraph_package import package_graphs

        def fails(**options):
            raise Exception("Cannot download the file\nhttps://…")

        package.module.RadGraph = fails
        with pytest.raises(MissingDependency, match="fetch them once") as error:
            package_graphs(["a"])
        assert "\n" not in str(error.value)

    def test_a_report_on_which_it_fails_is_named(self, package):
        from kia.knowledge.radgraph_package import package_graphs

        package.module.RadGraph.__call__ = lambda self, texts: {}
        with pytest.raises(DataError, match="report 2"):
            package_graphs(["", "b"])

    def test_without_the_package_one_line_says_how_to_get_it(self, monkeypatch):
        from kia.knowledge.radgraph_package import package_graphs

        monkeypatch.setitem(sys.modules, "radgraph", None)
        with pytest.raises(MissingDependency, match="pip install radgraph"):
            package_graphs(["a"])
