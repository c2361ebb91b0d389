// Tables for tests of sealed images: keys in memory instead of files, and callbacks that count, remember or fail.
#ifndef VKCKPT_TEST_SEAL_SUPPORT_H
#define VKCKPT_TEST_SEAL_SUPPORT_H

#include <errno.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include <sodium.h>

#include <vkckpt/crypto.h>

#include "vkernel-hooks/sodium/sodium.h"

namespace seal_test {

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

}  // namespace seal_test
#endif
