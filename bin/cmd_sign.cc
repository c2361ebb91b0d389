// keygen, sign: keys of sealed and signed images, and signatures.
#include "bin/command.h"
#include "bin/image_file.h"
#include "bin/keys.h"
#include "bin/text.h"

#include <stdio.h>

namespace tool {
namespace {

int run_keygen(const Command &command, const Arguments &arguments)
{
	if (arguments.sign && arguments.raw)
		return misuse(command, "%s: --sign or --raw", command.name);
	const std::string secret = std::string(arguments.operands[0]) + ".key", open = std::string(arguments.operands[0]) + ".pub";
	vkckpt_sodium_pair kind = arguments.sign ? VKCKPT_SODIUM_SIGN : arguments.raw ? VKCKPT_SODIUM_RAW : VKCKPT_SODIUM_SEAL;
	vkckpt_error error{};
	if (vkckpt_sodium_keygen(kind, secret.c_str(), arguments.raw ? nullptr : open.c_str(), &error) < 0)
		return refuse("%s", printable(field(error.message)).c_str());
	if (arguments.quiet)
		return kYes;
	if (arguments.raw)
		printf("%s: seals and opens images (--seal-key, --key); who has it can do both\n", printable(secret).c_str());
	else
		printf("%s: %s; keep it where no vkernel runs\n%s: %s\n", printable(secret).c_str(),
		    arguments.sign ? "signs images (vkckpt sign --key)" : "opens images (--key)", printable(open).c_str(),
		    arguments.sign ? "checks signatures (--require-signature, --signed-by)" : "seals images (--seal-to); anybody may have it");
	return finish_output(kYes);
}

int run_sign(const Command &command, const Arguments &arguments)
{
	if (!arguments.key)
		return misuse(command, "%s: --key: the secret key to sign with is missing", command.name);
	const std::string image = arguments.operands[0], signature = arguments.signature ? arguments.signature : image + ".sig";
	tell_unconfined(confine_to_images({image}, nullptr, {arguments.key}, {{folder_of(signature), Writing::kFiles}}), arguments);
	vkckpt_error error{};
	if (vkckpt_sodium_sign(image.c_str(), arguments.key, arguments.signature, &error) < 0)
		return refuse("%s%s", error.reason == VKCKPT_R_KEY_FILE ? "--key " : "", (error.reason == VKCKPT_R_KEY_FILE ?
		    printable(field(error.message)) : sentence_of(image, error)).c_str());
	if (!arguments.quiet)
		printf("%s: signed; the signature is %s\n", printable(image).c_str(),
		    printable(signature).c_str());
	return finish_output(kYes);
}

}  // namespace

const Command kKeygen = {
	"keygen", "[--sign | --raw] NAME", "makes a pair of keys, NAME.key and NAME.pub, for sealed images",
	"      --sign    for signatures instead\n"
	"      --raw     one raw key, NAME.key, that seals and opens\n"
	"  -q, --quiet   say nothing if it worked\n"
	"Files that are there are never replaced.\n",
	"qGW", 1, 1, run_keygen,
};

const Command kSign = {
	"sign", "--key FILE [--signature FILE] FILE", "signs an image: writes FILE.sig beside it",
	"      --key FILE        the secret key (vkckpt keygen --sign), a file or fd:N\n"
	"      --signature FILE  where the signature goes, instead of FILE.sig\n"
	"  -q, --quiet           say nothing if it worked\n"
	"The image is verified as it is signed; a damaged one is refused.\n",
	"qk:s:", 1, 1, run_sign,
};

}  // namespace tool
