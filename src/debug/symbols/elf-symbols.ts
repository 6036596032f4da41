import { type Bytes, Damaged } from "./bytes.ts";
import { CallFrames } from "./call-frames.ts";
import { LineTable } from "./dwarf-lines.ts";
import { relocated } from "./elf-relocations.ts";
import { ElfFile, type ElfSection, ET, SHT } from "./elf-sections.ts";
import type { SymbolFile } from "./symbol-file.ts";
import { extentsOf, type ImageContents } from "./symbol-image.ts";
import { RANK, type SymbolEntry, SymbolTable } from "./symbol-table.ts";

const STT = { none: 0, object: 1, function: 2, indirect: 10 } as const;
const STB = { local: 0, weak: 2 } as const;
const SHN_ABSOLUTE = 0xfff1;
const SHN_FIRST_RESERVED = 0xff00;
const PAGE = 4096n;
/** Linux's variables of each processor, whose addresses are offsets. */
const PER_CPU = ".data..percpu";

/** Symbols, lines and unwind tables of an ELF file (System V gABI chapter 4, DWARF 2 to 5). @throws Damaged */
export function readElfSymbols(file: SymbolFile, module: string): ImageContents {
	const elf = new ElfFile(file);
	const addresses = placed(elf);
	const addressOf = (section: ElfSection): bigint => addresses.get(section.index) ?? section.address;
	const loaded = elf.sections.filter(({ isLoaded, size, name }) => isLoaded && size > 0 && name !== PER_CPU);
	const sections = loaded.map((section) => ({
		first: addressOf(section),
		end: addressOf(section) + BigInt(section.size),
	}));
	const segments = elf.segments.map(({ virtual, size }) => ({ first: virtual, end: virtual + size }));
	const extents = extentsOf(sections.length > 0 ? sections : segments);
	const { entries, numbers } = readSymbols(elf, addressOf);
	const symbols = new SymbolTable(entries, numbers);
	const covers = (address: bigint): boolean => extents.some(({ first, end }) => address >= first && address < end);
	const bytes = (name: string): Bytes | undefined => {
		const section = elf.debug(name);
		return section && relocated(elf, `.debug_${name}`, section, addressOf);
	};
	const line = bytes("line");
	const lines =
		line &&
		new LineTable({
			...{ line, lineStrings: bytes("line_str"), strings: bytes("str") },
			...{ addressSize: elf.wordSize, isCode: covers },
		});
	const hasLines = lines !== undefined && !lines.isEmpty;
	const tables = (["debug", "eh"] as const).flatMap((kind) => {
		const section = kind === "debug" ? bytes("frame") : elf.bytes(elf.named(".eh_frame"));
		if (section === undefined || elf.type === ET.relocatable) return [];
		return [{ bytes: section, kind, address: elf.named(".eh_frame")?.address ?? 0n }];
	});
	const frames = tables.length === 0 ? undefined : new CallFrames(tables, elf.machine, covers);
	if (symbols.count === 0 && !hasLines)
		throw new Damaged("is an ELF file without symbols: neither a symbol table nor DWARF lines are in it");
	const first = extents[0]?.first ?? symbols.first?.address ?? 0n;
	const segment = extentsOf(segments)[0]?.first ?? first;
	// A position-independent image begins at 0 whatever its headers leave out.
	const low = elf.type === ET.relocatable ? first : segment < PAGE ? 0n : segment;
	return {
		module,
		start: low,
		extents,
		symbols,
		lines: hasLines ? lines : undefined,
		frames,
		physical: elf.segments
			.filter(({ virtual, physical, size }) => virtual !== physical && size > 0n)
			.map(({ virtual, physical, size }) => ({ first: physical, end: physical + size, add: virtual - physical })),
		bytes: (address, size) => bytesAt(elf, address, size),
		code: loaded.find(({ isCode, name }) => isCode && name === ".text")?.address,
	};
}

/** Bytes of a loaded section, from the file as it is now. */
function bytesAt(elf: ElfFile, address: bigint, size: number): Uint8Array | undefined {
	const home = elf.sections.find(
		(each) =>
			each.isLoaded &&
			each.type !== SHT.nobits &&
			address >= each.address &&
			address + BigInt(size) <= each.address + BigInt(each.size),
	);
	if (home === undefined || size < 0) return undefined;
	const file = elf.file.again();
	try {
		return file.read(home.offset + Number(address - home.address), size, `its section ${home.name}`).data;
	} finally {
		file.close();
	}
}

/** Where the sections of a file that is not linked yet lie: one behind the other, code first. */
function placed(elf: ElfFile): ReadonlyMap<number, bigint> {
	const places = new Map<number, bigint>();
	if (elf.type !== ET.relocatable) return places;
	let at = 0n;
	const loaded = elf.sections.filter(({ isLoaded }) => isLoaded);
	for (const section of [...loaded.filter(({ isCode }) => isCode), ...loaded.filter(({ isCode }) => !isCode)]) {
		const align = BigInt(Math.min(Math.max(section.align, 1), 1 << 21));
		at = ((at + align - 1n) / align) * align;
		places.set(section.index, at);
		at += BigInt(section.size);
	}
	return places;
}

function readSymbols(
	elf: ElfFile,
	addressOf: (section: ElfSection) => bigint,
): { entries: SymbolEntry[]; numbers: SymbolEntry[] } {
	const section =
		elf.sections.find(({ type, size }) => type === SHT.symtab && size > 0) ??
		elf.sections.find(({ type }) => type === SHT.dynsym);
	const table = elf.bytes(section);
	const entries: SymbolEntry[] = [];
	const numbers: SymbolEntry[] = [];
	if (section === undefined || table === undefined) return { entries, numbers };
	const strings = elf.bytes(elf.sections[section.link]);
	const wide = elf.wordSize === 8;
	const stride = Math.max(section.entrySize, wide ? 24 : 16);
	for (let at = stride; at + stride <= table.size; at += stride) {
		const info = table.u8(at + (wide ? 4 : 12));
		const home = table.u16(at + (wide ? 6 : 14));
		const type = info & 15;
		const isCode = type === STT.function || type === STT.indirect;
		if (home === 0 || (!isCode && type !== STT.none && type !== STT.object)) continue;
		const nameAt = table.u32(at);
		const name = nameAt === 0 ? "" : (strings?.text(nameAt) ?? "");
		// Labels that assemblers and compilers make for themselves say nothing.
		if (name === "" || /^(\.L|\$[adtx](\.|$))/.test(name)) continue;
		let address = table.word(at + (wide ? 8 : 4), elf.wordSize);
		const owner = home < SHN_FIRST_RESERVED ? elf.sections[home] : undefined;
		if (owner !== undefined && (!owner.isLoaded || owner.name === PER_CPU)) continue;
		if (owner !== undefined && elf.type === ET.relocatable) address += addressOf(owner);
		const size = Number(table.word(at + (wide ? 16 : 8), elf.wordSize));
		const list = home === SHN_ABSOLUTE ? numbers : entries;
		list.push({ address, size, name, rank: rankOf(info >> 4, isCode, type) });
	}
	return { entries, numbers };
}

function rankOf(binding: number, isCode: boolean, type: number): number {
	if (isCode) return binding === STB.local ? RANK.localCode : binding === STB.weak ? RANK.weakCode : RANK.globalCode;
	if (type === STT.none && binding === STB.local) return RANK.label;
	return binding === STB.local ? RANK.local : RANK.global;
}
