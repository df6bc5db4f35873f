; What the host watches. Where something watched is about to happen, `hooked` says what, and nothing of it is done: the
; instruction is given up like one that traps, and @attend ends the run.

; Note what is about to happen, unless it may pass. True if the instruction must wait.
define internal i1 @hook(ptr %hart, i64 %kind, i64 %address, i64 %size, i64 %value, i64 %physical, i64 %last) noinline {
entry:
  %passing = GET i64 passing
  %passes = and i64 %passing, %kind
  %held = icmp eq i64 %passes, 0
  br i1 %held, label %note, label %pass
note:
  PUT i64 %kind hooked
  PUT i64 %address hook_address
  PUT i64 %size hook_size
  PUT i64 %value hook_value
  PUT i64 %physical hook_physical
  PUT i64 %last hook_last
  PUT i64 1 attention
  ret i1 true
pass:
  ret i1 false
}

; The place of the first watched instruction at an address or behind it, in the sorted table of them.
define internal i64 @first_watched(ptr %shared, i64 %address) {
entry:
  %table = SHARED ptr watch_execute
  %count = SHARED i64 watch_executes
  br label %loop
loop:
  %low = phi i64 [ 0, %entry ], [ %low.n, %halve ]
  %high = phi i64 [ %count, %entry ], [ %high.n, %halve ]
  %more = icmp ult i64 %low, %high
  br i1 %more, label %halve, label %out
halve:
  %sum = add i64 %low, %high
  %middle = lshr i64 %sum, 1
  %there.p = getelementptr i64, ptr %table, i64 %middle
  %there = load i64, ptr %there.p, !tbaa !4
  %before = icmp ult i64 %there, %address
  %above = add i64 %middle, 1
  %low.n = select i1 %before, i64 %above, i64 %low
  %high.n = select i1 %before, i64 %high, i64 %middle
  br label %loop
out:
  ret i64 %low
}

; The instruction at pc is about to be executed. True if it must wait.
define internal i1 @hook_execution(ptr %hart, i64 %pc) noinline {
entry:
  %shared = GET ptr shared
  %place = call i64 @first_watched(ptr %shared, i64 %pc)
  %count = SHARED i64 watch_executes
  %some = icmp ult i64 %place, %count
  br i1 %some, label %compare, label %no
compare:
  %table = SHARED ptr watch_execute
  %there.p = getelementptr i64, ptr %table, i64 %place
  %there = load i64, ptr %there.p, !tbaa !4
  %same = icmp eq i64 %there, %pc
  br i1 %same, label %hook, label %no
hook:
  %hooked = call i1 @hook(ptr %hart, i64 ${ON_EXECUTE}, i64 %pc, i64 0, i64 0, i64 0, i64 0)
  ret i1 %hooked
no:
  ret i1 false
}

; After an instruction was left as if it had trapped: must it wait, because of what it did or of the exception it raises?
define internal i1 @given_up(ptr %hart) alwaysinline {
entry:
  %watching = GET i64 watching
  %nothing = icmp eq i64 %watching, 0
  br i1 %nothing, label %no, label %ask, !prof !0
ask:
  %answer = call i1 @hook_exception(ptr %hart)
  ret i1 %answer
no:
  ret i1 false
}

define internal i1 @hook_exception(ptr %hart) noinline {
entry:
  %before = GET i64 hooked
  %already = icmp ne i64 %before, 0
  br i1 %already, label %yes, label %look
look:
  %shared = GET ptr shared
  %causes = SHARED i64 watch_exceptions
  %cause = GET i64 trap_cause
  %moved = lshr i64 %causes, %cause
  %watched = trunc i64 %moved to i1
  br i1 %watched, label %hook, label %no
hook:
  %pc = GET i64 pc
  %value = GET i64 trap_value
  %hooked = call i1 @hook(ptr %hart, i64 ${ON_TRAP}, i64 %pc, i64 0, i64 %value, i64 0, i64 0)
  ret i1 %hooked
yes:
  ret i1 true
no:
  ret i1 false
}

; An interrupt may be taken next. True if it must wait.
define internal i1 @hook_interrupt(ptr %hart, ptr %ram) noinline {
entry:
  %due.r = call {i1, i64} @routine_interrupt_due(ptr %hart, ptr %ram)
  %due = extractvalue {i1, i64} %due.r, 1
  %none = icmp eq i64 %due, 0
  br i1 %none, label %no, label %look
look:
  %shared = GET ptr shared
  %causes = SHARED i64 watch_interrupts
  %number = and i64 %due, 63
  %moved = lshr i64 %causes, %number
  %watched = trunc i64 %moved to i1
  br i1 %watched, label %hook, label %no
hook:
  %pc = GET i64 pc
  %hooked = call i1 @hook(ptr %hart, i64 ${ON_INTERRUPT}, i64 %pc, i64 0, i64 0, i64 0, i64 0)
  PUT i64 %due trap_cause
  ret i1 %hooked
no:
  ret i1 false
}

; A CSR is about to be written. True if the instruction must wait.
define internal i1 @hook_csr(ptr %hart, i64 %number, i64 %value) noinline {
entry:
  %shared = GET ptr shared
  %bits = SHARED ptr watch_csrs
  %byte = lshr i64 %number, 3
  %byte.p = getelementptr i8, ptr %bits, i64 %byte
  %byte.v = load i8, ptr %byte.p, !tbaa !4
  %byte.64 = zext i8 %byte.v to i64
  %bit = and i64 %number, 7
  %moved = lshr i64 %byte.64, %bit
  %watched = trunc i64 %moved to i1
  br i1 %watched, label %hook, label %no
hook:
  %hooked = call i1 @hook(ptr %hart, i64 ${ON_CSR}, i64 %number, i64 0, i64 %value, i64 0, i64 0)
  ret i1 %hooked
no:
  ret i1 false
}

; Data is about to be accessed; it may be in two pages. True if the instruction must wait.
define internal i1 @hook_data(ptr %hart, i64 %kind, i64 %address, i64 %size, i64 %value, i64 %first, i64 %last) noinline {
entry:
  %shared = GET ptr shared
  %inside = and i64 %address, 4095
  %room = sub i64 4096, %inside
  %count = call i64 @llvm.umin.i64(i64 %room, i64 %size)
  %one = call i1 @is_watched(ptr %shared, i64 %kind, i64 %address, i64 %first, i64 %count)
  br i1 %one, label %hook, label %second
second:
  %rest = sub i64 %size, %count
  %whole = icmp eq i64 %rest, 0
  br i1 %whole, label %no, label %look
look:
  %address.2 = add i64 %address, %count
  %last.1 = add i64 %last, 1
  %first.2 = sub i64 %last.1, %rest
  %two = call i1 @is_watched(ptr %shared, i64 %kind, i64 %address.2, i64 %first.2, i64 %rest)
  br i1 %two, label %hook, label %no
hook:
  %hooked = call i1 @hook(ptr %hart, i64 %kind, i64 %address, i64 %size, i64 %value, i64 %first, i64 %last)
  ret i1 %hooked
no:
  ret i1 false
}

; Do bytes of one page, by both their addresses, overlap a watched range? A range is its first address, its last, the
; kinds of access and whether it is physical.
define internal i1 @is_watched(ptr %shared, i64 %kind, i64 %virtual, i64 %physical, i64 %count) {
entry:
  %table = SHARED ptr watch_data
  %ranges = SHARED i64 watch_ranges
  %distance = sub i64 %count, 1
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %i.n, %next ]
  %more = icmp ult i64 %i, %ranges
  br i1 %more, label %compare, label %no
compare:
  %first.p = getelementptr [32 x i8], ptr %table, i64 %i
  %last.p = getelementptr i8, ptr %first.p, i64 8
  %kinds.p = getelementptr i8, ptr %first.p, i64 16
  %physical.p = getelementptr i8, ptr %first.p, i64 24
  %first = load i64, ptr %first.p, !tbaa !4
  %last = load i64, ptr %last.p, !tbaa !4
  %kinds = load i64, ptr %kinds.p, !tbaa !4
  %physical.n = load i64, ptr %physical.p, !tbaa !4
  %is.physical = trunc i64 %physical.n to i1
  %low = select i1 %is.physical, i64 %physical, i64 %virtual
  %high = add i64 %low, %distance
  %a = icmp ule i64 %first, %high
  %b = icmp ule i64 %low, %last
  %both = and i64 %kinds, %kind
  %c = icmp ne i64 %both, 0
  %ab = and i1 %a, %b
  %abc = and i1 %ab, %c
  br i1 %abc, label %yes, label %next
next:
  %i.n = add i64 %i, 1
  br label %loop
yes:
  ret i1 true
no:
  ret i1 false
}

; May accesses of a kind to a page be remembered, because nothing there is watched for them?
define internal i1 @unwatched(ptr %hart, i64 %kind, i64 %virtual, i64 %physical) alwaysinline {
entry:
  %watching = GET i64 watching
  %concerned = and i64 %watching, %kind
  %nothing = icmp eq i64 %concerned, 0
  br i1 %nothing, label %yes, label %look, !prof !0
look:
  %shared = GET ptr shared
  %virtual.p = and i64 %virtual, -4096
  %physical.p = and i64 %physical, -4096
  %watched = call i1 @is_watched(ptr %shared, i64 %kind, i64 %virtual.p, i64 %physical.p, i64 4096)
  %free = xor i1 %watched, true
  ret i1 %free
yes:
  ret i1 true
}

; The handler of a slot whose instruction is watched, at least at one of its addresses: @step finds out.
define internal preserve_nonecc void @guarded(ptr %op, ptr %hart, ptr %ram, i64 %budget) noinline {
  musttail call preserve_nonecc void @slow(ptr %op, ptr %hart, ptr %ram, i64 %budget)
  ret void
}

; A page of code is about to be executed at the virtual page of pc: see to it that the slots of watched instructions are
; guarded, and that no other handler or region runs over them.
define internal void @guard(ptr %hart, i64 %pc, ptr %block) noinline {
entry:
  %shared = GET ptr shared
  %present = SHARED i64 guards
  %generation.p = getelementptr i8, ptr %block, i64 ${guard_generation}
  %generation = load i64, ptr %generation.p, !tbaa !6
  %valid = icmp eq i64 %generation, %present
  br i1 %valid, label %search, label %renew
renew:
  ; What was watched has changed: guards begin anew.
  store i64 %present, ptr %generation.p, !tbaa !6
  call void @reset_slots(ptr %shared, ptr %block, i1 true)
  br label %search
search:
  %page = and i64 %pc, -4096
  %table = SHARED ptr watch_execute
  %count = SHARED i64 watch_executes
  %place = call i64 @first_watched(ptr %shared, i64 %page)
  br label %loop
loop:
  %i = phi i64 [ %place, %search ], [ %i.n, %next ]
  %fresh = phi i1 [ false, %search ], [ %fresh.n, %next ]
  %more = icmp ult i64 %i, %count
  br i1 %more, label %look, label %out
look:
  %there.p = getelementptr i64, ptr %table, i64 %i
  %there = load i64, ptr %there.p, !tbaa !4
  %inside = sub i64 %there, %page
  %same = icmp ult i64 %inside, 4096
  br i1 %same, label %compare, label %out
compare:
  %slot.at = shl i64 %inside, 3
  %slot = getelementptr i8, ptr %block, i64 %slot.at
  %handler = load ptr, ptr %slot, !tbaa !6
  %done = icmp eq ptr %handler, @guarded
  br i1 %done, label %next, label %first
first:
  br i1 %fresh, label %put, label %reset
reset:
  call void @reset_slots(ptr %shared, ptr %block, i1 false)
  br label %put
put:
  store ptr @guarded, ptr %slot, !tbaa !6
  br label %next
next:
  %fresh.n = phi i1 [ %fresh, %compare ], [ true, %put ]
  %i.n = add i64 %i, 1
  br label %loop
out:
  ret void
}

; Forget what runs over slots of a page: all handlers but guards, or guards alone. Regions can come again.
define internal void @reset_slots(ptr %shared, ptr %block, i1 %guards) noinline {
entry:
  %noticed.p = getelementptr i8, ptr %block, i64 ${noticed}
  store i64 0, ptr %noticed.p, !tbaa !6
  br i1 %guards, label %loop, label %regions
regions:
  %covered.p = getelementptr i8, ptr %block, i64 ${COVERED_AT}
  call void @llvm.memset.p0.i64(ptr align 8 %covered.p, i8 0, i64 ${COVERED_BYTES}, i1 false)
  %offset.p = getelementptr i8, ptr %block, i64 ${ram_offset}
  %offset = load i64, ptr %offset.p, !tbaa !6
  call void @cool(ptr %shared, i64 %offset)
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ 0, %regions ], [ %i.n, %next ]
  %slot = getelementptr [16 x i8], ptr %block, i64 %i
  %handler = load ptr, ptr %slot, !tbaa !6
  %guarded = icmp eq ptr %handler, @guarded
  %forget = icmp eq i1 %guarded, %guards
  br i1 %forget, label %reset, label %next
reset:
  store ptr @undecoded, ptr %slot, !tbaa !6
  br label %next
next:
  %i.n = add i64 %i, 1
  %more = icmp ult i64 %i.n, ${PAGE_SLOTS}
  br i1 %more, label %loop, label %out
out:
  ret void
}
