"""What a report says of an evaluation of detections."""

import pathlib

import numpy as np

from recipes.data.texts import read_json
from recipes.reporting import detection_files
from recipes.reporting import page
from recipes.reporting.detection import METRICS
from recipes.reporting.tables import three_places

METRIC = "AP"
HEADINGS = ("AP", "AP50", "AP75", "best epoch's AP")


def read(folder):
    """Read what an evaluation left.

    Args:
        folder: path.

    Returns:
        dict of "metrics", "images", "classes", a table, and "summary", a text; an empty one where the
        images were not annotated; None where there is no evaluation.

    Raises:
        ValueError: if it is damaged.

    Example:

    >>> read("nowhere") is None
    True
    """
    import pandas

    folder = pathlib.Path(folder)
    if not (folder / detection_files.RESULTS).is_file():
        return None
    if not (folder / detection_files.METRICS).is_file():
        return {}
    try:
        known = read_json(folder / detection_files.METRICS)
        table = pandas.read_csv(folder / detection_files.PER_CLASS, dtype={"class": str}, keep_default_na=False)
        counts = {name: table[name].astype(int) for name in ("objects", "detections")}
        figures = {name: pandas.to_numeric(table[name], errors="coerce") for name in ("AP", "AP50", "AP75", "AR100")}
        classes = pandas.DataFrame({"class": table["class"], **figures, **counts})
        metrics = {name: float(known["metrics"][name]) for name in METRICS}
        summary = (folder / detection_files.SUMMARY).read_text(encoding="utf-8")
        return {"metrics": metrics, "images": int(known["images"]), "classes": classes, "summary": summary}
    except (OSError, ValueError, KeyError, TypeError) as error:  # pandas's own errors are ValueErrors
        raise ValueError(f"{folder} holds no evaluation of detections ({str(error).partition(chr(10))[0]}).") from error


def rows(which, evaluation):
    """The figures of an evaluation.

    Args:
        which: str. What was evaluated.
        evaluation: dict, as `read` returns it.

    Returns:
        list of (name, value); empty where it is not known what the images show.

    Example:

    >>> rows("test", {"metrics": {"AP": 0.5, "AP50": 0.75, "AP75": -1.0}, "images": 3})
    [['AP: test', '0.500, AP50 0.750, AP75 -, 3 images']]
    """
    if not evaluation:
        return []
    figures = {name: three_places(evaluation["metrics"][name]) for name in ("AP", "AP50", "AP75")}
    value = f"{figures['AP']}, AP50 {figures['AP50']}, AP75 {figures['AP75']}, {evaluation['images']:,} images"
    return [[f"AP: {which}", value]]


def figures(record, evaluation):
    """What runs are compared by.

    Args:
        record: a `Record`.
        evaluation: dict, as `read` returns it.

    Returns:
        list of `(value, text)`, one for each of `HEADINGS`.

    Example:

    >>> from recipes.reporting.records import Record
    >>> figures(Record("a", "b", metrics={"best": {"val_AP": 0.5}}), {})[-1]
    (0.5, '0.500')
    """
    known = evaluation.get("metrics") or {name[4:]: value for name, value in record.metrics.get("final", {}).items()}
    values = [known.get(name, np.nan) for name in ("AP", "AP50", "AP75")]
    return [(each, three_places(each)) for each in (*values, record.metrics.get("best", {}).get("val_AP", np.nan))]


def section(which, evaluation, folder):
    """A part of the page for an evaluation: tables and pictures.

    Args:
        which: str. Its heading.
        evaluation: dict, as `read` returns it.
        folder: pathlib.Path, that of the pictures.

    Returns:
        str. HTML.

    Example:

    >>> section("test", {}, pathlib.Path("nowhere"))
    '<section>\\n<h3>test</h3>\\n<p>Images that are not annotated.</p>\\n</section>'
    """
    pictures = page.file(folder / detection_files.PICTURES, _alt(evaluation), wide=True)
    if not evaluation:
        return page.section(which, "<p>Images that are not annotated.</p>", pictures, level=3)
    twelve = [[name, (value, three_places(value))] for name, value in evaluation["metrics"].items()]
    curves = page.file(
        folder / "precision_recall.png",
        "Precision over recall at an overlap of 0.5, for each class; the areas under the curves are the AP50 above.",
    )
    return page.section(
        which,
        '<div class="grid">',
        page.table("Average precision and recall, as COCO defines them", ["figure", "value"], twelve),
        _per_class(evaluation["classes"]),
        "</div>",
        page.details("The lines of pycocotools", f"<pre>{page.text(evaluation['summary'])}</pre>"),
        page.section("Precision and recall", curves, level=4),
        page.section("Detections beside what is there", pictures, level=4),
        level=3,
    )


def _alt(evaluation):
    beside = ", beside each the same image with the boxes that are there" if evaluation else ""
    return f"Images with the boxes that were detected, their classes and scores{beside}."


def _per_class(classes):
    names = ("AP", "AP50", "AP75", "AR100")
    rows = [
        [row["class"], *((row[name], three_places(row[name])) for name in names), row["objects"], row["detections"]]
        for row in classes.to_dict("records")
    ]
    return page.table("Each class", ["class", *names, "objects", "detections"], rows)
