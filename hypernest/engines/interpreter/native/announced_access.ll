
; The program is about to make an access of the kind ${ACCESS}. True if the instruction must wait.
define internal i1 @announced_${ACCESS}(ptr %hart, i64 %address, i64 %size, i64 %value, i64 %first, i64 %last) {
entry:
  %watching = GET i64 watching
  %concerned = and i64 %watching, ${KIND}
  %nothing = icmp eq i64 %concerned, 0
  br i1 %nothing, label %no, label %ask
ask:
  %waits = call i1 @hook_data(ptr %hart, i64 ${KIND}, i64 %address, i64 %size, i64 %value, i64 %first, i64 %last)
  ret i1 %waits
no:
  ret i1 false
}
