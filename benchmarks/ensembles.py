"""Whether several networks of one shape are trained faster as one network with stacked weights than one by one.

    python benchmarks/ensembles.py --json FILE
    python benchmarks/ensembles.py --networks 64-32-10 --batches 32,128 --numbers 1,5,16

Each figure is microseconds for one step of one network; all take turns, and the shortest of the rounds is printed.

* *fit*: ``dlarray.fit`` trains one network. K of them one by one take K times as long.
* *products*: the products of a step alone, of K networks by ``matmul`` of three axes: no step with stacked weights can
  take less.
* *wide*: the same, but all networks have the same batch, so the first layer is one product with their weights side by
  side. Networks that draw their own batches, as runs of ``fit`` with other seeds do, cannot have it.
* *stacked*: the whole step with Adam in NumPy, every operation on the arrays of all networks, without new memory.
* *jax*: ``vmap`` of a step over the networks, many steps in one ``scan``; K = 1 is the step without vmap.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import environment

STEPS = 60
"""Of JAX, in one call."""

Contender = Callable[[], float]
"""Measures the microseconds for one step of one network."""


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default="64-32-10,784-256-128-10")
    parser.add_argument("--batches", default="32,128,256")
    parser.add_argument("--numbers", default="1,2,5,16", help="of networks (default 1,2,5,16)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--without-jax", action="store_true")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def timed(run: Callable[[], Any], each: int) -> float:
    """Microseconds of a call for each of so many networks or steps, over at least 20 ms."""
    run()
    start, calls = time.perf_counter(), 0
    while time.perf_counter() - start < 0.02 or calls < 2:
        run()
        calls += 1
    return 1e6 * (time.perf_counter() - start) / calls / each


def fit(widths: list[int], batch: int) -> Contender:
    """One network: the slope between a short and a long training."""
    import numpy as np

    import dlarray

    draw = np.random.default_rng(0)
    x = draw.standard_normal((100 * batch, widths[0])).astype("float32")
    t = draw.integers(0, widths[-1], len(x)).astype("int32")
    model = dlarray.mlp(*widths)

    def seconds(epochs: int) -> float:
        start = time.perf_counter()
        dlarray.fit(model, x, t, epochs=epochs, batch_size=batch, device="cpu", metrics=[], progress=False)
        return time.perf_counter() - start

    seconds(1)
    return lambda: 1e6 * (seconds(6) - seconds(1)) / 500


def products(widths: list[int], batch: int, number: int, wide: bool = False) -> Contender:
    """The products of a step; with ``wide`` those of the first layer on one batch for all networks."""
    import numpy as np

    draw = np.random.default_rng(0)

    def array(*shape: int) -> Any:
        return draw.standard_normal(shape).astype("float32")

    calls: list[tuple[Any, Any, Any]] = []
    for i, (n, m) in enumerate(pairwise(widths)):
        if wide and not i:
            x, y = array(batch, n), array(batch, number * m)
            calls += [(x, array(n, number * m), y), (x.T, y, array(n, number * m))]
            continue
        x, W, y = array(number, batch, n), array(number, n, m), array(number, batch, m)
        calls += [(x, W, y), (x.transpose(0, 2, 1), y, array(number, n, m))]
        calls += [(y, W.transpose(0, 2, 1), array(number, batch, n))] if i else []

    def run() -> None:
        for a, b, out in calls:
            np.matmul(a, b, out=out)

    return lambda: timed(run, number)


def stacked(widths: list[int], batch: int, number: int) -> Contender:
    """The whole step of all networks: their parameters are the rows of one matrix."""
    import numpy as np

    draw = np.random.default_rng(0)
    shapes = list(pairwise(widths))
    theta = (0.05 * draw.standard_normal((number, sum((n + 1) * m for n, m in shapes)))).astype("float32")
    g, first, second, spare = (np.zeros_like(theta) for _ in range(4))

    def views(whole: Any) -> list[tuple[Any, Any]]:
        found: list[tuple[Any, Any]] = []
        at = 0
        for n, m in shapes:
            W, b = whole[:, at : at + n * m], whole[:, at + n * m : at + (n + 1) * m]
            found.append((W.reshape(number, n, m), b.reshape(number, 1, m)))
            at += (n + 1) * m
        return found

    parameters, gradients = views(theta), views(g)
    x = draw.standard_normal((number, batch, widths[0])).astype("float32")
    t = np.eye(widths[-1], dtype="float32")[draw.integers(0, widths[-1], (number, batch))]
    z, dz, positive = (
        [np.empty((number, batch, m), dtype) for m in widths[1:]] for dtype in ("float32", "float32", "bool")
    )

    def run() -> None:
        inputs = [x, *z[:-1]]
        for i, (W, b) in enumerate(parameters):
            np.matmul(inputs[i], W, out=z[i])
            z[i] += b
            if i < len(z) - 1:
                np.maximum(z[i], 0, out=z[i])
        z[-1] -= z[-1].max(axis=2, keepdims=True)
        np.exp(z[-1], out=dz[-1])
        dz[-1] /= dz[-1].sum(axis=2, keepdims=True)
        dz[-1] -= t
        dz[-1] *= 1 / batch
        for i in reversed(range(len(z))):
            np.matmul(inputs[i].transpose(0, 2, 1), dz[i], out=gradients[i][0])
            np.sum(dz[i], axis=1, keepdims=True, out=gradients[i][1])
            if i:
                np.matmul(dz[i], parameters[i][0].transpose(0, 2, 1), out=dz[i - 1])
                np.greater(z[i - 1], 0, out=positive[i - 1])
                dz[i - 1] *= positive[i - 1]
        for moment, beta, other in ((first, 0.9, 1), (second, 0.999, g)):
            np.multiply(g, other, out=spare)
            np.multiply(spare, 1 - beta, out=spare)
            np.multiply(moment, beta, out=moment)
            np.add(moment, spare, out=moment)
        np.sqrt(second, out=spare)
        np.add(spare, 1e-8, out=spare)
        np.divide(first, spare, out=spare)
        np.multiply(spare, 1e-3, out=spare)
        np.subtract(theta, spare, out=theta)

    return lambda: timed(run, number)


def jax(widths: list[int], batch: int, number: int) -> Contender:
    """The same step by JAX and optax."""
    jax, optax = (import_module(name) for name in ("jax", "optax"))
    key, optimizer = jax.random.key(0), optax.adam(1e-3)

    def loss(parameters: Any, x: Any, t: Any) -> Any:
        for i, (W, b) in enumerate(parameters):
            x = x @ W + b
            x = jax.nn.relu(x) if i < len(parameters) - 1 else x
        return optax.softmax_cross_entropy_with_integer_labels(x, t).mean()

    def step(state: Any, data: Any) -> Any:
        parameters, moments = state
        value, g = jax.value_and_grad(loss)(parameters, *data)
        change, moments = optimizer.update(g, moments)
        return (optax.apply_updates(parameters, change), moments), value

    def one(state: Any, x: Any, t: Any) -> Any:
        return jax.lax.scan(step, state, (x, t))

    parameters = [(0.05 * jax.random.normal(key, (n, m)), jax.numpy.zeros(m)) for n, m in pairwise(widths)]
    state: Any = (parameters, optimizer.init(parameters))
    shape = (number, STEPS, batch)
    x, t = jax.random.normal(key, (*shape, widths[0])), jax.random.randint(key, shape, 0, widths[-1])
    if number == 1:
        compiled, data = jax.jit(one), (x[0], t[0])
    else:
        compiled, data = jax.jit(jax.vmap(one)), (x, t)

        def copies(array: Any) -> Any:
            return jax.numpy.stack([array] * number)

        state = jax.tree.map(copies, state)
    return lambda: timed(lambda: jax.block_until_ready(compiled(state, *data)), number * STEPS)


def contenders(widths: list[int], batch: int, numbers: list[int], with_jax: bool) -> dict[str, Contender]:
    """All of a network and a batch size, by name."""
    found = {"fit": fit(widths, batch)}
    for k in numbers:
        found |= {f"products, {k}": products(widths, batch, k), f"stacked, {k}": stacked(widths, batch, k)}
        found |= {f"wide, {k}": products(widths, batch, k, wide=True)}
        found |= {f"jax, {k}": jax(widths, batch, k)} if with_jax else {}
    return found


def measure(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Microseconds by case and contender."""
    numbers = [int(word) for word in options.numbers.split(",")]
    result: dict[str, dict[str, float]] = {}
    for network in options.networks.split(","):
        for batch in map(int, options.batches.split(",")):
            environment.log(f"{network}, batches of {batch}")
            turns = contenders([int(n) for n in network.split("-")], batch, numbers, not options.without_jax)
            times: dict[str, list[float]] = {name: [] for name in turns}
            for _ in range(options.rounds):
                for name, run in turns.items():
                    times[name].append(run())
            result[f"{network}, batches of {batch}"] = {name: min(each) for name, each in times.items()}
    return result


def main() -> None:
    """Measure, print, write."""
    options = arguments()
    conditions = environment.prepare(options.threads)
    import report
    from dlarray.bench import machine, write

    found = measure(options)
    packages = ("dlarray", "numpy", "llvmlite", *(() if options.without_jax else ("jax", "optax")))
    result: dict[str, Any] = {"machine": machine(packages), "conditions": conditions, "microseconds": found}
    if options.json:
        write(result, options.json)
    print(f"{report.versions(result['machine'])}; {result['machine']['cpu']}, {options.threads} threads")
    names = list(next(iter(found.values())))
    table = [["µs for a step of a network", *found]]
    table += [[name, *(f"{case[name]:.1f}" for case in found.values())] for name in names]
    print("\n".join(report.aligned(table)))


if __name__ == "__main__":
    main()
