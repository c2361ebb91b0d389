// Verifies an image and all that it is built on. Tools.
#include <vkckpt/image.h>

#include "lib/chain.h"
#include "lib/export.h"
#include "lib/sys.h"

namespace vk {
namespace {

// One file after the other, as one sum of bytes.
struct Progress {
	void (*report)(void *, uint64_t);
	void *arg;
	uint64_t before;
	static void bytes(void *self, uint64_t count)
	{
		Progress &p = *static_cast<Progress *>(self);
		if (p.report)
			p.report(p.arg, p.before + count);
	}
};

struct Verify {
	const struct vkckpt_crypto *crypto;	// null: none
	Progress progress;
	bool sums_only;				// the image is sealed, and there is no key: only the checksums were checked

	Status file(int fd, const char *path, Chain *chain);
	Status ancestor(const char *path);
	Status all(int fd, const char *path);
};

// Every byte of one file. chain null: what is as in its parent is not looked up; whoever is built on it does that.
Status Verify::file(int fd, const char *path, Chain *chain)
{
	ImageReader reader;
	Status s = reader.open(fd, Crew::workers_for(0));
	reader.watch(Progress::bytes, &progress);
	if (s.ok() && crypto)
		s = reader.use(*crypto, path);
	if (s.ok())
		s = reader.read_head();
	sums_only = chain && s.reason == VKCKPT_R_SEALED && (!crypto || !crypto->open_key);
	if (s.ok() && chain)
		s = chain->open(reader.head(), path, fd, nullptr, crypto);
	ChunkTarget nowhere;
	nowhere.drop_parents = chain == nullptr;
	reader.set_chain(chain);
	if (sums_only)
		s = reader.check_sums();
	else if (s.ok())
		s = reader.read_ram(nowhere);
	progress.before += reader.file_bytes();
	reader.close();
	return s;
}

Status Verify::ancestor(const char *path)
{
	long fd = sys_open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return fail_host(static_cast<int>(-fd), "open", path);
	Status s = about_image(file(static_cast<int>(fd), path, nullptr), path);
	(void)sys_close(static_cast<int>(fd));		// read-only: there is nothing to lose
	return s;
}

Status Verify::all(int fd, const char *path)
{
	Chain chain;
	Status s = file(fd, path, &chain);
	for (unsigned i = 0; s.ok() && i < chain.count(); i++)
		s = ancestor(chain.path(i));
	chain.close();
	return s;
}

}  // namespace
}  // namespace vk

VK_EXPORT int vkckpt_image_verify(const char *path, int fd, void (*progress)(void *, uint64_t bytes), void *arg,
    struct vkckpt_error *err)
{
	return vkckpt_image_verify_with(path, fd, nullptr, progress, arg, err);
}

VK_EXPORT int vkckpt_image_verify_with(const char *path, int fd, const struct vkckpt_crypto *crypto,
    void (*progress)(void *, uint64_t bytes), void *arg, struct vkckpt_error *err)
{
	using namespace vk;
	Verify verify = { crypto, { progress, arg, 0 }, false };
	Result<int> opened = path ? open_image_stream(path, "open") : Result<int>(fd);
	if (!opened.ok())
		return report(opened.status, err);
	int result = report(verify.all(opened.value, path), err);
	if (path)
		(void)sys_close(opened.value);	// read-only: there is nothing to lose
	return result < 0 ? result : verify.sums_only;
}
