"""KIAProcessor: the vocabulary, texts and images to tensors and back, save and load."""

import hashlib
import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from kia.errors import ConfigError, DataError, ImageError, ModelError
from kia.imaging.reading import ImageWarning
from kia.knowledge.chexpert import OBSERVATIONS, label_report
from kia.processing import SPECIAL_TOKENS, KIAProcessor, train_tokenizer
from kia.spacing import JOINED, SPACED, closed_up

REPORTS = [
    "The heart is normal in size. The lungs are clear.",
    "No pleural effusion, pneumothorax or focal consolidation is seen.",
    "Stable cardiomegaly; the left costophrenic angle is blunted.",
]
LABEL_WORDS = [*re.findall(r"[a-z]+|[.,]", label_report({})), "present", "absent"]


@pytest.fixture(scope="module")
def processor() -> KIAProcessor:
    return KIAProcessor(train_tokenizer(REPORTS, 1000), image_size=24)


def encode(processor: KIAProcessor, report: str) -> list[int]:
    return processor.encode([report], max_words=999, max_tokens=999)[0]


@pytest.mark.parametrize(
    "reports",
    [
        [],
        [""],
        ["x"],
        REPORTS[:1],
        ["the the the " * 500] * 20,
        ["absentee presentation airspace"] * 50,
        ["Ärztlicher Befund: Herzgröße normal. 肺野清晰。"],
        [f"{number} mm nodule" for number in range(3000)],
    ],
    ids=["none", "empty", "letter", "one", "repeated", "similar", "unicode", "numbers"],
)
@pytest.mark.parametrize("vocab_size", [180, 2000])
def test_label_report_words_are_one_id_each_in_any_vocabulary(
    reports: list[str], vocab_size: int
) -> None:
    processor = KIAProcessor(train_tokenizer(reports, vocab_size), image_size=24)
    assert processor.vocab_size <= vocab_size
    unknown = processor.token_id("[UNK]")
    for word in LABEL_WORDS:
        ids = encode(processor, word)
        assert len(ids) == 1, word
        assert ids != [unknown], word
    assert len({encode(processor, word)[0] for word in LABEL_WORDS}) == len(set(LABEL_WORDS))
    positive = dict.fromkeys(OBSERVATIONS, 1)
    for text in (label_report({}), label_report(positive)):
        assert len(encode(processor, text)) == len(re.findall(r"[a-z]+|[.,]", text))


def test_vocabulary_too_small_for_the_label_report_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"set model\.text_encoder\.vocab_size to (\d+)"
    ) as caught:
        train_tokenizer(REPORTS, 60)
    enough = int(re.findall(r"to (\d+) or more", str(caught.value))[0])
    assert train_tokenizer(REPORTS, enough).get_vocab_size() == enough
    with pytest.raises(ConfigError):
        train_tokenizer(REPORTS, enough - len(LABEL_WORDS))


def test_the_same_reports_give_the_same_vocabulary_in_another_process() -> None:
    reports = [f"word{i % 7}ab{i % 5}cd effusion opacity{i % 3}" for i in range(200)]
    code = (
        "import hashlib, json, sys; from kia.processing import train_tokenizer\n"
        "vocabulary = train_tokenizer(json.loads(sys.argv[1]), 300).get_vocab()\n"
        "text = json.dumps(sorted(vocabulary.items()))\n"
        "print(hashlib.sha256(text.encode()).hexdigest())"
    )
    command = [sys.executable, "-c", code, json.dumps(reports)]
    there = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    hashes = {there.stdout.strip()}
    for _ in range(3):
        text = json.dumps(sorted(train_tokenizer(reports, 300).get_vocab().items()))
        hashes.add(hashlib.sha256(text.encode()).hexdigest())
    assert len(hashes) == 1


def test_special_tokens_have_one_id_each(processor: KIAProcessor) -> None:
    numbers = [processor.token_id(token) for token in SPECIAL_TOKENS]
    assert numbers == list(range(len(SPECIAL_TOKENS)))
    assert set(processor.tokenizer.all_special_tokens) == set(SPECIAL_TOKENS)
    for token, number in zip(SPECIAL_TOKENS, numbers, strict=True):
        assert encode(processor, token) == [number]
    everything = sorted(processor.tokenizer.get_vocab().values())
    assert everything == list(range(len(processor.tokenizer))) == list(range(processor.vocab_size))


@pytest.mark.parametrize("report", REPORTS)
def test_decoded_reports_read_like_the_originals(processor: KIAProcessor, report: str) -> None:
    start, end, pad = (processor.token_id(t) for t in ("[START]", "[SEP]", "[PAD]"))
    row = [start, *encode(processor, report), end, pad, pad]
    (text,) = processor.decode(torch.tensor([row]))
    assert text == report.lower()  # as the vocabulary is


def test_word_pieces_are_those_of_transformers() -> None:
    texts = [
        "The patient's heart isn't large; they've seen (mild) edema! 2.5 cm? \"stable\"",
        "he 's well , we 're sure . I 'm n't ' quoted ' here ' s [MATCH] unseen Wörds",
    ]
    processor = KIAProcessor(train_tokenizer([*REPORTS, *texts], 300), image_size=32)
    theirs = processor.tokenizer
    random = torch.Generator().manual_seed(0)
    rows = torch.randint(0, processor.vocab_size, (200, 30), generator=random)
    for ours in ("[SEP]", JOINED, SPACED):  # what stands behind the first, and spaces, are our own
        rows[rows == processor.token_id(ours)] = processor.token_id("[PAD]")
    apart = {"skip_special_tokens": True, "clean_up_tokenization_spaces": False}
    expected = [closed_up(text).strip() for text in theirs.batch_decode(rows, **apart)]
    assert processor.decode(rows) == expected
    for text in texts:
        ids = [
            n for n in encode(processor, text) if processor.spell([n])[0] not in (JOINED, SPACED)
        ]
        assert ids == theirs(text, add_special_tokens=False).input_ids
        shown = closed_up(theirs.decode(ids, **apart)).strip()
        assert processor.decode(torch.tensor([ids])) == [shown]
        assert processor.spell(ids) == theirs.convert_ids_to_tokens(ids)


def test_decoding_stops_at_the_first_end(processor: KIAProcessor) -> None:
    end, pad = processor.token_id("[SEP]"), processor.token_id("[PAD]")
    clear, heart = encode(processor, "the lungs are clear."), encode(processor, "the heart")
    rows = [[*clear, end, *heart], [*heart, end] + [pad] * (len(clear) - 1)]
    rows.append([end] * len(rows[0]))
    width = max(map(len, rows))
    padded = torch.tensor([row + [pad] * (width - len(row)) for row in rows])
    assert processor.decode(padded) == ["the lungs are clear.", "the heart", ""]


def test_reports_are_cut_after_words_and_after_word_pieces(processor: KIAProcessor) -> None:
    report = "The heart is normal in size. The lungs are clear."
    six = processor.encode([report], max_words=6, max_tokens=99)[0]
    assert processor.decode(torch.tensor([six])) == ["the heart is normal in size."]
    whole = encode(processor, report)
    assert processor.encode([report], max_words=99, max_tokens=4)[0] == whole[:4]
    assert processor.encode(["", " \n "], max_words=9, max_tokens=9) == [[], []]


def test_a_saved_processor_is_the_same(processor: KIAProcessor, tmp_path: Path) -> None:
    made = KIAProcessor(processor.tokenizer, image_size=40, channels=3, resize="pad")
    made.save_pretrained(tmp_path / "new" / "folder")
    again = KIAProcessor.from_pretrained(tmp_path / "new" / "folder")
    assert (again.image_size, again.channels, again.resize) == (40, 3, "pad")
    assert again.tokenizer.get_vocab() == made.tokenizer.get_vocab()
    assert set(again.tokenizer.all_special_tokens) == set(SPECIAL_TOKENS)
    for report in [*REPORTS, "[MATCH] unseen wörds, [START]"]:
        ids = encode(made, report)
        assert encode(again, report) == ids
        assert again.decode(torch.tensor([ids])) == made.decode(torch.tensor([ids]))
    picture = np.arange(30 * 50, dtype=np.uint8).reshape(30, 50)
    assert torch.equal(again([picture])["pixel_values"], made([picture])["pixel_values"])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("processor_config.json", None),
        ("processor_config.json", "{"),
        ("processor_config.json", "[]"),
        ("processor_config.json", "{}"),
        ("processor_config.json", '{"image_size": "x", "channels": 1, "resize": "squash"}'),
        ("tokenizer.json", None),
        ("tokenizer.json", "{"),
        ("tokenizer.json", "{}"),
    ],
)
def test_a_damaged_processor_is_one_clear_error(
    name: str, content: str | None, processor: KIAProcessor, tmp_path: Path
) -> None:
    processor.save_pretrained(tmp_path)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(ModelError) as caught:
        KIAProcessor.from_pretrained(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


class Trap:
    """A pickle that writes a file when it is read."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return Path.touch, (self.file,)


def test_pickles_in_the_folder_are_ignored(processor: KIAProcessor, tmp_path: Path) -> None:
    folder, sprung = tmp_path / "model", tmp_path / "sprung"
    processor.save_pretrained(folder)
    for name in ("tokenizer.pkl", "processor.pkl", "pytorch_model.bin", "vocab.pkl"):
        (folder / name).write_bytes(pickle.dumps(Trap(sprung), protocol=2))
    again = KIAProcessor.from_pretrained(folder)
    assert again.tokenizer.get_vocab() == processor.tokenizer.get_vocab()
    assert not sprung.exists()


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_values_become_minus_one_to_one(processor: KIAProcessor, channels: int) -> None:
    made = KIAProcessor(processor.tokenizer, image_size=2, channels=channels)
    grey = torch.tensor([[0, 255], [51, 204]], dtype=torch.uint8)
    expected = torch.tensor([[-1.0, 1.0], [-0.6, 0.6]])
    for pixels in (grey, grey.float()):
        before = pixels.clone()
        pixel_values = made.normalise(pixels)
        assert torch.allclose(pixel_values, expected.expand(channels, 2, 2), atol=1e-6)
        assert torch.equal(pixels, before), "the caller's pixels were changed"
    assert made.normalise(torch.zeros(5, 2, 2, 2)).shape == (5, 2, channels, 2, 2)


def test_arrays_paths_and_bytes_give_the_same_tensors(
    processor: KIAProcessor, tmp_path: Path
) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (24, 24), dtype=np.uint8)
    file = tmp_path / "frontal.png"
    Image.fromarray(picture).save(file)
    made = [processor([source]) for source in (picture, file, str(file), file.read_bytes())]
    for inputs in made:
        assert set(inputs) == {"pixel_values", "view_ids"}
        assert inputs["pixel_values"].shape == (1, 1, 1, 24, 24)
        expected = torch.from_numpy(picture.astype(np.float32) / 127.5 - 1)
        assert torch.allclose(inputs["pixel_values"][0, 0, 0], expected, atol=1e-6)


def test_views_are_frontal_then_lateral_unless_named(processor: KIAProcessor) -> None:
    pictures = [np.full((10, 20), value, np.uint8) for value in (10, 20, 30)]
    assert processor(pictures[:1])["view_ids"].tolist() == [[0]]
    assert processor(pictures)["view_ids"].tolist() == [[0, 1, 1]]
    named = processor(pictures[:2], views=["lateral", "frontal"])
    assert named["view_ids"].tolist() == [[1, 0]]
    assert named["pixel_values"].shape == (1, 2, 1, 24, 24)
    means = named["pixel_values"].mean((0, 2, 3, 4))
    assert torch.allclose(means, torch.tensor([10.0, 20.0]) / 127.5 - 1, atol=1e-5)


def test_deep_arrays_are_taken_in_their_own_range(processor: KIAProcessor) -> None:
    square = np.linspace(0, 255, 24 * 24).reshape(24, 24)
    for dtype in (np.float32, np.float64, np.int64):
        pixel_values = processor([square.astype(dtype)])["pixel_values"][0, 0, 0]
        expected = torch.from_numpy(np.rint(square.astype(dtype)) / 127.5 - 1).float()
        assert torch.allclose(pixel_values, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("images", "views", "error"),
    [
        ([], None, DataError),
        ("chest.png", None, DataError),
        (None, None, DataError),
        ({"frontal": np.zeros((8, 8), np.uint8)}, None, DataError),
        ([np.zeros((8, 8, 5), np.uint8)], None, DataError),
        ([np.zeros((0, 8), np.uint8)], None, DataError),
        ([np.full((8, 8), np.nan)], None, DataError),
        ([[np.zeros((8, 8), np.uint8)], []], None, DataError),
        ([[]], None, DataError),
        ([[np.zeros((8, 8), np.uint8)], np.zeros((8, 8), np.uint8)], None, DataError),
        ([[np.zeros((8, 8), np.uint8)]], ["frontal"], DataError),
        ([[np.zeros((8, 8), np.uint8)]], [["frontal"], ["lateral"]], DataError),
        ([[np.zeros((8, 8), np.uint8)]], [["frontal", "lateral"]], DataError),
        ([[[[1, 2], [3, 4]]], [["a.png"]]], None, DataError),
        ([np.zeros((8, 8), np.uint8)], ["oblique"], DataError),
        ([np.zeros((8, 8), np.uint8)], ["frontal", "lateral"], DataError),
        (["missing.png"], None, ImageError),
        ([b"no image"], None, ImageError),
        ([None], None, ImageError),
    ],
)
def test_input_that_cannot_work_is_one_clear_error(
    images: Any, views: Any, error: type[Exception], processor: KIAProcessor
) -> None:
    with pytest.raises(error) as caught:
        processor(images, views)
    assert str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "image",
    [np.eye(8, dtype=np.uint8), torch.eye(8), Image.new("L", (8, 8)), [[0, 255], [255, 0]]],
    ids=["array", "tensor", "pillow", "rows"],
)
def test_one_image_stands_for_a_study_with_no_other(image: Any, processor: KIAProcessor) -> None:
    alone, listed = processor(image), processor([image])
    assert torch.equal(alone["pixel_values"], listed["pixel_values"])


def test_texts_are_encoded_as_the_text_encoder_reads_them(processor: KIAProcessor) -> None:
    """Reference: transformers' tokenizer with the same word pieces, between [CLS] and [SEP]."""
    texts = ["the heart is large", "no effusion is seen in the left lung"]
    found = processor(text=texts, return_tensors="pt")
    for ids, mask, text in zip(found.input_ids, found.attention_mask, texts, strict=True):
        theirs = processor.tokenizer(f"[CLS] {text} [SEP]")["input_ids"]
        assert ids[mask.bool()].tolist() == theirs
        assert set(ids[~mask.bool()].tolist()) <= {processor.token_id("[PAD]")}
    both = processor(np.eye(8, dtype=np.uint8), text=texts[0], return_tensors="np")
    assert {*both} == {"pixel_values", "view_ids", "input_ids", "attention_mask"}
    assert all(isinstance(value, np.ndarray) for value in both.values())
    assert both.to is not None
    with pytest.raises(DataError, match="return_tensors='tf'"):
        processor(text=texts, return_tensors="tf")


def test_decoding_takes_what_transformers_tokenizers_take(processor: KIAProcessor) -> None:
    ids = processor(text=["the heart is large"])["input_ids"]
    assert processor.batch_decode(ids, skip_special_tokens=True) == ["the heart is large"]
    assert processor.decode(ids[0], skip_special_tokens=True) == "the heart is large"
    theirs = processor.tokenizer.decode(ids[0], skip_special_tokens=False)
    assert processor.decode(ids[0].tolist(), skip_special_tokens=False) == theirs
    assert theirs.startswith("[CLS]") and theirs.endswith("[SEP]")


def test_inputs_move_together_and_keep_whole_numbers(processor: KIAProcessor) -> None:
    inputs = processor(np.eye(8, dtype=np.uint8)).to("cpu", torch.float16)
    assert inputs.pixel_values.dtype == torch.float16 and inputs.view_ids.dtype == torch.int64
    with pytest.raises(AttributeError):
        _ = inputs.labels


def test_every_form_of_a_picture_gives_the_same_tensors(
    processor: KIAProcessor, tmp_path: Path
) -> None:
    """Reference: its PNG."""
    grey = np.tile(np.arange(24, dtype=np.uint8) * 11, (24, 1))
    file = tmp_path / "frontal.png"
    Image.fromarray(grey).save(file)
    expected = processor([file])["pixel_values"]
    colour = np.repeat(grey[..., None], 3, axis=2)
    forms = [grey, grey / 255, grey.astype(np.float32), grey.astype(np.int64), grey.tolist()]
    forms += [Image.fromarray(grey), Image.fromarray(grey).convert("RGBA"), colour, colour / 255]
    forms += [torch.from_numpy(form) for form in (grey, grey / 255, grey[None], colour)]
    forms += [torch.from_numpy(colour).permute(2, 0, 1), file.read_bytes(), str(file)]
    for form in forms:
        made, flags = processor.checked([form])
        assert torch.allclose(made["pixel_values"], expected, atol=1e-6), type(form)
        assert torch.allclose(processor([form])["pixel_values"], expected, atol=1e-6)
        assert flags == []
    deep = [grey.astype(np.uint16) * 16, grey.astype(np.int16) * 16 - 2000]
    for form in [*deep, *(torch.from_numpy(one) for one in deep)]:
        pixel_values = processor([form])["pixel_values"]
        stretched = np.rint(grey * (255 / 253)) / 127.5 - 1  # 0 … 253
        assert torch.allclose(pixel_values[0, 0, 0], torch.from_numpy(stretched).float())


def test_a_coloured_array_is_warned_of_and_flagged(processor: KIAProcessor) -> None:
    colour = np.zeros((24, 24, 3), np.uint8)
    colour[..., 0] = np.arange(24) * 10
    with pytest.warns(ImageWarning, match="^image 2: no X-ray. The picture is coloured"):
        processor([colour[..., 0], colour])
    _, flags = processor.checked([colour[..., 0], colour])
    assert [(flag["view"], flag["kind"]) for flag in flags] == [(1, "colour")]


def test_pad_keeps_the_true_shape_of_a_dicom_picture(processor: KIAProcessor, dicom: Any) -> None:
    """Pixels twice as wide as high: 24 × 24 of them are a picture twice as wide as high."""
    padding = KIAProcessor(processor.word_pieces, image_size=24, resize="pad")
    bright = np.full((24, 24), 200, np.uint8)
    bright[0, 0] = 0
    data = dicom(bright, PixelSpacing=[0.1, 0.2])
    for made in (padding([data]), padding.checked([data])[0]):
        shown = made["pixel_values"][0, 0, 0] > 0
        assert (int(shown.any(1).sum()), int(shown.any(0).sum())) == (12, 24)


def test_a_batch_of_studies_with_unequal_views(processor: KIAProcessor) -> None:
    """Each study as alone; what it lacks is zero and False in the mask, as in training."""
    pictures = [np.full((10, 20), value, np.uint8) for value in (10, 20, 30, 40)]
    studies = [pictures[:1], pictures[1:3], (pictures[3],)]
    made = processor(studies, views=[None, ["lateral", "frontal"], ["lateral"]])
    assert set(made) == {"pixel_values", "view_ids", "view_mask"}
    assert made["pixel_values"].shape == (3, 2, 1, 24, 24)
    assert made["view_mask"].tolist() == [[True, False], [True, True], [True, False]]
    assert made["view_ids"].tolist() == [[0, 0], [1, 0], [1, 0]]
    alone = [processor(study)["pixel_values"][0] for study in studies]
    for row, study in enumerate(alone):
        assert torch.equal(made["pixel_values"][row, : len(study)], study)
    assert not made["pixel_values"][0, 1].any()
    assert set(processor([pictures[:2], pictures[2:]])) == {"pixel_values", "view_ids"}
    assert processor([pictures[:2], pictures[2:]])["view_ids"].tolist() == [[0, 1], [0, 1]]
    rows = processor([[picture.tolist() for picture in study] for study in studies])
    assert torch.equal(rows["pixel_values"], made["pixel_values"])
    with pytest.raises(DataError, match="one study at a time"):
        processor.checked(studies)


def test_grey_gives_back_what_was_normalised(processor: KIAProcessor) -> None:
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16)
    assert torch.equal(processor.grey(processor.normalise(pixels)), pixels)
