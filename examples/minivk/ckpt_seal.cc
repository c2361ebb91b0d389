// Keys of sealed images. They lie in locked memory of libsodium's, outside the guest's RAM, so no image ever holds them.
#include "ckpt_seal.h"

#include "boot.h"
#include "vkernel-hooks/sodium/sodium.h"

namespace minivk {
namespace {

struct vkckpt_sodium *keys = nullptr;

void check(int result, const struct vkckpt_error &err)
{
	if (result < 0)
		fail("%s", err.message);
}

bool any(const Options &o)
{
	return o.seal_to || o.seal_key || o.key || o.passphrase_fd != kNoPassphrase || o.signed_by;
}

}  // namespace

Seals seals_of(const Options &o)
{
	struct vkckpt_error err = {};
	Seals seals;
	if (!any(o))
		return seals;
	check(vkckpt_sodium_new(&keys, &err), err);
	if (o.seal_to)
		check(vkckpt_sodium_seal_to(keys, o.seal_to, &err), err);
	if (o.seal_key)
		check(vkckpt_sodium_seal_raw(keys, o.seal_key, &err), err);
	if (o.key)
		check(vkckpt_sodium_key(keys, o.key, &err), err);
	if (o.passphrase_fd != kNoPassphrase)
		check(vkckpt_sodium_passphrase(keys, o.passphrase_fd, &err), err);
	if (o.signed_by)
		check(vkckpt_sodium_require_signature(keys, o.signed_by, o.signature, &err), err);
	if (o.thaw && !o.seal_to && !o.seal_key && !o.no_seal)
		vkckpt_sodium_keep(keys);
	seals.read = vkckpt_sodium_table(keys);
	if (!o.no_seal)
		seals.write = seals.read;
	return seals;
}

void seals_forget()
{
	if (keys)
		vkckpt_sodium_forget(keys);
}

}  // namespace minivk
