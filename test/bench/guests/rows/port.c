/* Port reads: the interrupt mask of the first 8259, which every machine has. */
#include "../runtime.h"

const char row_name[] = "port";

unsigned row(void)
{
	unsigned checksum = 0;

	asm volatile("outb %0, $0x21" : : "a"((unsigned char)0xfb));
	for (int i = 0; i < 8000000; i++) {
		unsigned char mask;
		asm volatile("inb $0x21, %0" : "=a"(mask));
		checksum = checksum * 3 + mask;
	}
	return checksum;
}
