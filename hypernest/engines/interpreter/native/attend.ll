; Between instructions: monitor calls, wfi, stop requests, interrupts, and which tables are in force.

; Monitor calls, wfi, stop requests and interrupts: why to leave, or -1 to go on.
define internal i64 @attend(ptr %hart, ptr %ram) noinline {
entry:
  PUT i64 0 attention
  %hooked = GET i64 hooked
  %held = icmp ne i64 %hooked, 0
  br i1 %held, label %hook, label %go
hook:
  ret i64 ${HOOK}
go:
  ; What the last instruction has begun comes before a stop, which may be asked for at any time: where a run is cut
  ; must not show in the state.
  %call = GET i64 monitor_call
  %calling = icmp ne i64 %call, 0
  br i1 %calling, label %monitor, label %b
monitor:
  ret i64 ${MONITOR}
b:
  %waiting = GET i64 waiting
  %waits = icmp ne i64 %waiting, 0
  br i1 %waits, label %wait, label %a
wait:
  %pending.r = call {i1, i1} @routine_interrupt_pending(ptr %hart, ptr %ram)
  %pending = extractvalue {i1, i1} %pending.r, 1
  br i1 %pending, label %wake, label %sleep
sleep:
  ret i64 ${WAIT}
wake:
  PUT i64 0 waiting
  br label %a
a:
  %stop = GET i64 stop
  %stopping = icmp ne i64 %stop, 0
  br i1 %stopping, label %stopped, label %c
stopped:
  PUT i64 0 stop
  ret i64 ${STOP}
c:
  ; The short question first: nearly always the answer is no.
  %some.r = call {i1, i1} @routine_interrupt_pending(ptr %hart, ptr %ram)
  %some = extractvalue {i1, i1} %some.r, 1
  br i1 %some, label %may, label %contexts
may:
  %watching = GET i64 watching
  %interrupts = and i64 %watching, ${ON_INTERRUPT}
  %unwatched = icmp eq i64 %interrupts, 0
  br i1 %unwatched, label %take, label %ask
ask:
  %waits.i = call i1 @hook_interrupt(ptr %hart, ptr %ram)
  br i1 %waits.i, label %hook, label %take
take:
  %taken.r = call {i1, i64} @routine_take_interrupt(ptr %hart, ptr %ram)
  %taken = extractvalue {i1, i64} %taken.r, 1
  %none = icmp eq i64 %taken, 0
  br i1 %none, label %contexts, label %count
count:
  call void @count_trap(ptr %hart, i64 %taken)
  PUT i64 0 passing
  br label %contexts
contexts:
  ; What taking an interrupt has changed is looked at here.
  PUT i64 0 attention
  call void @set_contexts(ptr %hart, ptr %ram)
  %call2 = GET i64 monitor_call
  %calling2 = icmp ne i64 %call2, 0
  br i1 %calling2, label %monitor, label %d
d:
  ret i64 -1
}

define internal void @set_contexts(ptr %hart, ptr %ram) alwaysinline {
  %data.r = call {i1, i2} @routine_data_context(ptr %hart, ptr %ram)
  %data.n = extractvalue {i1, i2} %data.r, 1
  %data = zext i2 %data.n to i64
  %data.o = mul i64 %data, ${DATA_BYTES}
  %data.b = add i64 %data.o, ${data_tables}
  %data.p = getelementptr i8, ptr %hart, i64 %data.b
  PUT ptr %data.p data_tlb
  %windows = GET ptr windows
  %window.o = mul i64 %data, ${WINDOW_STRIDE}
  %window.z = add i64 %window.o, ${WINDOW_ZERO}
  %window = getelementptr i8, ptr %windows, i64 %window.z
  PUT ptr %window window
  %code.r = call {i1, i2} @routine_fetch_context(ptr %hart, ptr %ram)
  %code.n = extractvalue {i1, i2} %code.r, 1
  %code = zext i2 %code.n to i64
  %code.o = mul i64 %code, ${CODE_BYTES}
  %code.b = add i64 %code.o, ${code_tables}
  %code.p = getelementptr i8, ptr %hart, i64 %code.b
  PUT ptr %code.p code_tlb
  ret void
}

; Statistics: exceptions by cause, then interrupts by cause.
define internal void @count_trap(ptr %hart, i64 %cause) alwaysinline {
  %shared = GET ptr shared
  %table = getelementptr i8, ptr %shared, i64 ${shared_traps}
  %high = lshr i64 %cause, 57
  %low = and i64 %cause, 63
  %index = or i64 %high, %low
  %place = getelementptr i64, ptr %table, i64 %index
  %old = load i64, ptr %place, !tbaa !4
  %new = add i64 %old, 1
  store i64 %new, ptr %place, !tbaa !4
  ret void
}
