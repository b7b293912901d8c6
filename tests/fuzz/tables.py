"""Expressions and statements as users write them.

a and b stand for arrays, i for whole numbers, c for a number, s for a namespace, y and z for new names.
"""

from __future__ import annotations

__all__ = [
    "ALIASED",
    "ARRANGED",
    "ASSIGNED",
    "BY_VALUE",
    "CONSTANTS",
    "FRESH",
    "INDEXED",
    "NESTED",
    "NORMALISED",
    "OVER",
    "PRODUCTS",
    "RESHAPED",
    "VIEWS",
]


def _table(text: str) -> list[str]:
    return [form.strip().replace("; ", "\n") for form in text.split("¦")]


CONSTANTS = _table("""
    {s}.ones_like({a}) ¦ {s}.zeros_like({a}) ¦ {s}.full_like({a}, 3) ¦ np.full({a}.shape, {c})
    ¦ {s}.ones({a}.shape) ¦ np.zeros({a}.shape, {a}.dtype) ¦ np.arange({a}.size)
    ¦ np.linspace(0, 1, {a}.size).reshape({a}.shape) ¦ np.eye(3) ¦ np.array([1.0, 2.0, 3.0]) ¦ h ¦ h * 2
    ¦ np.ones(3) ¦ {a} * 0
""")
OVER = _table("""
    np.max({a}) ¦ np.max(np.abs({a}), axis=-1, keepdims=True) ¦ np.sum(np.exp({a}), -1, keepdims=True)
    ¦ np.sqrt(np.sum({a} * {a})) ¦ np.max({a}, axis=0) ¦ np.sum(np.abs({a}))
""")
"""Divisors that users write: a maximum, a sum, a norm."""
NORMALISED = _table("""
    {a} / {over} ¦ np.floor({a} / {over} * 127) ¦ ({a} / {over} >= 1.0) * 1.0 ¦ np.exp({a}) / {over}
    ¦ np.rint(127 * ({a} / {over})) ¦ ({a} / {over} == 1) & ({a} > 0)
""")
PRODUCTS = _table("""
    {a} @ {b} ¦ {a} @ {b}.T ¦ {a}.T @ {b} ¦ np.dot({a}, {b}) ¦ {a}.dot({b}.T) ¦ np.matmul({a}, {b})
    ¦ xp.vecdot({a}, {b}) ¦ np.einsum('ij,ij->i', {a}, {b}) ¦ np.einsum('ij,kj->ik', {a}, {b})
    ¦ np.outer({a}[:3], {b}[:4]) ¦ np.inner({a}, {b}) ¦ np.tensordot({a}, {b}, axes=1)
    ¦ xp.matmul({a}, {b}[..., None])[..., 0] ¦ np.vdot({a}, {a})
    ¦ ({a}[..., None, :] @ {b}[..., :, None])[..., 0, 0]
""")
NESTED = _table("""
    {y} = (lambda u, h=0.5: np.tanh(u) * h + u * {c})({a})
    ¦ def f{y}(u, v): return u * np.exp(-np.abs(v)) + c0; {y} = f{y}({a}, {b})
    ¦ {y} = sum(np.tanh({a} * i) for i in range(3))
    ¦ {y} = {a}; for i in range(3): {y} = {y} * 0.5 + {b}
    ¦ {y} = 0.0; for i in range(2): {y} += np.mean({a} * (i + {b}))
    ¦ k = np.ones(3); {y} = 0.0; for i in range(3): {y}, k = {y} + np.sum({a} * k[0]), k * 0.5
    ¦ k = np.ones(3); {y} = {a} * k[0]; k *= 0.5; {y} = {y} + np.sum({b}) * k
    ¦ {y} = {a} if {a}.ndim > 1 else {b}
    ¦ {y} = {a} / len({a}) + np.ndim({a}) - np.size({b}) + np.shape({a})[0]
""")
VIEWS = _table("""
    {a}[0] ¦ {a}[-1] ¦ {a}[1:] ¦ {a}[:-1] ¦ {a}[::2] ¦ {a}[::-1] ¦ {a}[..., ::-1] ¦ {a}[..., 0] ¦ {a}[..., None]
    ¦ {a}[None] ¦ {a}[:, None] ¦ {a}[..., :2] ¦ {a}[:, 1:] ¦ {a}[..., 0:1] ¦ {a}[2:1] ¦ {a}[:3, ::-2]
    ¦ {a}[0, ...] ¦ {a}[1:][:-1] ¦ {a}[..., 1:][..., ::-1] ¦ {a}[np.newaxis, ..., 0]
""")
RESHAPED = _table("""
    {a}.reshape(-1) ¦ {s}.reshape({a}, (-1,)) ¦ {a}.reshape(-1, {a}.shape[0]) ¦ {a}.T ¦ {a}.ravel()
    ¦ {a}.T.reshape(-1) ¦ {a}.T.T ¦ {a}.flatten() ¦ {a}.reshape({a}.shape[::-1]) ¦ xp.permute_dims({a}, (1, 0))
    ¦ np.transpose({a}) ¦ {a}.swapaxes(0, -1) ¦ np.moveaxis({a}, 0, -1) ¦ {a}.squeeze() ¦ np.squeeze({a})
    ¦ {s}.expand_dims({a}, axis=0) ¦ np.expand_dims({a}, -1) ¦ {a}.copy() ¦ np.ascontiguousarray({a})
    ¦ np.atleast_2d({a}) ¦ {a}.transpose() ¦ {a}.reshape(({a}.size, 1))
""")
ARRANGED = _table("""
    {s}.flip({a}, axis=0) ¦ {s}.roll({a}, 1, axis=-1) ¦ {s}.concat([{a}, {b}], axis=0) ¦ {s}.stack([{a}, {b}])
    ¦ np.concatenate([{a}.ravel(), {b}.ravel()]) ¦ np.hstack([{a}, {b}]) ¦ np.vstack([{a}, {b}]) ¦ np.tile({a}, 2)
    ¦ np.repeat({a}, 2, axis=0) ¦ {s}.sort({a}, axis=-1) ¦ {s}.argsort({a}, axis=-1) ¦ np.diff({a}, axis=-1)
    ¦ {s}.broadcast_to({a}, (2, *{a}.shape)) ¦ np.broadcast_arrays({a}, 1.0)[0]
    ¦ {s}.stack([{a}, {b} * 2], axis=-1) ¦ np.split({a}, [1])[1] ¦ np.array_split({a}, 2)[0] ¦ xp.unstack({a})[0]
    ¦ np.triu({a}) ¦ np.tril({a}) ¦ np.diag({a}) ¦ np.meshgrid({a}.ravel()[:3], {b}.ravel()[:2])[1]
    ¦ np.pad({a}, 1) ¦ {s}.cumulative_sum({a}, axis=-1) ¦ {a}.cumsum(0) ¦ {a}.round(1) ¦ np.round({a}, 2)
    ¦ np.trace({a}) ¦ np.nan_to_num({a} / 0.5) ¦ np.linalg.norm({a}) ¦ np.append({a}, {b})
    ¦ xp.concat([{a}.reshape(-1), h]) ¦ np.interp({a}.ravel()[:5], [0.0, 1.0], [1.0, 3.0])
""")
INDEXED = _table("""
    {s}.take({a}, {i} % {a}.shape[0], axis=0) ¦ {a}[{i} % {a}.shape[0]]
    ¦ {a}[np.argmin({a}.ravel()) % {a}.shape[0]] ¦ {a}.take([0, 0], axis=0) ¦ {a}[[0, -1]] ¦ {a}[np.array([0, 0])]
    ¦ {a}[{i} % {a}.shape[0], None] ¦ {a}[..., [0]] ¦ {a}[np.arange({a}.shape[0]), 0]
    ¦ np.take_along_axis({a}, np.argsort({a}, axis=-1), axis=-1) ¦ ({i}[:, None] == np.arange(3)) * 1.0
    ¦ np.repeat({a}, 2) ¦ np.searchsorted([0.0, 0.5], {a})
""")
FRESH = _table("""
    {a} * 1.5 ¦ {a} + 0.0 ¦ {a}.copy() ¦ np.zeros_like({a}) ¦ +{a} ¦ np.abs({a}) ¦ {a}.T * 2 ¦ np.mean({a})
    ¦ np.sum({a}, axis=0) ¦ xp.sum({a}, axis=None) ¦ np.max({a}, axis=-1) ¦ {a}[0] * 2
""")
ALIASED = _table("""
    [...] ¦ [1:] ¦ [::-1] ¦ .T ¦ [0] ¦ [..., :1] ¦ .reshape(-1) ¦ [...].T ¦ [1:][::-1]
    ¦ [np.argmin({y}) % len({y})] ¦ .T.reshape(-1) ¦ .ravel() ¦ [..., None] ¦ [0][...] ¦ [::2][1:] ¦ .T.ravel()
    ¦ .reshape(-1)[1:] ¦ [None].T
""")
"""Ways to give an array another name: itself, a view, sometimes a copy."""
ASSIGNED = _table("""
    {y} = {a} * 1.0; {y}[0] = 0.5
    ¦ {y} = {a} * 1.0; {y}[{y} < 0] = 0.0
    ¦ {y} = np.empty_like({a}); np.add({a}, {b}, out={y})
    ¦ {y} = np.zeros({a}.shape); {y} += {b}
    ¦ {y} = np.zeros({a}.shape); {y}[...] = {b}
    ¦ {y} = {a}.copy(); {y}[1:] += {b}[:-1]
    ¦ {y} = np.eye(3) * 0.5; {z} = {y}; {y} @= np.eye(3) * np.tanh(np.mean({a}))
    ¦ {y} = np.multiply({a}, {b}, dtype={a}.dtype)
    ¦ {y} = np.add({a}, {b}, where={a} > 0, out=np.zeros_like({a}))
    ¦ {y} = {a} + 0.0; np.maximum({y}, 0, out={y})
    ¦ {y}, {z} = {a} + 1, {b} * 2; {y}, {z} = {z}, {y}
    ¦ {y} = np.add.reduce({a}, axis=0)
    ¦ {y} = np.maximum.reduce({a}, axis=-1)
    ¦ {y} = np.multiply.outer({a}.ravel()[:3], {b}.ravel()[:2])
    ¦ {y} = [{a}, {b}]; {y}[0] = {y}[0] * 0.5; {z} = {y}[0] + {y}[1]
""")
BY_VALUE = _table("""
    {y} = {a} * 0.5 if np.sum({a}) > 0 else {a}
    ¦ {y} = float(np.sum({a})) * 0.5
    ¦ {y} = {a} * int(np.sum({a} > 0))
    ¦ {y} = {a}; while np.max(np.abs({y})) > 0.5: {y} = {y} * 0.5
    ¦ {y} = [{a} * 0.5 for v in {a}.ravel()[:2] if v > 0][:1]; {y} = {y}[0] if {y} else {a}
    ¦ {y} = np.asarray({a}.tolist())
    ¦ {y} = {a}.item() if {a}.size == 1 else {a}
    ¦ {y} = np.array({a}) * 0.5
    ¦ {y} = np.asarray({a}, np.float64) + 1
    ¦ {y} = {a}[{a} > 0]
    ¦ {y} = np.sum({a}[{a} > 0.5])
    ¦ {y} = np.bincount({i}.ravel() % 5, minlength=5)
    ¦ {y} = np.unique({i}).size * 1.0
    ¦ {y} = np.nonzero({a})[0]
    ¦ {y} = np.compress([True, False], {a}, axis=0)
""")
"""A branch on a value, a shape that depends on values, numbers taken out of an array."""
