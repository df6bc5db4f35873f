; Guest-physical accesses of ${BITS} bits: RAM, or the host function that knows the devices.

define internal {i${BITS}, i1} @physical_load_${BITS}(ptr %hart, ptr %ram, i64 %address) noinline {
entry:
  %base = GET i64 ram_base
  %size = GET i64 ram_size
  %offset = sub i64 %address, %base
  %last = sub i64 %size, ${BYTES}
  %inside = icmp ule i64 %offset, %last
  br i1 %inside, label %memory, label %outside, !prof !0
memory:
  %p = getelementptr i8, ptr %ram, i64 %offset
  %v = load i${BITS}, ptr %p, align 1, !tbaa !5
  %r = insertvalue {i${BITS}, i1} {i${BITS} undef, i1 true}, i${BITS} %v, 0
  ret {i${BITS}, i1} %r
outside:
  %hart.n = ptrtoint ptr %hart to i64
  %device = GET ptr device
  PUT i64 1 attention
  %w = call i64 %device(i64 %hart.n, i64 %address, i64 ${BYTES}, i64 0, i64 0)
  %n.w = zext i64 %w to i128
  %n = trunc i128 %n.w to i${BITS}
  %ok.n = GET i64 device_ok
  %ok = trunc i64 %ok.n to i1
  %s = insertvalue {i${BITS}, i1} undef, i${BITS} %n, 0
  %t = insertvalue {i${BITS}, i1} %s, i1 %ok, 1
  ret {i${BITS}, i1} %t
}

define internal i1 @physical_store_${BITS}(ptr %hart, ptr %ram, i64 %address, i${BITS} %value) noinline {
entry:
  %base = GET i64 ram_base
  %size = GET i64 ram_size
  %offset = sub i64 %address, %base
  %last = sub i64 %size, ${BYTES}
  %inside = icmp ule i64 %offset, %last
  br i1 %inside, label %memory, label %outside, !prof !0
memory:
  %p = getelementptr i8, ptr %ram, i64 %offset
  store i${BITS} %value, ptr %p, align 1, !tbaa !5
  %shared = GET ptr shared
  %pages = SHARED ptr code_pages
  %number = lshr i64 %offset, 12
  %page.p = getelementptr ptr, ptr %pages, i64 %number
  %block = load ptr, ptr %page.p, !tbaa !4
  %data = icmp eq ptr %block, null
  br i1 %data, label %done, label %code, !prof !0
code:
  call void @written(ptr %shared, i64 %offset, i64 ${BYTES})
  br label %done
done:
  ret i1 true
outside:
  %hart.n = ptrtoint ptr %hart to i64
  %device = GET ptr device
  PUT i64 1 attention
  %wide.w = zext i${BITS} %value to i128
  %wide = trunc i128 %wide.w to i64
  %w = call i64 %device(i64 %hart.n, i64 %address, i64 ${BYTES}, i64 %wide, i64 1)
  %ok.n = GET i64 device_ok
  %ok = trunc i64 %ok.n to i1
  ret i1 %ok
}
