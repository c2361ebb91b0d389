// bench: what an operator waits for, side by side with the tools he would use instead, on the same bytes and the same disk.
// Prints a table of medians with their spread over kRuns and the ratios within this run. Called by test/bench/run.sh.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <vkckpt/image.h>

extern char **environ;

namespace {

constexpr int kRuns = 5;
constexpr int kMib = 256;

double now()
{
	timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

[[noreturn]] void die(const std::string &what)
{
	std::fprintf(stderr, "bench: %s\n", what.c_str());
	std::exit(1);
}

pid_t start(const std::vector<std::string> &args)
{
	std::vector<char *> argv;
	for (const auto &a : args)
		argv.push_back(const_cast<char *>(a.c_str()));
	argv.push_back(nullptr);
	pid_t pid;
	if (int rc = posix_spawnp(&pid, argv[0], nullptr, nullptr, argv.data(), environ))
		die(args[0] + ": " + std::strerror(rc));
	return pid;
}

void finish(pid_t pid, int wanted, const std::string &what)
{
	int status = 0;
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != wanted)
		die(what + ": ended with wait status " + std::to_string(status));
}

double timed(const std::vector<std::string> &args, int wanted = 0)
{
	double t = now();
	finish(start(args), wanted, args[0]);
	return now() - t;
}

void wait_for(const std::string &file, const std::string &word)
{
	for (double end = now() + 60; now() < end; usleep(2000)) {
		std::FILE *in = std::fopen(file.c_str(), "r");
		char text[4096] = {};
		if (in) {
			size_t n = std::fread(text, 1, sizeof text - 1, in);
			text[n] = 0;
			std::fclose(in);
		}
		if (std::strstr(text, word.c_str()))
			return;
	}
	die("the guest did not say \"" + word + "\" in " + file);
}

// The bytes that the image stores, decoded, one frame after the other.
uint64_t extract(const std::string &image, const std::string &out)
{
	vkckpt_error err{};
	vkckpt_image *img = nullptr;
	if (vkckpt_image_open(image.c_str(), &img, &err) != 0)
		die(err.message);
	int fd = open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
	uint64_t count = 0, bytes = 0;
	const vkckpt_f_chunk *chunk = vkckpt_image_chunks(img, &count);
	std::vector<char> frame(VKCKPT_FRAME);
	for (uint64_t i = 0; i < count; i++)
		for (unsigned f = 0; f < VKCKPT_CHUNK_FRAMES; f++) {
			if (!(chunk[i].mask >> f & 1) || chunk[i].codec == VKCKPT_CODEC_ZERO)
				continue;
			if (vkckpt_image_frame(img, chunk[i].object, chunk[i].chunk * VKCKPT_CHUNK_FRAMES + f, frame.data(), &err) < 0)
				die(err.message);
			if (write(fd, frame.data(), frame.size()) != static_cast<ssize_t>(frame.size()))
				die(out + ": cannot write");
			bytes += frame.size();
		}
	close(fd);
	vkckpt_image_close(img);
	return bytes;
}

struct Row {
	std::string name;
	std::vector<double> seconds;
	double median() const
	{
		std::vector<double> s = seconds;
		std::sort(s.begin(), s.end());
		return s[s.size() / 2];
	}
};

void print(const Row &row, const Row &base)
{
	auto [lo, hi] = std::minmax_element(row.seconds.begin(), row.seconds.end());
	std::printf("%-44s %8.1f ms  (%.1f .. %.1f)   x%.2f\n", row.name.c_str(), row.median() * 1e3, *lo * 1e3, *hi * 1e3,
	    row.median() / base.median());
}

off_t size_of(const std::string &path)
{
	struct stat st;
	return stat(path.c_str(), &st) == 0 ? st.st_size : -1;
}

}  // namespace

int main(int argc, char **argv)
{
	const std::string dir = argc > 1 ? argv[1] : ".";
	const std::string image = dir + "/bench.ckpt", log = dir + "/console", raw = dir + "/raw", lz = dir + "/raw.lz4";
	const std::string guests = dir + "/root";
	Row suspend{"minivk suspend, LZ4, fsync (signal to exit)", {}}, thaw{"minivk thaw (exec to guest's next step)", {}};
	Row lz4c{"lz4 -1 of the same bytes", {}}, lz4s{"lz4 -1 of the same bytes, then sync of it", {}}, lz4d{"lz4 -d of the same", {}};
	uint64_t bytes = 0;

	for (int i = 0; i < kRuns; i++) {
		unlink(log.c_str());
		unlink(image.c_str());
		pid_t vk = start({"build/bin/minivk", "-m", "512m", "--name", "bench", "--image", image, "--root", guests, "--console",
		    "log:" + log, "--", "/fill", std::to_string(kMib)});
		wait_for(log, "ready");
		double t = now();
		kill(vk, VKCKPT_SIGCKPT);
		finish(vk, VKCKPT_EXIT_SUSPENDED, "minivk");
		suspend.seconds.push_back(now() - t);
		thaw.seconds.push_back(timed({"build/bin/minivk", "--thaw", image, "--console", "null"}));
		if (i == 0)
			bytes = extract(image, raw);
		lz4c.seconds.push_back(timed({"lz4", "-1", "-q", "-f", raw, lz}));
		double c = lz4c.seconds.back();
		lz4s.seconds.push_back(c + timed({"sync", lz}));
		lz4d.seconds.push_back(timed({"lz4", "-d", "-q", "-f", lz, dir + "/raw.out"}));
	}
	std::printf("%d MiB filled by a guest of 512 MiB; %llu bytes live in the image; median (spread) of %d runs, ratio to lz4\n\n",
	    kMib, static_cast<unsigned long long>(bytes), kRuns);
	print(lz4c, lz4c);
	print(lz4s, lz4c);
	print(suspend, lz4c);
	std::printf("\n");
	print(lz4d, lz4d);
	print(thaw, lz4d);
	std::printf("\nimage %lld bytes, lz4 -1 %lld bytes: x%.2f\n", static_cast<long long>(size_of(image)),
	    static_cast<long long>(size_of(lz)), static_cast<double>(size_of(image)) / static_cast<double>(size_of(lz)));
	return 0;
}
