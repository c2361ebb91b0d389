// Tables for tests of sealed images: keys in memory instead of files, and callbacks that count, remember or fail; signatures that are made of leaves only.
#ifndef VKCKPT_TEST_SEAL_SUPPORT_H
#define VKCKPT_TEST_SEAL_SUPPORT_H

#include <errno.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include <sodium.h>

#include <vkckpt/crypto.h>

#include "test/unit/image_support.h"
#include "vkernel-hooks/sodium/sodium.h"

namespace seal_test {

// What the images of these tests hold.
inline const vk::ImageShape kShape = image_test::shape_of({ 64 * VKCKPT_FRAME, 8 * VKCKPT_FRAME }, { 6000 });

inline image_test::Frames some_frames(unsigned seed = 7)
{
	std::mt19937_64 random(seed);
	image_test::Frames frames;
	for (uint64_t f : { 0, 1, 3, 20 })
		frames[{ 0, f }] = image_test::frame_of(image_test::Fill::text, random);
	frames[{ 0, 2 }] = image_test::frame_of(image_test::Fill::zero, random);
	frames[{ 0, 33 }] = image_test::frame_of(image_test::Fill::noise, random);
	frames[{ 0, 50 }] = image_test::frame_of(image_test::Fill::noise, random);
	frames[{ 1, 7 }] = image_test::frame_of(image_test::Fill::text, random);
	frames[{ VKCKPT_OBJECT_REGION, 0 }] = image_test::frame_of(image_test::Fill::text, random);
	return frames;
}

inline int pipe_with(const std::string &content)
{
	int ends[2];
	if (pipe(ends) < 0 || write(ends[1], content.data(), content.size()) != static_cast<ssize_t>(content.size()))
		std::abort();
	close(ends[1]);
	return ends[0];
}

struct FreeSodium { void operator()(vkckpt_sodium *s) const { vkckpt_sodium_free(s); } };
using Sodium = std::unique_ptr<vkckpt_sodium, FreeSodium>;

inline Sodium sodium()
{
	vkckpt_sodium *s = nullptr;
	if (vkckpt_sodium_new(&s, nullptr) < 0)
		std::abort();
	return Sodium(s);
}

// Seals and opens with the raw key that is this byte 32 times.
inline Sodium raw(char byte)
{
	Sodium s = sodium();
	std::string file = "fd:" + std::to_string(pipe_with(std::string(32, byte)));
	if (vkckpt_sodium_seal_raw(s.get(), file.c_str(), nullptr) < 0)
		std::abort();
	file = "fd:" + std::to_string(pipe_with(std::string(32, byte)));
	if (vkckpt_sodium_key(s.get(), file.c_str(), nullptr) < 0)
		std::abort();
	return s;
}

// A table whose images all have the same key, known to the test; remembers nonces, and fails at a call that is asked for.
class Known {
public:
	static constexpr uint8_t kByte = 0x5c;
	vkckpt_crypto table = {};
	Known()
	{
		real_ = raw('k');
		table = *vkckpt_sodium_table(real_.get());
		table.arg = this;
		table.make_key = [](void *, const vkckpt_uuid *, uint8_t *key, vkckpt_f_key *out) {
			std::memset(key, kByte, VKCKPT_KEY_BYTES);
			out->kind = VKCKPT_KEY_RAW;
			out->wrapped_bytes = 48;
			return result_of(0);
		};
		table.open_key = [](void *, const vkckpt_uuid *, const vkckpt_f_key *, uint8_t *key) {
			std::memset(key, kByte, VKCKPT_KEY_BYTES);
			return result_of(0);
		};
		table.seal = [](const uint8_t *key, const vkckpt_f_nonce *nonce, const void *ad, size_t ad_bytes, void *bytes, size_t count) {
			if (int r = result_of(0))
				return r;
			std::array<uint8_t, sizeof *nonce> n;
			std::memcpy(n.data(), nonce, n.size());
			std::lock_guard<std::mutex> hold(mutex);
			repeated += !nonces.insert(n).second;
			return real()->seal(key, nonce, ad, ad_bytes, bytes, count);
		};
		table.open = [](const uint8_t *key, const vkckpt_f_nonce *nonce, const void *ad, size_t ad_bytes, void *bytes, size_t count) {
			if (int r = result_of(0))
				return r;
			return real()->open(key, nonce, ad, ad_bytes, bytes, count);
		};
		nonces.clear();
		repeated = 0;
		fail_at = -1;
	}
	static inline std::mutex mutex;
	static inline std::set<std::array<uint8_t, 24>> nonces;
	static inline unsigned repeated = 0;
	static inline int fail_at = -1;		// calls until one fails; below 0: none does

private:
	static int result_of(int good)
	{
		std::lock_guard<std::mutex> hold(mutex);
		return fail_at >= 0 && fail_at-- == 0 ? -EIO : good;
	}
	static const vkckpt_crypto *real()
	{
		static Sodium other = raw('k');
		return vkckpt_sodium_table(other.get());
	}
	Sodium real_;
};

// A table that encrypts nothing and takes every tag: what lies behind the seal can be reached by a fuzzer.
inline vkckpt_crypto open_to_all()
{
	vkckpt_crypto table = {};
	table.size = sizeof table;
	table.make_key = [](void *, const vkckpt_uuid *, uint8_t *, vkckpt_f_key *out) {
		out->kind = VKCKPT_KEY_RAW;
		out->wrapped_bytes = 48;
		return 0;
	};
	table.open_key = [](void *, const vkckpt_uuid *, const vkckpt_f_key *, uint8_t *) { return 0; };
	table.seal = [](const uint8_t *, const vkckpt_f_nonce *, const void *, size_t, void *bytes, size_t count) {
		std::memset(static_cast<uint8_t *>(bytes) + count, 0, VKCKPT_TAG_BYTES);
		return 0;
	};
	table.open = [](const uint8_t *, const vkckpt_f_nonce *, const void *, size_t, void *, size_t) { return 0; };
	return table;
}

// All checksums that stand in clear are made right; those inside the seal cannot be.
inline void reseal_all(image_test::Bytes &image)
{
	std::vector<uint64_t> offsets = image_test::record_offsets(image);
	for (uint64_t offset : offsets) {
		vkckpt_f_record &r = image_test::at<vkckpt_f_record>(image, offset);
		if (r.type != VKCKPT_REC_RAM_GROUP)
			continue;
		vkckpt_f_sealed_group &g = image_test::at<vkckpt_f_sealed_group>(image, offset + sizeof r);
		uint64_t data = (offset + sizeof r + r.payload_bytes + 4095) & ~4095ull;
		if (data <= image.size() && g.data_bytes <= image.size() - data)
			g.data = vk::digest_of(image.data() + data, g.data_bytes);
	}
	image_test::reseal(image, offsets);
}

// Leaves of an image, as a signature that was verified gives them.
struct Signed {
	std::vector<uint8_t> digests;
	vkckpt_leaves leaves = {};
	vkckpt_crypto table = {};
	int result = 0;
	Signed(const image_test::Bytes &image, uint32_t leaf_bytes)
	{
		for (size_t at = 0; at < image.size(); at += leaf_bytes) {
			digests.resize(digests.size() + 32);
			crypto_generichash(&digests[digests.size() - 32], 32, image.data() + at, std::min<size_t>(leaf_bytes, image.size() - at), nullptr, 0);
		}
		leaves = { image.size(), leaf_bytes, 0, digests.data() };
		table.size = sizeof table;
		table.arg = this;
		table.leaves = [](void *arg, const char *, vkckpt_leaves *out) {
			*out = static_cast<Signed *>(arg)->leaves;
			return static_cast<Signed *>(arg)->result;
		};
		table.leaf_digest = [](const void *bytes, size_t count, uint8_t *digest) {
			crypto_generichash(digest, 32, static_cast<const uint8_t *>(bytes), count, nullptr, 0);
		};
	}
};

}  // namespace seal_test
#endif
