/* Every register keeps its value over traps: general, SSE, AVX (if there), x87 control word, MXCSR, FS base. */
#define _GNU_SOURCE
#include <immintrin.h>
#include <stdio.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static uint64_t seed = 0x9e3779b97f4a7c15ull;
static uint64_t next(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	return seed ^= seed << 17;
}

__attribute__((target("avx"))) static int avx_round(long call)
{
	uint64_t in[16][4], out[16][4];
	for (int i = 0; i < 16; i++)
		for (int j = 0; j < 4; j++)
			in[i][j] = next();
	long result = call;
	__asm__ volatile(
	    "vmovdqu 0(%2), %%ymm0\n vmovdqu 32(%2), %%ymm1\n vmovdqu 64(%2), %%ymm2\n vmovdqu 96(%2), %%ymm3\n"
	    "vmovdqu 128(%2), %%ymm4\n vmovdqu 160(%2), %%ymm5\n vmovdqu 192(%2), %%ymm6\n vmovdqu 224(%2), %%ymm7\n"
	    "vmovdqu 256(%2), %%ymm8\n vmovdqu 288(%2), %%ymm9\n vmovdqu 320(%2), %%ymm10\n vmovdqu 352(%2), %%ymm11\n"
	    "vmovdqu 384(%2), %%ymm12\n vmovdqu 416(%2), %%ymm13\n vmovdqu 448(%2), %%ymm14\n vmovdqu 480(%2), %%ymm15\n"
	    "syscall\n"
	    "vmovdqu %%ymm0, 0(%3)\n vmovdqu %%ymm1, 32(%3)\n vmovdqu %%ymm2, 64(%3)\n vmovdqu %%ymm3, 96(%3)\n"
	    "vmovdqu %%ymm4, 128(%3)\n vmovdqu %%ymm5, 160(%3)\n vmovdqu %%ymm6, 192(%3)\n vmovdqu %%ymm7, 224(%3)\n"
	    "vmovdqu %%ymm8, 256(%3)\n vmovdqu %%ymm9, 288(%3)\n vmovdqu %%ymm10, 320(%3)\n vmovdqu %%ymm11, 352(%3)\n"
	    "vmovdqu %%ymm12, 384(%3)\n vmovdqu %%ymm13, 416(%3)\n vmovdqu %%ymm14, 448(%3)\n vmovdqu %%ymm15, 480(%3)\n"
	    "vzeroupper\n"
	    : "+a"(result) : "0"(call), "r"(in), "r"(out)
	    : "rcx", "r11", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
	      "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
	return memcmp(in, out, sizeof in) == 0;
}

static int general_round(void)
{
	uint64_t a = next(), b = next(), c = next(), d = next(), r12 = a, r13 = b, r14 = c, r15 = d;
	long result = SYS_getppid;
	__asm__ volatile(
	    "mov %1, %%r12\n mov %2, %%r13\n mov %3, %%r14\n mov %4, %%r15\n syscall\n"
	    "mov %%r12, %1\n mov %%r13, %2\n mov %%r14, %3\n mov %%r15, %4\n"
	    : "+a"(result), "+r"(r12), "+r"(r13), "+r"(r14), "+r"(r15) : : "rcx", "r11", "r12", "r13", "r14", "r15", "memory");
	return r12 == a && r13 == b && r14 == c && r15 == d;
}

int main(void)
{
	uint32_t mxcsr = _mm_getcsr();
	_mm_setcsr(mxcsr | 0x6000);	/* round to zero */
	uint16_t x87 = 0x0f7f, x87_now;
	__asm__ volatile("fldcw %0" : : "m"(x87));
	int avx = __builtin_cpu_supports("avx"), bad = 0;
	static volatile char pages[64 * 4096];
	for (int i = 0; i < 100; i++) {
		bad += avx && !avx_round(SYS_getppid);
		bad += avx && !avx_round(SYS_sched_yield);
		bad += !general_round();
		pages[i % 64 * 4096] += 1;	/* page faults between */
		__asm__ volatile("fnstcw %0" : "=m"(x87_now));
		bad += x87_now != x87;
		bad += (_mm_getcsr() & 0x6000) != 0x6000;
	}
	double x = 1;
	for (int i = 1; i < 1000; i++)
		x = x * 1.000001 + 1.0 / i;
	printf("wrong: %d\nsum: %.17g\n", bad, x);
	return bad != 0;
}
