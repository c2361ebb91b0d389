// The console's back ends, and what the event thread watches of them.
#ifndef MINIVK_HOST_CONSOLE_H
#define MINIVK_HOST_CONSOLE_H

#include <poll.h>

namespace minivk {

// "stdio", "pty", "pty:LINK", "log:FILE", "null". False, and a message, if it cannot be had.
bool host_console_open(const char *what, char *message, unsigned long message_bytes);
void host_console_start();			// raw modes, window changes: with no way back but host_console_close
void host_console_close();			// gives the terminal its modes back
const char *host_console_kind();		// as given to host_console_open
unsigned long host_console_poll_set(pollfd *two);	// event thread: what to wait for
void host_console_polled(int fd, short events);
void host_events_poke();			// the event thread looks again at what to wait for

}  // namespace minivk
#endif
