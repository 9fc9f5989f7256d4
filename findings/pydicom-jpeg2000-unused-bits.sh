#!/usr/bin/env bash
# pydicom 3.0.2 (numpy 2.3.5, pillow 12.0.0)
#
# Behaviour: pixel_array of an uncompressed DICOM image is without the bits above Bits Stored; of the same pixels in
# JPEG 2000 it is with them. So 12-bit values under an overlay bit come back as up to 65,535, without a warning, and a
# window or a stretch to the full range leaves the chest nearly black.
#
# Expected: the same numbers from the same pixels, whatever the transfer syntax; `correct_unused_bits` is on by default
# and its documentation names no syntax.
#
# Why it matters here: archives compress old films, overlays in high bits and all, to JPEG 2000; kia masks the stored
# values itself after every decoder (src/kia/imaging/dicom/pixels.py).
#
# Guess before the run: both maxima are 4095.
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet pydicom==3.0.2 numpy==2.3.5 pillow==12.0.0
"$work/env/bin/python" - <<'PY'
import io

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, ExplicitVRLittleEndian

values = (np.arange(64 * 64).reshape(64, 64) % 4096).astype(np.uint16)
with_overlay = values.copy()
with_overlay[:8, :8] |= 0x8000  # one of the unused bits, as retired overlays have them


def image(syntax):
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    data.Rows = data.Columns = 64
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    return data


plain = image(ExplicitVRLittleEndian)
plain.PixelData = with_overlay.tobytes()
packed = image(JPEG2000Lossless)
stream = io.BytesIO()
Image.fromarray(with_overlay).save(stream, "JPEG2000", irreversible=False, no_jp2=True)
packed.PixelData = encapsulate([stream.getvalue()])
packed["PixelData"].VR = "OB"

found = {"uncompressed": plain.pixel_array, "JPEG 2000": packed.pixel_array}
print("pydicom", pydicom.__version__)
for name, pixels in found.items():
    print(f"{name}: largest value {pixels.max()} of 12 bits stored (4095)")
assert np.array_equal(found["uncompressed"], values), "uncompressed pixels are no longer masked"
assert np.array_equal(found["JPEG 2000"], with_overlay), "the behaviour changed: JPEG 2000 is masked now"
PY
