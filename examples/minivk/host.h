// The host side of minivk: everything that is not in RAM and is made anew by a thaw. The kernel proper reaches the host
// only through these functions.
#ifndef MINIVK_HOST_H
#define MINIVK_HOST_H

#include <cstddef>
#include <cstdint>
#include <string>

namespace minivk {

struct WinSize { uint16_t rows, cols, xpixel, ypixel; };

// Of a path of the host: ".": it has none in its name.
std::string folder_of(const std::string &path);

// What the loop of a vCPU calls, under the kernel lock, when the host has news. Implemented by the guest's device drivers.
void console_interrupt();	// the console may be readable or writable again
void console_resized();		// host_console_size() has changed: SIGWINCH
void disk_interrupt();		// some DiskRequest is done, or the disk accepts requests again

// After host_console_read returned bytes and the reader stopped for want of room, the reader calls it again by itself when it
// has room; after 0 the next console_interrupt() tells it. After -1 there is no more input ever.
// Console: never blocks. Bytes moved, 0 when it would block, -1 end of input.
long host_console_read(void *to, size_t bytes);
long host_console_write(const void *from, size_t bytes);
WinSize host_console_size();

// The guest's kernel tells that it has work for the host's event thread (output waiting for room) or wants to be kicked.
void host_console_want_write(bool);

// Disk: a request in RAM is handed to the disk's thread, which moves bytes between host file and RAM and marks it done;
// then disk_interrupt() runs on a vCPU under the kernel lock.
struct DiskRequest {
	uint64_t offset;
	void *memory;		// in RAM
	uint32_t bytes;
	enum Kind : uint32_t { kRead, kWrite, kFlush } kind;
	int32_t result;		// bytes or -errno, set when done
	uint32_t state;		// 0 queued in RAM, 1 with the host, 2 done
};
bool host_disk_present();
uint64_t host_disk_bytes();
bool host_disk_writable();
void host_disk_submit(DiskRequest *);	// state 0 -> 1 -> 2; refused (stays 0) while the disk is stopped for a checkpoint

// Stops and starts the disk for a checkpoint: while stopped, submitted requests stay at state 0; after the start
// disk_interrupt() is called, and the driver submits those again.
void host_disk_stop();
bool host_disk_idle();		// nothing with the host any more
void host_disk_start();

void host_random(void *to, size_t bytes);

// A line in minivk's log (stderr or the log file), "minivk: ..." in front.
void host_log(const char *format, ...) __attribute__((format(printf, 1, 2)));

}  // namespace minivk
#endif
