// The disk's thread: requests in RAM, bytes moved between the file and RAM directly. Stopped for a checkpoint it finishes
// what it has and takes nothing new.
#include "host_disk.h"

#include <cerrno>
#include <cstring>
#include <deque>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host.h"
#include "host_cpu.h"

namespace minivk {
namespace {

int disk_fd = -1;
bool writable = false;
uint64_t disk_bytes = 0;
bool accepting = true;
pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t work = PTHREAD_COND_INITIALIZER;
std::deque<DiskRequest *> queue;
unsigned in_flight = 0;		// queued and being served
pthread_t thread;
bool started = false, quitting = false;

int32_t serve(const DiskRequest &r)
{
	if (r.kind == DiskRequest::kFlush)
		return fdatasync(disk_fd) == 0 ? 0 : -errno;
	uint32_t done = 0;
	while (done < r.bytes) {
		char *at = static_cast<char *>(r.memory) + done;
		ssize_t n = r.kind == DiskRequest::kRead ? pread(disk_fd, at, r.bytes - done, off_t(r.offset + done))
							 : pwrite(disk_fd, at, r.bytes - done, off_t(r.offset + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return done ? int32_t(done) : -errno;
		if (n == 0) {	// the file ends inside its last sector: the rest is zero
			memset(at, 0, r.bytes - done);
			return int32_t(r.bytes);
		}
		done += uint32_t(n);
	}
	return int32_t(done);
}

void *disk_loop(void *)
{
	pthread_mutex_lock(&lock);
	for (;;) {
		while (queue.empty() && !quitting)
			pthread_cond_wait(&work, &lock);
		if (queue.empty())
			break;
		DiskRequest *r = queue.front();
		queue.pop_front();
		pthread_mutex_unlock(&lock);
		r->result = serve(*r);
		__atomic_store_n(&r->state, 2, __ATOMIC_RELEASE);
		host_post_news({false, false, true});
		pthread_mutex_lock(&lock);
		--in_flight;
	}
	pthread_mutex_unlock(&lock);
	return nullptr;
}

}  // namespace

void host_disk_attach(int fd, bool can_write)
{
	struct stat st;
	disk_fd = fd;
	writable = can_write;
	disk_bytes = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? uint64_t(st.st_size) : uint64_t(lseek(fd, 0, SEEK_END));
	accepting = true;
	started = pthread_create(&thread, nullptr, disk_loop, nullptr) == 0;
}

void host_disk_end()
{
	if (!started)
		return;
	pthread_mutex_lock(&lock);
	quitting = true;
	pthread_cond_signal(&work);
	pthread_mutex_unlock(&lock);
	pthread_join(thread, nullptr);
	started = false;
}

bool host_disk_present() { return disk_fd >= 0; }
uint64_t host_disk_bytes() { return disk_bytes; }
bool host_disk_writable() { return writable; }

void host_disk_submit(DiskRequest *r)
{
	pthread_mutex_lock(&lock);
	if (accepting && started) {
		__atomic_store_n(&r->state, 1, __ATOMIC_RELEASE);
		queue.push_back(r);
		++in_flight;
		pthread_cond_signal(&work);
	}
	pthread_mutex_unlock(&lock);
}

void host_disk_stop()
{
	pthread_mutex_lock(&lock);
	accepting = false;
	pthread_mutex_unlock(&lock);
}

bool host_disk_idle()
{
	pthread_mutex_lock(&lock);
	bool idle = in_flight == 0;
	pthread_mutex_unlock(&lock);
	return idle;
}

void host_disk_start()
{
	pthread_mutex_lock(&lock);
	accepting = true;
	pthread_mutex_unlock(&lock);
	host_post_news({false, false, true});
}

}  // namespace minivk
