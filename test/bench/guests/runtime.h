/* What a row is: a name, and a function whose result says that the work was done right. */
#ifndef RUNTIME_H
#define RUNTIME_H

extern const char row_name[];
unsigned row(void);

/* A small generator of numbers that are the same everywhere. */
static inline unsigned next_number(unsigned *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state;
}

#endif
