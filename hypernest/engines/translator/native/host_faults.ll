; The answer to SIGSEGV at an access of a region: map the page and let the access happen again, or let it leave for
; complete execution. Offsets are those of Linux on x86-64 (asm/siginfo.h, asm/sigcontext.h).
;
; Seven bytes before each access is an instruction that does nothing, `nopl displacement(%rax)`: its displacement leads
; from the access to where it is left.

%windows = type { i64, i64, ptr, ptr, ptr, i64, i64 } ; start, size, hart, ram, map_page, arena, arena_size

@hypernest_windows = global [${MOST} x %windows] zeroinitializer
@hypernest_next_handler = global ptr null
@hypernest_next_takes_information = global i64 0
@hypernest_next_was_asked = global i64 0

declare i32 @sigaction(i32, ptr, ptr)

define void @hypernest_on_fault(i32 %signal, ptr %information, ptr %context) {
entry:
  %code.p = getelementptr i8, ptr %information, i64 8
  %code = load i32, ptr %code.p
  %address.p = getelementptr i8, ptr %information, i64 16
  %address = load i64, ptr %address.p
  %rip.p = getelementptr i8, ptr %context, i64 168
  %rip = load i64, ptr %rip.p
  ; SEGV_MAPERR or SEGV_ACCERR: others have no address.
  %code.1 = sub i32 %code, 1
  %fault = icmp ult i32 %code.1, 2
  br i1 %fault, label %loop, label %other
loop:
  %i = phi i64 [ 0, %entry ], [ %i.n, %next ]
  %e = getelementptr [${MOST} x %windows], ptr @hypernest_windows, i64 0, i64 %i
  %start = load i64, ptr %e
  %size.p = getelementptr %windows, ptr %e, i64 0, i32 1
  %size = load i64, ptr %size.p
  %distance = sub i64 %address, %start
  %inside = icmp ult i64 %distance, %size
  br i1 %inside, label %found, label %next
next:
  %i.n = add i64 %i, 1
  %more = icmp ult i64 %i.n, ${MOST}
  br i1 %more, label %loop, label %other
found:
  %arena.p = getelementptr %windows, ptr %e, i64 0, i32 5
  %arena = load i64, ptr %arena.p
  %arena.s.p = getelementptr %windows, ptr %e, i64 0, i32 6
  %arena.s = load i64, ptr %arena.s.p
  %first = add i64 %arena, 7
  %rip.d = sub i64 %rip, %first
  %rip.s = sub i64 %arena.s, 7
  %ours = icmp ult i64 %rip.d, %rip.s
  br i1 %ours, label %look, label %other
look:
  %access = inttoptr i64 %rip to ptr
  %low.p = getelementptr i8, ptr %access, i64 -7
  %low = load i32, ptr %low.p, align 1
  %mark = and i32 %low, 16777215
  %marked = icmp eq i32 %mark, ${MARK}
  br i1 %marked, label %map, label %other
map:
  %error.p = getelementptr i8, ptr %context, i64 192
  %error = load i64, ptr %error.p
  %error.w = lshr i64 %error, 1
  %writes = and i64 %error.w, 1
  %hart.p = getelementptr %windows, ptr %e, i64 0, i32 2
  %hart = load ptr, ptr %hart.p
  %ram.p = getelementptr %windows, ptr %e, i64 0, i32 3
  %ram = load ptr, ptr %ram.p
  %map.p = getelementptr %windows, ptr %e, i64 0, i32 4
  %map_page = load ptr, ptr %map.p
  %mapped = call i1 %map_page(ptr %hart, ptr %ram, i64 %address, i64 %writes)
  br i1 %mapped, label %again, label %leave
leave:
  %way.p = getelementptr i8, ptr %access, i64 -4
  %way.32 = load i32, ptr %way.p, align 1
  %way = sext i32 %way.32 to i64
  %there = add i64 %rip, %way
  store i64 %there, ptr %rip.p
  br label %again
again:
  ret void
other:
  ; Whose handler was there before: with more information, without, or the default, which ends the process when the
  ; access happens again. One that was there both before and after us hands it back: then the default, too.
  %asked = load i64, ptr @hypernest_next_was_asked
  store i64 1, ptr @hypernest_next_was_asked
  %new = icmp eq i64 %asked, 0
  br i1 %new, label %ask, label %default
ask:
  %handler = load ptr, ptr @hypernest_next_handler
  %handler.n = ptrtoint ptr %handler to i64
  %special = icmp ult i64 %handler.n, 2
  br i1 %special, label %default, label %call
call:
  %takes = load i64, ptr @hypernest_next_takes_information
  %takes.1 = icmp ne i64 %takes, 0
  br i1 %takes.1, label %long, label %short
long:
  call void %handler(i32 %signal, ptr %information, ptr %context)
  ret void
short:
  call void %handler(i32 %signal)
  ret void
default:
  %action = alloca [152 x i8], align 8
  call void @llvm.memset.p0.i64(ptr %action, i8 0, i64 152, i1 false)
  %done = call i32 @sigaction(i32 %signal, ptr %action, ptr null)
  ret void
}

declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
