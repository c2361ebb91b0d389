// The smallest vkernel, as its user meets it.
#include <catch2/catch.hpp>

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include <vkckpt/run.h>

namespace {

struct Hello {
	std::string folder, output;
	pid_t pid = -1;

	Hello()
	{
		const char *base = getenv("TMPDIR");
		std::string name = std::string(base ? base : "/tmp") + "/hello-XXXXXX";
		folder = mkdtemp(name.data());
		output = folder + "/output";
	}
	~Hello()
	{
		if (pid > 0)
			kill(pid, SIGKILL), wait();
		if (system(("rm -rf " + folder).c_str()) != 0)
			abort();
	}
	void start(std::vector<std::string> arguments)
	{
		std::string program = std::string(getcwd(nullptr, 0)) + "/build/bin/hello";
		pid = fork();
		if (pid != 0)
			return;
		if (chdir(folder.c_str()) < 0)
			_exit(99);
		int fd = open("output", O_WRONLY | O_CREAT | O_APPEND, 0600);
		dup2(fd, 1);
		dup2(fd, 2);
		std::vector<char *> argv{ program.data() };
		for (std::string &a : arguments)
			argv.push_back(a.data());
		argv.push_back(nullptr);
		setenv("VKCKPT_RUNDIR", (folder + "/run").c_str(), 1);
		execv(program.c_str(), argv.data());
		_exit(99);
	}
	int wait()
	{
		int status = 0;
		waitpid(pid, &status, 0);
		pid = -1;
		return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	}
	std::string said() const
	{
		std::string all;
		char buffer[4096];
		int fd = open(output.c_str(), O_RDONLY);
		for (ssize_t n; fd >= 0 && (n = read(fd, buffer, sizeof buffer)) > 0;)
			all.append(buffer, (size_t)n);
		close(fd);
		return all;
	}
	size_t count(const std::string &what) const
	{
		size_t n = 0;
		std::string all = said();
		for (size_t at = 0; (at = all.find(what, at)) != std::string::npos; at++)
			n++;
		return n;
	}
	bool reaches(const std::string &what, size_t times)
	{
		for (int i = 0; i < 6000; i++, usleep(10000))
			if (count(what) >= times)
				return true;
		return false;
	}
	// The nonce of the line that begins with this.
	std::string nonce(const std::string &what) const
	{
		std::string all = said();
		size_t at = all.rfind(what), n = at == std::string::npos ? at : all.find("nonce ", at);
		return n == std::string::npos ? "none" : all.substr(n, 22);
	}
};

}  // namespace

TEST_CASE("hello is suspended by plain kill and goes on as another process, again and again")
{
	Hello h;
	h.start({});
	REQUIRE(h.reaches("counting", 1));
	std::string nonce = h.nonce("started");
	for (size_t round = 1; round <= 5; round++) {
		kill(h.pid, VKCKPT_SIGCKPT);
		REQUIRE(h.wait() == VKCKPT_EXIT_SUSPENDED);
		h.start({ round % 2 ? "--lazy" : "--thaw", "hello.ckpt" });	// lazily its own stack comes when it resumes
		REQUIRE(h.reaches("thawed", round));
		CHECK(h.nonce("thawed") == nonce);
		size_t counted = h.count("counting");
		REQUIRE(h.reaches("counting", counted + 1));
	}
	INFO(h.said());
	CHECK(h.count("started") == 1);
}

TEST_CASE("hello takes no option for the name of an image")
{
	Hello h;
	h.start({ "--help" });
	CHECK(h.wait() == 2);
	CHECK(h.count("usage: hello") == 1);
}

TEST_CASE("SIGCKPTEXIT suspends hello")
{
	Hello h;
	h.start({});
	REQUIRE(h.reaches("started", 1));
	kill(h.pid, VKCKPT_SIGCKPTEXIT);
	CHECK(h.wait() == VKCKPT_EXIT_SUSPENDED);
}

TEST_CASE("hello says what is wrong with an image")
{
	Hello h;
	h.start({ "--thaw", "none" });
	CHECK(h.wait() == 1);
	CHECK(h.said().find("NOT_FOUND") != std::string::npos);
	h.start({ "--thaw", "output" });
	CHECK(h.wait() == 1);
	CHECK(h.said().find("NOT_AN_IMAGE") != std::string::npos);
}

TEST_CASE("hello hangs in a host call: the request is cancelled for certain, and hello runs on")
{
	Hello h;
	REQUIRE(mkfifo(h.output.c_str(), 0600) == 0);
	int full = open(h.output.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
	const std::string filling(4096, '.');
	while (write(full, filling.data(), filling.size()) > 0)
		;
	h.start({});
	const std::string run = "VKCKPT_RUNDIR=" + h.folder + "/run build/bin/vkckpt ";
	auto is_there = [&] { return system((run + "list -o pid hello >/dev/null 2>&1").c_str()) == 0; };
	for (int i = 0; i < 6000 && !is_there(); i++)
		usleep(10000);
	// Then it writes its first line, and waits for a reader.
	auto writes = [&] {
		std::ifstream call("/proc/" + std::to_string(h.pid) + "/syscall");
		int number = -1;
		return call >> number && number == SYS_write;
	};
	for (int i = 0; i < 6000 && !writes(); i++)
		usleep(10000);
	REQUIRE(writes());
	const int status = system((run + "suspend -t 1 hello 2>" + h.folder + "/said").c_str());
	CHECK(WEXITSTATUS(status) == 1);
	char said[512] = "";
	int fd = open((h.folder + "/said").c_str(), O_RDONLY);
	CHECK(read(fd, said, sizeof said - 1) > 0);
	close(fd);
	CHECK(std::string(said).find("(CANCELLED)") != std::string::npos);
	CHECK(access((h.folder + "/hello.ckpt").c_str(), F_OK) != 0);
	std::string heard;
	char bytes[4096];
	for (int i = 0; i < 6000 && heard.find("counting") == std::string::npos; i++, usleep(10000))
		for (ssize_t n; (n = read(full, bytes, sizeof bytes)) > 0;)
			heard.append(bytes, (size_t)n);
	close(full);
	CHECK(heard.find("counting") != std::string::npos);
}
