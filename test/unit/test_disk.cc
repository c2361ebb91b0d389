#include <catch2/catch.hpp>

#include <atomic>
#include <functional>
#include <sys/wait.h>

#include <vkckpt/image.h>

#include "lib/digest.h"
#include "test/unit/fixture.h"

using namespace fixture;

namespace {

std::string reason(const struct vkckpt_error &e) { return vkckpt_reason_name(e.reason); }

struct Disk {
	struct vkckpt_disk fence = {};
	struct vkckpt_error err = {};
	int fd;
	explicit Disk(const std::string &path) { fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600); }
	~Disk()
	{
		if (booted)
			vkckpt_disk_release(&fence);
		close(fd);
	}
	bool booted = false;
	int boot(const std::string &path)
	{
		int r = vkckpt_disk_boot(&fence, path.c_str(), fd, &err);
		booted = r == 0;
		return r;
	}
};

struct vkckpt_f_sidecar inspect(const std::string &path)
{
	struct vkckpt_f_sidecar s = {};
	struct vkckpt_error err;
	vkckpt_disk_inspect(path.c_str(), &s, &err);
	return s;
}

// A suspended vkernel with one disk.
void suspend(Vkernel &v, const std::string &disk)
{
	REQUIRE(v.add_disk("disk0", disk) == 0);
	REQUIRE(v.arm() == 0);
	v.ram()[1] = 11;
	int r = v.request(VKCKPT_ACTION_EXIT);
	INFO(v.last_resumed.message);
	REQUIRE(r == VKCKPT_EXIT);
	v.die();
}

}  // namespace

TEST_CASE("a boot locks the disk and an orderly end sets it free")
{
	TempDir dir;
	std::string path = dir / "disk";
	{
		Disk a(path);
		REQUIRE(a.boot(path) == 0);
		CHECK(inspect(path).state == VKCKPT_DISK_RUNNING);
		CHECK(inspect(path).holder_pid == (uint64_t)getpid());
		Disk b(path);
		CHECK(b.boot(path) == -EBUSY);
		CHECK(reason(b.err) == "DISK_IN_USE");
		CHECK(b.err.number == (uint64_t)getpid());
		vkckpt_disk_shutdown(&a.fence);
		CHECK(inspect(path).state == VKCKPT_DISK_IDLE);
		a.booted = false;
		CHECK(b.boot(path) == 0);
	}
	// b went without an orderly end: the next boot takes it for a crash
	CHECK(inspect(path).state == VKCKPT_DISK_RUNNING);
	Disk c(path);
	CHECK(c.boot(path) == 0);
	CHECK(inspect(path).epoch == 4);
}

TEST_CASE("what a dead holder left of its lock is waited for, a little")
{
	TempDir dir;
	std::string path = dir / "disk";
	int ends[2];
	REQUIRE(pipe(ends) == 0);
	const pid_t holder = fork();
	if (holder == 0) {
		Disk a(path);
		if (a.boot(path) != 0)
			_exit(1);
		if (fork() != 0)
			_exit(0);
		char word;		// the first byte begins the wait, the end of the pipe cuts it short
		close(ends[1]);
		if (read(ends[0], &word, 1) == 1)
			usleep(150000);
		_exit(0);
	}
	int status = -1;
	REQUIRE(waitpid(holder, &status, 0) == holder);
	REQUIRE(status == 0);
	Disk b(path);
	SECTION("it passes")
	{
		REQUIRE(write(ends[1], "g", 1) == 1);
		CHECK(b.boot(path) == 0);
	}
	SECTION("it stays")
	{
		CHECK(b.boot(path) == -EBUSY);
		CHECK(reason(b.err) == "DISK_IN_USE");
	}
	close(ends[1]);
	close(ends[0]);
}

TEST_CASE("a disk has one sidecar, whatever link leads to it")
{
	TempDir dir;
	std::string path = dir / "disk", alias = dir / "alias";
	Disk a(path);
	REQUIRE(a.boot(path) == 0);
	REQUIRE(symlink(path.c_str(), alias.c_str()) == 0);
	Disk b(alias);
	CHECK(b.boot(alias) == -EBUSY);
	CHECK_FALSE(exists(alias + ".vkckpt"));
}

TEST_CASE("suspend, thaw, and no second thaw")
{
	Vkernel v;
	std::string disk = v.dir / "disk";
	suspend(v, disk);
	struct vkckpt_f_sidecar s = inspect(disk);
	CHECK(s.state == VKCKPT_DISK_SUSPENDED);
	CHECK(s.image_path == v.image);
	CHECK_FALSE(exists(disk + ".vkckpt.new"));
	std::string image = slurp(v.image);

	SECTION("a normal boot is refused until the image is given up")
	{
		Disk b(disk);
		CHECK(b.boot(disk) == -EBUSY);
		CHECK(reason(b.err) == "DISK_SUSPENDED");
		CHECK(std::string(b.err.message).find("discard") != std::string::npos);
		CHECK(vkckpt_disk_discard(disk.c_str(), &b.err) == 0);
		CHECK(b.boot(disk) == 0);
		CHECK(v.thaw(v.image) == -EBUSY);
		CHECK(reason(v.err) == "DISK_IN_USE");
		vkckpt_disk_shutdown(&b.fence);
		b.booted = false;
		CHECK(v.thaw(v.image) == -ESTALE);
		CHECK(reason(v.err) == "DISK_SUPERSEDED");
	}
	SECTION("the thaw advances the epoch, holds the lock, and the image is spent")
	{
		int r = v.thaw(v.image);
		INFO(v.err.message);
		REQUIRE(r == 0);
		CHECK(inspect(disk).state == VKCKPT_DISK_RUNNING);
		CHECK(inspect(disk).epoch == s.epoch + 1);
		Device &d = v.opened.devices.back();
		Disk b(disk);
		CHECK(b.boot(disk) == -EBUSY);
		CHECK(reason(b.err) == "DISK_IN_USE");
		v.disarm();
		v.drop_ram();
		CHECK(v.thaw(v.image) == -EBUSY);		// still running, as far as the lock tells
		CHECK(reason(v.err) == "DISK_IN_USE");
		vkckpt_disk_release(&d.fence);			// it dies
		CHECK(v.thaw(v.image) == -ESTALE);
		CHECK(reason(v.err) == "DISK_SUPERSEDED");
		CHECK(slurp(v.image) == image);
	}
	SECTION("a disk that was written meanwhile")
	{
		usleep(20000);	// the clock of ctime is coarse
		int fd = open(disk.c_str(), O_WRONLY);
		REQUIRE(pwrite(fd, "x", 1, 0) == 1);
		close(fd);
		CHECK(v.thaw(v.image) == -ESTALE);
		CHECK(reason(v.err) == "DISK_CHANGED");
	}
	SECTION("a disk of another size")
	{
		REQUIRE(truncate(disk.c_str(), 100) == 0);
		CHECK(v.thaw(v.image) == -ESTALE);
		CHECK(reason(v.err) == "DISK_CHANGED");
	}
	SECTION("no disk")
	{
		REQUIRE(unlink(disk.c_str()) == 0);
		CHECK(v.thaw(v.image) == -ENOENT);
		CHECK(reason(v.err) == "DEVICE_MISSING");
	}
	SECTION("no sidecar")
	{
		REQUIRE(unlink((disk + ".vkckpt").c_str()) == 0);
		CHECK(v.thaw(v.image) == -ENOENT);
		CHECK(reason(v.err) == "DISK_MISSING");
	}
	SECTION("another disk in its place")
	{
		std::string other = v.dir / "other";
		{
			Disk b(other);
			REQUIRE(b.boot(other) == 0);
			vkckpt_disk_shutdown(&b.fence);
			b.booted = false;
		}
		std::string override_text = "disk0.path=" + other;
		v.overrides.push_back(override_text.c_str());
		CHECK(v.thaw(v.image) == -ESTALE);
		CHECK(reason(v.err) == "DISK_CHANGED");
		v.overrides.clear();
		CHECK(v.thaw(v.image) == 0);
	}
	SECTION("a damaged sidecar is refused by all and repaired by discard")
	{
		std::string bytes = slurp(disk + ".vkckpt");
		bytes[30] = (char)(bytes[30] ^ 1);
		spill(disk + ".vkckpt", bytes);
		CHECK(v.thaw(v.image) == -EBADMSG);
		CHECK(reason(v.err) == "SIDECAR_DAMAGED");
		Disk b(disk);
		CHECK(b.boot(disk) == -EBADMSG);
		CHECK(vkckpt_disk_discard(disk.c_str(), &b.err) == 0);
		CHECK(b.boot(disk) == 0);
	}
	SECTION("a sidecar that is longer, has no end in its path or is no file is refused")
	{
		std::string bytes = slurp(disk + ".vkckpt");
		spill(disk + ".vkckpt", bytes + "x");
		CHECK(v.thaw(v.image) == -EBADMSG);
		CHECK(reason(v.err) == "SIDECAR_DAMAGED");
		struct vkckpt_f_sidecar forged;
		memcpy(&forged, bytes.data(), sizeof forged);
		memset(forged.image_path, 'p', sizeof forged.image_path);
		forged.digest = vk::digest_of(&forged, offsetof(struct vkckpt_f_sidecar, digest));
		spill(disk + ".vkckpt", std::string(reinterpret_cast<char *>(&forged), sizeof forged));
		CHECK(v.thaw(v.image) == -EBADMSG);
		CHECK(reason(v.err) == "SIDECAR_DAMAGED");
		REQUIRE(unlink((disk + ".vkckpt").c_str()) == 0);
		REQUIRE(mkfifo((disk + ".vkckpt").c_str(), 0600) == 0);
		CHECK(v.thaw(v.image) == -EINVAL);
		CHECK(reason(v.err) == "BAD_ARGUMENT");
		Disk b(disk);
		CHECK(b.boot(disk) == -EINVAL);
	}
	SECTION("a dry run leaves the disk as it was")
	{
		std::string before = slurp(disk + ".vkckpt");
		v.dry_run = 1;
		CHECK(v.thaw(v.image) == 0);
		CHECK(slurp(disk + ".vkckpt") == before);
		v.dry_run = 0;
		CHECK(v.thaw(v.image) == 0);
	}
}

TEST_CASE("a suspended disk that was moved, copied or restored is known by its digest, and refused without one")
{
	const bool digest = GENERATE(false, true);
	Vkernel v;
	std::string disk = v.dir / "disk", moved = v.dir / "moved";
	spill(disk, std::string(100000, 'd'));
	REQUIRE(truncate(disk.c_str(), 3 << 20) == 0);
	int fd = open(disk.c_str(), O_WRONLY | O_CLOEXEC);
	REQUIRE(pwrite(fd, "data behind a hole", 18, (2 << 20) + 777) == 18);
	close(fd);
	REQUIRE(v.add_disk("disk0", disk) == 0);
	v.device_state[0].fence.digests = digest;
	REQUIRE(v.arm() == 0);
	REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT);
	v.die();
	usleep(20000);		// the clock of ctime is coarse
	auto with_sidecar = [&](const std::string &how, const std::string &to) {
		return system((how + " " + disk + " " + to + " && " + how + " " + disk + ".vkckpt " + to + ".vkckpt").c_str()) == 0;
	};
	bool changed = false;
	SECTION("renamed") REQUIRE(with_sidecar("mv", moved));
	SECTION("its mode changed")
	{
		REQUIRE(chmod(disk.c_str(), 0640) == 0);
		moved = disk;
	}
	SECTION("copied, with its holes filled") REQUIRE(with_sidecar("cp -a --sparse=never", moved));
	SECTION("copied, with more holes") REQUIRE(with_sidecar("cp -a --sparse=always", moved));
	SECTION("moved to another file system, if there is one")
	{
		moved = access("/dev/shm", W_OK) == 0 ? "/dev/shm/vkckpt-test-" + std::to_string(getpid()) : moved;
		REQUIRE(with_sidecar("mv", moved));
	}
	SECTION("restored from a backup in its place")
	{
		REQUIRE(system(("cp -a " + disk + " " + moved + " && rm " + disk + " && cp " + moved + " " + disk).c_str()) == 0);
		moved = disk;
	}
	SECTION("copied, and one byte of the copy is another one")
	{
		REQUIRE(with_sidecar("cp -a", moved));
		fd = open(moved.c_str(), O_WRONLY | O_CLOEXEC);
		REQUIRE(pwrite(fd, "x", 1, 1 << 20) == 1);
		close(fd);
		changed = true;
	}
	SECTION("copied, and data were shifted in the copy")
	{
		REQUIRE(with_sidecar("cp -a", moved));
		fd = open(moved.c_str(), O_WRONLY | O_CLOEXEC);
		std::string none(65536, 0), piece(65536, 0);
		memcpy(piece.data() + 777, "data behind a hole", 18);
		REQUIRE(pwrite(fd, none.data(), none.size(), 2 << 20) == 65536);
		REQUIRE(pwrite(fd, piece.data(), piece.size(), (2 << 20) + 65536) == 65536);
		close(fd);
		changed = true;
	}
	std::string path = "disk0.path=" + moved;
	v.overrides.push_back(path.c_str());
	int r = v.thaw(v.image);
	INFO(v.err.message);
	if (digest && !changed) {
		CHECK(r == 0);
		CHECK(inspect(moved).state == VKCKPT_DISK_RUNNING);
	} else {
		CHECK(r == -ESTALE);
		CHECK(reason(v.err) == "DISK_CHANGED");
		CHECK(std::string(v.err.message).find("--disk-digest") != std::string::npos);
		CHECK(inspect(moved).state == VKCKPT_DISK_SUSPENDED);
	}
	unlink(moved.c_str());
	unlink((moved + ".vkckpt").c_str());
}

TEST_CASE("a chain of suspends and thaws: only the newest image fits")
{
	Vkernel v;
	std::string disk = v.dir / "disk";
	suspend(v, disk);
	std::string first = v.dir / "first";
	spill(first, slurp(v.image));
	for (int i = 0; i < 3; i++) {
		REQUIRE(v.thaw(v.image) == 0);
		Device &d = v.opened.devices.back();
		v.ram()[2]++;
		REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT);
		v.disarm();
		v.drop_ram();
		vkckpt_disk_release(&d.fence);
		close(d.disk_fd);
	}
	CHECK(v.thaw(first) < 0);
	CHECK(reason(v.err) == "DISK_SUPERSEDED");
	REQUIRE(v.thaw(v.image) == 0);
	CHECK(v.ram()[2] == 3);
}

static std::string line_of(const std::string &command)
{
	char line[1024] = "";
	FILE *out = popen(command.c_str(), "r");
	REQUIRE(fgets(line, sizeof line, out) != nullptr);
	pclose(out);
	return std::string(line, strcspn(line, "\n"));
}

TEST_CASE("a checkpoint that continues with a writable disk")
{
	Vkernel v;
	std::string disk = v.dir / "disk";
	REQUIRE(v.add_disk("disk0", disk) == 0);
	REQUIRE(v.arm() == 0);
	SECTION("freezes a copy, or is refused where the file system cannot")
	{
		REQUIRE(v.request(VKCKPT_ACTION_CONTINUE) == VKCKPT_RESUMED);
		if (v.last_resumed.reason) {
			CHECK(reason(v.last_resumed) == "DISK_NOT_FROZEN");
			CHECK_FALSE(exists(v.image));
			REQUIRE(system(("test $(ls " + v.dir.path + " | wc -l) = 3").c_str()) == 0);	// disk, sidecar, run
		}
		CHECK(inspect(disk).state == VKCKPT_DISK_RUNNING);
	}
	SECTION("copies it where the request or the disk allows that: data only, and the image thaws on the copy")
	{
		REQUIRE(truncate(disk.c_str(), 64 << 20) == 0);
		int fd = open(disk.c_str(), O_WRONLY | O_CLOEXEC);
		std::string text(3 << 20, 'x');
		REQUIRE(pwrite(fd, text.data(), text.size(), 40 << 20) == (ssize_t)text.size());
		close(fd);
		unsigned flags = VKCKPT_REQUEST_COPY_DISKS;
		SECTION("the disk") { v.device_state[0].fence.copies = 1, flags = 0; }
		SECTION("the request") { }
		REQUIRE(v.request(VKCKPT_ACTION_CONTINUE, 1, flags) == VKCKPT_RESUMED);
		INFO(v.last_resumed.message);
		REQUIRE(v.last_resumed.reason == 0);
		std::string copy = line_of("ls " + v.dir.path + "/image.disk0-* | grep -v 'vkckpt$'");
		struct stat st = {};
		REQUIRE(stat(copy.c_str(), &st) == 0);
		CHECK(st.st_size == 64 << 20);
		CHECK(st.st_blocks * 512 < 8 << 20);
		REQUIRE(system(("cmp " + disk + " " + copy).c_str()) == 0);
		CHECK(inspect(disk).state == VKCKPT_DISK_RUNNING);
		CHECK(inspect(copy).state == VKCKPT_DISK_SUSPENDED);
		v.disarm();
		v.drop_ram();
		REQUIRE(v.thaw(v.image) == 0);
		CHECK(inspect(copy).state == VKCKPT_DISK_RUNNING);
	}
	SECTION("writes RAM alone when asked for; the image thaws on a disk that was put back")
	{
		REQUIRE(v.request(VKCKPT_ACTION_CONTINUE, 1, VKCKPT_REQUEST_RAM_ONLY) == VKCKPT_RESUMED);
		CHECK(v.last_resumed.reason == 0);
		CHECK(inspect(disk).state == VKCKPT_DISK_RUNNING);
		v.disarm();
		v.drop_ram();
		CHECK(v.thaw(v.image) == -EBUSY);	// the original runs on
		CHECK(reason(v.err) == "DISK_IN_USE");
		vkckpt_disk_release(&v.device_state[0].fence);
		CHECK(v.thaw(v.image) == 0);
	}
}

TEST_CASE("when the vkernel dies between the two renames the disk boots, or thaws as long as nobody has booted")
{
	Vkernel v;
	std::string disk = v.dir / "disk";
	REQUIRE(v.add_disk("disk0", disk) == 0);
	std::string running = slurp(disk + ".vkckpt");
	REQUIRE(v.arm() == 0);
	REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT);
	v.die();
	spill(disk + ".vkckpt", running);	// as if its rename had not come
	SECTION("thaws")
	{
		int r = v.thaw(v.image);
		INFO(v.err.message);
		CHECK(r == 0);
	}
	SECTION("boots, and then the image is spent")
	{
		{
			Disk b(disk);
			REQUIRE(b.boot(disk) == 0);
		}
		CHECK(v.thaw(v.image) == -ESTALE);
		CHECK(reason(v.err) == "DISK_SUPERSEDED");
	}
	SECTION("does not thaw when the dead one wrote on")
	{
		usleep(20000);
		int fd = open(disk.c_str(), O_WRONLY);
		REQUIRE(pwrite(fd, "x", 1, 0) == 1);
		close(fd);
		CHECK(v.thaw(v.image) == -ESTALE);
		CHECK(reason(v.err) == "DISK_CHANGED");
	}
}

namespace {

// What is said of disk0 of an image, by the rule and by discard.
struct Asked {
	vkckpt_image *image = nullptr;
	vkckpt_error err = {};
	vkckpt_f_sidecar now = {};
	std::string disk;
	Asked(const std::string &path, const std::string &of) : disk(of) { REQUIRE(vkckpt_image_open(path.c_str(), &image, &err) == 0); }
	~Asked() { vkckpt_image_close(image); }
	int fits() { return vkckpt_disk_fits(disk.c_str(), vkckpt_image_device(image, 0), &now, &err); }
	int forget() { return vkckpt_disk_forget(disk.c_str(), vkckpt_image_device(image, 0), &err); }
};

}  // namespace

TEST_CASE("whether a disk fits an image is asked without touching it, and forgotten for that image alone")
{
	Vkernel v;
	const std::string disk = v.dir / "disk", side = disk + ".vkckpt";
	REQUIRE(v.add_disk("disk0", disk) == 0);
	const std::string running = slurp(side);
	REQUIRE(v.arm() == 0);
	REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_EXIT);
	v.die();
	const std::string suspended = slurp(side);
	Asked asked(v.image, disk);
	CHECK(asked.fits() == 0);
	CHECK(asked.now.state == VKCKPT_DISK_SUSPENDED);
	SECTION("it is suspended")
	{
		CHECK(asked.forget() == 1);
		CHECK(asked.forget() == 0);
	}
	SECTION("its vkernel died before the sidecar was exchanged")
	{
		spill(side, running);
		CHECK(asked.fits() == 0);
		CHECK(asked.forget() == 1);
		CHECK(v.thaw(v.image) == -ESTALE);
		CHECK(reason(v.err) == "DISK_SUPERSEDED");
	}
	SECTION("it was booted and in use, then not")
	{
		{
			spill(side, running);
			Disk b(disk);
			REQUIRE(b.boot(disk) == 0);
			CHECK(asked.fits() == -EBUSY);
			CHECK(reason(asked.err) == "DISK_IN_USE");
			CHECK(asked.forget() == -EBUSY);
		}
		CHECK(asked.fits() == -ESTALE);
		CHECK(reason(asked.err) == "DISK_SUPERSEDED");
		const std::string was = slurp(side);
		CHECK(asked.forget() == 0);
		CHECK(slurp(side) == was);
	}
	SECTION("another image suspended it")
	{
		vkckpt_f_sidecar other = asked.now;
		other.image_id.bytes[0] ^= 1;
		other.digest = vk::digest_of(&other, offsetof(vkckpt_f_sidecar, digest));
		spill(side, std::string(reinterpret_cast<char *>(&other), sizeof other));
		CHECK(asked.fits() == -EBUSY);
		CHECK(reason(asked.err) == "DISK_SUSPENDED");
		CHECK(asked.forget() == 0);
		CHECK(inspect(disk).state == VKCKPT_DISK_SUSPENDED);
	}
	SECTION("it was written to; forgotten all the same")
	{
		usleep(20000);
		spill(disk, std::string(slurp(disk).size(), 'x'));
		CHECK(asked.fits() == -ESTALE);
		CHECK(reason(asked.err) == "DISK_CHANGED");
		CHECK(asked.forget() == 1);
	}
	SECTION("the sidecar is missing or damaged")
	{
		spill(side, "damaged");
		CHECK(asked.fits() == -EBADMSG);
		CHECK(asked.forget() == -EBADMSG);
		REQUIRE(unlink(side.c_str()) == 0);
		CHECK(asked.fits() == -ENOENT);
		CHECK(reason(asked.err) == "DISK_MISSING");
		CHECK(asked.forget() == -ENOENT);
	}
}

TEST_CASE("a disk that nobody booted refuses the checkpoint")
{
	Vkernel v;
	Device &d = v.add_device("disk0");
	d.writable_disk = true;
	d.fence.sidecar_fd = -1;
	d.disk_fd = open("/dev/null", O_RDWR);
	REQUIRE(v.arm() == 0);
	REQUIRE(v.request(VKCKPT_ACTION_EXIT) == VKCKPT_RESUMED);
	CHECK(reason(v.last_resumed) == "HOOK_FAILED");
	CHECK(v.log.text() == "resumed:HOOK_FAILED");
}

TEST_CASE("discard and inspect of what is not there")
{
	TempDir dir;
	struct vkckpt_error err = {};
	struct vkckpt_f_sidecar s;
	std::string path = dir / "disk";
	CHECK(vkckpt_disk_inspect(path.c_str(), &s, &err) == -ENOENT);
	CHECK(vkckpt_disk_discard(path.c_str(), &err) == -ENOENT);
	CHECK_FALSE(exists(path + ".vkckpt"));
	Disk a(path);
	REQUIRE(a.boot(path) == 0);
	CHECK(vkckpt_disk_discard(path.c_str(), &err) == -EBUSY);
	CHECK(reason(err) == "DISK_IN_USE");
}

// How many of eight processes win; once: 1 for who wins, 0 for who is told why not. `then': what the winner does when all have tried.
static int winners_of_eight(const std::function<int()> &once, const std::function<void()> &then = {})
{
	std::atomic<int> *tried = static_cast<std::atomic<int> *>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	REQUIRE(tried != MAP_FAILED);
	pid_t children[8];
	for (pid_t &c : children) {
		c = fork();
		if (c != 0)
			continue;
		const int won = once();
		++*tried;
		while (*tried < 8)
			usleep(100);
		if (won == 1 && then)
			then();
		_exit(won);
	}
	int winners = 0;
	for (pid_t c : children) {
		int status;
		REQUIRE(waitpid(c, &status, 0) == c);
		REQUIRE(WIFEXITED(status));
		REQUIRE(WEXITSTATUS(status) <= 1);
		winners += WEXITSTATUS(status);
	}
	munmap(tried, 4096);
	return winners;
}

TEST_CASE("eight processes race for one disk: one gets it")
{
	TempDir dir;
	std::string path = dir / "disk";
	spill(path, "d");
	for (int round = 0; round < 20; round++)
		CHECK(winners_of_eight([&] {
			const int r = (new Disk(path))->boot(path);	// held until the process ends
			return r == 0 ? 1 : r == -EBUSY ? 0 : 2;
		}) == 1);
}

TEST_CASE("eight processes thaw one suspend at the same time: one gets it")
{
	Vkernel v;
	std::string disk = v.dir / "disk";
	suspend(v, disk);
	for (int round = 0; round < 5; round++)
		CHECK(winners_of_eight([&] {
			if (v.thaw(v.image) == 0)
				return 1;
			return v.err.reason == VKCKPT_R_DISK_IN_USE || v.err.reason == VKCKPT_R_DISK_SUPERSEDED ? 0 : 2;
		}, [&] {
			if (v.request(VKCKPT_ACTION_EXIT) != VKCKPT_EXIT)	// for the next round
				_exit(3);
		}) == 1);
}
