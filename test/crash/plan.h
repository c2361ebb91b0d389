// What is to happen to a real program at one of its fault points (test/fault/points.h): a page that a test and the program share, in the
// file that VKCKPT_TEST_PLAN names. Only programs in build/faulty/bin look at it; they are the ordinary ones, linked with a seam that
// asks the hook in hook.cc before each host call.
#ifndef VKCKPT_TEST_PLAN_H
#define VKCKPT_TEST_PLAN_H

#include <stdint.h>

namespace crash {

enum Action : uint32_t { kNothing = 0, kKill = 1, kStop = 2, kError = 3 };

constexpr unsigned kMostSeen = 1000, kNameRoom = 32;

struct Plan {
	uint32_t action;		// enum Action; 0: only names are noted
	uint32_t error;			// for kError: errno
	char point[kNameRoom];		// where: a name of points.h
	uint32_t time;			// the how manieth passing of it since `passed` was 0
	uint32_t passed;
	uint32_t reached;		// 1: it was done
	uint32_t seen_count;
	char seen[kMostSeen][kNameRoom];	// in order
};

}  // namespace crash
#endif
