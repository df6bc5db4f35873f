; Complete execution of one instruction.

; One step: the instruction at pc, or its trap; nothing, and `hooked` set, if it does something that is watched.
define internal void @step(ptr %hart, ptr %ram) noinline {
entry:
  %pc = GET i64 pc
  %watching = GET i64 watching
  %executions = and i64 %watching, ${ON_EXECUTE}
  %unwatched = icmp eq i64 %executions, 0
  br i1 %unwatched, label %begin, label %ask, !prof !0
ask:
  %waits = call i1 @hook_execution(ptr %hart, i64 %pc)
  br i1 %waits, label %out, label %begin
begin:
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
  %length = call i64 @pure_instruction_length(i32 %word)
  %is.wide = icmp eq i64 %length, 4
  %half = and i32 %word, 65535
  %code = select i1 %is.wide, i32 %word, i32 %half
  %code.64 = zext i32 %code to i64
  PUT i64 %code.64 instruction
  %covers = and i64 %watching, ${COVERING}
  %uncovering = icmp eq i64 %covers, 0
  br i1 %uncovering, label %fill, label %cover, !prof !0
cover:
  %asked = call i1 @cover(ptr %hart, i64 %pc, i32 %code)
  br label %fill
fill:
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
  %given.up = call i1 @given_up(ptr %hart)
  br i1 %given.up, label %out, label %enter
enter:
  call void @enter_trap(ptr %hart, ptr %ram)
  br label %done
done:
  %remaining = GET i64 remaining
  %left = sub i64 %remaining, 1
  PUT i64 %left remaining
  br label %out
out:
  ret void
}

; Take the trap that an instruction has raised.
define internal void @enter_trap(ptr %hart, ptr %ram) alwaysinline {
  %cause = GET i64 trap_cause
  %value = GET i64 trap_value
  %ignored = call i1 @routine_take_trap(ptr %hart, ptr %ram, i64 %cause, i64 %value)
  %retired = GET i64 retired
  %retired.n = sub i64 %retired, 1
  PUT i64 %retired.n retired
  call void @count_trap(ptr %hart, i64 %cause)
  PUT i64 1 attention
  ret void
}

; What complete execution of an instruction of `length` bytes, whose operands are in its slot, finds in the hart.
define internal void @prepare(ptr %op, ptr %hart, ptr %ram, i64 %budget, i64 %length) alwaysinline {
entry:
  call void @synchronize(ptr %op, ptr %hart, i64 %budget)
  %pc = GET i64 pc
  %next = add i64 %pc, %length
  PUT i64 %next next_pc
  %slots = GET ptr slots
  %offset.p = getelementptr i8, ptr %slots, i64 ${ram_offset}
  %offset = load i64, ptr %offset.p, !tbaa !6
  %inside = and i64 %pc, 4095
  %at = add i64 %offset, %inside
  %code.p = getelementptr i8, ptr %ram, i64 %at
  %wide = icmp eq i64 %length, 4
  br i1 %wide, label %long, label %short
long:
  %long.c = load i32, ptr %code.p, align 1, !tbaa !5
  br label %put
short:
  %short.n = load i16, ptr %code.p, align 1, !tbaa !5
  %short.c = zext i16 %short.n to i32
  br label %put
put:
  %code = phi i32 [ %long.c, %long ], [ %short.c, %short ]
  %code.64 = zext i32 %code to i64
  PUT i64 %code.64 instruction
  ret void
}

; After complete execution of a slot: the instruction has trapped, or must wait.
define internal preserve_nonecc void @trapped(ptr %op, ptr %hart, ptr %ram, i64 %budget) noinline {
entry:
  %given.up = call i1 @given_up(ptr %hart)
  br i1 %given.up, label %leave, label %enter
leave:
  musttail call preserve_nonecc void @resume(ptr %op, ptr %hart, ptr %ram, i64 0)
  ret void
enter:
  call void @enter_trap(ptr %hart, ptr %ram)
  musttail call preserve_nonecc void @completed(ptr %op, ptr %hart, ptr %ram, i64 %budget)
  ret void
}

; The instruction has jumped, or there is something to look at.
define internal preserve_nonecc void @completed(ptr %op, ptr %hart, ptr %ram, i64 %budget) noinline {
  %remaining = GET i64 remaining
  %left = sub i64 %remaining, 1
  PUT i64 %left remaining
  musttail call preserve_nonecc void @resume(ptr %op, ptr %hart, ptr %ram, i64 0)
  ret void
}
