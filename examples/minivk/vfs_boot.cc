// The file system at boot: the archive, what every guest finds besides, and the devices.
#include "cpio.h"
#include "disk.h"
#include "tty.h"

namespace minivk {

namespace {

// A directory of the root; made, or taken from the archive.
bool directory(RamDirectory &root, const char *name, uint32_t mode, Ref<Inode> *out)
{
	if (root.lookup(name, out) == 0)
		return (*out)->kind == InodeKind::kDirectory;
	return root.create(name, InodeKind::kDirectory, mode, 0, {}, out) == 0;
}

}  // namespace

bool vfs_boot(const void *cpio, size_t bytes, KString *message)
{
	kernel().fs = knew<FsGlobals>();
	Ref<RamDirectory> root = make_ram_root();
	kernel().root = root;
	if (!cpio_load(*root, cpio, bytes, message))
		return false;
	if (host_disk_present())
		files().disk = kmake<Disk>(host_disk_bytes(), host_disk_writable());
	files().console = kmake<Tty>();
	kernel().tty = files().console.get();
	console_resized();
	Ref<Inode> dev, tmp;
	if (!directory(*root, "dev", 0755, &dev) || !fill_dev(*dev)) {
		*message = "root archive: dev: it cannot hold the devices";
		return false;
	}
	if (!directory(*root, "tmp", 01777, &tmp)) {
		*message = "root archive: tmp: it is no directory";
		return false;
	}
	files().proc = make_proc_root(kernel().root);
	root->attach("proc", *files().proc);
	return true;
}

Ref<File> vfs_open_console()
{
	Ref<File> file = make_tty_file(files().console);
	file->flags = O_RDWR;
	file->path = "/dev/console";
	Ref<Inode> dev;
	if (kernel().root->lookup("dev", &dev) == 0)
		dev->lookup("console", &file->inode);
	return file;
}

}  // namespace minivk
