"""Which tokens of a report are hidden (Paper: Sec. 3.2, Eq. 5).

Masking is general here, as in BERT. Graph- and label-guided masking are not built yet.
"""

import numpy as np
from numpy.typing import NDArray


def general_text_mask(
    input_ids: NDArray[np.int64],
    maskable: NDArray[np.bool_],
    draws: NDArray[np.float64],
    *,
    p_mask: float,
    mask_id: int,
    ordinary_ids: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Hides tokens as BERT does: 80 % become [MASK], 10 % another token, 10 % stay.

    Args:
        input_ids: (B, T).
        maskable: (B, T), False on special tokens and padding.
        draws: (3, B, T) uniform numbers in [0, 1): whether, how, and by which token.
        p_mask: Share of maskable tokens that are predicted.
        mask_id: Id of [MASK].
        ordinary_ids: Ids of the vocabulary without its special tokens.

    Returns:
        The masked ids (B, T), and (B, T) True where the original is to be predicted.
    """
    chosen = maskable & (draws[0] < p_mask)
    random_ids = ordinary_ids[(draws[2] * len(ordinary_ids)).astype(np.int64)]
    masked = np.where(chosen & (draws[1] < 0.8), mask_id, input_ids)
    masked = np.where(chosen & (draws[1] >= 0.8) & (draws[1] < 0.9), random_ids, masked)
    return masked, chosen
