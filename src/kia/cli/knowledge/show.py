"""`kia knowledge show`: one study with what is known of it and what would be masked, and why."""

from pathlib import Path
from typing import Annotated

import typer


def show(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="a prepared data set")],
    study_id: Annotated[str, typer.Argument(metavar="ID", help="a study of it")],
    seed: Annotated[int, typer.Option("--seed", min=0, help="another seed, other coins")] = 0,
) -> None:
    """Print a study's report, labels, graph and landmarks, and each kind of mask with reasons."""
    from kia.cli.console import one_line, out, table
    from kia.data.store.dataset import PreparedDataset
    from kia.knowledge.chexpert import OBSERVATIONS, label_report
    from kia.knowledge.masks.shown import masked_versions
    from kia.knowledge.radgraph import ReportGraph

    study = (dataset := PreparedDataset.open(folder)).study(dataset.index_of(study_id))
    out.print(f"{one_line(study.id)} ({study.split})")
    out.print(study.report)
    if study.labels is not None:
        words = {1: "present", 0: "absent", -1: "uncertain"}
        stated = {name: study.labels.get(name) for name in OBSERVATIONS}
        rows = [(name, words[value]) for name, value in stated.items() if value is not None]
        table(["observation", "label"], rows, title="labels (others are not mentioned)")
        out.print(label_report(study.labels))
    if study.graph is not None:
        entities = ReportGraph.from_record(dict(study.graph), study.id).entities
        table(
            ["entity", "label", "relations"],
            [
                (
                    entity.tokens,
                    entity.label,
                    ", ".join(f"{kind} {entities[key].tokens}" for kind, key in entity.relations),
                )
                for entity in entities.values()
            ],
            title="graph",
        )
    out.print(f"landmarks: {', '.join(study.landmarks or ()) or 'none'}")
    versions = [(v.masking, v.text, v.reason) for v in masked_versions(study, seed)]
    table(["masking", "masked", "why"], versions, title="what MLM would hide")
