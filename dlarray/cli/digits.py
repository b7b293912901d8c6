"""``dlarray train digits``: the main job, on data that come with scikit-learn."""

from __future__ import annotations

import dlarray
from dlarray.cli.options import model_file
from dlarray.cli.output import Output
from dlarray.cli.training import Training

__all__ = ["train_digits"]

BATCH = 32


def train_digits(out: Output, plan: Training) -> None:
    """Learn to read the digits; save the model and a picture of how it went."""
    from dlarray import datasets, plot

    model = dlarray.mlp(64, *plan.hidden, 10, activation=plan.activation)
    data = datasets.digits(plan.seed)
    plot.pyplot()  # what is missing is missed before the training, not after it
    file = model_file(plan.output, "digits")
    file.parent.mkdir(parents=True, exist_ok=True)
    out.text(f"device: {plan.where}")
    out.text(model.summary())
    trained = dlarray.fit(
        model,
        data.x_train,
        data.y_train,
        optimizer=plan.optimizer,
        epochs=plan.epochs,
        batch_size=BATCH if plan.batch_size is None else plan.batch_size or None,
        validation=(data.x_test, data.y_test),
        seed=plan.seed,
        device=plan.where,
    )
    measured = trained.evaluate(data.x_test, data.y_test)
    out.text(f"loss:          {trained.history['loss'][-1]:.6g} in training, {measured['loss']:.6g} in the test")
    out.text(f"test accuracy: {measured['accuracy']:.2%} of {len(data.y_test)} digits")
    picture = file.with_suffix(".png")
    trained.save(file)
    report = plot.training_report(trained, data.x_test, data.y_test, data.images_test, title=f"Digits on {plan.where}")
    plot.save(report, picture)
    out.text(f"saved:         {file}, {picture}")
    out.result(
        {
            "model": str(file),
            "picture": str(picture),
            "device": plan.where.name,
            "rows": {"training": len(data.y_train), "test": len(data.y_test)},
            "training_loss": trained.history["loss"][-1],
            "metrics": measured,
        }
    )
