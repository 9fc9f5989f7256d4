#!/usr/bin/env bash
# pandas 2.3.3, fast-bleu 0.0.90 (built from its sources: needs a C++ compiler)
#
# Behaviour: a report that is empty, or is the word "None" or "NA", becomes the word "nan" on its way through a CSV. Where
# both sides are empty, fast-bleu's smoothed BLEU-2 of "nan" against "nan" is .316: neither 1 nor 0.
#
# Expected: an empty report scores 0, or two equal ones score 1.
#
# Why it matters here: ReXrank's evaluation writes reports to CSV files, reads them with pandas.read_csv and takes str() of
# each (prep_reports in run_eval.py of rajpurkarlab/CXR-Report-Metric); kia's protocol `rexrank` does the same to empty
# reports (src/kia/evaluation/language/rexrank.py).
#
# Guess before the run: the words are "" and None, the score is 0.
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet setuptools wheel pandas==2.3.3 fast-bleu==0.0.90
"$work/env/bin/python" - <<'PY'
import io

import pandas
from fast_bleu import BLEU

reports = ["", "None", "NA", "clear"]
file = io.StringIO()
pandas.DataFrame({"study_id": range(4), "report": reports}).to_csv(file, index=False)
file.seek(0)
read = [str(report) for report in pandas.read_csv(file)["report"]]
print("written:", reports, "read:", read)
assert read == ["nan", "nan", "nan", "clear"]

score = BLEU([["nan"]], {"bigram": (0.5, 0.5)}).get_score([["nan"]])["bigram"][0]
print("BLEU-2 of one word against itself:", score)
assert abs(score - 0.1**0.5) < 1e-12
PY
echo "as described"
