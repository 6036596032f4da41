/* Exits at once: what starting and stopping costs. */
#include "../runtime.h"

const char row_name[] = "exit";

unsigned row(void)
{
	return 0;
}
