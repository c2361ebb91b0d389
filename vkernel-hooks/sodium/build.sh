# vkernel-hooks/sodium: the crypto table over libsodium. Position-independent, for ordinary programs and for those linked -no-pie.
objects SODIUM_CXXFLAGS vkernel-hooks/sodium/*.cc
archive $B/vkernel-hooks/sodium/libvkckpt-sodium.a $objs
world="$world $B/vkernel-hooks/sodium/libvkckpt-sodium.a"
sodium_lib=$B/vkernel-hooks/sodium/libvkckpt-sodium.a
