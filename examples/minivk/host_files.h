// Files of the host that the command line names: each has one purpose, and none that is not minivk's is written over or removed.
#ifndef MINIVK_HOST_FILES_H
#define MINIVK_HOST_FILES_H

#include "options.h"

namespace minivk {

// Each ends the process with a message and status 1 if it cannot be had.
void check_files(const Options &);		// no file is named for two purposes
void write_pidfile(const char *path);		// null: none
void remove_pidfile();				// if its name still leads to ours

}  // namespace minivk
#endif
