"""How good the predictions for a set of images are, with intervals: ACA, MCA, and each class."""

import dataclasses
import functools
import statistics

import numpy as np

METHODS = {
    "aca": "Wilson, 95%",
    "mca": "bootstrap within the classes, 10,000 samples, percentiles, 95%; Wilson where no image is wrong, or all are",
    "recall": "Wilson, 95%",
}
_RESAMPLES = 10_000


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What a model made of a set of images.

    Args:
        labels: int `(images,)`, or None where they are not known: then there are predictions only.
        probabilities: float `(images, classes)`.
        class_names: list of str.
        paths: list of str, the files of the images; None where they come from arrays. Defaults to None.

    Raises:
        ValueError: if these do not fit together, there are no images, or rows are no probabilities.

    Example:

    >>> evaluation = Evaluation([0, 0, 0, 1], [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]], ["a", "b"])
    >>> evaluation.aca, round(evaluation.mca, 4)
    (0.75, 0.8333)
    """

    labels: np.ndarray
    probabilities: np.ndarray
    class_names: list
    paths: list = None

    def __post_init__(self):
        object.__setattr__(self, "probabilities", _checked_probabilities(self.probabilities, self.class_names))
        count = len(self.probabilities)
        if self.labels is not None:
            object.__setattr__(self, "labels", _checked_labels(self.labels, count, len(self.class_names)))
        if self.paths is not None and len(self.paths) != count:
            raise ValueError(f"`paths` must be as many as the {count} images. Received: {len(self.paths)}")

    def __len__(self):
        return len(self.probabilities)

    @functools.cached_property
    def predicted(self):
        """int `(images,)`. The class of the highest probability; of equal ones the first."""
        return self.probabilities.argmax(-1)

    @functools.cached_property
    def confidence(self):
        """float `(images,)`. The highest probability."""
        return self.probabilities.max(-1)

    @functools.cached_property
    def aca(self):
        """float. Average class accuracy: the fraction of all images that are right."""
        from sklearn.metrics import accuracy_score

        return float(accuracy_score(self._known(), self.predicted))

    @property
    def mca(self):
        """float. Mean class accuracy: the mean of the recalls of the classes that have images."""
        return float(np.nanmean(self._scores[1]))

    @functools.cached_property
    def _scores(self):
        """Precision, recall, F1 and support of each class; NaN where there is nothing to divide by."""
        from sklearn.metrics import precision_recall_fscore_support

        classes = range(len(self.class_names))
        return precision_recall_fscore_support(self._known(), self.predicted, labels=classes, zero_division=np.nan)

    def per_class(self):
        """Figures of each class.

        Returns:
            A `pandas.DataFrame` with a row for each class, in their order: recall, the ends of its Wilson
            interval, precision, f1, and support, the number of its images. NaN where a class has no
            images, or was never predicted.

        Example:

        >>> evaluation = Evaluation([0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], ["a", "b"])
        >>> evaluation.per_class()[["recall", "precision", "support"]].to_dict("list")
        {'recall': [1.0, 0.5], 'precision': [0.5, 1.0], 'support': [1, 2]}
        """
        import pandas

        precision, recall, f1, support = self._scores
        low, high = wilson_interval(self.confusion_matrix().diagonal(), support)
        columns = {"recall": recall, "recall_low": low, "recall_high": high, "precision": precision, "f1": f1}
        return pandas.DataFrame({**columns, "support": support}, pandas.Index(self.class_names, name="class"))

    def confusion_matrix(self, normalize=False):
        """Count the images of each class, a row, by what they were taken for, a column.

        Args:
            normalize: bool. Whether to divide each row by its sum; a class without images is a row of
                zeros. Defaults to False.

        Returns:
            int or float `(classes, classes)`.

        Example:

        >>> Evaluation([0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], ["a", "b"]).confusion_matrix()
        array([[1, 0],
               [1, 1]])
        """
        from sklearn.metrics import confusion_matrix

        classes = range(len(self.class_names))
        return confusion_matrix(self._known(), self.predicted, labels=classes, normalize="true" if normalize else None)

    def mca_interval(self, seed=0):
        """The 95% interval of MCA by bootstrap: the images of each class drawn again, with replacement.

        Of a class, such a sample has as many right as a binomial distribution gives. Where no image is wrong, or
        all are, every sample is the same and would show no doubt: then it is Wilson's interval.

        Args:
            seed: int. Defaults to 0.

        Returns:
            `(low, high)`, floats.

        Example:

        >>> Evaluation([0, 1], [[0.9, 0.1], [0.2, 0.8]], ["a", "b"]).mca_interval()[1]
        1.0
        """
        _, recall, _, support = self._scores
        recall, support = recall[support > 0], support[support > 0]
        if self.aca in (0.0, 1.0):
            return tuple(map(float, wilson_interval(self.aca * len(self), len(self))))
        right = np.random.default_rng(seed).binomial(support, recall, (_RESAMPLES, len(support)))
        return tuple(map(float, np.quantile((right / support).mean(1), (0.025, 0.975))))

    def metrics(self):
        """The figures in one dict.

        Returns:
            dict of "aca", "mca", and "recall/CLASS" for each class that has images, to float.

        Example:

        >>> Evaluation([0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], ["a", "b"]).metrics()["recall/b"]
        0.5
        """
        recalls = {f"recall/{name}": float(recall) for name, recall in self.per_class()["recall"].dropna().items()}
        return {"aca": self.aca, "mca": self.mca, **recalls}

    def intervals(self, seed=0):
        """The 95% intervals of `metrics`, by the methods that `METHODS` names.

        Args:
            seed: int. Of the bootstrap. Defaults to 0.

        Returns:
            dict of the same names to `(low, high)`.

        Example:

        >>> evaluation = Evaluation([0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], ["a", "b"])
        >>> [round(end, 3) for end in evaluation.intervals()["aca"]]
        [0.208, 0.939]
        """
        right = self.predicted == self._known()
        aca = tuple(map(float, wilson_interval(right.sum(), len(self))))
        table = self.per_class().dropna(subset="recall")
        recalls = zip(table.index, table["recall_low"], table["recall_high"])
        return {"aca": aca, "mca": self.mca_interval(seed), **{f"recall/{name}": ends for name, *ends in recalls}}

    def mistakes(self, count=32):
        """The mistakes that the model was surest of.

        Args:
            count: int. At most so many. Defaults to 32.

        Returns:
            int array. Positions of images, the surest first.

        Example:

        >>> Evaluation([0, 1, 1], [[0.4, 0.6], [0.2, 0.8], [0.7, 0.3]], ["a", "b"]).mistakes()
        array([2, 0])
        """
        wrong = np.flatnonzero(self.predicted != self._known())
        return wrong[np.argsort(-self.confidence[wrong], kind="stable")][:count]

    def predictions(self):
        """What was predicted of each image.

        Returns:
            A `pandas.DataFrame` with a row for each image: path (its number where there are no files), label
            (where they are known), predicted, confidence, and `probability/CLASS` for each class.

        Example:

        >>> Evaluation(None, [[0.25, 0.75]], ["a", "b"], ["1.png"]).predictions().to_dict("records")
        [{'path': '1.png', 'predicted': 'b', 'confidence': 0.75, 'probability/a': 0.25, 'probability/b': 0.75}]
        """
        import pandas

        names = np.array(self.class_names, object)
        columns = {"path": range(len(self)) if self.paths is None else self.paths}
        if self.labels is not None:
            columns["label"] = names[self.labels]
        columns |= {"predicted": names[self.predicted], "confidence": self.confidence}
        columns |= {f"probability/{name}": self.probabilities[:, number] for number, name in enumerate(names)}
        return pandas.DataFrame(columns)

    def _known(self):
        if self.labels is None:
            raise ValueError("The labels of these images are not known: there are predictions, and no figures.")
        return self.labels


def wilson_interval(successes, trials, level=0.95):
    """Wilson's interval for a proportion.

    Args:
        successes: int or array.
        trials: int or array.
        level: float in (0, 1). Defaults to 0.95.

    Returns:
        `(low, high)`, floats or arrays; NaN where there are no trials.

    Example:

    >>> low, high = wilson_interval(15, 148)
    >>> round(float(low), 4), round(float(high), 4)
    (0.0624, 0.1605)

    Reference:
        https://doi.org/10.1080/01621459.1927.10502953
    """
    z = statistics.NormalDist().inv_cdf(0.5 + level / 2)
    trials = np.where(np.asarray(trials) > 0, trials, np.nan)
    proportion = successes / trials
    center = proportion + z**2 / (2 * trials)
    half = z * np.sqrt(proportion * (1 - proportion) / trials + z**2 / (4 * trials**2))
    scale = 1 + z**2 / trials
    return np.clip((center - half) / scale, 0, 1), np.clip((center + half) / scale, 0, 1)


def _checked_probabilities(probabilities, class_names):
    probabilities = np.asarray(probabilities)
    expected = f"`probabilities` must be rows of {len(class_names)} that sum to 1, one for each of `class_names`."
    if probabilities.ndim != 2 or probabilities.shape[1] != len(class_names) or not len(probabilities):
        raise ValueError(f"{expected} Received: shape {probabilities.shape}")
    if not np.isfinite(probabilities).all():
        raise ValueError(f"{expected} Received: NaN or infinity. The model has diverged, or its input is damaged.")
    sums = probabilities.sum(-1)
    if (probabilities < 0).any() or not np.allclose(sums, 1, atol=1e-3):
        raise ValueError(f"{expected} Received: numbers from {probabilities.min():.4g}, sums to {sums.max():.4g}")
    if len(set(class_names)) < len(class_names):
        raise ValueError(f"`class_names` must differ from one another. Received: {class_names}")
    return probabilities


def _checked_labels(labels, count, classes):
    labels = np.asarray(labels)
    expected = f"`labels` must be {count} numbers of classes, from 0 to {classes - 1}."
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        raise ValueError(f"{expected} Received: {labels.dtype} of shape {labels.shape}")
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"{expected} Received: numbers from {labels.min()} to {labels.max()}")
    return labels
