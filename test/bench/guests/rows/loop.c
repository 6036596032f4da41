/* Register loop: additions, exclusive ors, shifts and a rotate, no memory. */
#include "../runtime.h"

const char row_name[] = "loop";

unsigned row(void)
{
	unsigned a = 1, b = 0x9e3779b9, c = 0, n = 150000000;

	asm volatile("1:\n\t"
		     "addl %1, %0\n\t"
		     "xorl %0, %2\n\t"
		     "shrl $1, %1\n\t"
		     "leal 0x61(%1,%2,2), %1\n\t"
		     "roll $5, %0\n\t"
		     "decl %3\n\t"
		     "jnz 1b"
		     : "+r"(a), "+r"(b), "+r"(c), "+r"(n)
		     :
		     : "cc");
	return a ^ b ^ c;
}
