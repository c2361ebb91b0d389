# vkernel-hooks/linux: the stub (a static executable without libc at a fixed address), then the library that carries it.
# Sourced by mk/table.sh.
hook=vkernel-hooks/linux
cat <<'RULES'
STUB_CXXFLAGS = $(HOOK_CXXFLAGS) -fpie -mno-sse -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables
STUB_LINK = -static -no-pie -nostdlib -nostartfiles -Wl,-T,vkernel-hooks/linux/stub.ld -Wl,--build-id=none -Wl,-z,noexecstack -Wl,-S
RULES
objects STUB_CXXFLAGS $hook/stub_main.cc $hook/stub.S $hook/stub_filters.S
program $B/$hook/vmspace_stub '$(STUB_LINK)' $objs
printf '%s: %s\n' $B/$hook/vmspace_stub $hook/stub.ld
printf '%s: %s\n' $B/$hook/stub_image.o $B/$hook/vmspace_stub

hook_sources=
for source in $hook/*.cc; do
	[ $source = $hook/stub_main.cc ] || hook_sources="$hook_sources $source"
done
objects HOOK_CXXFLAGS $hook_sources $hook/stub_image.S
archive $B/$hook/libvmspace.a $objs
world="$world $B/$hook/libvmspace.a"
