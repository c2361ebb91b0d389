// The command as a person or a script meets it: exit statuses, messages, and what it does to processes. Requests are served by a
// stand-in that follows a script, so that every turn a request can take is taken on purpose; real vkernels follow at the end.
#include <catch2/catch.hpp>

#include "test/e2e/command_util.h"
#include "test/skip.h"

using namespace command_test;

namespace {

bool has(const std::string &text, const std::string &part) { return text.find(part) != std::string::npos; }

// A run directory of this test alone.
struct Place {
	TempDir dir;
	std::string run = dir / "run";
	Place() { mkdir(run.c_str(), 0700); }
	Environment environment() const { return {{"VKCKPT_RUNDIR", run}}; }
	Ran vkckpt(std::vector<std::string> words, const std::string &input = "/dev/null") const
	{
		words.insert(words.begin(), bin("vkckpt"));
		return Child(words, environment(), Child::Stderr::kPipe, input).finish();
	}
	std::unique_ptr<Child> start(std::vector<std::string> words, Child::Stderr kind = Child::Stderr::kPipe) const
	{
		words.insert(words.begin(), bin("vkckpt"));
		return std::make_unique<Child>(words, environment(), kind);
	}
};

// A process that SIGCKPT would kill: it is none of ours.
struct Foreign {
	Child child{{"sleep", "1000"}, {}};
	std::string pid = std::to_string(child.pid());
	bool untouched() { pause_ms(50); return child.running(); }
};

}  // namespace

TEST_CASE("vkckpt: a senseless command line is misuse, status 2, with the synopsis", "[command]")
{
	Place place;
	std::vector<std::vector<std::string>> lines = {
		{}, {"frobnicate"}, {"list", "--frob"}, {"list", "a", "b"}, {"list", "-o", "nonsense"}, {"suspend"},
		{"suspend", "-t"}, {"suspend", "-t", "0", "a"}, {"suspend", "-t", "-1", "a"},
		{"suspend", "-t", "1x", "a"}, {"suspend", "-t", "", "a"}, {"suspend", "-t", "99999999", "a"},
		{"suspend", "--ram-only", "a"}, {"suspend", ""}, {"checkpoint"}, {"checkpoint", "--json", "a"}, {"discard"},
		{"info"}, {"info", "-x", "a"}, {"verify"}, {"verify", "a", "b"}, {"diff", "a"}, {"diff", "a", "b", "c"}, {"vmspaces"}, {"vmspaces", "--remove", "a"},
		{"signals", "a"}, {"signals", "--json"},
	};
	for (const auto &line : lines) {
		std::string shown;
		for (const std::string &word : line)
			shown += word + " ";
		INFO("vkckpt " << shown);
		Ran ran = place.vkckpt(line);
		CHECK(ran.status == 2);
		CHECK(ran.out.empty());
		CHECK(has(ran.err, "usage: vkckpt"));
	}
}

TEST_CASE("vkckpt: an option that is wrong is named, not its neighbour", "[command]")
{
	Place place;
	const std::vector<std::pair<std::vector<std::string>, std::string>> lines = {
		{{"verify", "--parent", "away", "X"}, "verify: --parent: this option is not known here"},
		{{"suspend", "-jx", "x"}, "suspend: -j: this option is not known here"},
		{{"list", "-jx", "x"}, "list: -x: this option is not known here"},
		{{"list", "--frob", "x"}, "list: --frob: this option is not known here"},
		{{"list", "--json=3"}, "list: --json=3: this option takes no value"},
		{{"suspend", "x", "-t"}, "suspend: -t: lacks its value"},
		{{"suspend", "x", "--timeout"}, "suspend: --timeout: lacks its value"},
		{{"list", "-o", ""}, "list: -o '': a field has no name"},
		{{"list", "-o", "name,"}, "list: -o 'name,': a field has no name"},
		{{"list", "-o", "name", "--json"}, "list: --json or -o"},
	};
	for (const auto &[line, sentence] : lines) {
		Ran ran = place.vkckpt(line);
		INFO(line[0] << " " << line[1] << "\n" << ran.err);
		CHECK(ran.status == 2);
		CHECK(ran.out.empty());
		CHECK(has(ran.err, "vkckpt: " + sentence));
	}
}

TEST_CASE("vkckpt: help, version and signal numbers are given with status 0", "[command]")
{
	Place place;
	Ran ran = place.vkckpt({"--help"});
	CHECK(ran.status == 0);
	for (const char *name : {"list", "suspend", "checkpoint", "discard", "info", "verify", "diff", "vmspaces", "signals"}) {
		CHECK(has(ran.out, name));
		Ran one = place.vkckpt({name, "--help"});
		CHECK(one.status == 0);
		CHECK(has(one.out, std::string("usage: vkckpt ") + name));
		CHECK(one.err.empty());
	}
	CHECK(has(place.vkckpt({"--version"}).out, "vkckpt 0."));
	ran = place.vkckpt({"signals"});
	CHECK(ran.status == 0);
	CHECK(has(ran.out, std::to_string(VKCKPT_SIGCKPT)));
	CHECK(has(ran.out, std::to_string(VKCKPT_SIGCKPTEXIT)));
	CHECK(has(ran.out, std::to_string(VKCKPT_SIGTHAW)));
}

TEST_CASE("vkckpt: output that cannot be written is a negative answer", "[command]")
{
	Place place;
	if (access("/dev/full", W_OK) != 0)
		TEST_SKIP("no /dev/full");
	Ran ran = Child({"sh", "-c", "\"$0\" signals >/dev/full", bin("vkckpt")}, place.environment()).finish();
	CHECK(ran.status == 1);
	CHECK(has(ran.err, "standard output"));
}

TEST_CASE("vkckpt list: nothing runs, or the run directory does not exist yet: status 0", "[command]")
{
	Place place;
	Ran ran = place.vkckpt({"list"});
	CHECK(ran.status == 0);
	CHECK(has(ran.out, "no vkernel is running"));
	CHECK(place.vkckpt({"list", "-o", "pid"}).out.empty());
	rmdir(place.run.c_str());
	ran = place.vkckpt({"list", "--json"});
	CHECK(ran.status == 0);
	CHECK(JsonReader::parse(ran.out).items.empty());
	CHECK(!std::filesystem::exists(place.run));
}

TEST_CASE("vkckpt list: shows each vkernel, as a table, as JSON and as fields", "[command]")
{
	Place place;
	StandIn web(place.run, "web", Script::kObey, place.dir / "web.ckpt"), db(place.run, "db.1", Script::kObey);
	Ran ran = place.vkckpt({"list"});
	CHECK(ran.status == 0);
	CHECK(has(ran.out, "web"));
	CHECK(has(ran.out, web.pid_text()));
	CHECK(has(ran.out, "64 MiB"));
	CHECK(has(ran.out, place.dir / "web.ckpt"));
	JsonValue json = JsonReader::parse(place.vkckpt({"list", "--json"}).out);
	REQUIRE(json.items.size() == 2);
	CHECK(json[0]["name"].text == "db.1");
	CHECK(json[0]["image"].kind == JsonValue::kNull);
	CHECK(json[1]["pid"].number() == static_cast<uint64_t>(web.pid()));
	CHECK(json[1]["ram_bytes"].number() == 64u << 20);
	CHECK(json[1]["state"].text == "running");
	CHECK(place.vkckpt({"list", "-o", "name,pid,estimate", "web"}).out ==
	    "web\t" + web.pid_text() + "\t" + std::to_string(65 << 20) + "\n");
	CHECK(place.vkckpt({"list", "-o", "name", db.pid_text()}).out == "db.1\n");
	ran = place.vkckpt({"list", "mail"});
	CHECK(ran.status == 1);
	CHECK(has(ran.err, "vkckpt: mail: "));
	CHECK(has(ran.err, "(NOT_FOUND)"));
}

TEST_CASE("vkckpt list: a warning found at start is shown with its remedy", "[command]")
{
	Place place;
	StandIn web(place.run, "web", Script::kObey);
	vkckpt_run_entry words = web.words();
	words.warning_reason = VKCKPT_R_NO_SPACE;
	int fd = open(web.file().c_str(), O_WRONLY);
	REQUIRE(pwrite(fd, &words, sizeof words, 0) == sizeof words);
	close(fd);
	CHECK(has(place.vkckpt({"list"}).out, "warning: web (pid " + web.pid_text() + "): "));
	CHECK(has(place.vkckpt({"list"}).out, "(NO_SPACE)"));
	CHECK(JsonReader::parse(place.vkckpt({"list", "--json"}).out)[0]["warning"].text == "NO_SPACE");
}

TEST_CASE("vkckpt list: what others wrote into an entry can neither steer the terminal nor break the JSON", "[command]")
{
	Place place;
	std::string nasty = "/x\033[2J\"\\\n\x80\xc2\x9b" "end";
	StandIn web(place.run, "web", Script::kObey, nasty);
	Ran ran = place.vkckpt({"list"});
	CHECK(!has(ran.out, "\033"));
	CHECK(!has(ran.out, "\xc2\x9b"));
	CHECK(has(ran.out, "\\x1b[2J"));
	CHECK(has(JsonReader::parse(place.vkckpt({"list", "--json"}).out)[0]["image"].text, "/x\033[2J\"\\\n"));
}

TEST_CASE("vkckpt list: entries of the dead are removed, and only those", "[command]")
{
	Place place;
	pid_t gone = fork();
	if (gone == 0)
		_exit(0);
	waitpid(gone, nullptr, 0);
	vkckpt_run_entry dead = make_entry("dead", gone);
	write_entry(place.run, dead);
	vkckpt_run_entry reused = make_entry("reused", getpid());
	reused.start_time -= 1;
	write_entry(place.run, reused);
	// Unlocked but its process lives: it is just being published.
	write_entry(place.run, make_entry("coming", getpid()));
	// Locked although its process is gone: somebody else holds the descriptor. Not listed, not removed.
	write_entry(place.run, make_entry("held", gone));
	int lock = lock_entry(entry_file(place.run, "held", gone));
	write_all(place.run + "/notes.txt", "not an entry");
	Ran ran = place.vkckpt({"list"});
	CHECK(ran.status == 0);
	CHECK(has(ran.out, "no vkernel is running"));
	CHECK(!std::filesystem::exists(entry_file(place.run, "dead", gone)));
	CHECK(!std::filesystem::exists(entry_file(place.run, "reused", getpid())));
	CHECK(std::filesystem::exists(entry_file(place.run, "coming", getpid())));
	CHECK(std::filesystem::exists(entry_file(place.run, "held", gone)));
	CHECK(std::filesystem::exists(place.run + "/notes.txt"));
	close(lock);
	place.vkckpt({"list"});
	CHECK(!std::filesystem::exists(entry_file(place.run, "held", gone)));
}

TEST_CASE("vkckpt list: damaged, foreign and linked entries are passed over", "[command]")
{
	Place place;
	StandIn web(place.run, "web", Script::kObey);
	std::string pid = std::to_string(getpid());
	write_all(place.run + "/short." + pid, "VKCKRUN1");
	write_all(place.run + "/empty." + pid, "");
	mkdir((place.run + "/folder." + pid).c_str(), 0700);
	mkfifo((place.run + "/fifo." + pid).c_str(), 0600);
	REQUIRE(symlink(web.file().c_str(), (place.run + "/link." + web.pid_text()).c_str()) == 0);
	// An entry under another name than its own.
	vkckpt_run_entry other = make_entry("other", getpid());
	write_all(place.run + "/alias." + pid, std::string(reinterpret_cast<char *>(&other), sizeof other));
	int lock = lock_entry(place.run + "/alias." + pid);
	CHECK(place.vkckpt({"list", "-o", "name"}).out == "web\n");
	close(lock);
}

TEST_CASE("vkckpt: a run directory that others can enter is refused", "[command]")
{
	Place place;
	StandIn web(place.run, "web", Script::kObey);
	chmod(place.run.c_str(), 0755);
	for (const char *command : {"list", "suspend", "checkpoint"}) {
		Ran ran = std::string(command) == "list" ? place.vkckpt({command}) : place.vkckpt({command, "web"});
		CHECK(ran.status == 1);
		CHECK(has(ran.err, "vkckpt: " + place.run + ": "));
		CHECK(has(ran.err, "(PERMISSION)"));
		CHECK(has(ran.err, "chmod 700"));
	}
	CHECK(web.words().done_count == 0);
}

TEST_CASE("vkckpt: a run directory that is a link, a file or another user's is refused", "[command]")
{
	Place place;
	std::string link = place.dir / "link", file = place.dir / "file", foreign = place.dir / "foreign";
	REQUIRE(symlink(place.run.c_str(), link.c_str()) == 0);
	write_all(file, "");
	auto list_in = [&](const std::string &where) {
		return Child({bin("vkckpt"), "list"}, {{"VKCKPT_RUNDIR", where}}).finish();
	};
	CHECK(list_in(link).status == 1);
	CHECK(has(list_in(link).err, "not a real directory (PERMISSION)"));
	CHECK(list_in(file).status == 1);
	if (geteuid() == 0) {
		mkdir(foreign.c_str(), 0700);
		REQUIRE(chown(foreign.c_str(), 65534, 65534) == 0);
		CHECK(list_in(foreign).status == 1);
		CHECK(has(list_in(foreign).err, "belongs to uid 65534"));
	}
}

TEST_CASE("vkckpt: the run directory follows XDG_RUNTIME_DIR where VKCKPT_RUNDIR is not set", "[command]")
{
	Place place;
	std::string session = place.dir / "session";
	mkdir(session.c_str(), 0700);
	mkdir((session + "/vkckpt").c_str(), 0700);
	StandIn web(session + "/vkckpt", "web", Script::kObey);
	Ran ran = Child({bin("vkckpt"), "list", "-o", "name"}, {{"VKCKPT_RUNDIR", ""}, {"XDG_RUNTIME_DIR", session}}).finish();
	CHECK(ran.out == "web\n");
}

TEST_CASE("vkckpt suspend: an unknown name or a foreign process is refused and nothing is sent", "[command]")
{
	Place place;
	Foreign foreign;
	for (const char *command : {"suspend", "checkpoint"}) {
		Ran ran = place.vkckpt({command, "nobody"});
		CHECK(ran.status == 1);
		CHECK(has(ran.err, "vkckpt: nobody: "));
		CHECK(has(ran.err, "(NOT_FOUND)"));
		ran = place.vkckpt({command, foreign.pid});
		CHECK(ran.status == 1);
		CHECK(has(ran.err, "nothing was sent"));
	}
	CHECK(foreign.untouched());
}

TEST_CASE("vkckpt suspend: a locked entry that names a foreign process does not get it killed", "[command]")
{
	Place place;
	Foreign foreign;
	vkckpt_run_entry words = make_entry("trap", foreign.child.pid());
	words.start_time += 1;
	write_entry(place.run, words);
	int lock = lock_entry(entry_file(place.run, "trap", foreign.child.pid()));
	CHECK(place.vkckpt({"suspend", "trap"}).status == 1);
	CHECK(place.vkckpt({"suspend", foreign.pid}).status == 1);
	CHECK(foreign.untouched());
	close(lock);
}

TEST_CASE("vkckpt suspend: a process of another user is refused even if an entry names it", "[command]")
{
	if (geteuid() != 0)
		TEST_SKIP("only root can make a process of another user");
	Place place;
	Child foreign({"setpriv", "--reuid=65534", "--clear-groups", "sleep", "1000"}, {});
	REQUIRE(await([&] { return has(read_all("/proc/" + std::to_string(foreign.pid()) + "/status"), "Uid:\t65534"); }));
	write_entry(place.run, make_entry("trap", foreign.pid()));
	int lock = lock_entry(entry_file(place.run, "trap", foreign.pid()));
	Ran ran = place.vkckpt({"suspend", "trap"});
	CHECK(ran.status == 1);
	CHECK(has(ran.err, "belongs to uid 65534"));
	pause_ms(50);
	CHECK(foreign.running());
	close(lock);
}

TEST_CASE("vkckpt suspend: a name that several have is not guessed", "[command]")
{
	Place place;
	StandIn one(place.run, "web", Script::kObey), two(place.run, "web", Script::kObey);
	Ran ran = place.vkckpt({"suspend", "web"});
	CHECK(ran.status == 1);
	CHECK(has(ran.err, one.pid_text()));
	CHECK(has(ran.err, two.pid_text()));
	CHECK(one.running());
	CHECK(two.running());
	CHECK(place.vkckpt({"suspend", two.pid_text()}).status == 0);
	CHECK(!two.running());
	CHECK(place.vkckpt({"checkpoint", "web"}).status == 0);
	CHECK(one.running());
}

TEST_CASE("vkckpt suspend: a name that is another's pid is not guessed", "[command]")
{
	Place place;
	StandIn one(place.run, "web", Script::kObey), two(place.run, one.pid_text(), Script::kObey);
	Ran ran = place.vkckpt({"suspend", one.pid_text()});
	CHECK(ran.status == 1);
	CHECK(has(ran.err, "web (pid " + one.pid_text() + ")"));
	CHECK(has(ran.err, one.pid_text() + " (pid " + two.pid_text() + ")"));
	CHECK(has(ran.err, "(BAD_ARGUMENT); nothing was sent"));
	CHECK(one.running());
	CHECK(two.running());
	CHECK(place.vkckpt({"suspend", "web"}).status == 0);
	CHECK(place.vkckpt({"suspend", two.pid_text()}).status == 0);
}

TEST_CASE("vkckpt suspend: a vkernel that is named twice is asked once", "[command]")
{
	Place place;
	StandIn web(place.run, "web", Script::kObey);
	Ran ran = place.vkckpt({"suspend", "web", web.pid_text(), "web"});
	INFO(ran.err);
	CHECK(ran.status == 0);
	CHECK(ran.err.empty());
	CHECK(std::count(ran.out.begin(), ran.out.end(), '\n') == 1);
}

TEST_CASE("vkckpt suspend: returns 0 when the image is committed and the process gone", "[command]")
{
	Place place;
	Script script = GENERATE(Script::kObey, Script::kCommitThenVanish);
	StandIn web(place.run, "web", script, place.dir / "web.ckpt");
	Ran ran = place.vkckpt({"suspend", "-t", "60", "web"});
	CHECK(ran.status == 0);
	CHECK(ran.err.empty());
	CHECK(has(ran.out, "web (pid " + web.pid_text() + "): suspended to " + (place.dir / "web.ckpt")));
	CHECK(!web.running());
}

TEST_CASE("vkckpt checkpoint: returns 0 when the image is committed, and the vkernel runs on", "[command]")
{
	Place place;
	StandIn web(place.run, "web", Script::kObey, place.dir / "web.ckpt");
	for (int i = 1; i <= 3; i++) {
		Ran ran = place.vkckpt({"checkpoint", "web"});
		CHECK(ran.status == 0);
		CHECK(has(ran.out, "it runs on"));
		CHECK(web.words().done_count == static_cast<uint64_t>(i));
	}
	CHECK(web.words().action == VKCKPT_ACTION_CONTINUE);
	CHECK(web.running());
}

TEST_CASE("vkckpt suspend: a failure is reported in the library's words and the vkernel runs on", "[command]")
{
	Place place;
	StandIn web(place.run, "web", Script::kFail);
	Ran ran = place.vkckpt({"suspend", "web"});
	CHECK(ran.status == 1);
	CHECK(ran.out.empty());
	CHECK(has(ran.err, "vkckpt: web (pid " + web.pid_text() + "): suspend failed, the vkernel runs on: "));
	CHECK(has(ran.err, "no space is left for the image (NO_SPACE)"));
	CHECK(web.running());
}

TEST_CASE("vkckpt suspend: a vkernel that serves another request says so", "[command]")
{
	Place place;
	StandIn web(place.run, "web", Script::kBusy);
	Ran ran = place.vkckpt({"suspend", "web"});
	CHECK(ran.status == 1);
	CHECK(has(ran.err, "(BUSY)"));
	CHECK(web.running());
}

TEST_CASE("vkckpt suspend: a process that ends before the commit is a failure", "[command]")
{
	Place place;
	StandIn web(place.run, "web", Script::kDie);
	Ran ran = place.vkckpt({"suspend", "web"});
	CHECK(ran.status == 1);
	CHECK(has(ran.err, "ended before its image was committed"));
}

TEST_CASE("vkckpt suspend -t: the request is cancelled and the vkernel runs on", "[command]")
{
	Place place;
	StandIn web(place.run, "web", Script::kWaitForCancel);
	const char *command = GENERATE("suspend", "checkpoint");
	Ran ran = place.vkckpt({command, "-t", "1", "web"});
	CHECK(ran.status == 1);
	CHECK(has(ran.err, "cancelled, the vkernel runs on (CANCELLED)"));
	CHECK(web.running());
	CHECK(web.words().done_count == 1);
	CHECK(web.words().result_reason == VKCKPT_R_CANCELLED);
}

TEST_CASE("vkckpt suspend -t: a commit that came before the cancellation is a success and said so", "[command]")
{
	Place place;
	StandIn web(place.run, "web", Script::kCommitOnCancel, place.dir / "web.ckpt");
	Ran ran = place.vkckpt({"suspend", "-t", "1", "web"});
	CHECK(ran.status == 0);
	CHECK(has(ran.out, "suspended to"));
	CHECK(has(ran.out, "after all"));
	CHECK(!web.running());
}

TEST_CASE("vkckpt suspend: an interrupt cancels the request", "[command]")
{
	Place place;
	int signal = GENERATE(SIGINT, SIGTERM, SIGHUP);
	StandIn web(place.run, "web", Script::kWaitForCancel);
	auto tool = place.start({"suspend", "web"});
	REQUIRE(await([&] { return web.words().phase == VKCKPT_PHASE_WRITE; }));
	kill(tool->pid(), signal);
	Ran ran = tool->finish();
	CHECK(ran.status == 1);
	CHECK(has(ran.err, "cancelled on your interrupt, the vkernel runs on"));
	CHECK(web.running());
	CHECK(web.words().result_reason == VKCKPT_R_CANCELLED);
}

TEST_CASE("vkckpt suspend: an interrupt during the wait for a cancellation gives up, and says that nothing is certain", "[command]")
{
	Place place;
	StandIn web(place.run, "web", Script::kObey);
	kill(web.pid(), SIGSTOP);
	bool by_timeout = GENERATE(true, false);
	auto tool = by_timeout ? place.start({"suspend", "-t", "1", "web"}) : place.start({"suspend", "web"});
	if (!by_timeout) {
		CHECK(tool->await_error("the process is stopped"));
		kill(tool->pid(), SIGINT);
		pause_ms(100);
		CHECK(tool->running());
	}
	// Said once for the request and once for the cancellation.
	CHECK(tool->await_error("kill -CONT"));
	pause_ms(1100);
	CHECK(tool->running());
	kill(tool->pid(), SIGINT);
	Ran ran = tool->finish();
	CHECK(ran.status == 1);
	CHECK(has(ran.err, "is not known"));
}

TEST_CASE("vkckpt suspend: a stopped process is named as such, and the request is still good", "[command]")
{
	Place place;
	StandIn web(place.run, "web", Script::kObey);
	kill(web.pid(), SIGSTOP);
	auto tool = place.start({"suspend", "web"});
	CHECK(tool->await_error("the process is stopped"));
	kill(web.pid(), SIGCONT);
	CHECK(tool->finish().status == 0);
}

TEST_CASE("vkckpt suspend: progress is drawn on a terminal and nowhere else", "[command]")
{
	Place place;
	StandIn one(place.run, "one", Script::kSlow), two(place.run, "two", Script::kSlow);
	Ran ran = place.start({"suspend", "one"}, Child::Stderr::kTerminal)->finish();
	CHECK(ran.status == 0);
	CHECK(has(ran.err, "one: writing"));
	CHECK(has(ran.err, "%"));
	CHECK(has(ran.err, "of 64 MiB"));
	CHECK(has(ran.err, "/s  ETA 0:0"));
	CHECK(place.vkckpt({"suspend", "two"}).err.empty());
	// A terminal that cannot draw over a line.
	StandIn three(place.run, "three", Script::kSlow);
	Environment dumb = place.environment();
	dumb["TERM"] = "dumb";
	CHECK(Child({bin("vkckpt"), "suspend", "three"}, dumb, Child::Stderr::kTerminal).finish().err.empty());
}

TEST_CASE("vkckpt: two suspends at once: one serves, none is lost", "[command]")
{
	Place place;
	StandIn web(place.run, "web", Script::kSlow);
	auto first = place.start({"suspend", "web"});
	REQUIRE(await([&] { return web.words().phase == VKCKPT_PHASE_WRITE; }));
	auto second = place.start({"suspend", "web"});
	CHECK(first->finish().status == 0);
	// The stand-in never gets to the second signal: it ends without a word for it.
	CHECK(second->finish().status == 1);
}

TEST_CASE("vkckpt info, verify, vmspaces, discard: what is no image gets one line and status 1", "[command]")
{
	Place place;
	std::string empty = place.dir / "empty", text = place.dir / "text", folder = place.dir / "folder";
	write_all(empty, "");
	write_all(text, std::string(10000, 'x'));
	mkdir(folder.c_str(), 0700);
	for (const std::string &path : {empty, text, folder, place.dir / "missing"})
		for (const char *command : {"info", "verify", "vmspaces", "discard"}) {
			INFO(command << " " << path);
			Ran ran = place.vkckpt({command, path});
			CHECK(ran.status == 1);
			CHECK(ran.out.empty());
			CHECK(ran.err.substr(0, 8) == "vkckpt: ");
			CHECK(std::count(ran.err.begin(), ran.err.end(), '\n') == 1);
			CHECK(has(ran.err, path));
			CHECK(has(ran.err, "("));
		}
	CHECK(place.vkckpt({"verify", "-"}, text).status == 1);
	CHECK(place.vkckpt({"verify", "-"}, empty).status == 1);
}
