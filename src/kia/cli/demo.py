"""placeholder"""


def demo() -> None:
    """Phantom data, training, evaluation and a report, in a few minutes."""
