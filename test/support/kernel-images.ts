/** Kernels of every kind, made by hand: a header around machine code. */

const u32 = (value: number): number[] => [value, value >>> 8, value >>> 16, value >>> 24].map((byte) => byte & 0xff);

/** Where the ELF images have their code, and what is 16 MiB further up in their virtual addresses. */
export const CODE_AT = 0x10_0000;
export const VIRTUAL_OFFSET = 0x100_0000;
/** Bytes of zeros behind the code, in memory only. */
export const BSS = 0x2000;

export interface ElfOptions {
	readonly bits?: 32 | 64;
	readonly code: readonly number[];
	/** Puts a note with a PVH entry point behind the code. */
	readonly pvh?: number;
	readonly machine?: number;
	/** Physical address of the code. */
	readonly at?: number;
	/** Bytes of the code's segment that the header promises beyond those that are there. */
	readonly missing?: number;
	/** The entry point as the header has it. */
	readonly entry?: number;
}

/** An ELF image with one segment of code, entered at its start. */
export function elf({ bits = 32, code, pvh, machine, at = CODE_AT, missing = 0, entry }: ElfOptions): Uint8Array {
	const wide = bits === 64;
	const headerSize = wide ? 64 : 52;
	const programSize = wide ? 56 : 32;
	const count = pvh === undefined ? 1 : 2;
	const codeAt = Math.ceil((headerSize + programSize * 2) / 8) * 8;
	const note = pvh === undefined ? [] : [...u32(4), ...u32(4), ...u32(18), 0x58, 0x65, 0x6e, 0, ...u32(pvh)];
	const padded = Math.ceil(code.length / 8) * 8;
	const file = new Uint8Array(codeAt + padded + note.length);
	const view = new DataView(file.buffer);
	const word = (offset: number, value: number): void => {
		if (wide) view.setBigUint64(offset, BigInt(value), true);
		else view.setUint32(offset, value, true);
	};
	file.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, 1, 1]);
	view.setUint16(0x10, 2, true);
	view.setUint16(0x12, machine ?? (wide ? 62 : 3), true);
	view.setUint32(0x14, 1, true);
	word(0x18, entry ?? at + VIRTUAL_OFFSET);
	word(wide ? 0x20 : 0x1c, headerSize);
	view.setUint16(wide ? 0x36 : 0x2a, programSize, true);
	view.setUint16(wide ? 0x38 : 0x2c, count, true);
	const program = (n: number, type: number, offset: number, address: number, size: number, memory: number): void => {
		const header = headerSize + n * programSize;
		view.setUint32(header, type, true);
		const places = wide ? [8, 16, 24, 32, 40, 48] : [4, 8, 12, 16, 20, 28];
		const values = [offset, address + VIRTUAL_OFFSET, address, size, memory, 4];
		for (const [field, place] of places.entries()) word(header + place, values[field]!);
	};
	program(0, 1, codeAt, at, code.length + missing, code.length + missing + BSS);
	if (pvh !== undefined) program(1, 4, codeAt + padded, 0, note.length, note.length);
	file.set(code, codeAt);
	file.set(note, codeAt + padded);
	return file;
}

/** A Multiboot 1 header; with `load`, the image is entered behind it and loaded there. */
export function multibootHeader({ flags = 0, load }: { flags?: number; load?: number } = {}): number[] {
	const all = load === undefined ? flags : flags | 0x1_0000;
	const header = [...u32(0x1bad_b002), ...u32(all), ...u32(-(0x1bad_b002 + all))];
	if (load === undefined) return header;
	const SIZE = 32;
	return [...header, ...u32(load), ...u32(load), ...u32(0), ...u32(0), ...u32(load + SIZE)];
}

/** A Multiboot 2 header of so many tags (each: type, flags, body), with its end tag. */
export function multiboot2Header(
	...tags: readonly (readonly [type: number, flags: number, body: readonly number[]])[]
): number[] {
	const bodies = [...tags, [0, 0, []] as const].flatMap(([type, flags, body]) => {
		const pad = new Array<number>(-body.length & 7).fill(0);
		return [type & 0xff, type >> 8, flags, 0, ...u32(8 + body.length), ...body, ...pad];
	});
	const length = 16 + bodies.length;
	return [...u32(0xe852_50d6), ...u32(0), ...u32(length), ...u32(-(0xe852_50d6 + length)), ...bodies];
}

export const words = (...values: readonly number[]): number[] => values.flatMap(u32);

export interface BzImageOptions {
	/** At the start of the kernel, where the 32-bit entry is. */
	readonly code: readonly number[];
	/** Real-mode code that the 16-bit entry jumps to, at most 400 bytes. */
	readonly setup?: readonly number[];
	/** 0x200 further, where the 64-bit entry is. */
	readonly code64?: readonly number[];
	readonly version?: number;
	readonly xloadFlags?: number;
	readonly loadFlags?: number;
	readonly initSize?: number;
	readonly prefAddress?: number;
	readonly relocatable?: boolean;
	readonly commandLineSize?: number;
	readonly initrdMax?: number;
}

/** Linux's bzImage with one sector of setup code. */
export function bzImage(options: BzImageOptions): Uint8Array {
	const { code, code64 = [], version = 0x020f, xloadFlags = 1, loadFlags = 1 } = options;
	const KERNEL = 1024;
	const SIZE = 0x400;
	const file = new Uint8Array(KERNEL + SIZE);
	const view = new DataView(file.buffer);
	file[0x1f1] = 1;
	view.setUint32(0x1f4, SIZE / 16, true);
	view.setUint16(0x1fe, 0xaa55, true);
	file.set([0xeb, 0x6a], 0x200);
	view.setUint32(0x202, 0x5372_6448, true);
	view.setUint16(0x206, version, true);
	file[0x211] = loadFlags;
	view.setUint32(0x214, 0x10_0000, true);
	view.setUint32(0x22c, options.initrdMax ?? 0x7fff_ffff, true);
	view.setUint32(0x230, 0x20_0000, true);
	file[0x234] = options.relocatable === false ? 0 : 1;
	view.setUint16(0x236, xloadFlags, true);
	view.setUint32(0x238, options.commandLineSize ?? 2047, true);
	view.setBigUint64(0x258, BigInt(options.prefAddress ?? 0x100_0000), true);
	view.setUint32(0x260, options.initSize ?? 0x10_0000, true);
	file.set(options.setup ?? [], 0x26c);
	file.set(code, KERNEL);
	file.set(code64, KERNEL + 0x200);
	return file;
}

/** 32-bit code. */
export const code32 = {
	/** EAX on the debug console, low byte first. */
	sayEax: [0xe6, 0xe9, 0xc1, 0xc8, 0x08, 0xe6, 0xe9, 0xc1, 0xc8, 0x08, 0xe6, 0xe9, 0xc1, 0xc8, 0x08, 0xe6, 0xe9],
	/** The string at ESI: lodsb; test al, al; jz over; out 0xe9, al; jmp back. */
	sayString: [0xac, 0x84, 0xc0, 0x74, 0x04, 0xe6, 0xe9, 0xeb, 0xf7],
	/** mov esi, [ebx + offset] */
	esiFromEbx: (offset: number): number[] => [0x8b, 0xb3, ...u32(offset)],
	/** mov esi, [esi + offset] */
	esiFromEsi: (offset: number): number[] => [0x8b, 0xb6, ...u32(offset)],
	/** mov ebx, esi; mov esi, ebx */
	ebxEsi: [0x89, 0xf3],
	esiEbx: [0x89, 0xde],
	/** mov al, status; out 0xf4, al */
	exit: (status: number): number[] => [0xb0, status, 0xe6, 0xf4],
} as const;
