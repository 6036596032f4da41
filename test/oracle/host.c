/*
 * What the processor of this machine does with one user-mode instruction in 64-bit code, from a given state: reads cases from
 * standard input as cases.ts lays them out, writes the states afterwards (with "states") or their hashes to standard output.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

enum { DATA = 0x10000, CODE = 0x20000, PAGE = 4096, WORDS = 206, MOST_CODE = 16 };
/* Words of a state: see cases.ts. */
enum { FLAGS = 32, MXCSR = 33, FCW = 34, FSW = 35, TAGS = 36, UNDEFINED = 37, ST = 40, YMM = 72, VECTOR = 200, ERROR, CR2, RIP = 204 };
enum { USER_FLAGS = 0xcd5, TRAP_BREAKPOINT = 3, TRAP_PAGE_FAULT = 14, FETCH = 0x10, NO_FAULT = 0xff };

struct request {
	uint32_t offset, length, count;
	uint8_t code[MOST_CODE];
};

static const int order[16] = {
	REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
	REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
};
static uint8_t pattern[PAGE], *code_alias;
static uint32_t state[WORDS];
static greg_t home[NGREG];
static uint64_t start;
static volatile int running;
static unsigned high_offset;
static struct request request;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void put_float_state(uint8_t *area)
{
	memcpy(area, &state[FCW], 2);
	memcpy(area + 2, &state[FSW], 2);
	area[4] = state[TAGS];
	memset(area + 6, 0, 18);
	memcpy(area + 24, &state[MXCSR], 4);
	memcpy(area + 32, &state[ST], 128);
	for (int n = 0; n < 16; n++) {
		memcpy(area + 160 + 16 * n, &state[YMM + 8 * n], 16);
		memcpy(area + high_offset + 16 * n, &state[YMM + 8 * n + 4], 16);
	}
	*(uint64_t *)(area + 512) |= 7;
}

static void get_float_state(const uint8_t *area)
{
	uint64_t present = *(const uint64_t *)(area + 512);

	memset(&state[FCW], 0, 12);
	memset(&state[ST], 0, 128 + 512);
	state[FCW] = 0x37f;
	if (present & 1) {
		memcpy(&state[FCW], area, 2);
		memcpy(&state[FSW], area + 2, 2);
		state[TAGS] = area[4];
		for (int n = 0; n < 8; n++)
			memcpy(&state[ST + 4 * n], area + 32 + 16 * n, 10);
	}
	memcpy(&state[MXCSR], area + 24, 4);
	for (int n = 0; n < 16; n++) {
		if (present & 2)
			memcpy(&state[YMM + 8 * n], area + 160 + 16 * n, 16);
		if (present & 4)
			memcpy(&state[YMM + 8 * n + 4], area + high_offset + 16 * n, 16);
	}
}

static void enter_case(ucontext_t *context)
{
	greg_t *g = context->uc_mcontext.gregs;

	for (int n = 0; n < 16; n++)
		memcpy(&g[order[n]], &state[2 * n], 8);
	g[REG_RIP] = start;
	g[REG_EFL] = state[FLAGS];
	put_float_state((uint8_t *)context->uc_mcontext.fpregs);
}

static void leave_case(const ucontext_t *context)
{
	const greg_t *g = context->uc_mcontext.gregs;
	uint64_t rip = g[REG_RIP], cr2 = 0;
	uint32_t undefined = state[UNDEFINED], vector = g[REG_TRAPNO], error = g[REG_ERR];

	for (int n = 0; n < 16; n++)
		memcpy(&state[2 * n], &g[order[n]], 8);
	state[FLAGS] = g[REG_EFL] & USER_FLAGS & ~undefined;
	get_float_state((const uint8_t *)context->uc_mcontext.fpregs);
	if (vector == TRAP_BREAKPOINT) {
		rip--;
		vector = NO_FAULT;
		error = 0;
	} else if (rip != start && vector == TRAP_PAGE_FAULT && (uint64_t)g[REG_CR2] == rip && error & FETCH) {
		/* A jump to where nothing can be fetched is done. */
		vector = NO_FAULT;
		error = 0;
	} else if (vector == TRAP_PAGE_FAULT) {
		cr2 = g[REG_CR2];
	}
	state[UNDEFINED] = 0;
	state[VECTOR] = vector;
	state[ERROR] = error;
	memcpy(&state[CR2], &cr2, 8);
	memcpy(&state[RIP], &rip, 8);
}

static void on_signal(int number, siginfo_t *info, void *context)
{
	ucontext_t *c = context;
	(void)number;
	(void)info;

	if (!running) {
		memcpy(home, c->uc_mcontext.gregs, sizeof home);
		running = 1;
		enter_case(c);
	} else {
		leave_case(c);
		running = 0;
		memcpy(c->uc_mcontext.gregs, home, sizeof home);
	}
}

static void on_alarm(int number)
{
	(void)number;
	fprintf(stderr, "hangs:");
	for (unsigned n = 0; n < request.length; n++)
		fprintf(stderr, " %02x", request.code[n]);
	fprintf(stderr, "\n");
	_exit(1);
}

static uint32_t hash(uint32_t h, const uint32_t *words, unsigned count)
{
	for (unsigned n = 0; n < count; n++) {
		h = (h ^ words[n]) * 0x9e3779b1u;
		h ^= h >> 15;
	}
	return h;
}

static int take(void *to, size_t size)
{
	return fread(to, size, 1, stdin) == 1;
}

int main(int argc, char **argv)
{
	static const int signals[] = { SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV };
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
	stack_t stack = { .ss_sp = malloc(1 << 18), .ss_size = 1 << 18 };
	unsigned a, b, c, d;
	int states = argc > 1 && !strcmp(argv[1], "states");
	int fd = memfd_create("code", 0);
	uint8_t *data = mmap((void *)DATA, PAGE, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (data == MAP_FAILED || fd < 0 || ftruncate(fd, PAGE))
		fail("memory of the cases");
	code_alias = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (code_alias == MAP_FAILED ||
	    mmap((void *)CODE, PAGE, PROT_READ | PROT_EXEC, MAP_FIXED | MAP_SHARED, fd, 0) == MAP_FAILED)
		fail("the code page");
	memset(code_alias, 0xcc, PAGE);
	__cpuid_count(0xd, 2, a, b, c, d);
	high_offset = b;
	sigaltstack(&stack, NULL);
	for (unsigned n = 0; n < sizeof signals / sizeof *signals; n++)
		sigaction(signals[n], &action, NULL);
	signal(SIGALRM, on_alarm);

	if (!take(pattern, PAGE))
		fail("the pattern of the data page");
	while (take(&request, sizeof request)) {
		start = CODE + request.offset;
		memcpy(code_alias + request.offset, request.code, request.length);
		for (uint32_t n = 0; n < request.count; n++) {
			if (!take(state, sizeof state))
				fail("a state");
			memcpy(data, pattern, PAGE);
			alarm(5);
			asm volatile("int3" : : : "memory", "cc");
			alarm(0);
			if (states) {
				fwrite(state, sizeof state, 1, stdout);
				fwrite(data, PAGE, 1, stdout);
			} else {
				uint32_t h = hash(hash(0, state, WORDS), (uint32_t *)data, PAGE / 4);
				fwrite(&h, 4, 1, stdout);
			}
		}
		memset(code_alias + request.offset, 0xcc, request.length);
	}
	return 0;
}
