// Made test/golden/sealed.ckpt, once: a sealed image of format 1.1. Its raw key is the bytes 00 .. 1f; the image's own key 40 .. 5f. Kept to show
// what was done, not part of the build; the image is never made again.
//
//	g++ -std=c++20 -Iinclude -I. -o make_sealed test/golden/make_sealed.cc build/vkernel-hooks/sodium/libvkckpt-sodium.a
//	    build/lib/libvkckpt.a -lsodium -lbsd && ./make_sealed sealed.ckpt		(one line)
#include <cstdio>
#include <fcntl.h>

#include "test/unit/image_support.h"
#include "test/unit/seal_support.h"

using namespace image_test;

namespace {

void count_up(uint8_t *bytes, size_t count, uint8_t first)
{
	for (size_t i = 0; i < count; i++)
		bytes[i] = static_cast<uint8_t>(first + i);
}

int make_key(void *, const vkckpt_uuid *image_id, uint8_t *key, vkckpt_f_key *out)
{
	uint8_t raw[32];
	count_up(raw, sizeof raw, 0);
	count_up(key, VKCKPT_KEY_BYTES, 0x40);
	out->kind = VKCKPT_KEY_RAW;
	out->wrapped_bytes = 48;
	count_up(out->nonce, sizeof out->nonce, 0x60);
	return crypto_aead_xchacha20poly1305_ietf_encrypt(out->wrapped, nullptr, key, VKCKPT_KEY_BYTES, image_id->bytes, 16, nullptr, out->nonce,
	    raw);
}

}  // namespace

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	seal_test::Sodium sodium = seal_test::raw('x');
	vkckpt_crypto table = *vkckpt_sodium_table(sodium.get());
	table.make_key = make_key;
	std::mt19937_64 random(1);
	Frames frames;
	frames[{ 0, 0 }] = frame_of(Fill::text, random);
	frames[{ 0, 1 }] = frame_of(Fill::zero, random);
	frames[{ 0, 17 }] = frame_of(Fill::noise, random);
	int fd = open(argv[1], O_RDWR | O_CREAT | O_EXCL, 0644);
	return fd < 0 || !write_image(fd, shape_of({ 20 * VKCKPT_FRAME }), frames, &table).ok();
}
