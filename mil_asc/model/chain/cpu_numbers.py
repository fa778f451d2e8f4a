"""Elements of arrays in numba's kernels: float32, or bfloat16 as its 16 bits, by an index that is known to be inside.

numba lets a negative index count from the end. The test for it keeps its compiler from computing several elements at a
time; ``get`` and ``put`` leave it out.
"""

from llvmlite import ir
from numba import float32, int64, uint8, uint16, void
from numba.extending import intrinsic

from mil_asc.model.chain.compiled import part

_16_BITS, _32_BITS, _FLOAT = ir.IntType(16), ir.IntType(32), ir.FloatType()


def _element(context, builder, array_type, array, index):
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [index], inbounds=True)


@intrinsic
def get(typing_context, array, index):
    """``array[index]`` in float32, of a contiguous array of float32, or of uint16: the bits of bfloat16 numbers."""

    def code(context, builder, signature, args):
        value = builder.load(_element(context, builder, array, *args))
        if array.dtype == float32:
            return value
        return builder.bitcast(builder.shl(builder.zext(value, _32_BITS), _32_BITS(16)), _FLOAT)

    return float32(array, int64), code


@intrinsic
def put(typing_context, array, index, value):
    """``array[index] = value``, a float32, as ``get``; rounded to the nearest, of two equally near to the even one."""

    def code(context, builder, signature, args):
        value = args[2]
        if array.dtype == uint16:
            bits = builder.bitcast(value, _32_BITS)
            odd = builder.and_(builder.lshr(bits, _32_BITS(16)), _32_BITS(1))
            rounded = builder.add(builder.add(bits, _32_BITS(0x7FFF)), odd)
            value = builder.trunc(builder.lshr(rounded, _32_BITS(16)), _16_BITS)
        builder.store(value, _element(context, builder, array, *args[:2]))
        return context.get_dummy_value()

    return void(array, int64, float32), code


@intrinsic
def mark_at(typing_context, array, index):
    """``array[index]`` of a contiguous array of uint8, as ``get``."""

    def code(context, builder, signature, args):
        return builder.load(_element(context, builder, array, *args))

    return uint8(array, int64), code


@intrinsic
def mark(typing_context, array, index, value):
    """``array[index] = value`` of a contiguous array of uint8, as ``get``."""

    def code(context, builder, signature, args):
        builder.store(args[2], _element(context, builder, array, *args[:2]))
        return context.get_dummy_value()

    return void(array, int64, uint8), code


@part
def add(array, index, value):
    """``array[index] += value``, as ``get``."""
    put(array, index, get(array, index) + value)
