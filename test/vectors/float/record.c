/*
 * Runs the forms that it reads from standard input on this machine's processor and writes what they left, as
 * test/vectors/float/FORMAT.md says: record SEED CASES < forms > records
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

typedef uint32_t u32;
typedef uint64_t u64;

static u32 hash(u32 x)
{
	x ^= x >> 16;
	x *= 0x7feb352d;
	x ^= x >> 15;
	x *= 0x846ca68b;
	return x ^ x >> 16;
}

static u32 single(u32 h, int tame)
{
	u32 r = hash(h), sign = r & 0x80000000, fraction = r & 0x7fffff;
	switch (tame ? 6 + (h & 2) : h & 15) {
	case 0: return sign;
	case 1: return sign | fraction;
	case 2: return sign | 0x7f800000;
	case 3: return r | 0x7f800000;
	case 4: return sign | (0x7ffffe + (r & 3));
	case 5: return sign | (0x7f7ffffc + (r & 3));
	case 6: return sign | (0x7f + (r >> 20 & 31)) << 23 | (r & 7) << 20;
	case 7: return sign | (r >> 8 & 63) << 23 | (r & 0xff) << 15;
	case 8:
	case 9: return sign | (0x70 + (r >> 23 & 31)) << 23 | fraction;
	case 10: return sign | (r >> 23 & 63) << 23 | fraction;
	case 11: return sign | (0xc0 + (r >> 23 & 63)) << 23 | fraction;
	case 12: return sign | (0x70 + (r >> 23 & 31)) << 23 | (r & 1 ? 0x7fffff : 0);
	default: return r;
	}
}

static u64 both(u32 high, u32 low)
{
	return (u64)high << 32 | low;
}

static u64 twice(u32 h, int tame)
{
	u32 r = hash(h), low = hash(r), sign = r & 0x80000000, fraction = r & 0xfffff;
	switch (tame ? 6 + (h & 2) : h & 15) {
	case 0: return both(sign, 0);
	case 1: return both(sign | fraction, low);
	case 2: return both(sign | 0x7ff00000, 0);
	case 3: return both(r | 0x7ff00000, h & 16 ? 0 : low);
	case 4: return both(sign, 0) | (0x000ffffffffffffe + (u64)(r & 3));
	case 5: return both(sign, 0) | (0x7feffffffffffffc + (u64)(r & 3));
	case 6: return both(sign | (0x3ff + (r >> 20 & 63)) << 20 | (r & 7) << 17, 0);
	case 7: return both(sign | (r >> 8 & 127) << 20 | (r & 0xff) << 12, 0);
	case 8:
	case 9: return both(sign | (0x3e0 + (r >> 20 & 63)) << 20 | fraction, low);
	case 10: return both(sign | (r >> 20 & 127) << 20 | fraction, low);
	case 11: return both(sign | (0x780 + (r >> 20 & 127)) << 20 | fraction, low);
	case 12: return both(sign | (0x3e0 + (r >> 20 & 63)) << 20 | (r & 1 ? 0xfffff : 0), r & 1 ? 0xffffffff : 0);
	case 13: return both(sign | (0x35f + (r >> 20 & 255)) << 20 | fraction, (low & 0xe0000000) | (low & 1) << 28);
	default: return both(r, low);
	}
}

static u32 control(u32 m)
{
	u32 rest = (m >> 8 & 3) << 13 | (m >> 10 & 1) << 6 | (m >> 11 & 1) << 15;
	switch (m & 7) {
	case 2: return 0x1fa0;
	case 3: return 0x1f80;
	case 4: return 0x1f80 | (m >> 8 & 3) << 13 | (m >> 16 & 63);
	case 5: return rest | (m >> 16 & 63) << 7;
	case 6: return 0x1f80 ^ 0x80 << (m >> 16 & 0xffff) % 6;
	default: return 0x1f80 | rest;
	}
}

/* Where the code finds and leaves things. */
struct area {
	u32 mxcsr, mxcsrAfter, normal, pad;
	u64 pad2[2];
	u64 ymm[3][4];
	u64 mm[2][2];
	u64 rax;
	u64 pad3[3];
	u64 ymmAfter[4], mmAfter, raxAfter, flagsAfter;
} __attribute__((aligned(64)));

static struct area area;
static volatile int trapped;

static void onFault(int signal, siginfo_t *info, void *context)
{
	ucontext_t *c = context;
	(void)signal, (void)info;
	trapped = 1;
	area.mxcsrAfter = c->uc_mcontext.fpregs->mxcsr;
	c->uc_mcontext.fpregs->mxcsr = 0x1f80;
	c->uc_mcontext.gregs[REG_RIP] = c->uc_mcontext.gregs[REG_R11];
}

static const unsigned char before[] = {
	0x4c, 0x8d, 0x1d, 0, 0, 0, 0, /* lea r11, [end] */
	0x6a, 0x02, 0x9d, /* push 2; popfq */
	0x0f, 0xae, 0x17, /* ldmxcsr [rdi] */
	0xc5, 0xfc, 0x10, 0x47, 0x20, /* vmovups ymm0, [rdi+32] */
	0xc5, 0xfc, 0x10, 0x4f, 0x40, 0xc5, 0xfc, 0x10, 0x57, 0x60,
	0x0f, 0x6f, 0x87, 0x80, 0, 0, 0, /* movq mm0, [rdi+128] */
	0x0f, 0x6f, 0x97, 0x90, 0, 0, 0, /* movq mm2, [rdi+144] */
	0x48, 0x8b, 0x87, 0xa0, 0, 0, 0, /* mov rax, [rdi+160] */
};
static const unsigned char after[] = {
	0x0f, 0xae, 0x5f, 0x04, /* stmxcsr [rdi+4] */
	0xc5, 0xfc, 0x11, 0x87, 0xc0, 0, 0, 0, /* vmovups [rdi+192], ymm0 */
	0x0f, 0x7f, 0x87, 0xe0, 0, 0, 0, /* movq [rdi+224], mm0 */
	0x48, 0x89, 0x87, 0xe8, 0, 0, 0, /* mov [rdi+232], rax */
	0x9c, 0x8f, 0x87, 0xf0, 0, 0, 0, /* pushfq; pop [rdi+240] */
};
static const unsigned char end[] = {
	0x0f, 0xae, 0x57, 0x08, /* ldmxcsr [rdi+8] */
	0x0f, 0x77, 0xc3, /* emms; ret */
};

static unsigned char *code;

static void put(const void *bytes, size_t count, size_t *at)
{
	memcpy(code + *at, bytes, count);
	*at += count;
}

int main(int argc, char **argv)
{
	u32 seed = strtoul(argv[1], 0, 0), cases = strtoul(argv[2], 0, 0);
	struct sigaction action = { .sa_sigaction = onFault, .sa_flags = SA_SIGINFO | SA_NODEFER };
	char line[256];

	(void)argc;
	sigaction(SIGFPE, &action, 0);
	code = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	area.normal = 0x1f80;
	for (u32 form = 0; fgets(line, sizeof line, stdin); form++) {
		/* Lanes (s, d or h), 1 where the last byte is a random immediate, bytes in hexadecimal. */
		char lanes = line[0];
		int immediate = line[2] == '1';
		unsigned char bytes[16];
		size_t length = 0;

		while (sscanf(line + 4 + length * 2, "%2hhx", &bytes[length]) == 1)
			length++;
		for (u32 n = 0; n < cases; n++) {
			u32 base = hash(seed ^ hash(form * 0x10000 + n));
			size_t at = 0;
			/* Ordinary numbers in every lane. */
			int tame = (base >> 5 & 3) == 0;

			for (u32 operand = 0; operand < 3; operand++)
				for (int lane = 0; lane < 8; lane++) {
					u32 h = hash(base ^ hash(operand * 8 + lane));
					u32 *words = (u32 *)area.ymm[operand];
					int copy = operand > 0 && h >> 24 < 24;

					if (lanes == 's')
						words[lane] = copy ? words[lane - 8] ^ (h & 0x80) << 24 : single(h, tame);
					else if (lanes == 'h')
						words[lane] = hash(h);
					else if (lane < 4)
						area.ymm[operand][lane] = copy ? area.ymm[operand - 1][lane] ^ (u64)(h & 0x80) << 56 : twice(h, tame);
				}
			area.mm[0][0] = both(hash(base ^ 101), hash(base ^ 102));
			area.mm[1][0] = both(hash(base ^ 103), (int)hash(base ^ 104) >> (base & 31));
			area.rax = both(hash(base ^ 105), hash(base ^ 106));
			area.rax = (int64_t)area.rax >> (base & 63);
			area.mxcsr = tame && base & 0x80 ? 0x1fa0 : control(hash(base ^ 107));
			if (immediate)
				bytes[length - 1] = hash(base ^ 108);
			put(before, sizeof before, &at);
			put(bytes, length, &at);
			put(after, sizeof after, &at);
			*(u32 *)(code + 3) = at - 7;
			put(end, sizeof end, &at);
			trapped = 0;
			memset(area.ymmAfter, 0, 56);
			((void (*)(struct area *))code)(&area);
			if (trapped) {
				memcpy(area.ymmAfter, area.ymm[0], 32);
				area.mmAfter = area.mm[0][0];
				area.raxAfter = area.rax;
			}
			putchar((area.mxcsrAfter & 63) | trapped << 6);
			putchar(area.flagsAfter & 0x45);
			for (int k = 0; k < 4; k++)
				area.ymmAfter[k] ^= area.ymm[0][k];
			area.mmAfter ^= area.mm[0][0];
			area.raxAfter ^= area.rax;
			fwrite(area.ymmAfter, 1, 48, stdout);
		}
	}
	return 0;
}
