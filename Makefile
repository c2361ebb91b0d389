# libvkckpt: works with GNU make and with bmake. Variables a user sets: CC CXX OPT PREFIX DESTDIR JOBS.
# The rule for every object and program is written by mk/rules.sh, because the two makes share no
# pattern rules that cross folders; what is built from what stands there, in one table.

OPT = -O2 -g
PREFIX = /usr/local
JOBS != nproc
B = build

WARN = -Wall -Wextra -Wshadow -Wno-missing-field-initializers
INC = -Iinclude -I.
BSD = -isystem /usr/include/bsd -DLIBBSD_OVERLAY

# lib/ is linked into kernels: no exceptions, RTTI, static guards or stack protector, nothing of libc.
LIB_FLAGS = $(OPT) $(WARN) $(INC) -fPIC -fno-stack-protector -fno-asynchronous-unwind-tables -fvisibility=hidden \
	-fcf-protection=none -U_FORTIFY_SOURCE -ffunction-sections -fdata-sections
LIB_CXXFLAGS = $(LIB_FLAGS) -std=c++20 -ffreestanding -fno-exceptions -fno-rtti -fno-threadsafe-statics -nostdinc++ -Ilib/freestanding
FAULT_CXXFLAGS = $(LIB_CXXFLAGS) -DVKCKPT_FAULT
# Hooks, examples, the command and tests are ordinary programs. Those that keep contexts in an image are
# linked -no-pie, so that the same build has the same addresses in the thawing process.
HOOK_CXXFLAGS = $(OPT) $(WARN) $(INC) -std=c++20 -fno-exceptions -fno-rtti -fno-pie
SODIUM_CXXFLAGS = $(OPT) $(WARN) $(INC) $(BSD) -std=c++20 -fno-exceptions -fno-rtti -fPIC
PROG_CXXFLAGS = $(OPT) $(WARN) $(INC) $(BSD) -std=c++20
VK_CXXFLAGS = $(OPT) $(WARN) $(INC) $(BSD) -std=c++20 -fno-exceptions -fno-rtti -fno-pie -fno-stack-protector
TEST_CXXFLAGS = -O1 -g $(WARN) $(INC) $(BSD) -std=c++20 -fno-pie
GUEST_CFLAGS = -O1 -g -Wall -static -pthread
ASFLAGS_ALL = $(INC) -g

all: world

RULES != sh mk/rules.sh $(B)/rules.mk $(B)
include $(B)/rules.mk

deps:
	sh mk/deps.sh

demo: deps
	$(MAKE) -j$(JOBS) all
	sh examples/demo.sh

play: deps
	$(MAKE) -j$(JOBS) all
	sh examples/play.sh

test: deps
	$(MAKE) -j$(JOBS) all tests
	sh test/run.sh

# Unit, fault and fuzz tests with the library under the compiler's checks of addresses and undefined behaviour. Only the library, the
# cryptography's table and the fuzz targets are built anew.
ASAN = -fsanitize=address,undefined -fno-sanitize-recover=all
test-asan: deps
	$(MAKE) -j$(JOBS) all tests
	$(MAKE) -j$(JOBS) B=build/asan OPT='-O1 -g -fno-omit-frame-pointer' CC='$(CC) $(ASAN)' CXX='$(CXX) $(ASAN)' checked
	sh test/checked.sh build/asan

# The library's threads, and those of a vkernel in it, under ThreadSanitizer; setarch: it knows no other layout of the address space.
test-tsan: deps
	$(MAKE) -j$(JOBS) B=build/tsan OPT='-O1 -g -Wno-tsan' CC='$(CC) -fsanitize=thread' CXX='$(CXX) -fsanitize=thread' build/tsan/test/tsan/run
	TSAN_OPTIONS="$${TSAN_OPTIONS:-halt_on_error=1}" setarch -R build/tsan/test/tsan/run

# Which lines and branches of the library those tests reach; fails below NEED percent of the branches of what reads images.
NEED = 95
coverage: deps
	$(MAKE) -j$(JOBS) all tests
	$(MAKE) -j$(JOBS) B=build/coverage OPT='-O0 -g' CC='$(CC) --coverage' CXX='$(CXX) --coverage' checked
	NEED=$(NEED) sh test/coverage.sh build/coverage

# What the tests have tried, in numbers: the short ones run now, the long ones (coverage, fuzz-long, explore, soak) as they last ran.
figures: deps
	$(MAKE) -j$(JOBS) all tests
	sh test/figures.sh

# FUZZ_INPUTS inputs for every target, or for TARGET alone: hours. What has run is remembered in build/fuzz-long.
FUZZ_INPUTS = 10000000
fuzz-long: deps
	$(MAKE) -j$(JOBS) build/test/fuzz/run
	sh test/fuzz/long.sh build/test/fuzz/run $(FUZZ_INPUTS) build/fuzz-long $(TARGET)

# libFuzzer, FUZZ_SECONDS on every target or on TARGET alone.
FUZZ_SECONDS = 60
TARGET =
FUZZ = -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
fuzz: deps
	sh mk/deps.sh fuzz
	$(MAKE) -j$(JOBS) B=build/fuzz OPT='-O1 -g' CC='clang $(FUZZ)' CXX='clang++ $(FUZZ)' build/fuzz/test/fuzz/libfuzzer
	FUZZ_SECONDS=$(FUZZ_SECONDS) sh test/fuzz/libfuzzer.sh build/fuzz $(TARGET)

# Speed side by side with peers: BENCH=quick for a look; bench-check holds bars and baseline, bench-baseline writes the latter anew.
bench: uml uml-guest
	$(MAKE) -j$(JOBS) tests
	sh mk/deps.sh bench
	sh test/bench/run.sh

bench-check: uml uml-guest
	$(MAKE) -j$(JOBS) tests
	sh mk/deps.sh bench
	sh test/bench/run.sh check

bench-baseline: uml uml-guest
	$(MAKE) -j$(JOBS) tests
	sh mk/deps.sh bench
	sh test/bench/run.sh baseline

soak: deps
	$(MAKE) -j$(JOBS) all tests
	$(MAKE) uml uml-guest
	sh test/soak.sh

# Every interleaving of three processes that suspend, thaw, boot, clone and discard, killed at any step; and power loss.
explore: deps
	$(MAKE) -j$(JOBS) build/test/fault/run
	build/test/fault/run "[explorer],[.explore],[power]" >build/explore.log || { cat build/explore.log; exit 1; }
	cat build/explore.log

# User Mode Linux with the library in it (vkernel-hooks/uml) and a Debian guest for it.
uml: deps
	$(MAKE) -j$(JOBS) all
	sh vkernel-hooks/uml/build.sh

uml-guest:
	sh vkernel-hooks/uml/guest.sh

demo-uml: uml uml-guest
	sh vkernel-hooks/uml/demo.sh

play-uml: uml uml-guest
	sh vkernel-hooks/uml/play.sh

test-uml: uml uml-guest
	sh test/uml/run.sh

# Not part of CI: for each a kernel of its own is built (minutes, once).
test-uml-debug: uml-guest
	$(MAKE) -j$(JOBS) all
	sh vkernel-hooks/uml/build.sh debug
	UML_VARIANT=debug sh test/uml/run.sh test/uml/variants/debug.sh cancel consoles devices guestview network parameters pty lazy

test-uml-vmap: uml-guest
	$(MAKE) -j$(JOBS) all
	sh vkernel-hooks/uml/build.sh vmap
	LIMIT=3600 UML_VARIANT=vmap sh test/uml/run.sh test/uml/variants/vmap.sh

install: all
	sh mk/install.sh "$(DESTDIR)" "$(PREFIX)"

clean:
	rm -rf build

.PHONY: all deps demo play test test-asan test-tsan coverage figures fuzz fuzz-long checked bench bench-check bench-baseline soak explore install clean world tests uml uml-guest demo-uml play-uml test-uml \
	test-uml-debug test-uml-vmap
