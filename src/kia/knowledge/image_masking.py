"""Which patches of an image are hidden (Paper: Sec. 3.2, Eq. 2-3).

Masking is general here: every patch with the same probability, as in SimMIM. The
anatomy-guided probabilities of Eq. 2-3 are not built yet.
"""

import numpy as np
from numpy.typing import NDArray


def general_image_mask(draws: NDArray[np.float64], p_total: float) -> NDArray[np.bool_]:
    """Hides each patch independently with probability `p_total`.

    Args:
        draws: (…, N) uniform numbers in [0, 1).
        p_total: Expected share of hidden patches, 0 to 1 (Paper: Sec. 3.2, 0.6).

    Returns:
        (…, N), True where a patch is hidden.
    """
    return draws < p_total
