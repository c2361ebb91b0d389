// The words that go with a reason code.
#ifndef VKCKPT_LIB_REASONS_H
#define VKCKPT_LIB_REASONS_H

#include <vkckpt/error.h>

namespace vk {

struct ReasonText {
	uint32_t reason;
	const char *name;
	const char *text;
	const char *remedy;
};
const ReasonText *reason_text(uint32_t reason);	// null: no such reason

}  // namespace vk
#endif
