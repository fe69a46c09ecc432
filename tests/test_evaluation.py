"""Metrics against scikit-learn, hand computations and published values; what a run leaves, and what reads it."""

import html.parser
import itertools
import json
import warnings

import keras
import numpy as np
import pandas
import pytest
import scipy.stats
import sklearn.metrics
from conftest import few
from PIL import Image

import recipes.training.prediction
from recipes.__main__ import main
from recipes.cifar10_davidnet import train
from recipes.data.images import load_image_dataset
from recipes.data.preparation import Preparation
from recipes.reporting import evaluation as evaluations
from recipes.reporting import plots
from recipes.reporting.evaluation import plot_predictions
from recipes.reporting.evaluation import read_evaluation
from recipes.reporting.evaluation import write_evaluation
from recipes.reporting.metrics import Evaluation
from recipes.reporting.metrics import wilson_interval
from recipes.reporting.records import read_record
from recipes.reporting.report import report
from recipes.training.prediction import evaluate_run
from recipes.training.prediction import evaluate_split
from recipes.training.prediction import on_device
from recipes.training.prediction import predict
from recipes.training.recipe import Experiment
from recipes.training.run import Run

HOSTILE = ["<script>alert(1)</script>", '"><img src=x onerror=alert(2)>', "$\\frac{", "_hidden", "NA", "a,b;\n'c'"]
COLORS = {"blue": (30, 40, 220), "green": (30, 210, 40), "red": (220, 30, 40)}


def drawn(classes=5, images=300, seed=0, absent=()):
    """Labels and probabilities that are often right."""
    rng = np.random.default_rng(seed)
    labels = rng.choice([each for each in range(classes) if each not in absent], images)
    scores = rng.random((images, classes)) + 0.7 * np.eye(classes)[labels]
    return labels, scores / scores.sum(-1, keepdims=True)


@pytest.mark.parametrize("absent", [(), (2,)])
def test_figures_are_those_of_scikit_learn(absent):
    labels, probabilities = drawn(absent=absent)
    probabilities[:, 4] = 0  # a class that is never predicted
    probabilities /= probabilities.sum(-1, keepdims=True)
    evaluation = Evaluation(labels, probabilities, list("abcde"))
    predicted = probabilities.argmax(-1)
    assert evaluation.aca == sklearn.metrics.accuracy_score(labels, predicted)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that are predicted, and absent
        assert evaluation.mca == pytest.approx(sklearn.metrics.balanced_accuracy_score(labels, predicted))
        expected = sklearn.metrics.classification_report(
            labels, predicted, labels=range(5), target_names=list("abcde"), output_dict=True, zero_division=np.nan
        )
    table = evaluation.per_class()
    for name, row in table.iterrows():
        for ours, theirs in (("recall", "recall"), ("precision", "precision"), ("f1", "f1-score"), ("support",) * 2):
            np.testing.assert_allclose(row[ours], expected[name][theirs])
    counts = sklearn.metrics.confusion_matrix(labels, predicted, labels=range(5))
    np.testing.assert_array_equal(evaluation.confusion_matrix(), counts)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    np.testing.assert_allclose(evaluation.confusion_matrix(normalize=True), shares)
    assert ("recall/c" in evaluation.metrics()) == (absent == ())
    assert evaluation.metrics().keys() == evaluation.intervals().keys()
    assert np.isfinite(list(evaluation.metrics().values())).all()


def test_figures_by_hand():
    """Of 4 cats 3 are right, of 2 dogs 1, the one owl is taken for a dog."""
    predicted = [0, 0, 0, 1, 1, 0, 1]
    probabilities = 0.1 + 0.7 * np.eye(3)[predicted]
    evaluation = Evaluation([0, 0, 0, 0, 1, 1, 2], probabilities, ["cat", "dog", "owl"])
    assert evaluation.aca == pytest.approx(4 / 7)
    assert evaluation.mca == pytest.approx((3 / 4 + 1 / 2 + 0) / 3)
    assert evaluation.confusion_matrix().tolist() == [[3, 1, 0], [1, 1, 0], [0, 1, 0]]
    table = evaluation.per_class()
    assert table.loc["dog", ["recall", "precision", "f1", "support"]].tolist() == pytest.approx([1 / 2, 1 / 3, 0.4, 2])
    assert np.isnan(table.loc["owl", "precision"])
    assert table.loc["owl", "f1"] == 0
    low, high = table.loc["cat", ["recall_low", "recall_high"]]
    expected = scipy.stats.binomtest(3, 4).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high))


# R. G. Newcombe, Two-sided confidence intervals for the single proportion, Statistics in Medicine 17 (1998), table I.
@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0000, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_intervals_are_the_published_ones(successes, trials, low, high):
    interval = wilson_interval(successes, trials)
    np.testing.assert_allclose(interval, (low, high), atol=5e-5)
    for level in (0.9, 0.95, 0.99):
        expected = scipy.stats.binomtest(successes, trials).proportion_ci(level, method="wilson")
        np.testing.assert_allclose(wilson_interval(successes, trials, level), expected, atol=1e-9)


def test_the_interval_of_mca_is_that_of_images_drawn_again_in_their_classes():
    labels, probabilities = drawn(classes=3, images=120)
    evaluation = Evaluation(labels, probabilities, list("abc"))
    right, rng = evaluation.predicted == labels, np.random.default_rng(1)
    groups = [right[labels == number] for number in range(3)]
    samples = [np.mean([rng.choice(group, len(group)).mean() for group in groups]) for _ in range(4000)]
    np.testing.assert_allclose(evaluation.mca_interval(), np.quantile(samples, (0.025, 0.975)), atol=0.012)
    assert evaluation.mca_interval() == evaluation.mca_interval(seed=0) != evaluation.mca_interval(seed=3)


def test_no_mistake_is_no_certainty():
    evaluation = Evaluation(np.arange(20) % 2, np.eye(2)[np.arange(20) % 2], ["a", "b"])
    expected = scipy.stats.binomtest(20, 20).proportion_ci(method="wilson")
    assert evaluation.mca_interval() == pytest.approx((expected.low, 1.0))


def test_mistakes_are_in_the_order_of_their_confidence():
    labels, probabilities = drawn(images=200)
    evaluation = Evaluation(labels, probabilities, list("abcde"))
    positions = evaluation.mistakes(10)
    assert (evaluation.predicted[positions] != labels[positions]).all()
    wrong = sorted(evaluation.confidence[evaluation.predicted != labels], reverse=True)
    assert evaluation.confidence[positions].tolist() == wrong[:10]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0], [[0.5, 0.5], [1, 0]], ["a", "b"]), "`labels` must be 2 numbers"),
        (([0, 2], [[0.5, 0.5], [1, 0]], ["a", "b"]), "`labels`.*from 0 to 1.*from 0 to 2"),
        (([0.0, 1.0], [[0.5, 0.5], [1, 0]], ["a", "b"]), "`labels`.*float"),
        (([], np.zeros((0, 2)), ["a", "b"]), r"`probabilities`.*\(0, 2\)"),
        (([0], [[0.5, 0.5]], ["a"]), r"rows of 1.*\(1, 2\)"),
        (([0], [[3.0, -2.0]], ["a", "b"]), "sum to 1.*-2"),
        (([0], [[np.nan, 1]], ["a", "b"]), "NaN.*diverged"),
        (([0], [[0.5, 0.5]], ["a", "a"]), "`class_names` must differ"),
        (([0], [[0.5, 0.5]], ["a", "b"], ["1", "2"]), "`paths`.*Received: 2"),
    ],
)
def test_what_does_not_fit_together_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Evaluation(*arguments)


def test_without_labels_there_are_no_figures():
    with pytest.raises(ValueError, match="not known"):
        Evaluation(None, [[0.5, 0.5]], ["a", "b"]).per_class()


def test_tables_are_read_as_they_were_written_whatever_the_names(tmp_path):
    labels, probabilities = drawn(classes=6, images=40)
    paths = [f"=1+1/\udcff{number}, {HOSTILE[0]}.png" for number in range(40)]  # one byte of them is not UTF-8
    evaluation = Evaluation(labels, probabilities.astype("float32"), HOSTILE, paths)
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), "uint8")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        write_evaluation(tmp_path, evaluation, images, title=HOSTILE[2])
    again = read_evaluation(tmp_path)
    assert (again.class_names, again.paths) == (HOSTILE, paths)
    np.testing.assert_array_equal(again.labels, labels)
    np.testing.assert_array_equal(again.probabilities.astype("float32"), evaluation.probabilities)
    assert again.metrics() == evaluation.metrics()
    assert {path.name for path in tmp_path.iterdir()} == {
        *("predictions.csv", "per_class.csv", "examples.png", "classes.png", "mistakes.png"),
        *("confusion_matrix.png", "confusion_matrix_normalized.png"),
    }
    assert all(np.asarray(Image.open(path)).std() > 0 for path in tmp_path.glob("*.png"))
    table = pandas.read_csv(tmp_path / "per_class.csv", keep_default_na=False)
    assert table["class"].tolist() == HOSTILE


def test_pictures_say_what_was_predicted():
    evaluation = Evaluation([0, 1], [[0.25, 0.75], [0.1, 0.9]], ["a", "b"])
    figure = plot_predictions(evaluation, np.zeros((2, 8, 8, 3), "uint8"))
    assert [axes.get_title() for axes in figure.axes] == ["b 75%\nis a", "b 90%"]
    figure = plots.plot_confusion_matrix(np.array([[0.75, 0.25], [0.0, 1.0]]), ["a", "b"])
    assert [text.get_text() for text in figure.axes[0].texts] == ["75.0", "25.0", "0.0", "100.0"]
    history = {"loss": [1, 2], "accuracy": [0, 1], "val_accuracy/a": [0, 1], "val_recall/_b": [1, 0]}
    classes = plots.plot_history(history).axes[2]
    assert [text.get_text().strip() for text in classes.get_legend().get_texts()] == ["a", "_b"]
    comparison = plots.plot_comparison({name: {"val_accuracy": [0.1, 0.2, 0.3]} for name in "ab"}, last=2)
    assert [line.get_ydata().tolist() for line in comparison.axes[0].lines] == [[0.2, 0.3]] * 2


def test_logits_and_probabilities_give_the_same_in_batches_of_any_size():
    images = np.random.default_rng(0).normal(size=(5, 2, 2, 3)).astype("float32")
    logits = keras.Sequential([keras.Input((2, 2, 3)), keras.layers.Flatten(), keras.layers.Dense(3)])
    whole = keras.Sequential([logits, keras.layers.Softmax()])
    expected = keras.ops.convert_to_numpy(whole(2 * images))
    for model, batch_size in ((logits, 2), (whole, 3), (whole, 50)):
        found = predict(model, images, lambda batch: 2 * batch, batch_size)
        np.testing.assert_allclose(found, expected, atol=1e-6)
    with pytest.raises(ValueError, match="`batch_size`.*0"):
        predict(whole, images, batch_size=0)


def test_devices_that_are_not_there_are_refused(monkeypatch):
    monkeypatch.setattr(recipes.training.session, "_accelerator", lambda: None)
    with pytest.raises(ValueError, match="no accelerator"), on_device("gpu"):
        pass
    with pytest.raises(ValueError, match="`device`.*'tpu'"), on_device("tpu"):
        pass


def paint(path, color, seed):
    noise = np.random.default_rng(seed).integers(-30, 30, (12, 14, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((np.array(color) + noise).clip(0, 255).astype("uint8")).save(path)


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """Images of three colours, with a test set that has no labels."""
    folder = tmp_path_factory.mktemp("cells")
    for seed, (name, color) in enumerate(COLORS.items()):
        for number in range(12):
            split = "train" if number < 8 else "val"
            paint(folder / split / name / f"{number}.png", color, 100 * seed + number)
        paint(folder / "test" / f"{name}.png", color, 1000 + seed)
    paint(folder / "val" / "red" / "a green one.png", COLORS["green"], 7)  # a mistake, and a sure one
    return folder


@pytest.fixture(scope="module")
def cell_run(cells, tmp_path_factory):
    """The record of a run on them, with evaluation and preparation."""
    dataset = load_image_dataset(cells, 8)
    preparation = Preparation(8, "stretch", 128.0, 64.0, dataset.class_names)
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, dtype="float32")]
    )
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    model.layers[-1].set_weights([4 * np.eye(3)[[2, 1, 0]], np.zeros(3)])
    arguments = {"data_dir": str(cells), "batch_size": 8, "epochs": 2, "note": HOSTILE[0]}
    settings = {"seed": 0, "precision": "float32", "jit_compile": False, "quiet": True}
    runs = str(tmp_path_factory.mktemp("runs"))
    images = preparation.normalize(dataset.train_images[:])
    validation = preparation.normalize(dataset.validation_images[:]), dataset.validation_labels
    with Run("cells", "small", arguments, {"small": Experiment({})}, runs=runs, **settings) as run:
        data = Arrays(images, dataset.train_labels)
        history = run.fit(model, data, epochs=2, steps_per_epoch=3, validation_data=validation)
        evaluation = evaluate_split(model, dataset, preparation, data_dir=cells)
        samples = dataset.train_images[:4] / 255, ["a"] * 4
        return run.finish(model, history, dataset, [0.1], samples, evaluation=evaluation, preparation=preparation)


class Arrays(keras.utils.PyDataset):
    def __init__(self, images, labels):
        super().__init__()
        self.images, self.labels = images, labels

    def __len__(self):
        return 3

    def __getitem__(self, number):
        return self.images[8 * number :][:8], self.labels[8 * number :][:8]


def test_a_run_keeps_its_evaluation(cell_run):
    final = read_record(cell_run.folder).metrics["final"]
    assert final["val_aca"] == pytest.approx(12 / 13) == final["val_accuracy"]
    assert final["val_mca"] == pytest.approx((1 + 1 + 4 / 5) / 3)
    assert [final[f"val_recall/{name}"] for name in COLORS] == pytest.approx([1, 1, 0.8])
    intervals = cell_run.metrics["intervals"]
    assert intervals["val_aca"] == pytest.approx(wilson_interval(12, 13))
    assert intervals["val_recall/red"] == pytest.approx(wilson_interval(4, 5))
    assert "bootstrap" in cell_run.metrics["interval_methods"]["mca"]
    names = {path.name for path in cell_run.folder.iterdir()}
    assert names >= {"preparation.json", "predictions.csv", "per_class.csv", "confusion_matrix.png", "mistakes.png"}
    assert names >= {"classes.png", "examples.png"}
    assert read_record(cell_run.folder).to_dict() == cell_run.to_dict()


def test_eval_finds_what_the_run_found(cell_run, cells, tmp_path, capsys):
    submission = tmp_path / "submission.csv"
    assert main(["eval", str(cell_run.folder), "--data-dir", str(cells), "--submission", str(submission)]) == 0
    printed = capsys.readouterr().out
    assert "92.31%" in printed
    assert "not the images" not in printed
    assert "evaluation-validation" in printed
    folder = cell_run.folder / "evaluation-validation"
    figures = json.loads((folder / "metrics.json").read_text())
    for name, value in figures["metrics"].items():
        assert value == pytest.approx(cell_run.metrics["final"][f"val_{name}"])
        assert figures["intervals"][name] == pytest.approx(cell_run.metrics["intervals"][f"val_{name}"])
    table = pandas.read_csv(folder / "predictions.csv")
    assert list(table) == ["path", "label", "predicted", "confidence", *(f"probability/{name}" for name in COLORS)]
    wrong = table[table["label"] != table["predicted"]]
    assert wrong[["path", "label", "predicted"]].values.tolist() == [["val/red/a green one.png", "red", "green"]]
    own = pandas.read_csv(cell_run.folder / "predictions.csv")
    pandas.testing.assert_frame_equal(table, own, atol=1e-5)
    assert (pandas.read_csv(submission)["label"] == [list(COLORS).index(name) for name in table["predicted"]]).all()


def test_eval_without_labels_and_on_the_training_images(cell_run, cells, capsys):
    options = [str(cell_run.folder), "--data-dir", str(cells), "--device", "cpu", "--batch-size", "2"]
    assert main(["eval", *options, "--split", "test"]) == 0
    assert "without labels" in capsys.readouterr().out
    folder = cell_run.folder / "evaluation-test"
    assert {path.name for path in folder.iterdir()} == {"predictions.csv", "examples.png", "classes.png"}
    assert read_evaluation(folder).predicted.tolist() == [0, 1, 2]
    assert main(["eval", *options, "--split", "train"]) == 0
    assert read_evaluation(cell_run.folder / "evaluation-train").aca == 1.0


def test_an_evaluation_that_fails_leaves_the_last_one(cell_run, cells, monkeypatch):
    options = ["eval", str(cell_run.folder), "--data-dir", str(cells)]
    assert main(options) == 0
    folder, before = cell_run.folder / "evaluation-validation", set(cell_run.folder.iterdir())
    content = {path: path.read_bytes() for path in folder.iterdir()}

    def fail(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluations.plots, "plot_confusion_matrix", fail)
    assert main(options) == 130
    assert set(cell_run.folder.iterdir()) == before
    assert {path: path.read_bytes() for path in folder.iterdir()} == content


def test_classes_are_matched_by_name_and_other_images_are_noticed(cell_run, cells, tmp_path, capsys):
    rows = [f"{path.relative_to(cells)},{path.parent.name}" for path in sorted(cells.glob("*/*/*.png"))]
    for split in ("train", "val"):
        few = [row for row in rows if row.startswith(split) and "blue" not in row]
        (cells / f"{split}.csv").write_text("\n".join(["path,label", *few]))
    try:
        record = json.loads((cell_run.folder / "record.json").read_text())
        other = tmp_path / "run"
        other.mkdir()
        record["arguments"]["layout"] = "csv"
        (other / "record.json").write_text(json.dumps(record))
        for name in ("model.keras", "preparation.json", "predictions.csv"):
            (other / name).write_bytes((cell_run.folder / name).read_bytes())
        assert main(["eval", str(other), "--data-dir", str(cells)]) == 0
    finally:
        for path in cells.glob("*.csv"):
            path.unlink()
    assert "not the images" in capsys.readouterr().out
    evaluation = read_evaluation(other / "evaluation-validation")
    assert sorted(evaluation.labels.tolist()) == [1] * 4 + [2] * 5
    assert evaluation.aca == pytest.approx(8 / 9)


def test_eval_of_a_recipe_on_a_given_data_set(small_run, tmp_path, monkeypatch, capsys):
    arguments = {"data": "digits", "epochs": 2, "batch_size": 80, "warmup_epochs": 1.0, "quiet": True}
    record = train("demo", **arguments, runs=str(tmp_path), precision="float32")
    monkeypatch.setattr(recipes.training.prediction, "load_digits", few)
    evaluation, images = evaluate_run(record.folder, batch_size=32)
    assert evaluation.aca == pytest.approx(record.metrics["final"]["val_accuracy"])
    assert images.shape == (80, 32, 32, 3)
    assert main(["eval", str(record.folder), "--split", "test"]) == 2
    monkeypatch.undo()
    assert main(["eval", str(record.folder)]) == 2
    assert "fingerprint" in capsys.readouterr().err  # all the digits, of which the run saw some


def test_predict_reads_files_folders_and_csv(cell_run, cells, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (cells / "test" / "more.csv").write_text("id\nblue\nred\n")
    options = ["predict", str(cell_run.folder), "--batch-size", "2"]
    try:
        sent = ["--submission", "s.csv", "--id-column", "Id", "--label-column", "Class", "--label-as", "name"]
        assert main([*options, str(cells / "test" / "more.csv"), *sent]) == 0
    finally:
        (cells / "test" / "more.csv").unlink()
    assert (tmp_path / "s.csv").read_text() == "Id,Class\nblue,blue\nred,red\n"
    one = str(cells / "val" / "red" / "8.png")
    assert main([*options, str(cells / "test"), one, one, "--output", "p.csv", "--picture", "p.png"]) == 0
    table = pandas.read_csv("p.csv")
    assert table["predicted"].tolist() == ["blue", "green", "red", "red"]
    evaluation, _ = evaluate_run(cell_run.folder, cells)
    same = evaluation.probabilities[evaluation.paths.index("val/red/8.png")]
    np.testing.assert_allclose(table.filter(like="probability/").to_numpy()[-1], same, atol=1e-5)
    assert np.asarray(Image.open("p.png")).std() > 0
    assert "4 images" in capsys.readouterr().out


def test_bad_images_are_all_named_or_left_out(cell_run, cells, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("one.png", "two.png"):
        (tmp_path / name).write_text("no picture")
    options = ["predict", str(cell_run.folder), "one.png", str(cells / "test"), "two.png"]
    assert main(options) == 2
    error = capsys.readouterr().err
    assert "one.png" in error and "two.png" in error
    assert not (tmp_path / "predictions.csv").exists()
    assert main([*options, "--skip-bad"]) == 0
    printed = capsys.readouterr().out
    assert "left out: one.png" in printed and "left out: two.png" in printed
    assert pandas.read_csv("predictions.csv")["predicted"].tolist() == list(COLORS)
    assert main(["predict", str(cell_run.folder), "one.png", "--skip-bad"]) == 2


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["eval", "nowhere"], "nowhere"),
        (["eval", "RUN"], "--data-dir"),
        (["eval", "RUN", "--data-dir", "nowhere"], "nowhere"),
        (["eval", "RUN", "--split", "val"], "invalid choice"),
        (["eval", "RUN", "--data-dir", "CELLS", "--batch-size", "0"], "`batch_size`"),
        (["predict", "RUN", "nowhere.png"], "nowhere.png"),
        (["predict", "RUN", "RUN/evaluation-none"], "evaluation-none"),
        (["predict", "RUN", "CELLS", "--output", "nowhere/p.csv"], "no folder nowhere"),
        (["report", "nowhere"], "nowhere"),
        (["plot", "RUN", "--last", "3"], "--comparison"),
        (["plot", "RUN", "--comparison", "--last", "0"], "`last`"),
    ],
)
def test_bad_input_is_one_line(cell_run, cells, capsys, tmp_path, monkeypatch, command, message):
    monkeypatch.chdir(tmp_path)
    command = [word.replace("RUN", str(cell_run.folder)).replace("CELLS", str(cells)) for word in command]
    assert main(command) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


class Parser(html.parser.HTMLParser):
    """Elements with their attributes, those that are not closed, and the text."""

    VOID = ("meta", "img")

    def __init__(self, page):
        super().__init__()
        self.elements, self.open, self.shown = [], [], ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.shown += data


@pytest.fixture(scope="module")
def hostile_run(cell_run, tmp_path_factory):
    """A finished run whose classes, paths and arguments have names that mean something in HTML."""
    folder = tmp_path_factory.mktemp("hostile") / "a & <b>"
    folder.mkdir()
    record = json.loads((cell_run.folder / "record.json").read_text())
    record["arguments"] |= {HOSTILE[1]: HOSTILE[0]}
    (folder / "record.json").write_text(json.dumps(record))
    recalls = ",".join(f'"val_recall/{name.replace(chr(34), 2 * chr(34))}"' for name in HOSTILE)
    (folder / "history.csv").write_text(f"loss,accuracy,val_accuracy,{recalls}\n1,0.5,0.5,1,1,1,1,1,1\n")
    labels, probabilities = drawn(classes=6, images=40)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        write_evaluation(folder, Evaluation(labels, probabilities, HOSTILE, [HOSTILE[1]] * 40))
    return folder


def test_a_report_stands_alone_and_takes_names_for_nothing_else(hostile_run, cell_run, tmp_path):
    output = tmp_path / "report.html"
    assert main(["report", str(hostile_run), str(cell_run.folder), "--output", str(output)]) == 0
    page = output.read_text(encoding="utf-8")
    parsed = Parser(page)
    assert not parsed.open
    tags = [tag for tag, _ in parsed.elements]
    assert not {"script", "link", "iframe", "object"} & set(tags)
    assert {value[:22] for tag, each in parsed.elements for name, value in each.items() if name == "src"} == {
        "data:image/png;base64,"
    }
    assert not [name for _, each in parsed.elements for name in each if name.startswith("on")]
    assert all(each["href"].startswith("#run-") for tag, each in parsed.elements if tag == "a")
    assert all(each["alt"] for tag, each in parsed.elements if tag == "img")
    assert tags.count("h1") == 1
    levels = [int(tag[1]) for tag in tags if tag in ("h1", "h2", "h3", "h4")]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    for name in HOSTILE:
        assert name in parsed.shown
    assert "a & <b>" in parsed.shown
    for expected in ("92.31%", "Confusion matrices", "val_recall/red", cell_run.device, "Each class"):
        assert expected in parsed.shown
    assert str(tmp_path.parent) not in page  # nothing says where the runs lie


def test_a_report_of_a_run_without_evaluation(cell_run, tmp_path):
    for name in ("record.json", "history.csv"):
        (tmp_path / name).write_bytes((cell_run.folder / name).read_bytes())
    parsed = Parser(report([tmp_path], title="One run"))
    assert "One run" in parsed.shown
    assert "Confusion" not in parsed.shown
    assert [tag for tag, _ in parsed.elements].count("img") == 2
