"""``dlarray train digits``: handwritten digits, the data set that comes with scikit-learn."""

from __future__ import annotations

import dlarray
from dlarray.cli.options import model_file
from dlarray.cli.output import Output
from dlarray.cli.training import TrainingOptions

__all__ = ["train_digits"]

BATCH = 32


def train_digits(out: Output, options: TrainingOptions) -> None:
    """Train a classifier of handwritten digits; save the model and a picture of its training."""
    from dlarray import datasets, plot

    model = dlarray.mlp(64, *options.hidden, 10, activation=options.activation)
    data = datasets.digits(options.seed)
    plot.pyplot()  # a missing library is an error before the training, not after it
    file = model_file(options.output, "digits")
    file.parent.mkdir(parents=True, exist_ok=True)
    out.text(f"device: {options.device}")
    out.text(model.summary())
    trained = dlarray.fit(
        model,
        data.x_train,
        data.y_train,
        optimizer=options.optimizer,
        epochs=options.epochs,
        batch_size=BATCH if options.batch_size is None else options.batch_size or None,
        validation=(data.x_test, data.y_test),
        seed=options.seed,
        device=options.device,
    )
    test = trained.evaluate(data.x_test, data.y_test)
    out.text(f"loss:          {trained.history['loss'][-1]:.6g} in training, {test['loss']:.6g} in the test")
    out.text(f"test accuracy: {test['accuracy']:.2%} of {len(data.y_test)} digits")
    picture = file.with_suffix(".png")
    trained.save(file)
    title = f"Digits on {options.device}"
    plot.save(plot.training_report(trained, data.x_test, data.y_test, data.images_test, title=title), picture)
    out.text(f"saved:         {file}, {picture}")
    out.result(
        {
            "model": str(file),
            "picture": str(picture),
            "device": options.device.name,
            "rows": {"training": len(data.y_train), "test": len(data.y_test)},
            "training_loss": trained.history["loss"][-1],
            "metrics": test,
        }
    )
