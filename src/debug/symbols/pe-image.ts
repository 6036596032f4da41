import { type Bytes, Damaged } from "./bytes.ts";

export interface PeSection {
	/** As it stands: `/4` is an offset into the string table. */
	readonly name: string;
	/** Relative to the image's base, as is every `rva`. */
	readonly rva: number;
	/** Bytes in memory. */
	readonly size: number;
	readonly fileOffset: number;
	readonly fileSize: number;
	readonly isCode: boolean;
}

interface Directory {
	readonly rva: number;
	readonly size: number;
}

/** Headers of a PE image (Microsoft PE and COFF Specification), or of a TE image (UEFI Platform Initialization, volume 1, 15). */
export interface PeImage {
	readonly kind: "PE32" | "PE32+" | "TE";
	readonly machine: "i386" | "x86-64";
	/** Where it was linked for. */
	readonly base: bigint;
	/** Bytes from the base to the end of the last section. */
	readonly size: number;
	readonly sections: readonly PeSection[];
	readonly debug: Directory | undefined;
	readonly exports: Directory | undefined;
	/** COFF symbols in the file: offset and count. */
	readonly symbols: { readonly at: number; readonly count: number };
	/** How much of the original headers a TE image has lost: it lies that much before the address that its `rva`s suggest. */
	readonly stripped: number;
}

/** What an entry of the debug directory says about where symbols are. */
export interface DebugEntry {
	readonly kind: "NB10" | "RSDS" | "MTOC";
	readonly path: string;
}

/** Bytes from the start of an image in which all of its headers lie; edk2 does not make larger ones. */
export const PE_HEADERS = 4096;
const MACHINES: Readonly<Record<number, PeImage["machine"]>> = { 332: "i386", 34404: "x86-64" };
const MZ = 0x5a4d;
const VZ = 0x5a56;
const PE_SIGNATURE = 0x4550;
const PE32 = 0x10b;
const PE32_PLUS = 0x20b;
const SECTION_HEADER = 40;
const TE_HEADER = 40;
const EXECUTE = 0x2000_0000;
const EXPORTS = 0;
const DEBUG = 6;
/** The loader of Windows takes no more. */
const MOST_SECTIONS = 96;
const MOST_IMAGE = 1 << 30;
const DEBUG_ENTRY = 28;
const CODE_VIEW = 2;
const MOST_DEBUG_ENTRIES = 64;
const LONGEST_RECORD = 1024;

/** Whether the first two bytes of a file are those of a PE or TE image. */
export const isPe = (magic: number): boolean => magic === MZ || magic === VZ;

/** The headers in the first bytes of an image. @throws Damaged where they are none */
export function readPe(head: Bytes): PeImage {
	const magic = head.u16(0);
	if (magic === VZ) return readTe(head);
	if (magic !== MZ) throw new Damaged("is no PE image: it does not begin with MZ or VZ");
	const at = head.u32(0x3c);
	if (at + 24 > head.size || head.u32(at) !== PE_SIGNATURE)
		throw new Damaged("is no PE image, but an older program for DOS: its PE header is missing");
	const optional = at + 24;
	const optionalSize = head.u16(at + 20);
	const kind = head.u16(optional);
	if (kind !== PE32 && kind !== PE32_PLUS) throw new Damaged(`is damaged: its optional header is of kind ${kind}`);
	const wide = kind === PE32_PLUS;
	const sections = readSections(head, optional + optionalSize, head.u16(at + 6));
	const directories = optional + (wide ? 112 : 96);
	const count = head.u32(directories - 4);
	const directory = (n: number): Directory | undefined => {
		if (n >= count || directories + n * 8 + 8 > optional + optionalSize) return undefined;
		const [rva, size] = [head.u32(directories + n * 8), head.u32(directories + n * 8 + 4)];
		return rva === 0 || size === 0 ? undefined : { rva, size };
	};
	return {
		...{ kind: wide ? ("PE32+" as const) : ("PE32" as const), machine: machineOf(head.u16(at + 4)) },
		base: wide ? head.u64(optional + 24) : BigInt(head.u32(optional + 28)),
		size: imageSize(Math.max(head.u32(optional + 56), endOf(sections))),
		...{ sections, debug: directory(DEBUG), exports: directory(EXPORTS), stripped: 0 },
		symbols: { at: head.u32(at + 12), count: head.u32(at + 16) },
	};
}

function readTe(head: Bytes): PeImage {
	const sections = readSections(head, TE_HEADER, head.u8(4));
	const [rva, size] = [head.u32(32), head.u32(36)];
	const stripped = head.u16(6) - TE_HEADER;
	if (stripped < 0) throw new Damaged("is damaged: its TE header says that it grew");
	return {
		...{ kind: "TE", machine: machineOf(head.u16(2)), base: head.u64(16), size: imageSize(endOf(sections)) },
		...{ sections, debug: rva === 0 || size === 0 ? undefined : { rva, size } },
		...{ exports: undefined, symbols: { at: 0, count: 0 }, stripped },
	};
}

function machineOf(machine: number): PeImage["machine"] {
	const known = MACHINES[machine];
	if (known === undefined)
		throw new Damaged(`is an image for another kind of processor (machine 0x${machine.toString(16)})`);
	return known;
}

function imageSize(size: number): number {
	if (size > MOST_IMAGE) throw new Damaged(`is damaged: its image would have ${size} bytes`);
	return size;
}

const endOf = (sections: readonly PeSection[]): number =>
	sections.reduce((end, { rva, size }) => Math.max(end, rva + size), 0);

function readSections(head: Bytes, first: number, count: number): PeSection[] {
	if (count > MOST_SECTIONS) throw new Damaged(`is damaged: it has ${count} sections`);
	return Array.from({ length: count }, (_, n) => {
		const at = first + n * SECTION_HEADER;
		const fileSize = head.u32(at + 16);
		return {
			name: head.slice(at, 8).text(0),
			size: head.u32(at + 8) || fileSize,
			rva: head.u32(at + 12),
			fileSize,
			fileOffset: head.u32(at + 20),
			isCode: (head.u32(at + 36) & EXECUTE) !== 0,
		};
	});
}

/**
 * Where the debug directory says that symbols are: the path under which the linker made the image.
 * @param read bytes at an rva; undefined where there are none
 */
export function debugEntry(
	image: PeImage,
	read: (rva: number, size: number) => Bytes | undefined,
): DebugEntry | undefined {
	const count = Math.min(Math.floor((image.debug?.size ?? 0) / DEBUG_ENTRY), MOST_DEBUG_ENTRIES);
	const table = image.debug && read(image.debug.rva, count * DEBUG_ENTRY);
	for (let n = 0; table !== undefined && n < count; n++) {
		const at = n * DEBUG_ENTRY;
		const [type, size, rva] = [table.u32(at + 12), table.u32(at + 16), table.u32(at + 20)];
		const record = type === CODE_VIEW && rva !== 0 ? read(rva, Math.min(size, LONGEST_RECORD)) : undefined;
		if (record === undefined || record.size < 24) continue;
		const signature = record.data.toString("latin1", 0, 4);
		if (signature === "NB10") return { kind: "NB10", path: record.text(16) };
		if (signature === "RSDS") return { kind: "RSDS", path: record.text(24) };
		if (signature === "MTOC") return { kind: "MTOC", path: record.text(20) };
	}
	return undefined;
}

/** A module's name from the path of what its linker made: `DxeCore` from `/build/…/DEBUG/DxeCore.dll`. */
export function moduleOfPath(path: string): string | undefined {
	const name = path.slice(Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\")) + 1).replace(/\.\w{1,5}$/, "");
	// From a guest's memory: it ends up in messages.
	return /^[\w.+-]{1,64}$/.test(name) ? name : undefined;
}
