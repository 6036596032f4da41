#define _GNU_SOURCE
#include "machine.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

enum { TRAP_BREAKPOINT = 3, TRAP_PAGE_FAULT = 14, FETCH = 0x10 };
enum { USER_FLAGS = 0x244fd5 };

static uint8_t pattern[3 * PAGE];
static uint8_t *code_alias;	/* the code page, writable, above 4 GiB */
static volatile int running;
static greg_t home[NGREG];
static const struct test_case *current;
static struct outcome *result;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void *map_at(uint32_t addr, size_t size, int protection)
{
	void *p = mmap((void *)(uintptr_t)addr, size, protection, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		fail("mmap below 64 KiB (run as root or set vm.mmap_min_addr to 0)");
	return p;
}

static void enter_case(greg_t *g)
{
	static const int order[8] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI };

	for (int i = 0; i < 8; i++)
		g[order[i]] = current->regs[i];
	g[REG_RIP] = current->eip;
	g[REG_EFL] = current->eflags;
	g[REG_CSGSFS] = CODE_SELECTOR | (greg_t)DATA_SELECTOR << 48;
}

static void leave_case(const greg_t *g)
{
	static const int order[8] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI };
	uint32_t eip = g[REG_RIP];
	int trap = g[REG_TRAPNO];

	for (int i = 0; i < 8; i++)
		result->regs[i] = g[order[i]];
	result->eflags = g[REG_EFL] & USER_FLAGS;
	result->segments[SEG_CS] = g[REG_CSGSFS];
	result->segments[SEG_SS] = g[REG_CSGSFS] >> 48;
	asm volatile("mov %%es, %0" : "=m"(result->segments[SEG_ES]));
	asm volatile("mov %%ds, %0" : "=m"(result->segments[SEG_DS]));
	asm volatile("mov %%fs, %0" : "=m"(result->segments[SEG_FS]));
	asm volatile("mov %%gs, %0" : "=m"(result->segments[SEG_GS]));
	result->vector = NO_FAULT;
	result->error_code = 0;
	result->address = 0;
	result->eip = eip;
	if (trap == TRAP_BREAKPOINT && !current->is_breakpoint) {
		result->eip = eip - 1;	/* the INT3 behind the instruction */
	} else if (trap == TRAP_PAGE_FAULT && eip != current->eip && (uint32_t)g[REG_CR2] == eip && g[REG_ERR] & FETCH) {
		/* a jump that ended where nothing can be fetched: the jump itself is done */
	} else {
		result->vector = trap;
		result->error_code = g[REG_ERR];
		if (trap == TRAP_PAGE_FAULT)
			result->address = g[REG_CR2];
	}
}

static void flat_segments(void)
{
	asm volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%gs" : : "r"(DATA_SELECTOR));
	asm volatile("pushq $0x202; popfq" : : : "cc", "memory");	/* sigreturn keeps NT and ID as they are here */
}

static void on_signal(int number, siginfo_t *info, void *context)
{
	greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;
	(void)info;

	if (!running) {
		if (number != SIGTRAP)
			_exit(99);
		memcpy(home, g, sizeof home);
		running = 1;
		enter_case(g);
	} else {
		leave_case(g);
		running = 0;
		memcpy(g, home, sizeof home);
	}
	flat_segments();
}

static void on_alarm(int number)
{
	(void)number;
	fprintf(stderr, "hangs:");
	for (unsigned i = 0; i < current->length; i++)
		fprintf(stderr, " %02x", current->bytes[i]);
	fprintf(stderr, "\n");
	_exit(1);
}

void machine_init(void)
{
	static const int signals[] = { SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV };
	stack_t stack = { .ss_sp = malloc(1 << 16), .ss_size = 1 << 16 };
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };

	for (unsigned i = 0; i < sizeof pattern; i++)
		pattern[i] = pattern_byte(DATA_START + i);
	map_at(DATA_START, 2 * PAGE, PROT_READ | PROT_WRITE);
	memcpy(map_at(READONLY_START, PAGE, PROT_READ | PROT_WRITE), pattern + 2 * PAGE, PAGE);
	mprotect((void *)(uintptr_t)READONLY_START, PAGE, PROT_READ);

	int fd = memfd_create("code", 0);
	if (fd < 0 || ftruncate(fd, PAGE))
		fail("memfd_create");
	code_alias = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (code_alias == MAP_FAILED || mmap((void *)(uintptr_t)CODE_START, PAGE, PROT_READ | PROT_EXEC,
					     MAP_FIXED | MAP_SHARED, fd, 0) == MAP_FAILED)
		fail("mmap of the code page");
	memset(code_alias, 0xcc, PAGE);

	sigaltstack(&stack, NULL);
	for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++)
		sigaction(signals[i], &action, NULL);
	signal(SIGALRM, on_alarm);
	flat_segments();
}

uint8_t memory_before(const struct test_case *c, uint32_t addr)
{
	for (unsigned i = c->patch_count; i--;)
		if (addr - c->patches[i].addr < c->patches[i].length)
			return c->patches[i].bytes[addr - c->patches[i].addr];
	return addr - DATA_START < sizeof pattern ? pattern[addr - DATA_START] : 0;
}

void run_case(const struct test_case *c, struct outcome *out)
{
	uint8_t *data = (uint8_t *)(uintptr_t)DATA_START;
	unsigned at = c->eip - CODE_START;
	unsigned length = c->eip + c->length > CODE_END ? CODE_END - c->eip : c->length;

	current = c;
	result = out;
	memcpy(data, pattern, 2 * PAGE);
	for (unsigned i = 0; i < c->patch_count; i++)
		memcpy((void *)(uintptr_t)c->patches[i].addr, c->patches[i].bytes, c->patches[i].length);
	memcpy(code_alias + at, c->bytes, length);
	alarm(5);
	asm volatile("int3" : : : "memory");
	alarm(0);
	memcpy(out->data, data, 2 * PAGE);
	memset(code_alias + at, 0xcc, length);
}
