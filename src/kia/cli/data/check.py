"""What `kia data check` prints."""

from collections.abc import Mapping
from typing import Any

MOST = 10  # groups of equal images that are named


def print_check(result: Mapping[str, Any]) -> None:
    """Prints what `kia.data.store.check.check_dataset` found."""
    from kia.cli.console import one_line, out
    from kia.data.store.check import FEWEST_WORDS
    from kia.knowledge.language import NAMES

    _print_table(result["splits"], "split")
    if any(any(states.values()) for states in result["labels"].values()):
        _print_table(result["labels"], "observation", "labels, all splits")
    _print_table(
        result["knowledge"], "split", "where knowledge is silent, masks fall back to chance"
    )
    same = result["same_images"]
    for group in same[:MOST]:
        names = (f"{one_line(i['id'])} ({i['view']}, {i['split']})" for i in group)
        out.print(f"same image: {' = '.join(names)}")
    if same[MOST:]:
        out.print(f"and {len(same) - MOST} more (--json names them)")
    out.print(f"{result['images_in_two_splits']} images occur in more than one split")
    patients = result["patients_in_two_splits"]
    named = f": {', '.join(map(one_line, patients[:MOST]))}" if patients else ""
    out.print(f"{len(patients)} patients are in more than one split{named}")
    short = result["short_reports"]
    out.print(f"{sum(short.values())} reports have fewer than {FEWEST_WORDS} words")
    for text, count in list(short.items())[:MOST]:
        out.print(f"  {count} × “{one_line(text)}”")
    foreign = result["other_languages"]
    if foreign:
        counts = ", ".join(f"{count} {NAMES[code]}" for code, count in foreign.items())
        out.print(f"{sum(foreign.values())} reports are not in English: {counts}")
    out.print(f"{result['blank_images']} images are blank")
    out.print(f"{result['rejects']} inputs were left out (rejects.jsonl)")
    if result["deidentified"]:
        out.print("de-identified: ids are hashed, what rules found personal in reports is ___")
    out.print(f"content verified: {result['hash']}")


def _print_table(
    rows: Mapping[str, Mapping[str, Any]], what: str, title: str | None = None
) -> None:
    from kia.cli.console import table

    columns = [name.replace("_", " ") for name in next(iter(rows.values()))]
    table([what, *columns], [[name, *row.values()] for name, row in rows.items()], title=title)
