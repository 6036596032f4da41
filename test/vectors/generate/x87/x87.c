// Writes what this machine's processor makes of random x87 instructions, as test/vectors/x87/FORMAT.md says: `x87 <seed> <scale>`.
#include <cpuid.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static uint32_t seed;

static uint32_t hash(uint32_t x) {
	x ^= x >> 16;
	x *= 0x7feb352d;
	x ^= x >> 15;
	x *= 0x846ca68b;
	return x ^ x >> 16;
}
static uint32_t slot(uint32_t index, uint32_t n) { return hash(seed ^ hash(index * 64 + n)); }

struct number {
	uint64_t significand;
	uint16_t se;
};

static struct number number(uint32_t index, uint32_t n) {
	uint32_t h = slot(index, n);
	uint64_t s = (uint64_t)slot(index, n + 1) << 32 | slot(index, n + 2);
	uint32_t e = slot(index, n + 3);
	uint64_t top = 1ull << 63;
	// The significand: any, few bits at the top, ones, a tie at 24, 53 or 32 bits, small.
	switch (h >> 8 & 15) {
	case 0: s = top; break;
	case 1: s = ~0ull; break;
	case 2: s &= ~0ull << 40; break;
	case 3: s = (s & ~0ull << 40) | 1ull << 39; break;
	case 4: s = (s & ~0ull << 11) | 1ull << 10; break;
	case 5: s = (s & ~0ull << 32) | 1ull << 31; break;
	case 6: s &= ~0ull << (h >> 12 & 63); break;
	case 7: s |= ~0ull >> (h >> 12 & 63); break;
	case 8: s = top | (s & 7); break;
	}
	uint32_t exponent;
	switch (h & 31) {
	case 0: exponent = 0; s = 0; break;
	case 1: exponent = 0x7fff; s = top; break;
	case 2: exponent = 0x7fff; s |= 3ull << 62; break;
	case 3: exponent = 0x7fff; s = (s & ~(1ull << 62)) | top; break;
	case 4: exponent = 0; s = s << 1 >> (1 + e % 63); break;
	case 5: exponent = 0; s |= top; break;
	case 6: exponent = 1 + e % 0x7ffe; s &= ~top; break;
	case 7: exponent = 0x7fff; s &= ~top; break;
	case 8: exponent = 0x7ffe - e % 70; s |= top; break;
	case 9: exponent = 1 + e % 70; s |= top; break;
	case 10: exponent = e % 0x7ffe + 1; s |= top; break;
	case 11: exponent = 0x3fff + e % 64; s &= ~0ull << (63 - e % 64); s |= top; break;
	case 12: exponent = 0x3fff + 1023 - 3 + e % 6; s |= top; break;
	case 13: exponent = 0x3fff - 1023 - 54 + e % 60; s |= top; break;
	case 14: exponent = 0x3fff + 127 - 3 + e % 6; s |= top; break;
	case 15: exponent = 0x3fff - 127 - 25 + e % 30; s |= top; break;
	default: exponent = 0x3fff - 4 + e % 9 + (h & 16 ? (h & 8 ? e / 9 % 128 : -(e / 9 % 64)) : 0); s |= top; break;
	}
	return (struct number){s, (uint16_t)(exponent | (h >> 31) << 15)};
}

static void put(uint8_t *to, struct number x) {
	memcpy(to, &x.significand, 8);
	memcpy(to + 8, &x.se, 2);
}

struct state {
	uint8_t image[108];
	uint32_t flags;
	uint8_t memory[16];
};

static int tagOf(struct number x) {
	int e = x.se & 0x7fff;
	if (e == 0 && x.significand == 0) return 1;
	return e == 0 || e == 0x7fff || !(x.significand >> 63) ? 2 : 0;
}

// memory: 4, 8 and 10 bytes of floating point, -2, -4 and -8 of integer, 11 packed decimal; anything else: any bytes
static void compose(struct state *s, uint32_t index, int memory) {
	memset(s, 0, sizeof *s);
	uint32_t h = slot(index, 0), k = slot(index, 1);
	// Masks: mostly all set; else any.
	uint32_t masks = (h & 3) ? 0x3f : h >> 2 & 0x3f;
	uint32_t control = masks | 0x40 | (h >> 8 & 15) << 8;
	uint32_t top = k & 7;
	uint32_t status = top << 11 | (k >> 3 & 0x4700);
	// Flags that are there already: those that are masked.
	if ((k >> 20 & 7) == 0) status |= (k >> 24 & 0x3f) & masks;
	uint32_t empty = 0xe0; // by distance from the top: 5, 6 and 7
	if ((h >> 16 & 15) == 0) empty = h >> 20 & 0xff;
	uint32_t tags = 0;
	for (int i = 0; i < 8; i++) {
		struct number x;
		if (i < 2) x = number(index, 8 + i * 8);
		else x = (struct number){0x8000000000000000ull | (uint64_t)i << 40, 0x3fff};
		put(s->image + 28 + i * 10, x);
		int physical = (top + i) & 7;
		tags |= (uint32_t)((empty >> i & 1) ? 3 : tagOf(x)) << physical * 2;
	}
	uint32_t words[7] = {control | 0xffff0000, status | 0xffff0000, tags | 0xffff0000, 0, 0, 0, 0};
	memcpy(s->image, words, 28);
	s->flags = (slot(index, 2) & 0x8d5) | 0x202;
	struct number m = number(index, 32);
	uint64_t raw = (uint64_t)slot(index, 40) << 32 | slot(index, 41);
	uint32_t c = slot(index, 42);
	if (memory == 10) put(s->memory, m);
	else if (memory == 4 || memory == 8) {
		int bits = memory == 4 ? 23 : 52, width = memory * 8;
		uint64_t fraction = m.significand << 1 >> 1 >> (63 - bits), last = memory == 4 ? 255 : 2047, e;
		switch (c & 15) {
		case 0: e = 0; break;
		case 1: e = last; break;
		case 2: e = 0; fraction = 0; break;
		case 3: e = last; fraction = 0; break;
		case 4: e = c >> 8 & last; break;
		default: e = (last >> 1) - 4 + (c >> 8) % 9; break;
		}
		raw = (uint64_t)(c >> 31) << (width - 1) | e << bits | fraction;
		memcpy(s->memory, &raw, memory);
	} else if (memory == 11) {
		for (int i = 0; i < 9; i++) s->memory[i] = (raw >> i * 7) % 10 | (slot(index, 43) >> i * 3) % 10 << 4;
		s->memory[9] = c & 0x80;
	} else if (memory < 0) {
		if (c & 1) raw = (int64_t)raw >> (c >> 1 & 63);
		if ((c >> 8 & 15) == 0) raw = 0;
		memcpy(s->memory, &raw, -memory);
	} else memcpy(s->memory, &raw, 8);
}

struct form {
	const char *name;
	uint8_t code[2];
	int memory;
	int cases;
};

static struct form forms[256];
static int formCount;

static void form(const char *name, uint8_t first, uint8_t second, int memory, int cases) {
	forms[formCount++] = (struct form){name, {first, second}, memory, cases};
}

enum { MANY = 320, SOME = 96, FEW = 32 };

// A ModRM byte: memory at [rdx], or ST(1).
static uint8_t memory(int digit) { return digit << 3 | 2; }
static uint8_t other(int digit) { return 0xc1 | digit << 3; }

static void allForms(void) {
	static const char *const names[8][7] = {
		{"fadd m32", "fadd m64", "fiadd m32", "fiadd m16", "fadd st, st1", "fadd st1, st", "faddp"},
		{"fmul m32", "fmul m64", "fimul m32", "fimul m16", "fmul st, st1", "fmul st1, st", "fmulp"},
		{"fcom m32", "fcom m64", "ficom m32", "ficom m16", "fcom st1", "fcom2 st1", "fcomp5 st1"},
		{"fcomp m32", "fcomp m64", "ficomp m32", "ficomp m16", "fcomp st1", "fcomp3 st1", "fcompp"},
		{"fsub m32", "fsub m64", "fisub m32", "fisub m16", "fsub st, st1", "fsubr st1, st", "fsubrp"},
		{"fsubr m32", "fsubr m64", "fisubr m32", "fisubr m16", "fsubr st, st1", "fsub st1, st", "fsubp"},
		{"fdiv m32", "fdiv m64", "fidiv m32", "fidiv m16", "fdiv st, st1", "fdivr st1, st", "fdivrp"},
		{"fdivr m32", "fdivr m64", "fidivr m32", "fidivr m16", "fdivr st, st1", "fdiv st1, st", "fdivp"},
	};
	for (int n = 0; n < 8; n++) {
		int cases = (n & 6) == 2 ? SOME : MANY;
		form(names[n][0], 0xd8, memory(n), 4, SOME);
		form(names[n][1], 0xdc, memory(n), 8, SOME);
		form(names[n][2], 0xda, memory(n), -4, SOME);
		form(names[n][3], 0xde, memory(n), -2, SOME);
		form(names[n][4], 0xd8, other(n), 0, cases);
		form(names[n][5], 0xdc, other(n), 0, SOME);
		form(names[n][6], 0xde, other(n), 0, SOME);
	}
	static const char *const plain[32] = {
		"fchs", "fabs", 0, 0, "ftst", "fxam", 0, 0, "fld1", "fldl2t", "fldl2e", "fldpi", "fldlg2", "fldln2", "fldz", 0,
		"f2xm1", "fyl2x", "fptan", "fpatan", "fxtract", "fprem1", "fdecstp", "fincstp", "fprem", "fyl2xp1", "fsqrt",
		"fsincos", "frndint", "fscale", "fsin", "fcos",
	};
	for (int n = 0; n < 32; n++)
		if (plain[n]) form(plain[n], 0xd9, 0xe0 + n, 0, n < 16 ? FEW : n == 22 || n == 23 ? FEW : MANY);
	form("fld m32", 0xd9, memory(0), 4, SOME), form("fst m32", 0xd9, memory(2), 0, MANY);
	form("fstp m32", 0xd9, memory(3), 0, SOME), form("fld m64", 0xdd, memory(0), 8, SOME);
	form("fst m64", 0xdd, memory(2), 0, MANY), form("fstp m64", 0xdd, memory(3), 0, SOME);
	form("fld m80", 0xdb, memory(5), 10, SOME), form("fstp m80", 0xdb, memory(7), 0, SOME);
	form("fild m16", 0xdf, memory(0), -2, FEW), form("fild m32", 0xdb, memory(0), -4, FEW);
	form("fild m64", 0xdf, memory(5), -8, SOME), form("fist m16", 0xdf, memory(2), 0, SOME);
	form("fist m32", 0xdb, memory(2), 0, SOME), form("fistp m16", 0xdf, memory(3), 0, SOME);
	form("fistp m32", 0xdb, memory(3), 0, SOME), form("fistp m64", 0xdf, memory(7), 0, MANY);
	form("fisttp m16", 0xdf, memory(1), 0, SOME), form("fisttp m32", 0xdb, memory(1), 0, SOME);
	form("fisttp m64", 0xdd, memory(1), 0, SOME), form("fbld", 0xdf, memory(4), 11, SOME);
	form("fbstp", 0xdf, memory(6), 0, MANY), form("fld st1", 0xd9, 0xc1, 0, FEW), form("fld st6", 0xd9, 0xc6, 0, FEW);
	form("fst st1", 0xdd, 0xd1, 0, FEW), form("fst st6", 0xdd, 0xd6, 0, FEW), form("fstp st1", 0xdd, 0xd9, 0, FEW);
	form("fxch st1", 0xd9, 0xc9, 0, FEW), form("fxch st6", 0xd9, 0xce, 0, FEW), form("ffree st1", 0xdd, 0xc1, 0, FEW);
	form("ffreep st1", 0xdf, 0xc1, 0, FEW), form("fstpnce st1", 0xd9, 0xd9, 0, FEW), form("fnop", 0xd9, 0xd0, 0, FEW);
	form("fucompp", 0xda, 0xe9, 0, SOME), form("fucom st1", 0xdd, 0xe1, 0, SOME), form("fucomp st1", 0xdd, 0xe9, 0, FEW);
	form("fcomi st1", 0xdb, 0xf1, 0, SOME), form("fcomip st1", 0xdf, 0xf1, 0, SOME);
	form("fucomi st1", 0xdb, 0xe9, 0, SOME), form("fucomip st1", 0xdf, 0xe9, 0, SOME);
	static const char *const moves[8] = {"fcmovb", "fcmove", "fcmovbe", "fcmovu", "fcmovnb", "fcmovne", "fcmovnbe", "fcmovnu"};
	for (int n = 0; n < 8; n++) form(moves[n], n < 4 ? 0xda : 0xdb, other(n & 3), 0, FEW);
	form("fnclex", 0xdb, 0xe2, 0, FEW), form("fninit", 0xdb, 0xe3, 0, FEW), form("fnstcw", 0xd9, memory(7), 0, FEW);
	form("fldcw", 0xd9, memory(5), 1, FEW), form("fnstsw", 0xdd, memory(7), 0, FEW), form("emms", 0x0f, 0x77, 0, FEW);
}

static void text(const char *s) {
	putchar(strlen(s));
	fputs(s, stdout);
}
static void u16(unsigned value) { putchar(value & 255), putchar(value >> 8 & 255); }

static unsigned wordAt(const struct state *s, int at) { return s->image[at] | s->image[at + 1] << 8; }

// The register with physical number `n`, ten bytes.
static const uint8_t *physical(const struct state *s, int n) {
	int top = wordAt(s, 4) >> 11 & 7;
	return s->image + 28 + ((n - top) & 7) * 10;
}

static void difference(const struct state *in, const struct state *out) {
	unsigned registers = 0, present = 0;
	for (int n = 0; n < 8; n++) registers |= (memcmp(physical(in, n), physical(out, n), 10) != 0) << n;
	if (wordAt(in, 0) != wordAt(out, 0)) present |= 1;
	if (wordAt(in, 8) != wordAt(out, 8)) present |= 2;
	if (registers) present |= 4;
	if (((in->flags ^ out->flags) & 0x8d5) != 0) present |= 8;
	if (memcmp(in->memory, out->memory, 10) != 0) present |= 16;
	putchar(present);
	u16(wordAt(out, 4));
	if (present & 1) u16(wordAt(out, 0));
	if (present & 2) u16(wordAt(out, 8));
	if (present & 4) {
		putchar(registers);
		for (int n = 0; n < 8; n++)
			if (registers >> n & 1) fwrite(physical(out, n), 10, 1, stdout);
	}
	if (present & 8) u16(out->flags & 0x8d5);
	if (present & 16) fwrite(out->memory, 10, 1, stdout);
}

int main(int argc, char **argv) {
	seed = argc > 1 ? strtoul(argv[1], 0, 0) : 1;
	int scale = argc > 2 ? atoi(argv[2]) : 1;
	allForms();
	uint8_t *code = mmap(0, 4096, 7, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char brand[49] = {0};
	for (unsigned n = 0; n < 3; n++) {
		unsigned *to = (unsigned *)(brand + n * 16);
		__get_cpuid(0x80000002 + n, to, to + 1, to + 2, to + 3);
	}
	fputs("X87V", stdout);
	fwrite(&seed, 4, 1, stdout);
	text(brand);
	u16(formCount);
	uint32_t index = 0;
	for (int n = 0; n < formCount; n++) {
		const struct form *f = &forms[n];
		// (state *in rdi, state *out rsi, void *memory rdx, flags rcx)
		const uint8_t body[] = {
			0x51, 0x9d, // push rcx; popf
			0xdd, 0x27, // frstor [rdi]
			f->code[0], f->code[1],
			0xdd, 0x36, // fnsave [rsi]
			0x9c, 0x58, 0xc3, // pushf; pop rax; ret
		};
		memcpy(code, body, sizeof body);
		uint64_t (*run)(void *, void *, void *, uint64_t) = (void *)code;
		text(f->name);
		fwrite(f->code, 2, 1, stdout);
		putchar(f->memory & 255);
		u16(f->cases * scale);
		for (int i = 0; i < f->cases * scale; i++, index++) {
			struct state in, out;
			compose(&in, index, f->memory);
			memset(&out, 0, sizeof out);
			memcpy(out.memory, in.memory, 16);
			out.flags = run(&in, &out, out.memory, in.flags);
			difference(&in, &out);
		}
	}
	return 0;
}
