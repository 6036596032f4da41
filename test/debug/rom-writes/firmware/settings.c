/* Firmware with a mistake that compilers do not see: it changes a default that the linker has put into the ROM. */

struct settings {
	unsigned magic;
	unsigned boots;
	char name[32];
};

static const struct settings defaults = {0x53455454, 41, "factory"};

static struct settings *find_settings(void)
{
	return (struct settings *)&defaults;
}

__attribute__((noinline)) void store_boots(volatile struct settings *settings, unsigned boots)
{
	settings->boots = boots;
}

__attribute__((noinline)) void count_boot(void)
{
	volatile struct settings *settings = find_settings();

	store_boots(settings, settings->boots + 1);
}

__attribute__((noinline)) void clear_name(void)
{
	volatile struct settings *settings = find_settings();

	for (unsigned n = 0; n < sizeof settings->name; n++)
		settings->name[n] = 0;
}

void main(void)
{
	count_boot();
	clear_name();
}
