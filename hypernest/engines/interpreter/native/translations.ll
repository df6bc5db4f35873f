; Remembered translations of data addresses, and forgetting them.

define internal void @flush_translations(ptr %hart) noinline {
  PUT i64 0 giant
  PUT i64 12 mapping_shift
  %large = getelementptr i8, ptr %hart, i64 ${large}
  call void @llvm.memset.p0.i64(ptr align 8 %large, i8 0, i64 ${LARGE_BYTES}, i1 false)
  %data = getelementptr i8, ptr %hart, i64 ${data_tables}
  call void @llvm.memset.p0.i64(ptr align 8 %data, i8 -1, i64 ${DATA_TABLES_BYTES}, i1 false)
  call void @forget_code_tables(ptr %hart)
  call void @unmap_windows(ptr %hart)
  ret void
}

; What came from the leaf that maps an address: one entry of each table, but many if the leaf is a large page. Those
; leave marks, by their address, which are cleared with everything else.
define internal void @flush_translation(ptr %hart, i64 %address) noinline {
entry:
  %giant = GET i64 giant
  %giant.n = lshr i64 %address, 30
  %giant.i = and i64 %giant.n, 63
  %giant.b = lshr i64 %giant, %giant.i
  %large.n = lshr i64 %address, 21
  %large.i = and i64 %large.n, ${LARGE_MASK}
  %large.w = lshr i64 %large.i, 6
  %large.t = getelementptr i8, ptr %hart, i64 ${large}
  %large.p = getelementptr i64, ptr %large.t, i64 %large.w
  %large = load i64, ptr %large.p, !tbaa !4
  %large.o = and i64 %large.i, 63
  %large.b = lshr i64 %large, %large.o
  %any = or i64 %giant.b, %large.b
  %marked = trunc i64 %any to i1
  br i1 %marked, label %all, label %one
all:
  call void @flush_translations(ptr %hart)
  ret void
one:
  ; The page that is being executed must be found again.
  PUT i64 1 attention
  call void @unmap_page(ptr %hart, i64 %address)
  %data.a = lshr i64 %address, ${DATA_SHIFT}
  %data.i = and i64 %data.a, ${DATA_MASK}
  %data = getelementptr i8, ptr %hart, i64 ${data_tables}
  br label %datas
datas:
  %d = phi i64 [ %data.i, %one ], [ %d.n, %datas ]
  %data.p = getelementptr i8, ptr %data, i64 %d
  store i64 -1, ptr %data.p, !tbaa !4
  %d.n = add i64 %d, ${WRITES_AT}
  %d.more = icmp ult i64 %d.n, ${DATA_TABLES_BYTES}
  br i1 %d.more, label %datas, label %code
code:
  %code.a = lshr i64 %address, ${CODE_SHIFT}
  %code.i = and i64 %code.a, ${CODE_MASK}
  %code.t = getelementptr i8, ptr %hart, i64 ${code_tables}
  br label %codes
codes:
  %c = phi i64 [ %code.i, %code ], [ %c.n, %codes ]
  %code.p = getelementptr i8, ptr %code.t, i64 %c
  store i64 -1, ptr %code.p, !tbaa !4
  %c.n = add i64 %c, ${CODE_BYTES}
  %c.more = icmp ult i64 %c.n, ${CODE_TABLES_BYTES}
  br i1 %c.more, label %codes, label %out
out:
  ret void
}

; Mark what the mapping of an address would take along.
define internal void @mark_large(ptr %hart, i64 %address) {
entry:
  %shift = GET i64 mapping_shift
  PUT i64 12 mapping_shift
  %small = icmp eq i64 %shift, 12
  br i1 %small, label %out, label %mark, !prof !0
mark:
  %medium = icmp eq i64 %shift, 21
  br i1 %medium, label %large, label %giant
large:
  %large.n = lshr i64 %address, 21
  %large.i = and i64 %large.n, ${LARGE_MASK}
  %large.w = lshr i64 %large.i, 6
  %large.t = getelementptr i8, ptr %hart, i64 ${large}
  %large.p = getelementptr i64, ptr %large.t, i64 %large.w
  %large.v = load i64, ptr %large.p, !tbaa !4
  %large.o = and i64 %large.i, 63
  %large.b = shl i64 1, %large.o
  %large.s = or i64 %large.v, %large.b
  store i64 %large.s, ptr %large.p, !tbaa !4
  ret void
giant:
  %giant.v = GET i64 giant
  %giant.n = lshr i64 %address, 30
  %giant.i = and i64 %giant.n, 63
  %giant.b = shl i64 1, %giant.i
  %exact = icmp eq i64 %shift, 30
  %giant.m = select i1 %exact, i64 %giant.b, i64 -1
  %giant.s = or i64 %giant.v, %giant.m
  PUT i64 %giant.s giant
  ret void
out:
  ret void
}

; A page got code: writes to it must be seen from now on, on every hart.
define internal void @forget_writable(ptr %shared, i64 %number) {
entry:
  call void @unmap_writable(ptr %shared, i64 %number)
  %ram = SHARED i64 ram
  %count = SHARED i64 harts
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %i.n, %next ]
  %at = getelementptr i8, ptr %shared, i64 ${shared_hart_0}
  %hart.p = getelementptr ptr, ptr %at, i64 %i
  %each = load ptr, ptr %hart.p, !tbaa !4
  %table = getelementptr i8, ptr %each, i64 ${data_tables}
  br label %context
context:
  %k = phi i64 [ ${WRITES_AT}, %loop ], [ %k.n, %following ]
  br label %entries
entries:
  %j = phi i64 [ %k, %context ], [ %j.n, %keep ]
  %tag.p = getelementptr i8, ptr %table, i64 %j
  %tag = load i64, ptr %tag.p, !tbaa !4
  %addend.p = getelementptr i8, ptr %tag.p, i64 8
  %addend = load i64, ptr %addend.p, !tbaa !4
  %host = add i64 %tag, %addend
  %offset = sub i64 %host, %ram
  %this = lshr i64 %offset, 12
  %same = icmp eq i64 %this, %number
  br i1 %same, label %forget, label %keep
forget:
  store i64 -1, ptr %tag.p, !tbaa !4
  br label %keep
keep:
  %j.n = add i64 %j, ${DATA_ENTRY_BYTES}
  %j.e = add i64 %k, ${WRITES_AT}
  %more.e = icmp ult i64 %j.n, %j.e
  br i1 %more.e, label %entries, label %following
following:
  %k.n = add i64 %k, ${DATA_BYTES}
  %more.k = icmp ult i64 %k.n, ${DATA_TABLES_BYTES}
  br i1 %more.k, label %context, label %next
next:
  %i.n = add i64 %i, 1
  %more = icmp ult i64 %i.n, %count
  br i1 %more, label %loop, label %out
out:
  ret void
}

; Fetch has no table here: pages of code have one of their own.
define internal {i1, i64} @locate_2(ptr %hart, ptr %ram, i64 %virtual) {
  %walked = call {i1, i64} @routine_translate(ptr %hart, ptr %ram, i64 %virtual, i2 ${EXECUTE})
  ret {i1, i64} %walked
}
