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

import pyarrow as pa

from kia.data.store.atomic_folder import fsync
from kia.data.store.description import FORMAT, FORMAT_VERSION, Counts, ShardName
from kia.data.store.rows import SCHEMA, check_rows
from kia.errors import DataError
from kia.files.plain import parse_json
from kia.files.records import Record
from kia.files.regular import open_file
from kia.imaging.workers import Reject
from kia.knowledge.masks.coverage import KnowledgeCoverage
from kia.studies import SPLITS, VIEWS, Study


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


class RejectLine(Record):
    """A line of rejects.jsonl."""

    what: str
    why: str


class _About(Record):
    """What a chunk says of itself."""

    tally: Counts
    shard: ShardName
    rejects: list[RejectLine]


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
        """A finished chunk.

        Raises:
            DataError: It is not as it was written.
        """
        try:
            open_file(path, follow=False).close()
            with pa.OSFile(str(path)) as source:
                reader = pa.ipc.open_file(source)
                about = _About.of(parse_json(str(reader.schema.metadata[b"chunk"], "utf-8")))
                rows = reader.get_batch(0)
            check_rows(rows)
        except (OSError, ValueError, TypeError, KeyError, pa.ArrowException) as error:
            reason = " ".join(str(error).split())[:200]
            raise DataError(
                f"{path}: damaged chunk of an unfinished preparation ({reason}); add --overwrite "
                "to start anew"
            ) from error
        rejects = [Reject(one.what, one.why) for one in about.rejects]
        tally = Tally.from_record(about.tally.model_dump())
        return cls(about.shard, rows, tally, rejects)


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
