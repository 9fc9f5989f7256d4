"""The built-in extractor of RadGraph graphs: words, phrases and a few rules of grammar.

Paper: Sec. 3.2 (the graphs of Graph-MLM). The scheme is RadGraph's (Jain et al. 2021). Sentences
are read one by one, left to right: phrases become entities, cues between them ("no", "may",
"in", "consistent with") decide certainty and relations.
"""

from collections.abc import Sequence

from kia.knowledge.graphs.chunks import items
from kia.knowledge.graphs.lexicon import sentences, units
from kia.knowledge.graphs.sentence import SentenceGraph
from kia.knowledge.language import ENGLISH, is_read
from kia.knowledge.radgraph import Entity, ReportGraph, tokenise


def extract_graphs(texts: Sequence[str], language: str = ENGLISH) -> list[ReportGraph]:
    """The graphs of reports, one each; needs no model and no network.

    Args:
        texts: Raw reports, of any origin and length.
        language: A report that is recognised as none of English and this one has a graph without
            entities; "any" reads all of them, by the rules of English.
    """
    return [_graph(text, language) for text in texts]


def _graph(text: str, language: str) -> ReportGraph:
    tokens = tokenise(text)
    if not is_read(text, language):
        return ReportGraph(" ".join(tokens))
    words = [token.lower() for token in tokens]
    if "n't" in text or "n’t" in text:
        _spell_out_not(words)
    entities: dict[str, Entity] = {}
    for start, stop in sentences(text, tokens):
        sentence = SentenceGraph()
        sentence.read(items(units(words, start, stop)))
        found = sorted(sentence.labels)
        keys = {unit: str(len(entities) + 1 + index) for index, unit in enumerate(found)}
        for unit in found:
            first, last, *_ = unit
            relations = [
                (relation, keys[target])
                for relation, target in sentence.relations.get(unit, ())
                if target in keys
            ]
            entities[keys[unit]] = Entity(
                " ".join(tokens[first : last + 1]),
                sentence.labels[unit],
                first,
                last,
                tuple(dict.fromkeys(relations)),
            )
    return ReportGraph(" ".join(tokens), entities)


def _spell_out_not(words: list[str]) -> None:
    """Makes "isn", "'", "t" the words "is", "'", "not"."""
    for place in range(2, len(words)):
        if words[place] == "t" and words[place - 1] in ("'", "’") and words[place - 2][-1] == "n":
            words[place] = "not"
            if words[place - 2] != "can":
                words[place - 2] = words[place - 2][:-1]
