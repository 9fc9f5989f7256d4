"""64-bit hashes of phrases, made for many at once, that need no vocabulary.

The hash of bytes b₀ b₁ … is Σ T[bₖ] · Pᵏ modulo 2⁶⁴ with fixed random T and odd P, so that the
hash of two words with a blank between them follows from those of the words.
"""

import hashlib

import numpy as np

_PRIME = 0x9E3779B97F4A7C15  # odd: it has an inverse
_MASK = (1 << 64) - 1


def _random(count: int) -> np.ndarray:
    digests = (hashlib.sha256(b"kia meteor %d" % n).digest()[:8] for n in range(count))
    return np.frombuffer(b"".join(digests), "<u8").copy()


TABLE = _random(256)
BLANK = TABLE[ord(" ")]


def powers(count: int, base: int = _PRIME) -> np.ndarray:
    """1, P, P² …, (count,) as uint64."""
    found = np.full(count, base, np.uint64)
    found[:1] = 1
    return np.multiply.accumulate(found)


def phrase_hash(phrase: str) -> int:
    """The hash of one phrase, as a signed number."""
    value, power = 0, 1
    for byte in phrase.encode("utf-8", "surrogatepass"):
        value += int(TABLE[byte]) * power
        power = power * _PRIME & _MASK
    value &= _MASK
    return value - (1 << 64) if value >> 63 else value


class LineHashes:
    """Hashes of lines that lie one after another in a block of bytes.

    Args:
        most: Bytes that a block may have.
    """

    def __init__(self, most: int) -> None:
        self._powers = powers(most)
        self._inverse = powers(most, pow(_PRIME, -1, 1 << 64))

    def of(self, block: np.ndarray, begins: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """The hashes of the lines, (n,) as int64.

        Args:
            block: Bytes, (size,).
            begins: Where the lines begin, (n,).
            ends: Behind their last bytes, (n,).
        """
        sums = np.zeros(len(block) + 1, np.uint64)
        np.cumsum(TABLE[block] * self._powers[: len(block)], out=sums[1:])
        return ((sums[ends] - sums[begins]) * self._inverse[begins]).view(np.int64)


def joined(first: np.ndarray, length: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Hashes of "first second" from those of both and the bytes of the first, (n,) as uint64."""
    return first + _POWERS[length] * (BLANK + np.uint64(_PRIME) * second)


_POWERS = powers(1 << 16)
LONGEST = len(_POWERS) - 1
"""Bytes of a phrase that can be joined with another."""
