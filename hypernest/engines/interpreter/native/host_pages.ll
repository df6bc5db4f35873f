
; Host pages as shadow page tables: windows of host virtual memory in which the pages of RAM are mapped where guest
; virtual addresses say. A page is mapped after the walk that an access causes anyway, and writable only if a write was
; allowed by a walk and the page holds no predecoded code. Whatever is in doubt is unmapped: the next access asks again.

declare ptr @mmap(ptr, i64, i32, i32, i32, i64)
declare void @abort()

; After a fault at a host address in the hart's windows: map the page, as one that can be written if the access writes.
; False if it cannot be: then the instruction must be executed completely.
define i1 @hypernest_map_page(ptr %hart, ptr %ram, i64 %host, i64 %writes) {
entry:
  %window.n = GET i64 window
  %address.b = sub i64 %host, %window.n
  %address = and i64 %address.b, -4096
  %biased = add i64 %address, ${WINDOW_HALF}
  %above = lshr i64 %biased, ${WINDOW_BITS}
  %inside = icmp eq i64 %above, 0
  br i1 %inside, label %ask, label %no
ask:
  %writing = trunc i64 %writes to i1
  br i1 %writing, label %write, label %read
read:
  %read.ok = call preserve_mostcc i1 @fill_0(ptr %hart, ptr %ram, i64 %address, i64 %address)
  br label %asked
write:
  %write.ok = call preserve_mostcc i1 @fill_1(ptr %hart, ptr %ram, i64 %address, i64 %address)
  br label %asked
asked:
  %side = phi i64 [ 0, %read ], [ ${WRITES_AT}, %write ]
  %ok = phi i1 [ %read.ok, %read ], [ %write.ok, %write ]
  br i1 %ok, label %found, label %no
found:
  %table = GET ptr data_tlb
  %index.a = lshr i64 %address, ${DATA_SHIFT}
  %index = and i64 %index.a, ${DATA_MASK}
  %entry.p = getelementptr i8, ptr %table, i64 %index
  %side.p = getelementptr i8, ptr %entry.p, i64 %side
  %addend.p = getelementptr i8, ptr %side.p, i64 8
  %addend = load i64, ptr %addend.p, !tbaa !4
  %ram.n = ptrtoint ptr %ram to i64
  %place = add i64 %addend, %address
  %offset = sub i64 %place, %ram.n
  ; What the table of writes knows can be written without another walk.
  %writes.p = getelementptr i8, ptr %entry.p, i64 ${WRITES_AT}
  %writes.t = load i64, ptr %writes.p, !tbaa !4
  %known = icmp eq i64 %writes.t, %address
  %writable = or i1 %known, %writing
  ; Walk once more, which changes nothing now, to learn how large the mapping is.
  %kind = zext i1 %writable to i2
  %walked = call {i1, i64} @routine_translate(ptr %hart, ptr %ram, i64 %address, i2 %kind)
  %trapped = extractvalue {i1, i64} %walked, 0
  %shift = GET i64 mapping_shift
  PUT i64 12 mapping_shift
  %windows = GET i64 windows
  %machine.z = add i64 %windows, ${MACHINE_ZERO}
  %machine = icmp eq i64 %machine.z, %window.n
  %satp = GET i64 satp
  %mode = lshr i64 %satp, 60
  %off = icmp eq i64 %mode, 0
  %bare = or i1 %machine, %off
  %leaf = icmp uge i64 %shift, 21
  %wide = or i1 %bare, %leaf
  %differ = xor i64 %address, %offset
  %differ.l = and i64 %differ, ${RUN_MASK}
  %aligned = icmp eq i64 %differ.l, 0
  %fine = xor i1 %trapped, true
  %run.a = and i1 %wide, %aligned
  %run.b = and i1 %run.a, %fine
  br i1 %run.b, label %plain, label %one
plain:
  ; Where nothing is translated, walks have no effects at all, so that a read can as well ask for what a write needs.
  %may = or i1 %bare, %writable
  %shared = GET ptr shared
  %pages = SHARED ptr code_pages
  %size = GET i64 ram_size
  %this.ok = call i1 @plain_page(ptr %hart, ptr %ram, ptr %pages, i64 %address, i64 %offset, i1 %may)
  br i1 %this.ok, label %several, label %one
one:
  %done = call i1 @map_run(ptr %hart, i64 %address, i64 %offset, i64 4096, i1 %writable)
  ret i1 %done
several:
  ; One leaf, or none: what was allowed here is allowed around it, and no walk there has an effect any more. Only
  ; protection and code can differ from page to page.
  %run.0 = and i64 %offset, -${WINDOW_RUN}
  %run.e = add i64 %run.0, ${WINDOW_RUN}
  %end = call i64 @llvm.umin.i64(i64 %run.e, i64 %size)
  %apart = sub i64 %address, %offset
  br label %up
up:
  %u = phi i64 [ %offset, %several ], [ %u.n, %up.look ]
  %u.n = add i64 %u, 4096
  %u.in = icmp ult i64 %u.n, %end
  br i1 %u.in, label %up.look, label %down
up.look:
  %u.v = add i64 %u.n, %apart
  %u.ok = call i1 @plain_page(ptr %hart, ptr %ram, ptr %pages, i64 %u.v, i64 %u.n, i1 %may)
  br i1 %u.ok, label %up, label %down
down:
  %d = phi i64 [ %offset, %up ], [ %offset, %up.look ], [ %d.n, %down.look ]
  %first = icmp ule i64 %d, %run.0
  br i1 %first, label %run, label %down.look
down.look:
  %d.n = sub i64 %d, 4096
  %d.v = add i64 %d.n, %apart
  %d.ok = call i1 @plain_page(ptr %hart, ptr %ram, ptr %pages, i64 %d.v, i64 %d.n, i1 %may)
  br i1 %d.ok, label %down, label %run
run:
  PUT i64 12 mapping_shift
  %from = add i64 %d, %apart
  %bytes = sub i64 %u.n, %d
  %all = call i1 @map_run(ptr %hart, i64 %from, i64 %d, i64 %bytes, i1 %may)
  ret i1 %all
no:
  ret i1 false
}

; In one leaf: can the page be read, and written if %writing, without anybody noticing?
define internal i1 @plain_page(ptr %hart, ptr %ram, ptr %pages, i64 %virtual, i64 %offset, i1 %writing) {
entry:
  %number = lshr i64 %offset, 12
  %page.p = getelementptr ptr, ptr %pages, i64 %number
  %block = load ptr, ptr %page.p, !tbaa !4
  %data = icmp eq ptr %block, null
  %reading = xor i1 %writing, true
  %may = or i1 %data, %reading
  br i1 %may, label %protection, label %no
protection:
  %base = GET i64 ram_base
  %physical = add i64 %base, %offset
  %uniform.r = call {i1, i1} @routine_pmp_page_uniform(ptr %hart, ptr %ram, i64 %physical)
  %uniform = extractvalue {i1, i1} %uniform.r, 1
  br i1 %uniform, label %read, label %no
read:
  %read.r = call {i1, i64} @routine_translate(ptr %hart, ptr %ram, i64 %virtual, i2 0)
  %read.t = extractvalue {i1, i64} %read.r, 0
  %read.p = extractvalue {i1, i64} %read.r, 1
  %read.s = icmp ne i64 %read.p, %physical
  %read.no = or i1 %read.t, %read.s
  br i1 %read.no, label %no, label %write
write:
  br i1 %writing, label %ask, label %yes
ask:
  %write.r = call {i1, i64} @routine_translate(ptr %hart, ptr %ram, i64 %virtual, i2 1)
  %write.t = extractvalue {i1, i64} %write.r, 0
  br i1 %write.t, label %no, label %yes
yes:
  ret i1 true
no:
  ret i1 false
}

; Map bytes of RAM at a virtual address in the present window. False if the host refuses.
define internal i1 @map_run(ptr %hart, i64 %address, i64 %offset, i64 %bytes, i1 %writable) {
entry:
  %shared = GET ptr shared
  %window = GET ptr window
  %mapped.0 = SHARED i64 pages_mapped
  %full = icmp ugt i64 %mapped.0, ${WINDOW_PAGES}
  br i1 %full, label %empty, label %map
empty:
  call void @unmap_everything(ptr %shared)
  br label %map
map:
  %mapped = SHARED i64 pages_mapped
  %mapped.n = add i64 %mapped, 1
  SET i64 %mapped.n pages_mapped
  COUNT host_pages_mapped
  %place = getelementptr i8, ptr %window, i64 %address
  %file.64 = SHARED i64 memory_file
  %file = trunc i64 %file.64 to i32
  %protection = select i1 %writable, i32 3, i32 1
  ; MAP_SHARED, MAP_FIXED, and MAP_POPULATE for the one page that is about to be touched: RAM is sparse.
  %single = icmp eq i64 %bytes, 4096
  %flags = select i1 %single, i32 32785, i32 17
  %got = call ptr @mmap(ptr %place, i64 %bytes, i32 %protection, i32 %flags, i32 %file, i64 %offset)
  %good = icmp eq ptr %got, %place
  br i1 %good, label %note, label %refused
refused:
  ret i1 false
note:
  PUT i64 1 windows_used
  %places = SHARED ptr writable_at
  br label %loop
loop:
  %i = phi i64 [ 0, %note ], [ %i.n, %next ]
  %virtual = add i64 %address, %i
  %page = lshr i64 %virtual, 12
  %bit = and i64 %page, ${LARGE_MASK}
  %word = lshr i64 %bit, 6
  %mapped.t = getelementptr i8, ptr %hart, i64 ${mapped}
  %word.p = getelementptr i64, ptr %mapped.t, i64 %word
  %word.v = load i64, ptr %word.p, !tbaa !4
  %bit.i = and i64 %bit, 63
  %bit.m = shl i64 1, %bit.i
  %word.n = or i64 %word.v, %bit.m
  store i64 %word.n, ptr %word.p, !tbaa !4
  br i1 %writable, label %remember, label %next
remember:
  %here = getelementptr i8, ptr %place, i64 %i
  %offset.i = add i64 %offset, %i
  %number = lshr i64 %offset.i, 12
  %first.o = mul i64 %number, ${PLACES_BYTES}
  %first.p = getelementptr i8, ptr %places, i64 %first.o
  %second.p = getelementptr i8, ptr %first.p, i64 8
  %first = load ptr, ptr %first.p, !tbaa !4
  %same = icmp eq ptr %first, %here
  br i1 %same, label %next, label %put
put:
  ; The newest place comes first; what falls out is unmapped, if it is not this one.
  %second = load ptr, ptr %second.p, !tbaa !4
  store ptr %here, ptr %first.p, !tbaa !4
  store ptr %first, ptr %second.p, !tbaa !4
  %again = icmp eq ptr %second, %here
  %none = icmp eq ptr %second, null
  %keep = or i1 %again, %none
  br i1 %keep, label %next, label %evict
evict:
  call void @unmap(ptr %shared, ptr %second, i64 4096)
  br label %next
next:
  %i.n = add i64 %i, 4096
  %more = icmp ult i64 %i.n, %bytes
  br i1 %more, label %loop, label %out
out:
  ret i1 true
}

; Nothing is mapped there any more. One page more or less can need one mapping more, of which hosts have a limited
; number: then everything goes.
define internal void @unmap(ptr %shared, ptr %place, i64 %bytes) noinline {
entry:
  %mapped = SHARED i64 pages_mapped
  %mapped.n = add i64 %mapped, 1
  SET i64 %mapped.n pages_mapped
  ; MAP_PRIVATE, MAP_FIXED, MAP_ANONYMOUS, MAP_NORESERVE
  %got = call ptr @mmap(ptr %place, i64 %bytes, i32 0, i32 16434, i32 -1, i64 0)
  %good = icmp eq ptr %got, %place
  br i1 %good, label %out, label %refused
refused:
  %whole = icmp uge i64 %bytes, ${WINDOWS_BYTES}
  br i1 %whole, label %lost, label %all
lost:
  call void @abort()
  unreachable
all:
  call void @unmap_everything(ptr %shared)
  br label %out
out:
  ret void
}

; Empty the windows of a hart.
define internal void @unmap_windows(ptr %hart) noinline {
entry:
  %used = GET i64 windows_used
  %empty = icmp eq i64 %used, 0
  br i1 %empty, label %out, label %unmap
unmap:
  %shared = GET ptr shared
  COUNT host_pages_flushed
  PUT i64 0 windows_used
  %mapped = getelementptr i8, ptr %hart, i64 ${mapped}
  call void @llvm.memset.p0.i64(ptr align 8 %mapped, i8 0, i64 ${LARGE_BYTES}, i1 false)
  %windows = GET ptr windows
  call void @unmap(ptr %shared, ptr %windows, i64 ${WINDOWS_BYTES})
  ret void
out:
  ret void
}

; Empty the windows of all harts.
define internal void @unmap_everything(ptr %shared) noinline {
entry:
  %count = SHARED i64 harts
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %i.n, %loop ]
  %at = getelementptr i8, ptr %shared, i64 ${shared_hart_0}
  %hart.p = getelementptr ptr, ptr %at, i64 %i
  %each = load ptr, ptr %hart.p, !tbaa !4
  call void @unmap_windows(ptr %each)
  %i.n = add i64 %i, 1
  %more = icmp ult i64 %i.n, %count
  br i1 %more, label %loop, label %out
out:
  SET i64 0 pages_mapped
  ret void
}

; Forget a virtual page in all windows of a hart, if it may be in one.
define internal void @unmap_page(ptr %hart, i64 %address) noinline {
entry:
  %used = GET i64 windows_used
  %empty = icmp eq i64 %used, 0
  br i1 %empty, label %out, label %look
look:
  %page = lshr i64 %address, 12
  %bit = and i64 %page, ${LARGE_MASK}
  %word = lshr i64 %bit, 6
  %mapped = getelementptr i8, ptr %hart, i64 ${mapped}
  %word.p = getelementptr i64, ptr %mapped, i64 %word
  %word.v = load i64, ptr %word.p, !tbaa !4
  %bit.i = and i64 %bit, 63
  %bit.v = lshr i64 %word.v, %bit.i
  %set = trunc i64 %bit.v to i1
  %biased = add i64 %address, ${WINDOW_HALF}
  %above = lshr i64 %biased, ${WINDOW_BITS}
  %inside = icmp eq i64 %above, 0
  %may = and i1 %set, %inside
  br i1 %may, label %unmap, label %out
unmap:
  %shared = GET ptr shared
  %windows = GET ptr windows
  %virtual = and i64 %address, -4096
  br label %loop
loop:
  %i = phi i64 [ 0, %unmap ], [ %i.n, %loop ]
  %window.o = mul i64 %i, ${WINDOW_STRIDE}
  %zero = add i64 %window.o, ${WINDOW_ZERO}
  %there = add i64 %zero, %virtual
  %place = getelementptr i8, ptr %windows, i64 %there
  call void @unmap(ptr %shared, ptr %place, i64 4096)
  %i.n = add i64 %i, 1
  %more = icmp ule i64 %i.n, ${LAST_CONTEXT}
  br i1 %more, label %loop, label %out
out:
  ret void
}

; A page of RAM can be written nowhere any more.
define internal void @unmap_writable(ptr %shared, i64 %number) {
entry:
  %places = SHARED ptr writable_at
  %none = icmp eq ptr %places, null
  br i1 %none, label %out, label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %i.n, %next ]
  %first = mul i64 %number, ${PLACES}
  %index = add i64 %first, %i
  %place.p = getelementptr ptr, ptr %places, i64 %index
  %place = load ptr, ptr %place.p, !tbaa !4
  %empty = icmp eq ptr %place, null
  br i1 %empty, label %next, label %forget
forget:
  store ptr null, ptr %place.p, !tbaa !4
  call void @unmap(ptr %shared, ptr %place, i64 4096)
  br label %next
next:
  %i.n = add i64 %i, 1
  %more = icmp ult i64 %i.n, ${PLACES}
  br i1 %more, label %loop, label %out
out:
  ret void
}
