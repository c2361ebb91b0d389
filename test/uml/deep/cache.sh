# A clone elsewhere builds nothing that is built already: with equal inputs the kernel comes from the cache, byte for byte what was built, and
# with another line of glue only what differs is compiled, in the built tree of the cache.
set -eu
. vkernel-hooks/uml/lib.sh
uml_work
trap uml_clean EXIT
cache=${XDG_CACHE_HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)/.cache}/vkckpt
[ -d "$(echo "$cache"/uml-tree-* | cut -d' ' -f1)" ] || { echo "no built tree in $cache"; exit 77; }
export XDG_CACHE_HOME="$work/cache"
mkdir -p "$work/cache/vkckpt" "$work/clone"
ln -s "$cache"/uml-* "$work/cache/vkckpt/"
tar cf - --exclude=./build --exclude=./.git . | tar xf - -C "$work/clone"
cd "$work/clone"
make -j2 build/lib/libvkckpt.a >"$work/make.log" 2>&1 || { tail "$work/make.log"; exit 1; }
sh vkernel-hooks/uml/build.sh | tee "$work/out"
grep -q 'taken from the cache' "$work/out"
cmp build/uml/linux "$linux"
[ -z "$(sh vkernel-hooks/uml/build.sh)" ]		# a second call has nothing to do

echo '/* one more line */' >>vkernel-hooks/uml/glue/arch/um/kernel/vkckpt_dev.c
sh vkernel-hooks/uml/build.sh | tee "$work/out"
grep -q 'taking the built tree from the cache' "$work/out"
compiled=$(grep -c '^  *CC  ' build/uml/build.log || true)
[ "$compiled" -lt 60 ] || { echo "$compiled files were compiled again"; exit 1; }
[ -x build/uml/linux ]
# a patch that does not fit ends the build and names itself
sed -i 's/valid = um_suspend_valid/valid = um_suspend_other/' vkernel-hooks/uml/patches/0010-um-vkckpt.patch
if cmp -s vkernel-hooks/uml/patches/0010-um-vkckpt.patch "$OLDPWD/vkernel-hooks/uml/patches/0010-um-vkckpt.patch"; then echo "the patch is as it was"; exit 1; fi
if sh vkernel-hooks/uml/build.sh >"$work/out" 2>&1; then echo "a patch that does not fit was applied"; exit 1; fi
grep '0010-um-vkckpt.patch does not fit' "$work/out"
echo "note: $compiled files compiled for another line of glue"
