"""The matrix products of a joint step, from shapes alone: kia's, and the plain implementation's.

Two operations count for a multiply-add. All else (norms, softmax, GELU, masks) is left out, as it
is by `torch.utils.flop_counter`, with which a test compares these sums. Shape letters: B studies, W
views, N patches of a view, T tokens, D width, F feed-forward width.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from kia.config import TasksConfig
from kia.data.batches.batch import Batch
from kia.models.configuration import CheckpointConfig


@dataclass(frozen=True)
class Product:
    """Matrix products (rows, inner) × (inner, columns) of one kind.

    Attributes:
        task: "mim", "mlm", "irc", "irm", "rg", or "shared" for what all of them read.
        part: Where it is computed.
        rows: m.
        inner: k.
        columns: n.
        times: How many of them there are in a forward pass.
        backward: Products of the same size in the backward pass: 2, 1 where one of the factors
            has no gradient, 0 without.
        dense: Whether one factor is a weight (and not attention).
    """

    task: str
    part: str
    rows: int
    inner: int
    columns: int
    times: int = 1
    backward: int = 2
    dense: bool = True

    @property
    def operations(self) -> int:
        """Of the forward and the backward pass."""
        return 2 * self.rows * self.inner * self.columns * self.times * (1 + self.backward)


def by(products: Iterable[Product], field: str) -> dict[str, int]:
    """Operations by "task" or by "part"."""
    sums: dict[str, int] = defaultdict(int)
    for product in products:
        sums[getattr(product, field)] += product.operations
    return dict(sums)


@dataclass(frozen=True)
class Sizes:
    """Of a model and a batch; see `Batch` for what is counted."""

    image: dict
    text: dict
    grid: int
    studies: int
    views: int
    tokens: int
    masked_tokens: int
    hidden_patches: int
    masked_words: int
    next_words: int
    vocabulary: int
    projection: int
    queue: int
    soft_targets: bool

    @classmethod
    def of(cls, config: CheckpointConfig, tasks: TasksConfig, batch: Batch) -> "Sizes":
        """The sizes of a joint step."""
        assert batch.masked_input_ids is not None and batch.hidden_patches is not None
        assert batch.masked_targets is not None
        return cls(
            image=config.image_tower,
            text=config.text_tower,
            grid=config.grid,
            studies=len(batch.studies),
            views=batch.view_ids.shape[1],
            tokens=batch.input_ids.shape[1],
            masked_tokens=batch.masked_input_ids.shape[1],
            hidden_patches=len(batch.hidden_patches),
            masked_words=len(batch.masked_targets),
            next_words=len(batch.next_targets),
            vocabulary=config.vocab_size,
            projection=config.projection_width,
            queue=tasks.irc.queue_length,
            soft_targets=tasks.irc.soft_targets > 0,
        )

    @property
    def images(self) -> int:
        """Views of all studies."""
        return self.studies * self.views

    @property
    def image_tokens(self) -> int:
        """Of one view, [CLS] included."""
        return self.grid**2 + 1


def step_products(s: Sizes) -> list[Product]:
    """What one step of `JointObjective` multiplies."""
    return [
        *_image_tower(s, "shared"),
        *_text_tower(s, "shared", s.studies, s.tokens),
        *_keys_values(s, "shared", s.text, s.studies, s.views * s.image_tokens),
        *_image_tower(s, "mim", reads=True),
        *_keys_values(s, "mim", s.image, s.studies, s.tokens),
        *_pixel_head(s, s.hidden_patches),
        *_text_tower(s, "mlm", s.studies, s.masked_tokens, reads=True),
        *_word_head(s, "mlm", s.masked_words),
        *_contrast(s),
        *_text_tower(s, "irm", 3 * s.studies, s.tokens, reads=True),
        *_match_head(s),
        *_text_tower(s, "rg", s.studies, s.tokens, reads=True),
        *_word_head(s, "rg", s.next_words),
    ]


def plain_products(s: Sizes) -> list[Product]:
    """What one step of `PlainObjective` multiplies: every task for itself, heads everywhere."""
    read = s.views * s.image_tokens
    return [
        *_image_tower(s, "irc"),
        *_text_tower(s, "irc", s.studies, s.tokens),
        *_contrast(s),
        *_text_tower(s, "mim", s.studies, s.tokens),
        *_image_tower(s, "mim", reads=True),
        *_keys_values(s, "mim", s.image, s.images, s.tokens),
        *_pixel_head(s, s.images * s.grid**2),
        *_image_tower(s, "mlm"),
        *_keys_values(s, "mlm", s.text, s.studies, read),
        *_text_tower(s, "mlm", s.studies, s.masked_tokens, reads=True),
        *_word_head(s, "mlm", s.studies * s.masked_tokens),
        *_image_tower(s, "irm"),
        *_keys_values(s, "irm", s.text, 3 * s.studies, read),
        *_text_tower(s, "irm", 3 * s.studies, s.tokens, reads=True),
        *_match_head(s),
        *_image_tower(s, "rg"),
        *_keys_values(s, "rg", s.text, s.studies, read),
        *_text_tower(s, "rg", s.studies, s.tokens, reads=True),
        *_word_head(s, "rg", s.studies * s.tokens),
    ]


def _image_tower(s: Sizes, task: str, *, reads: bool = False) -> Iterator[Product]:
    yield from _stem(s, task)
    part = "image tower"
    yield from _blocks(task, part, s.image, s.images, s.image_tokens, s.tokens if reads else 0)


def _text_tower(
    s: Sizes, task: str, rows: int, tokens: int, *, reads: bool = False
) -> Iterator[Product]:
    read = s.views * s.image_tokens if reads else 0
    yield from _blocks(task, "text tower", s.text, rows, tokens, read)


def _stem(s: Sizes, task: str) -> Iterator[Product]:
    width, channels = s.image["width"], s.image["channels"]
    part, patches = "image stem", s.images * s.grid**2
    if s.image["stem"] == "patch":
        inner = channels * s.image["patch_size"] ** 2
        yield Product(task, part, patches, inner, width, backward=1)
        return
    before, side = channels, 8 * s.grid
    for after in (width // 8, width // 4, width // 2, width):
        backward = 1 if before == channels else 2  # images have no gradient
        yield Product(task, part, s.images * side**2, 9 * before, after, backward=backward)
        before, side = after, side // 2
    yield Product(task, part, patches, 9 * width, width)
    yield Product(task, part, patches, width, width)


def _blocks(
    task: str, part: str, tower: dict, rows: int, tokens: int, read: int
) -> Iterator[Product]:
    """All layers of a tower, which may read context tokens: keys and values are counted apart."""
    width, depth = tower["width"], tower["depth"]
    every, ffn = rows * tokens, tower["ffn_width"]
    yield Product(task, part, every, width, 4 * width, depth)
    yield from _attention(task, part, tower, rows, tokens, tokens)
    if read:
        yield Product(task, part, every, width, 2 * width, depth)
        yield from _attention(task, part, tower, rows, tokens, read)
    yield Product(task, part, every, width, ffn, 2 * depth)


def _attention(
    task: str, part: str, tower: dict, rows: int, tokens: int, read: int
) -> Iterator[Product]:
    """Scores, and their mix of values."""
    heads = tower["heads"]
    each, times = tower["width"] // heads, rows * heads * tower["depth"]
    yield Product(task, part, tokens, each, read, times, dense=False)
    yield Product(task, part, tokens, read, each, times, dense=False)


def _keys_values(s: Sizes, task: str, tower: dict, contexts: int, tokens: int) -> Iterator[Product]:
    """Of the other modality, which a tower reads; all towers here have one width."""
    part = "keys and values"
    yield Product(task, part, contexts * tokens, tower["width"], 2 * tower["width"], tower["depth"])


def _word_head(s: Sizes, task: str, words: int) -> Iterator[Product]:
    width = s.text["width"]
    yield Product(task, "heads", words, width, width)
    yield Product(task, "heads", words, width, s.vocabulary)


def _pixel_head(s: Sizes, patches: int) -> Iterator[Product]:
    pixels = s.image["channels"] * s.image["patch_size"] ** 2
    yield Product("mim", "heads", patches, s.image["width"], pixels)


def _match_head(s: Sizes) -> Iterator[Product]:
    yield Product("irm", "heads", 3 * s.studies, s.text["width"], 2)
    # hard negatives are drawn by the similarity of all images to all reports, and the other way
    for _ in range(2):
        yield Product("irm", "heads", s.studies, s.projection, s.studies, backward=0)


def _contrast(s: Sizes) -> Iterator[Product]:
    slow = [*_image_tower(s, "irc"), *_text_tower(s, "irc", s.studies, s.tokens)]
    yield from (replace(product, part="momentum", backward=0) for product in slow)
    for width in (s.image["width"], s.text["width"]):
        yield Product("irc", "heads", s.studies, width, s.projection)
        yield Product("irc", "momentum", s.studies, width, s.projection, backward=0)
    candidates = s.studies + s.queue  # which have no gradient
    yield Product("irc", "heads", s.studies, s.projection, candidates, 2, backward=1)
    if s.soft_targets:
        yield Product("irc", "heads", s.studies, s.projection, candidates, 2, backward=0)
