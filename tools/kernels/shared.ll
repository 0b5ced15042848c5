; What kernels share: the words that say how Python lays out its objects, and memory for arrays inside of kernels.

@poolwise_layout = global [7 x i64] zeroinitializer

; Reference-counted memory, as numba lays it out: count, destructor, its argument, data, size, allocator; then the data.

%meminfo = type { i64, ptr, ptr, ptr, i64, ptr }

declare i32 @posix_memalign(ptr, i64, i64)
declare ptr @malloc(i64)
declare void @free(ptr)

define ptr @NRT_MemInfo_alloc_aligned(i64 %size, i32 %align) {
  %place = alloca ptr
  %all = add i64 %size, 64
  %failed = call i32 @posix_memalign(ptr %place, i64 64, i64 %all)
  %ok = icmp eq i32 %failed, 0
  br i1 %ok, label %fill, label %none
none:
  ret ptr null
fill:
  %info = load ptr, ptr %place
  %data = getelementptr i8, ptr %info, i64 64
  store i64 1, ptr %info
  %destructor = getelementptr %meminfo, ptr %info, i32 0, i32 1
  store ptr null, ptr %destructor
  %argument = getelementptr %meminfo, ptr %info, i32 0, i32 2
  store ptr null, ptr %argument
  %held = getelementptr %meminfo, ptr %info, i32 0, i32 3
  store ptr %data, ptr %held
  %length = getelementptr %meminfo, ptr %info, i32 0, i32 4
  store i64 %size, ptr %length
  %allocator = getelementptr %meminfo, ptr %info, i32 0, i32 5
  store ptr null, ptr %allocator
  ret ptr %info
}

define ptr @NRT_MemInfo_alloc(i64 %size) {
  %info = call ptr @NRT_MemInfo_alloc_aligned(i64 %size, i32 64)
  ret ptr %info
}

define ptr @NRT_MemInfo_data_fast(ptr %info) alwaysinline {
  %held = getelementptr %meminfo, ptr %info, i32 0, i32 3
  %data = load ptr, ptr %held
  ret ptr %data
}

define void @NRT_incref(ptr %info) alwaysinline {
  %none = icmp eq ptr %info, null
  br i1 %none, label %done, label %add
add:
  %old = load i64, ptr %info
  %new = add i64 %old, 1
  store i64 %new, ptr %info
  br label %done
done:
  ret void
}

define void @NRT_decref(ptr %info) alwaysinline {
  %none = icmp eq ptr %info, null
  br i1 %none, label %done, label %subtract
subtract:
  %old = load i64, ptr %info
  %new = add i64 %old, -1
  store i64 %new, ptr %info
  %last = icmp eq i64 %new, 0
  br i1 %last, label %release, label %done
release:
  call void @free(ptr %info)
  br label %done
done:
  ret void
}
