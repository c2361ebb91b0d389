// The stable reason codes in words: name, what it means, what to do. One table, in the order of error.h. Every context.
#include <stddef.h>

#include "lib/reasons.h"

namespace vk {
namespace {

#define R(name) VKCKPT_R_##name, #name

constexpr ReasonText kReasons[] = {
	{ R(NONE), "success", "nothing is to be done" },
	{ R(BAD_ARGUMENT), "an argument is not valid", "correct the call or the option that is named" },
	{ R(LIMIT), "a limit of the image format is exceeded", "use fewer or smaller ones; the limits stand in vkckpt(5)" },
	{ R(BUSY), "another request is being served", "wait until it has ended and ask again" },
	{ R(CANCELLED), "the request was cancelled", "the vkernel runs on; ask again when you want" },

	{ R(NOT_AN_IMAGE), "this is not a checkpoint image", "check the file's name; an image begins with the bytes 89 56 4b 43 4b 50 54 0a" },
	{ R(TRUNCATED), "the image ends too early", "it was not copied or received whole: copy it again from where it was written" },
	{ R(DAMAGED), "the image is damaged", "use another copy of it; vkckpt verify tells good copies from bad ones" },
	{ R(TRAILING_DATA), "there are bytes behind the end of the image",
	    "something was appended, or two files were joined: use the file as it was written" },
	{ R(VERSION_UNKNOWN), "the image has a format version that this program does not know", "use a newer libvkckpt" },
	{ R(FEATURE_UNKNOWN), "the image needs a feature that this program does not know", "use a newer libvkckpt" },
	{ R(RECORD_UNKNOWN), "the image needs a kind of record that this program does not know", "use a newer libvkckpt" },
	{ R(CODEC_UNKNOWN), "a part of RAM is stored in a way that this program does not know", "use a newer libvkckpt" },
	{ R(SEALED), "the image is encrypted, and no key of this kind was given",
	    "give its secret key or raw key (--key FILE or fd:N), or its passphrase (--passphrase-fd N)" },
	{ R(KEY_WRONG), "the key or passphrase given does not open the image",
	    "give the one that belongs to it; vkckpt info tells what it was sealed with" },
	{ R(NOT_SEALED), "a key was given, but the image is not encrypted: anybody can have made it",
	    "make sure where it comes from; to use it all the same leave the key out" },
	{ R(FORGED), "the image was changed since it was sealed", "use another copy of it, and find out who can write to this one" },
	{ R(NOT_SIGNED), "the image has no signature beside it",
	    "get FILE.sig from where the image was signed, or sign it there with vkckpt sign" },
	{ R(SIGNATURE_WRONG), "the image is not what was signed, or not signed by the key that is asked for",
	    "use a copy that vkckpt verify --signed-by finds good, or check which public key its signer has" },
	{ R(KEY_FILE), "a key file or passphrase cannot be used", "make keys with vkckpt keygen; who may read and write them is said in vkckpt(1)" },

	{ R(ARCH_DIFFERS), "the image is of another processor architecture", "thaw it on a host of that architecture" },
	{ R(PAGE_SIZE_DIFFERS), "the image has another page size", "thaw it on a host with that page size" },
	{ R(CPU_LACKS_FEATURE), "this host's processor lacks a feature that the guest may be using",
	    "thaw on a host that has it, or start the vkernel with the feature hidden (minivk: --cpu-mask), or on the lesser host" },
	{ R(XSTATE_LACKING), "this host cannot restore a part of the guest's extended processor state",
	    "thaw on a host that has it" },
	{ R(PROGRAM_DIFFERS), "the image belongs to another kind of vkernel", "thaw it with the program that is named in it" },
	{ R(BUILD_DIFFERS), "the image was made by another build of this vkernel",
	    "thaw it with the very binary that wrote it: its build id is in vkckpt info" },
	{ R(LAYOUT_DIFFERS), "the vkernel's data has another layout than the image", "thaw it with the version of the vkernel that wrote it" },
	{ R(MEMORY_SHORT), "not enough memory for the vkernel's RAM: so many bytes are needed", "free memory, raise the limit of the control group, thaw lazily and on demand, or on another host" },
	{ R(ADDRESS_TAKEN), "the vkernel's RAM cannot be mapped at its address",
	    "something else lies there: start the thaw without address randomisation (setarch -R), or link the vkernel -no-pie" },
	{ R(RESUME_DIFFERS), "the image's vCPUs go on in another way than this vkernel's (entry or saved context)",
	    "thaw it with resume_kind as it was at the suspend" },
	{ R(LAZY_UNAVAILABLE), "RAM cannot be loaded lazily here",
	    "it takes an image in a file, not a pipe, and a host that gives userfaultfd: be root, set vm.unprivileged_userfaultfd to 1, or open /dev/userfaultfd to the user" },
	{ R(CPU_UNMASKED), "this host cannot hide processor features from guests",
	    "take a host with CPUID faulting (cpuid_fault in /proc/cpuinfo); or leave the mask out (minivk: --cpu-mask host), and start the vkernel on the least processor that it is to be thawed on" },

	{ R(DEVICE_UNKNOWN), "the vkernel has no device class of this name", "thaw with a vkernel that has it" },
	{ R(DEVICE_MISSING), "the device cannot be opened", "provide it, or override its configuration (-o NAME.KEY=VALUE)" },
	{ R(OVERRIDE_UNKNOWN), "the image has no such device or key to override", "vkckpt info lists the devices and their keys" },
	{ R(DISK_MISSING), "the disk is not there", "put it back, or say where it is (-o NAME.path=FILE)" },
	{ R(DISK_CHANGED), "changed since the checkpoint",
	    "put back the disk as it was: on a changed one the guest would destroy its file system; one that was only moved or "
	    "copied is known again if it was suspended with a digest (minivk: --disk-digest; UML: vkckpt.disk-digest)" },
	{ R(DISK_IN_USE), "the disk is in use by another vkernel", "stop that vkernel first" },
	{ R(DISK_SUSPENDED), "the disk belongs to a suspended vkernel",
	    "thaw its image; or give the image up for good with vkckpt discard, then boot" },
	{ R(DISK_SUPERSEDED), "the disk has gone on since this image",
	    "thaw the newest image of this disk; if there is none, give this one up with vkckpt discard and boot" },
	{ R(DISK_NOT_FROZEN), "a checkpoint that continues needs a frozen copy of each writable disk",
	    "suspend instead, use a file system with reflinks, have the disks copied (--copy-disks), or ask for RAM alone" },
	{ R(SIDECAR_DAMAGED), "the disk's sidecar file is damaged",
	    "restore it with the disk from a backup; or make sure that no image of this disk is wanted, then vkckpt discard" },

	{ R(CLONE_EXISTS), "the clone's disk would lie where a file is already",
	    "give the clone another name; or remove the file and its .vkckpt, if no clone uses them" },
	{ R(CLONE_DEVICE), "a disk that is not a regular file cannot be copied for a clone",
	    "put a copy of it into a file, or thaw the vkernel itself" },

	{ R(QUIESCE_TIMEOUT), "the vkernel did not come to rest in time",
	    "it runs on unharmed; ask again when it is less busy, or give it more time (quiesce_timeout_ns; minivk: --quiesce-timeout)" },
	{ R(HOOK_FAILED), "the vkernel refused", "see the reason it gave; it runs on unharmed" },
	{ R(VETOED), "a guest process vetoed the checkpoint", "ask again later, or stop that process" },
	{ R(IMAGE_IN_USE), "another vkernel writes its image to this file", "wait for it, or give the image another name" },

	{ R(NO_SPACE), "no space is left", "free space there or choose another place; nothing is lost: an old image is intact, a running vkernel runs on" },
	{ R(IO_ERROR), "the host reported an input or output error", "check the disk and the host's log" },
	{ R(PERMISSION), "permission denied", "check the owner and the mode of the file and its folder" },
	{ R(NOT_FOUND), "no such file or folder", "check the name" },
	{ R(NO_MEMORY), "the host has no memory left", "free memory, or raise the limit that applies (ulimit, cgroup)" },
	{ R(SYSTEM), "the host refused a call", "the error number says why" },
	{ R(NO_DESCRIPTOR), "no file descriptor is left",
	    "raise the limit and ask again: of the process with prlimit --nofile or ulimit -n (EMFILE), of the host with sysctl fs.file-max (ENFILE)" },

	{ R(PARENT_MISSING), "the image is incremental, and its parent is not where it should be",
	    "put the parent back beside it (vkckpt info names the whole chain), or name it to the thaw or to vkckpt flatten with --parent" },
	{ R(PARENT_CHANGED), "another image lies in the place of the parent",
	    "put the right one there: vkckpt info shows the id that is wanted; or name it to the thaw or to vkckpt flatten with --parent" },
	{ R(PARENT_NEEDED), "the image is incremental and comes from a pipe, so its parent cannot be found",
	    "send what vkckpt flatten makes of it, or name the parent to the thaw with --parent" },
	{ R(PARENT_UNFIT), "this image cannot be the parent",
	    "take one of the same vkernel that was written with --chain; or leave the parent out: the next image is a full one" },
	{ R(CHAIN_LOOP), "the chain of parents leads back to an image that is part of it", "restore the images as they were written" },
	{ R(CHAIN_TOO_DEEP), "the chain of parents is longer than 64 images", "restore the images as they were written" },
};

#undef R

}  // namespace

const ReasonText *reason_text(uint32_t reason)
{
	for (const ReasonText &r : kReasons)
		if (r.reason == reason)
			return &r;
	return nullptr;
}

}  // namespace vk

extern "C" __attribute__((visibility("default"))) const char *vkckpt_reason_name(uint32_t reason)
{
	const vk::ReasonText *r = vk::reason_text(reason);
	return r ? r->name : "UNKNOWN";
}

extern "C" __attribute__((visibility("default"))) const char *vkckpt_reason_text(uint32_t reason)
{
	const vk::ReasonText *r = vk::reason_text(reason);
	return r ? r->text : "a reason that this version of the library does not know";
}

extern "C" __attribute__((visibility("default"))) const char *vkckpt_reason_remedy(uint32_t reason)
{
	const vk::ReasonText *r = vk::reason_text(reason);
	return r ? r->remedy : "use a newer libvkckpt";
}
