#include "bin/keys.h"
#include "bin/text.h"

#include <bsd/readpassphrase.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

namespace tool {

// A descriptor that gives it; -1: *problem says why not. It is asked for at once, because a process that has confined itself cannot open the terminal.
static int asked_passphrase(std::string *problem)
{
	char line[1025];
	int ends[2];
	if (!readpassphrase("passphrase of the image: ", line, sizeof line - 1, RPP_REQUIRE_TTY)) {
		*problem = "passphrase: no terminal to ask on (KEY_FILE); give it with --passphrase-fd N";
		return -1;
	}
	size_t length = strlen(line);
	line[length++] = '\n';
	bool done = pipe2(ends, O_CLOEXEC) == 0 && write(ends[1], line, length) == static_cast<ssize_t>(length);
	explicit_bzero(line, sizeof line);
	if (!done) {
		*problem = std::string("passphrase: ") + strerror(errno) + " (SYSTEM)";
		return -1;
	}
	close(ends[1]);
	return ends[0];
}

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
	int passphrase_fd = a.passphrase_fd == kAskPassphrase ? asked_passphrase(problem) : a.passphrase_fd;
	if (passphrase_fd == -1)
		return false;
	vkckpt_error error{};
	int result = a.key ? vkckpt_sodium_key(sodium_.get(), a.key, &error) : 0;
	const char *option = result < 0 ? "--key " : "";
	if (result == 0 && passphrase_fd != kNoPassphrase)
		result = vkckpt_sodium_passphrase(sodium_.get(), passphrase_fd, &error);
	if (a.passphrase_fd == kAskPassphrase)
		close(passphrase_fd);
	if (result == 0 && a.signed_by) {
		result = vkckpt_sodium_require_signature(sodium_.get(), a.signed_by, a.signature, &error);
		option = "--signed-by ";
	}
	*problem = option + printable(field(error.message));
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
	*problem = (a.seal_to ? "--seal-to " : a.seal_key ? "--seal-key " : "") + printable(field(error.message));
	return result == 0;
}

std::string sealed_with(const vkckpt_f_key &key)
{
	if (key.kind == VKCKPT_KEY_BOX)
		return "the public key " + hex(key.recipient, 8);
	return key.kind == VKCKPT_KEY_PASSPHRASE ? "a passphrase" : "a raw key";
}

}  // namespace tool
