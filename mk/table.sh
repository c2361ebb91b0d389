# What is built from what. Sourced by mk/rules.sh.

# --- lib/: the library. LZ4's decoder enters as one prelinked object whose only visible names are those of lib/lz4.keep; its malloc
# paths trap (lib/lz4_traps.S).
if [ -f lib/lz4_traps.S ]; then
	objects LIB_CXXFLAGS lib/*.cc lib/*.S
	lib_objs=$(echo " $objs " | sed "s| $B/lib/lz4_traps.o||")
	printf '%s: %s lib/lz4.keep\n\tsh mk/lz4.sh %s %s lib/lz4.keep\n' $B/lib/lz4.o $B/lib/lz4_traps.o $B/lib/lz4.o $B/lib/lz4_traps.o
	archive $B/lib/libvkckpt.a $lib_objs $B/lib/lz4.o
	printf '%s: %s lib/libvkckpt.map\n\t$(CC) -shared -nostdlib -Wl,-soname,libvkckpt.so.1 -Wl,-z,relro -Wl,-z,now -Wl,--gc-sections -Wl,--version-script=lib/libvkckpt.map -o %s %s -lc\n' \
		$B/lib/libvkckpt.so "$lib_objs $B/lib/lz4.o" $B/lib/libvkckpt.so "$lib_objs $B/lib/lz4.o"
	world="$world $B/lib/libvkckpt.a $B/lib/libvkckpt.so"
	# Once more with a hook in the seam to the host kernel, through which a test makes host calls fail.
	variant=faulty/
	objects FAULT_CXXFLAGS lib/sys_linux.cc
	variant=
	archive $B/faulty/libvkckpt.a $(echo " $lib_objs " | sed "s| $B/lib/sys_linux.o | $objs |") $B/lib/lz4.o
fi

# --- vkernel-hooks/linux: vmspace(2) on Linux. The stub is an executable of its own, carried inside the archive.
if [ -f vkernel-hooks/linux/stub.S ]; then
	. vkernel-hooks/linux/build.sh
fi

if [ -f vkernel-hooks/sodium/build.sh ]; then
	. vkernel-hooks/sodium/build.sh
fi

# --- examples
if [ -f examples/hello/hello.cc ]; then
	objects VK_CXXFLAGS examples/hello/hello.cc
	program $B/bin/hello "-no-pie -lbsd" $objs $B/lib/libvkckpt.a
	world="$world $B/bin/hello"
fi
if [ -f examples/minivk/main.cc ]; then
	objects VK_CXXFLAGS examples/minivk/*.cc examples/minivk/*.S
	program $B/bin/minivk "-no-pie -static -pthread -lsodium -lbsd -lmd" $objs $B/vkernel-hooks/linux/libvmspace.a $sodium_lib $B/lib/libvkckpt.a
	world="$world $B/bin/minivk"
	minivk_objs=$objs
fi

# --- bin: the command
if [ -f bin/vkckpt.cc ]; then
	variant=command/	# not among the programs in build/bin
	objects PROG_CXXFLAGS bin/*.cc
	variant=
	program $B/bin/vkckpt "-lsodium -lbsd" $objs $sodium_lib $B/lib/libvkckpt.a
	world="$world $B/bin/vkckpt"
	command_objs=$objs
fi

# --- tests: Catch2 programs, one per folder, and static guests. A build in another folder (sanitizers, coverage) is of the library alone:
# these programs' own objects are those of the ordinary build.
test_objects() {
	if [ $B = build ]; then
		objects TEST_CXXFLAGS "$@"
		return
	fi
	objs=
	for src in "$@"; do
		[ ! -f "$src" ] || objs="$objs build/${src%.*}.o"
	done
}
test_objects test/catch_main.cc
catch_main=$objs
for t in unit fault vmspace e2e; do
	ls test/$t/*.cc >/dev/null 2>&1 || continue
	test_objects test/$t/*.cc test/$t/*.S
	deps=$B/lib/libvkckpt.a
	[ $t = fault ] && deps="$sodium_lib $B/faulty/libvkckpt.a"
	[ $t = vmspace ] && deps=$B/vkernel-hooks/linux/libvmspace.a
	if [ $t = unit ]; then					# test/unit/image_diff.cc: forged images, which no vkernel writes
		for o in image_diff image_file image_summary text; do
			deps="$B/command/bin/$o.o $deps"
		done
		deps="$sodium_lib $deps"
	fi
	[ $t = e2e ] && deps="$B/command/bin/confine.o $B/test/fault/points.o $deps"
	wrap=
	[ $t != unit ] || wrap='-Wl,--wrap=_ZN2vk12sys_clock_nsEi'	# test/unit/test_clock.cc steps the wall clock
	if [ $t = fault ]; then					# test/fault/tools.cc: the command's own calls fail, too
		deps="$B/command/bin/new_file.o $B/command/bin/text.o $deps"
		for name in fsync rename renameat2 unlink; do
			wrap="$wrap -Wl,--wrap=$name"
		done
	fi
	program $B/test/$t/run "-no-pie -pthread $wrap -lbsd -llz4 -lsodium" $objs $catch_main $deps
	tests="$tests $B/test/$t/run"
done
# minivk and vkckpt once more, linked with the seam that asks test/crash/hook.cc before each host call.
if [ -f test/crash/hook.cc ] && [ -n "${minivk_objs-}" ] && [ -n "${command_objs-}" ]; then
	objects VK_CXXFLAGS test/crash/hook.cc
	test_objects_of_points=$B/test/fault/points.o
	[ $B = build ] || test_objects_of_points=build/test/fault/points.o
	hook="$objs $test_objects_of_points"
	program $B/faulty/bin/minivk "-no-pie -static -pthread -lsodium -lbsd -lmd" $minivk_objs $hook $B/vkernel-hooks/linux/libvmspace.a $sodium_lib $B/faulty/libvkckpt.a
	objects TEST_CXXFLAGS test/crash/wrap.cc
	wrap=
	for name in open fsync rename renameat2 unlink write; do
		wrap="$wrap -Wl,--wrap=$name"
	done
	program $B/faulty/bin/vkckpt "-no-pie $wrap -lsodium -lbsd" $command_objs $objs $hook $sodium_lib $B/faulty/libvkckpt.a
	tests="$tests $B/faulty/bin/minivk $B/faulty/bin/vkckpt"
fi
# What runs in several threads, under ThreadSanitizer (make test-tsan), which has to see all of the program.
if [ $B = build/tsan ]; then
	objects TEST_CXXFLAGS test/catch_main.cc test/tsan/threads.cc test/unit/test_workers.cc test/unit/fill.cc test/unit/test_quiesce.cc \
	    test/unit/test_chain.cc test/unit/image_corners.cc
	program $B/test/tsan/run "-no-pie -pthread -lbsd" $objs $B/lib/libvkckpt.a
fi
if [ -f test/fuzz/run.cc ]; then
	# Read calls of the library lead to files in memory (test/fuzz/memory_host.cc); one stage of a thaw is stood in for.
	wrap=
	for name in 8sys_openEPKcii 9sys_closeEi 8sys_readEiPvm 9sys_preadEiPvmm 9sys_fstatEiP4stat 9sys_lstatEPKcP4stat 9sys_fcntlEiil 11sys_madviseEPvmi \
	    12sys_populateEPvm 8sys_mmapEPvmiiim 10sys_munmapEPvm 21disks_prepare_runningER6vkckpt 10host_factsEP13vkckpt_f_host 21host_memory_availableEv 22group_memory_availableEv; do
		wrap="$wrap -Wl,--wrap=_ZN2vk$name"
	done
	objects TEST_CXXFLAGS test/fuzz/run.cc
	fuzz_run=$objs
	objects TEST_CXXFLAGS test/fuzz/libfuzzer.cc
	fuzz_lib=$objs
	objects TEST_CXXFLAGS test/fuzz/*_target.cc test/fuzz/image_model.cc test/fuzz/memory_host.cc test/fuzz/memory_bound.cc test/fuzz/mutate.cc test/fuzz/seeds.cc
	program $B/test/fuzz/run "-no-pie $wrap -lsodium -lbsd -llz4" $objs $fuzz_run $sodium_lib $B/lib/libvkckpt.a
	[ $B != build/fuzz ] || program $B/test/fuzz/libfuzzer "-no-pie -fsanitize=fuzzer $wrap -lsodium -lbsd -llz4" $objs $fuzz_lib $sodium_lib $B/lib/libvkckpt.a
	tests="$tests $B/test/fuzz/run"
	printf 'checked: %s\n' "$B/test/unit/run $B/test/fault/run $B/test/fuzz/run"	# what is built once more under a compiler's checks
fi
for g in test/guests/*.c; do
	[ -f "$g" ] || continue
	o=$B/${g%.c}
	mkdir -p "$(dirname "$o")"
	printf '%s: %s Makefile\n\t$(CC) $(GUEST_CFLAGS) -o %s %s -lm\n' "$o" "$g" "$o" "$g"
	tests="$tests $o"
done
if [ -f test/bench/bench.cc ]; then
	objects TEST_CXXFLAGS test/bench/start.cc	# static, as minivk is
	program $B/test/bench/start "-no-pie -static -pthread -llz4" $objs $B/vkernel-hooks/linux/libvmspace.a $B/lib/libvkckpt.a
	objects TEST_CXXFLAGS test/bench/b[ea]*.cc test/bench/[flpqru]*.cc test/bench/sweeps.cc test/bench/vkernel.cc
	program $B/test/bench/run "-no-pie -pthread -llz4" $objs $B/lib/libvkckpt.a
	tests="$tests $B/test/bench/run $B/test/bench/start"
fi
if [ -f test/bench/vmspace_bench.cc ]; then
	objects TEST_CXXFLAGS test/bench/vmspace_bench.cc
	program $B/test/bench/vmspace "-no-pie -pthread" $objs $B/vkernel-hooks/linux/libvmspace.a
	tests="$tests $B/test/bench/vmspace"
fi
