/**
 * Byte ranges by which QEMU tells other programs what it does with an image: byte 100 + n is locked, shared, by those who do it, and
 * byte 200 + n by those who want nobody else to. n is 0 for reading, 1 for writing, 3 for resizing.
 */
const DOES = 100;
const FORBIDS = 200;
const READ = 0;
const WRITE = 1;
const RESIZE = 3;

/** What a writer of tsvmm does and forbids. Reading is for everybody. */
const OURS = [DOES + READ, DOES + WRITE, FORBIDS + WRITE, FORBIDS + RESIZE] as const;
/** What nobody else may have locked then. */
const THEIRS = [DOES + WRITE, DOES + RESIZE, FORBIDS + READ, FORBIDS + WRITE] as const;

/** Processors on which the scripts' `struct flock` is laid out so: short, short, two 64-bit numbers, int. */
const ARCHITECTURES: readonly string[] = ["x64", "arm64", "ppc64", "riscv64", "s390x", "loong64"];
/** The scripts' exit status where somebody else holds a lock; a call that is refused for that gives EAGAIN (11) or EACCES (13). */
const REFUSED = 42;
/** Milliseconds after which a script is given up. */
const PATIENCE = 5000;

/**
 * Node has no call for locks. A lock of an open file description (fcntl(2): F_OFD_SETLK is 37, F_OFD_GETLK 36) belongs to whoever
 * has the descriptor, so a child that inherits it as number 3 can take the lock and go. Arguments: bytes to lock, `-`, bytes to look at.
 */
const SCRIPTS: readonly (readonly [program: string, ...words: string[]])[] = [
	[
		"perl",
		"-e",
		`open(my $f, "+<&=", 3) or exit 2; my $op = 37;
foreach my $b (@ARGV) {
	if ($b eq "-") { $op = 36; next }
	my $l = pack("s s x![q] q q i x![q]", $op == 36 ? 1 : 0, 0, $b, 1, 0);
	fcntl($f, $op, $l) or exit($! == 11 || $! == 13 ? ${REFUSED} : 2);
	exit ${REFUSED} if $op == 36 && unpack("s", $l) != 2;
}`,
	],
	[
		"python3",
		"-SEc",
		`import fcntl, struct, sys
op = 37
for b in sys.argv[1:]:
    if b == "-":
        op = 36
        continue
    try:
        l = fcntl.fcntl(3, op, struct.pack("hhqqi4x", 1 if op == 36 else 0, 0, int(b), 1, 0))
    except OSError as e:
        sys.exit(${REFUSED} if e.errno in (11, 13) else 2)
    if op == 36 and struct.unpack("hhqqi4x", l)[0] != 2:
        sys.exit(${REFUSED})`,
	],
];

/**
 * Takes the locks of a writer, as QEMU does, on an open file. They go when the descriptor is closed, or with the process.
 * @returns `refused`: another program writes, or forbids writing; `unavailable`: this host has no way to tell.
 */
export function lockRanges(descriptor: number): "taken" | "refused" | "unavailable" {
	if (process.platform !== "linux" || !ARCHITECTURES.includes(process.arch)) return "unavailable";
	// Loaded only for images that are written.
	const { spawnSync } = process.getBuiltinModule("node:child_process");
	const bytes = [...OURS, "-", ...THEIRS].map(String);
	for (const [program, ...words] of SCRIPTS) {
		const { status } = spawnSync(program, [...words, ...bytes], {
			stdio: ["ignore", "ignore", "ignore", descriptor],
			env: { PATH: process.env["PATH"] },
			timeout: PATIENCE,
		});
		if (status === 0) return "taken";
		if (status === REFUSED) return "refused";
	}
	return "unavailable";
}

/**
 * Whether somebody's lock on a file forbids writing it: for hosts where {@link lockRanges} is unavailable.
 * `table`: the text of /proc/locks. `device` and `inode` are stat(2)'s.
 */
export function forbidsWriting(table: string, device: bigint, inode: bigint): boolean {
	const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn);
	const minor = (device & 0xffn) | ((device >> 12n) & ~0xffn & 0xffff_ffffn);
	const name = `${major.toString(16).padStart(2, "0")}:${minor.toString(16).padStart(2, "0")}:${inode}`;
	return table.split("\n").some((line) => {
		const words = line.trim().split(/\s+/);
		const at = words.indexOf(name);
		if (at < 0 || words[1] === "FLOCK") return false;
		const [first, last] = [Number(words[at + 1]), words[at + 2] === "EOF" ? Infinity : Number(words[at + 2])];
		return THEIRS.some((byte) => byte >= first && byte <= last);
	});
}
