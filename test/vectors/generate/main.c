/*
 * Makes the instruction vectors: runs randomised cases of every form on this machine's processor and writes what it did.
 *
 * usage: generate <output folder> [cases per variant]
 *
 * One file per family, uncompressed; the format is in ../FORMAT.md. Every case runs twice and must do the same twice.
 */
#include "compose.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FORMAT_VERSION = 1, SEED = 0x386 };

/* Parts of a case that are present: the first byte of its record. */
enum {
	HAS_EIP = 1,		/* does not start at DEFAULT_EIP */
	HAS_REGS = 2,
	HAS_PATCHES = 4,
	HAS_FAULT = 8,
	HAS_JUMP = 16,		/* ends elsewhere than behind the instruction */
	HAS_MEMORY = 32,
	HAS_WIDE_FLAGS = 64,	/* 32 bits of flags */
	HAS_SEGMENTS = 128,
};

struct buffer {
	uint8_t *bytes;
	size_t length, room;
};

static unsigned per_variant = 40;
static const char *folder;
static struct buffer file;
static char file_family[32];
static uint32_t file_seed, file_index, file_groups;
static unsigned total_cases, total_faults, family_cases;

static void put(struct buffer *b, const void *bytes, size_t length)
{
	while (b->length + length > b->room)
		b->bytes = realloc(b->bytes, b->room = b->room ? b->room * 2 : 1 << 16);
	memcpy(b->bytes + b->length, bytes, length);
	b->length += length;
}

static void put_number(struct buffer *b, uint32_t value, unsigned size)
{
	put(b, &value, size);
}

static void put_text(struct buffer *b, const char *text)
{
	put_number(b, strlen(text), 1);
	put(b, text, strlen(text));
}

/* Register values are stored against others, so that what did not change is zero. */
static unsigned put_changed(struct buffer *b, const uint32_t *values, const uint32_t *against)
{
	uint8_t mask = 0;

	for (int i = 0; i < 8; i++)
		if (values[i] != against[i])
			mask |= 1 << i;
	put_number(b, mask, 1);
	for (int i = 0; i < 8; i++)
		if (mask >> i & 1)
			put_number(b, values[i] ^ against[i], 4);
	return mask;
}

/* Runs of changed bytes; runs less than 3 bytes apart are one. 0: nothing changed. */
static unsigned put_memory(struct buffer *b, const struct test_case *c, const struct outcome *out)
{
	struct buffer runs = { 0 };
	unsigned count = 0, at = 0;

	while (at < sizeof out->data) {
		unsigned end, last;
		if (out->data[at] == memory_before(c, DATA_START + at)) {
			at++;
			continue;
		}
		last = at;
		for (end = at + 1; end < sizeof out->data && end - last < 3 && last - at < 250; end++)
			if (out->data[end] != memory_before(c, DATA_START + end))
				last = end;
		put_number(&runs, DATA_START + at, 2);
		put_number(&runs, last + 1 - at, 1);
		put(&runs, out->data + at, last + 1 - at);
		count++;
		at = last + 1;
	}
	if (count > 255)
		abort();
	if (count) {
		put_number(b, count, 1);
		put(b, runs.bytes, runs.length);
	}
	free(runs.bytes);
	return count;
}

static void put_case(struct buffer *b, uint32_t seed, uint32_t index, const struct test_case *c, const struct outcome *out)
{
	struct buffer body = { 0 };
	uint32_t initial[8], segments[6] = { DATA_SELECTOR, CODE_SELECTOR, DATA_SELECTOR, DATA_SELECTOR, 0, DATA_SELECTOR };
	unsigned flags = 0, changed_segments = 0;

	put_number(&body, c->length, 1);
	put(&body, c->bytes, c->length);
	if (c->eip != DEFAULT_EIP) {
		flags |= HAS_EIP;
		put_number(&body, c->eip, 2);
	}
	for (int i = 0; i < 8; i++)
		initial[i] = initial_register(seed, index, i);
	if (memcmp(initial, c->regs, sizeof initial)) {
		flags |= HAS_REGS;
		put_changed(&body, c->regs, initial);
	}
	if (c->patch_count) {
		flags |= HAS_PATCHES;
		put_number(&body, c->patch_count, 1);
		for (unsigned i = 0; i < c->patch_count; i++) {
			put_number(&body, c->patches[i].addr, 2);
			put_number(&body, c->patches[i].length, 1);
			put(&body, c->patches[i].bytes, c->patches[i].length);
		}
	}

	if (out->vector != NO_FAULT) {
		flags |= HAS_FAULT;
		put_number(&body, out->vector, 1);
		put_number(&body, out->error_code, 2);
		if (out->vector == 14)
			put_number(&body, out->address, 4);
	}
	if (out->eip != (out->vector == NO_FAULT ? c->eip + c->length : c->eip)) {
		flags |= HAS_JUMP;
		put_number(&body, out->eip, 4);
	}
	put_changed(&body, out->regs, c->regs);
	if (out->eflags >> 16) {
		flags |= HAS_WIDE_FLAGS;
		put_number(&body, out->eflags, 4);
	} else {
		put_number(&body, out->eflags, 2);
	}
	if (put_memory(&body, c, out))
		flags |= HAS_MEMORY;
	for (int i = 0; i < 6; i++)
		if (out->segments[i] != segments[i])
			changed_segments |= 1 << i;
	if (changed_segments) {
		flags |= HAS_SEGMENTS;
		put_number(&body, changed_segments, 1);
		for (int i = 0; i < 6; i++)
			if (changed_segments >> i & 1)
				put_number(&body, out->segments[i], 2);
	}
	put_number(b, flags, 1);
	put(b, body.bytes, body.length);
	free(body.bytes);
}

static void processor_name(char name[49])
{
	uint32_t r[4];

	memset(name, 0, 49);
	for (uint32_t leaf = 0; leaf < 3; leaf++) {
		asm volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(0x80000002 + leaf), "c"(0));
		memcpy(name + leaf * 16, r, 16);
	}
}

static void close_file(void)
{
	struct buffer whole = { 0 };
	char path[512], name[49];
	FILE *f;

	if (!file_groups)
		return;
	processor_name(name);
	put(&whole, "TVEC", 4);
	put_number(&whole, FORMAT_VERSION, 2);
	put_number(&whole, file_seed, 4);
	put_text(&whole, name);
	put_number(&whole, file_groups, 2);
	put(&whole, file.bytes, file.length);
	snprintf(path, sizeof path, "%s/%s.vec", folder, file_family);
	f = fopen(path, "wb");
	if (!f || fwrite(whole.bytes, whole.length, 1, f) != 1 || fclose(f)) {
		perror(path);
		exit(1);
	}
	printf("%-12s %4u forms %7u cases %9zu bytes\n", file_family, file_groups, family_cases, whole.length);
	free(whole.bytes);
	file.length = 0;
	file_groups = 0;
	family_cases = 0;
}

static void open_file(const char *family)
{
	if (!strcmp(file_family, family))
		return;
	close_file();
	strcpy(file_family, family);
	file_seed = SEED;
	for (const char *p = family; *p; p++)
		file_seed = hash(file_seed + *p);
	file_index = 0;
}

/* SHLD and SHRD of 16 bits by more than 16 have no defined result at all. */
static int is_meaningless(const struct form *form, const struct request *request, const struct test_case *c)
{
	static const char *const shifts[] = { "0f a4 /r ib", "0f a5 /r", "0f ac /r ib", "0f ad /r" };

	if (request->word)
		for (int i = 0; i < 4; i++)
			if (!strcmp(form->encoding, shifts[i]))
				return ((i & 1 ? c->regs[ECX] : c->bytes[c->length - 1]) & 31) > 16;
	return 0;
}

struct group {
	struct buffer cases;
	unsigned count;
};

static void add_cases(struct group *group, const struct form *form, struct request request, unsigned count)
{
	static struct outcome first, second;
	struct test_case c;

	while (count--) {
		request.seed = file_seed;
		request.index = file_index;
		compose(form, &request, &c);
		if (is_meaningless(form, &request, &c))
			continue;
		run_case(&c, &first);
		run_case(&c, &second);
		if (memcmp(&first, &second, sizeof first)) {
			fprintf(stderr, "%s: not the same twice\n", form->encoding);
			exit(1);
		}
		put_case(&group->cases, file_seed, file_index, &c, &first);
		file_index++;
		group->count++;
		total_faults += first.vector != NO_FAULT;
	}
}

static void close_group(struct group *group, const char *prefix, const struct form *form)
{
	char name[64];

	if (!group->count)
		return;
	snprintf(name, sizeof name, "%s%s", prefix, form->encoding);
	put_text(&file, name);
	put_number(&file, file_index - group->count, 4);
	put_number(&file, group->count, 4);
	put(&file, group->cases.bytes, group->cases.length);
	free(group->cases.bytes);
	file_groups++;
	family_cases += group->count;
	total_cases += group->count;
}

/* Does the operand size prefix make another form of it? */
static int has_word_form(const struct form *form)
{
	return form->flags & WORD_FORM || strchr("vap", form->size) || strstr(form->encoding, "iz") ||
	       strstr(form->encoding, "rz");
}

static void add_form(const struct form *form)
{
	struct group group = { 0 };
	unsigned count = per_variant * form->weight / 100;
	int modrm = has_modrm(form);

	open_file(form->family);
	for (int word = 0; word <= has_word_form(form); word++) {
		if (!modrm)
			add_cases(&group, form, (struct request){ .word = word }, count ? count : 1);
		if (modrm && !(form->flags & MEMORY_ONLY))
			add_cases(&group, form, (struct request){ .word = word }, count ? count : 1);
		if (modrm && !(form->flags & REGISTER_ONLY))
			add_cases(&group, form, (struct request){ .word = word, .memory = 1 }, count ? count * 3 / 2 : 1);
	}
	close_group(&group, "", form);
}

/* LOCK where it is not allowed: #UD, whatever the operands. */
static void add_illegal_lock(const struct form *form)
{
	struct group group = { 0 };

	if (!strcmp(form->family, "fault"))
		return;
	open_file("lock");
	for (int memory = 0; memory <= has_modrm(form); memory++)
		if (!(memory ? form->flags & (LOCKABLE | REGISTER_ONLY) : has_modrm(form) && form->flags & MEMORY_ONLY))
			add_cases(&group, form, (struct request){ .memory = memory, .illegal_lock = 1 }, 3);
	close_group(&group, "lock ", form);
}

/* Instructions that run from the code page into the absent one, and instructions of 15 bytes and of 16. */
static void add_fetch(const struct form *form)
{
	struct group group = { 0 };
	int memory = has_modrm(form) && !(form->flags & REGISTER_ONLY);

	if (!strcmp(form->family, "fault") || form->kind == BRANCH || form->kind == LOOP_COUNT)
		return;
	open_file("fetch");
	add_cases(&group, form, (struct request){ .memory = memory, .straddle = 1 }, 4);
	add_cases(&group, form, (struct request){ .memory = memory, .pad_to = 15 }, 1);
	add_cases(&group, form, (struct request){ .memory = memory, .pad_to = 16 }, 1);
	close_group(&group, "fetch ", form);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: generate <output folder> [cases per variant]\n");
		return 2;
	}
	folder = argv[1];
	if (argc > 2)
		per_variant = atoi(argv[2]);
	machine_init();
	for (unsigned i = 0; i < form_count; i++)
		add_form(&forms[i]);
	for (unsigned i = 0; i < form_count; i++)
		add_illegal_lock(&forms[i]);
	for (unsigned i = 0; i < form_count; i++)
		add_fetch(&forms[i]);
	close_file();
	printf("%u cases, %u of them faults\n", total_cases, total_faults);
	return 0;
}
