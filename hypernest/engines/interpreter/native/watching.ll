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

; Is the instruction at an address watched?
define internal i1 @is_watched_instruction(ptr %shared, i64 %pc) {
entry:
  %place = call i64 @first_watched(ptr %shared, i64 %pc)
  %count = SHARED i64 watch_executes
  %some = icmp ult i64 %place, %count
  br i1 %some, label %compare, label %no
compare:
  %table = SHARED ptr watch_execute
  %there.p = getelementptr i64, ptr %table, i64 %place
  %there = load i64, ptr %there.p, !tbaa !4
  %same = icmp eq i64 %there, %pc
  ret i1 %same
no:
  ret i1 false
}

; The instruction at pc is about to be executed. True if it must wait.
define internal i1 @hook_execution(ptr %hart, i64 %pc) noinline {
entry:
  %shared = GET ptr shared
  %watched = call i1 @is_watched_instruction(ptr %shared, i64 %pc)
  br i1 %watched, label %hook, label %no
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
  %armed.p = getelementptr i8, ptr %block, i64 ${armed_for}
  br i1 %valid, label %search, label %renew
renew:
  ; What is watched has changed.
  store i64 %present, ptr %generation.p, !tbaa !6
  store i64 -1, ptr %armed.p, !tbaa !6
  %page.r = and i64 %pc, -4096
  call void @free_slots(ptr %shared, i64 %page.r, ptr %block)
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
  br i1 %more, label %look, label %covering
look:
  %there.p = getelementptr i64, ptr %table, i64 %i
  %there = load i64, ptr %there.p, !tbaa !4
  %inside = sub i64 %there, %page
  %same = icmp ult i64 %inside, 4096
  br i1 %same, label %compare, label %covering
compare:
  %slot.at = shl i64 %inside, 3
  %slot = getelementptr i8, ptr %block, i64 %slot.at
  %handler = load ptr, ptr %slot, !tbaa !6
  %done = icmp eq ptr %handler, @guarded
  br i1 %done, label %next, label %first
first:
  br i1 %fresh, label %put, label %reset
reset:
  call void @reset_slots(ptr %shared, ptr %block)
  br label %put
put:
  store ptr @guarded, ptr %slot, !tbaa !6
  br label %next
next:
  %fresh.n = phi i1 [ %fresh, %compare ], [ true, %put ]
  %i.n = add i64 %i, 1
  br label %loop
covering:
  %armed = load i64, ptr %armed.p, !tbaa !6
  %done.before = icmp eq i64 %armed, %page
  br i1 %done.before, label %out, label %arm
arm:
  store i64 %page, ptr %armed.p, !tbaa !6
  call void @arm(ptr %shared, i64 %page, ptr %block)
  br label %out
out:
  ret void
}

; Forget what runs over slots of a page: all handlers but those for the host's sake. Regions can come again.
define internal void @reset_slots(ptr %shared, ptr %block) noinline {
entry:
  %noticed.p = getelementptr i8, ptr %block, i64 ${noticed}
  store i64 0, ptr %noticed.p, !tbaa !6
  %covered.p = getelementptr i8, ptr %block, i64 ${COVERED_AT}
  call void @llvm.memset.p0.i64(ptr align 8 %covered.p, i8 0, i64 ${COVERED_BYTES}, i1 false)
  %offset.p = getelementptr i8, ptr %block, i64 ${ram_offset}
  %offset = load i64, ptr %offset.p, !tbaa !6
  call void @cool(ptr %shared, i64 %offset)
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %i.n, %next ]
  %slot = getelementptr [16 x i8], ptr %block, i64 %i
  %handler = load ptr, ptr %slot, !tbaa !6
  %kept = call i1 @is_kept(ptr %handler)
  br i1 %kept, label %next, label %reset
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

; Give back slots that were kept for the host's sake and need not be any more, at this virtual page: if another one leads
; here, too, that sees to it when it is entered. Regions that cover them can come now.
define internal void @free_slots(ptr %shared, i64 %page, ptr %block) noinline {
entry:
  %noticed.p = getelementptr i8, ptr %block, i64 ${noticed}
  store i64 0, ptr %noticed.p, !tbaa !6
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %i.n, %next ]
  %slot = getelementptr [16 x i8], ptr %block, i64 %i
  %handler = load ptr, ptr %slot, !tbaa !6
  %inside = shl i64 %i, 1
  %pc = add i64 %page, %inside
  %guarded = icmp eq ptr %handler, @guarded
  br i1 %guarded, label %guard, label %other
guard:
  %watched = call i1 @is_watched_instruction(ptr %shared, i64 %pc)
  br i1 %watched, label %next, label %free
other:
  %uncovered = icmp eq ptr %handler, @uncovered
  br i1 %uncovered, label %cover, label %next
cover:
  %missing = call i1 @is_missing(ptr %shared, i64 %pc)
  br i1 %missing, label %next, label %free
free:
  store ptr @undecoded, ptr %slot, !tbaa !6
  br label %next
next:
  %i.n = add i64 %i, 1
  %more = icmp ult i64 %i.n, ${PAGE_SLOTS}
  br i1 %more, label %loop, label %out
out:
  ret void
}

; Does a map have a place for the instruction at pc, and not know yet that it was reached?
define internal i1 @is_missing(ptr %shared, i64 %pc) {
entry:
  %maps = SHARED ptr coverage
  %count = SHARED i64 coverages
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %i.n, %next ]
  %more = icmp ult i64 %i, %count
  br i1 %more, label %look, label %no
look:
  %start.p = getelementptr [40 x i8], ptr %maps, i64 %i
  %end.p = getelementptr i8, ptr %start.p, i64 8
  %start = load i64, ptr %start.p, !tbaa !4
  %end = load i64, ptr %end.p, !tbaa !4
  %distance = sub i64 %pc, %start
  %size = sub i64 %end, %start
  %inside = icmp ult i64 %distance, %size
  br i1 %inside, label %ask, label %next
ask:
  %bits.p = getelementptr i8, ptr %start.p, i64 16
  %bits = load ptr, ptr %bits.p, !tbaa !4
  %place = lshr i64 %distance, 1
  %byte = lshr i64 %place, 3
  %byte.p = getelementptr i8, ptr %bits, i64 %byte
  %byte.v = load i8, ptr %byte.p
  %bit = and i64 %place, 7
  %bit.8 = trunc i64 %bit to i8
  %moved = lshr i8 %byte.v, %bit.8
  %known = trunc i8 %moved to i1
  br i1 %known, label %next, label %yes
next:
  %i.n = add i64 %i, 1
  br label %loop
yes:
  ret i1 true
no:
  ret i1 false
}

; The instruction at pc, which begins with the 16 bits of `code`, is reached: note it in the maps that have its address.
; True if there is one.
define internal i1 @cover(ptr %hart, i64 %pc, i32 %code) noinline {
entry:
  %shared = GET ptr shared
  %maps = SHARED ptr coverage
  %count = SHARED i64 coverages
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %i.n, %next ]
  %found = phi i1 [ false, %entry ], [ %found.n, %next ]
  %more = icmp ult i64 %i, %count
  br i1 %more, label %look, label %out
look:
  %start.p = getelementptr [40 x i8], ptr %maps, i64 %i
  %end.p = getelementptr i8, ptr %start.p, i64 8
  %start = load i64, ptr %start.p, !tbaa !4
  %end = load i64, ptr %end.p, !tbaa !4
  %distance = sub i64 %pc, %start
  %size = sub i64 %end, %start
  %inside = icmp ult i64 %distance, %size
  br i1 %inside, label %note, label %next
note:
  %bits.p = getelementptr i8, ptr %start.p, i64 16
  %bits = load ptr, ptr %bits.p, !tbaa !4
  %place = lshr i64 %distance, 1
  %byte = lshr i64 %place, 3
  %byte.p = getelementptr i8, ptr %bits, i64 %byte
  %old = load i8, ptr %byte.p
  %bit = and i64 %place, 7
  %bit.8 = trunc i64 %bit to i8
  %mask = shl i8 1, %bit.8
  %new = or i8 %old, %mask
  %known = icmp eq i8 %new, %old
  br i1 %known, label %next, label %put
put:
  store i8 %new, ptr %byte.p
  %codes.p = getelementptr i8, ptr %start.p, i64 24
  %codes = load ptr, ptr %codes.p, !tbaa !4
  %code.p = getelementptr i16, ptr %codes, i64 %place
  %code.16 = trunc i32 %code to i16
  store i16 %code.16, ptr %code.p
  %count.pp = getelementptr i8, ptr %start.p, i64 32
  %count.p = load ptr, ptr %count.pp, !tbaa !4
  %count.o = load i64, ptr %count.p
  %count.n = add i64 %count.o, 1
  store i64 %count.n, ptr %count.p
  br label %next
next:
  %found.n = phi i1 [ %found, %look ], [ true, %note ], [ true, %put ]
  %i.n = add i64 %i, 1
  br label %loop
out:
  ret i1 %found
}

; The handler of a slot whose instruction was not reached yet, at least at one of its addresses: note that it is, then
; decode it like any other. At an address that nobody asks about the slot stays as it is.
define internal preserve_nonecc void @uncovered(ptr %op, ptr %hart, ptr %ram, i64 %budget) noinline {
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
  %code.n = load i16, ptr %code.p, align 1, !tbaa !5
  %code = zext i16 %code.n to i32
  ; What goes on in another page may not be fetched: that is known when it is.
  %last = icmp eq i64 %inside, 4094
  %length = call i64 @pure_instruction_length(i32 %code)
  %wide = icmp eq i64 %length, 4
  %crosses = and i1 %last, %wide
  br i1 %crosses, label %slow, label %ask
ask:
  %bias = GET i64 bias
  %eighth = lshr i64 %this, 3
  %pc = add i64 %eighth, %bias
  %covered = call i1 @cover(ptr %hart, i64 %pc, i32 %code)
  br i1 %covered, label %on, label %slow
on:
  store ptr @undecoded, ptr %op, !tbaa !6
  musttail call preserve_nonecc void @undecoded(ptr %op, ptr %hart, ptr %ram, i64 %budget)
  ret void
slow:
  musttail call preserve_nonecc void @slow(ptr %op, ptr %hart, ptr %ram, i64 %budget)
  ret void
}

; Where a map has bits that are not set for a virtual page, let slots of its block note when they are reached.
define internal void @arm(ptr %shared, i64 %page, ptr %block) noinline {
entry:
  %maps = SHARED ptr coverage
  %count = SHARED i64 coverages
  %page.e = add i64 %page, 4094
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %i.n, %next.map ]
  %fresh = phi i1 [ false, %entry ], [ %fresh.m, %next.map ]
  %more = icmp ult i64 %i, %count
  br i1 %more, label %look, label %out
look:
  %start.p = getelementptr [40 x i8], ptr %maps, i64 %i
  %end.p = getelementptr i8, ptr %start.p, i64 8
  %bits.p = getelementptr i8, ptr %start.p, i64 16
  %start = load i64, ptr %start.p, !tbaa !4
  %end = load i64, ptr %end.p, !tbaa !4
  %bits = load ptr, ptr %bits.p, !tbaa !4
  %last = sub i64 %end, 2
  %low = call i64 @llvm.umax.i64(i64 %start, i64 %page)
  %high = call i64 @llvm.umin.i64(i64 %last, i64 %page.e)
  %some = icmp ule i64 %low, %high
  br i1 %some, label %places, label %next.map
places:
  %pc = phi i64 [ %low, %look ], [ %pc.n, %next ]
  %fresh.p = phi i1 [ %fresh, %look ], [ %fresh.n, %next ]
  %distance = sub i64 %pc, %start
  %place = lshr i64 %distance, 1
  %byte = lshr i64 %place, 3
  %byte.p = getelementptr i8, ptr %bits, i64 %byte
  %byte.v = load i8, ptr %byte.p
  %bit = and i64 %place, 7
  %bit.8 = trunc i64 %bit to i8
  %moved = lshr i8 %byte.v, %bit.8
  %covered = trunc i8 %moved to i1
  br i1 %covered, label %next, label %compare
compare:
  %inside = sub i64 %pc, %page
  %slot.at = shl i64 %inside, 3
  %slot = getelementptr i8, ptr %block, i64 %slot.at
  %handler = load ptr, ptr %slot, !tbaa !6
  %kept = call i1 @is_kept(ptr %handler)
  br i1 %kept, label %next, label %first
first:
  br i1 %fresh.p, label %put, label %reset
reset:
  call void @reset_slots(ptr %shared, ptr %block)
  br label %put
put:
  store ptr @uncovered, ptr %slot, !tbaa !6
  br label %next
next:
  %fresh.n = phi i1 [ %fresh.p, %places ], [ %fresh.p, %compare ], [ true, %put ]
  %pc.n = add i64 %pc, 2
  %done = icmp eq i64 %pc, %high
  br i1 %done, label %next.map, label %places
next.map:
  %fresh.m = phi i1 [ %fresh, %look ], [ %fresh.n, %next ]
  %i.n = add i64 %i, 1
  br label %loop
out:
  ret void
}

; Is a slot's handler there for the host's sake, so that nothing may run over the slot?
define internal i1 @is_kept(ptr %handler) alwaysinline {
  %guarded = icmp eq ptr %handler, @guarded
  %uncovered = icmp eq ptr %handler, @uncovered
  %either = or i1 %guarded, %uncovered
  ret i1 %either
}
