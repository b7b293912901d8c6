"""``dlarray train digits``: handwritten digits, the data set that comes with scikit-learn."""

from __future__ import annotations

import shlex

import dlarray
from dlarray.cli.options import model_file
from dlarray.cli.output import Output
from dlarray.cli.training import TrainingOptions
from dlarray.tables.checkpoints import Checkpoints
from dlarray.training.interruption import InterruptTogether

__all__ = ["train_digits"]

HIDDEN, EPOCHS, BATCH = 256, 30, 32


def train_digits(out: Output, options: TrainingOptions) -> None:
    """Train a classifier of handwritten digits; save the model and a picture of its training."""
    from dlarray import datasets, plot

    model = dlarray.mlp(64, *(options.hidden or [HIDDEN]), 10, activation=options.activation)
    data = datasets.digits(options.seed)
    file = model_file(options.output, "digits")
    if options.ranks.rank == 0:  # an error before the training, not after it
        plot.pyplot()
        file.parent.mkdir(parents=True, exist_ok=True)
    out.text(f"device: {options.device}{options.processes}")
    out.text(model.summary())
    written = Checkpoints.of(options.checkpoints, options.resume)
    if written is not None and (resumed := written.description):
        out.text(f"resumed: {resumed}")
    options.ranks.wait()
    trained = dlarray.fit(
        model,
        data.x_train,
        data.y_train,
        optimizer=options.optimizer or "adam",
        epochs=options.epochs or EPOCHS,
        batch_size=BATCH if options.batch_size is None else options.batch_size or None,
        validation=(data.x_test, data.y_test),
        callbacks=[
            *([InterruptTogether()] if options.ranks.size > 1 else []),
            *([] if written is None else written.callbacks(0, data.x_train, data.y_train)),
        ],
        seed=options.seed,
        resume=None if written is None else options.ranks.from_first(written.to_resume(0)),
        device=options.device,
        parallel=options.parallel,
    )
    if options.ranks.rank > 0:
        return
    test = trained.evaluate(data.x_test, data.y_test)
    out.text(f"loss:          {trained.history['loss'][-1]:.6g} in training, {test['loss']:.6g} in the test")
    out.text(f"test accuracy: {test['accuracy']:.2%} of {len(data.y_test)} digits")
    picture = file.with_suffix(".png")
    trained.save(file)
    title = f"Digits on {options.device}"
    plot.save(plot.training_report(trained, data.x_test, data.y_test, data.images_test, title=title), picture)
    out.text(f"saved:         {file}, {picture}")
    out.text(f"next:          dlarray plot {shlex.quote(str(file))} --what weights")
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
