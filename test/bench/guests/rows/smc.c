/* Self-modifying code: patches the immediate of a small function, then calls it a few times. */
#include "../runtime.h"

const char row_name[] = "smc";

static unsigned char code[4096] __attribute__((aligned(4096)));

unsigned row(void)
{
	unsigned (*function)(unsigned) = (unsigned (*)(unsigned))code;
	unsigned checksum = 1;

#ifdef __x86_64__
	code[0] = 0x40;	/* mov eax, edi, four bytes long */
	code[1] = 0x40;
	code[2] = 0x89;
	code[3] = 0xf8;
#else
	code[0] = 0x8b;	/* mov eax, [esp+4] */
	code[1] = 0x44;
	code[2] = 0x24;
	code[3] = 0x04;
#endif
	code[4] = 0x05;	/* add eax, imm32 */
	code[9] = 0xd1;	/* rol eax, 1 */
	code[10] = 0xc0;
	code[11] = 0xc3;
	for (unsigned i = 0; i < 60000; i++) {
		*(volatile unsigned *)(code + 5) = i * 0x01010101;
		for (int j = 0; j < 8; j++)
			checksum = function(checksum) + j;
	}
	return checksum;
}
