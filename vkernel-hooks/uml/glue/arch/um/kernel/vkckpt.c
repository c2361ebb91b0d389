// SPDX-License-Identifier: GPL-2.0
/*
 * Kernel side of checkpoint and thaw. The quiet point is the kernel's own suspend to RAM: tasks frozen, devices suspended, timekeeping
 * stopped, interrupts off, on a kernel stack that is guest memory. um_vkckpt_suspend_enter() writes the image there, and a thawing process
 * returns to the very same place, so that clocks, devices and tasks come back by the kernel's own resume.
 */
#include <linux/init.h>
#include <linux/interrupt.h>
#include <linux/etherdevice.h>
#include <linux/gfp.h>
#include <linux/if_arp.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/oom.h>
#include <linux/netdevice.h>
#include <linux/page-flags.h>
#include <linux/random.h>
#include <linux/rtnetlink.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <linux/suspend.h>
#include <linux/workqueue.h>
#include <net/arp.h>
#include <asm/pgtable.h>
#include <asm/tlbflush.h>
#include <asm/mmu_context.h>
#include <as-layout.h>
#include <init.h>
#include <irq_kern.h>
#include <irq_user.h>
#include <kern.h>
#include <kern_util.h>
#include <mem_user.h>
#include <os.h>
#include <skas.h>
#include <um_vkckpt.h>

extern struct list_head um_mm_list;
extern char cpu0_irqstack[];
extern void uml_cleanup(void);
extern int uml_exitcode;

#define VK_EXIT_SUSPENDED 33

/* Free pages are left out of an image, so nothing may be expected in them; the others keep state of the host that nobody makes again. */
#if defined(CONFIG_PAGE_POISONING) || defined(CONFIG_KASAN) || defined(CONFIG_UML_TIME_TRAVEL_SUPPORT) || \
	defined(CONFIG_VIRTIO_UML) || defined(CONFIG_UML_SOUND) || defined(CONFIG_UML_WATCHDOG)
#error "libvkckpt cannot checkpoint a kernel with page poisoning, KASAN, time travel, virtio_uml, sound or the watchdog"
#endif
#if defined(CONFIG_UML_NET_ETHERTAP) || defined(CONFIG_UML_NET_TUNTAP) || defined(CONFIG_UML_NET_SLIP) || \
	defined(CONFIG_UML_NET_DAEMON) || defined(CONFIG_UML_NET_VDE) || defined(CONFIG_UML_NET_MCAST) || \
	defined(CONFIG_UML_NET_PCAP) || defined(CONFIG_UML_NET_SLIRP)
#error "libvkckpt cannot checkpoint the old network transports of User Mode Linux (ethN=); use the vector ones (vecN:)"
#endif

static struct workqueue_struct *vk_wq;
static int vk_sock[2] = { -1, -1 };
static int vk_thawing;			/* devices are not back yet */
static int vk_captured;			/* the request got as far as the library */
static int vk_result;
int um_vkckpt_cancelled;		/* the request that this suspend was for is over: cancelled */
static int vk_begun, vk_frozen;		/* the suspend has begun, the tasks are frozen */
static char vk_task[40];		/* the first of those that cannot be frozen */
static int vk_tasks;			/* how many they are */
static long long vk_mark;		/* where the phase that is measured began */

/* The time since the last mark, which moves here. */
static long long vk_lap(void)
{
	long long now = os_vkckpt_usecs(), lap = now - vk_mark;

	vk_mark = now;
	return lap;
}

/* ---- command line ---- */

static int __init vkckpt_setup(char *value, int *add)
{
	*add = 0;
	if (um_vkckpt_set("", value))
		os_warn("vkckpt=: a file's path is needed\n");
	return 0;
}
__uml_setup("vkckpt=", vkckpt_setup,
"vkckpt=<file>\n"
"    Where a checkpoint is written: on SIGCKPT (52), SIGCKPTEXIT (53), suspend to RAM, or when a guest process asks.\n\n");

static int __init vkckpt_setup_more(char *text, int *add)
{
	char *eq = strchr(text, '=');

	*add = 0;
	if (eq)
		*eq = 0;
	if (um_vkckpt_set(text, eq ? eq + 1 : NULL))
		os_warn("vkckpt.%s: not a parameter, or not a value of it\n", text);
	return 0;
}
__uml_setup("vkckpt.", vkckpt_setup_more,
"vkckpt.action=exit|continue, vkckpt.name=<name>, vkckpt.binary=keep\n"
"    What plain SIGCKPT does behind the commit; the name that tools call this kernel by (default: its umid); a link to this binary, which\n"
"    alone can thaw the images, is kept beside them.\n"
"vkckpt.chain=<2..64>|off, vkckpt.parent=<image>\n"
"    Images are incremental and have names of their own, <file>.0001.ckpt and so on; after so many of them comes a full one (default: 16\n"
"    with vkckpt.action=continue, else off). The image that the first one is built on.\n"
"vkckpt.disk-digest\n"
"    Images record a digest of each writable disk's content, so that it may be moved or copied before the thaw.\n"
"vkckpt.codec=raw|lz4|lz4:1|lz4:2, vkckpt.workers=<0..64>\n"
"    How images are stored (default: lz4, harder while the disk is the limit), and by how many threads (0: by the host's CPUs).\n\n");

/* ---- what the library asks while everything is quiet: no current, no locks ---- */

/* The first page behind this one that need not be free too: pfn itself if it is in use, else the end of its block of the buddy allocator. */
static unsigned long vk_free_until(unsigned long pfn)
{
	int order;

	for (order = 0; order < MAX_ORDER; order++) {
		unsigned long first = pfn & ~((1UL << order) - 1);
		struct page *head = pfn_to_page(first);

		if (PageBuddy(head))
			return page_private(head) >= order ? first + (1UL << page_private(head)) : pfn;
	}
	return pfn;
}

/* 1 if all that the page holds is struct pages of free memory: nobody looks at them soon */
static int vk_page_cold(unsigned long pfn)
{
	unsigned long first = (unsigned long)__va(pfn << PAGE_SHIFT), begin = (unsigned long)mem_map, at, end, next;

	if (first < begin || first + PAGE_SIZE > begin + max_mapnr * sizeof(struct page))
		return 0;
	at = (first - begin) / sizeof(struct page);
	end = DIV_ROUND_UP(first + PAGE_SIZE - begin, sizeof(struct page));
	while (at < end && (next = vk_free_until(at)) > at)
		at = next;
	return at >= end;
}

/* enum vkckpt_page_class */
static unsigned char vk_page_class(struct page *page)
{
	struct page *head = compound_head(page);

	if (PageSlab(head))
		return 3;
	if (PageTable(page))
		return 2;
	if (PageReserved(page))
		return 1;
	if (PageAnon(head))
		return 5;
	if (head->mapping)
		return 4;
	return 1;
}

void um_vkckpt_frames(unsigned long first, unsigned int count, unsigned char *state, unsigned char *page_class)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		unsigned long pfn = first + i;

		if (pfn >= max_mapnr || vk_free_until(pfn) > pfn) {
			state[i] = 1;
			page_class[i] = 6;
		} else {
			state[i] = vk_page_cold(pfn) ? 4 : 0;
			page_class[i] = vk_page_class(pfn_to_page(pfn));
		}
	}
}

int um_vkckpt_next_mm(unsigned long long *cursor, unsigned long long *id, int *pid, char *name,
		      unsigned long *root, unsigned long *size)
{
	struct list_head *at = *cursor ? (struct list_head *)(unsigned long)*cursor : &um_mm_list;
	struct mm_context *ctx;
	struct mm_struct *mm;

	if (list_is_last(at, &um_mm_list))
		return 0;
	ctx = list_entry(at->next, struct mm_context, list);
	mm = container_of(ctx, struct mm_struct, context);
	*cursor = (unsigned long)at->next;
	*id = __pa(mm);
	*pid = ctx->owner;
	memcpy(name, ctx->comm, TASK_COMM_LEN);
	*root = __pa(mm->pgd);
	*size = TASK_SIZE;
	return 1;
}

/* Names the address spaces while that can still be done with the proper locks; refuses those whose stub process has more than memory. */
static void vk_name_mms(void)
{
	struct mm_context *ctx;
	struct task_struct *p, *t;

	list_for_each_entry(ctx, &um_mm_list, list) {
		ctx->owner = -1;
		strscpy(ctx->comm, "(lazy)", sizeof(ctx->comm));
	}
	read_lock(&tasklist_lock);
	for_each_process(p) {
		t = find_lock_task_mm(p);
		if (!t)
			continue;
		if (t->mm->context.owner == -1) {
			t->mm->context.owner = task_pid_nr(p);
			memcpy(t->mm->context.comm, p->comm, TASK_COMM_LEN);
		}
		task_unlock(t);
	}
	read_unlock(&tasklist_lock);
	list_for_each_entry(ctx, &um_mm_list, list)
		if (ctx->arch.ldt.entry_count)
			um_vkckpt_refuse(ctx->comm, "a process with an LDT of its own (modify_ldt)");
}

/* ---- thaw: memory ---- */

/*
 * The kernel's own page-wise mappings, from init_mm's page tables. On the host's stack, before anything else of the old kernel runs:
 * with VMAP_STACK the stacks themselves are among them.
 */
void um_vkckpt_map_vmalloc(void)
{
	unsigned long addr;

	for (addr = start_vm; addr < end_vm; ) {
		pte_t *pte = virt_to_pte(&init_mm, addr);

		if (!pte) {
			addr = (addr + PMD_SIZE) & PMD_MASK;
			continue;
		}
		if (pte_present(*pte))
			map_memory(addr, pte_val(*pte) & PAGE_MASK, PAGE_SIZE, 1, 1, 1);
		addr += PAGE_SIZE;
	}
}

/* A new stub process for an address space, everything in it to be mapped again. */
static void vk_thaw_mm(struct mm_struct *mm)
{
	struct mm_id *id = &mm->context.id;
	struct vm_area_struct *vma;
	void *data = NULL;
	int pid;
	VMA_ITERATOR(vmi, mm, 0);

	memset((void *) id->stack, 0, PAGE_SIZE);
	pid = start_userspace(id->stack);
	if (pid < 0)
		panic("thaw: no stub process, err %d", pid);
	id->u.pid = pid;
	if (unmap(id, 0, TASK_SIZE, 1, &data))
		panic("thaw: cannot clear the stub's address space");
	if (atomic_read(&mm->mm_users) == 0)
		return;			/* exit_mmap() is behind it, or a lazy one */
	rcu_read_lock();		/* nobody changes the list now; this says so to those who check */
	for_each_vma(vmi, vma) {
		unsigned long addr = vma->vm_start;

		while (addr < vma->vm_end) {
			pte_t *pte = virt_to_pte(mm, addr);

			if (!pte) {
				addr = (addr + PMD_SIZE) & PMD_MASK;
				continue;
			}
			if (pte_present(*pte))
				*pte = pte_mknewpage(*pte);
			addr += PAGE_SIZE;
		}
	}
	if (!um_vkckpt_filling())	/* then a page is mapped when the process touches it */
		flush_tlb_mm(mm);
	rcu_read_unlock();
}

/* With interrupts off, on the stack that was captured: what the core of the resume needs. */
static void vk_thaw_early(void)
{
	struct mm_context *ctx;

	vk_mark = os_vkckpt_usecs();
	cpu_tasks[0].pid = os_getpid();
	os_thaw_signals(cpu0_irqstack, THREAD_SIZE);
	if (os_timer_create())
		panic("thaw: timer");
	os_thaw_epoll();
	list_for_each_entry(ctx, &um_mm_list, list)
		vk_thaw_mm(container_of(ctx, struct mm_struct, context));
	if (current->active_mm && current->active_mm != &init_mm)
		__switch_mm(&current->active_mm->context.id);
	vk_thawing = 1;
	um_vkckpt_times.spaces = vk_lap();
}

/* ---- thaw: devices and the guest's view ---- */

static void vk_new_pipe(void)
{
	int fds[2];

	if (vk_sock[0] < 0 || os_pipe(fds, 1, 1))
		return;
	um_vkckpt_dup(fds[0], vk_sock[0]);
	um_vkckpt_dup(fds[1], vk_sock[1]);
	os_set_fd_block(vk_sock[0], 0);
	os_set_fd_block(vk_sock[1], 0);
	um_vkckpt_kick_fd = vk_sock[1];
}

/*
 * As if the cable had been out: what the guest knows of its neighbours is forgotten, as others may have their addresses here, and they learn
 * where its own addresses are now. Its interfaces do not notice.
 */
static void vk_announce(void)
{
	struct net_device *dev;

	rtnl_lock();
	for_each_netdev(&init_net, dev)
		if (netif_running(dev) && !(dev->flags & IFF_LOOPBACK)) {
			neigh_carrier_down(&arp_tbl, dev);
			call_netdevice_notifiers(NETDEV_NOTIFY_PEERS, dev);
		}
	rtnl_unlock();
}

/*
 * A clone's neighbours may know its brothers: it gets addresses of its own before anything is sent. Not from the guest's random numbers, which
 * are its brothers' until they are next reseeded.
 */
static void vk_clone_addresses(void)
{
	unsigned char id[16];
	unsigned long long thaws;
	struct net_device *dev;

	um_vkckpt_generation(id, &thaws);
	id[0] = (id[0] & 0xfe) | 2;	/* one device's, assigned locally */
	rtnl_lock();
	for_each_netdev(&init_net, dev)
		if (dev->type == ARPHRD_ETHER) {
			eth_hw_addr_set(dev, id);
			call_netdevice_notifiers(NETDEV_CHANGEADDR, dev);
			id[5]++;
		}
	rtnl_unlock();
}

/* Process context, interrupts on, devices not resumed yet. */
static void vk_thaw_devices(void)
{
	if (os_thaw_umid())
		os_vkckpt_say("thaw: cannot make the umid's folder again\r\n");
	mconsole_thaw();
	os_thaw_sigio();
	random_thaw();
	rtc_thaw();
	ubd_thaw();
	stdio_console_thaw();
	ssl_thaw();
	if (IS_ENABLED(CONFIG_PORT_CHAN))
		port_thaw();
	winch_thaw();
	vector_thaw();
	vk_new_pipe();
	um_vkckpt_unclaimed();
	um_irqs_thaw();
	add_bootloader_randomness(um_vkckpt_entropy, sizeof(um_vkckpt_entropy));
	memzero_explicit(um_vkckpt_entropy, sizeof(um_vkckpt_entropy));
	if (um_vkckpt_clone[0])
		vk_clone_addresses();
	um_vkckpt_times.back = vk_lap();
}

/* ---- the suspend path ---- */

/* One that the freezer has given up on; under tasklist_lock. */
void um_vkckpt_unfrozen(struct task_struct *task)
{
	if (!vk_tasks++)
		snprintf(vk_task, sizeof(vk_task), "%s (pid %d)", task->comm, task_pid_nr(task));
}

int um_vkckpt_suspend_begin(void)
{
	vk_frozen = 1;
	if (um_vkckpt_cancelled)		/* while nobody looked */
		return -ECANCELED;
	um_vkckpt_times.freeze = vk_lap();
	return 0;
}

int um_vkckpt_suspend_prepare(void)
{
	int n;

	if (!um_vkckpt_armed())
		return 0;
	n = hostfs_vkckpt_fds(um_vkckpt_hostfs_fd, UM_VK_FILES);
	if (n < 0)
		um_vkckpt_refuse("hostfs", "too many open files");
	else
		um_vkckpt_hostfs_count = n;
	um_vkckpt_hostfs_check();
	drain_all_pages(NULL);	/* to where they can be told to be free */
	ubd_vkckpt_drained();
	vk_name_mms();
	return um_vkckpt_refused() ? -EBUSY : 0;
}

int noinline um_vkckpt_suspend_enter(void)
{
	int r;

	vk_captured = 1;
	um_vkckpt_times.devices = vk_lap();
	um_vkckpt_tell_times();
	r = um_vkckpt_capture();
	if (r == UM_VK_EXIT) {
		os_vkckpt_say("phases of the suspend: sync %lld, freeze %lld, devices %lld, capture and commit %lld us\r\n",
			      um_vkckpt_times.sync, um_vkckpt_times.freeze, um_vkckpt_times.devices, vk_lap());
		uml_exitcode = VK_EXIT_SUSPENDED;
		uml_cleanup();
		halt_skas();
	}
	if (r == UM_VK_THAWED) {
		vk_thaw_early();
		local_irq_disable();	/* some of the above goes through unblock_signals_trace() */
		r = UM_VK_RESUMED;
		vk_result = 1;
		return 0;
	}
	vk_result = r;
	return r;
}

void um_vkckpt_suspend_finish(void)
{
	if (!vk_thawing)
		return;
	vk_thaw_devices();
	vk_thawing = 0;
}

/* What can be seen to refuse before anything is stopped. */
static void vk_check(void)
{
	ubd_vkckpt_list();
	stdio_console_vkckpt_list();
	ssl_vkckpt_list();
	vector_vkckpt_list();
	stdio_console_vkckpt_check();
	ssl_vkckpt_check();
	vector_vkckpt_check();
	if (phys_iomem())
		um_vkckpt_refuse("iomem", "memory of the host is not part of an image");
}

static int vk_pm_notify(struct notifier_block *nb, unsigned long event, void *unused)
{
	long long asked;

	if (!um_vkckpt_armed())
		return NOTIFY_OK;
	switch (event) {
	case PM_SUSPEND_PREPARE:
		um_vkckpt_begin();
		vk_begun = 1;
		vk_captured = vk_result = vk_frozen = vk_tasks = 0;
		asked = vk_mark;
		um_vkckpt_times.sync = vk_lap();
		if (!asked)		/* by /sys/power/state: nobody saw when the sync began */
			um_vkckpt_times.sync = 0;
		vk_check();
		if (um_vkckpt_refused())
			vk_result = -EBUSY;
		else if (um_vkckpt_notice())
			vk_result = -ECANCELED;
		if (vk_result == -ECANCELED && !um_vkckpt_cancelled)
			um_vkckpt_refuse("a guest process", "vetoed");
		if (vk_result) {	/* there is no PM_POST_SUSPEND for who refused */
			um_vkckpt_notice_end(vk_result);
			return NOTIFY_BAD;
		}
		break;
	case PM_POST_SUSPEND:
		if (vk_result == 1) {
			vk_announce();
			um_vkckpt_times.tasks = vk_lap();
			um_vkckpt_tell_times();
			os_vkckpt_say("phases of the thaw: exec %lld, load %lld, address spaces %lld, devices %lld, tasks %lld us\r\n",
				      um_vkckpt_times.exec, um_vkckpt_times.load, um_vkckpt_times.spaces, um_vkckpt_times.back,
				      um_vkckpt_times.tasks);
		}
		vk_mark = 0;
		um_vkckpt_notice_end(um_vkckpt_cancelled ? -ECANCELED : vk_captured || vk_result < 0 ? vk_result : -EBUSY);
		break;
	}
	return NOTIFY_OK;
}

static struct notifier_block vk_pm_block = { .notifier_call = vk_pm_notify };

/* ---- from a host signal to the suspend path: handler -> byte in a socketpair -> interrupt -> worker ---- */

/* Why the suspend did not come as far as the library. */
static const char *vk_why(void)
{
	static char text[96];
	char more[24] = "";

	if (!vk_begun)
		return "the guest: is suspending by itself";
	if (um_vkckpt_refused())
		return um_vkckpt_refused();
	if (vk_frozen)
		return "devices: one cannot be suspended (the guest's log names it)";
	if (!vk_tasks)
		return "tasks: work of the guest's kernel cannot be frozen";
	if (vk_tasks > 1)
		snprintf(more, sizeof(more), " and %d more", vk_tasks - 1);
	snprintf(text, sizeof(text), "tasks: %s%s cannot be frozen", vk_task, more);
	return text;
}

static void vk_work_fn(struct work_struct *work)
{
	int err;

	if (!um_vkckpt_requested()) {	/* cancelled, or served by a suspend of the guest's own */
		if (um_vkckpt_cancelled)
			um_vkckpt_notice_end(-ECANCELED);
		um_vkckpt_cancelled = 0;
		return;
	}
	um_vkckpt_cancelled = 0;
	vk_begun = vk_captured = 0;
	vk_mark = os_vkckpt_usecs();
	err = pm_suspend(PM_SUSPEND_MEM);
	if (err && !vk_captured && !um_vkckpt_cancelled)
		um_vkckpt_decline(-err, vk_result == -ECANCELED, vk_why());
	if (err || (vk_captured && vk_result < 0))
		os_vkckpt_say("%s\r\n", um_vkckpt_message());
	um_vkckpt_cancelled = 0;
	if (um_vkckpt_requested())	/* one that came before the kernel could hear it */
		queue_work(vk_wq, work);
}
static DECLARE_WORK(vk_work, vk_work_fn);

static irqreturn_t vk_interrupt(int irq, void *dev)
{
	char c[16];

	while (os_read_file(vk_sock[0], c, sizeof(c)) > 0)
		;
	/* Answered at once, wherever the suspend is: a sync may take long, and tasks that cannot be frozen are waited for. */
	if (um_vkckpt_requested() == -ECANCELED) {
		um_vkckpt_decline(ECANCELED, 0, "");
		um_vkckpt_cancelled = 1;
		pm_system_wakeup();
		um_vkckpt_notice_cancel();
	}
	queue_work(vk_wq, &vk_work);
	return IRQ_HANDLED;
}

static int __init vkckpt_init(void)
{
	if (!um_vkckpt_wanted())
		return 0;
	um_vkckpt_add(UM_VK_MACHINE, 0, "machine");
	ubd_vkckpt_list();
	stdio_console_vkckpt_list();
	ssl_vkckpt_list();
	vector_vkckpt_list();
	um_vkckpt_add(UM_VK_HOSTFS, 0, "hostfs");
	vk_wq = alloc_ordered_workqueue("vkckpt", 0);
	if (!vk_wq || os_pipe(vk_sock, 1, 1))
		return -ENOMEM;
	os_set_fd_block(vk_sock[0], 0);
	os_set_fd_block(vk_sock[1], 0);
	if (um_request_irq(UM_IRQ_ALLOC, vk_sock[0], IRQ_READ, vk_interrupt, 0, "vkckpt", vk_sock) < 0)
		return -EIO;
	um_vkckpt_kick_fd = vk_sock[1];
	register_pm_notifier(&vk_pm_block);
	return um_vkckpt_arm();		/* a signal latched since exec comes in here */
}
/* behind vector_init, which is a late_initcall too */
late_initcall_sync(vkckpt_init);

static void vkckpt_exit(void)
{
	if (uml_exitcode != VK_EXIT_SUSPENDED)
		um_vkckpt_disks_end();
}
__uml_exitcall(vkckpt_exit);
