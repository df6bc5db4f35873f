; From slot to slot: what happens where fast handlers cannot go on by themselves.

; Bring pc and remaining up to date, from the slot and the budget that stand for them while fast handlers run.
define internal void @synchronize(ptr %op, ptr %hart, i64 %budget) alwaysinline {
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
  ret void
}

; Execution that cannot go on in fast handlers: complete one instruction, then look where to go on.
define dso_local preserve_nonecc void @slow(ptr %op, ptr %hart, ptr %ram, i64 %budget) noinline {
  call void @synchronize(ptr %op, ptr %hart, i64 %budget)
  call void @step(ptr %hart, ptr %ram)
  musttail call preserve_nonecc void @resume(ptr %op, ptr %hart, ptr %ram, i64 0)
  ret void
}

; Go on without executing anything: at the end of a page, in the next one; after a jump to a page in which the steps may
; run out (they may be used up already), instruction by instruction.
define dso_local preserve_nonecc void @careful(ptr %op, ptr %hart, ptr %ram, i64 %budget) noinline {
  call void @synchronize(ptr %op, ptr %hart, i64 %budget)
  musttail call preserve_nonecc void @resume(ptr %op, ptr %hart, ptr %ram, i64 0)
  ret void
}

; Between instructions, with pc and remaining up to date.
define dso_local preserve_nonecc void @resume(ptr %op, ptr %hart, ptr %ram, i64 %unused) noinline {
entry:
  %attention = GET i64 attention
  %calm = icmp eq i64 %attention, 0
  br i1 %calm, label %steps, label %attend, !prof !0
attend:
  %left = call i64 @attend(ptr %hart, ptr %ram)
  %stays = icmp slt i64 %left, 0
  br i1 %stays, label %steps, label %leave
steps:
  %remaining.0 = GET i64 remaining
  %used = icmp eq i64 %remaining.0, 0
  br i1 %used, label %used_up, label %find
used_up:
  %reserve.0 = GET i64 reserve
  %done = icmp eq i64 %reserve.0, 0
  br i1 %done, label %leave, label %more
more:
  call void @grant(ptr %hart, i1 false)
  br label %find
leave:
  %why = phi i64 [ %left, %attend ], [ ${BUDGET}, %used_up ]
  PUT i64 %why exit
  ret void
find:
  %remaining = GET i64 remaining
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
  %walked = GET i64 walked
  %here = icmp ne i64 %walked, 0
  %on = xor i1 %here, true
  %plain = and i1 %enough, %on
  br i1 %plain, label %go, label %scarce, !prof !0
scarce:
  %reserve = GET i64 reserve
  %none = icmp eq i64 %reserve, 0
  br i1 %none, label %last, label %slice
last:
  PUT i64 0 walked
  PUT i64 0 jumps_to_walk
  br i1 %enough, label %go, label %one
slice:
  %to.walk = GET i64 jumps_to_walk
  %walking = icmp ne i64 %to.walk, 0
  br i1 %walking, label %on.foot, label %arrived
arrived:
  %walks = call i1 @sample(ptr %hart, ptr %slot, i64 %inside, i64 %walked)
  br i1 %walks, label %walk, label %next
next:
  PUT i64 0 walked
  br label %find
walk:
  call void @begin_walk(ptr %hart)
  br label %on.foot
on.foot:
  call void @walk(ptr %hart, ptr %ram)
  musttail call preserve_nonecc void @resume(ptr %op, ptr %hart, ptr %ram, i64 0)
  ret void
go:
  %handler = load ptr, ptr %slot, !tbaa !6
  musttail call preserve_nonecc void %handler(ptr %slot, ptr %hart, ptr %ram, i64 %budget)
  ret void
one:
  call void @step(ptr %hart, ptr %ram)
  musttail call preserve_nonecc void @resume(ptr %op, ptr %hart, ptr %ram, i64 0)
  ret void
}
