; Pages of predecoded code: made when first executed, filled slot by slot, dropped when their bytes change.

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
  %guards = SHARED i64 guards
  %never = icmp eq i64 %guards, 0
  br i1 %never, label %put, label %guard
guard:
  call void @guard(ptr %hart, i64 %pc, ptr %slots)
  br label %put
put:
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
  %noticed.p = getelementptr i8, ptr %block, i64 ${noticed}
  store i64 0, ptr %noticed.p, !tbaa !6
  %guards = SHARED i64 guards
  %generation.p = getelementptr i8, ptr %block, i64 ${guard_generation}
  store i64 %guards, ptr %generation.p, !tbaa !6
  %armed.p = getelementptr i8, ptr %block, i64 ${armed_for}
  store i64 -1, ptr %armed.p, !tbaa !6
  call void @cool(ptr %shared, i64 %offset)
  %covered.p = getelementptr i8, ptr %block, i64 ${COVERED_AT}
  call void @llvm.memset.p0.i64(ptr align 8 %covered.p, i8 0, i64 ${COVERED_BYTES}, i1 false)
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
  store ptr @careful, ptr %last, !tbaa !6
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
  %parcel.p = getelementptr i8, ptr %ram, i64 %at
  %parcel.n = load i16, ptr %parcel.p, align 1, !tbaa !5
  %parcel = zext i16 %parcel.n to i32
  %length = call i64 @pure_instruction_length(i32 %parcel)
  %wide = icmp eq i64 %length, 4
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
  %row = call i64 @predecode(ptr %op, ptr %hart, ptr %ram)
  %good = icmp sge i64 %row, 0
  br i1 %good, label %pair, label %bad, !prof !0
bad:
  %stale = icmp eq i64 %row, -2
  br i1 %stale, label %renew, label %go
renew:
  %slots = GET ptr slots
  %offset.p = getelementptr i8, ptr %slots, i64 ${ram_offset}
  %offset = load i64, ptr %offset.p, !tbaa !6
  %number = lshr i64 %offset, 12
  %shared = GET ptr shared
  call void @drop(ptr %shared, i64 %number)
  musttail call preserve_nonecc void @slow(ptr %op, ptr %hart, ptr %ram, i64 %budget)
  ret void
pair:
  call void @join(ptr %op, ptr %hart, ptr %ram, i64 %row)
  br label %go
go:
  %handler = load ptr, ptr %op, !tbaa !6
  musttail call preserve_nonecc void %handler(ptr %op, ptr %hart, ptr %ram, i64 %budget)
  ret void
}

; Fill a slot: operands and handler. The row's number; -1 if the instruction is left to complete execution, -2 if the
; counts of the page are out of date.
define internal i64 @predecode(ptr %op, ptr %hart, ptr %ram) noinline {
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
  %half.l = call i64 @pure_instruction_length(i32 %half.c)
  %crosses = icmp eq i64 %half.l, 4
  br i1 %crosses, label %hard, label %decode
whole:
  %whole.c = load i32, ptr %code.p, align 1, !tbaa !5
  br label %decode
decode:
  %code = phi i32 [ %half.c, %half ], [ %whole.c, %whole ]
  ; Instructions to the page's end were counted when the page was made. If bytes that were not code then have changed,
  ; the count may no longer fall by one from this instruction to the next: begin the page anew.
  %length = call i64 @pure_instruction_length(i32 %code)
  %this.at = add i64 %inside, ${REMAINING_AT}
  %this.p = getelementptr i8, ptr %slots, i64 %this.at
  %this.n = load i16, ptr %this.p, !tbaa !6
  %next.p = getelementptr i8, ptr %this.p, i64 %length
  %next.n = load i16, ptr %next.p, !tbaa !6
  %next.1 = add i16 %next.n, 1
  %holds = icmp eq i16 %next.1, %this.n
  br i1 %holds, label %valid, label %stale, !prof !0
stale:
  ret i64 -2
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
  %number = phi i64 [ %row, %known ], [ %row, %jumps ], [ %row, %pack ], [ -1, %hard ]
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
  ret i64 %number
}

; Give a slot that was just filled the handler of the longest known sequence of instructions that starts there.
; `history` has the registers that the instructions before have written, the latest in its lowest byte.
define internal void @join(ptr %op, ptr %hart, ptr %ram, i64 %row) noinline {
entry:
  %shared = GET ptr shared
  %slots = GET ptr slots
  %first = ptrtoint ptr %slots to i64
  %this = ptrtoint ptr %op to i64
  %distance = sub i64 %this, %first
  %inside.0 = lshr i64 %distance, 3
  %offset.p = getelementptr i8, ptr %slots, i64 ${ram_offset}
  %offset = load i64, ptr %offset.p, !tbaa !6
  %scratch = getelementptr i8, ptr %hart, i64 ${scratch}
  %class0.p = getelementptr i64, ptr @class_table, i64 %row
  %class0 = load i64, ptr %class0.p
  %near0.p = getelementptr ptr, ptr @near_table, i64 %row
  %near0 = load ptr, ptr %near0.p
  %straight = icmp eq ptr %near0, null
  br i1 %straight, label %begin, label %out
begin:
  %node.0 = call i64 @advance(i64 0, i64 %class0, i64 0, i64 0)
  %starts = icmp ne i64 %node.0, 0
  br i1 %starts, label %remember, label %out
remember:
  %rd0.p = getelementptr i8, ptr %op, i64 12
  %rd0 = load i8, ptr %rd0.p, !tbaa !6
  %history.0 = call i64 @remember(i64 -1, i64 %class0, i8 %rd0)
  br label %loop
loop:
  %op.n = phi ptr [ %op, %remember ], [ %next, %on ]
  %inside = phi i64 [ %inside.0, %remember ], [ %next.in, %on ]
  %node = phi i64 [ %node.0, %remember ], [ %node.n, %on ]
  %history = phi i64 [ %history.0, %remember ], [ %history.n, %on ]
  %best = phi ptr [ null, %remember ], [ %best.n, %on ]
  %at = add i64 %offset, %inside
  %parcel.p = getelementptr i8, ptr %ram, i64 %at
  %parcel.n = load i16, ptr %parcel.p, align 1, !tbaa !5
  %parcel = zext i16 %parcel.n to i32
  %length = call i64 @pure_instruction_length(i32 %parcel)
  %next.in = add i64 %inside, %length
  %fits = icmp ule i64 %next.in, 4092
  br i1 %fits, label %look, label %done
look:
  %slot.at = shl i64 %length, 3
  %next = getelementptr i8, ptr %op.n, i64 %slot.at
  %present = load ptr, ptr %next, !tbaa !6
  %kept = call i1 @is_kept(ptr %present)
  br i1 %kept, label %done, label %free
free:
  %undecoded = icmp eq ptr %present, @undecoded
  ; A region may have been installed where nothing was executed before, so its slot may be without operands.
  %arena = SHARED i64 arena
  %arena.size = SHARED i64 arena_size
  %present.n = ptrtoint ptr %present to i64
  %distance.r = sub i64 %present.n, %arena
  %region = icmp ult i64 %distance.r, %arena.size
  %fresh = or i1 %undecoded, %region
  br i1 %fresh, label %fill, label %identify
fill:
  ; Only its operands are needed now: when it is jumped to, it may begin a sequence of its own.
  %filled = call i64 @predecode(ptr %next, ptr %hart, ptr %ram)
  store ptr %present, ptr %next, !tbaa !6
  %good = icmp sge i64 %filled, 0
  br i1 %good, label %identify, label %done
identify:
  %next.at = add i64 %offset, %next.in
  %code.p = getelementptr i8, ptr %ram, i64 %next.at
  %code = load i32, ptr %code.p, align 1, !tbaa !5
  %second = call i64 @decode(i32 %code, ptr %scratch)
  %legal = icmp sge i64 %second, 0
  br i1 %legal, label %ask, label %done
ask:
  %imm.p = getelementptr i8, ptr %scratch, i64 8
  %imm.32 = load i32, ptr %imm.p, !tbaa !6
  %imm = sext i32 %imm.32 to i64
  %target = add i64 %next.in, %imm
  %same = icmp ult i64 %target, 4096
  %near.p = getelementptr ptr, ptr @near_table, i64 %second
  %near.h = load ptr, ptr %near.p
  %jumps = icmp ne ptr %near.h, null
  %near.1 = and i1 %same, %jumps
  %near = zext i1 %near.1 to i64
  %class.p = getelementptr i64, ptr @class_table, i64 %second
  %class = load i64, ptr %class.p
  %operands.p = getelementptr i64, ptr @operand_table, i64 %class
  %operands = load i64, ptr %operands.p
  %rs1.p = getelementptr i8, ptr %scratch, i64 13
  %rs1 = load i8, ptr %rs1.p, !tbaa !6
  %from1.a = call i64 @written_before(i64 %history, i8 %rs1)
  %reads1 = trunc i64 %operands to i1
  %from1 = select i1 %reads1, i64 %from1.a, i64 0
  %rs2.p = getelementptr i8, ptr %scratch, i64 14
  %rs2 = load i8, ptr %rs2.p, !tbaa !6
  %from2.a = call i64 @written_before(i64 %history, i8 %rs2)
  %operands.2 = lshr i64 %operands, 1
  %reads2 = trunc i64 %operands.2 to i1
  %from2 = select i1 %reads2, i64 %from2.a, i64 0
  %from1.h = shl i64 %from1, 2
  %sources = or i64 %from1.h, %from2
  %node.n = call i64 @advance(i64 %node, i64 %class, i64 %near, i64 %sources)
  %ends = icmp eq i64 %node.n, 0
  br i1 %ends, label %done, label %on
on:
  %rd.p = getelementptr i8, ptr %scratch, i64 12
  %rd = load i8, ptr %rd.p, !tbaa !6
  %history.n = call i64 @remember(i64 %history, i64 %class, i8 %rd)
  %handler.p = getelementptr ptr, ptr @sequence_table, i64 %node.n
  %handler = load ptr, ptr %handler.p
  %inner = icmp eq ptr %handler, null
  %best.n = select i1 %inner, ptr %best, ptr %handler
  br label %loop
done:
  %none = icmp eq ptr %best, null
  br i1 %none, label %out, label %install
install:
  store ptr %best, ptr %op, !tbaa !6
  br label %out
out:
  ret void
}

define internal i64 @remember(i64 %history, i64 %class, i8 %rd) {
  %operands.p = getelementptr i64, ptr @operand_table, i64 %class
  %operands = load i64, ptr %operands.p
  %bit = lshr i64 %operands, 2
  %writes = trunc i64 %bit to i1
  %kept = select i1 %writes, i8 %rd, i8 -1
  %low = zext i8 %kept to i64
  %high = shl i64 %history, 8
  %new = or i64 %high, %low
  ret i64 %new
}

; How many instructions before a register was written, 0 if not in the last three.
define internal i64 @written_before(i64 %history, i8 %register) {
  %h1 = trunc i64 %history to i8
  %b = lshr i64 %history, 8
  %h2 = trunc i64 %b to i8
  %c = lshr i64 %history, 16
  %h3 = trunc i64 %c to i8
  %is1 = icmp eq i8 %h1, %register
  %is2 = icmp eq i8 %h2, %register
  %is3 = icmp eq i8 %h3, %register
  %d3 = select i1 %is3, i64 3, i64 0
  %d2 = select i1 %is2, i64 2, i64 %d3
  %d1 = select i1 %is1, i64 1, i64 %d2
  ret i64 %d1
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

define internal void @forget_code_tables(ptr %hart) {
  PUT i64 1 attention
  %table = getelementptr i8, ptr %hart, i64 ${code_tables}
  call void @llvm.memset.p0.i64(ptr align 8 %table, i8 -1, i64 ${CODE_TABLES_BYTES}, i1 false)
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
