// Keys as the command line names them: what opens a sealed image, what checks its signature.
#ifndef VKCKPT_BIN_KEYS_H
#define VKCKPT_BIN_KEYS_H

#include <memory>
#include <string>

#include <vkckpt/image.h>

#include "bin/command.h"
#include "vkernel-hooks/sodium/sodium.h"

namespace tool {

struct FreeSodium { void operator()(vkckpt_sodium *s) const { vkckpt_sodium_free(s); } };

class Keys {
public:
	// --key, --passphrase, --passphrase-fd, --signed-by, --signature. False: *problem says what is wrong.
	bool take(const Arguments &, std::string *problem);
	// The same for sealing: --seal-to, --seal-key, and the passphrase, asked for twice.
	bool take_for_sealing(const Arguments &, std::string *problem);
	// What is made of an image that was opened is sealed as that was (not with a passphrase): table()->make_key, once it is open.
	void keep() { if (sodium_) vkckpt_sodium_keep(sodium_.get()); }
	const vkckpt_crypto *table() const { return sodium_ ? vkckpt_sodium_table(sodium_.get()) : nullptr; }
	bool opens() const { return table() && table()->open_key; }

private:
	bool start(std::string *problem);
	std::unique_ptr<vkckpt_sodium, FreeSodium> sodium_;
};

// "a passphrase", "the public key 1a2b..."
std::string sealed_with(const vkckpt_f_key &);

}  // namespace tool
#endif
