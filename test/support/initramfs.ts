import { gzipSync } from "node:zlib";

const DIRECTORY = 0o040755;
const PROGRAM = 0o100755;
const CHARACTER_DEVICE = 0o020600;

interface Entry {
	/** Path without a leading slash. */
	readonly name: string;
	/** Type and permissions, as in `st_mode`. */
	readonly mode: number;
	readonly contents?: Uint8Array | undefined;
	/** Major and minor number of a device. */
	readonly device?: readonly [number, number] | undefined;
}

/** An archive in the "newc" form of cpio, the one that Linux unpacks (kernel documentation, "initramfs buffer format"). */
function cpio(entries: readonly Entry[]): Uint8Array {
	const padded = (piece: Buffer): Buffer => Buffer.concat([piece, Buffer.alloc(-piece.length & 3)]);
	const record = (
		{ name, mode, contents = new Uint8Array(), device: [major, minor] = [0, 0] }: Entry,
		inode: number,
	) => {
		// c_ino, c_mode, c_uid, c_gid, c_nlink, c_mtime, c_filesize, c_devmajor, c_devminor, c_rdevmajor, c_rdevminor, c_namesize,
		// c_check
		const fields = [inode, mode, 0, 0, 1, 0, contents.length, 0, 0, major, minor, name.length + 1, 0];
		const header = `070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}${name}\0`;
		return Buffer.concat([padded(Buffer.from(header, "latin1")), padded(Buffer.from(contents))]);
	};
	const all = [...entries, { name: "TRAILER!!!", mode: 0 }];
	return Buffer.concat(all.map((entry, n) => record(entry, n + 1)));
}

/** The line that begins with this shows that user space runs; behind it is `uname -a`. */
export const USER_SPACE = "user space:";

/** What process 1 does. A word `shell=1` of the kernel's command line, which Linux passes on, brings a shell. */
const INIT = `#!/bin/busybox sh
export PATH=/bin
busybox mount -t proc proc /proc
busybox mount -t sysfs sys /sys
busybox mount -t devtmpfs dev /dev
echo "${USER_SPACE} $(busybox uname -a)"
busybox grep MemTotal /proc/meminfo
busybox grep -m 1 "model name" /proc/cpuinfo
echo "clock source: $(busybox cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
busybox cat /proc/interrupts
if [ -n "$shell" ]; then
	busybox --install -s /bin
	setsid cttyhack sh
fi
busybox poweroff -f
`;

/**
 * A RAM disk, compressed by gzip, in which a static busybox mounts what every Linux has, prints a line that begins with
 * {@link USER_SPACE} and some facts on the console, and switches the machine off. The same busybox gives the same bytes.
 */
export function initramfs(busybox: Uint8Array): Uint8Array {
	const directories = ["bin", "dev", "proc", "sys"].map((name) => ({ name, mode: DIRECTORY }));
	const archive = cpio([
		...directories,
		{ name: "dev/console", mode: CHARACTER_DEVICE, device: [5, 1] },
		{ name: "bin/busybox", mode: PROGRAM, contents: busybox },
		{ name: "init", mode: PROGRAM, contents: Buffer.from(INIT) },
	]);
	return gzipSync(archive);
}
