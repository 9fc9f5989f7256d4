"""Groups of studies, by which results are split: ages go in bands."""

_AGE_BANDS = ((0, 40, "under 40"), (40, 60, "40–59"), (60, 80, "60–79"), (80, 200, "80 and over"))


def banded(values: dict[str, str], column: str) -> dict[str, str]:
    """Ages in bands of twenty years; everything else as it is."""
    return {id_: _age_band(value) for id_, value in values.items()} if column == "age" else values


def _age_band(value: str) -> str:
    try:
        age = float(value)
    except ValueError:
        return "unknown"
    return next((name for low, high, name in _AGE_BANDS if low <= age < high), "unknown")
