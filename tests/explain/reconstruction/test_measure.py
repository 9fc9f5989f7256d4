"""Figure 9a: words are exchanged where they should be, errors are those of the definition."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from kia.errors import DataError, ModelError
from kia.explain.reconstruction.exchanges import edited_report, exchange_of, exchanges, said_about
from kia.explain.reconstruction.measure import (
    CONDITIONS,
    check_pixels,
    compare_reports,
    landmark_errors,
    landmark_mask,
    mean_frontal_image,
    rebuilt,
)
from kia.knowledge.atlas.landmarks import key_patches
from kia.models.image_encoder import patches_to_pixels, pixels_to_images

HEART = "cardiac silhouette"
GRID, PATCH = 8, 4


@pytest.fixture(scope="module")
def built(toy):
    return toy()


def test_only_the_sentences_on_the_landmark_are_edited():
    report = "No pneumothorax. Heart size is normal. Bones are intact. The heart is unchanged."
    assert said_about(report, HEART) == "Heart size is normal. The heart is unchanged."
    edited = edited_report(report, HEART, "The heart is large.")
    assert edited == "No pneumothorax. The heart is large. Bones are intact."
    assert edited_report("No fracture.", HEART, "Big heart.") == "No fracture. Big heart."


def test_studies_that_differ_on_the_heart_exchange_their_words_one_for_one(six_studies):
    found = exchanges(six_studies, six_studies.indices("train"), HEART)
    normal, large = {0, 2, 4}, {1, 3}  # study 5 has no frontal image
    assert len(found) == 4
    assert {one.study for one in found} >= large
    partner = {one.study: one.donor for one in found}
    for study, donor in partner.items():
        assert partner[donor] == study and (study in normal) != (donor in normal)
    one = next(one for one in found if one.study == 1)
    words = said_about(six_studies.study(one.donor).report, HEART)
    assert one.edited == f"{words} Small left pleural effusion."
    assert one.other == six_studies.study(one.donor).report
    again = exchanges(six_studies, six_studies.indices("train"), HEART)
    assert again == found


def test_a_study_of_the_larger_side_still_has_a_picture(six_studies):
    train = six_studies.indices("train")
    assert {exchange_of(six_studies, train, study, HEART).donor for study in (0, 2, 4)} <= {1, 3}
    with pytest.raises(DataError, match="no frontal image or no word on the carina"):
        exchange_of(six_studies, train, 0, "carina")


def test_the_mask_hides_all_key_patches_and_sixty_per_cent_in_the_mean():
    key = key_patches(HEART, 14)
    masks = np.stack([landmark_mask(study, HEART, 14) for study in range(400)])
    assert masks[:, key].all()
    # 400 · 176 draws: four standard errors of the share are below 0.01
    assert masks.mean() == pytest.approx(0.6, abs=0.01)
    assert not (masks[0] == masks[1]).all()


def test_pixels_of_patches_become_the_image_again():
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(pixels_to_images(patches_to_pixels(images, PATCH), PATCH), images)


def patch(image, number):
    y, x = divmod(int(number), GRID)
    return image[PATCH * y : PATCH * (y + 1), PATCH * x : PATCH * (x + 1)]


@torch.no_grad()
def test_errors_are_the_l1_of_each_key_patch_encoded_alone(built, six_studies):
    processor, model = built
    found = exchanges(six_studies, six_studies.indices("train"), HEART)
    errors = landmark_errors(model, processor, six_studies, found, batch_size=3)
    mean = mean_frontal_image(six_studies)
    frontal = [six_studies.pixels(study)[0].astype(float) for study in range(5)]
    np.testing.assert_allclose(mean, np.mean(frontal, 0))
    encoder, key = model.image_cross_encoder, key_patches(HEART, GRID)
    for one, row in zip(found, errors, strict=True):
        image = six_studies.pixels(one.study)[0].astype(float)
        hidden = torch.from_numpy(landmark_mask(one.study, HEART, GRID))[None]
        pixels = processor.normalise(torch.from_numpy(image))[None]
        texts = {"own": one.own, "edited": one.edited, "other": one.other, "empty": ""}
        for place, name in enumerate(CONDITIONS):
            if name == "mean_image":
                differences = [np.abs(patch(mean, n) - patch(image, n)) for n in key]
            else:
                ids = processor.encode([texts[name]], max_words=99, max_tokens=99)[0]
                ends = [processor.token_id(token) for token in ("[CLS]", "[SEP]")]
                text = model.text_encoder(torch.tensor([[ends[0], *ids, ends[1]]]))
                features = encoder(pixels, hidden, encoder.stack.context(text))
                grey = (model.pixel_prediction(features)[0, 1:].double().numpy() + 1) * 127.5
                differences = [np.abs(grey[n].reshape(PATCH, -1) - patch(image, n)) for n in key]
            assert row[place] == pytest.approx(np.mean(differences), rel=1e-5), name
    assert np.abs(errors[:, 0] - errors[:, 1]).min() > 1e-3  # the words reach the pixels


def test_only_hidden_patches_are_rebuilt_and_by_the_report(built, six_studies):
    processor, model = built
    image = np.array(six_studies.pixels(0)[0])
    pixels = processor.normalise(torch.from_numpy(image))
    mask = landmark_mask(0, HEART, GRID)
    reports = ["Heart size is normal.", "The heart is enlarged.", "Heart size is normal."]
    first, second, again = rebuilt(model, processor, pixels, mask, reports)
    for number in range(GRID**2):
        same = (patch(first, number) == patch(image, number)).all()
        assert same == (not mask[number])
    assert (first != second).any() and (first == again).all()


def exchange(study, donor, landmark=HEART):
    return SimpleNamespace(study=study, donor=donor, landmark=landmark)


def test_a_wrong_report_costs_its_error_minus_that_of_the_right_one():
    chosen = [exchange(0, 1), exchange(1, 0), exchange(2, 3, "carina"), exchange(3, 2, "carina")]
    errors = np.array([[10, 12, 11, 20, 5], [20, 24, 21, 20, 5], [1, 1, 1, 1, 1], [1, 2, 3, 4, 5]])
    found = compare_reports(chosen, errors.astype(float))
    assert list(found) == ["all", HEART, "carina"]
    heart = found[HEART]
    assert (heart["studies"], heart["exchanges"]) == (2, 2)
    expected = {"own": 15, "edited": 18, "other": 16, "empty": 20, "mean_image": 5}
    assert heart["error"] == expected
    assert heart["difference"]["edited"]["difference"] == 3
    assert heart["difference"]["edited"]["interval"] == (3, 3)  # a single pair
    every = found["all"]
    assert (every["studies"], every["exchanges"]) == (4, 4)
    assert every["difference"]["edited"]["difference"] == 1.75
    assert every["difference"]["edited"]["interval"] == (0.5, 3)  # the carina's pair, the heart's


def test_a_model_without_the_task_is_refused(toy):
    _, model = toy(mim={"weight": 0})
    with pytest.raises(ModelError, match="masked image modelling"):
        check_pixels(model)
