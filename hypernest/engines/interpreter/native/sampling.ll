; Where time goes: a run is cut into slices, and where one ends, the place that was about to be jumped to is counted.
; Such places are the heads of loops and functions, each met as often as its share of the run says.

; The next slice of the steps that `reserve` holds back: ${COLD_SLICE} steps or a little more in code that could still
; become a region, many more in code that has. Lengths vary, so that they do not fall into step with a loop.
define internal void @grant(ptr %hart, i1 %translated) noinline {
entry:
  %shared = GET ptr shared
  %seed = SHARED i64 slice_seed
  %seed.m = mul i64 %seed, 6364136223846793005
  %seed.n = add i64 %seed.m, 1442695040888963407
  SET i64 %seed.n slice_seed
  %random = lshr i64 %seed.n, 33
  %base = select i1 %translated, i64 ${WARM_SLICE}, i64 ${COLD_SLICE}
  %mask = sub i64 %base, 1
  %extra = and i64 %random, %mask
  %length = add i64 %base, %extra
  call void @lend(ptr %hart, i64 %length)
  br i1 %translated, label %warm, label %cold
warm:
  %warm.0 = SHARED i64 steps_translated
  %warm.n = add i64 %warm.0, %length
  SET i64 %warm.n steps_translated
  ret void
cold:
  %cold.0 = SHARED i64 steps_interpreted
  %cold.n = add i64 %cold.0, %length
  SET i64 %cold.n steps_interpreted
  ret void
}

; A slice ended where the instruction of a slot, `inside` bytes from the start of its page, comes next: count it, report it
; when it has become hot, and begin another slice. True instead if it is the entry of a region: since a slice ends earlier
; in front of jumps to the start of a page, where it ended says little then. `@walk` goes to a better place.
define internal i1 @sample(ptr %hart, ptr %slot, i64 %inside, i64 %walked) noinline {
entry:
  %shared = GET ptr shared
  %handler = load i64, ptr %slot, !tbaa !6
  %first = SHARED i64 arena
  %size = SHARED i64 arena_size
  %distance = sub i64 %handler, %first
  %translated = icmp ult i64 %distance, %size
  %slots.0 = GET ptr slots
  %covered.p = getelementptr i8, ptr %slots.0, i64 ${COVERED_AT}
  %byte = lshr i64 %inside, 4
  %byte.p = getelementptr i8, ptr %covered.p, i64 %byte
  %bits = load i8, ptr %byte.p, !tbaa !6
  %number = lshr i64 %inside, 1
  %number.8 = trunc i64 %number to i8
  %number.low = and i8 %number.8, 7
  %bit = lshr i8 %bits, %number.low
  %covered = trunc i8 %bit to i1
  ; What is reached from another page is reached from outside its region, and needs an entry there.
  %near = icmp ne i64 %walked, 2
  %passed = and i1 %covered, %near
  %known = or i1 %translated, %passed
  br i1 %known, label %inside.region, label %look
inside.region:
  %here = icmp ne i64 %walked, 0
  br i1 %here, label %warm, label %walk
warm:
  call void @grant(ptr %hart, i1 true)
  ret i1 false
walk:
  ret i1 true
look:
  %slots = GET ptr slots
  %offset.p = getelementptr i8, ptr %slots, i64 ${ram_offset}
  %offset = load i64, ptr %offset.p, !tbaa !6
  %noticed.p = getelementptr i8, ptr %slots, i64 ${noticed}
  %noticed = load i64, ptr %noticed.p, !tbaa !6
  %new = icmp eq i64 %noticed, 0
  br i1 %new, label %notice, label %count
notice:
  store i64 1, ptr %noticed.p, !tbaa !6
  %page = or i64 %offset, 1
  call void @report(ptr %shared, i64 %page)
  br label %count
count:
  %at = add i64 %offset, %inside
  %half = lshr i64 %at, 1
  %index = and i64 %half, ${HEAT_MASK}
  %heats = SHARED ptr heat
  %heat.p = getelementptr i16, ptr %heats, i64 %index
  %heat = load i16, ptr %heat.p, !tbaa !6
  %heat.n = add i16 %heat, 1
  store i16 %heat.n, ptr %heat.p, !tbaa !6
  %heat.64 = zext i16 %heat.n to i64
  %enough = SHARED i64 hot
  %hot = icmp eq i64 %heat.64, %enough
  br i1 %hot, label %push, label %out
push:
  call void @report(ptr %shared, i64 %at)
  br label %out
out:
  call void @grant(ptr %hart, i1 false)
  ret i1 false
}

; Begin to go on step by step: through a few jumps, sometimes many, so that every place is met; and then to the next that
; leads to another page (`walked` is 2 then), if one comes soon.
define internal void @begin_walk(ptr %hart) {
  %shared = GET ptr shared
  %seed = SHARED i64 slice_seed
  %random = lshr i64 %seed, 40
  %chance = and i64 %random, 3
  %long = icmp eq i64 %chance, 0
  %most = select i1 %long, i64 127, i64 7
  %dice = lshr i64 %random, 2
  %some = and i64 %dice, %most
  %last = sub i64 -${PATIENCE}, %some
  PUT i64 %last jumps_to_walk
  PUT i64 1 walked
  %steps = select i1 %long, i64 ${LONG_WALK}, i64 ${WALK}
  call void @lend(ptr %hart, i64 %steps)
  ret void
}

; Walk on, until there is something to attend to. `jumps_to_walk` are those until patience ends, negative; above
; -${PATIENCE} one to another page will do; 0 when the walk is over.
define internal void @walk(ptr %hart, ptr %ram) noinline {
entry:
  br label %loop
loop:
  %jumps = GET i64 jumps_to_walk
  %over = icmp eq i64 %jumps, 0
  br i1 %over, label %out, label %a
a:
  %remaining = GET i64 remaining
  %none = icmp eq i64 %remaining, 0
  br i1 %none, label %end, label %b
b:
  %pc = GET i64 pc
  call void @step(ptr %hart, ptr %ram)
  %to = GET i64 pc
  %distance = sub i64 %to, %pc
  %jumped = icmp ugt i64 %distance, 4
  %counts = zext i1 %jumped to i64
  %jumps.n = add i64 %jumps, %counts
  PUT i64 %jumps.n jumps_to_walk
  %moved = xor i64 %to, %pc
  %far = icmp ugt i64 %moved, 4095
  %enough = icmp sge i64 %jumps.n, -${PATIENCE}
  %leaps.a = and i1 %far, %jumped
  %leaps = and i1 %leaps.a, %enough
  br i1 %leaps, label %leap, label %look
look:
  %attention = GET i64 attention
  %calm = icmp eq i64 %attention, 0
  br i1 %calm, label %loop, label %out
leap:
  PUT i64 2 walked
  br label %end
end:
  PUT i64 0 jumps_to_walk
  br label %out
out:
  ret void
}

; Make steps of the reserve part of what remains.
define internal void @lend(ptr %hart, i64 %length) {
  %reserve = GET i64 reserve
  %steps = call i64 @llvm.umin.i64(i64 %length, i64 %reserve)
  %reserve.n = sub i64 %reserve, %steps
  PUT i64 %reserve.n reserve
  %remaining = GET i64 remaining
  %remaining.n = add i64 %remaining, %steps
  PUT i64 %remaining.n remaining
  ; What is ahead of the truth by the steps that remain moves with them.
  %retired = GET i64 retired
  %retired.n = add i64 %retired, %steps
  PUT i64 %retired.n retired
  %clock = GET i64 clock_end
  %clock.n = add i64 %clock, %steps
  PUT i64 %clock.n clock_end
  ret void
}

; Leave a number for the host: the offset in RAM of a hot instruction, or that of a page plus 1 when it is first counted.
define internal void @report(ptr %shared, i64 %what) {
  %count = SHARED i64 reports
  %full = icmp uge i64 %count, ${REPORTS}
  br i1 %full, label %out, label %put
put:
  %queue = SHARED ptr report_queue
  %place = getelementptr i64, ptr %queue, i64 %count
  store i64 %what, ptr %place, !tbaa !4
  %count.n = add i64 %count, 1
  SET i64 %count.n reports
  br label %out
out:
  ret void
}

; Forget what was counted in a page that is decoded anew.
define internal void @cool(ptr %shared, i64 %offset) {
entry:
  %heats = SHARED ptr heat
  %off = icmp eq ptr %heats, null
  br i1 %off, label %out, label %clear
clear:
  %half = lshr i64 %offset, 1
  %index = and i64 %half, ${HEAT_MASK}
  %first = getelementptr i16, ptr %heats, i64 %index
  call void @llvm.memset.p0.i64(ptr align 8 %first, i8 0, i64 4096, i1 false)
  br label %out
out:
  ret void
}

; What regions leave through, counted. An instruction that was left is executed by its handler, unless that is a region.
define internal preserve_nonecc void @region_slow(ptr %op, ptr %hart, ptr %ram, i64 %budget) noinline {
entry:
  %shared = GET ptr shared
  COUNT left_slowly
  %handler = load ptr, ptr %op, !tbaa !6
  %handler.n = ptrtoint ptr %handler to i64
  %first = SHARED i64 arena
  %size = SHARED i64 arena_size
  %distance = sub i64 %handler.n, %first
  %entered = icmp ult i64 %distance, %size
  br i1 %entered, label %slow, label %handle
handle:
  musttail call preserve_nonecc void %handler(ptr %op, ptr %hart, ptr %ram, i64 %budget)
  ret void
slow:
  musttail call preserve_nonecc void @slow(ptr %op, ptr %hart, ptr %ram, i64 %budget)
  ret void
}

define internal preserve_nonecc void @region_careful(ptr %op, ptr %hart, ptr %ram, i64 %budget) noinline {
  %shared = GET ptr shared
  COUNT left_carefully
  musttail call preserve_nonecc void @careful(ptr %op, ptr %hart, ptr %ram, i64 %budget)
  ret void
}

; The instruction at %op has jumped to pc: go on there, through the table of code pages.
define internal preserve_nonecc void @region_jump(ptr %op, ptr %hart, ptr %ram, i64 %budget) noinline {
entry:
  %slots.h = GET ptr slots
  %first = ptrtoint ptr %slots.h to i64
  %this = ptrtoint ptr %op to i64
  %distance = sub i64 %this, %first
  %inside.h = lshr i64 %distance, 3
  %count.ha = add i64 %inside.h, ${REMAINING_AT}
  %count.hp = getelementptr i8, ptr %slots.h, i64 %count.ha
  %count.hn = load i16, ptr %count.hp, !tbaa !6
  %count.h = zext i16 %count.hn to i64
  %left.a = add i64 %budget, %count.h
  %left = sub i64 %left.a, 1
  %pc = GET i64 pc
  %table = GET ptr code_tlb
  %index.a = lshr i64 %pc, ${CODE_SHIFT}
  %index = and i64 %index.a, ${CODE_MASK}
  %entry.p = getelementptr i8, ptr %table, i64 %index
  %tag = load i64, ptr %entry.p, !tbaa !4
  %page = and i64 %pc, -4096
  %hit = icmp eq i64 %tag, %page
  br i1 %hit, label %known, label %unknown, !prof !0
known:
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
  %budget.n = sub i64 %left, %count
  %enough = icmp sge i64 %budget.n, 0
  br i1 %enough, label %go, label %scarce, !prof !0
go:
  %handler = load ptr, ptr %slot, !tbaa !6
  musttail call preserve_nonecc void %handler(ptr %slot, ptr %hart, ptr %ram, i64 %budget.n)
  ret void
scarce:
  musttail call preserve_nonecc void @region_careful(ptr %slot, ptr %hart, ptr %ram, i64 %budget.n)
  ret void
unknown:
  %shared = GET ptr shared
  COUNT left_to_unknown_page
  PUT i64 %left remaining
  musttail call preserve_nonecc void @resume(ptr %op, ptr %hart, ptr %ram, i64 0)
  ret void
}
