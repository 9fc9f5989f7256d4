"""What a run is made of: processor and model from a configuration and the training reports."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from kia.config import RunConfig
from kia.data.reference import learn_reference, learn_seen
from kia.data.store.dataset import PreparedDataset
from kia.errors import ConfigError, DataError
from kia.generation import model_folder
from kia.imaging.resize import Resize
from kia.knowledge.chexpert import OBSERVATIONS, label_report
from kia.knowledge.masks.coverage import KnowledgeCoverage
from kia.models import KIAModel, model_configuration
from kia.models.efficientnet import EfficientNetStem
from kia.models.feature_memo import FeatureMemo
from kia.models.pretrained import load_pretrained_towers, pretrained_tokenizer
from kia.processing import SPECIAL_TOKENS, KIAProcessor, train_tokenizer
from kia.spacing import JOINED, SPACED
from kia.studies import Split
from kia.tasks.joint import active_tasks
from kia.training.frozen import freeze


def check_fit(config: RunConfig, dataset: PreparedDataset) -> None:
    """Refuses a data set that the configuration cannot be trained on.

    Raises:
        DataError: Another image size, or no training studies.
        ConfigError: A batch larger than the training split, or texts longer than positions.
    """
    size = config.model.image_size
    if dataset.image_size != size:
        raise DataError(
            f"{dataset.path} holds {dataset.image_size}-pixel images, the configuration wants "
            f"{size}: prepare it again with --size {size}, or --set model.image_size="
            f"{dataset.image_size}"
        )
    studies = len(dataset.indices("train"))
    if not studies:
        raise DataError(f"{dataset.path} has no training studies")
    needed: tuple[tuple[Split, str], ...] = (("train", "training"), ("val", "validation"))
    for split, what in needed:
        if len(dataset.indices(split)) and not len(dataset.reported(split)):
            raise DataError(
                f"{dataset.path} has no {what} study with a report: kia data mix puts it beside a "
                "data set that has some"
            )
    if not len(dataset.indices("val")):
        raise DataError(f"{dataset.path} has no validation studies to select the model on")
    words, positions = config.data.max_words, config.model.text_encoder.max_positions
    if positions < words + 2:  # [START] or [CLS], and [SEP]
        raise ConfigError(
            f"model.text_encoder.max_positions {positions} cuts reports of data.max_words {words}, "
            f"which have a word piece a word or more: --set model.text_encoder.max_positions="
            f"{2 * words}, or --set data.max_words={positions - 2} or less"
        )
    if config.train.batch_size > studies:
        raise ConfigError(
            f"train.batch_size {config.train.batch_size} is larger than the {studies} training "
            f"studies of {dataset.path}"
        )


_MASKED_BY = {
    "reports_without_landmarks": "tasks.mim.masking=anatomy hides patches by landmarks",
    "reports_without_labels": "tasks.mlm.masking masks words by labels",
    "reports_without_entities": "tasks.mlm.masking masks words by entities",
    "sentences_without_entities": "tasks.mlm.masking masks words by entities",
}
_FILES = {
    "reports_without_labels": " (or takes them from --labels)",
    "reports_without_entities": " (or takes them from --graphs)",
    "sentences_without_entities": " (or takes them from --graphs)",
}


def knowledge_shares(config: RunConfig, dataset: PreparedDataset) -> dict[str, float | None]:
    """How often the knowledge-guided masks of a run will fall back to chance; {} without any.

    Raises:
        DataError: No training study has what the configured masks need.
    """
    mim, mlm = config.tasks.mim, config.tasks.mlm
    needed = {
        "reports_without_landmarks": mim.weight and mim.masking == "anatomy",
        "reports_without_labels": mlm.weight and "label" in mlm.masking,
        "reports_without_entities": mlm.weight and "graph" in mlm.masking,
        "sentences_without_entities": mlm.weight and "graph" in mlm.masking,
    }
    if not any(needed.values()):
        return {}
    shares = KnowledgeCoverage(**dataset.info["knowledge"]["train"]).shares()
    for name, share in shares.items():
        if needed[name] and share in (1, None):
            raise DataError(
                f"{dataset.path} has only {name.replace('_', ' ')}, and {_MASKED_BY[name]}: "
                "prepare it again with this version of kia, which finds them in the reports"
                f"{_FILES.get(name, '')}, or --set that to general"
            )
    return {name: share for name, share in shares.items() if needed[name]}


def label_shares(config: RunConfig, dataset: PreparedDataset) -> list[float] | None:
    """(14,) shares of the training reports that have each observation; None without Label-MLM.

    Studies without a report do not count: which of them a source has is somebody's choice, and
    says nothing of what reports say. Uncertain counts as the label report words it. One report with
    it and one without are added, so that no share is 0 or 1.
    """
    mlm = config.tasks.mlm
    if not mlm.weight or "label" not in mlm.masking:
        return None
    states = (1,) if mlm.uncertain_as == "absent" else (1, -1)
    total, present = 0, [0] * len(OBSERVATIONS)
    for labels, studies in dataset.label_sets("train", reported=True):
        total += studies
        for place, name in enumerate(OBSERVATIONS):
            present[place] += studies * (labels.get(name) in states)
    return [(count + 1) / (total + 2) for count in present]


def build_processor(
    config: RunConfig,
    train_reports: Sequence[str],
    folder: Path,
    resize: Resize = "squash",
    dataset: PreparedDataset | None = None,
    words_of: Path | None = None,
) -> KIAProcessor:
    """The run's processor: read from `folder` if it is there, else made and saved.

    Args:
        config: Tokenizer, image size and channels.
        train_reports: Raw texts to train a tokenizer on.
        folder: Of the processor.
        resize: How the images of the data set became square.
        dataset: Whose training images the processor will take for plausible, and know again.
        words_of: A model whose tokenizer is taken as it is.

    Raises:
        ConfigError: Label-MLM's label report is longer than the text tower's positions, or the
            checkpoint's tokenizer has no entry for what it masks.
    """
    if (folder / KIAProcessor.FILE).is_file():
        return KIAProcessor.from_pretrained(folder)
    text = config.model.text_encoder
    if words_of:
        tokenizer = KIAProcessor.from_pretrained(model_folder(words_of)).word_pieces
    elif text.pretrained:
        tokenizer = pretrained_tokenizer(text.pretrained)
        tokenizer.add_special_tokens([*SPECIAL_TOKENS, JOINED, SPACED])
    else:
        tokenizer = train_tokenizer(train_reports, text.vocab_size)
    processor = KIAProcessor(
        tokenizer,
        image_size=config.model.image_size,
        channels=config.model.image_encoder.channels,
        resize=resize,
        reference=learn_reference(dataset) if dataset else None,
        seen=learn_seen(dataset) if dataset else None,
    )
    _check_label_report(config, processor)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    processor.save_pretrained(partial)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return processor


def _check_label_report(config: RunConfig, processor: KIAProcessor) -> None:
    mlm, longest = config.tasks.mlm, config.model.text_encoder.max_positions
    if not mlm.weight or "label" not in mlm.masking:
        return
    for state in ("present", "absent"):
        encoded = processor.encode([state], max_words=1, max_tokens=9)[0]
        if len(encoded) != 1 or encoded[0] == processor.token_id("[UNK]"):
            raise ConfigError(
                f"tasks.mlm.masking={mlm.masking} masks the words present and absent, but the "
                f"tokenizer of {config.model.text_encoder.pretrained} has no entry '{state}': use "
                "another checkpoint, or set model.text_encoder.pretrained to null"
            )
    pieces = processor.encode([label_report({})], max_words=10**6, max_tokens=10**6)[0]
    if 2 + len(pieces) > longest:  # [CLS] and [SEP] beside them
        raise ConfigError(
            f"tasks.mlm.masking={mlm.masking} reads a label report of {2 + len(pieces)} word "
            f"pieces, the text tower {longest}: --set "
            f"model.text_encoder.max_positions={2 + len(pieces)}"
        )


def build_model(
    config: RunConfig,
    processor: KIAProcessor,
    *,
    pretrained: bool = True,
    vocab_size: int | None = None,
) -> KIAModel:
    """The model of a run, its frozen parts frozen; random weights come from torch's generator.

    Args:
        config: Sizes, tasks and checkpoints of towers.
        processor: Decides the vocabulary.
        pretrained: Whether to load the checkpoints that the configuration names; not where other
            weights will replace them.
        vocab_size: Another size than that of the processor's vocabulary (for estimates).
    """
    names = ("[PAD]", "[SEP]", "[START]", "[MATCH]")
    settings = model_configuration(
        config.model,
        vocab_size=vocab_size or processor.vocab_size,
        token_ids={name: processor.token_id(name) for name in names},
        tasks=active_tasks(config.tasks),
    )
    settings.generation_defaults = config.generation.model_dump()
    model = KIAModel(settings)
    if pretrained:
        load_pretrained_towers(model, config.model)
    freeze(model, config.train.frozen)
    if config.train.keep_frozen_features:
        stem = model.image_encoder.stem
        assert isinstance(stem, EfficientNetStem)  # the configuration refuses others
        stem.memo = FeatureMemo()
    return model
