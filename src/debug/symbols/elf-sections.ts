import { inflateSync } from "node:zlib";
import { Bytes, Damaged } from "./bytes.ts";
import type { SymbolFile } from "./symbol-file.ts";

/** Types and flags of sections (System V gABI, chapter 4). */
export const SHT = { symtab: 2, rela: 4, nobits: 8, rel: 9, dynsym: 11 } as const;
const SHF_ALLOC = 2;
const SHF_EXECUTE = 4;
const SHF_COMPRESSED = 0x800;
const COMPRESSED_ZLIB = 1;
const SHN_XINDEX = 0xffff;
const PT_LOAD = 1;
const EM_386 = 3;
const EM_X86_64 = 62;
/** More than any file has; a damaged count must not take all memory. */
const MOST_SECTIONS = 1 << 20;
const MOST_INFLATED = 2 ** 30;

export const ET = { relocatable: 1, executable: 2, dynamic: 3 } as const;

export interface ElfSection {
	readonly index: number;
	readonly name: string;
	readonly type: number;
	readonly address: bigint;
	readonly offset: number;
	readonly size: number;
	readonly link: number;
	readonly info: number;
	readonly entrySize: number;
	readonly align: number;
	/** Is in memory when the image runs. */
	readonly isLoaded: boolean;
	readonly isCode: boolean;
	readonly isCompressed: boolean;
}

export interface LoadSegment {
	readonly virtual: bigint;
	readonly physical: bigint;
	readonly size: bigint;
}

/** Sections and segments of an ELF file for i386 or x86-64. */
export class ElfFile {
	readonly file: SymbolFile;
	readonly type: number;
	readonly wordSize: 4 | 8;
	readonly machine: "i386" | "x86-64";
	readonly sections: readonly ElfSection[];
	readonly segments: readonly LoadSegment[];

	/** @throws Damaged */
	constructor(file: SymbolFile) {
		this.file = file;
		const ident = file.read(0, 20, "its ELF header");
		const elfClass = ident.u8(4);
		if (elfClass !== 1 && elfClass !== 2) throw new Damaged(`is damaged: its ELF class is ${elfClass}`);
		if (ident.u8(5) !== 1) throw new Damaged("is an ELF file for a big-endian machine");
		const machine = ident.u16(18);
		if (machine !== EM_386 && machine !== EM_X86_64)
			throw new Damaged(`is an ELF file for another kind of processor (machine ${machine}, neither i386 nor x86-64)`);
		this.machine = machine === EM_386 ? "i386" : "x86-64";
		this.type = ident.u16(16);
		this.wordSize = elfClass === 2 ? 8 : 4;
		const wide = elfClass === 2;
		const header = file.read(0, wide ? 64 : 52, "its ELF header");
		const word = (at: number): number => Number(header.word(at, this.wordSize));
		this.segments = this.readSegments(word(wide ? 32 : 28), header.u16(wide ? 54 : 42), header.u16(wide ? 56 : 44));
		const at = word(wide ? 40 : 32);
		this.sections =
			at === 0
				? []
				: this.readSections(at, header.u16(wide ? 58 : 46), header.u16(wide ? 60 : 48), header.u16(wide ? 62 : 50));
	}

	named(name: string): ElfSection | undefined {
		return this.sections.find((section) => section.name === name);
	}

	/** A section as it was before it was compressed; undefined where the file has none of that name, or without bytes. */
	bytes(section: ElfSection | undefined): Bytes | undefined {
		if (section === undefined || section.type === SHT.nobits || section.size === 0) return undefined;
		const what = `its section ${section.name}`;
		const raw = this.file.read(section.offset, section.size, what);
		if (!section.isCompressed) return raw;
		if (raw.u32(0) !== COMPRESSED_ZLIB)
			throw new Damaged(`has its section ${section.name} compressed in a way that tsvmm does not read (only zlib)`);
		const wide = this.wordSize === 8;
		return inflated(raw, wide ? 24 : 12, Number(raw.word(wide ? 8 : 4, this.wordSize)));
	}

	/** A section of debugging information, `.debug_` or the older compressed `.zdebug_`. */
	debug(name: string): Bytes | undefined {
		const section = this.named(`.debug_${name}`);
		if (section !== undefined) return this.bytes(section);
		const old = this.bytes(this.named(`.zdebug_${name}`));
		if (old === undefined) return undefined;
		if (old.u32(0) !== 0x42494c5a) return old; // "ZLIB", then the size, highest byte first
		return inflated(old, 12, Number(old.data.readBigUInt64BE(4)));
	}

	private readSegments(at: number, stride: number, count: number): LoadSegment[] {
		if (at === 0 || count === 0) return [];
		const wide = this.wordSize === 8;
		if (stride < (wide ? 56 : 32)) throw new Damaged(`is damaged: its ELF program headers have ${stride} bytes`);
		const table = this.file.read(at, stride * count, "its table of ELF program headers");
		return Array.from({ length: count }, (_, n) => n * stride).flatMap((entry) => {
			if (table.u32(entry) !== PT_LOAD) return [];
			const word = (field: number): bigint => table.word(entry + field, this.wordSize);
			return [{ virtual: word(wide ? 16 : 8), physical: word(wide ? 24 : 12), size: word(wide ? 40 : 20) }];
		});
	}

	private readSections(at: number, stride: number, count: number, names: number): ElfSection[] {
		const wide = this.wordSize === 8;
		if (stride < (wide ? 64 : 40)) throw new Damaged(`is damaged: its ELF section headers have ${stride} bytes`);
		const first = this.file.read(at, stride, "its table of ELF sections");
		// Where a number does not fit the header it is in section 0.
		const total = count === 0 ? Number(first.word(wide ? 32 : 20, this.wordSize)) : count;
		const namesAt = names === SHN_XINDEX ? first.u32(wide ? 40 : 24) : names;
		if (total > MOST_SECTIONS) throw new Damaged(`is damaged: it has ${total} ELF sections`);
		const table = this.file.read(at, stride * total, "its table of ELF sections");
		const raw = Array.from({ length: total }, (_, index) => {
			const entry = index * stride;
			const word = (field: number): bigint => table.word(entry + field, this.wordSize);
			const flags = Number(word(8) & 0xffff_ffffn);
			return {
				index,
				nameAt: table.u32(entry),
				type: table.u32(entry + 4),
				address: word(wide ? 16 : 12),
				offset: Number(word(wide ? 24 : 16)),
				size: Number(word(wide ? 32 : 20)),
				link: table.u32(entry + (wide ? 40 : 24)),
				info: table.u32(entry + (wide ? 44 : 28)),
				align: Number(word(wide ? 48 : 32)),
				entrySize: Number(word(wide ? 56 : 36)),
				isLoaded: (flags & SHF_ALLOC) !== 0,
				isCode: (flags & SHF_EXECUTE) !== 0,
				isCompressed: (flags & SHF_COMPRESSED) !== 0,
			};
		});
		const strings = raw[namesAt];
		const text = strings && this.file.read(strings.offset, strings.size, "its ELF section names");
		return raw.map(({ nameAt, ...section }) => ({ ...section, name: text?.text(nameAt) ?? "" }));
	}
}

function inflated(raw: Bytes, skip: number, size: number): Bytes {
	if (!(size <= MOST_INFLATED)) throw new Damaged(`is damaged: ${raw.what} would have ${size} bytes uncompressed`);
	try {
		const bytes = inflateSync(raw.data.subarray(skip), { maxOutputLength: Math.max(size, 1) });
		if (bytes.length === size) return new Bytes(bytes, raw.what);
	} catch {
		// zlib's own words say nothing more.
	}
	throw new Damaged(`is damaged: ${raw.what} cannot be uncompressed`);
}
