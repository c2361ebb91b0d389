/* A FUSE server without a library: fuse MOUNTPOINT. One file "hello"; whatever else is asked for is not there. Speaks the kernel's protocol by hand. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int dev;

static void answer(const struct fuse_in_header *in, int error, const void *body, size_t bytes)
{
	struct fuse_out_header out = { .len = sizeof out + (error ? 0 : bytes), .error = -error, .unique = in->unique };
	struct iovec v[2] = { { &out, sizeof out }, { (void *)body, bytes } };
	if (writev(dev, v, error || !bytes ? 1 : 2) < 0)
		perror("fuse");
}

static struct fuse_attr attr_of(unsigned long node)
{
	struct fuse_attr a = { .ino = node, .mode = node == 1 ? S_IFDIR | 0755 : S_IFREG | 0444, .nlink = 1, .size = node == 1 ? 0 : 6 };
	return a;
}

int main(int argc, char **argv)
{
	static char request[1 << 17];
	char options[100];
	dev = open("/dev/fuse", O_RDWR);
	snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0", dev);
	if (argc != 2 || dev < 0 || mount("fuse", argv[1], "fuse", 0, options) < 0) {
		perror("fuse: mount");
		return 1;
	}
	for (;;) {
		struct fuse_in_header *in = (void *)request;
		ssize_t n = read(dev, request, sizeof request);
		if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT))
			continue;
		if (n < 0)
			return 1;
		switch (in->opcode) {
		case FUSE_INIT: {
			struct fuse_init_out o = { .major = 7, .minor = 31, .max_write = 65536 };
			answer(in, 0, &o, sizeof o);
			break;
		}
		case FUSE_LOOKUP: {
			struct fuse_entry_out e = { .nodeid = 2, .attr = attr_of(2) };
			answer(in, strcmp((char *)(in + 1), "hello") ? ENOENT : 0, &e, sizeof e);
			break;
		}
		case FUSE_GETATTR: {
			struct fuse_attr_out a = { .attr = attr_of(in->nodeid) };
			answer(in, 0, &a, sizeof a);
			break;
		}
		case FUSE_OPEN:
		case FUSE_OPENDIR: {
			struct fuse_open_out o = { .fh = 1 };
			answer(in, 0, &o, sizeof o);
			break;
		}
		case FUSE_READ: {
			struct fuse_read_in *r = (void *)(in + 1);
			answer(in, 0, "hello\n", r->offset ? 0 : 6);
			break;
		}
		case FUSE_FORGET:
			break;
		case FUSE_FLUSH:
		case FUSE_RELEASE:
		case FUSE_RELEASEDIR:
			answer(in, 0, NULL, 0);
			break;
		default:
			answer(in, ENOSYS, NULL, 0);
		}
	}
}
