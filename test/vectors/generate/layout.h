/*
 * What the generator and the reader (../read.ts) must agree on: where memory lies, and the hash that yields every
 * initial register and the memory pattern, so that neither has to be stored. ../FORMAT.md describes both.
 */
#ifndef LAYOUT_H
#define LAYOUT_H

#include <stdint.h>

enum {
	PAGE = 0x1000,
	DATA_START = 0x8000,	/* two pages that can be read and written */
	READONLY_START = 0xa000,/* one page that can be read */
	ABSENT_START = 0xb000,	/* nothing; so are all pages not named here */
	CODE_START = 0xc000,	/* one page that can be read and executed, filled with INT3 */
	CODE_END = 0xd000,
	DEFAULT_EIP = 0xc800,

	CODE_SELECTOR = 0x23,	/* flat 4 GiB, 32 bits, ring 3 */
	DATA_SELECTOR = 0x2b,	/* flat 4 GiB, ring 3: SS, DS, ES, GS; FS is null */

	FLAGS_VARIED = 0xcd5,	/* OF DF SF ZF AF PF CF */
	FLAGS_FIXED = 0x202,	/* IF, and the bit that is always 1 */
};

enum reg { EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI };

#define PATTERN_SEED 0x74737600u

static inline uint32_t hash(uint32_t x)
{
	x ^= x >> 16;
	x *= 0x7feb352du;
	x ^= x >> 15;
	x *= 0x846ca68bu;
	return x ^ x >> 16;
}

/* The byte at addr (DATA_START..ABSENT_START) before patches. */
static inline uint8_t pattern_byte(uint32_t addr)
{
	return hash(PATTERN_SEED + (addr >> 2)) >> (addr & 3) * 8;
}

/* The number of a case's slot: 0-7 its registers, 8 its flags. */
static inline uint32_t case_hash(uint32_t seed, uint32_t index, uint32_t slot)
{
	return hash(seed ^ hash(index * 16 + slot));
}

/* Register reg of case index before overrides: a quarter each of edge values, edge bytes, and half random. */
static inline uint32_t initial_register(uint32_t seed, uint32_t index, unsigned reg)
{
	static const uint32_t words[16] = {
		0, 1, 2, 0x7f, 0x80, 0x81, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000,
		0x7fffffff, 0x80000000, 0x80000001, 0xffffffff,
	};
	static const uint8_t bytes[8] = { 0x00, 0x01, 0x09, 0x0f, 0x7f, 0x80, 0x9a, 0xff };
	uint32_t h = case_hash(seed, index, reg);
	uint32_t value = hash(h);

	if (reg == ESP)
		return 0x9000 + (h & 0x3fc) + (h >> 28 ? 0 : h >> 12 & 3);
	if ((h & 3) == 0)
		return words[h >> 2 & 15];
	if ((h & 3) == 1)
		return (value & 0xffff0000) | bytes[h >> 2 & 7] << 8 | bytes[h >> 5 & 7];
	return value;
}

static inline uint32_t initial_flags(uint32_t seed, uint32_t index)
{
	return (case_hash(seed, index, 8) & FLAGS_VARIED) | FLAGS_FIXED;
}

#endif
