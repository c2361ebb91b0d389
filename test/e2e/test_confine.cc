// What the command can still do once it reads an image: every attempt is made in a child that is confined as vkckpt is.
#include <catch2/catch.hpp>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <netinet/in.h>
#include <pthread.h>
#include <unistd.h>

#include <functional>

#include "bin/confine.h"
#include "test/e2e/command_util.h"
#include "test/skip.h"

using namespace command_test;

namespace {

// What `attempt' gives in a confined child: its result, or -errno; -1000 for a child that died.
int confined(const std::vector<std::string> &readable, const std::function<long()> &attempt, const std::vector<tool::Folder> &folders = {})
{
	pid_t child = fork();
	if (child == 0) {
		tool::confine(readable, folders);
		errno = 0;
		long result = attempt();
		_exit(result >= 0 ? 0 : errno);
	}
	int status = 0;
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -1000;
}

tool::Confinement available()
{
	int pipe_ends[2];
	REQUIRE(pipe(pipe_ends) == 0);
	if (fork() == 0) {
		tool::Confinement c = tool::confine({});
		_exit(write(pipe_ends[1], &c, sizeof c) == sizeof c ? 0 : 1);
	}
	tool::Confinement c;
	REQUIRE(read(pipe_ends[0], &c, sizeof c) == sizeof c);
	wait(nullptr);
	close(pipe_ends[0]);
	close(pipe_ends[1]);
	return c;
}

bool refused(int result) { return result == -EPERM || result == -EACCES; }

std::string spilled(const TempDir &dir, const char *name)
{
	std::ofstream(dir / name) << "content of " << name;
	return dir / name;
}

}  // namespace

TEST_CASE("confined, it reads the files that it was given and no other")
{
	if (available().landlock_abi == 0)
		TEST_SKIP("this host has no Landlock");
	TempDir dir;
	const std::string image = spilled(dir, "image"), other = spilled(dir, "other");
	auto open_it = [](const std::string &path) { return [path] { return open(path.c_str(), O_RDONLY); }; };
	CHECK(confined({image}, open_it(image)) == 0);
	CHECK(refused(confined({image}, open_it(other))));
	CHECK(refused(confined({image}, open_it("/etc/passwd"))));
	CHECK(refused(confined({image}, open_it("/proc/self/mem"))));
	CHECK(refused(confined({image}, open_it("/"))));
	CHECK(confined({dir.path()}, open_it(dir.path())) == 0);
	CHECK(refused(confined({dir.path()}, open_it(image))));		// a folder that was named is not what is in it
	CHECK(confined({image}, open_it(dir / "absent")) == -ENOENT);
}

TEST_CASE("confined, it writes and makes nothing")
{
	if (!available().calls)
		TEST_SKIP("this host has no seccomp filters");
	TempDir dir;
	const std::string image = spilled(dir, "image"), fresh = dir / "fresh";
	for (int flags : { O_WRONLY, O_RDWR, O_WRONLY | O_APPEND, O_RDONLY | O_TRUNC, O_RDONLY | O_CREAT })
		CHECK(refused(confined({image}, [&] { return open(image.c_str(), flags, 0600); })));
	CHECK(refused(confined({image}, [&] { return open(fresh.c_str(), O_WRONLY | O_CREAT, 0600); })));
	CHECK(refused(confined({image}, [&] { return open(dir.path().c_str(), O_TMPFILE | O_WRONLY, 0600); })));
	CHECK(refused(confined({image}, [&] { return mkdir(fresh.c_str(), 0700); })));
	CHECK(refused(confined({image}, [&] { return mknod(fresh.c_str(), S_IFIFO | 0600, 0); })));
	CHECK(refused(confined({image}, [&] { return symlink("image", fresh.c_str()); })));
	CHECK(refused(confined({image}, [&] { return link(image.c_str(), fresh.c_str()); })));
	CHECK(refused(confined({image}, [&] { return rename(image.c_str(), fresh.c_str()); })));
	CHECK(refused(confined({image}, [&] { return unlink(image.c_str()); })));
	CHECK(refused(confined({image}, [&] { return truncate(image.c_str(), 0); })));
	CHECK(refused(confined({image}, [&] { return chmod(image.c_str(), 0777); })));
	struct stat facts;
	REQUIRE(stat(image.c_str(), &facts) == 0);
	CHECK(facts.st_size == 16);
	CHECK_FALSE(std::filesystem::exists(fresh));
}

TEST_CASE("confined, it reaches no other process and no network")
{
	if (!available().calls)
		TEST_SKIP("this host has no seccomp filters");
	for (int family : { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK })
		CHECK(refused(confined({}, [&] { return socket(family, SOCK_STREAM, 0); })));
	CHECK(refused(confined({}, [] { return kill(getppid(), SIGCONT); })));
	CHECK(refused(confined({}, [] { return ptrace(PTRACE_ATTACH, getppid(), nullptr, nullptr); })));
	CHECK(refused(confined({}, [] {
		pid_t pid = fork();
		if (pid == 0)
			_exit(0);
		return pid;
	})));
	CHECK(refused(confined({"/bin/true"}, [] { return execl("/bin/true", "true", nullptr); })));
	CHECK(refused(confined({}, [] {
		return mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0;
	})));
	// A connection that was open before must not be given new life either.
	int ends[2];
	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	CHECK(refused(confined({}, [&] {
		sockaddr_in to{};
		to.sin_family = AF_INET;
		return connect(ends[0], reinterpret_cast<sockaddr *>(&to), sizeof to);
	})));
	close(ends[0]);
	close(ends[1]);
}

TEST_CASE("confined to give names in a folder, it makes and writes nothing, and reaches no other folder")
{
	const tool::Confinement host = available();
	if (!host.calls || host.landlock_abi == 0)
		TEST_SKIP("this host has no Landlock or no seccomp filters");
	TempDir dir;
	const std::string part = spilled(dir, "part"), old = spilled(dir, "old"), other = dir / "other";
	REQUIRE(mkdir(other.c_str(), 0700) == 0);
	const std::string mine = other + "/mine";
	std::ofstream(mine) << "mine";
	const std::vector<tool::Folder> folders = {{dir.path() + "/names", tool::Writing::kNames}};
	REQUIRE(mkdir((dir / "names").c_str(), 0700) == 0);
	const std::string names = dir / "names";
	for (const char *name : {"/part", "/old"})
		std::filesystem::copy_file(dir.path() + name, names + name);
	const int open_part = open((names + "/part").c_str(), O_RDWR | O_CLOEXEC);
	CHECK(refused(confined({}, [&] { return open((names + "/part").c_str(), O_RDONLY); }, folders)));
	CHECK(refused(confined({}, [&] { return open((names + "/part").c_str(), O_WRONLY); }, folders)));
	CHECK(refused(confined({}, [&] { return open((names + "/new").c_str(), O_WRONLY | O_CREAT, 0600); }, folders)));
	CHECK(refused(confined({}, [&] { return mkdir((names + "/new").c_str(), 0700); }, folders)));
	CHECK(refused(confined({}, [&] { return symlink("old", (names + "/new").c_str()); }, folders)));
	CHECK(refused(confined({}, [&] { return rename((names + "/part").c_str(), mine.c_str()); }, folders)));
	CHECK(refused(confined({}, [&] { return rename(part.c_str(), old.c_str()); }, folders)));
	CHECK(refused(confined({}, [&] { return unlink(mine.c_str()); }, folders)));
	CHECK(refused(confined({}, [&] { return kill(getppid(), 0); }, folders)));
	CHECK(confined({}, [&] {
		const int folder = open(names.c_str(), O_RDONLY | O_DIRECTORY);
		return write(open_part, "more", 4) == 4 && fsync(open_part) == 0 && rename((names + "/part").c_str(), (names + "/old").c_str()) == 0 &&
		    fsync(folder) == 0 && unlink((names + "/old").c_str()) == 0 ? 0 : -1;
	}, folders) == 0);
	CHECK(std::filesystem::is_empty(names));
	CHECK(std::filesystem::exists(mine));
	close(open_part);
}

TEST_CASE("confined to write in a folder, it writes nowhere else, and signals nobody")
{
	const tool::Confinement host = available();
	if (!host.calls || host.landlock_abi == 0)
		TEST_SKIP("this host has no Landlock or no seccomp filters");
	TempDir dir;
	const std::string other = spilled(dir, "other"), files = dir / "files";
	REQUIRE(mkdir(files.c_str(), 0700) == 0);
	const std::vector<tool::Folder> folders = {{files, tool::Writing::kFiles}};
	CHECK(refused(confined({other}, [&] { return open(other.c_str(), O_WRONLY); }, folders)));
	CHECK(refused(confined({other}, [&] { return open((dir / "new").c_str(), O_WRONLY | O_CREAT, 0600); }, folders)));
	CHECK(refused(confined({other}, [&] { return open((files + "/new").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600); }, folders)));
	CHECK(refused(confined({other}, [&] { return rename(other.c_str(), (files + "/new").c_str()); }, folders)));
	CHECK(refused(confined({other}, [&] { return chmod(other.c_str(), 0777); }, folders)));
	CHECK(refused(confined({other}, [&] { return socket(AF_INET, SOCK_STREAM, 0); }, folders)));
	CHECK(refused(confined({other}, [&] { return kill(getppid(), SIGCONT); }, folders)));
	CHECK(confined({other}, [&] { return kill(getppid(), 0); }, folders) == 0);
	CHECK(confined({other}, [&] { return open(other.c_str(), O_RDONLY); }, folders) == 0);
	CHECK(confined({}, [&] {
		const int made = open((files + "/new").c_str(), O_WRONLY | O_CREAT | O_EXCL, 0600);
		return write(made, "x", 1) == 1 && rename((files + "/new").c_str(), (files + "/old").c_str()) == 0 ? open((files + "/old").c_str(), O_RDWR) : -1;
	}, folders) == 0);
	CHECK(read_all(files + "/old") == "x");
}

TEST_CASE("confined, it can end itself by a signal, and nobody else")
{
	CHECK(confined({}, [] { return kill(getpid(), SIGKILL); }) == -1000);
	CHECK(confined({}, [] { return raise(SIGKILL); }) == -1000);		// as abort does
}

TEST_CASE("confined, it can still make threads, allocate and print")
{
	CHECK(confined({}, [] {
		std::vector<char> large(64 << 20, 'x');
		pthread_t thread;
		if (pthread_create(&thread, nullptr, [](void *p) { return p; }, large.data()) != 0)
			return -1;
		void *back = nullptr;
		pthread_join(thread, &back);
		printf("%s", "");
		return back == large.data() && fflush(stdout) == 0 ? 0 : -1;
	}) == 0);
}
