// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/vkckpt: what programs in the guest see of checkpoints. One line per command or answer; the text is the interface.
 *
 *   read      "generation=HEX thaws=N state=STATE\n", STATE running or notice. A read behind an end of file gives the state of now; poll
 *             says readable when it has changed since this file read it last (a thaw, a notice, the end of one).
 *   write     "subscribe\n"  this file is asked before every checkpoint, until it is closed
 *             "ack\n"        it may go on            "veto\n"   it must not
 *             "checkpoint\n" or "suspend\n"  asks for one and waits until it is over: the write succeeds when this kernel runs on behind
 *             the commit, fails with ESTALE when this is the thawed kernel, and with another errno when there is no image.
 *
 * Who does not answer within two seconds is taken to have nothing against it.
 */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>
#include <linux/wait.h>
#include <um_vkckpt.h>

#define NOTICE_TIMEOUT (2 * HZ)

enum answer { ANSWER_NONE, ANSWER_ACK, ANSWER_VETO };

struct reader {
	struct list_head list;
	u64 seen;			/* events when this file read them last */
	bool subscribed;
	enum answer answer;
};

static LIST_HEAD(readers);
static DEFINE_SPINLOCK(lock);		/* taken in the condition of a wait: nothing sleeps under it */
static DECLARE_WAIT_QUEUE_HEAD(changed);
static u64 events = 1;			/* counts what readers wait for */
static u64 finished;			/* requests that ended, and how */
static int last_result;			/* 0 committed, 1 thawed, -errno */
static bool in_notice;

static void tell(void)
{
	events++;
	wake_up_all(&changed);
}

/* 1 all have answered, 0 not yet, -ECANCELED one has vetoed */
static int answers(void)
{
	struct reader *r;
	int all = 1;

	spin_lock(&lock);
	list_for_each_entry(r, &readers, list) {
		if (!r->subscribed)
			continue;
		if (r->answer == ANSWER_VETO)
			all = -ECANCELED;
		else if (r->answer == ANSWER_NONE && all == 1)
			all = 0;
	}
	spin_unlock(&lock);
	return all;
}

/* Process context, before anything is frozen. */
int um_vkckpt_notice(void)
{
	struct reader *r;

	spin_lock(&lock);
	in_notice = true;
	list_for_each_entry(r, &readers, list)
		r->answer = ANSWER_NONE;
	tell();
	spin_unlock(&lock);
	wait_event_timeout(changed, um_vkckpt_cancelled || answers() != 0, NOTICE_TIMEOUT);
	return um_vkckpt_cancelled || answers() < 0 ? -ECANCELED : 0;
}

void um_vkckpt_notice_cancel(void)
{
	wake_up_all(&changed);
}

void um_vkckpt_notice_end(int result)
{
	spin_lock(&lock);
	in_notice = false;
	last_result = result;
	finished++;
	tell();
	spin_unlock(&lock);
}

static int dev_open(struct inode *inode, struct file *file)
{
	struct reader *r = kzalloc(sizeof(*r), GFP_KERNEL);

	if (!r)
		return -ENOMEM;
	r->seen = events;
	spin_lock(&lock);
	list_add(&r->list, &readers);
	spin_unlock(&lock);
	file->private_data = r;
	return 0;
}

static int dev_release(struct inode *inode, struct file *file)
{
	struct reader *r = file->private_data;

	spin_lock(&lock);
	list_del(&r->list);
	wake_up_all(&changed);
	spin_unlock(&lock);
	kfree(r);
	return 0;
}

static ssize_t dev_read(struct file *file, char __user *out, size_t count, loff_t *pos)
{
	struct reader *r = file->private_data;
	unsigned char generation[16];
	unsigned long long thaws;
	char text[96];
	int n;

	spin_lock(&lock);
	r->seen = events;
	um_vkckpt_generation(generation, &thaws);
	n = scnprintf(text, sizeof(text), "generation=%16phN thaws=%llu state=%s\n", generation, thaws,
		      in_notice ? "notice" : "running");
	spin_unlock(&lock);
	if (*pos >= n) {
		*pos = 0;		/* the next read begins anew */
		return 0;
	}
	return simple_read_from_buffer(out, count, pos, text, n);
}

static __poll_t dev_poll(struct file *file, poll_table *wait)
{
	struct reader *r = file->private_data;

	poll_wait(file, &changed, wait);
	return EPOLLOUT | (r->seen != events ? EPOLLIN | EPOLLPRI : 0);
}

/* The request of a guest process: back when it is over. */
static int ask(int continues)
{
	u64 before;
	int err;

	if (!capable(CAP_SYS_BOOT))
		return -EPERM;
	spin_lock(&lock);
	before = finished;
	spin_unlock(&lock);
	err = um_vkckpt_ask(continues);
	if (err)
		return err;
	/* frozen in here while the image is written; the freezer's own signal must not end the wait */
	wait_event_state(changed, finished != before, TASK_KILLABLE | TASK_FREEZABLE);
	if (finished == before)
		return -EINTR;
	return last_result == 1 ? -ESTALE : last_result;
}

static ssize_t dev_write(struct file *file, const char __user *in, size_t count, loff_t *pos)
{
	struct reader *r = file->private_data;
	char text[16];
	int err = 0;

	if (count >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, in, count))
		return -EFAULT;
	text[count] = 0;
	strim(text);
	if (!strcmp(text, "checkpoint") || !strcmp(text, "suspend")) {
		err = ask(text[0] == 'c');
		return err ? err : count;
	}
	spin_lock(&lock);
	if (!strcmp(text, "subscribe"))
		r->subscribed = true;
	else if (!strcmp(text, "ack"))
		r->answer = ANSWER_ACK;
	else if (!strcmp(text, "veto"))
		r->answer = ANSWER_VETO;
	else
		err = -EINVAL;
	wake_up_all(&changed);
	spin_unlock(&lock);
	return err ? err : count;
}

static const struct file_operations dev_ops = {
	.owner = THIS_MODULE,
	.open = dev_open,
	.release = dev_release,
	.read = dev_read,
	.write = dev_write,
	.poll = dev_poll,
	.llseek = noop_llseek,
};

static struct miscdevice dev = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "vkckpt",
	.fops = &dev_ops,
	.mode = 0644,
};

static int __init vkckpt_dev_init(void)
{
	return um_vkckpt_wanted() ? misc_register(&dev) : 0;
}
device_initcall(vkckpt_dev_init);
