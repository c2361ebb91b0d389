// Errors: made where they happen, put into words once, at the C ABI. Every context, also SIGNAL; nothing allocates.
#include <errno.h>

#include "lib/reasons.h"
#include "lib/sys.h"
#include "lib/text.h"

namespace vk {
namespace {

uint32_t reason_of_errno(int code)
{
	switch (code) {
	case ENOSPC: case EDQUOT: case EFBIG:
		return VKCKPT_R_NO_SPACE;
	case EIO: case EPIPE: case ECONNRESET:
		return VKCKPT_R_IO_ERROR;
	case EACCES: case EPERM: case EROFS:
		return VKCKPT_R_PERMISSION;
	case ENOENT: case ENOTDIR:
		return VKCKPT_R_NOT_FOUND;
	case ENOMEM:
		return VKCKPT_R_NO_MEMORY;
	case EMFILE: case ENFILE:
		return VKCKPT_R_NO_DESCRIPTOR;
	default:
		return VKCKPT_R_SYSTEM;
	}
}

// Those that a person may meet here; strerror(3) is libc's.
const char *errno_name(int code)
{
	switch (code) {
	case EPERM: return "EPERM";
	case ENOENT: return "ENOENT";
	case EINTR: return "EINTR";
	case EIO: return "EIO";
	case EBADF: return "EBADF";
	case EAGAIN: return "EAGAIN";
	case ENOMEM: return "ENOMEM";
	case EACCES: return "EACCES";
	case EFAULT: return "EFAULT";
	case EBUSY: return "EBUSY";
	case EEXIST: return "EEXIST";
	case ENODEV: return "ENODEV";
	case ENOTDIR: return "ENOTDIR";
	case EISDIR: return "EISDIR";
	case EINVAL: return "EINVAL";
	case ENFILE: return "ENFILE";
	case EMFILE: return "EMFILE";
	case EFBIG: return "EFBIG";
	case ENOSPC: return "ENOSPC";
	case ESPIPE: return "ESPIPE";
	case EROFS: return "EROFS";
	case EPIPE: return "EPIPE";
	case ENAMETOOLONG: return "ENAMETOOLONG";
	case ENOSYS: return "ENOSYS";
	case ELOOP: return "ELOOP";
	case EOVERFLOW: return "EOVERFLOW";
	case EOPNOTSUPP: return "EOPNOTSUPP";
	case ETXTBSY: return "ETXTBSY";
	case EDQUOT: return "EDQUOT";
	case ECONNRESET: return "ECONNRESET";
	case ECANCELED: return "ECANCELED";
	case ENXIO: return "ENXIO";
	case ENOBUFS: return "ENOBUFS";
	case ETIMEDOUT: return "ETIMEDOUT";
	case ESTALE: return "ESTALE";
	case EBADMSG: return "EBADMSG";
	default: return nullptr;
	}
}

void errno_text(int code, Text &text)
{
	if (const char *name = errno_name(code))
		text.add(name);
	else
		text.add("errno ").decimal(static_cast<uint64_t>(code));
}

// Those where the errno says more than the reason.
bool has_errno(uint32_t reason) { return reason >= VKCKPT_R_NO_SPACE || reason == VKCKPT_R_DEVICE_MISSING; }

// Those where the number helps a program only: how far the writing came, or an offset that the subject names.
bool is_beside_the_point(uint32_t reason) { return reason == VKCKPT_R_NO_SPACE || reason == VKCKPT_R_SIGNATURE_WRONG; }

void sentence(const Status &status, char *out, size_t room)
{
	Text text(out, room);
	const ReasonText *words = reason_text(status.reason);
	text.add(status.where);
	if (status.subject[0] != '\0')
		text.add(": ").add(status.subject);
	text.add(": ").add(vkckpt_reason_text(status.reason));
	if (has_errno(status.reason)) {
		text.add(" (");
		errno_text(status.code, text);
		text.add(")");
	}
	if (status.number != 0 && !is_beside_the_point(status.reason)) {
		text.add(" (");
		if (status.reason == VKCKPT_R_ADDRESS_TAKEN)
			text.add("0x").hex(status.number);
		else
			text.decimal(status.number);
		text.add(")");
	}
	text.add("; ").add(vkckpt_reason_remedy(status.reason));
	text.add(" (").add(words ? words->name : "UNKNOWN").add(")");
}

}  // namespace

Status fail(int code, uint32_t reason, const char *where, const char *subject, uint64_t number)
{
	VK_CHECK(code > 0 && where != nullptr);
	Status status;
	status.code = code;
	status.reason = reason;
	status.where = where;
	status.number = number;
	(void)text_copy(status.subject, sizeof status.subject, subject ? subject : "");
	text_clean(status.subject);
	return status;
}

Status fail_host(int code, const char *where, const char *subject, uint64_t number)
{
	return fail(code, reason_of_errno(code), where, subject, number);
}

int report(const Status &status, struct vkckpt_error *err)
{
	if (err) {
		*err = {};
		err->code = status.code;
		err->reason = status.reason;
		err->number = status.number;
		err->where = status.where;
		(void)text_copy(err->subject, sizeof err->subject, status.subject);
		if (!status.ok())
			sentence(status, err->message, sizeof err->message);
	}
	return -status.code;
}

void bug(const char *file, int line, const char *what)
{
	char message[256];
	Text text(message, sizeof message);
	text.add("libvkckpt: bug at ").add(file).add(":").decimal(static_cast<uint64_t>(line)).add(": ").add(what).add("\n");
	// One write, because nothing else can be trusted now; whether it arrives does not change what follows.
	(void)sys_write(2, message, text.length());
	__builtin_trap();
}

}  // namespace vk

extern "C" __attribute__((visibility("default"))) int vkckpt_error_fill(struct vkckpt_error *err, int code, uint32_t reason,
    const char *where, const char *subject, const char *said)
{
	using namespace vk;
	Status status = fail(code, reason ? reason : reason_of_errno(code), where, subject);
	int r = report(status, err);
	if (err && said) {
		char tail[48];		// stands at the end, however much is said
		Text end(tail, sizeof tail);
		end.add(" (").add(vkckpt_reason_name(status.reason)).add(")");
		Text text(err->message, sizeof err->message - end.length());
		text.add(where).add(": ").add(status.subject).add(status.subject[0] ? ": " : "").add(said);
		text_clean(err->message);
		(void)text_copy(err->message + text.length(), sizeof err->message - text.length(), tail);
	}
	return r;
}

extern "C" __attribute__((visibility("default"))) size_t vkckpt_error_json(const struct vkckpt_error *err, char *out, size_t room)
{
	using namespace vk;
	char name[32];
	Text number(name, sizeof name);
	errno_text(err->code, number);
	Text text(out, room);
	text.add("{\"reason\": ").json(vkckpt_reason_name(err->reason)).add(", \"code\": ").decimal(err->reason);
	text.add(", \"errno\": ").json(name).add(", \"where\": ").json(err->where ? err->where : "");
	text.add(", \"subject\": ").json(err->subject).add(", \"number\": ").decimal(err->number);
	text.add(", \"text\": ").json(vkckpt_reason_text(err->reason)).add(", \"remedy\": ").json(vkckpt_reason_remedy(err->reason));
	text.add(", \"message\": ").json(err->message).add("}");
	if (text.cut()) {
		if (room > 0)
			out[0] = '\0';
		return 0;
	}
	return text.length();
}
