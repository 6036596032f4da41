#include "compose.h"

#include <stdlib.h>
#include <string.h>

enum { ADDRESS_RETRIES = 100 };

struct work {
	const struct form *form;
	const struct request *request;
	struct test_case *c;
	uint64_t random;
	unsigned pinned;	/* registers whose value matters already: bit per register */
	int addr16;
	int has_memory;
	uint32_t target;	/* address of the memory operand */
	int modrm_reg, modrm_rm;
	uint8_t body[16];	/* opcode, modrm, sib, displacement, immediates */
	unsigned body_length;
	uint8_t prefixes[16];
	unsigned prefix_count;
};

static uint32_t draw(struct work *w)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return w->random >> 24;
}

static uint32_t below(struct work *w, uint32_t limit)
{
	return draw(w) % limit;
}

static int percent(struct work *w, unsigned p)
{
	return below(w, 100) < p;
}

static void set_reg(struct work *w, int reg, uint32_t value)
{
	w->c->regs[reg] = value;
	w->pinned |= 1u << reg;
}

static void set_low16(struct work *w, int reg, uint32_t value)
{
	set_reg(w, reg, (w->c->regs[reg] & 0xffff0000) | (value & 0xffff));
}

/* Sets the register an address is formed from, in the address size. */
static void set_address_reg(struct work *w, int reg, uint32_t value)
{
	if (w->addr16)
		set_low16(w, reg, value);
	else
		set_reg(w, reg, value);
}

static void patch(struct work *w, uint32_t addr, uint32_t value, unsigned size)
{
	struct test_case *c = w->c;
	struct patch *p = &c->patches[c->patch_count];

	if (addr < DATA_START || addr >= READONLY_START || c->patch_count == MAX_PATCHES)
		return;
	if (addr + size > READONLY_START)
		size = READONLY_START - addr;
	p->addr = addr;
	p->length = size;
	memcpy(p->bytes, &value, size);
	c->patch_count++;
}

static unsigned word_size(const struct work *w)
{
	return w->request->word ? 2 : 4;
}

static unsigned operand_size(const struct work *w)
{
	switch (w->form->size) {
	case 'b': return 1;
	case 'w': return 2;
	case 'v': return word_size(w);
	case 'd': return 4;
	case 'q': return 8;
	case 'a': return 2 * word_size(w);
	case 'p': return 2 + word_size(w);
	default: return 1;
	}
}

static uint32_t edge_value(struct work *w, unsigned size)
{
	static const uint32_t values[] = { 0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff };
	uint32_t top = size == 1 ? 0x80 : size == 2 ? 0x8000 : 0x80000000;

	switch (below(w, 4)) {
	case 0: return top;
	case 1: return top - 1;
	case 2: return -1u;
	default: return values[below(w, sizeof values / sizeof *values)];
	}
}

/* An address for a memory operand: mostly writable, sometimes across a page, readonly or absent. */
static uint32_t pick_target(struct work *w, unsigned size)
{
	unsigned p = below(w, 100);
	uint32_t t;

	if (p < 80)
		t = DATA_START + below(w, 2 * PAGE - size + 1);
	else if (p < 85)
		t = DATA_START + PAGE - below(w, size + 1);
	else if (p < 91)
		t = READONLY_START + below(w, PAGE - size + 1);
	else if (p < 94)
		t = READONLY_START - below(w, size + 1);
	else if (p < 96)
		t = ABSENT_START - below(w, size + 1);
	else if (p < 98)
		t = ABSENT_START + below(w, PAGE);
	else
		t = DATA_START - below(w, size + 1);
	if (w->form->flags & (LOCKABLE | LOCKED))
		t &= -size;
	return t;
}

static uint32_t pick_safe(struct work *w, unsigned size)
{
	return DATA_START + 0x100 + below(w, 2 * PAGE - 0x200 - size);
}

/* A place to jump to that is not inside the instruction; the instruction is known but for its displacement. */
static uint32_t pick_jump(struct work *w)
{
	uint32_t t;

	do {
		if (percent(w, 88))
			t = CODE_START + below(w, PAGE);
		else
			t = draw(w) & (w->request->word ? 0xffff : 0xffffffff);
	} while (t - (w->c->eip - 1) < 20);
	return t;
}

static uint32_t pick_code_selector(struct work *w)
{
	static const uint16_t bad[] = { 0, 3, 0x2b, 0x28, 0x27, 0xfff8, 0xfffb, 0x20 };
	return percent(w, 75) ? CODE_SELECTOR : bad[below(w, 8)];
}

static uint32_t pick_data_selector(struct work *w, int stack)
{
	static const uint16_t good[] = { 0x2b, 0x23, 0x28, 0x20, 0, 1, 2, 3 };
	static const uint16_t bad[] = { 0x27, 0x2f, 0xfff8, 0xfffb };
	if (stack && percent(w, 60))
		return DATA_SELECTOR;
	return percent(w, 80) ? good[below(w, 8)] : bad[below(w, 4)];
}

static void emit(struct work *w, uint32_t value, unsigned size)
{
	memcpy(w->body + w->body_length, &value, size);
	w->body_length += size;
}

/* The registers a 16-bit address is formed from; 8: none. */
static const int base16[8] = { EBX, EBX, EBP, EBP, ESI, EDI, EBP, EBX };
static const int index16[8] = { ESI, EDI, ESI, EDI, 8, 8, 8, 8 };

/* Emits modrm and displacement that reach w->target with a 16-bit address; 0: these registers cannot. */
static int address16(struct work *w)
{
	int mod = below(w, 3), rm = below(w, 8);
	int direct = mod == 0 && rm == 6;
	uint32_t sum, displacement;

	sum = index16[rm] < 8 ? w->c->regs[index16[rm]] : 0;
	if (direct) {
		displacement = w->target;
	} else if (mod == 2 && percent(w, 50)) {
		displacement = w->target - sum - w->c->regs[base16[rm]];
	} else {
		displacement = mod == 0 ? 0 : mod == 1 ? (uint32_t)(int8_t)draw(w) : draw(w);
		if (w->pinned & 1u << base16[rm])
			return 0;
		set_low16(w, base16[rm], w->target - sum - displacement);
	}
	emit(w, mod << 6 | w->modrm_reg << 3 | rm, 1);
	emit(w, displacement, direct || mod == 2 ? 2 : mod);
	return 1;
}

static int address32(struct work *w)
{
	int mod = below(w, 3), rm = below(w, 8);
	int scale = 0, index = 4, base = rm;
	uint32_t sum = 0, displacement;
	int size, direct;

	if (rm == 4) {
		scale = below(w, 4);
		index = below(w, 8);
		base = below(w, 8);
	}
	direct = mod == 0 && base == 5;
	size = direct || mod == 2 ? 4 : mod;
	if (index != 4)
		sum = w->c->regs[index] << scale;
	if (direct) {
		displacement = w->target - sum;
	} else if (mod == 2 && (percent(w, 50) || base == index)) {
		displacement = w->target - sum - w->c->regs[base];
	} else {
		displacement = mod == 0 ? 0 : mod == 1 ? (uint32_t)(int8_t)draw(w) : draw(w);
		if (w->pinned & 1u << base || base == index)
			return 0;
		set_reg(w, base, w->target - sum - displacement);
	}
	if (index != 4)
		w->pinned |= 1u << index;
	emit(w, mod << 6 | w->modrm_reg << 3 | rm, 1);
	if (rm == 4)
		emit(w, scale << 6 | index << 3 | base, 1);
	emit(w, displacement, size);
	return 1;
}

static void emit_modrm(struct work *w, int memory)
{
	if (!memory) {
		if (w->modrm_rm < 0)
			w->modrm_rm = below(w, 8);
		emit(w, 0xc0 | w->modrm_reg << 3 | w->modrm_rm, 1);
		return;
	}
	w->has_memory = 1;
	for (int i = 0; i < ADDRESS_RETRIES; i++)
		if (w->addr16 ? address16(w) : address32(w))
			return;
	abort();
}

/* Registers that the meaning of the instruction asks for, before an address takes any. */
static void prepare_registers(struct work *w)
{
	uint32_t *regs = w->c->regs;
	unsigned size = operand_size(w);
	int wide = w->form->size != 'b';

	switch (w->form->kind) {
	case CL_COUNT:
		if (percent(w, 60))
			set_reg(w, ECX, (regs[ECX] & 0xffffff00) | below(w, 34));
		w->pinned |= 1u << ECX;
		break;
	case DIVIDE:
		w->pinned |= 1u << EAX;
		if (!wide) {
			if (percent(w, 60))
				set_reg(w, EAX, (regs[EAX] & 0xffff00ff) | (percent(w, 70) ? below(w, 64) : regs[EAX] & 0x80 ? 0xff : 0) << 8);
			break;
		}
		w->pinned |= 1u << EDX;
		if (percent(w, 40))
			set_reg(w, EDX, percent(w, 50) ? 0 : regs[EAX] >> (size * 8 - 1) & 1 ? -1u : 0);
		else if (percent(w, 50))
			set_reg(w, EDX, below(w, size == 2 ? 0x1000 : 0x10000000));
		break;
	case LOOP_COUNT:
		if (percent(w, 60))
			set_address_reg(w, ECX, below(w, 3));
		break;
	case BIT_OFFSET:
		if (w->request->memory) {
			int32_t bits = (int32_t)below(w, 0x4000) - 0x2000;
			set_reg(w, w->modrm_reg, w->request->word ? (regs[w->modrm_reg] & 0xffff0000) | (bits & 0xffff) : (uint32_t)bits);
		}
		break;
	case ACCUMULATOR_MATCH:
		w->pinned |= 1u << EAX;
		break;
	case MATCH_EDX_EAX:
		w->pinned |= 1u << EAX | 1u << EDX;
		break;
	case BOUND_PAIR:
		w->pinned |= 1u << w->modrm_reg;
		break;
	default:
		break;
	}
}

static void stack_edge(struct work *w)
{
	static const uint32_t edges[] = { DATA_START, READONLY_START, ABSENT_START, 0 };
	if (percent(w, 8))
		set_reg(w, ESP, edges[below(w, 4)] + 8 - below(w, 17));
}

static void prepare_string(struct work *w)
{
	unsigned size = operand_size(w);
	unsigned count = percent(w, 85) ? below(w, 12) : below(w, 64);
	uint32_t source = percent(w, 85) ? pick_safe(w, 1) : pick_target(w, 16);
	uint32_t destination = percent(w, 75) ? pick_safe(w, 1) : percent(w, 50) ? source + below(w, 16) - 8 : pick_target(w, 16);
	uint8_t opcode = strtoul(w->form->encoding, NULL, 16);
	int repeated = percent(w, 60);
	uint8_t repeat = 0xf2 + below(w, 2);
	int step = w->c->eflags & 0x400 ? -(int)size : (int)size;

	if (!repeated)
		count = 1;
	set_address_reg(w, ESI, source);
	set_address_reg(w, EDI, destination);
	if (repeated) {
		set_address_reg(w, ECX, count);
		w->prefixes[w->prefix_count++] = repeat;
	}
	/* Runs that go on and then stop: equal elements for REPE, a hit for REPNE. */
	if (count && (opcode & 0xf6) == 0xa6 && percent(w, 70)) {
		unsigned stop = below(w, count);
		for (unsigned i = 0; i <= stop && i < MAX_PATCHES - 1; i++) {
			int equal = repeat == 0xf3 ? i < stop : i == stop;
			uint32_t value = 0;
			for (unsigned b = 0; b < size; b++)
				value |= (uint32_t)memory_before(w->c, source + (int)i * step + b) << b * 8;
			if (!equal)
				continue;
			if ((opcode & 0xfe) == 0xae)
				value = w->c->regs[EAX];
			patch(w, destination + (int)i * step, value, size);
		}
	}
	w->has_memory = 1;
}

static void prepare_memory(struct work *w)
{
	const uint32_t *regs = w->c->regs;
	unsigned size = operand_size(w), word = word_size(w);
	uint32_t t = w->target;

	switch (w->form->kind) {
	case ACCUMULATOR_MATCH:
		if (percent(w, 50))
			patch(w, t, regs[EAX], size);
		break;
	case MATCH_EDX_EAX:
		if (percent(w, 50)) {
			patch(w, t, regs[EAX], 4);
			patch(w, t + 4, regs[EDX], 4);
		}
		break;
	case BOUND_PAIR:
		if (percent(w, 80)) {
			uint32_t value = regs[w->modrm_reg];
			patch(w, t, value - below(w, 4) + (percent(w, 30) ? 2 : 0), word);
			patch(w, t + word, value + below(w, 4) - (percent(w, 30) ? 2 : 0), word);
		}
		break;
	case NEAR_INDIRECT:
		patch(w, t, pick_jump(w), word);
		break;
	case FAR_INDIRECT:
		patch(w, t, pick_jump(w), word);
		patch(w, t + word, pick_code_selector(w), 2);
		break;
	case FAR_LOAD:
		patch(w, t + word, pick_data_selector(w, !strncmp(w->form->encoding, "0f b2", 5)), 2);
		break;
	case SEGMENT_LOAD:
		patch(w, t, pick_data_selector(w, w->modrm_reg == 2), 2);
		break;
	case SELECTOR:
		patch(w, t, pick_data_selector(w, 0), 2);
		break;
	default:
		if (!(w->form->flags & READS_NOTHING) && size <= 4 && percent(w, 25))
			patch(w, t, edge_value(w, size), size);
	}
}

static void prepare_register_operand(struct work *w)
{
	switch (w->form->kind) {
	case ACCUMULATOR_MATCH:
		w->modrm_rm = below(w, 8);
		if (percent(w, 40))
			set_reg(w, w->modrm_rm, w->c->regs[EAX]);
		break;
	case NEAR_INDIRECT:
		do
			w->modrm_rm = below(w, 8);
		while (w->modrm_rm == ESP);
		set_reg(w, w->modrm_rm, pick_jump(w));
		break;
	case SEGMENT_LOAD:
	case SELECTOR:
		w->modrm_rm = below(w, 8);
		set_low16(w, w->modrm_rm, pick_data_selector(w, w->form->kind == SEGMENT_LOAD && w->modrm_reg == 2));
		break;
	default:
		break;
	}
}

/* What lies on the stack, and where the stack is. */
static void prepare_stack(struct work *w)
{
	unsigned word = word_size(w);
	uint32_t esp = w->c->regs[ESP];

	switch (w->form->kind) {
	case STACK:
		stack_edge(w);
		break;
	case FLAGS_ON_STACK:
		patch(w, esp, draw(w) & 0x277ed5, word);	/* never TF: the trap would come after the case */
		break;
	case NEAR_RETURN:
		patch(w, esp, pick_jump(w), word);
		break;
	case FAR_RETURN:
	case INTERRUPT_RETURN:
		patch(w, esp, pick_jump(w), word);
		patch(w, esp + word, pick_code_selector(w), word);
		if (w->form->kind == INTERRUPT_RETURN)
			patch(w, esp + 2 * word, draw(w) & 0x277ed5, word);
		break;
	case POP_SELECTOR:
		patch(w, esp, pick_data_selector(w, strcmp(w->form->encoding, "17") == 0), word);
		break;
	case ENTER:
		set_reg(w, EBP, pick_safe(w, 0));
		break;
	case LEAVE:
		set_reg(w, EBP, percent(w, 90) ? pick_safe(w, 0) : pick_target(w, 4));
		break;
	default:
		break;
	}
}

static uint32_t immediate(struct work *w, unsigned size)
{
	return percent(w, 40) ? edge_value(w, size) : draw(w);
}

static void emit_immediate(struct work *w, const char *token)
{
	const char *rest = w->form->encoding;
	unsigned word = word_size(w);

	if (!strcmp(token, "ib")) {
		if (!strcmp(w->form->family, "shift"))
			emit(w, percent(w, 60) ? below(w, 34) : draw(w), 1);
		else if (w->form->kind == ENTER)
			emit(w, percent(w, 60) ? below(w, 5) : draw(w), 1);
		else if (!strncmp(rest, "d4", 2))
			emit(w, percent(w, 20) ? 0 : percent(w, 30) ? 10 : draw(w), 1);
		else
			emit(w, immediate(w, 1), 1);
	} else if (!strcmp(token, "iw")) {
		emit(w, below(w, 0x180), 2);	/* frames and pops that stay near the stack */
	} else if (!strcmp(token, "iz")) {
		emit(w, immediate(w, word), word);
	} else if (!strcmp(token, "ip")) {
		emit(w, pick_jump(w), word);
		emit(w, pick_code_selector(w), 2);
	} else if (!strcmp(token, "mo")) {
		w->target = pick_target(w, operand_size(w));
		w->has_memory = 1;
		emit(w, w->target, w->addr16 ? 2 : 4);
		prepare_memory(w);
	} else {
		abort();
	}
}

/* Opcode, modrm and immediates. Displacements of branches come later: they depend on the length. */
static void emit_body(struct work *w)
{
	char text[32], *token, *state;
	uint8_t opcode = 0;

	strcpy(text, w->form->encoding);
	for (token = strtok_r(text, " ", &state); token; token = strtok_r(NULL, " ", &state)) {
		if (token[0] == '/') {
			int memory = w->request->memory;
			if (!memory) {
				prepare_register_operand(w);
			} else {
				uint32_t shift = 0;
				w->target = pick_target(w, operand_size(w));
				prepare_memory(w);
				if (w->form->kind == BIT_OFFSET) {
					int32_t bits = w->c->regs[w->modrm_reg];
					if (w->request->word)
						bits = (int16_t)bits;
					shift = (bits >> (w->request->word ? 4 : 5)) * (int)operand_size(w);
					w->target -= shift;
				}
			}
			emit_modrm(w, memory);
		} else if (strchr("0123456789abcdef", token[0])) {
			opcode = strtoul(token, NULL, 16);
			if (token[2] == '+')
				opcode += below(w, token[3] == 'c' ? 16 : 8);
			emit(w, opcode, 1);
		} else if (token[0] != 'r') {
			emit_immediate(w, token);
		}
	}
}

static void choose_modrm_reg(struct work *w)
{
	const char *slash = strchr(w->form->encoding, '/');

	w->modrm_rm = -1;
	w->modrm_reg = !slash ? 0 : slash[1] == 'r' ? (int)below(w, 8) : slash[1] == 's' ? (int)below(w, 6) : slash[1] - '0';
}

static void choose_prefixes(struct work *w)
{
	static const uint8_t segments[] = { 0x26, 0x2e, 0x36, 0x3e, 0x65, 0x3e, 0x65, 0x64 };
	const struct form *form = w->form;
	int repeats = !(form->flags & NO_REPEAT) && strncmp(form->encoding, "0f", 2);

	if (w->request->word)
		w->prefixes[w->prefix_count++] = 0x66;
	if (w->addr16)
		w->prefixes[w->prefix_count++] = 0x67;
	if (percent(w, w->has_memory ? 15 : 2))
		w->prefixes[w->prefix_count++] = segments[below(w, w->has_memory ? 8 : 4)];
	if (w->request->illegal_lock)
		w->prefixes[w->prefix_count++] = 0xf0;
	else if (form->flags & LOCKABLE && w->request->memory && percent(w, 20))
		w->prefixes[w->prefix_count++] = 0xf0;
	else if (repeats && !(form->flags & REPEATABLE) && percent(w, 2))
		w->prefixes[w->prefix_count++] = 0xf2 + below(w, 2);
	while (w->request->pad_to > w->prefix_count + w->body_length)
		w->prefixes[w->prefix_count++] = 0x3e;
	for (unsigned i = w->prefix_count; i > 1; i--) {
		unsigned j = below(w, i);
		uint8_t other = w->prefixes[j];
		w->prefixes[j] = w->prefixes[i - 1];
		w->prefixes[i - 1] = other;
	}
}

/* A relative branch: its displacement is still to come. */
static void emit_displacement(struct work *w)
{
	unsigned size = strstr(w->form->encoding, "rb") ? 1 : word_size(w);
	uint32_t mask = w->request->word ? 0xffff : 0xffffffff;
	uint32_t next = w->c->eip + w->prefix_count + w->body_length + size;
	uint32_t target, displacement;

	do {
		displacement = size == 1 ? (uint32_t)(int8_t)draw(w) : pick_jump(w) - next;
		target = (next + displacement) & mask;
	} while (target - w->c->eip < w->prefix_count + w->body_length + size);
	emit(w, displacement, size);
}

int has_modrm(const struct form *form)
{
	return strchr(form->encoding, '/') != NULL;
}

void compose(const struct form *form, const struct request *request, struct test_case *c)
{
	struct work w = { .form = form, .request = request, .c = c };
	int branch = form->kind == BRANCH || form->kind == LOOP_COUNT;
	int addressed = request->memory || form->kind == STRING || form->kind == XLAT_TABLE || form->kind == MOFFS;

	memset(c, 0, sizeof *c);
	w.random = (uint64_t)hash(request->seed ^ 0x5eed) << 32 | hash(request->index + 0x1234567) | 1;
	for (int i = 0; i < 8; i++)
		draw(&w);
	for (int i = 0; i < 8; i++)
		c->regs[i] = initial_register(request->seed, request->index, i);
	c->eflags = initial_flags(request->seed, request->index);
	c->eip = branch ? CODE_START + 0x100 + below(&w, PAGE - 0x200) : DEFAULT_EIP;
	c->is_breakpoint = form->kind == BREAKPOINT;
	w.addr16 = percent(&w, addressed || form->kind == LOOP_COUNT ? 25 : 2);

	choose_modrm_reg(&w);
	prepare_registers(&w);
	if (form->kind == STRING)
		prepare_string(&w);
	if (form->kind == XLAT_TABLE) {
		w.target = pick_target(&w, 1);
		w.has_memory = 1;
		set_address_reg(&w, EBX, w.target - (c->regs[EAX] & 0xff));
	}
	prepare_stack(&w);
	emit_body(&w);
	choose_prefixes(&w);
	if (branch)
		emit_displacement(&w);

	c->length = w.prefix_count + w.body_length;
	memcpy(c->bytes, w.prefixes, w.prefix_count);
	memcpy(c->bytes + w.prefix_count, w.body, w.body_length);
	if (request->straddle && c->length > 1)
		c->eip = CODE_END - 1 - below(&w, c->length - 1);
}
