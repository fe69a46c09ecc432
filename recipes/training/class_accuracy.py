"""Accuracy of every class, measured while a model is trained and evaluated."""

import re

import keras


@keras.saving.register_keras_serializable(package="recipes")
class ClassAccuracy(keras.metrics.Metric):
    """ACA, MCA and the accuracy of every class, from one confusion matrix that is counted on the device.

    Given to `compile`, it puts "aca", "mca" and "accuracy/CLASS" into what `fit`, `evaluate` and
    `recipes.training.memory.fit` report, and "val_aca" and so on of the validation data, in their one
    pass through these. As every metric, it measures the training batches too.

    ACA is the average accuracy over all samples; the accuracy of a class is that of its samples, its
    recall; MCA is the mean of these, over the classes that have samples. One that has none has 0.
    Keras finds no direction for them: its callbacks need `mode="max"`; `recipes.callbacks` do not.

    Args:
        class_names: list of str, at least two, in the order of the labels. What is no letter, digit,
            dot, plus or minus becomes an underscore in the names that are reported.
        name: str. Defaults to "class_accuracy".
        dtype: dtype of the counts, or None for float32. Defaults to None.

    Raises:
        ValueError: for fewer than two names, or some that are alike; for outputs of another width.

    Example:

    >>> metric = ClassAccuracy(["Golgi", "nuclear dots"])
    >>> metric.update_state([0, 1, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.7, 0.3]])
    >>> {name: round(float(value), 3) for name, value in metric.result().items()}
    {'aca': 0.75, 'mca': 0.833, 'accuracy/Golgi': 1.0, 'accuracy/nuclear_dots': 0.667}
    """

    def __init__(self, class_names, name="class_accuracy", dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.class_names = [str(each) for each in class_names]
        self.reported = ["accuracy/" + re.sub(r"[^\w.+-]+", "_", each) for each in self.class_names]
        if len(self.reported) < 2 or len(set(self.reported)) < len(self.reported):
            raise ValueError(
                "`class_names` must be at least two names, that differ in more than what becomes an underscore. "
                f"Received: class_names={self.class_names}"
            )
        classes = len(self.class_names)
        self.counts = self.add_variable((classes, classes), initializer="zeros", name="confusion_matrix")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Count a batch.

        Args:
            y_true: integer labels `(samples,)` or `(samples, 1)`; or one-hot or mixed ones `(samples,
                classes)`, of which the largest counts.
            y_pred: probabilities or logits `(samples, classes)`.
            sample_weight: `(samples,)`, or None to count each as one. Defaults to None.
        """
        ops, classes = keras.ops, len(self.class_names)
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        if len(y_pred.shape) != 2 or y_pred.shape[-1] != classes:
            raise ValueError(
                f"{self.name} has {classes} names, so that the model must give (samples, {classes}). "
                f"Received: outputs of shape {tuple(y_pred.shape)}"
            )
        if len(y_true.shape) == 2 and y_true.shape[-1] == classes:
            y_true = ops.argmax(y_true, axis=-1)
        true = ops.one_hot(ops.cast(ops.reshape(y_true, (-1,)), "int32"), classes, dtype=self.dtype)
        if sample_weight is not None:
            true = true * ops.reshape(ops.cast(sample_weight, self.dtype), (-1, 1))
        predicted = ops.one_hot(ops.argmax(y_pred, axis=-1), classes, dtype=self.dtype)
        self.counts.assign_add(ops.matmul(ops.transpose(true), predicted))

    def result(self):
        """What is reported.

        Returns:
            dict of name to scalar tensor.
        """
        ops = keras.ops
        counts = ops.convert_to_tensor(self.counts)
        right, of_class = ops.diagonal(counts), ops.sum(counts, axis=1)
        recalls = ops.divide_no_nan(right, of_class)
        present = ops.sum(ops.cast(of_class > 0, self.dtype))
        result = {
            "aca": ops.divide_no_nan(ops.sum(right), ops.sum(of_class)),
            "mca": ops.divide_no_nan(ops.sum(recalls), present),
        }
        return {**result, **{name: recalls[number] for number, name in enumerate(self.reported)}}

    def get_config(self):
        return {**super().get_config(), "class_names": self.class_names}
