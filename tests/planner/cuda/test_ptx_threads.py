"""Threads of the PTX interpreter: shuffles, barriers, memory, calls, and errors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.support.ptx_threads import executed, items


def test_threads_that_part_come_together_at_shuffles():
    """The half that jumps behind the shuffle and back is waited for."""
    a = np.arange(32, dtype=np.uint32)
    body = """
        setp.lt.u32 %p1, %r0, 16; mov.u32 %r1, %r0; @%p1 bra $slow;
    $back:
        shfl.sync.bfly.b32 %r9, %r1, 1, 31, -1; bra.uni $end;
    $slow:
        add.s32 %r1, %r1, 100; bra.uni $back;
    $end:
    """
    wanted = (a ^ 1) + np.where(a < 16, 100, 0)
    assert executed(body, a).tolist() == wanted.tolist()


@pytest.mark.parametrize(
    ("how", "by", "clamp", "place"),
    [
        ("idx", 5, 31, lambda i: 5),
        ("idx", 5, 0x181F, lambda i: i // 8 * 8 + 5),  # eight lanes together
        ("up", 3, 0, lambda i: i - 3 if i >= 3 else i),
        ("down", 3, 31, lambda i: i + 3 if i < 29 else i),
        ("bfly", 4, 31, lambda i: i ^ 4),
        ("down", 2, 0x1C1F, lambda i: i + 2 if i % 4 < 2 else i),
    ],
)
def test_shuffles(how: str, by: int, clamp: int, place: Callable[[int], int]):
    a = items("u4", 7)
    found = executed(f"shfl.sync.{how}.b32 %r9|%p1, %r0, {by}, {clamp}, -1;", a)
    assert found.tolist() == [a[place(i)] for i in range(32)]


def test_a_loop_ends_for_each_thread_in_its_turn():
    a = np.arange(32, dtype=np.uint32)
    body = """
        mov.u32 %r9, 0; mov.u32 %r1, 0;
    $again:
        setp.ge.u32 %p1, %r1, %r0; @%p1 bra $end;
        add.s32 %r9, %r9, %r1; add.s32 %r1, %r1, 1; bra.uni $again;
    $end:
    """
    assert executed(body, a).tolist() == [n * (n - 1) // 2 for n in range(32)]


def test_blocks_share_memory_between_barriers():
    body = """
        .shared .align 4 .b8 s[128];
        mov.u32 %r1, %tid.x; shl.b32 %r2, %r1, 2; mov.u32 %r3, s; add.s32 %r4, %r3, %r2;
        st.shared.u32 [%r4], %t; bar.sync 0;
        sub.s32 %r5, 124, %r2; add.s32 %r5, %r3, %r5; {}ld.shared.u32 %r9, [%r5];
    """
    found = executed(body.format(""), blocks=2)
    assert found.tolist() == [*range(31, -1, -1), *range(63, 31, -1)]
    with pytest.raises(AssertionError):
        executed(body.replace("bar.sync 0;", "").format(""), blocks=2)
    with pytest.raises(IndexError, match="128"):
        executed(body.format("add.s32 %r5, %r5, 4; "))


PUBLISHED = """
    ld.param.u64 %rd1, [k_param_0]; mul.wide.u32 %rd2, %t, 4; add.s64 %rd2, %rd1, %rd2; st.global.u32 [%rd2+256], %t;
    membar.gl; bar.sync 0;
    .shared .align 4 .b8 last[4]; mov.u32 %r1, %tid.x; setp.eq.u32 %p1, %r1, 0; @!%p1 bra $wait;
    atom.global.inc.u32 %r2, [%rd1+512], 1; st.shared.u32 [last], %r2;
$wait:
    bar.sync 0; membar.gl; mov.u32 %r9, 0; ld.shared.u32 %r2, [last]; setp.ne.u32 %p1, %r2, 1; @%p1 bra $end;
    sub.s32 %r3, 63, %t; and.b32 %r3, %r3, 31; mul.wide.u32 %rd2, %r3, 4; add.s64 %rd2, %rd1, %rd2;
    ld.global.u32 %r9, [%rd2+256];
$end:
"""


def test_what_the_last_block_finds():
    """Without a barrier, or a fence on either side, it is a race, though here it would go well."""
    room = np.zeros(129, np.uint32)
    assert executed(PUBLISHED, room, blocks=2, changes=True).tolist() == [0] * 32 + list(range(31, -1, -1))
    assert room[128] == 0
    for wrong in ("membar.gl; bar.sync 0;", "bar.sync 0; membar.gl;"):
        for left in wrong.split(";")[:2]:
            with pytest.raises(AssertionError):
                executed(PUBLISHED.replace(wrong, f"{left};"), room, blocks=2, changes=True)


def test_a_warp_that_waits_for_itself():
    body = """
        ld.param.u64 %rd1, [k_param_0]; mul.wide.u32 %rd2, %t, 4; add.s64 %rd2, %rd1, %rd2;
        st.global.u32 [%rd2+128], %t;
        {} sub.s32 %r3, 31, %t; mul.wide.u32 %rd2, %r3, 4; add.s64 %rd2, %rd1, %rd2; ld.global.u32 %r9, [%rd2+128]; """
    room = np.zeros(64, np.uint32)
    assert executed(body.format("bar.warp.sync -1;"), room, changes=True).tolist() == list(range(31, -1, -1))
    with pytest.raises(AssertionError):
        executed(body.format(""), room, changes=True)


def test_tables_calls_and_jumps_through_tables():
    tables = """
    .const .align 4 .b8 table[8] = {1, 2, 0, 0, 7};
    .func (.param .b32 out) twice(.param .b32 in) {
        .reg .b32 %r<3>;
        ld.param.u32 %r1, [in]; add.s32 %r2, %r1, %r1; st.param.b32 [out], %r2; ret;
    }"""
    body = """
        mov.u64 %rd1, table; ld.const.u32 %r1, [%rd1]; ld.const.u32 %r2, [table+4];
        { .param .b32 p; st.param.b32 [p], %r0; .param .b32 q; call.uni (q), twice, (p); ld.param.b32 %r3, [q]; }
        and.b32 %r4, %r0, 1;
        $places: .branchtargets $even, $odd;
        brx.idx %r4, $places;
    $even:
        add.s32 %r9, %r3, %r1; bra.uni $end;
    $odd:
        add.s32 %r9, %r3, %r2;
    $end:
    """
    a = np.arange(32, dtype=np.uint32)
    assert executed(body, a, tables=tables).tolist() == [2 * i + (7 if i % 2 else 513) for i in range(32)]


def test_what_must_not_happen_is_an_error():
    a = np.arange(32, dtype=np.uint32)
    at = "ld.param.u64 %rd1, [k_param_0]; mul.wide.u32 %rd2, %t, 4; add.s64 %rd1, %rd1, %rd2; "
    with pytest.raises(IndexError, match="reading 4 bytes"):
        executed(at + "ld.global.u32 %r9, [%rd1+4];", a)
    with pytest.raises(IndexError, match="as const memory"):
        executed(at + "ld.const.u32 %r9, [%rd1];", a)
    with pytest.raises(IndexError, match="writing"):
        executed(at + "st.global.u32 [%rd1], %r0;", a)
    with pytest.raises(ValueError, match=r"16 bytes .* not aligned"):
        executed(at + "ld.global.v4.u32 {%r9, _, _, _}, [%rd1];", a)
    with pytest.raises(NotImplementedError, match=r"sad\.u32"):
        executed("sad.u32 %r9, %r0, %r0, %r0;", a)
    with pytest.raises(RuntimeError, match="never come"):
        executed("setp.lt.u32 %p1, %t, 16; @%p1 bra $end; shfl.sync.bfly.b32 %r9, %r0, 1, 31, -1; $end:", a)
    with pytest.raises(AssertionError):
        executed("ld.param.u64 %rd1, [k_param_1]; st.global.u32 [%rd1], %t;", a)  # all threads to one place
