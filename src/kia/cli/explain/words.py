"""`kia explain words`: masked words guessed with and without the image (Paper: Fig. 9b)."""

from kia.cli import console
from kia.cli.image_input import DataSet, SplitOf, check_split, split_studies
from kia.cli.trained import Model, open_model


def words(
    model: Model,
    data: DataSet,
    split: SplitOf = "test",
    json_file: console.NumbersFile = None,
) -> None:
    """Guess masked words with the study's image, another study's, and none (Figure 9b)."""
    check_split(split)
    from kia.data.store.dataset import PreparedDataset
    from kia.evaluation.guesses import score_guesses
    from kia.explain.findings import check_answers
    from kia.explain.words import guess_words
    from kia.generation import check_image_size

    loaded, processor = open_model(model)
    check_answers(loaded)
    dataset = PreparedDataset.open(data)
    check_image_size(dataset, processor)
    studies = split_studies(dataset, split)
    with console.progress() as bar:
        task = bar.add_task("masked words", total=len(studies))
        guesses = guess_words(
            loaded, processor, dataset, studies, lambda count: bar.advance(task, count)
        )
    scores = score_guesses(guesses)
    rows = []
    for name, one in scores.items():
        worth = one["difference"]["another"]
        interval = "{:+.3f} to {:+.3f}".format(*worth["interval"])
        accuracy = one["accuracy"].values()
        rows.append([name, one["words"], *accuracy, worth["difference"], interval])
    conditions = ("own image", "another's", "no image", "one word")
    console.table(
        ["hidden", "words", *conditions, "gain", "95 % interval"],
        rows,
        title=f"share of hidden words guessed right, {split} of {data}\n"
        "gain: own image − another's; one word: the most frequent one for all",
    )
    if json_file:
        console.write_json(json_file, {"split": split, "words": scores})
