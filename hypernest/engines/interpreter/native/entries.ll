; What Python calls.

define void @hypernest_run(ptr %hart, ptr %ram, i64 %steps) {
entry:
  PUT i64 0 remaining
  PUT i64 %steps reserve
  %clock = GET i64 clock_end
  %clock.n = sub i64 %clock, %steps
  PUT i64 %clock.n clock_end
  PUT i64 1 attention
  %shared = GET ptr shared
  %heats = SHARED ptr heat
  %whole = icmp eq ptr %heats, null
  br i1 %whole, label %all, label %sliced
all:
  PUT i64 %steps remaining
  PUT i64 0 reserve
  PUT i64 %clock clock_end
  %retired = GET i64 retired
  %ahead = add i64 %retired, %steps
  PUT i64 %ahead retired
  br label %start
sliced:
  ; What the run before has left of its slice comes first: a run that often ends early would never end a slice.
  %rest = GET i64 slice_left
  %begun = icmp ne i64 %rest, 0
  br i1 %begun, label %lend, label %grant
lend:
  call void @lend(ptr %hart, i64 %rest)
  br label %start
grant:
  call void @grant(ptr %hart, i1 false)
  br label %start
start:
  PUT i64 0 hooked
  call void @set_contexts(ptr %hart, ptr %ram)
  %passing = GET i64 passing
  %passes = icmp ne i64 %passing, 0
  br i1 %passes, label %pass, label %on
pass:
  ; The first step by itself, so that what may pass is over with it.
  %why = call i64 @attend(ptr %hart, ptr %ram)
  %stays = icmp slt i64 %why, 0
  br i1 %stays, label %first, label %leave
first:
  %some = GET i64 remaining
  %none = icmp eq i64 %some, 0
  br i1 %none, label %leave, label %step
step:
  call void @step(ptr %hart, ptr %ram)
  PUT i64 0 passing
  br label %on
leave:
  %exit = phi i64 [ %why, %pass ], [ ${BUDGET}, %first ]
  PUT i64 %exit exit
  PUT i64 0 passing
  br label %end
on:
  call preserve_nonecc void @resume(ptr null, ptr %hart, ptr %ram, i64 0)
  br label %end
end:
  %left = GET i64 remaining
  PUT i64 %left slice_left
  %ahead2 = GET i64 retired
  %true = sub i64 %ahead2, %left
  PUT i64 %true retired
  %reserve = GET i64 reserve
  %all.left = add i64 %left, %reserve
  PUT i64 %all.left remaining
  %clock.l = GET i64 clock_end
  %clock.e = add i64 %clock.l, %reserve
  PUT i64 %clock.e clock_end
  PUT i64 0 reserve
  ret void
}

define void @hypernest_flush_translations(ptr %hart) {
  call void @flush_translations(ptr %hart)
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
