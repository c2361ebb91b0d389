/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Checkpoint and thaw with libvkckpt: what the kernel side and the host side of User Mode Linux know of each other.
 *
 * Three places run this code. BOOT and RUN: the kernel's own contexts. QUIET: on the library's stack inside vkckpt_capture, everything
 * stopped; current, printk and kmalloc do not exist there. THAW: in main() of a new process, on the host's stack; first with the fresh
 * data of this program, then, behind the point of no return, with those of the captured kernel. What lives across that change lies in memory
 * that um_vkckpt_host_alloc() gave, never in .data or .bss.
 */
#ifndef __UM_VKCKPT_H
#define __UM_VKCKPT_H

#include <longjmp.h>

#define UM_VK_PATH	1024
#define UM_VK_ARGS	4096
#define UM_VK_UBD	16		/* MAX_DEV of ubd_kern.c */
#define UM_VK_LINES	80		/* consoles, then serial lines */
#define UM_VK_VEC	16
#define UM_VK_FILES	250

enum um_vkckpt_kind { UM_VK_MACHINE, UM_VK_UBD_DEV, UM_VK_LINE, UM_VK_VECTOR, UM_VK_HOSTFS };

/* A block device as it is now. */
struct um_vkckpt_ubd {
	const char *path, *backing;	/* backing: NULL without copy-on-write */
	int fd, backing_fd;		/* -1: nobody has it open */
	int writable, shared, sync;
	unsigned long long size_bytes;
};

/* How long the guest is away, in microseconds: of a suspend, and of the thaw that this run began with. */
struct um_vkckpt_times {
	long long sync, freeze, devices;
	long long exec, load, spaces, back, tasks;
};

enum { UM_VK_RESUMED = 0, UM_VK_THAWED = 1, UM_VK_EXIT = 2 };

/* ---- host side (arch/um/os-Linux/vkckpt*.c) ---- */

/* First thing in main(): latches requests, pins the address layout; argv of the boot is kept for a reboot after a thaw. */
extern void um_vkckpt_main(int argc, char **argv);
/* "thaw=FILE" was given: does not return unless it is to run; then the caller goes to start_thaw(). */
extern int um_vkckpt_thaw(int argc, char **argv);
extern void um_vkckpt_resume(void);		/* to where the image was taken; does not return */
extern char **um_vkckpt_reboot_argv(void);	/* NULL: as main() was called */

extern int um_vkckpt_set(const char *key, const char *value);	/* vkckpt=, vkckpt.KEY= */
extern int um_vkckpt_wanted(void);		/* vkckpt= was given */
extern int um_vkckpt_armed(void);
extern int um_vkckpt_arm(void);			/* 0, 1: not asked for, -errno (said on stderr) */
/* Before arm: a device of the checkpoint. Afterwards: one that was not there at arm refuses it. */
extern void um_vkckpt_add(int kind, int unit, const char *name);
extern void um_vkckpt_refuse(const char *name, const char *why);	/* why no checkpoint is possible: the request fails */
extern const char *um_vkckpt_refused(void);
extern void um_vkckpt_begin(void);		/* forget refusals */
/* UM_VK_*, or -errno. Saves the caller's registers: call it from a frame that may be restored. */
extern int um_vkckpt_capture(void);
/* The request cannot be served: ends it with this errno and a sentence. */
extern void um_vkckpt_decline(int err, int vetoed, const char *why);
extern int um_vkckpt_requested(void);		/* 1: there is a request, -ECANCELED: it was cancelled, 0: none */
extern void um_vkckpt_tell_times(void);		/* um_vkckpt_times as it is now goes into images from here on */
extern void um_vkckpt_generation(unsigned char out[16], unsigned long long *thaw_count);
extern int um_vkckpt_ask(int continues);	/* a guest process asks: 0 or -errno */
extern const char *um_vkckpt_message(void);	/* of the last request that failed */

/*
 * After a lazy thaw: returns when these bytes of guest memory are in place. To be called before anybody but this process's own mapping of
 * it (which waits by itself) may touch them: a hole of the file reads as zero there.
 */
extern void um_vkckpt_fill(int fd, unsigned long long offset, unsigned long len);
extern int um_vkckpt_filling(void);		/* 1: guest memory is not complete yet */
extern void *um_vkckpt_host_alloc(unsigned long bytes);
/* Puts newfd under the number oldfd, which a restored structure knows. */
extern int um_vkckpt_dup(int newfd, int oldfd);
extern void um_vkckpt_claim(int fd);		/* a descriptor that was made again */
extern void um_vkckpt_unclaimed(void);		/* names those that were not, and closes their placeholders */
/* Takes the fence of a disk that is opened for writing; cow: it is a copy-on-write file. 0 or -errno. */
extern int um_vkckpt_disk_boot(int unit, const char *path, int fd, int cow);
extern void um_vkckpt_disks_end(void);

/* Left by the thaw for the kernel side; valid from the resume on. */
extern unsigned char um_vkckpt_entropy[64];		/* for the random number generator */
extern char um_vkckpt_clone[64];			/* the name of a clone; "": none */
extern int um_vkckpt_kick_fd;			/* one byte into it wakes the kernel; -1: not yet */
extern char um_vkckpt_ubd_path[UM_VK_UBD][2][UM_VK_PATH];	/* overridden paths: "" none */
extern char um_vkckpt_line_conf[UM_VK_LINES][128];		/* overridden channels */
extern unsigned short um_vkckpt_line_size[UM_VK_LINES][2];	/* rows and columns of a pty when it was captured */
extern char um_vkckpt_vec_args[UM_VK_VEC][UM_VK_PATH];	/* overridden arguments */
extern int um_vkckpt_vec_fd[UM_VK_VEC][2];			/* opened by the thaw: rx, tx */
extern struct um_vkckpt_times um_vkckpt_times;
extern int um_vkckpt_hostfs_fd[UM_VK_FILES];
extern int um_vkckpt_hostfs_count;
extern void os_vkckpt_window_size(int fd, const unsigned short *size);
extern long long os_vkckpt_usecs(void);
extern void os_vkckpt_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* ---- kernel side (arch/um/kernel/vkckpt.c) ---- */

extern void um_vkckpt_frames(unsigned long first, unsigned int count, unsigned char *state, unsigned char *page_class);
/* The next mm behind *cursor (0: the first): 1 and its facts, 0 no more. QUIET. */
extern int um_vkckpt_next_mm(unsigned long long *cursor, unsigned long long *id, int *pid, char *name,
			     unsigned long *root, unsigned long *size);
extern void um_vkckpt_map_vmalloc(void);	/* THAW: the kernel's page-wise mappings */
extern int um_vkckpt_cancelled;			/* the request that this suspend was for is over: cancelled */
/* Called by the freezer, and by um_suspend_ops. */
struct task_struct;
extern void um_vkckpt_unfrozen(struct task_struct *task);
extern int um_vkckpt_suspend_begin(void);
extern int um_vkckpt_suspend_prepare(void);
extern int um_vkckpt_suspend_enter(void);
extern void um_vkckpt_suspend_finish(void);
/* vkckpt_dev.c */
extern int um_vkckpt_notice(void);		/* tells guest processes; 0 or -ECANCELED: vetoed, or the request was cancelled */
extern void um_vkckpt_notice_cancel(void);	/* from an interrupt: that one need not wait any more */
extern void um_vkckpt_notice_end(int result);	/* 0 committed and going on, 1 thawed, -errno */

/* ---- one hook per owner of host state ---- */
extern int phys_fd(void);
extern void phys_fd_thaw(int fd);
extern int phys_iomem(void);
extern int os_thaw_epoll(void);
extern void os_thaw_signals(void *irqstack, int size);
extern int os_thaw_umid(void);
extern const char *os_umid_file(void);
extern int os_thaw_sigio(void);
extern int os_thaw_rtc(void);
extern void rtc_thaw(void);
extern void random_thaw(void);
extern int start_thaw(void);
extern void um_irqs_thaw(void);
extern int thaw_io_thread(unsigned long sp, int thread_fd);
extern void ubd_vkckpt_list(void);
extern int ubd_vkckpt_facts(int unit, struct um_vkckpt_ubd *out);
extern void ubd_vkckpt_drained(void);
extern void ubd_thaw(void);
extern void mconsole_thaw(void);
extern void stdio_console_vkckpt_list(void);
extern void ssl_vkckpt_list(void);
extern const char *stdio_console_vkckpt_facts(int unit, int *fd);
extern const char *ssl_vkckpt_facts(int unit, int *fd);
extern void stdio_console_vkckpt_check(void);
extern void ssl_vkckpt_check(void);
extern void port_thaw(void);
extern void stdio_console_thaw(void);
extern void ssl_thaw(void);
extern void winch_thaw(void);
extern void vector_vkckpt_list(void);
extern int vector_vkckpt_facts(int unit, char *args, int room);	/* 1 open, 0 configured only */
extern void vector_vkckpt_check(void);
extern void vector_thaw(void);
extern int hostfs_vkckpt_fds(int *fds, int room);
extern void um_vkckpt_hostfs_check(void);

#endif
