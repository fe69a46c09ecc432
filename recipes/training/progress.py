"""Progress of a training: a bar with the time left on a terminal, a line for each epoch elsewhere."""

import keras
import rich.console
import rich.progress


class Progress(keras.callbacks.Callback):
    """Show the progress of `fit`, by steps or, where many are made at once, by dispatches.

    Args:
        epochs: int, or None for a range test, which has steps alone.
        steps: int. Of all epochs.
        quiet: bool. Whether to show nothing. Defaults to False.

    Example:

    >>> callbacks = [Progress(epochs=2, steps=20)]
    """

    by_dispatch = True

    def __init__(self, epochs, steps, quiet=False):
        super().__init__()
        self.epochs = epochs
        self.steps = steps
        self.console = rich.console.Console(quiet=quiet, highlight=False)
        self.bar = None

    def on_train_begin(self, logs=None):
        if self.console.is_terminal and not self.console.quiet:
            self.bar = rich.progress.Progress(
                rich.progress.TextColumn("{task.description}"),
                rich.progress.BarColumn(),
                rich.progress.TaskProgressColumn(),
                rich.progress.TimeElapsedColumn(),
                rich.progress.TextColumn("left"),
                rich.progress.TimeRemainingColumn(),
                console=self.console,
                refresh_per_second=2,
                speed_estimate_period=600,
            )
            self.task = self.bar.add_task(self._title(0), total=self.steps)
            self.bar.start()

    def on_epoch_begin(self, epoch, logs=None):
        self.done = 0
        if self.bar:
            self.bar.update(self.task, description=self._title(epoch))

    def on_train_batch_end(self, batch, logs=None):
        if self.bar:
            self.bar.advance(self.task, batch + 1 - self.done)
            self.done = batch + 1

    def on_epoch_end(self, epoch, logs=None):
        if self.epochs:
            figures = "  ".join(f"{name} {value:.4g}" for name, value in (logs or {}).items())
            self.console.print(f"{self._title(epoch)}  {figures}", soft_wrap=True)

    def on_train_end(self, logs=None):
        self.stop()

    def _title(self, epoch):
        return f"epoch {epoch + 1}/{self.epochs}" if self.epochs else "range test"

    def stop(self):
        """Give the terminal back."""
        if self.bar:
            self.bar.stop()
            self.bar = None
