
; What the host asks before and when it installs a region.

; Which slots of a page were executed: a bit for each, into %bits (256 bytes). False if the page has no slots.
define i1 @hypernest_executed(ptr %shared, i64 %number, ptr %bits) {
entry:
  %pages = SHARED ptr code_pages
  %page.p = getelementptr ptr, ptr %pages, i64 %number
  %block = load ptr, ptr %page.p, !tbaa !4
  %none = icmp eq ptr %block, null
  br i1 %none, label %no, label %clear
clear:
  call void @llvm.memset.p0.i64(ptr align 1 %bits, i8 0, i64 256, i1 false)
  br label %loop
loop:
  %i = phi i64 [ 0, %clear ], [ %i.n, %loop ]
  %slot = getelementptr [16 x i8], ptr %block, i64 %i
  %handler = load ptr, ptr %slot, !tbaa !6
  %filled = icmp ne ptr %handler, @undecoded
  %kept = call i1 @is_kept(ptr %handler)
  %free = xor i1 %kept, true
  %executed = and i1 %filled, %free
  %bit = zext i1 %executed to i8
  %low = and i64 %i, 7
  %low.8 = trunc i64 %low to i8
  %moved = shl i8 %bit, %low.8
  %byte = lshr i64 %i, 3
  %byte.p = getelementptr i8, ptr %bits, i64 %byte
  %old = load i8, ptr %byte.p
  %new = or i8 %old, %moved
  store i8 %new, ptr %byte.p
  %i.n = add i64 %i, 1
  %more = icmp ult i64 %i.n, ${PAGE_SLOTS}
  br i1 %more, label %loop, label %yes
yes:
  ret i1 true
no:
  ret i1 false
}

; A region of the page is about to be installed that was made of the bytes from %first to %last: its slots, if they are
; still counted as those bytes say, else null. (How many instructions follow behind them may have changed: only differences
; matter.) From then on a write to any of these bytes drops the page.
define ptr @hypernest_adopt(ptr %shared, ptr %ram, i64 %number, i64 %first, i64 %last) {
entry:
  %pages = SHARED ptr code_pages
  %page.p = getelementptr ptr, ptr %pages, i64 %number
  %block = load ptr, ptr %page.p, !tbaa !4
  %none = icmp eq ptr %block, null
  br i1 %none, label %no, label %begin
begin:
  %offset = shl i64 %number, 12
  %counts = getelementptr i8, ptr %block, i64 ${REMAINING_AT}
  %low = lshr i64 %first, 1
  %high.a = lshr i64 %last, 1
  %high.b = add i64 %high.a, 2
  %high = call i64 @llvm.umin.i64(i64 %high.b, i64 ${PAGE_SLOTS})
  %span = sub i64 %high, %low
  br label %loop
loop:
  %i = phi i64 [ ${PAGE_SLOTS}, %begin ], [ %i.n, %same ]
  %after = phi i16 [ 0, %begin ], [ %here, %same ]
  %after2 = phi i16 [ 0, %begin ], [ %after, %same ]
  %moved = phi i16 [ 0, %begin ], [ %moved.n, %same ]
  %i.n = sub i64 %i, 1
  %at.a = shl i64 %i.n, 1
  %at = add i64 %at.a, %offset
  %parcel.p = getelementptr i8, ptr %ram, i64 %at
  %parcel.n = load i16, ptr %parcel.p, align 1, !tbaa !5
  %parcel = zext i16 %parcel.n to i32
  %length = call i64 @pure_instruction_length(i32 %parcel)
  %wide = icmp eq i64 %length, 4
  %following = select i1 %wide, i16 %after2, i16 %after
  %here = add i16 %following, 1
  %counted.p = getelementptr i16, ptr %counts, i64 %i.n
  %counted = load i16, ptr %counted.p, !tbaa !6
  %difference = sub i16 %counted, %here
  %place = sub i64 %i.n, %low
  %inside = icmp ult i64 %place, %span
  %top = add i64 %place, 1
  %begins = icmp eq i64 %top, %span
  %unmoved = icmp eq i16 %difference, %moved
  %moved.n = select i1 %begins, i16 %difference, i16 %moved
  %outside = xor i1 %inside, true
  %free = or i1 %outside, %begins
  %holds = or i1 %free, %unmoved
  br i1 %holds, label %same, label %no
same:
  %more = icmp ne i64 %i.n, 0
  br i1 %more, label %loop, label %mark
mark:
  %from = lshr i64 %first, 6
  %to = lshr i64 %last, 6
  %up = shl i64 -1, %from
  %down.s = sub i64 63, %to
  %down = lshr i64 -1, %down.s
  %mask = and i64 %up, %down
  %decoded.p = getelementptr i8, ptr %block, i64 ${decoded}
  %decoded = load i64, ptr %decoded.p, !tbaa !6
  %all = or i64 %decoded, %mask
  store i64 %all, ptr %decoded.p, !tbaa !6
  ret ptr %block
no:
  ret ptr null
}

define void @hypernest_forget_code(ptr %shared) {
  call void @forget_code(ptr %shared)
  ret void
}
