"""Reports of phantom studies: text, CheXpert labels and RadGraph graph from one grammar."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kia.knowledge.chexpert import OBSERVATIONS
from kia.phantoms import phrases
from kia.phantoms.findings import Finding

MAX_WORDS = 60
_SPAN = re.compile(r"\[([^\]]*)\]\(([oasmd])(\d?)\)")
_LUNG_KINDS = ("opacity", "consolidation", "nodule", "atelectasis")


@dataclass(frozen=True, slots=True)
class Sentence:
    """One statement of a report.

    Attributes:
        marked: Text with marked spans (see phantom_phrases).
        truth: CheXpert observation → 1 or 0, what the sentence says.
        optional: Whether a report that is too long may drop it.
    """

    marked: str
    truth: Mapping[str, int]
    optional: bool = True


@dataclass(frozen=True, slots=True)
class Report:
    """A report with everything that is known to be true of it."""

    text: str
    labels: dict[str, int | None]
    graph: dict[str, Any]


def write_report(findings: Sequence[Finding], rng: np.random.Generator) -> Report:
    """Word a report of the findings.

    Args:
        findings: All of them are stated.
        rng: Chooses among wordings and among normal statements.

    Returns:
        Text of at most 60 words, 14 labels and RadGraph graph.
    """
    sentences = _compose(findings, rng)
    while sum(len(_words(s.marked)) for s in sentences) > MAX_WORDS:
        sentences.remove([s for s in sentences if s.optional][-1])
    labels: dict[str, int | None] = dict.fromkeys(OBSERVATIONS)
    for sentence in sentences:
        for observation, value in sentence.truth.items():
            labels[observation] = max(value, labels[observation] or 0)
    abnormal = {f.observation for f in findings} - {"Support Devices"}
    labels["No Finding"] = 0 if abnormal else 1
    text = " ".join(_raw(sentence.marked) for sentence in sentences)
    return Report(text, labels, _graph(sentences))


def _pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]


def _state(finding: Finding, rng: np.random.Generator) -> Sentence:
    choices = phrases.slot_choices(finding)
    slots = {name: _pick(rng, words) for name, words in choices.items()}
    marked = _pick(rng, phrases.wordings(finding)).format(**slots, a="{a}", A="{a}")
    return Sentence(_articles(marked), {finding.observation: 1}, optional=False)


def _articles(marked: str) -> str:
    return re.sub(
        r"\{a\}( \[?)(\w)", lambda m: ("an" if m[2] in "aeiou" else "a") + m[1] + m[2], marked
    )


def _compose(findings: Sequence[Finding], rng: np.random.Generator) -> list[Sentence]:
    present = {f.observation for f in findings}
    stated = {
        part: [_state(f, rng) for f in findings if _part(f) == part]
        for part in ("heart", "lungs", "pleura", "bones", "devices")
    }
    order = ["heart", "lungs", "pleura", "bones"]
    if rng.random() < 0.15:
        order = ["lungs", "pleura", "heart", "bones"]
    order.insert(0 if rng.random() < 0.25 else 4, "devices")
    normal = {
        "heart": _normal_heart(present, rng),
        "lungs": _normal_vessels(rng) + _normal_lungs(findings, rng),
        "pleura": _absent_list(present, rng),
        "bones": _normal_bones(present, rng),
        "devices": [],
    }
    sentences = [s for part in order for s in (*stated[part], *normal[part])]
    if rng.random() < 0.3:
        sentences.insert(0, Sentence(_pick(rng, phrases.OPENINGS), {}))
    if not findings and rng.random() < 0.4:
        sentences.append(Sentence(_pick(rng, phrases.CLOSINGS), {}))
    return sentences


def _part(finding: Finding) -> str:
    if finding.observation == "Support Devices":
        return "devices"
    if finding.kind in _LUNG_KINDS:
        return "lungs"
    if finding.kind == "cardiomegaly":
        return "heart"
    return "bones" if finding.observation == "Fracture" else "pleura"


def _normal_heart(present: set[str], rng: np.random.Generator) -> list[Sentence]:
    calm = {"Enlarged Cardiomediastinum": 0}
    mediastinum = Sentence(_pick(rng, phrases.MEDIASTINUM_NORMAL), calm)
    if "Cardiomegaly" in present:
        return [mediastinum] if rng.random() < 0.6 else []
    draw = rng.random()
    if draw < 0.35:
        return [Sentence(_pick(rng, phrases.BOTH_NORMAL), {**calm, "Cardiomegaly": 0})]
    if draw < 0.95:
        size = Sentence(_pick(rng, phrases.HEART_NORMAL), {"Cardiomegaly": 0})
        return [size, mediastinum] if rng.random() < 0.65 else [size]
    return []


def _normal_vessels(rng: np.random.Generator) -> list[Sentence]:
    return [Sentence(_pick(rng, phrases.VESSELS_NORMAL), {})] if rng.random() < 0.35 else []


def _normal_lungs(findings: Sequence[Finding], rng: np.random.Generator) -> list[Sentence]:
    filled = [f for f in findings if f.kind in _LUNG_KINDS]
    if not filled:
        if rng.random() < 0.8:
            return [Sentence(_pick(rng, phrases.LUNGS_CLEAR), {"Lung Opacity": 0})]
        return []
    sides = {f.side for f in filled}
    if len(sides) == 1 and "bilateral" not in sides and rng.random() < 0.4:
        healthy = "left" if "right" in sides else "right"
        if any(healthy in f.sides for f in findings):
            return []
        return [Sentence(_pick(rng, phrases.LUNG_CLEAR).format(side=healthy), {})]
    return []


def _absent_list(present: set[str], rng: np.random.Generator) -> list[Sentence]:
    share = {
        "Consolidation": 0.55,
        "Pleural Effusion": 0.92,
        "Pneumothorax": 0.92,
        "Edema": 0.3,
        "Lung Lesion": 0.12,
        "Atelectasis": 0.05,
    }
    names = [n for n, p in share.items() if n not in present and rng.random() < p]
    sentences = []
    if "Pleural Effusion" in names and rng.random() < 0.12:
        names.remove("Pleural Effusion")
        sentences.append(Sentence(_pick(rng, phrases.ANGLES_SHARP), {"Pleural Effusion": 0}))
    if rng.random() < 0.25:
        names.reverse()
    cut = len(names) if rng.random() < 0.75 else 1
    for group in (names[:cut], names[cut:]):
        if group:
            listed = [_grouped(_pick(rng, phrases.ABSENT[n]), i + 1) for i, n in enumerate(group)]
            opening = _pick(rng, phrases.ABSENT_OPENINGS)
            truth = dict.fromkeys(group, 0)
            sentences.append(Sentence(f"{opening} {_enumerate(listed, rng)} .", truth))
    return sentences


def _grouped(marked: str, group: int) -> str:
    return re.sub(r"\(([oasmd])\)", rf"(\g<1>{group})", marked)


def _enumerate(items: list[str], rng: np.random.Generator) -> str:
    comma = " , or " if len(items) > 2 and rng.random() < 0.5 else " or "
    head = " , ".join(items[:-1])
    return f"{head}{comma}{items[-1]}" if head else items[-1]


def _normal_bones(present: set[str], rng: np.random.Generator) -> list[Sentence]:
    if "Fracture" in present or rng.random() < 0.25:
        return []
    return [Sentence(_pick(rng, phrases.BONES_NORMAL), {"Fracture": 0})]


def _words(marked: str) -> list[str]:
    return [word for word in _tokens(marked) if word not in (".", ",")]


def _tokens(marked: str) -> list[str]:
    tokens = _SPAN.sub(r"\1", marked).split()
    tokens[0] = tokens[0][0].upper() + tokens[0][1:]
    return tokens


def _raw(marked: str) -> str:
    return " ".join(_tokens(marked)).replace(" ,", ",").replace(" .", ".")


def _graph(sentences: Sequence[Sentence]) -> dict[str, Any]:
    """RadGraph record: the tokens of all sentences and the marked entities' relations."""
    tokens: list[str] = []
    entities: dict[str, dict[str, Any]] = {}
    for sentence in sentences:
        spans: list[tuple[str, str, str]] = []
        place = 0
        for match in _SPAN.finditer(sentence.marked):
            words = match[1].split()
            if not words:
                continue
            before = _SPAN.sub(r"\1", sentence.marked[place : match.start()]).split()
            tokens += before
            key = str(len(entities) + 1)
            entities[key] = {
                "tokens": " ".join(words),
                "label": _entity_label(match[2], sentence.marked),
                "start_ix": len(tokens),
                "end_ix": len(tokens) + len(words) - 1,
                "relations": [],
            }
            tokens += words
            place = match.end()
            spans.append((key, match[2], match[3] or "1"))
        tokens += sentence.marked[place:].split()
        _relate(entities, spans)
        start = len(tokens) - len(_tokens(sentence.marked))
        tokens[start] = tokens[start][0].upper() + tokens[start][1:]
    for entity in entities.values():
        entity["tokens"] = " ".join(tokens[entity["start_ix"] : entity["end_ix"] + 1])
    return {"text": " ".join(tokens), "entities": entities}


def _entity_label(kind: str, marked: str) -> str:
    if kind in "as":
        return "ANAT-DP"
    # A modifier of something absent is absent with it.
    return "OBS-DA" if kind == "d" or (kind == "m" and "](d" in marked) else "OBS-DP"


def _relate(entities: dict[str, dict[str, Any]], spans: Sequence[tuple[str, str, str]]) -> None:
    for group in {group for _, _, group in spans}:
        found = {kind: [k for k, c, g in spans if g == group and c == kind] for kind in "oasmd"}
        heads, places = found["o"] + found["d"], found["a"] or found["s"]
        for head in heads:
            entities[head]["relations"] += [["located_at", place] for place in places]
        for modifier in found["m"] if heads else []:
            entities[modifier]["relations"].append(["modify", heads[0]])
        for modifier in found["s"] if found["a"] else []:
            entities[modifier]["relations"].append(["modify", found["a"][0]])
