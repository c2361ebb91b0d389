/*
 * Calls on files, pipes and descriptors whose results are the same on every Linux: run on the host and in the guest, the
 * outputs must be equal. Works in a new folder below /tmp.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static int line;
static volatile int bad_count = -1;		/* volatile: what the compiler would warn of is what is tried */
static void *volatile bad_address = (void *)8;

/* One result: its value, or the name of the error. */
static long show(const char *what, long r)
{
	if (r == -1)
		printf("%d %s: %s\n", ++line, what, strerrorname_np(errno));
	else
		printf("%d %s: %ld\n", ++line, what, r);
	return r;
}
#define SHOW(call) show(#call, (long)(call))

static void offsets(void)
{
	char b[64] = "";
	int fd = open("f", O_RDWR | O_CREAT | O_TRUNC, 0644), d;
	SHOW(write(fd, "0123456789", 10));
	SHOW(pwrite(fd, "abc", 3, 4));
	SHOW(pread(fd, b, 20, 2));
	puts(b);
	SHOW(lseek(fd, -2, SEEK_END));
	SHOW(read(fd, b, 20));
	SHOW(read(fd, b, 20));
	SHOW(lseek(fd, -1, SEEK_SET));
	SHOW(lseek(fd, 100000, SEEK_SET));
	SHOW(write(fd, "z", 1));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(ftruncate(fd, 5));
	SHOW(ftruncate(fd, 8));
	memset(b, 1, sizeof b);
	SHOW(pread(fd, b, 64, 0));
	printf("%d %d\n", b[4], b[5] + b[6] + b[7]);
	struct iovec v[3] = {{"aa", 2}, {"", 0}, {"bbb", 3}}, w[2] = {{b, 4}, {b + 10, 50}};
	SHOW(pwritev(fd, v, 3, 1));
	SHOW(preadv(fd, w, 2, 0));
	SHOW(readv(fd, w, bad_count));
	d = open("f", O_WRONLY | O_APPEND);
	SHOW(write(d, "END", 3));
	SHOW(lseek(d, 0, SEEK_CUR));
	SHOW(read(d, b, 1));
	SHOW(open("f", O_RDONLY | O_CREAT | O_EXCL, 0600));
	SHOW(open("f/g", O_RDONLY));
	SHOW(open("none", O_RDONLY));
	SHOW(open(".", O_RDWR));
	SHOW(read(open(".", O_RDONLY), b, 1));
	SHOW(open("f", O_DIRECTORY));
	SHOW(write(-1, b, 1));
	SHOW(write(fd, bad_address, 1));
	close(fd);
	close(d);
}

static void names(void)
{
	struct stat a, b;
	char t[16] = "";
	SHOW(mkdir("d", 0755));
	SHOW(mkdir("d", 0755));
	SHOW(mkdir("d/e/", 0700));
	SHOW(rmdir("d"));
	SHOW(unlink("d"));
	SHOW(rmdir("f"));
	SHOW(symlink("f", "s"));
	SHOW(readlink("s", t, 16));
	SHOW(readlink("f", t, 16));
	SHOW(open("s", O_RDONLY | O_NOFOLLOW));
	SHOW(stat("f/", &a));
	SHOW(link("f", "l"));
	SHOW(link("d", "dl"));
	stat("f", &a);
	stat("l", &b);
	printf("%d %ld\n", a.st_ino == b.st_ino, (long)b.st_nlink);
	SHOW(rename("f", "l"));
	SHOW(access("f", F_OK));
	SHOW(rename("d", "d/e/x"));
	SHOW(rename("f", "d"));
	SHOW(rename("d", "f"));
	SHOW(renameat2(AT_FDCWD, "f", AT_FDCWD, "l", RENAME_NOREPLACE));
	SHOW(rename("none", "f"));
	int dir = open("d", O_PATH);
	SHOW(mkdirat(dir, "in", 0700));
	SHOW(faccessat(dir, "in", F_OK, 0));
	SHOW(unlinkat(dir, "in", AT_REMOVEDIR));
	SHOW(unlinkat(dir, "in", 0));
	SHOW(read(dir, t, 1));
	SHOW(fchdir(dir));
	SHOW(chdir(".."));
	SHOW(symlink("loop", "loop"));
	SHOW(stat("loop", &a));
	SHOW(chdir("loop"));
	SHOW(chmod("f", 04711));
	stat("f", &a);
	printf("%o %d\n", a.st_mode, (int)a.st_blksize);
	struct timespec ts[2] = {{100, 5}, {0, UTIME_OMIT}};
	SHOW(utimensat(AT_FDCWD, "f", ts, 0));
	stat("f", &a);
	printf("%ld %ld\n", (long)a.st_atim.tv_sec, (long)a.st_atim.tv_nsec);
	close(dir);
}

static void directories(void)
{
	char name[32];
	int n = 0;
	mkdir("many", 0755);
	for (int i = 0; i < 300; i++) {
		sprintf(name, "many/%d", i);
		close(open(name, O_CREAT | O_WRONLY, 0600));
	}
	DIR *d = opendir("many");
	for (struct dirent *e; (e = readdir(d)) != NULL; n++)
		if (e->d_name[0] != '.')
			unlinkat(dirfd(d), e->d_name, 0);	/* while it is being read */
	printf("entries %d\n", n);
	rewinddir(d);
	for (n = 0; readdir(d) != NULL; n++)
		continue;
	printf("left %d\n", n);
	closedir(d);
	SHOW(rmdir("many"));
}

static void pipes(void)
{
	int p[2], s[2], e;
	char b[70000];
	memset(b, 'x', sizeof b);
	signal(SIGPIPE, SIG_IGN);
	SHOW(pipe2(p, O_NONBLOCK));
	SHOW(read(p[0], b, 1));
	SHOW(write(p[1], b, sizeof b));
	SHOW(write(p[1], b, 1));
	struct pollfd f[3] = {{p[0], POLLIN, 0}, {p[1], POLLOUT, 0}, {99, POLLIN, 0}};
	SHOW(poll(f, 3, 0));
	printf("%x %x %x\n", f[0].revents, f[1].revents, f[2].revents);
	int n = 0;
	SHOW(ioctl(p[0], FIONREAD, &n));
	printf("%d\n", n);
	SHOW(lseek(p[0], 0, SEEK_SET));
	SHOW(pread(p[0], b, 1, 0));
	SHOW(write(p[0], b, 1));
	close(p[0]);
	SHOW(write(p[1], b, 1));
	SHOW(poll(f + 1, 1, 0));
	printf("%x\n", f[1].revents);
	close(p[1]);
	SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	SHOW(write(s[0], "to and fro", 10));
	SHOW(read(s[1], b, 2));
	SHOW(read(s[1], b, 100));
	close(s[0]);
	SHOW(read(s[1], b, 1));
	SHOW(write(s[1], b, 1));
	SHOW((e = eventfd(3, EFD_NONBLOCK)) >= 0);
	SHOW(read(e, b, 8));
	printf("%d\n", b[0]);
	SHOW(read(e, b, 8));
	SHOW(mkfifo("p", 0600));
	SHOW(open("p", O_WRONLY | O_NONBLOCK));
	if (fork() == 0) {
		int w = open("p", O_WRONLY);
		_exit(write(w, b, sizeof b) == sizeof b ? 7 : 8);
	}
	int r = open("p", O_RDONLY);
	long total = 0;
	for (long got; (got = read(r, b, 5000)) > 0;)
		total += got;
	printf("fifo %ld\n", total);
	wait(&n);
	printf("status %d\n", WEXITSTATUS(n));
	fd_set in;
	FD_ZERO(&in);
	FD_SET(r, &in);
	struct timeval tv = {0, 1000};
	SHOW(select(r + 1, &in, NULL, NULL, &tv));
	SHOW(select(0, NULL, NULL, NULL, &tv));
	SHOW(poll(NULL, 0, 5));
}

static void descriptors(void)
{
	int fd = open("l", O_RDWR), other = open("l", O_RDWR), to = open("to", O_RDWR | O_CREAT, 0600);
	SHOW(fcntl(fd, F_DUPFD, 100));
	SHOW(fcntl(100, F_GETFD));
	SHOW(dup3(fd, 101, O_CLOEXEC));
	SHOW(fcntl(101, F_GETFD));
	SHOW(dup3(fd, fd, 0));
	SHOW(dup2(fd, fd) == fd);
	SHOW(dup2(fd, 100000));
	SHOW(fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK));
	SHOW(fcntl(100, F_GETFL) & (O_APPEND | O_NONBLOCK | O_ACCMODE));
	SHOW(fcntl(fd, F_SETFL, 0));
	SHOW(flock(fd, LOCK_EX));
	SHOW(flock(other, LOCK_SH | LOCK_NB));
	SHOW(flock(100, LOCK_UN));
	SHOW(flock(other, LOCK_SH | LOCK_NB));
	SHOW(ftruncate(fd, 10000));
	off_t at = 5;
	SHOW(sendfile(to, fd, &at, 3000));
	printf("%ld\n", (long)at);
	SHOW(copy_file_range(fd, &at, to, NULL, 100000, 0));
	SHOW(lseek(to, 0, SEEK_CUR));
	char *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, to, 0), b[4];
	memcpy(m + 10, "map", 3);
	SHOW(pread(to, b, 3, 10));
	printf("%.3s\n", b);
	SHOW(pwrite(to, "new", 3, 10));
	printf("%.3s\n", m + 10);
	SHOW(close_range(100, 101, 0));
	SHOW(fcntl(100, F_GETFD));
	int mem = memfd_create("x", 0);
	SHOW(write(mem, "anon", 4));
	struct stat st;
	fstat(mem, &st);
	printf("%ld\n", (long)st.st_size);
	SHOW(isatty(fd));
	SHOW(fsync(fd));
	SHOW(ioctl(fd, TIOCGWINSZ, b));
}

int main(void)
{
	char folder[] = "/tmp/filesXXXXXX";
	umask(022);
	if (!mkdtemp(folder) || chdir(folder) != 0)
		return 1;
	offsets();
	names();
	directories();
	pipes();
	descriptors();
	fflush(stdout);
	if (chdir("/") != 0)
		return 1;
	char command[64];
	snprintf(command, sizeof command, "rm -rf %s", folder);
	return system(command) != 0;
}
