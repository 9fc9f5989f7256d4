"""Writing reports word by word: greedy and beam search, with a cache of what is written.

The paper does not say how it decodes; a beam of 3 is R2Gen's. tests/models/test_generation.py holds
it to transformers' `generate`, token for token. Shape letters: B studies, K beams, R = B·K rows, T
tokens, V vocabulary, H heads, d features of a head.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from kia.errors import ModelError

Scorer = Callable[[Tensor, Tensor], Tensor]
"""(R, T) tokens so far and (R, V) scores of the next one → (R, V) other scores."""
NextScores = Callable[[Tensor, "WordCache | None"], Tensor]
"""(R, t) tokens that are new to the cache, and the cache → (R, V) scores of the next one. Without a
cache it is given all tokens."""


def check_finite(values: Tensor, what: str) -> None:
    """Refuses to go on with a model whose weights overflow: its reports would be empty.

    Raises:
        ModelError: Values are not finite.
    """
    if not values.isfinite().all():
        raise ModelError(f"{what} are not finite: the weights of this model do not work")


class Streamer(Protocol):
    """Is told of a report while it is written; those of transformers fit."""

    def put(self, value: Tensor) -> None:
        """Takes the first tokens, (R, T), then the next one of each row, (R,); on the CPU."""

    def end(self) -> None:
        """Nothing more is written."""


class WordCache:
    """Keys and values of the tokens so far, of every layer; the room for all is made once."""

    def __init__(self, tokens: int) -> None:
        """`tokens`: the most that it will hold."""
        self._room, self._past, self._held = tokens, 0, 0
        self._layers: list[list[Tensor]] = []  # keys and values, each (R, H, room, d)
        self._spare: list[Tensor] = []  # where `reorder` writes the next layer's

    def get_seq_length(self) -> int:
        """Tokens that are held; transformers' name for it."""
        return self._held

    def update(self, key: Tensor, value: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """Adds (R, H, t, d) keys and values of new tokens, layer after layer; returns all."""
        if layer == 0:
            self._past, self._held = self._held, self._held + key.shape[2]
        if layer == len(self._layers):
            shape = (*key.shape[:2], self._room, key.shape[3])
            self._layers.append([part.new_empty(shape) for part in (key, value)])
        keys, values = (room[:, :, : self._held] for room in self._layers[layer])
        keys[:, :, self._past :] = key
        values[:, :, self._past :] = value
        return keys, values

    def reorder(self, rows: Tensor) -> None:
        """Row r goes on from what row `rows[r]` has written."""
        for number, layer in enumerate(self._layers):
            self._spare = self._spare or [torch.empty_like(room) for room in layer]
            for room, to in zip(layer, self._spare, strict=True):
                held, to = room[:, :, : self._held], to[:, :, : self._held]
                torch.index_select(held, 0, rows, out=to)
            self._layers[number], self._spare = self._spare, layer


@dataclass(frozen=True)
class Search:
    """How reports are searched for; the names are those of transformers.

    Attributes:
        pad_token_id: Fills rows behind their end.
        eos_token_id: Ends a report.
        max_new_tokens: Longest report, its end included.
        min_new_tokens: Fewest tokens before an end.
        num_beams: Beam width; 1 is greedy.
        num_return_sequences: The best reports of a beam, at most `num_beams`.
        length_penalty: A report's log probability is divided by its length to this power.
        repetition_penalty: Scores of tokens that were written are divided by it, multiplied if
            they are below 0 (Keskar et al. 2019).
        no_repeat_ngram_size: No run of so many tokens is written twice; 0 allows it.
        use_cache: Whether what was written is kept, or read again for each word.
        logits_processor: Change the scores after the penalties, in their order.
        streamer: Is told of each word; greedy search alone.
    """

    pad_token_id: int
    eos_token_id: int
    max_new_tokens: int
    min_new_tokens: int = 0
    num_beams: int = 1
    num_return_sequences: int = 1
    length_penalty: float = 1.0
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    use_cache: bool = True
    logits_processor: Sequence[Scorer] = ()
    streamer: Streamer | None = None

    def __post_init__(self) -> None:
        """Raises ValueError where settings do not go together."""
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens={self.max_new_tokens}: a report has one at least")
        if self.num_return_sequences > self.num_beams:
            raise ValueError(
                f"num_return_sequences={self.num_return_sequences} of num_beams={self.num_beams}"
            )
        if self.streamer is not None and self.num_beams > 1:
            raise ValueError("a streamer needs num_beams=1: beams change what was written")

    @torch.no_grad()
    def write(self, next_scores: NextScores, begun: Tensor) -> Tensor:
        """Writes reports until all have ended.

        Args:
            next_scores: Runs the decoder.
            begun: (B, P), first tokens of each report.

        Returns:
            (B · `num_return_sequences`, T), the first tokens included, the best report of a
            study first; T is P and the number of words that were looked for.
        """
        if self.num_beams > 1:
            return self._beams(next_scores, begun)
        return self._greedy(next_scores, begun)

    def _greedy(self, next_scores: NextScores, begun: Tensor) -> Tensor:
        first, cache = begun.shape[1], self._cache(begun)
        words = begun.new_full((len(begun), first + self.max_new_tokens), self.pad_token_id)
        words[:, :first] = begun
        open_rows = begun.new_ones(len(begun), dtype=torch.bool)
        self._tell(begun)
        for end in range(first, words.shape[1]):
            scores = next_scores(_unread(words[:, :end], cache), cache).float()
            if end == first:
                check_finite(scores, "scores of words")
            scores = self._changed(words[:, :end], scores, end - first)
            following = scores.argmax(-1).where(open_rows, self.pad_token_id)
            words[:, end] = following
            self._tell(following)
            open_rows = open_rows & (following != self.eos_token_id)
            if not open_rows.any():
                words = words[:, : end + 1]
                break
        if self.streamer is not None:
            self.streamer.end()
        return words

    def _beams(self, next_scores: NextScores, begun: Tensor) -> Tensor:
        """As transformers searches with `early_stopping=False`.

        A study goes on while its best open beam, by its length so far, beats the worst of K ended
        ones, or while fewer have ended.
        """
        (studies, first), beams = begun.shape, self.num_beams
        cache, device = self._cache(begun), begun.device
        length = first + self.max_new_tokens
        words = begun.new_full((studies, beams, length), self.pad_token_id)
        words[:, :, :first] = begun[:, None]
        chances = torch.full((studies, beams), -math.inf, device=device)
        chances[:, 0] = 0  # all beams begin alike: one of them goes on
        ended, ended_chances = words.clone(), torch.full_like(chances, -math.inf)
        better = torch.ones(studies, 1, dtype=torch.bool, device=device)
        offsets = torch.arange(studies, device=device)[:, None] * beams
        among_best = torch.arange(2 * beams, device=device) < beams
        for end in range(first, length):
            rows = words[:, :, :end].flatten(0, 1)
            scores = next_scores(_unread(rows, cache), cache).float()
            if end == first:
                check_finite(scores, "scores of words")
            scores = scores.log_softmax(-1)
            scores = self._changed(rows, scores, end - first)
            vocabulary = scores.shape[1]
            total = chances.flatten()[:, None] + scores
            # twice as many as beams: all of them may end, one word ends each
            best, places = total.view(studies, -1).topk(2 * beams)
            parents, following = places // vocabulary, places % vocabulary
            longer = _rows(words, parents)
            longer[:, :, end] = following
            ends = following == self.eos_token_id
            last = end + 1 == length
            final = best / (end + 1 - first) ** self.length_penalty
            counts = among_best & better & (ends | last)
            final = final.masked_fill(~counts, -math.inf)
            ended_chances, kept = torch.cat([ended_chances, final], 1).topk(beams)
            ended = _rows(torch.cat([ended, longer], 1), kept)
            if last:
                break
            chances, kept = best.masked_fill(ends, -math.inf).topk(beams)
            words = _rows(longer, kept)
            possible = chances[:, :1] / (end + 1 - first) ** self.length_penalty
            better = better & (possible > ended_chances[:, -1:])
            if not better.any():
                break
            if cache is not None:
                cache.reorder((parents.gather(1, kept) + offsets).flatten())
        found = ended[:, : self.num_return_sequences].flatten(0, 1)
        return found[:, : end + 1]

    def _cache(self, begun: Tensor) -> WordCache | None:
        # the last word is written and never read
        room = begun.shape[1] + self.max_new_tokens - 1
        return WordCache(room) if self.use_cache else None

    def _changed(self, words: Tensor, scores: Tensor, written: int) -> Tensor:
        """(R, V) scores with the penalties and what is forbidden; words (R, T)."""
        if self.repetition_penalty != 1:
            own = scores.gather(1, words)
            penalty = self.repetition_penalty
            scores = scores.scatter(1, words, torch.where(own < 0, own * penalty, own / penalty))
        size = self.no_repeat_ngram_size
        if size and words.shape[1] >= size:
            runs = words.unfold(1, size, 1)
            begun = words[:, words.shape[1] + 1 - size :]
            again = (runs[:, :, :-1] == begun[:, None]).all(-1)
            times = torch.zeros_like(scores).scatter_add_(1, runs[:, :, -1], again.to(scores.dtype))
            scores = scores.masked_fill(times > 0, -math.inf)
        if written < self.min_new_tokens:
            scores = scores.clone()
            scores[:, self.eos_token_id] = -math.inf
        for change in self.logits_processor:
            scores = change(words, scores)
        return scores

    def _tell(self, words: Tensor) -> None:
        if self.streamer is not None:
            self.streamer.put(words.cpu())


def _unread(words: Tensor, cache: WordCache | None) -> Tensor:
    """The tokens (R, T) that the cache does not hold."""
    return words if cache is None else words[:, cache.get_seq_length() :]


def _rows(values: Tensor, places: Tensor) -> Tensor:
    """values (B, M, T) and places (B, K) → (B, K, T)."""
    return values.gather(1, places[:, :, None].expand(-1, -1, values.shape[2]))
