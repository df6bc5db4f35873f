"""The parts of the interpreter that are not derived from the description: finding code and memory, and what happens
between instructions.

This is LLVM IR written by hand, with offsets filled in. In all of it the hart is at %hart and RAM at %ram; functions
called from complete execution may count on `pc` and `remaining` being up to date.
"""

from __future__ import annotations

import re
from string import Template

from hypernest.engines.engine import Exit
from hypernest.engines.interpreter.fast import index_shift
from hypernest.engines.interpreter.words import (
    BLOCK_BYTES,
    CODE_ENTRIES,
    CODE_ENTRY_BYTES,
    CONTEXTS,
    DATA_ENTRIES,
    DATA_ENTRY_BYTES,
    HEADER,
    HEADER_AT,
    LARGE_BITS,
    PAGE_SLOTS,
    REMAINING_AT,
    SHARED,
    WRITES_AT,
    EngineWords,
)
from hypernest.isa.layout import Layout

# Macros: `GET name type hartfield`, `PUT type value hartfield`, and the same for the shared structure and a block.
_MACROS = (
    (r"(%[\w.]+) = GET (\w+) (\w+)",
     r"\1.p = getelementptr i8, ptr %hart, i64 ${\3}\n  \1 = load \2, ptr \1.p, !tbaa !4"),
    (r"PUT (\w+) (\S+) (\w+)", r"%put.@ = getelementptr i8, ptr %hart, i64 ${\3}\n  store \1 \2, ptr %put.@, !tbaa !4"),
    (r"(%[\w.]+) = SHARED (\w+) (\w+)",
     r"\1.s = getelementptr i8, ptr %shared, i64 ${shared_\3}\n  \1 = load \2, ptr \1.s, !tbaa !4"),
    (r"SET (\w+) (\S+) (\w+)",
     r"%set.@ = getelementptr i8, ptr %shared, i64 ${shared_\3}\n  store \1 \2, ptr %set.@, !tbaa !4"),
    (r"COUNT (\w+)",
     r"%c.@ = getelementptr i8, ptr %shared, i64 ${shared_\1}\n  %d.@ = load i64, ptr %c.@, !tbaa !4\n"
     r"  %e.@ = add i64 %d.@, 1\n  store i64 %e.@, ptr %c.@, !tbaa !4"),
)  # fmt: skip

_BETWEEN = """
; Execution that cannot go on in fast handlers: complete one instruction, then look where to go on.
define internal preserve_nonecc void @slow(ptr %op, ptr %hart, ptr %ram, i64 %budget) noinline {
  %slots = GET ptr slots
  %first = ptrtoint ptr %slots to i64
  %this = ptrtoint ptr %op to i64
  %distance = sub i64 %this, %first
  %inside = lshr i64 %distance, 3
  %count.at = add i64 %inside, ${REMAINING_AT}
  %count.p = getelementptr i8, ptr %slots, i64 %count.at
  %count.n = load i16, ptr %count.p, !tbaa !6
  %count = zext i16 %count.n to i64
  %remaining = add i64 %budget, %count
  %bias = GET i64 bias
  %eighth = lshr i64 %this, 3
  %pc = add i64 %eighth, %bias
  PUT i64 %pc pc
  PUT i64 %remaining remaining
  call void @step(ptr %hart, ptr %ram)
  musttail call preserve_nonecc void @resume(ptr %op, ptr %hart, ptr %ram, i64 0)
  ret void
}

; The end of a page: go on in the next without executing anything.
define internal preserve_nonecc void @cross(ptr %op, ptr %hart, ptr %ram, i64 %budget) noinline {
  %bias = GET i64 bias
  %this = ptrtoint ptr %op to i64
  %eighth = lshr i64 %this, 3
  %pc = add i64 %eighth, %bias
  PUT i64 %pc pc
  PUT i64 %budget remaining
  musttail call preserve_nonecc void @resume(ptr %op, ptr %hart, ptr %ram, i64 0)
  ret void
}

; Between instructions, with pc and remaining up to date.
define internal preserve_nonecc void @resume(ptr %op, ptr %hart, ptr %ram, i64 %unused) noinline {
entry:
  %attention = GET i64 attention
  %calm = icmp eq i64 %attention, 0
  br i1 %calm, label %steps, label %attend, !prof !0
attend:
  %left = call i64 @attend(ptr %hart, ptr %ram)
  %stays = icmp slt i64 %left, 0
  br i1 %stays, label %steps, label %leave
steps:
  %remaining = GET i64 remaining
  %done = icmp eq i64 %remaining, 0
  br i1 %done, label %leave, label %find
leave:
  %why = phi i64 [ %left, %attend ], [ ${BUDGET}, %steps ]
  PUT i64 %why exit
  ret void
find:
  %pc = GET i64 pc
  %table = GET ptr code_tlb
  %index.a = lshr i64 %pc, ${CODE_SHIFT}
  %index = and i64 %index.a, ${CODE_MASK}
  %entry.p = getelementptr i8, ptr %table, i64 %index
  %tag = load i64, ptr %entry.p, !tbaa !4
  %page = and i64 %pc, -4096
  %hit = icmp eq i64 %tag, %page
  br i1 %hit, label %found, label %search, !prof !0
search:
  %ok = call i1 @find_code(ptr %hart, ptr %ram, i64 %pc, ptr %entry.p)
  br i1 %ok, label %found, label %one
found:
  %slots.p = getelementptr i8, ptr %entry.p, i64 8
  %slots = load ptr, ptr %slots.p, !tbaa !4
  %bias.p = getelementptr i8, ptr %entry.p, i64 16
  %bias = load i64, ptr %bias.p, !tbaa !4
  PUT ptr %slots slots
  PUT i64 %bias bias
  %inside = and i64 %pc, 4094
  %slot.at = shl i64 %inside, 3
  %slot = getelementptr i8, ptr %slots, i64 %slot.at
  %count.at = add i64 %inside, ${REMAINING_AT}
  %count.p = getelementptr i8, ptr %slots, i64 %count.at
  %count.n = load i16, ptr %count.p, !tbaa !6
  %count = zext i16 %count.n to i64
  %budget = sub i64 %remaining, %count
  %enough = icmp sge i64 %budget, 0
  br i1 %enough, label %go, label %one, !prof !0
go:
  %handler = load ptr, ptr %slot, !tbaa !6
  musttail call preserve_nonecc void %handler(ptr %slot, ptr %hart, ptr %ram, i64 %budget)
  ret void
one:
  call void @step(ptr %hart, ptr %ram)
  musttail call preserve_nonecc void @resume(ptr %op, ptr %hart, ptr %ram, i64 0)
  ret void
}

; Stop requests, monitor calls, wfi and interrupts: why to leave, or -1 to go on.
define internal i64 @attend(ptr %hart, ptr %ram) noinline {
entry:
  PUT i64 0 attention
  %stop = GET i64 stop
  %stopping = icmp ne i64 %stop, 0
  br i1 %stopping, label %stopped, label %a
stopped:
  PUT i64 0 stop
  br label %stay
stay:
  ret i64 ${STOP}
a:
  %call = GET i64 monitor_call
  %calling = icmp ne i64 %call, 0
  br i1 %calling, label %monitor, label %b
monitor:
  ret i64 ${MONITOR}
b:
  %waiting = GET i64 waiting
  %waits = icmp ne i64 %waiting, 0
  br i1 %waits, label %wait, label %c
wait:
  %pending.r = call {i1, i1} @routine_interrupt_pending(ptr %hart, ptr %ram)
  %pending = extractvalue {i1, i1} %pending.r, 1
  br i1 %pending, label %wake, label %sleep
sleep:
  ret i64 ${WAIT}
wake:
  PUT i64 0 waiting
  br label %c
c:
  %taken.r = call {i1, i1} @routine_take_interrupt(ptr %hart, ptr %ram)
  %taken = extractvalue {i1, i1} %taken.r, 1
  %interrupts = GET i64 interrupts
  %taken.n = zext i1 %taken to i64
  %interrupts.n = add i64 %interrupts, %taken.n
  PUT i64 %interrupts.n interrupts
  call void @set_contexts(ptr %hart, ptr %ram)
  %call2 = GET i64 monitor_call
  %calling2 = icmp ne i64 %call2, 0
  br i1 %calling2, label %monitor, label %d
d:
  ret i64 -1
}

define internal void @set_contexts(ptr %hart, ptr %ram) {
  %data.r = call {i1, i2} @routine_data_context(ptr %hart, ptr %ram)
  %data.n = extractvalue {i1, i2} %data.r, 1
  %data = zext i2 %data.n to i64
  %data.o = mul i64 %data, ${DATA_BYTES}
  %data.b = add i64 %data.o, ${data_tables}
  %data.p = getelementptr i8, ptr %hart, i64 %data.b
  PUT ptr %data.p data_tlb
  %code.r = call {i1, i2} @routine_fetch_context(ptr %hart, ptr %ram)
  %code.n = extractvalue {i1, i2} %code.r, 1
  %code = zext i2 %code.n to i64
  %code.o = mul i64 %code, ${CODE_BYTES}
  %code.b = add i64 %code.o, ${code_tables}
  %code.p = getelementptr i8, ptr %hart, i64 %code.b
  PUT ptr %code.p code_tlb
  ret void
}

; One step: the instruction at pc, or its trap.
define internal void @step(ptr %hart, ptr %ram) noinline {
entry:
  %pc = GET i64 pc
  %table = GET ptr code_tlb
  %index.a = lshr i64 %pc, ${CODE_SHIFT}
  %index = and i64 %index.a, ${CODE_MASK}
  %entry.p = getelementptr i8, ptr %table, i64 %index
  %tag = load i64, ptr %entry.p, !tbaa !4
  %page = and i64 %pc, -4096
  %hit = icmp eq i64 %tag, %page
  %inside = and i64 %pc, 4095
  %whole = icmp ne i64 %inside, 4094
  %quick = and i1 %hit, %whole
  br i1 %quick, label %cached, label %fetch
cached:
  %slots.p = getelementptr i8, ptr %entry.p, i64 8
  %slots = load ptr, ptr %slots.p, !tbaa !4
  %offset.p = getelementptr i8, ptr %slots, i64 ${ram_offset}
  %offset = load i64, ptr %offset.p, !tbaa !6
  %at = add i64 %offset, %inside
  %code.p = getelementptr i8, ptr %ram, i64 %at
  %code.w = load i32, ptr %code.p, align 1, !tbaa !5
  br label %fetched
fetch:
  %fetch.r = call {i1, i32} @routine_fetch(ptr %hart, ptr %ram, i64 %pc)
  %fetch.t = extractvalue {i1, i32} %fetch.r, 0
  %fetch.c = extractvalue {i1, i32} %fetch.r, 1
  br i1 %fetch.t, label %trap, label %fetched
fetched:
  %word = phi i32 [ %code.w, %cached ], [ %fetch.c, %fetch ]
  %low = and i32 %word, 3
  %is.wide = icmp eq i32 %low, 3
  %half = and i32 %word, 65535
  %code = select i1 %is.wide, i32 %word, i32 %half
  %code.64 = zext i32 %code to i64
  PUT i64 %code.64 instruction
  %length = select i1 %is.wide, i64 4, i64 2
  %next = add i64 %pc, %length
  PUT i64 %next next_pc
  %scratch = getelementptr i8, ptr %hart, i64 ${scratch}
  %row = call i64 @decode(i32 %code, ptr %scratch)
  %illegal = icmp slt i64 %row, 0
  br i1 %illegal, label %unknown, label %known
unknown:
  PUT i64 %code.64 trap_value
  PUT i64 ${ILLEGAL} trap_cause
  br label %trap
known:
  %complete.p = getelementptr ptr, ptr @complete_table, i64 %row
  %complete = load ptr, ptr %complete.p
  %trapped = call i1 %complete(ptr %scratch, ptr %hart, ptr %ram)
  br i1 %trapped, label %trap, label %done
trap:
  %cause = GET i64 trap_cause
  %value = GET i64 trap_value
  %ignored = call i1 @routine_take_trap(ptr %hart, ptr %ram, i64 %cause, i64 %value)
  %retired = GET i64 retired
  %retired.n = sub i64 %retired, 1
  PUT i64 %retired.n retired
  %exceptions = GET i64 exceptions
  %exceptions.n = add i64 %exceptions, 1
  PUT i64 %exceptions.n exceptions
  PUT i64 1 attention
  br label %done
done:
  %remaining = GET i64 remaining
  %left = sub i64 %remaining, 1
  PUT i64 %left remaining
  ret void
}
"""

_CODE = """
; Fill the entry of the code table for the page of pc; false if the page must be executed step by step.
define internal i1 @find_code(ptr %hart, ptr %ram, i64 %pc, ptr %entry.p) noinline {
entry:
  %located = call {i1, i64} @routine_translate(ptr %hart, ptr %ram, i64 %pc, i2 ${EXECUTE})
  %trapped = extractvalue {i1, i64} %located, 0
  %physical = extractvalue {i1, i64} %located, 1
  br i1 %trapped, label %no, label %a
a:
  %base = GET i64 ram_base
  %size = GET i64 ram_size
  %offset = sub i64 %physical, %base
  %inside = icmp ult i64 %offset, %size
  br i1 %inside, label %b, label %no
b:
  %uniform.r = call {i1, i1} @routine_pmp_page_uniform(ptr %hart, ptr %ram, i64 %physical)
  %uniform = extractvalue {i1, i1} %uniform.r, 1
  br i1 %uniform, label %c, label %no
c:
  %shared = GET ptr shared
  %number = lshr i64 %offset, 12
  %pages = SHARED ptr code_pages
  %page.p = getelementptr ptr, ptr %pages, i64 %number
  %present = load ptr, ptr %page.p, !tbaa !4
  %missing = icmp eq ptr %present, null
  br i1 %missing, label %make, label %fill
make:
  %made = call ptr @new_page(ptr %shared, ptr %ram, i64 %number)
  br label %fill
fill:
  %slots = phi ptr [ %present, %c ], [ %made, %make ]
  call void @mark_large(ptr %hart, i64 %pc)
  %virtual = and i64 %pc, -4096
  store i64 %virtual, ptr %entry.p, !tbaa !4
  %slots.p = getelementptr i8, ptr %entry.p, i64 8
  store ptr %slots, ptr %slots.p, !tbaa !4
  %first = ptrtoint ptr %slots to i64
  %eighth = lshr i64 %first, 3
  %bias = sub i64 %virtual, %eighth
  %bias.p = getelementptr i8, ptr %entry.p, i64 16
  store i64 %bias, ptr %bias.p, !tbaa !4
  ret i1 true
no:
  ret i1 false
}

; A block of undecoded slots for a page of RAM.
define internal ptr @new_page(ptr %shared, ptr %ram, i64 %number) noinline {
entry:
  COUNT pages_decoded
  %free = SHARED ptr free
  %none = icmp eq ptr %free, null
  br i1 %none, label %bump, label %reuse
reuse:
  %next.p = getelementptr i8, ptr %free, i64 ${next_free}
  %next = load ptr, ptr %next.p, !tbaa !6
  SET ptr %next free
  br label %ready
bump:
  %used.0 = SHARED i64 pool_used
  %size = SHARED i64 pool_size
  %end.0 = add i64 %used.0, ${BLOCK_BYTES}
  %full = icmp ugt i64 %end.0, %size
  br i1 %full, label %flush, label %take
flush:
  COUNT pool_flushes
  call void @forget_code(ptr %shared)
  br label %take
take:
  %used = phi i64 [ %used.0, %bump ], [ 0, %flush ]
  %end = add i64 %used, ${BLOCK_BYTES}
  SET i64 %end pool_used
  %pool = SHARED ptr pool
  %taken = getelementptr i8, ptr %pool, i64 %used
  br label %ready
ready:
  %block = phi ptr [ %free, %reuse ], [ %taken, %take ]
  %offset = shl i64 %number, 12
  %offset.p = getelementptr i8, ptr %block, i64 ${ram_offset}
  store i64 %offset, ptr %offset.p, !tbaa !6
  %decoded.p = getelementptr i8, ptr %block, i64 ${decoded}
  store i64 0, ptr %decoded.p, !tbaa !6
  br label %slots
slots:
  %i = phi i64 [ 0, %ready ], [ %i.n, %slots ]
  %slot = getelementptr [16 x i8], ptr %block, i64 %i
  store ptr @undecoded, ptr %slot, !tbaa !6
  %i.n = add i64 %i, 1
  %more = icmp ult i64 %i.n, ${PAGE_SLOTS}
  br i1 %more, label %slots, label %sentinel
sentinel:
  %last = getelementptr [16 x i8], ptr %block, i64 ${PAGE_SLOTS}
  store ptr @cross, ptr %last, !tbaa !6
  %counts = getelementptr i8, ptr %block, i64 ${REMAINING_AT}
  %zero.p = getelementptr i16, ptr %counts, i64 ${PAGE_SLOTS}
  store i16 0, ptr %zero.p, !tbaa !6
  br label %count
count:
  %j = phi i64 [ ${PAGE_SLOTS}, %sentinel ], [ %j.n, %count ]
  %after = phi i16 [ 0, %sentinel ], [ %here, %count ]
  %after2 = phi i16 [ 0, %sentinel ], [ %after, %count ]
  %j.n = sub i64 %j, 1
  %at.a = shl i64 %j.n, 1
  %at = add i64 %at.a, %offset
  %byte.p = getelementptr i8, ptr %ram, i64 %at
  %byte = load i8, ptr %byte.p, !tbaa !5
  %low = and i8 %byte, 3
  %wide = icmp eq i8 %low, 3
  %following = select i1 %wide, i16 %after2, i16 %after
  %here = add i16 %following, 1
  %here.p = getelementptr i16, ptr %counts, i64 %j.n
  store i16 %here, ptr %here.p, !tbaa !6
  %again = icmp ne i64 %j.n, 0
  br i1 %again, label %count, label %done
done:
  %pages = SHARED ptr code_pages
  %page.p = getelementptr ptr, ptr %pages, i64 %number
  store ptr %block, ptr %page.p, !tbaa !4
  call void @forget_writable(ptr %shared, i64 %number)
  ret ptr %block
}

; The handler of a slot that was not executed yet: decode it, then execute it.
define internal preserve_nonecc void @undecoded(ptr %op, ptr %hart, ptr %ram, i64 %budget) noinline {
entry:
  %slots = GET ptr slots
  %first = ptrtoint ptr %slots to i64
  %this = ptrtoint ptr %op to i64
  %distance = sub i64 %this, %first
  %inside = lshr i64 %distance, 3
  %offset.p = getelementptr i8, ptr %slots, i64 ${ram_offset}
  %offset = load i64, ptr %offset.p, !tbaa !6
  %at = add i64 %offset, %inside
  %code.p = getelementptr i8, ptr %ram, i64 %at
  %last = icmp eq i64 %inside, 4094
  br i1 %last, label %half, label %whole
half:
  %half.w = load i16, ptr %code.p, align 1, !tbaa !5
  %half.c = zext i16 %half.w to i32
  %half.l = and i32 %half.c, 3
  %crosses = icmp eq i32 %half.l, 3
  br i1 %crosses, label %hard, label %decode
whole:
  %whole.c = load i32, ptr %code.p, align 1, !tbaa !5
  br label %decode
decode:
  %code = phi i32 [ %half.c, %half ], [ %whole.c, %whole ]
  ; Instructions to the page's end were counted when the page was made. If bytes that were not code then have changed,
  ; the count may no longer fall by one from this instruction to the next: begin the page anew.
  %low = and i32 %code, 3
  %is.wide = icmp eq i32 %low, 3
  %length = select i1 %is.wide, i64 4, i64 2
  %this.at = add i64 %inside, ${REMAINING_AT}
  %this.p = getelementptr i8, ptr %slots, i64 %this.at
  %this.n = load i16, ptr %this.p, !tbaa !6
  %next.p = getelementptr i8, ptr %this.p, i64 %length
  %next.n = load i16, ptr %next.p, !tbaa !6
  %next.1 = add i16 %next.n, 1
  %holds = icmp eq i16 %next.1, %this.n
  br i1 %holds, label %valid, label %stale, !prof !0
stale:
  %shared = GET ptr shared
  %stale.n = lshr i64 %offset, 12
  call void @drop(ptr %shared, i64 %stale.n)
  musttail call preserve_nonecc void @slow(ptr %op, ptr %hart, ptr %ram, i64 %budget)
  ret void
valid:
  %row = call i64 @decode(i32 %code, ptr %op)
  %illegal = icmp slt i64 %row, 0
  br i1 %illegal, label %hard, label %known
known:
  %fast.p = getelementptr ptr, ptr @fast_table, i64 %row
  %fast = load ptr, ptr %fast.p
  %near.p = getelementptr ptr, ptr @near_table, i64 %row
  %near = load ptr, ptr %near.p
  %straight = icmp eq ptr %near, null
  br i1 %straight, label %install, label %jumps
jumps:
  %imm.p = getelementptr i8, ptr %op, i64 8
  %imm = load i32, ptr %imm.p, align 4, !tbaa !6
  %imm.64 = sext i32 %imm to i64
  %target = add i64 %inside, %imm.64
  %same = icmp ult i64 %target, 4096
  br i1 %same, label %pack, label %install
pack:
  %here.at = add i64 %inside, ${REMAINING_AT}
  %here.p = getelementptr i8, ptr %slots, i64 %here.at
  %here = load i16, ptr %here.p, !tbaa !6
  %there.at = add i64 %target, ${REMAINING_AT}
  %there.p = getelementptr i8, ptr %slots, i64 %there.at
  %there = load i16, ptr %there.p, !tbaa !6
  %cost.a = sub i16 %here, %there
  %cost = sub i16 %cost.a, 1
  %cost.32 = zext i16 %cost to i32
  %cost.h = shl i32 %cost.32, 16
  %imm.l = and i32 %imm, 65535
  %packed = or i32 %cost.h, %imm.l
  store i32 %packed, ptr %imm.p, align 4, !tbaa !6
  br label %install
hard:
  br label %install
install:
  %handler = phi ptr [ %fast, %known ], [ %fast, %jumps ], [ %near, %pack ], [ @slow, %hard ]
  store ptr %handler, ptr %op, !tbaa !6
  %decoded.p = getelementptr i8, ptr %slots, i64 ${decoded}
  %decoded.0 = load i64, ptr %decoded.p, !tbaa !6
  %chunk = lshr i64 %inside, 6
  %bit = shl i64 1, %chunk
  %end.a = add i64 %inside, 3
  %end.b = call i64 @llvm.umin.i64(i64 %end.a, i64 4095)
  %chunk.e = lshr i64 %end.b, 6
  %bit.e = shl i64 1, %chunk.e
  %bits = or i64 %bit, %bit.e
  %decoded.n = or i64 %decoded.0, %bits
  store i64 %decoded.n, ptr %decoded.p, !tbaa !6
  musttail call preserve_nonecc void %handler(ptr %op, ptr %hart, ptr %ram, i64 %budget)
  ret void
}

; RAM with predecoded code nearby was written: forget the page if the bytes were decoded. `address` is an offset in RAM,
; and all `count` bytes lie in one page.
define internal void @written(ptr %shared, i64 %offset, i64 %count) noinline {
entry:
  %number = lshr i64 %offset, 12
  %pages = SHARED ptr code_pages
  %page.p = getelementptr ptr, ptr %pages, i64 %number
  %block = load ptr, ptr %page.p, !tbaa !4
  %none = icmp eq ptr %block, null
  br i1 %none, label %out, label %look
look:
  %inside = and i64 %offset, 4095
  %last.a = add i64 %inside, %count
  %last = sub i64 %last.a, 1
  %from = lshr i64 %inside, 6
  %to = lshr i64 %last, 6
  %up = shl i64 -1, %from
  %down.s = sub i64 63, %to
  %down = lshr i64 -1, %down.s
  %mask = and i64 %up, %down
  %decoded.p = getelementptr i8, ptr %block, i64 ${decoded}
  %decoded = load i64, ptr %decoded.p, !tbaa !6
  %both = and i64 %decoded, %mask
  %clear = icmp eq i64 %both, 0
  br i1 %clear, label %out, label %drop
drop:
  call void @drop(ptr %shared, i64 %number)
  br label %out
out:
  ret void
}

define internal void @drop(ptr %shared, i64 %number) noinline {
  COUNT pages_dropped
  %pages = SHARED ptr code_pages
  %page.p = getelementptr ptr, ptr %pages, i64 %number
  %block = load ptr, ptr %page.p, !tbaa !4
  store ptr null, ptr %page.p, !tbaa !4
  %free = SHARED ptr free
  %next.p = getelementptr i8, ptr %block, i64 ${next_free}
  store ptr %free, ptr %next.p, !tbaa !6
  SET ptr %block free
  call void @forget_harts_code(ptr %shared)
  ret void
}
"""

_CACHES = """
define internal void @forget_code_tables(ptr %hart) {
  %table = getelementptr i8, ptr %hart, i64 ${code_tables}
  call void @llvm.memset.p0.i64(ptr align 8 %table, i8 -1, i64 ${CODE_TABLES_BYTES}, i1 false)
  ret void
}

; What came from the leaf that maps an address: one entry of each table, but many if the leaf is a large page. Those
; leave marks, by their address, which are cleared with everything else.
define internal void @flush_translation(ptr %hart, i64 %address) noinline {
entry:
  %giant = GET i64 giant
  %giant.n = lshr i64 %address, 30
  %giant.i = and i64 %giant.n, 63
  %giant.b = lshr i64 %giant, %giant.i
  %large.n = lshr i64 %address, 21
  %large.i = and i64 %large.n, ${LARGE_MASK}
  %large.w = lshr i64 %large.i, 6
  %large.t = getelementptr i8, ptr %hart, i64 ${large}
  %large.p = getelementptr i64, ptr %large.t, i64 %large.w
  %large = load i64, ptr %large.p, !tbaa !4
  %large.o = and i64 %large.i, 63
  %large.b = lshr i64 %large, %large.o
  %any = or i64 %giant.b, %large.b
  %marked = trunc i64 %any to i1
  br i1 %marked, label %all, label %one
all:
  call void @flush_translations(ptr %hart)
  ret void
one:
  %data.a = lshr i64 %address, ${DATA_SHIFT}
  %data.i = and i64 %data.a, ${DATA_MASK}
  %data = getelementptr i8, ptr %hart, i64 ${data_tables}
  br label %datas
datas:
  %d = phi i64 [ %data.i, %one ], [ %d.n, %datas ]
  %data.p = getelementptr i8, ptr %data, i64 %d
  store i64 -1, ptr %data.p, !tbaa !4
  %d.n = add i64 %d, ${WRITES_AT}
  %d.more = icmp ult i64 %d.n, ${DATA_TABLES_BYTES}
  br i1 %d.more, label %datas, label %code
code:
  %code.a = lshr i64 %address, ${CODE_SHIFT}
  %code.i = and i64 %code.a, ${CODE_MASK}
  %code.t = getelementptr i8, ptr %hart, i64 ${code_tables}
  br label %codes
codes:
  %c = phi i64 [ %code.i, %code ], [ %c.n, %codes ]
  %code.p = getelementptr i8, ptr %code.t, i64 %c
  store i64 -1, ptr %code.p, !tbaa !4
  %c.n = add i64 %c, ${CODE_BYTES}
  %c.more = icmp ult i64 %c.n, ${CODE_TABLES_BYTES}
  br i1 %c.more, label %codes, label %out
out:
  ret void
}

; Mark what the mapping of an address would take along.
define internal void @mark_large(ptr %hart, i64 %address) {
entry:
  %shift = GET i64 mapping_shift
  PUT i64 12 mapping_shift
  %small = icmp eq i64 %shift, 12
  br i1 %small, label %out, label %mark, !prof !0
mark:
  %medium = icmp eq i64 %shift, 21
  br i1 %medium, label %large, label %giant
large:
  %large.n = lshr i64 %address, 21
  %large.i = and i64 %large.n, ${LARGE_MASK}
  %large.w = lshr i64 %large.i, 6
  %large.t = getelementptr i8, ptr %hart, i64 ${large}
  %large.p = getelementptr i64, ptr %large.t, i64 %large.w
  %large.v = load i64, ptr %large.p, !tbaa !4
  %large.o = and i64 %large.i, 63
  %large.b = shl i64 1, %large.o
  %large.s = or i64 %large.v, %large.b
  store i64 %large.s, ptr %large.p, !tbaa !4
  ret void
giant:
  %giant.v = GET i64 giant
  %giant.n = lshr i64 %address, 30
  %giant.i = and i64 %giant.n, 63
  %giant.b = shl i64 1, %giant.i
  %exact = icmp eq i64 %shift, 30
  %giant.m = select i1 %exact, i64 %giant.b, i64 -1
  %giant.s = or i64 %giant.v, %giant.m
  PUT i64 %giant.s giant
  ret void
out:
  ret void
}

define internal void @flush_translations(ptr %hart) noinline {
  PUT i64 0 giant
  PUT i64 12 mapping_shift
  %large = getelementptr i8, ptr %hart, i64 ${large}
  call void @llvm.memset.p0.i64(ptr align 8 %large, i8 0, i64 ${LARGE_BYTES}, i1 false)
  %data = getelementptr i8, ptr %hart, i64 ${data_tables}
  call void @llvm.memset.p0.i64(ptr align 8 %data, i8 -1, i64 ${DATA_TABLES_BYTES}, i1 false)
  call void @forget_code_tables(ptr %hart)
  ret void
}

define internal void @forget_harts_code(ptr %shared) {
entry:
  %count = SHARED i64 harts
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %i.n, %loop ]
  %at = getelementptr i8, ptr %shared, i64 ${shared_hart_0}
  %hart.p = getelementptr ptr, ptr %at, i64 %i
  %each = load ptr, ptr %hart.p, !tbaa !4
  call void @forget_code_tables(ptr %each)
  %i.n = add i64 %i, 1
  %more = icmp ult i64 %i.n, %count
  br i1 %more, label %loop, label %out
out:
  ret void
}

; A page got code: writes to it must be seen from now on, on every hart.
define internal void @forget_writable(ptr %shared, i64 %number) {
entry:
  %count = SHARED i64 harts
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %i.n, %next ]
  %at = getelementptr i8, ptr %shared, i64 ${shared_hart_0}
  %hart.p = getelementptr ptr, ptr %at, i64 %i
  %each = load ptr, ptr %hart.p, !tbaa !4
  %table = getelementptr i8, ptr %each, i64 ${data_tables}
  br label %context
context:
  %k = phi i64 [ ${WRITES_AT}, %loop ], [ %k.n, %following ]
  br label %entries
entries:
  %j = phi i64 [ %k, %context ], [ %j.n, %keep ]
  %tag.p = getelementptr i8, ptr %table, i64 %j
  %tag = load i64, ptr %tag.p, !tbaa !4
  %addend.p = getelementptr i8, ptr %tag.p, i64 8
  %addend = load i64, ptr %addend.p, !tbaa !4
  %offset = add i64 %tag, %addend
  %this = lshr i64 %offset, 12
  %same = icmp eq i64 %this, %number
  br i1 %same, label %forget, label %keep
forget:
  store i64 -1, ptr %tag.p, !tbaa !4
  br label %keep
keep:
  %j.n = add i64 %j, ${DATA_ENTRY_BYTES}
  %j.e = add i64 %k, ${WRITES_AT}
  %more.e = icmp ult i64 %j.n, %j.e
  br i1 %more.e, label %entries, label %following
following:
  %k.n = add i64 %k, ${DATA_BYTES}
  %more.k = icmp ult i64 %k.n, ${DATA_TABLES_BYTES}
  br i1 %more.k, label %context, label %next
next:
  %i.n = add i64 %i, 1
  %more = icmp ult i64 %i.n, %count
  br i1 %more, label %loop, label %out
out:
  ret void
}

define internal void @forget_code(ptr %shared) noinline {
  %pages = SHARED ptr code_pages
  %count = SHARED i64 pages
  %bytes = shl i64 %count, 3
  call void @llvm.memset.p0.i64(ptr align 8 %pages, i8 0, i64 %bytes, i1 false)
  SET i64 0 pool_used
  SET ptr null free
  call void @forget_harts_code(ptr %shared)
  ret void
}
"""

# The data translation cache, for one kind of access: where the virtual page is in RAM, filled as far as allowed.
_LOCATE = """
define internal {i1, i64} @locate_${ACCESS}(ptr %hart, ptr %ram, i64 %virtual) noinline {
entry:
  %table = GET ptr data_tlb
  %base = GET i64 ram_base
  %index.a = lshr i64 %virtual, ${DATA_SHIFT}
  %index = and i64 %index.a, ${DATA_MASK}
  %entry.p = getelementptr i8, ptr %table, i64 %index
  %tag.p = getelementptr i8, ptr %entry.p, i64 ${TAG}
  %addend.p = getelementptr i8, ptr %tag.p, i64 8
  %tag = load i64, ptr %tag.p, !tbaa !4
  %addend.o = load i64, ptr %addend.p, !tbaa !4
  %page = and i64 %virtual, -4096
  %hit = icmp eq i64 %tag, %page
  br i1 %hit, label %known, label %walk
known:
  %known.o = add i64 %virtual, %addend.o
  %known.p = add i64 %known.o, %base
  %known.r = insertvalue {i1, i64} {i1 false, i64 undef}, i64 %known.p, 1
  ret {i1, i64} %known.r
walk:
  %walked = call {i1, i64} @routine_translate(ptr %hart, ptr %ram, i64 %virtual, i2 ${ACCESS})
  %trapped = extractvalue {i1, i64} %walked, 0
  %physical = extractvalue {i1, i64} %walked, 1
  br i1 %trapped, label %out, label %a
a:
  %size = GET i64 ram_size
  %offset = sub i64 %physical, %base
  %inside = icmp ult i64 %offset, %size
  br i1 %inside, label %b, label %out
b:
  %uniform.r = call {i1, i1} @routine_pmp_page_uniform(ptr %hart, ptr %ram, i64 %physical)
  %uniform = extractvalue {i1, i1} %uniform.r, 1
  br i1 %uniform, label %c, label %out
c:
  ${UNLESS_CODE}
fill:
  call void @mark_large(ptr %hart, i64 %virtual)
  %addend = sub i64 %offset, %virtual
  store i64 %page, ptr %tag.p, !tbaa !4
  store i64 %addend, ptr %addend.p, !tbaa !4
  br label %out
out:
  ret {i1, i64} %walked
}
"""
_UNLESS_CODE = """%shared = GET ptr shared
  %pages = SHARED ptr code_pages
  %number = lshr i64 %offset, 12
  %page.p = getelementptr ptr, ptr %pages, i64 %number
  %block = load ptr, ptr %page.p, !tbaa !4
  %data = icmp eq ptr %block, null
  br i1 %data, label %fill, label %out"""

# Guest-physical accesses of one width.
_PHYSICAL = """
define internal {i${BITS}, i1} @physical_load_${BITS}(ptr %hart, ptr %ram, i64 %address) noinline {
entry:
  %base = GET i64 ram_base
  %size = GET i64 ram_size
  %offset = sub i64 %address, %base
  %last = sub i64 %size, ${BYTES}
  %inside = icmp ule i64 %offset, %last
  br i1 %inside, label %memory, label %outside, !prof !0
memory:
  %p = getelementptr i8, ptr %ram, i64 %offset
  %v = load i${BITS}, ptr %p, align 1, !tbaa !5
  %r = insertvalue {i${BITS}, i1} {i${BITS} undef, i1 true}, i${BITS} %v, 0
  ret {i${BITS}, i1} %r
outside:
  %hart.n = ptrtoint ptr %hart to i64
  %device = GET ptr device
  PUT i64 1 attention
  %w = call i64 %device(i64 %hart.n, i64 %address, i64 ${BYTES}, i64 0, i64 0)
  %n.w = zext i64 %w to i128
  %n = trunc i128 %n.w to i${BITS}
  %ok.n = GET i64 device_ok
  %ok = trunc i64 %ok.n to i1
  %s = insertvalue {i${BITS}, i1} undef, i${BITS} %n, 0
  %t = insertvalue {i${BITS}, i1} %s, i1 %ok, 1
  ret {i${BITS}, i1} %t
}

define internal i1 @physical_store_${BITS}(ptr %hart, ptr %ram, i64 %address, i${BITS} %value) noinline {
entry:
  %base = GET i64 ram_base
  %size = GET i64 ram_size
  %offset = sub i64 %address, %base
  %last = sub i64 %size, ${BYTES}
  %inside = icmp ule i64 %offset, %last
  br i1 %inside, label %memory, label %outside, !prof !0
memory:
  %p = getelementptr i8, ptr %ram, i64 %offset
  store i${BITS} %value, ptr %p, align 1, !tbaa !5
  %shared = GET ptr shared
  %pages = SHARED ptr code_pages
  %number = lshr i64 %offset, 12
  %page.p = getelementptr ptr, ptr %pages, i64 %number
  %block = load ptr, ptr %page.p, !tbaa !4
  %data = icmp eq ptr %block, null
  br i1 %data, label %done, label %code, !prof !0
code:
  call void @written(ptr %shared, i64 %offset, i64 ${BYTES})
  br label %done
done:
  ret i1 true
outside:
  %hart.n = ptrtoint ptr %hart to i64
  %device = GET ptr device
  PUT i64 1 attention
  %wide.w = zext i${BITS} %value to i128
  %wide = trunc i128 %wide.w to i64
  %w = call i64 %device(i64 %hart.n, i64 %address, i64 ${BYTES}, i64 %wide, i64 1)
  %ok.n = GET i64 device_ok
  %ok = trunc i64 %ok.n to i1
  ret i1 %ok
}
"""

# What Python calls.
_ENTRIES = """
define void @hypernest_run(ptr %hart, ptr %ram, i64 %steps) {
  PUT i64 %steps remaining
  %retired = GET i64 retired
  %ahead = add i64 %retired, %steps
  PUT i64 %ahead retired
  PUT i64 1 attention
  call void @set_contexts(ptr %hart, ptr %ram)
  call preserve_nonecc void @resume(ptr null, ptr %hart, ptr %ram, i64 0)
  %left = GET i64 remaining
  %ahead2 = GET i64 retired
  %true = sub i64 %ahead2, %left
  PUT i64 %true retired
  ret void
}

define void @hypernest_flush_translations(ptr %hart) {
  call void @flush_translations(ptr %hart)
  ret void
}

define void @hypernest_forget_code(ptr %shared) {
  call void @forget_code(ptr %shared)
  ret void
}

define void @hypernest_written(ptr %shared, i64 %offset, i64 %count) {
entry:
  %end = add i64 %offset, %count
  br label %loop
loop:
  %from = phi i64 [ %offset, %entry ], [ %to, %loop ]
  %page.a = or i64 %from, 4095
  %page = add i64 %page.a, 1
  %to = call i64 @llvm.umin.i64(i64 %page, i64 %end)
  %n = sub i64 %to, %from
  call void @written(ptr %shared, i64 %from, i64 %n)
  %more = icmp ult i64 %to, %end
  br i1 %more, label %loop, label %out
out:
  ret void
}
"""


def print_runtime(layout: Layout, words: EngineWords, illegal_instruction: int) -> str:
    """The IR of everything above, for a hart with this layout."""
    data, code = 2 * DATA_ENTRIES * DATA_ENTRY_BYTES, CODE_ENTRIES * CODE_ENTRY_BYTES
    values: dict[str, int | str] = {
        **{name: 8 * index for name, index in layout.index.items()},
        **{name: 8 * index for name, index in words.offsets.items()},
        **{f"shared_{name}": 8 * i for i, name in enumerate(SHARED)},
        **{name: HEADER_AT + 8 * i for i, name in enumerate(HEADER)},
        "data_tables": 8 * words.data_tables, "code_tables": 8 * words.code_tables,
        "DATA_BYTES": data, "DATA_TABLES_BYTES": data * CONTEXTS, "WRITES_AT": WRITES_AT,
        "DATA_SHIFT": index_shift(DATA_ENTRY_BYTES), "DATA_MASK": (DATA_ENTRIES - 1) * DATA_ENTRY_BYTES,
        "DATA_ENTRY_BYTES": DATA_ENTRY_BYTES, "CODE_BYTES": code, "CODE_TABLES_BYTES": code * CONTEXTS,
        "CODE_SHIFT": index_shift(CODE_ENTRY_BYTES), "CODE_MASK": (CODE_ENTRIES - 1) * CODE_ENTRY_BYTES,
        "large": 8 * words.large, "LARGE_MASK": LARGE_BITS - 1, "LARGE_BYTES": LARGE_BITS // 8,
        "PAGE_SLOTS": PAGE_SLOTS, "REMAINING_AT": REMAINING_AT,
        "BLOCK_BYTES": BLOCK_BYTES, "ILLEGAL": illegal_instruction, "EXECUTE": "-2",
        **{each.name: int(each) for each in Exit},
    }  # fmt: skip
    parts = [_BETWEEN, _CODE, _CACHES, _ENTRIES]
    texts = [_expand(part, values) for part in parts]
    for access, tag, guard in ((0, 0, "br label %fill"), (1, WRITES_AT, _UNLESS_CODE)):
        text = _LOCATE.replace("${UNLESS_CODE}", guard)
        texts.append(_expand(text, values | {"ACCESS": access, "TAG": tag}))
    # Nothing remembers a translation for fetch here: pages of code have a table of their own.
    texts.append(
        "define internal {i1, i64} @locate_2(ptr %hart, ptr %ram, i64 %virtual) {\n"
        "  %r = call {i1, i64} @routine_translate(ptr %hart, ptr %ram, i64 %virtual, i2 -2)\n  ret {i1, i64} %r\n}\n"
    )
    texts += [_expand(_PHYSICAL, values | {"BITS": bits, "BYTES": bits // 8}) for bits in (8, 16, 32, 64)]
    return "".join(texts)


def _expand(text: str, values: dict[str, int | str]) -> str:
    for pattern, replacement in _MACROS:
        text = re.sub(pattern, replacement, text)
    parts = text.split(".@")
    # `.@` numbers the temporaries of one macro use; a use mentions each of its names twice or thrice in a row.
    numbered, count, fresh = parts[0], 0, ""
    for part in parts[1:]:
        name = re.search(r"%(put|set|c|d|e)$", numbered)
        assert name is not None
        if part.startswith(" = getelementptr") and name.group(1) in ("put", "set", "c"):
            count += 1
            fresh = f".{count}"
        numbered += fresh + part
    return Template(numbered).substitute(values)
