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
  br i1 %translated, label %warm, label %cold
warm:
  %warm.0 = SHARED i64 steps_translated
  %warm.n = add i64 %warm.0, %steps
  SET i64 %warm.n steps_translated
  ret void
cold:
  %cold.0 = SHARED i64 steps_interpreted
  %cold.n = add i64 %cold.0, %steps
  SET i64 %cold.n steps_interpreted
  ret void
}

; Count the instruction of a slot, `inside` bytes from the start of its page, and report it when it has become hot; true
; if it is the entry of a region.
define internal i1 @sample(ptr %hart, ptr %slot, i64 %inside) noinline {
entry:
  %shared = GET ptr shared
  %handler = load i64, ptr %slot, !tbaa !6
  %first = SHARED i64 arena
  %size = SHARED i64 arena_size
  %distance = sub i64 %handler, %first
  %translated = icmp ult i64 %distance, %size
  br i1 %translated, label %out, label %look
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
  ret i1 %translated
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

; What regions leave through, counted.
define internal preserve_nonecc void @region_slow(ptr %op, ptr %hart, ptr %ram, i64 %budget) noinline {
  %shared = GET ptr shared
  COUNT left_slowly
  musttail call preserve_nonecc void @slow(ptr %op, ptr %hart, ptr %ram, i64 %budget)
  ret void
}

define internal preserve_nonecc void @region_careful(ptr %op, ptr %hart, ptr %ram, i64 %budget) noinline {
  %shared = GET ptr shared
  COUNT left_carefully
  musttail call preserve_nonecc void @careful(ptr %op, ptr %hart, ptr %ram, i64 %budget)
  ret void
}

define internal preserve_nonecc void @region_resume(ptr %op, ptr %hart, ptr %ram, i64 %unused) noinline {
  %shared = GET ptr shared
  COUNT left_to_unknown_page
  musttail call preserve_nonecc void @resume(ptr %op, ptr %hart, ptr %ram, i64 0)
  ret void
}
