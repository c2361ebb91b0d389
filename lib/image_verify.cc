// Verifies an image and all that it is built on. Tools.
#include <vkckpt/image.h>

#include <errno.h>

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

	Status file(int fd, const char *path, Chain *chain, const struct vkckpt_uuid *id);
	Status ancestor(const char *path, const struct vkckpt_uuid &id);
	Status all(int fd, const char *path);
};

// Every byte of one file. chain null: what is as in its parent is not looked up; whoever is built on it does that. id: what it must have;
// null: any.
Status Verify::file(int fd, const char *path, Chain *chain, const struct vkckpt_uuid *id)
{
	ImageReader reader;
	Status s = reader.open(fd, Crew::workers_for(0));
	reader.watch(Progress::bytes, &progress);
	if (s.ok() && crypto)
		s = reader.use(*crypto, path);
	if (s.ok())
		s = reader.read_head();
	if (s.ok() && id && !uuid_equal(reader.head().header().image_id, *id))
		s = fail(ESTALE, VKCKPT_R_PARENT_CHANGED, "verify");
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

// By its name once more, so that it is read front to back: it may have been exchanged since the chain was opened.
Status Verify::ancestor(const char *path, const struct vkckpt_uuid &id)
{
	Result<int> fd = open_image_file(path);
	if (!fd.ok())
		return fd.status;
	Status s = about_image(file(fd.value, path, nullptr, &id), path);
	(void)sys_close(fd.value);		// read-only: there is nothing to lose
	return s;
}

Status Verify::all(int fd, const char *path)
{
	Chain chain;
	Status s = file(fd, path, &chain, nullptr);
	for (unsigned i = 0; s.ok() && i < chain.count(); i++)
		s = ancestor(chain.path(i), chain.ancestor(i).head().header().image_id);
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
