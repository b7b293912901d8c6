"""The command line: ``dlarray train digits``, ``dlarray bench``, ``dlarray devices``.

Needs typer and rich: ``pip install "dlarray[cli]"``.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import dlarray
from dlarray.activations import Activation
from dlarray.device import DeviceError, devices, resolve
from dlarray.names import by_name, classes
from dlarray.optimizers import Optimizer

__all__ = ["app", "digits", "measure", "show_devices", "train_app"]

app = typer.Typer(
    help="Neural networks of the textbook on any array library. DLARRAY_DEVICE or --device choose where.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
train_app = typer.Typer(help="Train a network.", no_args_is_help=True)
app.add_typer(train_app, name="train")


def _names(kind: type[object]) -> str:
    return ", ".join(sorted(classes(kind)))


@contextmanager
def _plain_errors() -> Generator[None]:
    """What a user has asked for wrongly is told in a line, without a traceback; exit code 2."""
    try:
        yield
    except (ValueError, TypeError, ImportError, OSError, DeviceError, dlarray.Diverged) as error:
        Console(stderr=True, soft_wrap=True).print(f"error: {error}", style="bold red", markup=False, highlight=False)
        raise typer.Exit(2) from None


@app.command("devices")
def show_devices() -> None:
    """Show every device, and beside each that cannot be used the reason."""
    table = Table(box=None, header_style="bold")
    for column in ("device", "usable", "library", "reason", "remedy"):
        table.add_column(column, no_wrap=column == "device", overflow="fold")
    for d in devices():
        usable = "[green]yes[/]" if d.usable else "[red]no[/]"
        table.add_row(d.name, usable, *map(escape, (d.library, d.reason, d.remedy)))
    Console().print(table)


@app.command("bench", epilog="Example:  dlarray bench --cases S,M,L --device cpu")
def measure(
    cases: Annotated[str, typer.Option(help="Of S, M, L, XL, or widths and batch size: 784-256-10x128.")] = "M",
    device: Annotated[str | None, typer.Option(help="Where: cpu, cuda, torch, jax, …; see `dlarray devices`.")] = None,
    bursts: Annotated[int, typer.Option(help="How often each is measured.")] = 30,
    seconds: Annotated[float, typer.Option(help="How long each time.")] = 0.1,
    json: Annotated[Path | None, typer.Option(help="A file for the figures.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show the plans of the steps instead.")] = False,
) -> None:
    """Measure a step of training against its limit, the time of its matrix products alone, on this machine.

    Other libraries are measured by benchmarks/cpu.py, which lies beside dlarray's source.
    """
    from dlarray.bench import bench, plans, table, write

    names = [name.strip() for name in cases.split(",")]
    with _plain_errors():
        if explain:
            print(*(f"{name}: {plan}" for name, plan in plans(names, device).items()), sep="\n\n")
            return
        report = bench(names, device, bursts, seconds)
        if json:
            write(report, json)
        print(table(report))


@train_app.command(epilog="Example:  dlarray train digits --device jax --hidden 128,64 --activation gelu")
def digits(
    device: Annotated[str | None, typer.Option(help="Where: cpu, cuda, torch, jax, …; see `dlarray devices`.")] = None,
    epochs: Annotated[int, typer.Option(help="How many times all examples are seen.")] = 30,
    hidden: Annotated[str, typer.Option(help="Units of the hidden layers, such as 128 or 128,64.")] = "256",
    activation: Annotated[str, typer.Option(help=f"One of {_names(Activation)}.")] = "relu",
    optimizer: Annotated[str, typer.Option(help=f"One of {_names(Optimizer)}.")] = "adam",
    batch_size: Annotated[int, typer.Option(help="Examples per step; 0 for all of them, batch descent.")] = 32,
    seed: Annotated[int, typer.Option(help="Of split, weights and order.")] = 0,
    output: Annotated[Path, typer.Option(help="The folder for digits.safetensors and digits.png.")] = Path(),
) -> None:
    """Learn to read 1,797 handwritten digits; save the model and a picture of how it went."""
    with _plain_errors():
        _train_digits(device, epochs, hidden, activation, optimizer, batch_size, seed, output)


def _train_digits(
    device: str | None,
    epochs: int,
    hidden: str,
    activation: str,
    optimizer: str,
    batch_size: int,
    seed: int,
    output: Path,
) -> None:
    from dlarray import datasets, plot

    where = resolve(device)
    descent = by_name(Optimizer, optimizer)()
    model = dlarray.mlp(64, *_units(hidden), 10, activation=activation)
    data = datasets.digits(seed)
    plot.pyplot()  # what is missing is missed before the training, not after it
    output.mkdir(parents=True, exist_ok=True)
    print(f"device: {where}")
    print(model.summary())
    trained = dlarray.fit(
        model,
        data.x_train,
        data.y_train,
        optimizer=descent,
        epochs=epochs,
        batch_size=batch_size or None,
        validation=(data.x_test, data.y_test),
        seed=seed,
        device=where,
    )
    figures = trained.evaluate(data.x_test, data.y_test)
    print(f"loss:          {trained.history['loss'][-1]:.6g} in training, {figures['loss']:.6g} in the test")
    print(f"test accuracy: {figures['accuracy']:.2%} of {len(data.y_test)} digits")
    trained.save(output / "digits.safetensors")
    report = plot.training_report(trained, data.x_test, data.y_test, data.images_test, title=f"Digits on {where}")
    plot.save(report, output / "digits.png")
    print(f"saved:         {output / 'digits.safetensors'}, {output / 'digits.png'}")


def _units(text: str) -> list[int]:
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise ValueError(f"--hidden takes whole numbers with commas between them, got {text!r}") from None
