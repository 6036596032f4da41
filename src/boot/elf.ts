import type { ImageFile } from "./image-file.ts";
import type { LoadMap } from "./load-map.ts";

/** A PT_LOAD segment. */
export interface ElfSegment {
	readonly physical: number;
	readonly virtual: bigint;
	readonly data: Uint8Array;
	/** Bytes in memory; those after `data` are zero. */
	readonly size: number;
}

/** What a loader needs of an ELF image for x86 (System V ABI, gABI chapters 4 and 5). */
export interface Elf {
	readonly bits: 32 | 64;
	/** Physical address of the entry point. */
	readonly entry: number;
	readonly segments: readonly ElfSegment[];
	/** The entry point of PVH, where a note names one. */
	readonly pvhEntry: number | undefined;
}

const MAGIC = 0x464c_457f;
const CLASS_AT = 4;
const DATA_AT = 5;
const LITTLE_ENDIAN = 1;
const TYPE_AT = 0x10;
const EXECUTABLE = 2;
const DYNAMIC = 3;
const MACHINE_AT = 0x12;
const MACHINES: Readonly<Record<number, 32 | 64>> = { 3: 32, 62: 64 };
const PT_LOAD = 1;
const PT_NOTE = 4;
const XEN_PHYS32_ENTRY = 18;
const MOST_SEGMENTS = 512;
const PHYSICAL_END = 2 ** 52;

export function isElf(file: ImageFile): boolean {
	return file.size >= 4 && file.u32(0, "") === MAGIC;
}

/** Widths and places of the fields in which the two classes differ. */
interface Shape {
	readonly word: (at: number, what: string) => bigint;
	readonly entry: number;
	readonly headers: number;
	readonly headerSize: number;
	readonly headerCount: number;
	/** In a program header: offset, virtual and physical address, size in the file and in memory, alignment. */
	readonly fields: readonly [number, number, number, number, number, number];
	readonly smallest: number;
}

/** @throws UserError for what is no ELF image for x86, or a damaged one. */
export function readElf(file: ImageFile): Elf {
	const header = "its ELF header";
	const elfClass = file.u8(CLASS_AT, header);
	if (elfClass !== 1 && elfClass !== 2) throw file.refuse(`is damaged: its ELF class is ${elfClass}`);
	if (file.u8(DATA_AT, header) !== LITTLE_ENDIAN) throw file.refuse("is an ELF image for a big-endian machine");
	const machine = file.u16(MACHINE_AT, header);
	if (MACHINES[machine] === undefined) {
		throw file.refuse(`is an ELF image for another kind of processor (machine ${machine}, neither i386 nor x86-64)`);
	}
	const type = file.u16(TYPE_AT, header);
	if (type !== EXECUTABLE && type !== DYNAMIC) {
		throw file.refuse(`is an ELF image of type ${type}, which is no linked program`);
	}
	const bits = elfClass === 1 ? 32 : 64;
	const shape = bits === 32 ? shape32(file) : shape64(file);
	const headers = programHeaders(file, shape);
	const segments = headers
		.filter(({ type, memory }) => type === PT_LOAD && memory > 0)
		.map(({ offset, virtual, physical, size, memory, what }) => {
			if (memory < size) throw file.refuse(`is damaged: ${what} has more bytes in the file than in memory`);
			return { physical, virtual, data: file.slice(offset, size, what), size: memory };
		});
	if (segments.length === 0) throw file.refuse("has no loadable segment in its ELF program headers");
	const entry = entryOf(file, shape.word(shape.entry, header), segments);
	const notes = headers.filter(({ type }) => type === PT_NOTE);
	let pvhEntry: number | undefined;
	for (const { offset, size, align, what } of notes)
		pvhEntry ??= pvhNote(file, offset, size, align === 8 ? 8 : 4, what);
	return { bits, entry, segments, pvhEntry };
}

/** Puts the segments where they belong. */
export function loadElf(file: ImageFile, { segments }: Elf, map: LoadMap): void {
	for (const [n, { physical, data, size }] of segments.entries()) {
		map.put(`${file.name}: ELF segment ${n}`, physical, data, size);
	}
}

function shape32(file: ImageFile): Shape {
	return {
		word: (at, what) => BigInt(file.u32(at, what)),
		...{ entry: 0x18, headers: 0x1c, headerSize: 0x2a, headerCount: 0x2c },
		...{ fields: [4, 8, 12, 16, 20, 28], smallest: 32 },
	};
}

function shape64(file: ImageFile): Shape {
	return {
		word: (at, what) => file.u64(at, what),
		...{ entry: 0x18, headers: 0x20, headerSize: 0x36, headerCount: 0x38 },
		...{ fields: [8, 16, 24, 32, 40, 48], smallest: 56 },
	};
}

interface ProgramHeader {
	readonly type: number;
	readonly offset: number;
	readonly virtual: bigint;
	readonly physical: number;
	readonly size: number;
	readonly memory: number;
	readonly align: number;
	readonly what: string;
}

function programHeaders(file: ImageFile, shape: Shape): ProgramHeader[] {
	const first = Number(shape.word(shape.headers, "its ELF header"));
	const stride = file.u16(shape.headerSize, "its ELF header");
	const count = file.u16(shape.headerCount, "its ELF header");
	if (count > 0 && stride < shape.smallest)
		throw file.refuse(`is damaged: its ELF program headers have ${stride} bytes`);
	if (count > MOST_SEGMENTS) throw file.refuse(`is damaged: it has ${count} ELF program headers`);
	return Array.from({ length: count }, (_, n) => {
		const at = first + n * stride;
		const what = `ELF program header ${n}`;
		const number = (field: number): number => {
			const value = shape.word(at + shape.fields[field]!, what);
			// A size or address beyond this is nowhere; adding to it must stay exact.
			return value < BigInt(PHYSICAL_END) ? Number(value) : PHYSICAL_END;
		};
		const virtual = shape.word(at + shape.fields[1], what);
		const [offset, physical, size, memory, align] = [number(0), number(2), number(3), number(4), number(5)];
		return { type: file.u32(at, what), offset, virtual, physical, size, memory, align, what: `ELF segment ${n}` };
	});
}

/** An entry point in a segment's virtual addresses moves with the segment; Linux's is physical already. */
function entryOf(file: ImageFile, entry: bigint, segments: readonly ElfSegment[]): number {
	const home = segments.find(({ virtual, size }) => entry >= virtual && entry < virtual + BigInt(size));
	const address = home === undefined ? entry : entry - home.virtual + BigInt(home.physical);
	const inside = ({ physical, size }: ElfSegment): boolean =>
		address >= BigInt(physical) && address < BigInt(physical + size);
	if (!segments.some(inside)) {
		throw file.refuse(`is damaged: its entry point 0x${entry.toString(16)} lies in no ELF segment`);
	}
	return Number(address);
}

/** The entry point that a Xen note of type PHYS32_ENTRY names (Xen docs/misc/pvh). */
function pvhNote(file: ImageFile, first: number, size: number, align: number, what: string): number | undefined {
	const up = (value: number): number => Math.ceil(value / align) * align;
	const end = first + size;
	for (let at = first; at + 12 <= end; ) {
		const nameSize = file.u32(at, what);
		const descSize = file.u32(at + 4, what);
		const name = at + 12;
		const desc = at + up(12 + nameSize);
		const isXen = nameSize === 4 && file.u32(name, what) === 0x006e_6558;
		if (isXen && file.u32(at + 8, what) === XEN_PHYS32_ENTRY && descSize >= 4) return file.u32(desc, what);
		at = desc + up(descSize);
	}
	return undefined;
}
