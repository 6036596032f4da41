import { assert } from "../../src/base/errors.ts";

const SECTOR = 512;
const CLUSTER = 4 * SECTOR;
const ROOT_ENTRIES = 512;
const ENTRY = 32;
/** FAT16 has at least so many clusters; readers tell it from FAT12 by nothing else. */
const FEWEST_CLUSTERS = 4085;
const MOST_CLUSTERS = 65_524;
const END_OF_CHAIN = 0xffff;
const DIRECTORY = 0x10;

type Folder = Map<string, Folder | Uint8Array>;

/** `NAME.EXT` as a directory has it: 8 and 3 characters, filled with blanks. */
function shortName(name: string): Buffer {
	const [, stem, extension = ""] = /^([A-Z0-9_-]{1,8})(?:\.([A-Z0-9]{1,3}))?$/.exec(name.toUpperCase()) ?? [];
	assert(stem !== undefined, `${name} fits FAT`);
	return Buffer.from(stem.padEnd(8) + extension.padEnd(3), "latin1");
}

function entry(name: Buffer, attributes: number, cluster: number, size: number): Buffer {
	const bytes = Buffer.alloc(ENTRY);
	name.copy(bytes);
	bytes[11] = attributes;
	// 2026-01-01, as FAT counts.
	bytes.writeUInt16LE(((2026 - 1980) << 9) | (1 << 5) | 1, 24);
	bytes.writeUInt16LE(cluster, 26);
	bytes.writeUInt32LE(size, 28);
	return bytes;
}

/** Clusters of data, numbered from 2, and the table that chains them. */
class Clusters {
	readonly data: Buffer[] = [];
	readonly table: number[] = [0xfff8, END_OF_CHAIN];

	/** Puts `bytes` into a chain of clusters. @returns the first, or 0 where there are no bytes. */
	add(bytes: Uint8Array): number {
		if (bytes.length === 0) return 0;
		const first = this.table.length;
		const count = Math.ceil(bytes.length / CLUSTER);
		for (let n = 1; n < count; n++) this.table.push(first + n);
		this.table.push(END_OF_CHAIN);
		this.data.push(Buffer.from(bytes), Buffer.alloc(count * CLUSTER - bytes.length));
		return first;
	}

	/** A folder below the root is a chain, whose first two entries name it and its parent. */
	addFolder(folder: Folder, parent: number): number {
		const entries = [...folder].length + 2;
		assert(entries * ENTRY <= CLUSTER, "a folder fits a cluster");
		const own = this.table.length;
		const bytes = Buffer.alloc(CLUSTER);
		this.add(bytes);
		const at = this.data.length - 2;
		const dots = [entry(Buffer.from(".".padEnd(11)), DIRECTORY, own, 0)];
		dots.push(entry(Buffer.from("..".padEnd(11)), DIRECTORY, parent, 0));
		Buffer.concat([...dots, ...this.entriesOf(folder, own)]).copy(this.data[at]!);
		return own;
	}

	entriesOf(folder: Folder, own: number): Buffer[] {
		return [...folder].map(([name, content]) =>
			content instanceof Map
				? entry(shortName(name), DIRECTORY, this.addFolder(content, own), 0)
				: entry(shortName(name), 0, this.add(content), content.length),
		);
	}
}

/**
 * A disk without partitions that is one FAT16 file system (Microsoft's FAT specification 1.03) with these files, named by paths such
 * as `EFI/BOOT/BOOTX64.EFI`; names have 8 and 3 characters.
 */
export function fatDisk(files: Readonly<Record<string, Uint8Array | string>>): Uint8Array {
	const root: Folder = new Map();
	for (const [path, content] of Object.entries(files)) {
		const names = path.split("/");
		let folder = root;
		for (const name of names.slice(0, -1)) {
			const next = folder.get(name) ?? new Map();
			assert(next instanceof Map, `${name} is a folder`);
			folder.set(name, next);
			folder = next;
		}
		folder.set(names.at(-1)!, typeof content === "string" ? Buffer.from(content) : content);
	}
	const clusters = new Clusters();
	const rootEntries = clusters.entriesOf(root, 0);
	assert(rootEntries.length <= ROOT_ENTRIES, "the root folder holds its entries");
	// A megabyte stays free for what the guest writes.
	const count = Math.max(clusters.table.length - 2 + (1 << 20) / CLUSTER, FEWEST_CLUSTERS + 16);
	assert(count <= MOST_CLUSTERS, "the files fit FAT16");
	const tableBytes = Math.ceil(((count + 2) * 2) / SECTOR) * SECTOR;
	const dataStart = SECTOR + 2 * tableBytes + ROOT_ENTRIES * ENTRY;
	const disk = Buffer.alloc(dataStart + count * CLUSTER);

	disk.set([0xeb, 0x3c, 0x90]);
	disk.write("TSVMM   ", 3, "latin1");
	disk.writeUInt16LE(SECTOR, 11);
	disk[13] = CLUSTER / SECTOR;
	disk.writeUInt16LE(1, 14);
	disk[16] = 2;
	disk.writeUInt16LE(ROOT_ENTRIES, 17);
	disk[21] = 0xf8;
	disk.writeUInt16LE(tableBytes / SECTOR, 22);
	disk.writeUInt16LE(63, 24);
	disk.writeUInt16LE(16, 26);
	disk.writeUInt32LE(disk.length / SECTOR, 32);
	disk.set([0x80, 0, 0x29, 1, 2, 3, 4], 36);
	disk.write(`${"TEST".padEnd(11)}FAT16   `, 43, "latin1");
	disk.set([0x55, 0xaa], 510);
	for (const table of [SECTOR, SECTOR + tableBytes]) {
		clusters.table.forEach((next, n) => {
			disk.writeUInt16LE(next, table + 2 * n);
		});
	}
	Buffer.concat(rootEntries).copy(disk, SECTOR + 2 * tableBytes);
	Buffer.concat(clusters.data).copy(disk, dataStart);
	return disk;
}
