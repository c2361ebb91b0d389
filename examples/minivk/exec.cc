// execve: the new address space is built beside the old one and replaces it when nothing can fail any more.
#include <cerrno>
#include <cstring>
#include <elf.h>
#include <sys/mman.h>

#include "calls.h"
#include "elf_load.h"
#include "futex.h"
#include "host.h"

namespace minivk {
namespace {

constexpr size_t kMaxString = 128 << 10, kMaxTotal = 2 << 20;
constexpr int kMaxScripts = 4;

class StackBuilder {
public:
	StackBuilder(AddressSpace &as, uint64_t top) : as_(as), at_(top) {}
	uint64_t push(const void *p, size_t bytes)
	{
		at_ -= bytes;
		ok_ = ok_ && copy_out(as_, at_, p, bytes) == 0;
		return at_;
	}
	uint64_t push_string(const KString &s) { return push(s.c_str(), s.size() + 1); }
	void align(uint64_t to) { at_ &= ~(to - 1); }
	uint64_t at() const { return at_; }
	bool ok() const { return ok_; }
private:
	AddressSpace &as_;
	uint64_t at_;
	bool ok_ = true;
};

uint64_t minimum_signal_stack() { return (kernel().xsave_bytes + 1024 + 63) & ~63u; }

void add_auxv(KVector<uint64_t> &v, const Process &p, const LoadedProgram &program, uint64_t random, uint64_t platform,
    uint64_t path)
{
	constexpr uint64_t kHwcap2 = 26, kFsgsbase = 2, kMinSigStack = 51;
	uint32_t reg[4];
	vkckpt_cpu_leaf(&kernel().shown_cpu, 1, 0, reg);
	const uint64_t pairs[][2] = {
		{AT_HWCAP, reg[3]}, {AT_PAGESZ, kPage}, {AT_CLKTCK, 100}, {AT_PHDR, program.header_address},
		{AT_PHENT, sizeof(Elf64_Phdr)}, {AT_PHNUM, program.header_count}, {AT_BASE, program.interpreter_base},
		{AT_FLAGS, 0}, {AT_ENTRY, program.program_entry}, {AT_UID, p.uid}, {AT_EUID, p.euid}, {AT_GID, p.gid},
		{AT_EGID, p.egid}, {AT_SECURE, 0}, {AT_RANDOM, random}, {kHwcap2, kFsgsbase}, {AT_EXECFN, path},
		{AT_PLATFORM, platform}, {kMinSigStack, minimum_signal_stack()}, {AT_NULL, 0},
	};
	for (auto &pair : pairs)
		v.insert(v.end(), pair, pair + 2);
}

}  // namespace

long build_stack(AddressSpace &as, const Process &p, const LoadedProgram &program, const KVector<KString> &args,
    const KVector<KString> &env, const KString &path, StartStack *out)
{
	uint64_t bytes = 128 << 10;
	for (const KVector<KString> *list : {&args, &env})
		for (const KString &s : *list)
			bytes += s.size() + 1 + 16;
	if (bytes > kMaxTotal)
		return -E2BIG;
	bytes = (bytes + kPage - 1) & ~(kPage - 1);
	as.stack_limit = std::max<uint64_t>(std::min<uint64_t>(p.limits[3].soft, 64 << 20), kMaxTotal * 2);
	long r = as.map(as.stack_top - bytes, bytes, 3, MAP_PRIVATE | MAP_FIXED | MAP_GROWSDOWN, {}, 0, "[stack]");
	if (r < 0)
		return r;
	StackBuilder s(as, as.stack_top - 16);
	uint64_t path_at = s.push_string(path);
	KVector<uint64_t> env_at(env.size()), args_at(args.size());
	out->env_end = s.at();
	for (size_t i = env.size(); i-- > 0;)
		env_at[i] = s.push_string(env[i]);
	out->env_start = out->arg_end = s.at();
	for (size_t i = args.size(); i-- > 0;)
		args_at[i] = s.push_string(args[i]);
	out->arg_start = s.at();
	uint64_t platform = s.push("x86_64", 7);
	uint8_t random[16];
	host_random(random, sizeof random);
	s.align(16);
	uint64_t random_at = s.push(random, sizeof random);
	KVector<uint64_t> words;
	words.push_back(args.size());
	words.insert(words.end(), args_at.begin(), args_at.end());
	words.push_back(0);
	words.insert(words.end(), env_at.begin(), env_at.end());
	words.push_back(0);
	add_auxv(words, p, program, random_at, platform, path_at);
	if (words.size() % 2)
		s.push("\0\0\0\0\0\0\0", 8);
	out->pointer = s.push(words.data(), words.size() * 8);
	return s.ok() ? 0 : -ENOMEM;
}

namespace {

// "#!interpreter argument": what is to be executed instead. False: not a script.
bool script_line(Inode &inode, KString *interpreter, KString *argument)
{
	char line[257] = {};
	size_t n = std::min<uint64_t>(inode.size(), 256);
	if (n < 3 || !read_inode(inode, 0, line, n) || line[0] != '#' || line[1] != '!')
		return false;
	char *end = strchr(line, '\n');
	if (end)
		*end = 0;
	char *at = line + 2 + strspn(line + 2, " \t");
	size_t length = strcspn(at, " \t");
	interpreter->assign(at, length);
	at += length;
	at += strspn(at, " \t");
	argument->assign(at);
	while (!argument->empty() && (argument->back() == ' ' || argument->back() == '\t'))
		argument->pop_back();
	return !interpreter->empty();
}

long find_program(Thread &t, KString path, KVector<KString> *args, Ref<Inode> *out)
{
	for (int depth = 0; depth <= kMaxScripts; depth++) {
		long r = vfs_lookup(t, -100, path, true, out);
		if (r < 0)
			return r;
		if ((*out)->kind != InodeKind::kFile || !((*out)->mode & 0111))
			return -EACCES;
		KString interpreter, argument;
		if (!script_line(**out, &interpreter, &argument))
			return 0;
		if (!args->empty())
			args->erase(args->begin());
		args->insert(args->begin(), path);
		if (!argument.empty())
			args->insert(args->begin(), argument);
		args->insert(args->begin(), interpreter);
		path = interpreter;
	}
	return -ELOOP;
}

// Where a program really is: absolute, without symbolic links (/proc/self/exe has to mean something afterwards).
KString real_path(Thread &t, KString path)
{
	for (int links = 0; links < 40; links++) {
		Ref<Inode> folder, inode;
		KString name;
		bool trailing;
		if (vfs_lookup_parent(t, -100, path, &folder, &name, &trailing) < 0 || vfs_lookup(t, -100, path, false, &inode) < 0)
			break;
		KString base = vfs_path_of(*folder);
		if (base != "/")
			base += "/";
		if (inode->kind != InodeKind::kSymlink)
			return base + name;
		KString target = inode->target(t);
		path = !target.empty() && target[0] == '/' ? target : base + target;
	}
	return path;
}

void reset_process(Thread &t, const KString &path)
{
	Process &p = *t.process;
	for (int sig = 1; sig <= 64; sig++) {
		bool ignored = p.actions[sig].handler == 1;
		p.actions[sig] = {ignored ? 1u : 0u, 0, 0, 0};
	}
	size_t slash = path.rfind('/');
	KString base = slash == KString::npos ? path : path.substr(slash + 1);
	memset(p.comm, 0, sizeof p.comm);
	memcpy(p.comm, base.data(), std::min(base.size(), sizeof p.comm - 1));
	memcpy(t.comm, p.comm, sizeof t.comm);
	if (p.files->refs() > 1)
		p.files = p.files->copy();
	p.files->close_on_exec();
	p.exec_done = true;
	t.alt_bytes = t.alt_stack = 0;
	t.clear_child_tid = t.robust_list = 0;
}

void reset_registers(Thread &t, const LoadedProgram &program, uint64_t stack)
{
	t.tf = {};
	t.tf.tf_rip = program.entry;
	t.tf.tf_rsp = stack;
	t.tf.tf_rflags = 0x202;
	t.tf.tf_cs = 0x33;
	t.tf.tf_ss = 0x2b;
	t.ext = {};
	vmspace_host_xsave_init(t.xsave);
	t.registers_set = true;
}

}  // namespace

long exec_program(Thread &t, const KString &path, KVector<KString> args, KVector<KString> env)
{
	Process &p = *t.process;
	Ref<Inode> inode;
	long r = find_program(t, path, &args, &inode);
	if (r < 0)
		return r;
	if (!kernel_memory_ok())
		return -ENOMEM;
	Ref<AddressSpace> space = AddressSpace::create();
	if (!space)
		return -ENOMEM;
	LoadedProgram program;
	StartStack stack;
	r = elf_load(t, *space, *inode, &program);
	if (r == 0)
		r = build_stack(*space, p, program, args, env, path, &stack);
	if (r < 0)
		return r;
	KString exe = real_path(t, path);

	kill_other_threads(t);
	if (p.space && p.space->refs() > 1) {
		futex_exit_robust(t);
		futex_clear_child_tid(t);
	}
	space->brk_start = space->brk_end = program.end;
	space->owner_pid = p.pid;
	p.space = space;
	p.exe = exe;
	p.arg_start = stack.arg_start, p.arg_end = stack.arg_end;
	p.env_start = stack.env_start, p.env_end = stack.env_end;
	reset_process(t, path);
	reset_registers(t, program, stack.pointer);
	process_wake_vfork_parent(p);
	return 0;
}

namespace {

long copy_strings(AddressSpace &as, uint64_t list, KVector<KString> *out, size_t *total)
{
	for (; list; list += 8) {
		uint64_t pointer;
		if (copy_in(as, list, &pointer) < 0)
			return -EFAULT;
		if (!pointer)
			break;
		KString s;
		long r = copy_in_string(as, pointer, &s, kMaxString);
		if (r < 0)
			return r == -ENAMETOOLONG ? -E2BIG : r;
		*total += s.size() + 9;
		if (*total > kMaxTotal / 2)
			return -E2BIG;
		out->push_back(std::move(s));
	}
	return 0;
}

long exec_from(Thread &t, const KString &path, uint64_t argv, uint64_t envp)
{
	KVector<KString> args, env;
	size_t total = 0;
	AddressSpace &as = thread_space(t);
	long r = copy_strings(as, argv, &args, &total);
	if (r == 0)
		r = copy_strings(as, envp, &env, &total);
	if (r < 0)
		return r;
	if (args.empty())
		args.push_back("");
	return exec_program(t, path, std::move(args), std::move(env));
}

long sys_execve(Thread &t, const uint64_t *a)
{
	KString path;
	long r = copy_in_string(thread_space(t), a[0], &path, 4095);
	if (r < 0)
		return r;
	return path.empty() ? -ENOENT : exec_from(t, path, a[1], a[2]);
}

long sys_execveat(Thread &t, const uint64_t *a)
{
	constexpr uint64_t kEmptyPath = 0x1000;
	KString path;
	long r = copy_in_string(thread_space(t), a[1], &path, 4095);
	if (r < 0)
		return r;
	int dirfd = int32_t(a[0]);
	if (path.empty() && !(a[4] & kEmptyPath))
		return -ENOENT;
	if (dirfd != -100 && (path.empty() || path[0] != '/')) {
		Ref<File> f = thread_files(t).get(dirfd);
		if (!f)
			return -EBADF;
		path = path.empty() ? f->path : f->path + "/" + path;
	}
	return exec_from(t, path, a[2], a[3]);
}

const SyscallEntry kEntries[] = {
	{59, "execve", sys_execve},
	{322, "execveat", sys_execveat},
};

}  // namespace

SyscallList exec_syscalls() { return {kEntries, sizeof kEntries / sizeof *kEntries}; }

}  // namespace minivk
