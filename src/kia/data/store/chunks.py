"""Chunks: the finished pieces of a preparation, from which a data set is assembled.

A chunk is a file of images and a file of rows, `chunk-NNNNN.arrow` (one Arrow batch; its schema's
metadata say how many inputs it covers and which were left out). The latter is renamed into place
when the former is on the disk, so a chunk is there as a whole or not at all.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kia.data.store.atomic_folder import fsync
from kia.imaging.workers import Reject
from kia.knowledge.masks.coverage import KnowledgeCoverage
from kia.studies import SPLITS, VIEWS, Study, StudyImage

FORMAT = "kia-dataset"
FORMAT_VERSION = 3

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("patient", pa.string()),
        ("split", pa.string()),
        ("report", pa.string()),
        ("sections", pa.string()),
        ("labels", pa.string()),
        ("graph", pa.string()),
        ("landmarks", pa.list_(pa.string())),
        ("views", pa.list_(pa.string())),
        ("paths", pa.list_(pa.string())),
        ("first_image", pa.int32()),
        ("n_images", pa.int32()),
        ("digest", pa.binary(32)),
    ]
)
_DIGESTED = SCHEMA.names[: SCHEMA.names.index("paths")]


def study_row(study: Study, first_image: int) -> dict[str, Any]:
    """A study as it is stored, without its digest.

    Args:
        study: Any.
        first_image: Number of its first image in the chunk.

    Raises:
        TypeError: Something in it is not JSON.
        ValueError: Likewise.
    """
    return {
        "id": study.id,
        "patient": study.patient,
        "split": study.split,
        "report": study.report,
        "sections": _json(study.sections),
        "labels": None if study.labels is None else _json(study.labels),
        "graph": None if study.graph is None else _json(study.graph),
        "landmarks": None if study.landmarks is None else list(study.landmarks),
        "views": [image.view for image in study.images],
        "paths": [image.path for image in study.images],
        "first_image": first_image,
        "n_images": len(study.images),
    }


def row_study(row: Mapping[str, Any]) -> Study:
    """The study in a row, as `study_row` took it."""
    images = zip(row["paths"], row["views"], strict=True)
    return Study(
        id=row["id"],
        split=row["split"],
        images=tuple(StudyImage(path, view) for path, view in images),
        report=row["report"],
        sections=json.loads(row["sections"]),
        labels=json.loads(row["labels"]) if row["labels"] is not None else None,
        graph=json.loads(row["graph"]) if row["graph"] is not None else None,
        landmarks=tuple(row["landmarks"]) if row["landmarks"] is not None else None,
        patient=row["patient"],
    )


def row_digest(row: Mapping[str, Any], pixels: npt.NDArray[np.uint8]) -> bytes:
    """SHA-256 of what a study says and shows, wherever its files lay.

    Args:
        row: As stored.
        pixels: uint8 (W, S, S).
    """
    said = json.dumps([row[name] for name in _DIGESTED]).encode()
    digest = hashlib.sha256(len(said).to_bytes(8, "little") + said)
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.digest()


def content_hash(digests: Iterable[bytes]) -> str:
    """Hash of a data set: SHA-256 over the digests of its studies in stored order."""
    whole = hashlib.sha256()
    for digest in digests:
        whole.update(digest)
    return whole.hexdigest()


@dataclass
class Tally:
    """What has been counted.

    Attributes:
        inputs: Inputs gone through.
        rejects: Lines of rejects.jsonl.
        counts: Studies by split.
        images: Images by view.
        knowledge: By split.
    """

    inputs: int = 0
    rejects: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    images: Counter[str] = field(default_factory=Counter)
    knowledge: dict[str, KnowledgeCoverage] = field(
        default_factory=lambda: {split: KnowledgeCoverage() for split in SPLITS}
    )

    def add(self, study: Study) -> None:
        """Count a study."""
        self.counts[study.split] += 1
        self.images.update(image.view for image in study.images)
        self.knowledge[study.split].add(study)

    def include(self, other: Self) -> None:
        """Count what another one counted."""
        self.inputs += other.inputs
        self.rejects += other.rejects
        self.counts += other.counts
        self.images += other.images
        for split in SPLITS:
            both = Counter(asdict(self.knowledge[split]))
            both.update(asdict(other.knowledge[split]))
            self.knowledge[split] = KnowledgeCoverage(**both)

    def to_record(self) -> dict[str, Any]:
        """For JSON; `from_record` reads it."""
        return {
            "counts": {split: self.counts[split] for split in SPLITS},
            "images": {view: self.images[view] for view in VIEWS},
            "rejects": self.rejects,
            "inputs_read": self.inputs,
            "knowledge": {split: asdict(self.knowledge[split]) for split in SPLITS},
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """From `to_record`, or from the dataset.json that has it."""
        return cls(
            record["inputs_read"],
            record["rejects"],
            Counter(record["counts"]),
            Counter(record["images"]),
            {split: KnowledgeCoverage(**record["knowledge"][split]) for split in SPLITS},
        )


@dataclass(frozen=True)
class Chunk:
    """A finished chunk, or one shard of a prepared data set.

    Attributes:
        shard: File of its images; there is none if it has no rows.
        rows: As `SCHEMA` has them.
        tally: Of its inputs.
        rejects: What was left out.
    """

    shard: str
    rows: pa.RecordBatch
    tally: Tally
    rejects: Sequence[Reject]

    def write(self, path: Path) -> None:
        """Write the rows; the images must be on the disk."""
        rejects = [asdict(reject) for reject in self.rejects]
        about = {"tally": self.tally.to_record(), "shard": self.shard, "rejects": rejects}
        schema = SCHEMA.with_metadata({"chunk": json.dumps(about)})
        partial = path.with_name(f".{path.name}")
        with partial.open("wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            writer.write_batch(self.rows)
        fsync(partial)
        partial.replace(path)
        fsync(path.parent)

    @classmethod
    def read(cls, path: Path) -> Self:
        """A finished chunk."""
        with pa.memory_map(str(path)) as source:
            reader = pa.ipc.open_file(source)
            about = json.loads(reader.schema.metadata[b"chunk"])
            rejects = [Reject(**reject) for reject in about["rejects"]]
            tally = Tally.from_record(about["tally"])
            return cls(about["shard"], reader.get_batch(0), tally, rejects)


def assemble(
    folder: Path,
    about: Mapping[str, Any],
    chunks: Iterable[Chunk],
    side_files: Sequence[str] = (),
) -> None:
    """Write what a data set consists of beside its images, and wait until all is on the disk.

    Args:
        folder: The images lie there.
        about: Goes into dataset.json.
        chunks: In order; they are gone through once.
        side_files: Names of more files that lie there.
    """
    tally, digest = Tally(), hashlib.sha256()
    shards: list[dict[str, Any]] = []
    with (
        (folder / "studies.arrow").open("wb") as sink,
        pa.ipc.new_file(sink, SCHEMA) as table,
        (folder / "rejects.jsonl").open("w", encoding="utf-8") as rejects,
    ):
        for chunk in chunks:
            tally.include(chunk.tally)
            for reject in chunk.rejects:
                rejects.write(json.dumps(asdict(reject), ensure_ascii=False) + "\n")
            if chunk.rows.num_rows:
                table.write_batch(chunk.rows.replace_schema_metadata(None))
                digest.update(b"".join(chunk.rows.column("digest").to_pylist()))
                images = sum(chunk.rows.column("n_images").to_pylist())
                shards.append(
                    {"file": chunk.shard, "images": images, "studies": chunk.rows.num_rows}
                )
    names: list[str] = [
        *(shard["file"] for shard in shards),
        "studies.arrow",
        "rejects.jsonl",
        *side_files,
    ]
    for name in names:
        fsync(folder / name)
    info = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        **about,
        **tally.to_record(),
        "content_hash": digest.hexdigest(),
        "shards": shards,
        "side_files": list(side_files),
        "files": {name: (folder / name).stat().st_size for name in names},
    }
    text = json.dumps(info, indent=2, ensure_ascii=False) + "\n"
    (folder / "dataset.json").write_text(text, encoding="utf-8")
    fsync(folder / "dataset.json")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, default=dict)
