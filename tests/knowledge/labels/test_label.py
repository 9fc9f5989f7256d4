"""`kia.label`: lists of texts in, the 14 observations out, as a radiologist reads them."""

import subprocess
import sys

import numpy as np
import pytest

import kia
from kia.errors import UsageError
from kia.knowledge.chexpert import OBSERVATIONS


def test_each_text_gets_the_14_observations():
    texts = ["No pneumothorax. Mild cardiomegaly.", "Possible pneumonia.", "Lungs are clear."]
    first, second, third = kia.label(texts)
    assert list(first) == list(second) == list(third) == list(OBSERVATIONS)
    assert (first["Pneumothorax"], first["Cardiomegaly"], first["Edema"]) == (0, 1, None)
    assert (second["Pneumonia"], second["No Finding"]) == (-1, None)
    assert third["No Finding"] == 1


@pytest.mark.parametrize("missing", [None, float("nan"), "", "N/A", np.float64("nan")])
def test_a_missing_text_says_nothing(missing):
    assert kia.label([missing]) == [dict.fromkeys(OBSERVATIONS)]


def test_any_column_of_texts_will_do():
    assert kia.label(np.array(["Cardiomegaly."]))[0]["Cardiomegaly"] == 1
    assert kia.label(text for text in ("Cardiomegaly.",))[0]["Cardiomegaly"] == 1
    assert kia.label([]) == []


@pytest.mark.parametrize("texts", ["Cardiomegaly.", ["x", 7], [b"x"], [["x"]]])
def test_what_is_no_list_of_texts_is_refused(texts):
    with pytest.raises(UsageError, match=r"^kia\.label"):
        kia.label(texts)


def test_it_loads_no_torch():
    code = "import sys, kia; kia.label(['clear']); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
