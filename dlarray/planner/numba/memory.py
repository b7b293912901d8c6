"""Memory in Numba's kernels: addresses, typed pointers, and which memory does not overlap.

The compiler vectorises a loop only if it knows that no store changes what a later load reads. Numba's arrays do not
express that, and run-time checks work only for a few arrays. So each load and store names the *scope* it belongs to:
scope k (0, 1, …) is the memory of one output or buffer, and -1 that of all inputs that are not outputs. Scopes do not
overlap. Indices count items, and are neither checked nor wrapped.
"""

# pyright: basic
# The functions below make LLVM's instructions; llvmlite and Numba's extension interface have no types.

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["advance", "bits", "item", "left_shift", "load", "local", "pointer", "right_shift", "store"]


@intrinsic
def pointer(_typing, address, dtype):
    """The pointer to items of a dtype at an address, an int64."""
    result = types.CPointer(dtype.instance_type)

    def generate(context, builder, _signature, args):
        return builder.inttoptr(args[0], context.get_value_type(result))

    return result(types.int64, dtype), generate


@intrinsic
def advance(_typing, base, count):
    """The pointer advanced by some items."""

    def generate(_context, builder, _signature, args):
        return builder.gep(args[0], [args[1]], inbounds=True)

    return base(base, types.int64), generate


@intrinsic(prefer_literal=True)
def local(_typing, dtype, count):
    """A buffer of a literal number of items on the stack, not initialised."""
    result = types.CPointer(dtype.instance_type)
    length = count.literal_value

    def generate(context, builder, _signature, _args):
        item = context.get_data_type(dtype.instance_type)
        buffer = cgutils.alloca_once(builder, ir.ArrayType(item, length))
        buffer.align = 64
        return builder.bitcast(buffer, context.get_value_type(result))

    return result(dtype, count), generate


@intrinsic
def bits(_typing, value, dtype):
    """The bits of a number, read as another dtype of the same width."""

    def generate(context, builder, signature, args):
        return builder.bitcast(args[0], context.get_value_type(signature.return_type))

    return dtype.instance_type(value, dtype), generate


@intrinsic
def left_shift(_typing, value, count):
    """An integer shifted to the left in its own width: Numba's << widens it to 64 bits.

    If the count is negative, or the width or more, the result is 0, as in NumPy; LLVM's instruction is undefined then.
    """

    def generate(_context, builder, _signature, args):
        within, zero = _within(builder, args[1]), ir.Constant(args[0].type, 0)
        return builder.select(within, builder.shl(args[0], builder.select(within, args[1], zero)), zero)

    return value(value, value), generate


@intrinsic
def right_shift(_typing, value, count):
    """The same to the right, filling with the sign bit if the type is signed."""

    def generate(_context, builder, _signature, args):
        within, zero = _within(builder, args[1]), ir.Constant(args[0].type, 0)
        if value.signed:
            most = ir.Constant(args[0].type, args[0].type.width - 1)
            return builder.ashr(args[0], builder.select(within, args[1], most))
        return builder.select(within, builder.lshr(args[0], builder.select(within, args[1], zero)), zero)

    return value(value, value), generate


def _within(builder, count):
    """Whether a shift count, read as an unsigned number, is below the width."""
    return builder.icmp_unsigned("<", count, ir.Constant(count.type, count.type.width))


@intrinsic
def item(_typing, base, index):
    """The item at an index of memory that is not written."""

    def generate(context, builder, _signature, args):
        data = builder.load(builder.gep(args[0], [args[1]], inbounds=True))
        return context.data_model_manager[base.dtype].from_data(builder, data)

    return base.dtype(base, types.int64), generate


@intrinsic(prefer_literal=True)
def load(_typing, base, index, scope, scopes):
    """The item at an index, in one of a literal number of scopes."""
    dtype, own, number = base.dtype, scope.literal_value, scopes.literal_value

    def generate(context, builder, _signature, args):
        item = builder.load(builder.gep(args[0], [args[1]], inbounds=True))
        _annotate(builder.module, item, own, number)
        return context.data_model_manager[dtype].from_data(builder, item)

    return dtype(base, types.int64, scope, scopes), generate


@intrinsic(prefer_literal=True)
def store(_typing, base, index, value, scope, scopes):
    """Write the item at an index, in one of a literal number of scopes. The value has the pointer's dtype."""
    dtype, own, number = base.dtype, scope.literal_value, scopes.literal_value

    def generate(context, builder, _signature, args):
        item = context.data_model_manager[dtype].as_data(builder, args[2])
        done = builder.store(item, builder.gep(args[0], [args[1]], inbounds=True))
        _annotate(builder.module, done, own, number)
        return context.get_dummy_value()

    return types.none(base, types.int64, dtype, scope, scopes), generate


def _annotate(module, instruction, own, number):
    """Mark an access as one of its scope, and of no other."""
    domain = module.add_metadata(["dlarray kernel"])
    scopes = [module.add_metadata([f"dlarray scope {k}", domain]) for k in range(number)]
    others = scopes[:own] + scopes[own + 1 :] if own >= 0 else scopes
    if own >= 0:
        instruction.set_metadata("alias.scope", module.add_metadata([scopes[own]]))
    if others:
        instruction.set_metadata("noalias", module.add_metadata(others))
