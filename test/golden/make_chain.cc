// Made test/golden/chain.1 and chain.2, an image and an increment in clear, and sealed-chain.1 and sealed-chain.2, the same sealed with the raw
// key 00 .. 1f, once: format 1.1. chain.1.sig and chain.2.sig are their signatures (vkckpt-sig-1) by the owner of chain.pub, whose secret key was
// thrown away. Kept to show what was done, not part of the build; the files are never made again.
//
//	g++ -std=c++20 -Iinclude -I. -o make_chain test/golden/make_chain.cc build/vkernel-hooks/sodium/libvkckpt-sodium.a
//	    build/lib/libvkckpt.a -lsodium -lbsd && ./make_chain FOLDER		(one line)
//	vkckpt keygen --sign chain; vkckpt sign --key chain.key FOLDER/chain.1; vkckpt sign --key chain.key FOLDER/chain.2
#include <cstdio>
#include <fcntl.h>

#include "test/golden/chain_content.h"
#include "test/unit/seal_support.h"

using namespace image_test;

namespace {

seal_test::Sodium counting_key()
{
	std::string key(32, '\0');
	for (size_t i = 0; i < key.size(); i++)
		key[i] = static_cast<char>(i);
	seal_test::Sodium s = seal_test::sodium();
	std::string file = "fd:" + std::to_string(seal_test::pipe_with(key));
	if (vkckpt_sodium_seal_raw(s.get(), file.c_str(), nullptr) < 0)
		std::abort();
	return s;
}

bool write_pair(const std::string &base, const vkckpt_crypto *crypto)
{
	vk::ImageShape shape = shape_of({ 40 * VKCKPT_FRAME }, { 5000 });
	shape.features = VKCKPT_FEATURE_INCREMENTAL;
	vk::Arena arena;
	if (!arena.map(vk::ParentHashes::arena_bytes(shape), vk::Prefault::no).ok())
		return false;
	vk::ParentHashes hashes;
	hashes.init(arena, shape);
	for (uint8_t i = 1; i <= 2; i++) {
		std::string path = base + "." + std::to_string(i);
		Lineage l;
		l.id = static_cast<uint8_t>(0x10 * i);
		l.hashes = &hashes;
		if (i == 2) {
			l.parent = 0x10;
			l.parent_path = path.substr(path.rfind('/') + 1);
			l.parent_path.back() = '1';
		}
		hashes.begin(i == 1);
		int fd = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL, 0644);
		if (fd < 0 || !write_image(fd, shape, golden_chain::frames(i), crypto, l).ok())
			return false;
		hashes.commit();
	}
	return true;
}

}  // namespace

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	const std::string folder = argv[1];
	seal_test::Sodium sealed = counting_key();
	return !write_pair(folder + "/chain", nullptr) || !write_pair(folder + "/sealed-chain", vkckpt_sodium_table(sealed.get()));
}
