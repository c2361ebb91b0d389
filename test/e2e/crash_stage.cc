#include "test/e2e/crash_stage.h"

#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <map>
#include <sys/mman.h>
#include <unistd.h>

namespace vktest {

namespace fs = std::filesystem;

namespace {

const char kCount[] = "read d </dev/vkd0; case $d in 1*) n=$d;; *) n=10000000; echo $n 1<>/dev/vkd0;; esac; echo booted $n; "
    "while :; do read d </dev/vkd0; [ \"$d\" = $n ] || echo WRONG $d $n; n=$((n+1)); echo $n 1<>/dev/vkd0; echo on $n; sleep 0.01; done";

std::string faulty(const std::string &name)
{
	return fs::path(minivk_path()).parent_path().parent_path() / "faulty/bin" / name;
}

}  // namespace

CrashStage::CrashStage()
{
	disk = place.make_disk();
	write_file(disk, "new disk\n" + std::string((1 << 20) - 9, '\0'));	// a line that the guest's shell can read
	image = place.image();
	const std::string file = place / "plan";
	write_file(file, "");
	fs::resize_file(file, sizeof(crash::Plan));
	const int fd = open(file.c_str(), O_RDWR | O_CLOEXEC);
	plan = static_cast<crash::Plan *>(mmap(nullptr, sizeof(crash::Plan), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	close(fd);
}

CrashStage::~CrashStage() { munmap(plan, sizeof *plan); }

Child CrashStage::start(std::vector<std::string> words)
{
	words[0] = faulty(words[0]);
	const std::string file = place / "plan";
	return std::make_unique<Process>(Process::Setup{.words = words, .folder = place.path(), .before_exec = [file] {
		setenv("VKCKPT_TEST_PLAN", file.c_str(), 1);
	}});
}

Child CrashStage::boot(const std::vector<std::string> &options)
{
	std::vector<std::string> words = place.boot_words({"/bin/sh", "-c", kCount}, {"-m", "16m", "-r", disk, "--image", image});
	words.insert(words.begin() + 1, options.begin(), options.end());
	words[0] = "minivk";
	return start(words);
}

Child CrashStage::thaw(const std::vector<std::string> &options, const std::string &from)
{
	std::vector<std::string> words = place.thaw_words(options, from.empty() ? image : from);
	words[0] = "minivk";
	return start(words);
}

Child CrashStage::command(std::vector<std::string> words)
{
	words.insert(words.begin(), "vkckpt");
	return start(words);
}

void CrashStage::look() { memset(static_cast<void *>(plan), 0, sizeof *plan); }

std::vector<std::pair<std::string, unsigned>> CrashStage::passed() const
{
	std::map<std::string, unsigned> count;
	for (uint32_t i = 0; i < plan->seen_count && i < crash::kMostSeen; i++)
		count[plan->seen[i]]++;
	return {count.begin(), count.end()};
}

void CrashStage::arm(const std::string &point, unsigned time, crash::Action action, int error)
{
	look();
	strncpy(plan->point, point.c_str(), sizeof plan->point - 1);
	plan->time = time;
	plan->error = uint32_t(error);
	__atomic_store_n(&plan->action, action, __ATOMIC_RELEASE);
}

bool CrashStage::reached() const { return __atomic_load_n(&plan->reached, __ATOMIC_ACQUIRE) != 0; }

bool CrashStage::goes_on(Process &child) { return child.expect("on 1") && child.expect("on 1") && child.out().find("WRONG") == std::string::npos; }

bool CrashStage::suspended(Process &child) { return suspend(child).empty(); }

}  // namespace vktest
