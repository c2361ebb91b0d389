// The fault points: every place at which the library asks the host for something that the host can refuse, by number and name, and the
// operations that pass it. The one table is in points.cc. On a simulated host test/fault/named.cc makes each of them fail in every way and holds the
// table against what the library does; test/e2e/test_named_images.cc does so with the real commands that make one image of another, sign and make
// keys (kSeal and behind). A call without a name fails these tests, and so does a point that nothing reaches.
#ifndef VKCKPT_TEST_POINTS_H
#define VKCKPT_TEST_POINTS_H

#include <string>

namespace points {

enum Operation : unsigned {
	kBoot = 1, kEnd = 2, kDiscard = 4, kSuspend = 8, kCheckpoint = 16, kThaw = 32, kClone = 64, kArm = 128, kDisarm = 256, kChain = 512,
	kSealed = 1024, kSealedThaw = 2048, kFlatten = 4096,
	kSeal = 8192, kUnseal = 16384, kSign = 32768, kKeygen = 65536, kSimulated = kSeal - 1,
	kReal = 131072			// of vkernels on a real host alone: copies where it has no reflinks, holes, pipes
};

struct Point {
	unsigned number;		// stable
	const char *name;		// OBJECT.VERB
	unsigned operations;
};

const Point *begin();
const Point *end();
const Point *find(const std::string &name);	// null: there is none

// "sidecar.new.sync": the name of a call, path: what it is about.
std::string name_of(long number, const long *arguments, const std::string &path);
// The same without allocation, TLS and static data, for any context and thread.
void name_of(long number, const long *arguments, const char *path, char *out, size_t room);

}  // namespace points
#endif
