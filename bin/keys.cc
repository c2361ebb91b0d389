#include "bin/keys.h"
#include "bin/text.h"

namespace tool {

bool Keys::start(std::string *problem)
{
	vkckpt_error error{};
	vkckpt_sodium *made = nullptr;
	if (vkckpt_sodium_new(&made, &error) < 0) {
		*problem = printable(field(error.message));
		return false;
	}
	sodium_.reset(made);
	return true;
}

bool Keys::take(const Arguments &a, std::string *problem)
{
	if (!a.key && a.passphrase_fd == kNoPassphrase && !a.signed_by)
		return true;
	if (!start(problem))
		return false;
	vkckpt_error error{};
	int result = a.key ? vkckpt_sodium_key(sodium_.get(), a.key, &error) : 0;
	if (result == 0 && a.passphrase_fd != kNoPassphrase)
		result = vkckpt_sodium_passphrase(sodium_.get(), a.passphrase_fd, &error);
	if (result == 0 && a.signed_by)
		result = vkckpt_sodium_require_signature(sodium_.get(), a.signed_by, a.signature, &error);
	*problem = printable(field(error.message));
	return result == 0;
}

bool Keys::take_for_sealing(const Arguments &a, std::string *problem)
{
	if (!start(problem))
		return false;
	vkckpt_error error{};
	int result = a.seal_to ? vkckpt_sodium_seal_to(sodium_.get(), a.seal_to, &error) :
	    a.seal_key ? vkckpt_sodium_seal_raw(sodium_.get(), a.seal_key, &error) :
	    vkckpt_sodium_seal_passphrase(sodium_.get(), a.passphrase_fd, &error);
	*problem = printable(field(error.message));
	return result == 0;
}

std::string sealed_with(const vkckpt_f_key &key)
{
	if (key.kind == VKCKPT_KEY_BOX)
		return "the public key " + hex(key.recipient, 8);
	return key.kind == VKCKPT_KEY_PASSPHRASE ? "a passphrase" : "a raw key";
}

}  // namespace tool
