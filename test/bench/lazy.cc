// Lazy thaws: until the first guest instruction, beside the floor; until all is there; with more RAM, with more guests.
#include "test/bench/bench.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <vector>

#include <vkckpt/image.h>

#include "test/bench/start.h"

namespace bench {
namespace {

// RAM as an uncompressed file: every live frame at its place, and room behind it.
void expand(const std::string &path, const std::string &out)
{
	vkckpt_error err{};
	vkckpt_image *image = nullptr;
	if (vkckpt_image_open(path.c_str(), &image, &err) != 0)
		die(err.message);
	const uint64_t bytes = vkckpt_image_header(image)->segment[0].size_bytes;
	uint64_t count = 0;
	const vkckpt_f_chunk *chunk = vkckpt_image_chunks(image, &count);
	int fd = open(out.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	std::vector<char> frame(VKCKPT_FRAME);
	for (uint64_t i = 0; i < count; i++)
		for (unsigned f = 0; f < VKCKPT_CHUNK_FRAMES; f++) {
			const uint64_t number = chunk[i].chunk * VKCKPT_CHUNK_FRAMES + f;
			if (chunk[i].object != 0 || !(chunk[i].mask >> f & 1))
				continue;
			if (vkckpt_image_frame(image, 0, number, frame.data(), &err) < 0)
				die(err.message);
			if (pwrite(fd, frame.data(), frame.size(), static_cast<off_t>(number * VKCKPT_FRAME)) != VKCKPT_FRAME)
				die(out + ": cannot write");
		}
	vkckpt_image_close(image);
	if (ftruncate(fd, static_cast<off_t>(bytes + kTail)) != 0)
		die(out + ": cannot be made");
	close(fd);
}

// Seconds from the call of a thaw to `what' of its status, of a vkernel that stays.
double told_by_status(const std::string &name, const std::string &what)
{
	const std::string file = "build/bench/status";
	(void)timed({"sh", "-c", "build/bin/vkckpt wait " + name + " >/dev/null && build/bin/vkckpt status --json " + name + " >" + file});
	std::ifstream in(file);
	uint64_t began = 0, then = 0;
	for (std::string line; std::getline(in, line);) {
		const size_t colon = line.find(": ");
		if (line.find("\"began_ns\"") != line.npos)
			began = std::stoull(line.substr(colon + 2));
		if (line.find("\"" + what + "\"") != line.npos)
			then = std::stoull(line.substr(colon + 2));
	}
	unlink(file.c_str());
	if (began == 0 || then < began)
		die("vkckpt status does not tell " + what);
	return static_cast<double>(then - began) * 1e-9;
}

// From exec to the first word of the guest, and from the thaw's beginning to the last frame.
void lazy_rows(Report &r, const std::string &group, const std::string &row, const Setting &s)
{
	double t = now();
	Program vkernel(thaw_words(s), Program::Output::read);
	if (!vkernel.says("thawed"))
		die("the guest did not go on after a lazy thaw");
	r.add(group, row, now() - t);
	r.add("Thaw, lazy: until all is there", row, told_by_status(s.name, "full_ns"));
}

double floor_of_start(const Setting &s)
{
	const std::string ram = s.dir + "/raw.ram";
	expand(s.image(), ram);
	double t = now();
	Program program({"build/test/bench/start", s.image(), ram}, Program::Output::read);
	if (!program.says("thawed"))
		die("the floor of a lazy thaw does not run");
	t = now() - t;
	if (program.end() != 0)
		die("the floor of a lazy thaw failed");
	unlink(ram.c_str());
	return t;
}

}  // namespace

void sweep_lazy(Report &r, const Setting &base, const Extent &extent)
{
	const std::string group = "Thaw, lazy: exec to the first guest instruction";
	const std::vector<std::string> sizes = {"256m", extent.quick ? "1g" : "4g"};
	for (int i = 0; i < extent.runs; i++) {
		for (const std::string &ram : sizes) {
			Setting s = base;
			s.root = "small";
			s.ram = ram;
			s.program = {"/fill", "32", "stay"};
			s.thaw_options = {"--lazy=required"};
			suspend(s);
			lazy_rows(r, group, "32 MiB live in " + ram, s);
			if (ram == sizes[0])
				r.add(group, "floor of that: exec, map, one guest, decode", floor_of_start(s));
		}
		Setting s = base;
		s.program.push_back("stay");
		s.thaw_options = {"--lazy=required"};
		suspend(s);
		lazy_rows(r, group, base.program[1] + " MiB live in " + base.ram, s);
		r.add(group, "floor: exec, map, one guest, decode", floor_of_start(s));
	}
	r.compare(group, base.program[1] + " MiB live in " + base.ram, "floor: exec, map, one guest, decode", 5);
	r.compare(group, "32 MiB live in " + sizes[0], "floor of that: exec, map, one guest, decode", 5);
	r.compare(group, "32 MiB live in " + sizes[1], "32 MiB live in " + sizes[0], 1.5);
}

// A chain: a full image, then some of the memory is written to, here and there, and what changed is captured.
void sweep_dirty(Report &r, const Setting &base, const Extent &extent)
{
	const std::string group = "Incremental capture: from the request to the image under its name";
	const std::vector<std::string> shares = extent.quick ? std::vector<std::string>{"1", "100"} : std::vector<std::string>{"1", "5", "20", "100"};
	for (int i = 0; i < extent.runs; i++) {
		std::vector<std::string> args = {"build/bin/minivk", "-m", base.ram, "--name", base.name, "--image", base.image(), "--root",
		    base.dir + "/" + base.root, "--chain", "16", "--on-ckpt", "continue", "--"};
		args.insert(args.end(), base.program.begin(), base.program.end());
		args.insert(args.end(), {"dirty", "0"});
		args.insert(args.end(), shares.begin(), shares.end());
		Program vkernel(args, Program::Output::read);
		for (size_t k = 0; k <= shares.size(); k++) {
			const std::string share = k == 0 ? "0" : shares[k - 1], image = base.dir + "/" + base.name + ".000" + std::to_string(k + 1) + ".ckpt";
			const std::string row = k == 0 ? "full" : share + " % written to";
			if (!vkernel.says("dirtied " + share + "\n"))
				die("the guest does not write to its memory");
			double t = now();
			while (access(image.c_str(), F_OK) != 0 && now() < t + 120)
				usleep(200);
			r.add(group, row, now() - t);
			r.add("Incremental capture: image", row, file_mib(image), Unit::mebibytes);
		}
		if (!vkernel.says("saved 100\n") || vkernel.end() != 0)
			die("a chain of images is not whole");
		for (size_t k = 0; k <= shares.size(); k++)
			unlink((base.dir + "/" + base.name + ".000" + std::to_string(k + 1) + ".ckpt").c_str());
	}
	r.compare(group, "1 % written to", "full", 0.2);
	r.compare(group, "100 % written to", "full");
}

}  // namespace bench
