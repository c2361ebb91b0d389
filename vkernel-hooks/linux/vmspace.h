/*
 * DragonFly's vmspace(2) for vkernels on Linux.
 *
 * Names, constants, structures, return values and errnos are DragonFly's (sys/vmspace.h, sys/vkernel.h, sys/mman.h,
 * machine/frame.h, machine/vframe.h, sys/tls.h, machine/trap.h of the tree that has MAP_VPAGETABLE). What Linux needs
 * beyond it begins with vmspace_host_. Manual: vmspace(3).
 */
#ifndef VMSPACE_LINUX_H
#define VMSPACE_LINUX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef uint64_t vpte_t;
#define VPTE_V		0x001ULL	/* valid */
#define VPTE_RW		0x002ULL	/* writable */
#define VPTE_U		0x004ULL	/* user (ignored by the host) */
#define VPTE_A		0x020ULL	/* accessed, set by the host */
#define VPTE_M		0x040ULL	/* modified, set by the host */
#define VPTE_PS		0x080ULL	/* this entry maps directly (superpage) */
#define VPTE_G		0x100ULL
#define VPTE_WIRED	0x200ULL	/* the vkernel's own */
#define VPTE_MANAGED	0x400ULL	/* the vkernel's own */
#define VPTE_NX		0x800ULL	/* no execute */
#define VPTE_FRAME	0x000FFFFFFFFFF000ULL

/* sys/mman.h of DragonFly, as far as the calls below take them; prot bits are the same on both systems. */
#define DF_MAP_SHARED		0x0001
#define DF_MAP_FIXED		0x0010
#define DF_MAP_VPAGETABLE	0x2000
#define DF_MADV_NOSYNC		6
#define DF_MADV_INVAL		10
#define DF_MADV_SETMAP		11

#define VMSPACE_CTL_RUN		1
#define VM_MIN_USER_ADDRESS	0x0ULL
#define VM_MAX_USER_ADDRESS	0x7fffffe00000ULL

/* tf_trapno */
#define T_BPTFLT	3
#define T_ARITHTRAP	6
#define T_ASTFLT	7
#define T_PROTFLT	9
#define T_TRCTRAP	10
#define T_PAGEFLT	12
#define T_ALIGNFLT	14
#define T_DIVIDE	18
#define T_OFLOW		20
#define T_BOUND		21
#define T_DNA		22
#define T_SEGNPFLT	26
#define T_STKFLT	27
#define T_XMMFLT	29
#define T_PRIVINFLT	1
#define T_SYSCALL80	0x80	/* int $0x80 and every other 32-bit entry */
#define T_FAST_SYSCALL	0x81	/* syscall; rax is the number as the guest gave it */
/* tf_err of a T_PAGEFLT */
#define PGEX_P		0x01
#define PGEX_W		0x02
#define PGEX_U		0x04
#define PGEX_I		0x10

struct trapframe {	/* 25 x 8 bytes, as on DragonFly/x86_64 */
	uint64_t tf_rdi, tf_rsi, tf_rdx, tf_rcx, tf_r8, tf_r9, tf_rax, tf_rbx, tf_rbp, tf_r10, tf_r11, tf_r12, tf_r13,
	    tf_r14, tf_r15;
	uint64_t tf_xflags, tf_trapno, tf_addr, tf_flags;
	uint64_t tf_err, tf_rip, tf_cs, tf_rflags, tf_rsp, tf_ss;
};
struct tls_info { uint64_t base; int64_t size; };
struct savetls { struct tls_info info[2]; };	/* [0] FS, [1] GS */
struct vextframe { struct savetls vx_tls; };

int	vmspace_create(void *id, int type, void *data);
int	vmspace_destroy(void *id);
int	vmspace_ctl(void *id, int cmd, struct trapframe *tframe, struct vextframe *vframe);
void   *vmspace_mmap(void *id, void *addr, size_t len, int prot, int flags, int fd, off_t offset);
int	vmspace_munmap(void *id, void *addr, size_t len);
int	vmspace_mcontrol(void *id, void *addr, size_t len, int behav, off_t value);

/*
 * Before the first vmspace: the vkernel's RAM (one descriptor, mapped shared at ram_address; whole pages) and the number
 * of vCPUs (1 .. 32). Starts a thread that is the parent of every guest process, so the calling thread may end.
 * Returns 0 or -1 with errno; *fallback, if not NULL, receives NULL or a sentence that says which weaker way is in use.
 * Not for two threads at once; a process made by fork() must call none of these functions.
 */
int	vmspace_host_init(int ram_fd, void *ram_address, size_t ram_bytes, unsigned vcpu_count, const char **fallback);
/*
 * Before vmspace_host_init. 1: in guests, the CPUID instruction ends RUN with T_PROTFLT at its first byte, so that the vkernel can
 * answer it; 0 (at first): the processor does. Returns 0, or -1 with errno EOPNOTSUPP: this host cannot (cpuid_fault in
 * /proc/cpuinfo is missing), EBUSY: after vmspace_host_init.
 */
int	vmspace_host_trap_cpuid(int on);
/*
 * A vkernel whose RAM is not whole yet: fill(arg, offset, bytes) is called before that part of RAM is mapped into a guest,
 * and returns when it is there (vkckpt_fill of libvkckpt). On the vCPU in RUN, with a lock of its vmspace held: it must not
 * call any function of this header. NULL: no more. After vmspace_host_init, before the first RUN.
 */
void	vmspace_host_fill(void (*fill)(void *arg, uint64_t offset, uint64_t bytes), void *arg);
/*
 * vmspace_create for a vmspace that need not run soon, as those of a thaw: its host process is made at its first RUN, which
 * fails with EAGAIN if the host gives none; nothing has run then, and RUN may be called again.
 * Fails with EMFILE if the limit of descriptors would not allow all that were created to run.
 */
int	vmspace_host_create_later(void *id);
/* Destroys every vmspace and forgets the RAM. No other thread may be in a call of this header. */
void	vmspace_host_fini(void);
/* Says that the calling thread is vCPU `vcpu` (0 .. vcpu_count-1) from now on; needed before its first RUN. */
int	vmspace_host_enter_vcpu(unsigned vcpu);
/*
 * Makes the RUN that this vCPU is in, or else its next one, return with tf_trapno 0. Kicks do not add up.
 * Safety: AS-safe, any thread, keeps errno. A signal handler of a vCPU thread that wants RUN to return calls this: a
 * signal that comes just before the wait, or whose handler has SA_RESTART, does not end it by itself.
 */
void	vmspace_host_kick(unsigned vcpu);

/* Bytes of one XSAVE image in standard format on this host, and the state components (XCR0) in it. */
size_t	vmspace_host_xsave_bytes(void);
uint64_t vmspace_host_xcr0(void);
/* The XSAVE image a new thread starts with (FXSAVE defaults: fcw 0x37f, mxcsr 0x1f80). */
void	vmspace_host_xsave_init(void *xsave);
/*
 * VMSPACE_CTL_RUN together with the whole XSAVE state, in and out (on DragonFly the FPU registers stay live across RUN;
 * here they live in the guest task). vframe is written back too, so a guest may change its own FS and GS base. `xsave`
 * needs no alignment; NULL leaves the state in the guest task of this vmspace and vCPU. The image is made harmless on the
 * way in: bad header or MXCSR bits cannot fault.
 *
 * Returns 0, or -1 with errno. EIO: the vmspace's host process is dead (killed, out of memory, or damaged by its guest);
 * kill the guest process and destroy the vmspace. ENOMEM, EPERM, EACCES: the host refused to map a page. EAGAIN: of a
 * vmspace created for later, see above.
 */
int	vmspace_host_run(void *id, struct trapframe *tframe, struct vextframe *vframe, void *xsave);

#ifdef __cplusplus
}
#endif
#endif
