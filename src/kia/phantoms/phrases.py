"""Sentences of the phantom's reports, with their entities marked.

A marked span is `[words](kind group)`: `o` is an observation, `a` its anatomy, `s` a word
that modifies the anatomy (or stands for it), `m` a word that modifies the observation. Spans
belong together if they share the group digit (none means group 1). `{slots}` are filled in
from the finding; a span whose slot is empty disappears.
"""

from kia.phantoms.findings import Finding

_GRADE_WORDS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "cardiomegaly": (("mild", "slight"), ("moderate",), ("severe", "marked")),
    "effusion": (("small", "trace"), ("moderate", "moderate-sized"), ("large", "massive")),
    "pneumothorax": (("small", "tiny"), ("moderate", "moderate-sized"), ("large", "extensive")),
    "nodule": (("small", "tiny"), ("moderate-sized", "medium-sized"), ("large", "sizeable")),
    "opacity": (("faint", "mild", "subtle"), ("moderate",), ("dense", "severe", "marked")),
    "consolidation": (("mild", "limited"), ("moderate",), ("dense", "severe", "extensive")),
    "atelectasis": (("mild", "minimal"), ("moderate",), ("severe", "marked")),
    "fracture": (("minimally", "mildly"), ("moderately",), ("markedly", "severely")),
}
_ADVERBS = (("mildly", "slightly"), ("moderately",), ("severely", "markedly"))

FINDINGS: dict[str, tuple[str, ...]] = {
    "cardiomegaly": (
        "There is [{sev}](m) [cardiomegaly](o) .",
        "The [heart](a) is [{adv}](m) [enlarged](o) .",
        "[{adv}](m) [enlarged](o) [cardiac](s) [silhouette](a) .",
        "[{sev}](m) [enlargement](o) of the [cardiac](s) [silhouette](a) .",
        "The [cardiac](s) [silhouette](a) is [{adv}](m) [enlarged](o) .",
        "The [heart](a) [size](s) is [{adv}](m) [enlarged](o) .",
        "[{sev}](m) [cardiomegaly](o) is present .",
    ),
    "effusion": (
        "There is {a} [{sev}](m) [{side}](s) [pleural](a) [effusion](o) .",
        "[{sev}](m) [{side}](s) [pleural](a) [effusion](o) .",
        "{A} [{sev}](m) [pleural](a) [effusion](o) is seen on the [{side}](s) side .",
        "[{sev}](m) [effusion](o) in the [{side}](s) [pleural space](a) .",
        "[blunting](o2) of the [{side}](s2) [costophrenic angle](a2) from {a} [{sev}](m) "
        "[effusion](o) .",
        "The [{side}](s) [costophrenic angle](a) is obscured by {a} [{sev}](m) [effusion](o) .",
    ),
    "effusion bilateral": (
        "There are [{sev}](m) [bilateral](s) [pleural](a) [effusions](o) .",
        "[{sev}](m) [bilateral](s) [pleural](a) [effusions](o) .",
        "[{sev}](m) [pleural](a) [effusions](o) are present on both sides .",
        "[bilateral](s) [{sev}](m) [pleural](a) [effusions](o) are seen .",
        "Both [costophrenic angles](a) are obscured by [{sev}](m) [effusions](o) .",
    ),
    "opacity": (
        "There is {a} [{sev}](m) [opacity](o) in the [{side}](s) [{loc}](a) .",
        "[{sev}](m) [patchy](m) [opacity](o) in the [{side}](s) [{loc}](a) .",
        "[{side}](s) [{loc}](a) [{sev}](m) [hazy](m) [opacity](o) .",
        "{A} [{sev}](m) [ill-defined](m) [opacity](o) projects over the [{side}](s) [{loc}](a) .",
        "[{sev}](m) [opacities](o) are seen in the [{side}](s) [{loc}](a) .",
        "The [{side}](s) [{loc}](a) shows [{sev}](m) [patchy](m) [opacities](o) .",
    ),
    "opacity bilateral": (
        "There are [{sev}](m) [bilateral](s) [{loc}](a) [opacities](o) .",
        "[{sev}](m) [patchy](m) [opacities](o) in both [{loc}s](a) .",
        "[bilateral](s) [{sev}](m) [hazy](m) [opacities](o) in the [{loc}s](a) .",
        "[{sev}](m) [opacities](o) are seen in the [{loc}s](a) [bilaterally](s) .",
        "Both [{loc}s](a) show [{sev}](m) [ill-defined](m) [opacities](o) .",
    ),
    "consolidation": (
        "There is [{sev}](m) [consolidation](o) in the [{side}](s) [{loc}](a) .",
        "[{sev}](m) [consolidation](o) of the [{side}](s) [{loc}](a) .",
        "[{side}](s) [{loc}](a) [consolidation](o) , [{sev}](m) .",
        "[{sev}](m) [{side}](s) [{loc}](a) [consolidation](o) with air bronchograms .",
        "[{sev}](m) [airspace](m) [consolidation](o) involves the [{side}](s) [{loc}](a) .",
        "The [{side}](s) [{loc}](a) shows [{sev}](m) [consolidation](o) .",
    ),
    "pneumothorax": (
        "There is {a} [{sev}](m) [{side}](s) [pneumothorax](o) .",
        "[{sev}](m) [{side}](s) [pneumothorax](o) .",
        "[{sev}](m) [{side}](s) [pneumothorax](o) with a visible visceral pleural line .",
        "{A} [{sev}](m) [pneumothorax](o) is present on the [{side}](s) side .",
        "[{side}](s) [pneumothorax](o) , [{sev}](m) in size .",
        "{A} [{sev}](m) [pneumothorax](o) is seen in the [{side}](s) [hemithorax](a) .",
    ),
    "nodule": (
        "There is {a} [{sev}](m) [nodule](o) in the [{side}](s) [{loc}](a) .",
        "[{sev}](m) [{side}](s) [{loc}](a) [nodule](o) .",
        "{A} [{sev}](m) [round](m) [nodule](o) projects over the [{side}](s) [{loc}](a) .",
        "[{sev}](m) [well-defined](m) [nodule](o) in the [{side}](s) [{loc}](a) .",
        "The [{side}](s) [{loc}](a) contains {a} [{sev}](m) [nodule](o) .",
        "{A} [{sev}](m) [pulmonary](a2) [nodule](o) is seen in the [{side}](s) [{loc}](a) .",
    ),
    "atelectasis": (
        "There is [{sev}](m) [atelectasis](o) at the [{side}](s) [{loc}](a) .",
        "[{sev}](m) [{side}](s) [basilar](a) [atelectasis](o) .",
        "[{sev}](m) [linear](m) [atelectasis](o) at the [{side}](s) [{loc}](a) .",
        "[{sev}](m) [plate-like](m) [atelectasis](o) is seen in the [{side}](s) [{loc}](a) .",
        "[{side}](s) [basal](a) [atelectasis](o) , [{sev}](m) .",
        "Bands of [{sev}](m) [subsegmental](m) [atelectasis](o) cross the [{side}](s) [{loc}](a) .",
    ),
    "atelectasis bilateral": (
        "There is [{sev}](m) [bibasilar](a) [atelectasis](o) .",
        "[{sev}](m) [bilateral](s) [basilar](a) [atelectasis](o) .",
        "[{sev}](m) [linear](m) [atelectasis](o) at both [lung bases](a) .",
        "[{sev}](m) [plate-like](m) [atelectasis](o) is seen at the [lung bases](a) "
        "[bilaterally](s) .",
        "Both [lung bases](a) show [{sev}](m) [subsegmental](m) [atelectasis](o) .",
    ),
    "rib_fracture": (
        "There is {a} [{adv}](m) [displaced](m) [{side}](s) [{loc}](a) [fracture](o) .",
        "[{adv}](m) [displaced](m) [fracture](o) of the [{side}](s) [{loc}](a) .",
        "[{side}](s) [{loc}](a) [fracture](o) , [{adv}](m) [displaced](m) .",
        "{A} [{adv}](m) [displaced](m) [rib](a) [fracture](o) is seen on the [{side}](s) side .",
        "The [{side}](s) [{loc}](a) is [fractured](o) and [{adv}](m) [displaced](m) .",
        "[{adv}](m) [displaced](m) [{side}](s) [rib](a) [fracture](o) .",
    ),
    "clavicle_fracture": (
        "There is {a} [{adv}](m) [displaced](m) [{side}](s) [clavicle](a) [fracture](o) .",
        "[{adv}](m) [displaced](m) [fracture](o) of the [{side}](s) [clavicle](a) .",
        "[{side}](s) [clavicular](a) [fracture](o) , [{adv}](m) [displaced](m) .",
        "{A} [{adv}](m) [displaced](m) [fracture](o) of the [mid](s) [{side}](s) [clavicle](a) .",
        "The [{side}](s) [clavicle](a) is [fractured](o) and [{adv}](m) [displaced](m) .",
    ),
    "endotracheal_tube": (
        "An [endotracheal tube](o) is in place above the [carina](a) .",
        "The [endotracheal tube](o) ends above the [carina](a) .",
        "[endotracheal tube](o) tip projects over the [trachea](a) .",
        "The patient is intubated with the [tube](o) tip in the [mid](s) [trachea](a) .",
        "An [endotracheal tube](o) lies in the [trachea](a) .",
    ),
    "central_line": (
        "A [{side}](s) [central venous catheter](o) ends in the [superior vena cava](a) .",
        "[{side}](s) [central line](o) with its tip in the [superior vena cava](a) .",
        "The [{side}](s) [central venous line](o) projects over the [superior vena cava](a) .",
        "A [central venous catheter](o) from the [{side}](s) reaches the [SVC](a) .",
        "[{side}](s) [central venous catheter](o) in place .",
    ),
    "pacemaker": (
        "A [{side}](s) [chest wall](a) [pacemaker](o) is in place .",
        "[{side}](s) [pectoral](a) [pacemaker](o) with leads in the right heart chambers .",
        "A [pacemaker](o) projects over the [{side}](s) [chest wall](a) .",
        "[dual-lead](m) [{side}](s) [pacemaker](o) .",
        "The [{side}](s) [pectoral](a) [pacemaker](o) and its leads are unchanged .",
    ),
    "nasogastric_tube": (
        "A [nasogastric tube](o) ends in the [stomach](a) .",
        "[nasogastric tube](o) courses below the [diaphragm](a) .",
        "An [enteric tube](o) reaches the [stomach](a) .",
        "The [nasogastric tube](o) tip projects over the [stomach](a) .",
        "[enteric tube](o) in place with its tip in the [stomach](a) .",
    ),
    "sternotomy_wires": (
        "[median](s) [sternotomy](a) [wires](o) are noted .",
        "[sternotomy](a) [wires](o) are intact .",
        "The patient has [median](s) [sternotomy](a) [wires](o) .",
        "Midline [sternal](a) [wires](o) are present .",
        "[sternal](a) [wires](o) from prior surgery .",
    ),
}
"""Wordings of each kind of finding; "… bilateral" where both sides are affected."""

HEART_NORMAL = (
    "The [heart](a) [size](s) is [normal](o) .",
    "[heart](a) [size](s) is [normal](o) .",
    "The [heart](a) is [normal](o) in size .",
    "[normal](o) [heart](a) [size](s) .",
    "The [cardiac](s) [silhouette](a) is [within normal limits](o) .",
    "The [heart](a) is not [enlarged](d) .",
)
BOTH_NORMAL = (
    "The [cardiomediastinal](s) [silhouette](a) is [normal](o) .",
    "[heart](a1) and [mediastinal](s2) [contours](a2) are [within normal limits](o1) .",
    "The [cardiomediastinal](s) [silhouette](a) is [unremarkable](o) .",
)
MEDIASTINUM_NORMAL = (
    "The [mediastinal](s) [contours](a) are [normal](o) .",
    "[mediastinum](a) is [unremarkable](o) .",
    "The [mediastinal](s) [contour](a) is [within normal limits](o) .",
)
LUNGS_CLEAR = (
    "The [lungs](a) are [clear](o) .",
    "[lungs](a) are [clear](o) .",
    "Both [lungs](a) are [clear](o) .",
    "The [lungs](a) are well expanded and [clear](o) .",
    "The [lungs](a) are [clear](o) [bilaterally](s) .",
)
VESSELS_NORMAL = (
    "The [pulmonary](s) [vasculature](a) is [normal](o) .",
    "[pulmonary](s) [vascularity](a) is [within normal limits](o) .",
    "The [hila](a) are [unremarkable](o) .",
    "[hilar](s) [contours](a) are [normal](o) .",
)
LUNG_CLEAR = (
    "The [{side}](s) [lung](a) is [clear](o) .",
    "[{side}](s) [lung](a) is [clear](o) .",
    "The [{side}](s) [lung](a) is well aerated .",
)
ANGLES_SHARP = (
    "The [costophrenic angles](a) are [sharp](o) .",
    "[costophrenic angles](a) are [clear](o) .",
)
BONES_NORMAL = (
    "The [bones](a) are [intact](o) .",
    "The [osseous](s) [structures](a) are [intact](o) .",
    "No [displaced](m) [rib](a) [fracture](d) is seen .",
    "There is no [acute](m) [fracture](d) .",
    "No [fracture](d) .",
)
OPENINGS = (
    "Frontal and lateral views of the [chest](a) .",
    "Two views of the [chest](a) were obtained .",
    "Lung volumes are [normal](o) .",
)
CLOSINGS = (
    "No [acute](m) [cardiopulmonary](a) [process](d) .",
    "[normal](o) [chest](a) radiograph .",
)
ABSENT = {
    "Pleural Effusion": ("[pleural](a) [effusion](d)", "[effusion](d)"),
    "Pneumothorax": ("[pneumothorax](d)",),
    "Consolidation": ("focal [consolidation](d)", "[consolidation](d)"),
    "Edema": ("pulmonary [edema](d)",),
    "Lung Lesion": ("[pulmonary](a) [nodule](d)", "[lung](a) [nodule](d)"),
    "Atelectasis": ("[atelectasis](d)",),
}
"""Noun phrases for what is said to be absent."""
ABSENT_OPENINGS = ("There is no", "No", "No evidence of", "There is no evidence of")


def wordings(finding: Finding) -> tuple[str, ...]:
    """Templates that can state a finding."""
    if finding.side == "bilateral":
        return FINDINGS[f"{finding.kind} bilateral"]
    return FINDINGS[finding.kind]


def slot_choices(finding: Finding) -> dict[str, tuple[str, ...]]:
    """Words that may fill each slot of a finding's template."""
    kind = "fracture" if "fracture" in finding.kind else finding.kind
    graded = _GRADE_WORDS.get(kind, (("",), ("",), ("",)))[finding.grade]
    adverbs = graded if kind == "fracture" else _ADVERBS[finding.grade]
    places = {
        "upper lung zone": ("upper lung zone", "upper lung"),
        "mid lung zone": ("mid lung zone", "mid lung"),
        "lower lung zone": ("lower lung zone", "lower lung"),
    }
    return {
        "sev": graded,
        "adv": adverbs,
        "side": (finding.side or "",),
        "loc": places.get(finding.location, (finding.location,)),
    }
