
; For translated regions: make the table of translations for ${ACCESS} know the page of an access that lies in one page.
; False if it cannot (a trap, a device, a page with code): then the instruction must be executed completely.
define internal preserve_mostcc i1 @fill_${ACCESS}(ptr %hart, ptr %ram, i64 %address, i64 %last) noinline {
entry:
  %differ = xor i64 %address, %last
  %crosses = icmp ugt i64 %differ, 4095
  br i1 %crosses, label %no, label %find
find:
  %shared = GET ptr shared
  %dropped = SHARED i64 pages_dropped
  %flushed = SHARED i64 pool_flushes
  %found = call {i1, i64} @locate_${ACCESS}(ptr %hart, ptr %ram, i64 %address)
  ; The walk may have written to page tables that share a page with code, even with the code that is running.
  %dropped.n = SHARED i64 pages_dropped
  %flushed.n = SHARED i64 pool_flushes
  %a = icmp eq i64 %dropped, %dropped.n
  %b = icmp eq i64 %flushed, %flushed.n
  %table = GET ptr data_tlb
  %index.a = lshr i64 %address, ${DATA_SHIFT}
  %index = and i64 %index.a, ${DATA_MASK}
  %entry.p = getelementptr i8, ptr %table, i64 %index
  %tag.p = getelementptr i8, ptr %entry.p, i64 ${TAG}
  %tag = load i64, ptr %tag.p, !tbaa !4
  %page = and i64 %address, -4096
  %c = icmp eq i64 %tag, %page
  %ab = and i1 %a, %b
  %abc = and i1 %ab, %c
  ret i1 %abc
no:
  ret i1 false
}
