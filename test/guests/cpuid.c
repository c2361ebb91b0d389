/* What CPUID shows: "max 13 sse4_2 1 avx2 0 xcr0 3". With "long", the instruction has so many prefixes (16 bytes in all) that it traps. */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct leaf { uint32_t a, b, c, d; };

static struct leaf ordinary(uint32_t leaf, uint32_t sub)
{
	struct leaf r;
	__asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(sub));
	return r;
}

static struct leaf too_long(uint32_t leaf, uint32_t sub)
{
	struct leaf r;
	__asm__ volatile(".fill 14, 1, 0x66\n.byte 0x0f, 0xa2" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(sub));
	return r;
}

static void trapped(int number)
{
	(void)number;
	static const char text[] = "trapped\n";
	_exit(write(1, text, sizeof text - 1) != sizeof text - 1);
}

int main(int argc, char **argv)
{
	struct leaf (*ask)(uint32_t, uint32_t) = argc > 1 && strcmp(argv[1], "long") == 0 ? too_long : ordinary;
	signal(SIGSEGV, trapped);
	printf("max %u sse4_2 %u avx2 %u xcr0 %x\n", ask(0, 0).a, ask(1, 0).c >> 20 & 1, ask(7, 0).b >> 5 & 1, ask(13, 0).a);
	return 0;
}
