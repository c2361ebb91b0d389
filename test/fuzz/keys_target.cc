// What libvkckpt-sodium reads besides images: key files, and signatures, which come with images from anywhere.
#include "test/fuzz/fuzz.h"

#include <cstring>

#include <fcntl.h>
#include <unistd.h>

#include "test/fuzz/seeds.h"
#include "vkernel-hooks/sodium/internal.h"

using namespace vksodium;

namespace {

// A file, as the readers open by name and take no links. Gone when the program ends.
class File {
public:
	File()
	{
		const char *folder = std::getenv("TMPDIR");
		std::snprintf(name_, sizeof name_, "%s/vkckpt-fuzz.XXXXXX", folder && *folder ? folder : "/tmp");
		fd_ = mkstemp(name_);		// mode 0600
		FUZZ_CHECK(fd_ >= 0 && sodium_init() >= 0);
	}
	~File() { unlink(name_); }
	const char *with(const uint8_t *data, size_t size)
	{
		FUZZ_CHECK(pwrite(fd_, data, size, 0) == static_cast<ssize_t>(size) && ftruncate(fd_, static_cast<off_t>(size)) == 0);
		return name_;
	}

private:
	char name_[512];
	int fd_;
};
File &file()
{
	static File one;
	return one;
}

}  // namespace

// First what is asked for, then the file.
void fuzz_keyfile(const uint8_t *data, size_t size)
{
	static uint8_t scratch[kFileRoom], zeros[kFileRoom];
	const uint8_t asked = size ? data[0] : 0;
	KeyFile key = { static_cast<KeyKind>(asked % 5), (asked & 8) != 0, {} };
	vkckpt_error err = {};
	const int r = read_key(file().with(data + (size != 0), size - (size != 0)), &key, scratch, &err);
	FUZZ_CHECK(std::memcmp(scratch, zeros, sizeof scratch) == 0);
	FUZZ_CHECK(r == 0 ? key.kind == static_cast<KeyKind>(asked % 5) || ((asked & 8) && key.kind == KeyKind::raw) :
	    r == -EINVAL && err.reason == VKCKPT_R_KEY_FILE && err.message[0]);
}

// The file, made good by the signer's key if it is long enough and its last bit says so: what its head claims is then believed.
void fuzz_signature(const uint8_t *data, size_t size)
{
	static uint8_t open_half[crypto_sign_PUBLICKEYBYTES], both[crypto_sign_SECRETKEYBYTES];
	static const bool made = crypto_sign_seed_keypair(open_half, both, reinterpret_cast<const uint8_t *>(seeds::kSigner)) == 0;
	FUZZ_CHECK(made);
	fuzz::Bytes bytes(data, data + size);
	const bool good = size >= sizeof(Signature) && (data[size - 1] & 1);
	if (good) {
		Signature s;
		constexpr size_t context = sizeof kSignatureContext - 1, head = offsetof(Signature, signature);
		std::memcpy(&s, data, sizeof s);
		std::memcpy(s.signer, open_half, sizeof open_half);
		uint8_t message[context + head + VKCKPT_LEAF_DIGEST];
		std::memcpy(message, kSignatureContext, context);
		std::memcpy(message + context, &s, head);
		leaf_digest(data + sizeof s, size - sizeof s, message + context + head);
		crypto_sign_detached(s.signature, nullptr, message, sizeof message, both);
		std::memcpy(bytes.data(), &s, sizeof s);
	}
	Leaves leaves = {};
	const int r = read_signature(file().with(bytes.data(), bytes.size()), open_half, &leaves);
	FUZZ_CHECK(r == -EBADMSG || (r == 0 && good));	// above all no lack of memory, which only the file's size may ask for
	if (r != 0)
		return;
	const vkckpt_leaves &t = leaves.table;
	FUZZ_CHECK(t.leaf_bytes >= 4096 && t.leaf_bytes <= VKCKPT_LEAF_BYTES_MAX && t.file_bytes > 0);
	const uint64_t count = t.file_bytes / t.leaf_bytes + (t.file_bytes % t.leaf_bytes != 0);
	FUZZ_CHECK(sizeof(Signature) + count * VKCKPT_LEAF_DIGEST == size);
	FUZZ_CHECK(std::memcmp(t.digests, data + sizeof(Signature), size - sizeof(Signature)) == 0);
	std::free(leaves.digests);
}
