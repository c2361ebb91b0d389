// The console's back ends, and what the event thread watches of them.
#ifndef MINIVK_HOST_CONSOLE_H
#define MINIVK_HOST_CONSOLE_H

#include <poll.h>

namespace minivk {

enum class ConsoleUse { kUse, kLook };		// kLook: for a dry run, nobody will use it

// "stdio", "pty", "pty:LINK", "log:FILE", "null". False, and a message, if it cannot be had. No file, link or terminal is changed yet.
bool host_console_open(const char *what, ConsoleUse, char *message, unsigned long message_bytes);
// Raw modes, window changes; the file or link, if it is not there yet. False, and a message, if that has gone wrong since it was opened.
bool host_console_start(char *message, unsigned long message_bytes);
void host_console_close();			// gives the terminal its modes back, removes the link
extern bool host_console_deaf;			// set before host_console_open: the standard input is an image, not keys
const char *host_console_kind();		// as given to host_console_open
unsigned long host_console_poll_set(pollfd *two);	// event thread: what to wait for
void host_console_polled(int fd, short events);
void host_events_poke();			// the event thread looks again at what to wait for

}  // namespace minivk
#endif
