"""Many arrays in one vector, and the arrays from the vector."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import dlarray as dl
from dlarray.core.layout import _ALIGNMENT, Layout, Slot

SHAPES = (("0.W", (3, 4)), ("0.b", (4,)), ("1.W", (4, 65)), ("none", (0, 5)), ("scalar", ()), ("1.b", (65,)))
LAYOUT = Layout(SHAPES)


def host(layout, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape) for name, shape in layout.shapes}


def arrays(on, layout=LAYOUT):
    return {name: on.array(x) for name, x in host(layout).items()}


@pytest.mark.parametrize("layout", [LAYOUT, LAYOUT.split_up()], ids=["together", "apart"])
def test_split_undoes_join(on, layout):
    theta = on.run(layout.join, arrays(on))
    assert [tuple(vector.shape) for vector in theta] == [(n,) for n in layout.lengths]
    parts = on.run(layout.split, theta)
    assert parts.keys() == {name for name, _ in SHAPES}  # jax.jit sorts a dictionary
    for name, x in host(layout).items():
        assert tuple(parts[name].shape) == x.shape
        np.testing.assert_array_equal(on.numpy(parts[name]), on.host(x))
        assert on.numpy(parts[name]).dtype == on.dtype


def test_together_is_one_vector_and_apart_one_for_each():
    assert len(LAYOUT.lengths) == 1
    assert len(LAYOUT.split_up().lengths) == len(SHAPES)
    assert LAYOUT.split_up().lengths == (12, 4, 260, 0, 1, 65)
    assert LAYOUT.split_up().shapes == LAYOUT.shapes
    assert LAYOUT.split_up().split_up() == LAYOUT.split_up()


def test_each_slot_begins_at_a_multiple_of_the_alignment_and_holds_only_its_array():
    end = 0
    for name, shape in SHAPES:
        slot = LAYOUT.slots[name]
        assert slot.start % _ALIGNMENT == 0
        assert end <= slot.start < end + _ALIGNMENT
        assert slot == Slot(0, slot.start, slot.start + int(np.prod(shape)), shape)
        end = slot.stop
    assert LAYOUT.slots["1.W"].start == 2 * _ALIGNMENT  # behind 12 and 4 numbers
    assert LAYOUT.lengths[0] % _ALIGNMENT == 0
    assert end <= LAYOUT.lengths[0] < end + _ALIGNMENT


def test_numbers_are_counted_without_padding():
    assert LAYOUT.count == LAYOUT.split_up().count == 12 + 4 + 260 + 0 + 1 + 65


def test_the_padding_is_zero(on):
    (vector,) = on.run(LAYOUT.join, {name: on.array(x + 1e6) for name, x in host(LAYOUT).items()})
    padding = np.ones(LAYOUT.lengths[0], dtype=bool)
    for slot in LAYOUT.slots.values():
        padding[slot.start : slot.stop] = False
    assert np.sum(padding) > 0
    np.testing.assert_array_equal(on.numpy(vector)[padding], 0)
    assert np.all(on.numpy(vector)[~padding] > 1e5)


def test_parts_are_views_where_arrays_can_be_written():
    theta = LAYOUT.join(host(LAYOUT))
    parts = LAYOUT.split(theta)
    for name, slot in LAYOUT.slots.items():
        if 0 not in slot.shape:
            assert np.shares_memory(parts[name], theta[0]), name
    parts["1.W"] += 1
    slot = LAYOUT.slots["1.W"]
    np.testing.assert_array_equal(theta[0][slot.start : slot.stop], host(LAYOUT)["1.W"].ravel() + 1)


def test_parts_are_views_of_torch_too():
    torch = pytest.importorskip("torch")
    theta = LAYOUT.join({name: torch.asarray(x) for name, x in host(LAYOUT).items()})
    LAYOUT.split(theta)["0.b"].add_(1)
    slot = LAYOUT.slots["0.b"]
    np.testing.assert_array_equal(theta[0][slot.start : slot.stop].numpy(), host(LAYOUT)["0.b"] + 1)


def test_join_copies_so_that_a_step_in_place_leaves_its_arguments_alone():
    given = host(LAYOUT)
    theta = LAYOUT.join(given)
    theta[0][:] = 7
    for name, x in host(LAYOUT).items():
        np.testing.assert_array_equal(given[name], x)


@pytest.mark.parametrize("layout", [LAYOUT, LAYOUT.split_up()], ids=["together", "apart"])
def test_a_mask_is_one_where_the_name_is_chosen_and_zero_elsewhere(on, layout):
    theta = on.run(layout.join, arrays(on))
    mask = on.run(lambda theta: layout.mask(lambda name: name.endswith("W"), theta), theta)
    for vector, like in zip(mask, theta, strict=True):
        assert vector.dtype == like.dtype
        assert vector.device == like.device
    parts = on.run(layout.split, mask)
    for name, shape in SHAPES:
        np.testing.assert_array_equal(on.numpy(parts[name]), np.full(shape, float(name.endswith("W"))))
    assert sum(float(np.sum(on.numpy(vector))) for vector in mask) == 12 + 260  # and zero in the padding


def test_nothing_at_all():
    empty = Layout(())
    assert empty.lengths == ()
    assert empty.count == 0
    assert empty.join({}) == ()
    assert empty.split(()) == {}
    assert empty.mask(bool, ()) == ()


@pytest.mark.parametrize("seed", range(20))
def test_any_shapes_go_round(seed):
    rng = np.random.default_rng(seed)
    shapes = [tuple(rng.integers(0, 9, rng.integers(0, 4)).tolist()) for _ in range(rng.integers(1, 9))]
    together = Layout(tuple((str(i), shape) for i, shape in enumerate(shapes)))
    for layout in (together, together.split_up()):
        given = host(layout, seed)
        parts = layout.split(layout.join(given))
        assert list(parts) == list(given)
        for name, x in given.items():
            np.testing.assert_array_equal(parts[name], x)


# Bad input


def test_names_must_differ():
    with pytest.raises(ValueError, match="names of a layout must differ"):
        Layout((("W", (2,)), ("W", (3,))))


def test_join_names_what_is_missing_and_what_is_strange():
    given = host(LAYOUT)
    given["2.W"] = given.pop("0.b")
    with pytest.raises(ValueError, match=r"differ in \['0\.b', '2\.W'\]"):
        LAYOUT.join(given)


def test_join_names_the_array_of_the_wrong_shape():
    with pytest.raises(ValueError, match=r"0\.W must have shape \(3, 4\), got \(4, 3\)"):
        LAYOUT.join(host(LAYOUT) | {"0.W": np.zeros((4, 3))})


WRONG_THETAS = {
    "a vector alone": (np.zeros(LAYOUT.lengths[0]), TypeError),
    "a list": ([np.zeros(LAYOUT.lengths[0])], TypeError),
    "none": ((), ValueError),
    "two": ((np.zeros(LAYOUT.lengths[0]),) * 2, ValueError),
    "too short": ((np.zeros(LAYOUT.lengths[0] - 1),), ValueError),
    "of lists": (([0.0] * LAYOUT.lengths[0],), TypeError),
    "of two axes": ((np.zeros((LAYOUT.lengths[0], 1)),), ValueError),
    "of the other kind": (LAYOUT.split_up().join(host(LAYOUT)), ValueError),
}


@pytest.mark.parametrize("case", WRONG_THETAS)
def test_a_theta_that_does_not_fit(case):
    theta, error = WRONG_THETAS[case]
    with pytest.raises(error, match="theta must"):
        LAYOUT.split(theta)


A, B = dl.MLP(2, [dl.Dense(3), dl.BatchNorm()]), dl.MLP(3, [dl.Dense(2), dl.BatchNorm()])
X3, Y2 = np.ones((4, 3)), np.arange(8.0).reshape(4, 2)


@pytest.mark.parametrize("device", ["cpu", "torch", "strict"])
def test_weights_of_another_model_with_the_same_lengths_are_refused(device):
    if device != "cpu":
        pytest.importorskip("torch" if device == "torch" else "array_api_strict")
    assert A.layout.lengths == B.layout.lengths
    options = {"device": device, "epochs": 1, "batch_size": 4, "progress": False}
    trained = dl.fit(A, np.arange(8.0).reshape(4, 2), X3, **options)
    for theta in (A.init(0, device), trained.theta, pickle.loads(pickle.dumps(trained)).theta):
        for use in (
            lambda theta=theta: dl.fit(B, X3, Y2, theta=theta, **options),
            lambda theta=theta: B.predict(theta, dl.asarray(X3, device, "float32"), B.init_buffers(device)),
            lambda theta=theta: trained.at(B.init(0, device), trained.buffers),
        ):
            with pytest.raises(
                ValueError, match=r"theta is of another model: it holds 0\.W \(\d, \d\), 0\.b .*this has"
            ):
                use()
    with pytest.raises(ValueError, match=r"another model: it holds 1\.mean \(3,\)"):
        B.predict(B.init(0, device), dl.asarray(X3, device, "float32"), A.init_buffers(device))
    dl.fit(A, np.arange(8.0).reshape(4, 2), X3, theta=trained.theta, **options)


def test_names_of_layers_may_differ_where_shapes_agree():
    without = dl.MLP(2, [dl.Dense(3), "tanh", dl.Dense(1)])
    dropped = dl.MLP(2, [dl.Dense(3), "tanh", dl.Dropout(0.5), dl.Dense(1)])
    dropped.parameters(without.init(0, "cpu"))
