"""Random numbers: the same on every device, equal to their definition, and without visible pattern.

Bounds of the statistical tests are in standard errors; seeds are fixed, so that a test passes always or never.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
from scipy import stats

from dlarray.core.random import Bits, after_rows, bernoulli_mask, check_seed, fold_in, key_words, random_int32

STANDARD_ERRORS = 4.0


# The definition, written again with Python's integers


def triple32(x: int) -> int:
    x ^= x >> 17
    x = x * 0xED5AD4BB % 2**32
    x ^= x >> 11
    x = x * 0xAC4C1B51 % 2**32
    x ^= x >> 15
    x = x * 0x31848BAB % 2**32
    return x ^ x >> 14


def signed(x: int) -> int:
    return x - 2**32 if x >= 2**31 else x


def unsigned(x: int) -> int:
    return int(x) % 2**32


def expected_fold(key, word: int) -> list[int]:
    return [signed(triple32((triple32(unsigned(k)) + word) % 2**32)) for k in key]


def expected_int32(key, n: int) -> list[int]:
    a, b = map(unsigned, key)
    return [signed(triple32(triple32(i ^ a) ^ b)) for i in range(n)]


KEY = [-1785554326, 1452491500]
RAW = [8144161924147485291, 17786098653142839838, 15209704379548272546]
PERMUTATION = [7, 4, 8, 5, 9, 1, 0, 3, 6, 2]
WORDS = [[0, 0], [1, 0], [0, 1], [-1, -(2**31)], [2**31 - 1, -123456789]]


def test_the_hash_mixes_as_its_author_says():
    """Each input bit flips each output bit half of the time; the bias of triple32 is 0.02 per cent of that."""
    trials = 1024
    flips = np.zeros((32, 32))
    for word in np.random.default_rng(0).integers(2**32, size=trials).tolist():
        for i in range(32):
            changed = triple32(word) ^ triple32(word ^ 1 << i)
            flips[i] += [changed >> j & 1 for j in range(32)]
    assert np.max(np.abs(flips - trials / 2)) < 5 * math.sqrt(trials) / 2  # the largest of 1024 cells


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("shape", [(1,), (100,), (7, 5), (2, 3, 4), ()])
def test_known_answers_of_the_device_stream(on, words, shape):
    found = on.numpy(on.run(lambda key: random_int32(key, shape), on.array(np.int32(words))))
    assert found.dtype == np.int32
    assert found.shape == shape
    assert found.ravel().tolist() == expected_int32(words, math.prod(shape))


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("word", [0, 1, 7, 2**31 - 1, -(2**31), -1])
def test_known_answers_of_folding(on, words, word):
    key = on.array(np.int32(words))
    by_number = on.run(lambda k: fold_in(k, word), key)
    by_array = on.run(fold_in, key, on.array(np.int32(word)))
    assert on.numpy(by_number).dtype == np.int32
    assert on.numpy(by_number).tolist() == on.numpy(by_array).tolist() == expected_fold(words, word)


def test_a_number_beyond_32_bits_folds_by_its_lower_ones():
    key = np.int32([3, 4])
    assert fold_in(key, 2**32 + 5).tolist() == fold_in(key, 5).tolist()
    assert fold_in(key, 2**32 - 1).tolist() == fold_in(key, -1).tolist()


@pytest.mark.parametrize("probability", [0.5, 0.8, 1e-3, 1.0, 1 - 1e-12])
def test_known_answers_of_masks(on, probability):
    words = key_words(5, "masks")
    like = on.array(np.zeros((10, 30)))
    found = on.numpy(on.run(lambda key: bernoulli_mask(key, like, probability), on.array(words)))
    assert found.dtype == bool
    limit = round(probability * 2**32) - 2**31
    assert found.ravel().tolist() == [x < limit for x in expected_int32(words, 300)]


def test_no_numbers_at_all(on):
    assert on.numpy(random_int32(on.array(np.int32([1, 2])), (0, 3))).shape == (0, 3)


def test_keys_are_frozen():
    """These words must never change, because a seed would then give another network."""
    digest = hashlib.sha256(b"dlarray/0/masks").digest()
    assert key_words(0, "masks").tolist() == np.frombuffer(digest[16:24], "<i4").tolist() == KEY
    assert key_words(0, "masks").dtype == np.int32
    assert Bits(0, "weights").raw(3).tolist() == RAW
    assert Bits(0, "weights").uniform(3).tolist() == [(word >> 11) / 2**53 for word in RAW]
    assert Bits(0, "order").permutation(10).tolist() == PERMUTATION


def test_seeds_and_purposes_have_streams_of_their_own():
    keys = {tuple(key_words(seed, purpose)) for seed in range(500) for purpose in ("masks", "noise", "masks ")}
    assert len(keys) == 1500
    firsts = {int(Bits(seed, purpose).raw(1)[0]) for seed in range(500) for purpose in ("weights", "order", "1/order")}
    assert len(firsts) == 1500


# Statistics of the device stream


N = 1 << 17


def stream(seed=0, step=0):
    key = fold_in(key_words(seed, "masks"), step)
    return random_int32(key, (N,)).astype(np.int64) + 2**31


def test_the_device_stream_is_uniform():
    u = (stream() + 0.5) / 2**32
    assert abs(np.mean(u) - 1 / 2) < STANDARD_ERRORS * math.sqrt(1 / 12 / N)
    assert abs(np.var(u) - 1 / 12) < STANDARD_ERRORS * math.sqrt(1 / 180 / N)
    assert stats.kstest(u, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("byte", range(4))
def test_each_byte_of_the_device_stream_is_uniform(byte):
    counts = np.bincount((stream() >> 8 * byte) & 255, minlength=256)
    chi2 = np.sum((counts - N / 256) ** 2) / (N / 256)
    assert abs(chi2 - 255) < STANDARD_ERRORS * math.sqrt(2 * 255)


def correlation(a, b):
    return abs(np.corrcoef(a, b)[0, 1]) * math.sqrt(len(a))  # in standard errors


@pytest.mark.parametrize("distance", [1, 2, 64, 1024])
def test_neighbours_of_the_device_stream_are_unrelated(distance):
    x = stream()
    assert correlation(x[:-distance], x[distance:]) < STANDARD_ERRORS


@pytest.mark.parametrize(("seed", "step"), [(0, 1), (0, 2), (0, 1000), (1, 0)])
def test_other_steps_and_seeds_of_the_device_stream_are_unrelated(seed, step):
    x, y = stream(), stream(seed, step)
    assert correlation(x, y) < STANDARD_ERRORS
    assert np.sum(x == y) < 5  # chance: N / 2³²


def test_the_words_of_a_key_do_not_stand_for_each_other():
    a = random_int32(np.int32([5, 9]), (N,)).astype(np.int64)
    b = random_int32(np.int32([9, 5]), (N,)).astype(np.int64)
    assert correlation(a, b) < STANDARD_ERRORS
    assert len(np.intersect1d(a, b)) < 30  # chance: N² / 2³² = 4


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_masks_keep_their_share(probability):
    share = np.mean(bernoulli_mask(key_words(3, "masks"), np.zeros(N), probability))
    assert abs(share - probability) < STANDARD_ERRORS * math.sqrt(probability * (1 - probability) / N)


@pytest.mark.parametrize("first", [0, 1, 4])
def test_the_masks_of_some_rows_are_those_of_the_whole_batch(first):
    """Also with a key that was made from another one."""
    key, x = key_words(3, "masks"), np.zeros((9, 5))
    rows = after_rows(key, np.int32([first]))
    for word in (0, 7):
        key, rows = fold_in(key, word), fold_in(rows, word)
        whole, part = bernoulli_mask(key, x, 0.5), bernoulli_mask(rows, x[first:], 0.5)
        np.testing.assert_array_equal(part, whole[first:])


# The host's generator


def test_the_same_key_gives_the_same_numbers_and_draws_go_on():
    a, b = Bits(7, "weights"), Bits(7, "weights")
    first = a.raw(5)
    np.testing.assert_array_equal(first, b.raw(5))
    np.testing.assert_array_equal(a.raw(5), b.raw(5))
    assert not np.array_equal(first, b.raw(5))


def test_uniform_numbers_lie_in_0_to_1_with_53_bits():
    u = Bits(0, "weights").uniform(N)
    assert u.dtype == np.float64
    assert 0 <= np.min(u) < np.max(u) < 1
    assert np.any(u * 2**53 % 2 == 1)
    assert stats.kstest(u, "uniform").pvalue > 1e-3


class Extreme(Bits):
    """The smallest and the largest of all words."""

    def raw(self, n):
        return np.resize(np.asarray([0, 2**64 - 1], dtype=np.uint64), n)


def test_extreme_words_make_finite_numbers():
    u = Extreme(0, "").uniform(2)
    assert u.tolist() == [0.0, 1 - 2**-53]
    assert np.all(np.isfinite(Extreme(0, "").normal(4)))
    assert np.max(np.abs(Extreme(0, "").normal(4))) < 8.6  # sqrt(2 * 53 * log 2)


@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1])
def test_normal_numbers_have_the_moments_of_a_normal_distribution(seed):
    z = Bits(seed, "weights").normal(N)
    assert z.dtype == np.float64
    assert abs(np.mean(z)) < STANDARD_ERRORS * math.sqrt(1 / N)
    assert abs(np.mean(z**2) - 1) < STANDARD_ERRORS * math.sqrt(2 / N)
    assert abs(np.mean(z**3)) < STANDARD_ERRORS * math.sqrt(15 / N)
    assert abs(np.mean(z**4) - 3) < STANDARD_ERRORS * math.sqrt(96 / N)
    assert stats.kstest(z, "norm").pvalue > 1e-3


def test_the_two_numbers_of_a_pair_are_unrelated():
    z = Bits(0, "weights").normal(N)
    cos, sin = z[: N // 2], z[N // 2 :]
    assert correlation(cos, sin) < STANDARD_ERRORS
    assert correlation(cos**2, sin**2) < STANDARD_ERRORS


@pytest.mark.parametrize("n", [0, 1, 2, 7])
def test_any_number_of_numbers(n):
    bits = Bits(0, "weights")
    assert bits.raw(n).shape == bits.uniform(n).shape == bits.normal(n).shape == bits.permutation(n).shape == (n,)


def test_permutations_hold_every_number_once_and_are_equally_likely():
    assert sorted(Bits(0, "order").permutation(1000).tolist()) == list(range(1000))
    draws = 4800
    orders = [tuple(Bits(seed, "order").permutation(4)) for seed in range(draws)]
    counts = np.asarray([orders.count(order) for order in set(orders)])
    assert len(counts) == 24
    chi2 = np.sum((counts - draws / 24) ** 2) / (draws / 24)
    assert abs(chi2 - 23) < STANDARD_ERRORS * math.sqrt(2 * 23)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 1000, 4097, 50_000])
@pytest.mark.parametrize("bits", [0, 3, 20, 40, 64])
def test_a_permutation_is_the_stable_order_of_its_words(monkeypatch, n, bits):
    """Also if words are equal, or differ in a few bits alone, the lowest or the highest."""
    words = np.random.default_rng(0).integers(0, 2**64 - 1, n, np.uint64, endpoint=True)
    kept = np.uint64(2**bits - 1)
    for made in (words & kept, words & ~(kept >> np.uint64(1)), words):
        monkeypatch.setattr(Bits, "raw", lambda self, n, made=made: made)
        found = Bits(0, "order").permutation(n)
        assert found.dtype == np.int64
        np.testing.assert_array_equal(found, np.argsort(made, kind="stable"))


# Seeds


@pytest.mark.parametrize("seed", [0, 5, 2**63 - 1, np.int64(5), np.uint8(5)])
def test_seeds_are_whole_numbers(seed):
    assert check_seed(seed) == int(seed)
    assert type(check_seed(seed)) is int
    np.testing.assert_array_equal(Bits(seed, "").raw(2), Bits(int(seed), "").raw(2))


@pytest.mark.parametrize(
    ("seed", "error"),
    [(-1, ValueError), (2**63, ValueError), (1.0, TypeError), (True, TypeError), ("1", TypeError), (None, TypeError)],
)
def test_bad_seeds(seed, error):
    for use in (check_seed, lambda s: Bits(s, "weights"), lambda s: key_words(s, "masks")):
        with pytest.raises(error, match="seed must"):
            use(seed)
