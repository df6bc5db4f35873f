; Finding data for one kind of access, ${ACCESS}: through the table, or by a walk that fills it as far as allowed.

define internal {i1, i64} @locate_${ACCESS}(ptr %hart, ptr %ram, i64 %virtual) noinline {
entry:
  %ram.n = ptrtoint ptr %ram to i64
  %table = GET ptr data_tlb
  %base = GET i64 ram_base
  %index.a = lshr i64 %virtual, ${DATA_SHIFT}
  %index = and i64 %index.a, ${DATA_MASK}
  %entry.p = getelementptr i8, ptr %table, i64 %index
  %tag.p = getelementptr i8, ptr %entry.p, i64 ${TAG}
  %addend.p = getelementptr i8, ptr %tag.p, i64 8
  %tag = load i64, ptr %tag.p, !tbaa !4
  %addend.o = load i64, ptr %addend.p, !tbaa !4
  %page = and i64 %virtual, -4096
  %hit = icmp eq i64 %tag, %page
  br i1 %hit, label %known, label %walk
known:
  %known.h = add i64 %virtual, %addend.o
  %known.o = sub i64 %known.h, %ram.n
  %known.p = add i64 %known.o, %base
  %known.r = insertvalue {i1, i64} {i1 false, i64 undef}, i64 %known.p, 1
  ret {i1, i64} %known.r
walk:
  %walked = call {i1, i64} @routine_translate(ptr %hart, ptr %ram, i64 %virtual, i2 ${ACCESS})
  %trapped = extractvalue {i1, i64} %walked, 0
  %physical = extractvalue {i1, i64} %walked, 1
  br i1 %trapped, label %out, label %a
a:
  %size = GET i64 ram_size
  %offset = sub i64 %physical, %base
  %inside = icmp ult i64 %offset, %size
  br i1 %inside, label %b, label %out
b:
  %uniform.r = call {i1, i1} @routine_pmp_page_uniform(ptr %hart, ptr %ram, i64 %physical)
  %uniform = extractvalue {i1, i1} %uniform.r, 1
  br i1 %uniform, label %c, label %out
c:
  ; Writes to pages with predecoded code are never remembered: they must be seen.
  %shared = GET ptr shared
  %pages = SHARED ptr code_pages
  %number = lshr i64 %offset, 12
  %page.p = getelementptr ptr, ptr %pages, i64 %number
  %block = load ptr, ptr %page.p, !tbaa !4
  %data = icmp eq ptr %block, null
  %reads = icmp ne i64 ${ACCESS}, 1
  %may = or i1 %data, %reads
  br i1 %may, label %d, label %out
d:
  ; Nor are accesses that the host watches.
  %free = call i1 @unwatched(ptr %hart, i64 ${KIND}, i64 %virtual, i64 %physical)
  br i1 %free, label %fill, label %out
fill:
  call void @mark_large(ptr %hart, i64 %virtual)
  %addend.d = sub i64 %offset, %virtual
  %addend = add i64 %addend.d, %ram.n
  store i64 %page, ptr %tag.p, !tbaa !4
  store i64 %addend, ptr %addend.p, !tbaa !4
  br label %out
out:
  ret {i1, i64} %walked
}
