"""How often knowledge has nothing to say and masking falls back to chance."""

from dataclasses import asdict, dataclass

import numpy as np

from kia.knowledge.alignment import unaligned_entities
from kia.knowledge.masks.text import token_sides
from kia.knowledge.radgraph import ReportGraph
from kia.studies import Study


@dataclass
class KnowledgeCoverage:
    """Counts over the reports of a split.

    Attributes:
        reports: All of them.
        reports_without_labels: Not labelled: Label-MLM masks their words at random.
        reports_without_entities: No graph, or an empty one: Graph-MLM masks all their words at
            random.
        reports_without_landmarks: No landmark mentioned: MIM masks all patches alike.
        sentences: Of the reports that have a graph.
        sentences_without_entities: Those of which Graph-MLM masks words at random.
        entities: Of the graphs.
        entities_unaligned: Those that do not stand in their report: Graph-MLM cannot mask them.
            They are of another report, or of a text spelt otherwise.
    """

    reports: int = 0
    reports_without_labels: int = 0
    reports_without_entities: int = 0
    reports_without_landmarks: int = 0
    sentences: int = 0
    sentences_without_entities: int = 0
    entities: int = 0
    entities_unaligned: int = 0

    def add(self, study: Study) -> None:
        """Counts one more study, if it has a report."""
        if not study.has_report:
            return
        self.reports += 1
        self.reports_without_labels += study.labels is None
        self.reports_without_landmarks += not study.landmarks
        if study.graph is None:
            self.reports_without_entities += 1
            return
        graph = ReportGraph.from_record(dict(study.graph), study.id)
        _, sides, sentences, count = token_sides(graph)
        self.reports_without_entities += not graph.entities
        self.sentences += count
        self.sentences_without_entities += count - len(np.unique(sentences[sides > 0]))
        self.entities += len(graph.entities)
        self.entities_unaligned += unaligned_entities(graph, study.report)

    def shares(self) -> dict[str, float | None]:
        """Share of reports, and of sentences, by what they lack; None where there are none."""
        counts = asdict(self)
        return {
            name: count / counts[of] if counts[of] else None
            for of in ("reports", "sentences")
            for name, count in counts.items()
            if name.startswith(f"{of}_")
        }
