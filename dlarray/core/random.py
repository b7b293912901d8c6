"""The same random numbers on every device.

There are two sources:

* ``Bits`` on the host, for weights and the order of examples, which are drawn and transferred once. Philox is a
  counter-based generator (Salmon et al. 2011). NumPy guarantees its raw bits, but not its distributions, so the
  functions from bits to numbers are written here.
* A hash of a counter on the device, for masks that are drawn at every step. Each element hashes its own position, so
  there is no state, and the numbers do not depend on the number of threads. Keys are int32 arrays of two words: int32
  multiplication wraps in the same way in every array library, uint32 does not, and some have none. A key can have a
  third word: the number of rows of the batch before the first one here. Ranks then draw the masks of their own rows.
"""

from __future__ import annotations

import hashlib
from numbers import Integral

import numpy as np

from dlarray.core.array import Array, array_namespace, device, is_known, size
from dlarray.core.libraries import Library, library_of

__all__ = ["Bits", "after_rows", "bernoulli_mask", "check_hash", "check_seed", "fold_in", "key_words", "random_int32"]


def check_seed(seed: object) -> int:
    """``seed`` as an int. Raises TypeError if it is not a whole number, ValueError if it is outside [0, 2**63)."""
    if isinstance(seed, bool) or not isinstance(seed, Integral):
        raise TypeError(f"seed must be a whole number, got {seed!r}")
    if not 0 <= (number := int(seed)) < 2**63:
        raise ValueError(f"seed must lie in [0, 2**63), got {seed!r}")
    return number


def _digest(seed: int, purpose: str) -> bytes:
    return hashlib.sha256(f"dlarray/{check_seed(seed)}/{purpose}".encode()).digest()


class Bits:
    """Random numbers on the host from a seed and a purpose, such as "weights": each purpose has its own stream."""

    def __init__(self, seed: int, purpose: str) -> None:
        words = np.frombuffer(_digest(seed, purpose)[:16], dtype="<u8")
        self._generator = np.random.Philox(key=words)

    def raw(self, n: int) -> np.ndarray:
        """n random words of 64 bits."""
        return self._generator.random_raw(n)

    def uniform(self, n: int) -> np.ndarray:
        """n numbers in [0, 1), float64, from the upper 53 bits of each word."""
        return (self.raw(n) >> np.uint64(11)) * 2.0**-53

    def normal(self, n: int) -> np.ndarray:
        """n standard normal numbers, float64, by Box and Muller (1958): sqrt(-2 log u) (cos, sin)(2 pi v)."""
        half = -(-n // 2)
        radius = np.sqrt(-2 * np.log1p(-self.uniform(half)))  # log1p(-u) = log(1 - u), and 1 - u is never 0
        angle = 2 * np.pi * self.uniform(half)
        return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:n]

    def permutation(self, n: int) -> np.ndarray:
        """The numbers 0 to n - 1 in random order: the order that sorts n random words.

        Sorting the words' upper bits, each with its number in the lower bits, takes a third of the time of ``argsort``.
        """
        words, low = self.raw(n), np.uint64(2 ** max(n - 1, 0).bit_length() - 1)
        numbered = (words & ~low) | np.arange(n, dtype=np.uint64)
        numbered.sort()
        if np.any((numbered[1:] ^ numbered[:-1]) <= low):  # equal upper bits: the lower ones decide
            return np.argsort(words, kind="stable")
        return (numbered & low).astype(np.int64)


def key_words(seed: int, purpose: str) -> np.ndarray:
    """The key of a stream on a device: two int32 words on the host."""
    return np.frombuffer(_digest(seed, purpose)[16:24], dtype="<i4").astype(np.int32)


def _int32(word: int) -> int:
    """The lower 32 bits of an integer, as a signed integer."""
    return ((word + 2**31) & (2**32 - 1)) - 2**31


def _logical_shift(x: Array, k: int) -> Array:
    """x >> k that fills with zeros, for signed words."""
    xp = array_namespace(x)  # functions: TensorFlow has no operator >>, and Paddle's & takes no Python number
    return xp.bitwise_and(xp.bitwise_right_shift(x, k), (1 << (32 - k)) - 1)


def _hash(x: Array) -> Array:
    """A bijection of 32-bit words that scrambles their bits: "triple32" of C. Wellons' hash-prospector."""
    x = x ^ _logical_shift(x, 17)
    x = x * _int32(0xED5AD4BB)
    x = x ^ _logical_shift(x, 11)
    x = x * _int32(0xAC4C1B51)
    x = x ^ _logical_shift(x, 15)
    x = x * _int32(0x31848BAB)
    return x ^ _logical_shift(x, 14)


def check_hash(library: Library | None, who: str) -> None:
    """Raise ValueError if the arrays of this library cannot be hashed; ``who`` in the message needs random numbers."""
    if library is None or (library.int32_wraps and library.bit_operations):
        return
    lack = "products of int32 that wrap modulo 2**32" if library.bit_operations else "operations on the bits of int32"
    raise ValueError(
        f"{who} needs random numbers on the device, which are hashes of int32, and the backend {library.name} has no "
        f"{lack}: leave it out, or train on another device"
    )


def fold_in(key: Array, word: Array | int) -> Array:
    """A new key from a key and a word: an int or a 0-d int32 array, such as the number of a layer or a step.

    Raises ValueError for a library that cannot compute hashes.
    """
    check_hash(library_of(key), "this formula")
    # Shape (1,), not (): NumPy warns when 0-d integers wrap.
    word = _int32(word) if isinstance(word, int) else array_namespace(word).reshape(word, (1,))
    if key.shape[0] < 3:
        return _hash(_hash(key) + word)
    return array_namespace(key).concat([_hash(_hash(key[:2]) + word), key[2:]])


def after_rows(key: Array, rows: Array) -> Array:
    """The key with a third word: the number of rows before the first one, an int32 array of the shape (1,)."""
    return array_namespace(key).concat([key, rows])


def random_int32(key: Array, shape: tuple[int, ...]) -> Array:
    """Uniform int32 numbers of this shape on the key's device; element i is a hash of (key, i).

    With a third word in the key the first element is that of its row.
    """
    xp = array_namespace(key)
    counter = xp.arange(size(shape), dtype=xp.int32, device=device(key))
    if key.shape[0] == 3:
        counter += key[2:3] * size(shape[1:])
    return xp.reshape(_random(key, counter), shape)


def _random(key: Array, counter: Array) -> Array:
    return _hash(_hash(counter ^ key[0:1]) ^ key[1:2])


def bernoulli_mask(key: Array, x: Array, probability: float) -> Array:
    """A boolean mask of the shape of x; each element is True with this probability, 0 < probability <= 1."""
    xp, shape = array_namespace(key), tuple(x.shape)
    threshold = min(round(probability * 2**32) - 2**31, 2**31 - 1)
    if is_known(shape):
        return random_int32(key, shape) < threshold
    ones = xp.ones_like(xp.reshape(x, (-1,)), dtype=xp.int32)  # arange takes known lengths only
    words = _random(key, xp.cumulative_sum(ones, dtype=xp.int32) - 1)
    return xp.reshape(words, tuple(n if isinstance(n, int) else -1 for n in shape)) < threshold
