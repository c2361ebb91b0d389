// minivk's files, pipes, terminal and devices, as programs in the guest see them. The guest is busybox; where the host's
// tools say what is right, the test asks them.
#include <catch2/catch.hpp>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sys/stat.h>
#include <unistd.h>

#include "test/e2e/oracle.h"
#include "test/e2e/vk.h"

namespace {

using vktest::Outcome;
using vktest::Session;
using vktest::Spec;

// A script whose whole output is known.
void check(const std::string &script, const std::string &expected, std::vector<std::string> options = {})
{
	const Outcome o = vktest::sh(script, std::move(options));
	INFO("script: " << script << "\nlog: " << o.err);
	CHECK(o.out == expected);
	CHECK(o.status == 0);
}

struct Folder {
	std::filesystem::path path;
	Folder()
	{
		std::string pattern = (std::filesystem::temp_directory_path() / "minivk-test.XXXXXX").string();
		path = mkdtemp(pattern.data());
	}
	~Folder() { std::filesystem::remove_all(path); }
	void write(const std::string &name, const std::string &bytes) const
	{
		std::filesystem::create_directories((path / name).parent_path());
		std::ofstream(path / name, std::ios::binary) << bytes;
	}
};

}  // namespace

TEST_CASE("a script pipes through sort, awk, sed and sha256sum")
{
	check("printf 'b 2\\na 1\\nc 3\\n' | sort | awk '{ s += $2; print $1 } END { print s }' | sed 's/c/C/'", "a\nb\nC\n6\n");
	check("echo -n abc | sha256sum", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  -\n");
	check("x=$(echo inner | tr a-z A-Z); cat <<EOF\nhere $x\nEOF", "here INNER\n");
	check("seq 1 100000 | wc -lc; yes | head -n 100000 | wc -l", "   100000    588895\n100000\n");
}

TEST_CASE("the exit status of the first process is minivk's")
{
	CHECK(vktest::sh("exit 7").status == 7);
	CHECK(vktest::sh("kill -9 $$").status != 0);
}

TEST_CASE("files keep what is written, whole, appended, sparse and cut")
{
	check("cd /tmp; echo one >f; echo two >>f; cat f; wc -c <f; : >f; wc -c <f", "one\ntwo\n8\n0\n");
	check("cd /tmp; dd if=/dev/zero of=s bs=1 count=1 seek=100000000 2>/dev/null; stat -c '%s %b' s; "
	      "truncate -s 5 s; wc -c <s; od -An -tx1 s", "100000001 8\n5\n 00 00 00 00 00\n");
	check("cd /tmp; fallocate -l 10000 f; stat -c '%s %b' f; fallocate -l 5 g; wc -c <g", "10000 24\n5\n");
	check("cd /tmp; seq 1 5000 >a; cp a b; cmp a b && echo same; dd if=a bs=7 2>/dev/null | cmp - a && echo same", "same\nsame\n");
	check("cd /tmp; exec 3>keep; rm keep; echo text >&3; cat /proc/self/fd/3; ls", "text\n");
	check("cd /tmp; set -C; echo 1 >x; echo 2 2>/dev/null >x || echo kept; cat x", "kept\n1\n");
}

TEST_CASE("directories, links and renames follow POSIX")
{
	check("cd /tmp; mkdir -p a/b/c; touch a/b/c/f; find a | sort", "a\na/b\na/b/c\na/b/c/f\n");
	check("cd /tmp; mkdir a; cd a; mkdir b; cd b; pwd; cd ..; pwd; mv /tmp/a /tmp/z; /bin/pwd", "/tmp/a/b\n/tmp/a\n/tmp/z\n");
	check("cd /tmp; echo t >f; ln f g; stat -c %h f; rm f; cat g; stat -c %h g", "2\nt\n1\n");
	check("cd /tmp; ln -s loop loop; cat loop 2>&1; ln -s /etc/../tmp/t l; echo via >l; cat t; readlink l",
	      "cat: can't open 'loop': Too many levels of symbolic links\nvia\n/etc/../tmp/t\n");
	check("cd /tmp; mkdir d e; touch e/x; mv d e; ls -1 e; mkdir d; mv -T d e/d && echo over; rmdir e 2>&1; mv e e/d 2>&1 | grep -c .",
	      "d\nx\nover\nrmdir: 'e': Directory not empty\n1\n");
	check("cd /tmp; echo 1 >a; echo 2 >b; mv a b; cat b; ls; ls b/ 2>&1; true", "1\nb\nls: b/: Not a directory\n");
	check("cd /tmp; i=0; while [ $i -lt 500 ]; do : >f$i; i=$((i+1)); done; ls | wc -l; rm -r /tmp/*; ls | wc -l", "500\n0\n");
	check("cd /tmp; ls $(printf %0300d 1) 2>&1 | sed 's/.*: //'", "File name too long\n");
}

TEST_CASE("a program's calls on files give the same results on the host and in the guest")
{
	const std::string root = vktest::guest_root("files");
	FILE *host = popen((root + "/files").c_str(), "r");
	REQUIRE(host);
	std::string expected;
	char bytes[4096];
	for (size_t n; (n = fread(bytes, 1, sizeof bytes, host)) > 0;)
		expected.append(bytes, n);
	REQUIRE(pclose(host) == 0);
	Spec spec;
	spec.options = {"--root", root};
	spec.program = {"/files"};
	const Outcome guest = vktest::run(spec);
	INFO(guest.err);
	CHECK(guest.out == expected);
	CHECK(guest.status == 0);
}

TEST_CASE("modes, owners and times are kept")
{
	check("cd /tmp; umask 027; touch f; mkdir d; stat -c %a f d; chmod 4751 f; stat -c '%a %A' f", "640\n750\n4751 -rwsr-x--x\n");
	check("cd /tmp; touch -d '2001-02-03 04:05:06' f; date -r f '+%Y-%m-%d %H:%M:%S'; chown 12:34 f; stat -c '%u %g' f",
	      "2001-02-03 04:05:06\n12 34\n");
	check("cd /tmp; touch f; test -x f || echo no; chmod +x f; test -x f && echo yes; test -w f && echo yes", "no\nyes\nyes\n");
}

TEST_CASE("tar and gzip keep a tree")
{
	check("cd /tmp; mkdir -p t/sub; seq 1 3000 >t/n; ln -s n t/l; chmod 700 t/sub; tar czf t.tgz t; mkdir o; tar xzf t.tgz -C o; "
	      "cmp t/n o/t/n && readlink o/t/l && stat -c %a o/t/sub; gzip -c t/n | gunzip | cmp - t/n && echo same",
	      "n\n700\nsame\n");
	check("cd /tmp; mkdir t; echo x >t/f; ln t/f t/g; cp -a t u; stat -c %h u/f; cat u/g", "2\nx\n");
}

TEST_CASE("pipes and fifos block, end and break as they should")
{
	check("dd if=/dev/zero bs=1M count=3 2>/dev/null | (sleep 1; wc -c)", "3145728\n");
	check("cd /tmp; mkfifo p; (echo through >p) & cat p; wait", "through\n");
	check("cd /tmp; mkfifo p; cat p & (sleep 1; echo late) >p; wait", "late\n");
	check("(trap '' PIPE; sleep 1; echo x 2>/dev/null || echo broken >&2) 2>&1 >/dev/full | cat; yes | head -n 1", "broken\ny\n");
}

TEST_CASE("a guest's devices give what their names say")
{
	check("head -c 4 /dev/zero | od -An -tx1; cat /dev/null | wc -c; echo x >/dev/null; echo x 2>&1 >/dev/full | sed 's/.*: //'",
	      " 00 00 00 00\n0\nNo space left on device\n");
	check("a=$(head -c 16 /dev/urandom | od -An -tx1); b=$(head -c 16 /dev/random | od -An -tx1); [ \"$a\" != \"$b\" ] && echo differ",
	      "differ\n");
	check("echo in | cat /dev/stdin; echo err >/dev/stderr 2>/dev/null; echo out >/dev/stdout", "in\nerr\nout\n");
}

TEST_CASE("ps, top, free and others find in /proc what they need")
{
	check("ps -o pid,ppid,comm | head -n 2; cat /proc/1/comm; busybox cat /proc/self/cmdline | tr '\\0' ' '; echo",
	      "PID   PPID  COMMAND\n    1     0 sh\nsh\nbusybox cat /proc/self/cmdline \n");
	check("sleep 100 & pidof sleep | wc -w; kill $!; wait; ls -l /proc/self/exe | sed 's/.*-> //'", "1\n/bin/busybox\n");
	check("top -b -n1 | grep -c ^Mem; free | grep -c Mem; uptime | grep -c load; mount | wc -l; df / | wc -l", "1\n1\n1\n2\n2\n");
	check("cd /tmp; readlink /proc/self/cwd; cat /proc/sys/kernel/ostype; [ /proc/self -ef /proc/$$ ]; ls /proc | grep -cx 1",
	      "/tmp\nLinux\n1\n");
}

TEST_CASE("a full RAM disk says so and takes files again afterwards")
{
	check("cd /tmp; cat /dev/zero >big 2>/dev/null || echo full; rm big; echo again >f && cat f", "full\nagain\n", {"-m", "64m"});
}

TEST_CASE("the root comes from a folder or from an archive")
{
	Folder f;
	f.write("etc/motd", "hello\n");
	std::filesystem::create_directories(f.path / "bin");
	std::filesystem::copy_file("/bin/busybox", f.path / "bin/busybox");
	std::filesystem::create_symlink("busybox", f.path / "bin/sh");
	std::filesystem::create_symlink("busybox", f.path / "bin/cat");
	check("cat /etc/motd; [ -c /dev/null ] && echo dev", "hello\ndev\n", {"--root", f.path});

	Folder out;
	const std::string archive = out.path / "root.cpio";
	REQUIRE(system(("cd " + f.path.string() + " && find . | cpio --quiet -o -H newc >" + archive).c_str()) == 0);
	check("cat /etc/motd", "hello\n", {"--root", archive});

	// Cut anywhere, it is refused by a message and not by a crash.
	const auto size = std::filesystem::file_size(archive);
	for (uintmax_t cut : {uintmax_t(0), uintmax_t(50), uintmax_t(111), size / 2, size - 600}) {
		std::filesystem::resize_file(archive, std::min(cut, std::filesystem::file_size(archive)));
		const Outcome o = vktest::sh("true", {"--root", archive});
		INFO(o.err);
		CHECK(o.status == 1);
		CHECK(o.err.find("root archive: ") != std::string::npos);
		std::filesystem::copy_file(archive, archive + ".last", std::filesystem::copy_options::overwrite_existing);
		REQUIRE(system(("cd " + f.path.string() + " && find . | cpio --quiet -o -H newc >" + archive).c_str()) == 0);
	}
	const Outcome missing = vktest::sh("true", {"--root", "/nonexistent/root"});
	CHECK(missing.status == 1);
	CHECK(missing.err.find("/nonexistent/root") != std::string::npos);
}

TEST_CASE("the disk keeps bytes at any offset and hands them to the host")
{
	Folder f;
	const std::string disk = f.path / "disk";
	f.write("disk", std::string(3 * 1024 * 1024 + 512, '.'));
	check("dd if=/dev/vkd0 bs=1M 2>/dev/null | tr -d . | wc -c; blockdev --getsize64 /dev/vkd0", "0\n3146240\n", {"-r", disk});
	check("printf hello | dd of=/dev/vkd0 bs=1 seek=4094 conv=notrunc 2>/dev/null; sync; "
	      "dd if=/dev/vkd0 bs=1 skip=4092 count=9 2>/dev/null; echo", "..hello..\n", {"-r", disk});
	check("seq 1 200000 | head -c 1000000 >/tmp/n; dd if=/tmp/n of=/dev/vkd0 bs=3000 seek=7 conv=fsync 2>/dev/null; "
	      "dd if=/dev/vkd0 bs=3000 skip=7 2>/dev/null | head -c 1000000 | cmp - /tmp/n && echo same; "
	      "dd if=/dev/zero of=/dev/vkd0 bs=1M 2>&1 | grep -o 'No space left on device'", "same\nNo space left on device\n",
	      {"-r", disk});
	std::ifstream in(disk, std::ios::binary);
	const std::string bytes((std::istreambuf_iterator<char>(in)), {});
	CHECK(bytes == std::string(3 * 1024 * 1024 + 512, '\0'));
}

TEST_CASE("input of the console reaches programs and ends")
{
	Spec spec;
	spec.program = {"/bin/sh", "-c", "while read x; do echo \"<$x>\"; done; echo end"};
	spec.input = "one\ntwo\n";
	CHECK(vktest::run(spec).out == "<one>\n<two>\nend\n");
	std::string lines;
	for (int i = 0; i < 5000; ++i)
		lines += "line " + std::to_string(i) + "\n";
	spec.input = lines;
	spec.program = {"/bin/cat"};
	CHECK(vktest::run(spec).out == lines);
}

TEST_CASE("an interactive shell edits lines and controls jobs")
{
	Session s({"--", "/bin/sh"});
	REQUIRE(s.expect("# "));
	s.send("echo a\x7f" "b$((40+2))\r");
	CHECK(s.expect("\nb42\r\n"));
	s.send("sh -c 'echo up-$((1000+1)); exec sleep 1000'\r");
	REQUIRE(s.expect("up-1001"));
	s.send("\x03");
	REQUIRE(s.expect("# "));
	s.send("echo status $?\r");
	CHECK(s.expect("status 130"));
	s.send("sh -c 'trap \"echo go-$((40+2))\" CONT; echo up-$((1001+1)); while :; do sleep 0.1; done'\r");
	REQUIRE(s.expect("up-1002"));
	s.send("\x1a");
	CHECK(s.expect("Stopped"));
	s.send("bg\r");
	CHECK(s.expect("go-42"));
	s.send("jobs\r");
	CHECK(s.expect("Running"));
	s.send("fg\r");
	REQUIRE(s.expect("go-42"));	// it is in the foreground before it is told
	s.send("\x03");
	REQUIRE(s.expect("# "));
	s.send("stty size; stty -a | grep -c icanon\r");
	CHECK(s.expect("24 80"));
	s.resize(30, 100);
	s.send("until stty size | grep '30 100'; do sleep 0.1; done\r");
	CHECK(s.expect("\n30 100"));
	s.send("exit 5\r");
	CHECK(s.wait() == 5);
}

TEST_CASE("vi edits a file through the terminal")
{
	Session s({"--", "/bin/sh"});
	REQUIRE(s.expect("# "));
	s.send("vi /tmp/t\r");
	REQUIRE(s.expect("1/1 100%"));
	s.send("ihello\rworld\x1b");
	REQUIRE(s.expect("- /tmp/t [Modified] 2/2"));	// and not sooner: ESC and what follows would be one key
	s.send("1Gx:wq\r");
	REQUIRE(s.expect("# "));
	s.send("tr a-z A-Z </tmp/t\r");
	CHECK(s.expect("ELLO\r\nWORLD"));
	s.send("exit\r");
	CHECK(s.wait() == 0);
}

TEST_CASE("a guest that floods the console neither loses output nor fills memory")
{
	const Outcome o = vktest::sh("seq 1 30000", {"-m", "64m"});
	CHECK(o.status == 0);
	CHECK(o.out.size() == 168894);
	CHECK(o.out.substr(o.out.size() - 12) == "29999\n30000\n");
}

TEST_CASE("/dev/vkckpt tells the generation")
{
	const Outcome o = vktest::sh("cat /dev/vkckpt; read w g t n </dev/vkckpt; echo ${#g} $n; echo nonsense >/dev/vkckpt || echo refused");
	INFO(o.out << o.err);
	CHECK(o.out.substr(0, 11) == "generation ");
	CHECK(o.out.find("\n32 0\n") != std::string::npos);
	CHECK(o.out.find("refused") != std::string::npos);
}
