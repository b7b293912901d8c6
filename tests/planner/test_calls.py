"""Calls of NumPy in a step: a plan's results have NumPy's types, shapes and numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dlarray.core.array import array_namespace
from dlarray.planner import compile as compile_step
from dlarray.planner.trace.symbols import Symbol

CALLS: dict[str, str] = {
    "functions from all to cross": """
    np.all(x>1,0)  np.any(i>2)  np.append(x,v)  np.argmax(x,0)  np.argmin(x)  np.argpartition(x,1)
    np.argsort(x,axis=0)  x.argsort()  np.around(x,2)  np.average(x,axis=0)  np.average(x,weights=x+1)
    np.block([x,x])  np.choose(i%2,[x,x*2])  np.clip(x,0.5,2)  np.clip(i,0,2)  np.clip(i,0,2.5)  np.clip(f,0.1,x)
    np.clip(f,None,1)  np.clip(f,np.float64(0.1),2)  np.clip(x,max=1.0)  x.clip(0,1)  x.clip(max=2)  i.clip(1)
    xp.clip(f,0.1,2)  xp.clip(i,1,3)  xp.clip(f,x*0,x)  np.column_stack([v,v])  np.concatenate([x,x],axis=1)
    np.concatenate([x,i])  np.concatenate([x,x],axis=None)  np.convolve(v,v)  np.corrcoef(x)
    np.correlate(v,v,"full")  np.count_nonzero(i)  np.count_nonzero(i,axis=0)  np.cov(x)  np.cross(v,v*2+1)
    np.lib.stride_tricks.sliding_window_view(x,2,axis=1)
    """,
    "functions from cumprod to linspace": """
    np.cumprod(x,0)  np.cumsum(x)  x.cumsum(1)  i.cumsum()  np.diag(v)  np.diag(x)  np.diagonal(x)  x.diagonal()
    np.diagflat(v)  np.diff(x)  np.diff(x,2,0)  np.digitize(x,np.array([1.0,2.0]))  np.dot(x,x.T)  np.dot(v,v)
    np.dot(x,v)  x.dot(v)  x.dot(2.0)  np.dstack([x,x])  np.ediff1d(v)  np.einsum('ij,kj->ik',x,x)
    np.einsum('ij->',x)  np.fix(x)  np.flip(x)  np.flipud(x)  np.full_like(x,3)  np.full_like(i,2.7)
    np.zeros_like(x,np.float32)  np.ones_like(i)  np.empty_like(x)*0  np.gradient(v)  np.hstack([x,x])  np.i0(x)
    np.imag(x)  np.inner(v,v)  np.inner(x,x)  np.interp(x,np.array([0.,1.,5.]),np.array([0.,2.,3.]))
    np.isclose(x,1.0)  np.isin(i,[1,2])  np.kron(v,v)  np.lexsort((v,v))  np.linspace(0,v,3)  np.linspace(v[0],1,3)
    """,
    "functions from matrix_transpose to copy": """
    np.matrix_transpose(x)  np.max(x,0)  np.max(x)  x.max(axis=1,keepdims=True)  np.mean(x,0,np.float64)  np.mean(f)
    np.mean(f,dtype=np.float64)  np.mean(i)  np.mean(h)  x.mean(1)  x.mean(-1,keepdims=True)  np.median(x)
    np.median(x,axis=1)  np.min(x,keepdims=True)  np.moveaxis(x,0,1)  np.nan_to_num(x)  np.nanargmax(x,0)
    np.nancumsum(x)  np.nanmax(x)  np.nanmean(x,0)  np.nanmedian(x)  np.nansum(x)  np.nanstd(x)  np.nanvar(x,0)
    np.outer(v,v)  np.pad(x,1)  np.pad(x,((1,0),(0,2)),constant_values=3.0)  np.partition(x,1)  np.percentile(x,30)
    np.quantile(x,[0.1,0.5],axis=0)  np.polyval([1.,2.,3.],x)  np.prod(x,0)  x.prod()  np.ptp(x)  np.ptp(x,0)
    np.ravel(x)  np.real(x)  np.repeat(x,2)  np.repeat(x,[1,2],axis=0)  x.repeat(2,axis=1)  np.reshape(x,-1)
    np.resize(x,(3,3))  np.roll(x,1)  np.roll(x,i[0,0]%2)  np.rot90(x)  np.round(x)  np.round(i)  np.round(x,1)
    x.round(1)  i.round()  np.searchsorted(np.array([1.,2.]),x)
    v.searchsorted(1.0)  np.select([x>1,x>0],[x,-x],0.5)  np.sinc(x)  np.sort(x,0)  np.sort(x,axis=None)
    np.squeeze(x[:1])  np.stack([v,v],1)  np.std(x)  x.std(0)  x.std(ddof=1)  xp.std(x,correction=1)
    xp.var(x,axis=0)  np.sum(x)  np.sum(i)  np.sum(i,dtype=np.int32)  np.sum(f,dtype=np.float64)  np.sum(x,0,None)
    np.sum(b)  x.sum(0)  x.sum(axis=(0,1))  np.sum(x,initial=2.0)  np.sum(x,where=x>1)  np.swapaxes(x,0,1)
    np.take(x,[0,1],axis=1)  np.take(x,i)  x.take([2,0])  np.take_along_axis(x,np.argsort(x,1),1)
    xp.take_along_axis(x,xp.argsort(x),axis=1)  xp.argsort(x,descending=True)  xp.sort(x,axis=0)
    np.tensordot(x,x,2)  np.tensordot(x,x,([1],[1]))  np.tile(x,(2,1))  np.trace(x)  x.trace()
    np.transpose(x,(1,0))  np.trapezoid(v)  np.tril(x)  np.triu(x,1)  np.unwrap(v)  np.vander(v)  np.var(x,1)
    x.var(ddof=1)  np.vdot(v,v)  np.vecdot(x,x)  np.vstack([x,x])  np.astype(x,np.float32)  xp.astype(i,xp.float32)
    np.where(x>1,x,0)  np.where(x>1,i,2.5)  np.where(i>1,i,f)  np.where(b,1,2)  np.where(b,1.0,x)  np.copy(x)
    """,
    "linear algebra": """
    np.linalg.norm(x)  np.linalg.norm(x,axis=1)  np.linalg.norm(v,1)  np.linalg.inv(x@x.T+np.eye(2))
    np.linalg.det(x@x.T)  np.linalg.solve(x@x.T+np.eye(2),v[:2])  np.linalg.cholesky(x@x.T+np.eye(2))
    np.linalg.eigvalsh(x@x.T)  np.linalg.pinv(x)  np.linalg.matrix_power(x@x.T,2)  np.linalg.svdvals(x)
    np.linalg.trace(x)  np.linalg.diagonal(x)  np.linalg.outer(v,v)  np.linalg.cond(x@x.T+np.eye(2))
    xp.linalg.vector_norm(x,axis=1)  xp.linalg.matrix_norm(x)  xp.linalg.vecdot(x,x)  np.linalg.multi_dot([x,x.T,x])
    """,
    "transforms, operators and their types": """
    np.abs(np.fft.fft(v))  np.fft.rfft(x).real  np.fft.ifft(np.fft.fft(v)).real  np.abs(np.exp(1j*f))  np.abs(1j*x)
    (x*(1+2j)).imag  np.angle(x+1j)  np.real(x*1j)  np.conj(x)  x.conj()  np.hypot(x,x)  np.arctan2(x,1)
    np.logaddexp(x,0)  np.heaviside(x,0.5)  np.fmod(x,2)  np.remainder(i,3)  i//2  i%3  x//0.3  x%0.3
    divmod(x,0.3)[0]  divmod(i,3)[1]  np.float_power(f,2)  f**2  i**2  2**i  f**0.5  f**np.float64(2)  x**-1  i*2.5
    f*2.5  f*np.float64(2.5)  f+1  i+True  b+b  b*2  b+1.5  ~b  ~i  -x  +x  abs(x)  i<<1  i>>1  i&3  b | True  b^b
    i8+100  u8+1  i8*2  i8+i  u8+i8  f+i  h+1.0  h+f  h*2  np.add.reduce(x)  np.add.reduce(x,axis=1)
    np.add.reduce(x,axis=None)  np.maximum.reduce(x)  np.multiply.outer(v,v)  np.add.accumulate(x)
    np.logical_and.reduce(b)
    """,
    "ufuncs": """
    np.exp(i)  np.sqrt(f)  np.exp(h)  np.sin(i8)  np.log1p(b)  np.isnan(i)  np.sign(x)  np.floor(i)  xp.floor(i)
    np.trunc(f)  np.square(i)  np.reciprocal(f)  np.cbrt(x)  np.exp2(f)  np.rad2deg(x)  np.logical_not(x)
    np.equal(i,2.0)  x==1  i!=2  f<np.float64(1)  np.maximum(i,2.5)  np.minimum(f,1)  np.copysign(x,-1)
    np.signbit(x)  np.nextafter(x,9)  np.ldexp(x,i)  np.power(i,2)  np.power(f,2.0)  np.positive(x)  np.spacing(x)
    np.gcd(i,2)
    """,
    "indices": """
    x[0]  x[0,1]  x[...,1]  x[None]  x[:,::-1]  x[[1,0]]  x[np.array([1,0])]  x[np.array([True,False])]
    x[[True,False],1:]  x[i[0]%2]  x[i%2]  x[i[0,0]%2]  x[:,i[0,0]%2]  x[np.argmax(v)%2]  x[:,None,1]
    x[i[0]%2,None]  x[True]  v[np.array(1)]  v[xp.asarray(1)]  x[[0,1],[1,2]]  x[np.ix_([0,1],[2,0])]
    v[v.argmin()]  x[0,1].sum(0)  x.view()
    """,
    "shapes and methods": """
    np.shape(x)[0]*x  np.ndim(x)*x  np.size(x)*x  np.size(x,1)*x  x*len(x)  x.size*x  x.itemsize*x  x.nbytes*x
    np.result_type(f,1.0).itemsize*x  np.split(x,3,axis=1)[1]  np.array_split(v,2)[0]  np.hsplit(x,3)[1]
    np.vsplit(x,2)[1]  xp.unstack(x)[0]  np.unstack(x,axis=1)[2]  xp.meshgrid(v,v)[0]
    np.meshgrid(v,v[:2],indexing='ij')[1]  np.meshgrid(v,v[:2],sparse=True)[0]  np.broadcast_arrays(x,v)[1]
    np.broadcast_to(v,(2,3))  xp.broadcast_to(v,(2,3))  np.atleast_2d(v)  np.atleast_1d(v[0])
    np.expand_dims(x,(0,3))  x.squeeze()  x[:1].squeeze(0)  x.swapaxes(0,1)  x.T.reshape(-1)  x.reshape(3,2)
    x.reshape((3,2))  x.reshape(-1,order='F')  x.ravel('F')  x.flatten()  x.transpose()  x.transpose(1,0)
    x.transpose((1,0))  x.astype('f4')  x.astype(int)  x.astype(np.float32,copy=False)  x.copy()  f.view(np.int32)
    x.all()  x.any(0)  x.argmax(1)  i.max()  i.min(0)  x.mean()  np.fliplr(x)  x.mT  x.real  x.imag
    """,
    "the standard's namespace": """
    xp.asarray([x[0,0],1.0])  xp.asarray([[x[0,0],x[0,1]],[1,2]])  xp.asarray(np.ones(3),dtype=xp.float32)*v
    xp.full((2,),x[0,0])  xp.full((2,2),3)*v[:2]  xp.zeros((2,))+v[:2]  xp.arange(3)*v  xp.arange(1,4)*v
    xp.linspace(0,1,3)*v  xp.eye(3)*v  xp.tril(x)  xp.cumulative_sum(x,axis=1)
    xp.cumulative_sum(x,axis=1,include_initial=True)  xp.concat([x,x])  xp.stack([v,v],axis=-1)
    xp.squeeze(x[:1],axis=0)  xp.permute_dims(x,(1,0))  xp.matrix_transpose(x)  xp.flip(x,axis=1)
    xp.roll(x,1,axis=1)  xp.repeat(x,2,axis=0)  xp.tile(x,(1,2))  xp.take(x,i[0]%2,axis=0)  xp.sum(i)
    xp.sum(f,dtype=xp.float64)  xp.prod(f)  xp.mean(f,axis=1)  xp.max(i,axis=0)  xp.argmax(x,axis=1)
    xp.count_nonzero(i,axis=1)  xp.searchsorted(np.array([1.,2.]),v)  xp.where(b,x,xp.zeros_like(x))  xp.round(x)
    xp.clip(x,0.5)  xp.maximum(x,1.0)  xp.atan2(x,x)  xp.hypot(x,x)  xp.pow(x,2)  xp.bitwise_and(i,3)
    xp.bitwise_left_shift(i,1)  xp.logical_or(b,b)  xp.vecdot(x,x)  xp.tensordot(x,x,axes=2)  xp.diff(x)
    xp.moveaxis(x,0,1)  xp.isdtype(x.dtype,'real floating')*x  xp.finfo(x.dtype).eps*x
    xp.result_type(f,xp.float64).itemsize*x  xp.expand_dims(x,axis=0)  xp.ceil(i)  xp.sign(x)  xp.nextafter(x,x)
    xp.reciprocal(x)  xp.signbit(x)  xp.remainder(x,0.7)  xp.floor_divide(x,0.7)  xp.square(x)
    """,
    "numbers beside arrays": """
    sum(x)  sum(v)  max(len(x),1)*x  np.float64(2)*x  np.array([1.,2.,3.])*x  [1.,2.,3.]*v  np.array(2.0)*x
    np.float32(2)*x  np.array([2.0],np.float32)*f  2*i  np.int64(2)*i8  np.ones((2,3))@x.T  x@np.ones(3)
    np.ones(2)@x  v@v  x.T@x  np.array([[1,2,3]])-i  1/x  2.0**f  3//i  5%i  1<<i  1-b.astype(int)  (x>1)*1.0
    (x>1).sum()  (x>1).mean()  (x>1)&(x<2)  np.arange(3)+i  np.bool_(True)&b
    """,
}
"""Two spaces separate calls."""


def arrays(seed: int) -> dict[str, np.ndarray]:
    r = np.random.default_rng(seed)
    x = np.round(r.uniform(0.1, 3, (2, 3)), 3)
    f, h, i, small = x.astype(np.float32), x.astype(np.float16), r.integers(1, 5, (2, 3)), r.integers(0, 5, (2, 3))
    return {"x": x, "v": x[0], "f": f, "h": h, "i": i, "b": x > 1, "i8": small.astype("i1"), "u8": small.astype("u1")}


@pytest.mark.parametrize("group", CALLS)
def test_calls_give_numpys_types_shapes_and_numbers(group):
    """All calls of a group are one step. A result without axes is a scalar or a 0-d array, as in NumPy."""
    calls = [call.strip() for line in CALLS[group].splitlines() for call in line.split("  ") if call.strip()]
    texts = [compile(call, call, "eval") for call in calls]
    numbers: dict[str, bool | None] = {}

    def step(state: Any, given: Any) -> Any:
        made = [eval(text, {"np": np, "xp": array_namespace(given["x"])}, dict(given)) for text in texts]
        numbers.update({c: m.is_scalar for c, m in zip(calls, made, strict=True) if isinstance(m, Symbol)})
        return state + 0.0, made

    fast, state = compile_step(step), np.ones(1)
    for seed in (0, 1):
        state, got = fast(state, arrays(seed))
    assert list(fast.programs.values()) != [None]
    _, plain = step(np.ones(1), arrays(1))
    assert len(numbers) == len(calls)
    for call, y, expected in zip(calls, got, plain, strict=True):
        assert (y.dtype, y.shape) == (expected.dtype, expected.shape), call
        eps = np.finfo(y.dtype).eps if y.dtype.kind in "fc" else 0
        np.testing.assert_allclose(y, expected, rtol=64 * eps, atol=8 * eps, err_msg=call)
        assert numbers[call] == isinstance(expected, np.generic), call
