import { type Bytes, Damaged } from "./bytes.ts";
import { CallFrames } from "./call-frames.ts";
import { LineTable } from "./dwarf-lines.ts";
import { debugEntry, moduleOfPath, PE_HEADERS, type PeImage, type PeSection, readPe } from "./pe-image.ts";
import type { SymbolFile } from "./symbol-file.ts";
import { type Extent, extentsOf, type ImageContents } from "./symbol-image.ts";
import { RANK, type SymbolEntry, SymbolTable } from "./symbol-table.ts";

const SYMBOL_SIZE = 18;
const CLASS = { external: 2, static: 3, label: 6 } as const;
const FUNCTION = 0x20;
const MOST_EXPORTS = 1 << 16;

export interface PeContents extends ImageContents {
	readonly image: PeImage;
}

/** Symbols of a PE or TE image: its COFF symbols, its exports, and the DWARF lines that GCC puts into it. @throws Damaged */
export function readPeSymbols(file: SymbolFile, fileModule: string): PeContents {
	const image = readPe(file.read(0, Math.min(file.size, PE_HEADERS), "its PE headers"));
	const read = (rva: number, size: number): Bytes | undefined => atRva(file, image, rva, size);
	const entry = debugEntry(image, read);
	const module = (entry && moduleOfPath(entry.path)) ?? fileModule;
	const names = stringTable(file, image);
	const symbols = [...coffSymbols(file, image, names), ...exported(image, read)];
	const extents = [{ first: image.base, end: image.base + BigInt(image.size) }];
	return {
		...{ image, module, start: image.base, symbols: new SymbolTable(symbols) },
		extents: extentsOf([...sectionExtents(image), ...extents]),
		...dwarfOf(file, image, names),
		code: codeOf(image),
	};
}

/** Address of the first section with code, as linked. */
export function codeOf(image: PeImage): bigint | undefined {
	const section = image.sections.find(({ isCode }) => isCode) ?? image.sections.find(({ name }) => name === ".text");
	return section && image.base + BigInt(section.rva);
}

function sectionExtents({ base, sections }: PeImage): Extent[] {
	return sections.map(({ rva, size }) => ({ first: base + BigInt(rva), end: base + BigInt(rva + size) }));
}

function atRva(file: SymbolFile, image: PeImage, rva: number, size: number): Bytes | undefined {
	const section = image.sections.find((each) => rva >= each.rva && rva + size <= each.rva + each.fileSize);
	if (section === undefined) return undefined;
	return file.read(section.fileOffset + rva - section.rva - image.stripped, size, `its section ${section.name}`);
}

/** Long names, behind the symbols. */
function stringTable(file: SymbolFile, { symbols }: PeImage): Bytes | undefined {
	const at = symbols.at + symbols.count * SYMBOL_SIZE;
	if (symbols.at === 0 || at + 4 > file.size) return undefined;
	return file.read(at, file.read(at, 4, "its string table").u32(0), "its string table");
}

function coffSymbols(file: SymbolFile, image: PeImage, names: Bytes | undefined): SymbolEntry[] {
	const { at: first, count } = image.symbols;
	if (first === 0 || count === 0) return [];
	const table = file.read(first, count * SYMBOL_SIZE, "its COFF symbols");
	const entries: SymbolEntry[] = [];
	for (let n = 0; n < count; n++) {
		const at = n * SYMBOL_SIZE;
		const extra = table.u8(at + 17);
		n += extra;
		const section = image.sections[table.u16(at + 12) - 1];
		const kind = table.u8(at + 16);
		const isCode = table.u16(at + 14) === FUNCTION;
		// A static symbol with more behind it, and no function, names its section.
		const isSection = kind === CLASS.static && extra > 0 && !isCode;
		if (section === undefined || isSection || !Object.values<number>(CLASS).includes(kind)) continue;
		const name = table.u32(at) === 0 ? (names?.text(table.u32(at + 4)) ?? "") : table.slice(at, 8).text(0);
		if (name === "") continue;
		const rank = rankOf(kind !== CLASS.external, isCode, section.isCode && name.startsWith("__"));
		entries.push({ address: image.base + BigInt(section.rva + table.u32(at + 8)), size: 0, name, rank });
	}
	return entries;
}

/** GNU's linker puts many names of its own where the code begins, and does not tell functions from other symbols. */
function rankOf(isLocal: boolean, isCode: boolean, isLinkers: boolean): number {
	if (isCode) return isLocal ? RANK.localCode : RANK.globalCode;
	if (isLinkers) return RANK.label;
	return isLocal ? RANK.local : RANK.global;
}

function exported(image: PeImage, read: (rva: number, size: number) => Bytes | undefined): SymbolEntry[] {
	const table = image.exports && read(image.exports.rva, 40);
	if (table === undefined || image.exports === undefined) return [];
	const [functions, names] = [table.u32(20), table.u32(24)];
	if (functions > MOST_EXPORTS || names > MOST_EXPORTS) throw new Damaged(`is damaged: it exports ${names} names`);
	const addresses = read(table.u32(28), functions * 4);
	const nameTable = read(table.u32(32), names * 4);
	const ordinals = read(table.u32(36), names * 2);
	const { rva: first, size } = image.exports;
	const text = read(first, size);
	if (addresses === undefined || nameTable === undefined || ordinals === undefined || text === undefined) return [];
	return Array.from({ length: names }, (_, n) => n).flatMap((n) => {
		const ordinal = ordinals.u16(n * 2);
		const nameAt = nameTable.u32(n * 4) - first;
		if (ordinal >= functions || nameAt < 0 || nameAt >= size) return [];
		const rva = addresses.u32(ordinal * 4);
		// An address within the export directory is the name of another image's function.
		if (rva >= first && rva < first + size) return [];
		return [{ address: image.base + BigInt(rva), size: 0, name: text.text(nameAt), rank: RANK.globalCode }];
	});
}

/** What GCC adds for debuggers. */
function dwarfOf(file: SymbolFile, image: PeImage, names: Bytes | undefined): Pick<ImageContents, "lines" | "frames"> {
	const section = (wanted: string): Bytes | undefined => {
		const found = image.sections.find((each) => nameOf(each, names) === wanted);
		return found && file.read(found.fileOffset, Math.min(found.fileSize, found.size), `its section ${wanted}`);
	};
	const code = sectionExtents({ ...image, sections: image.sections.filter(({ isCode }) => isCode) });
	const isCode = (address: bigint): boolean => code.some(({ first, end }) => address >= first && address < end);
	const line = section(".debug_line");
	const frame = section(".debug_frame");
	const strings = { lineStrings: section(".debug_line_str"), strings: section(".debug_str") };
	const addressSize = image.machine === "i386" ? 4 : 8;
	return {
		lines: line && new LineTable({ line, ...strings, addressSize, isCode }),
		frames: frame && new CallFrames([{ bytes: frame, kind: "debug", address: 0n }], image.machine, isCode),
	};
}

/** A name of more than eight letters is in the string table: `/4`. */
function nameOf({ name }: PeSection, names: Bytes | undefined): string {
	const [, at] = /^\/(\d+)$/.exec(name) ?? [];
	return at === undefined || names === undefined || Number(at) >= names.size ? name : names.text(Number(at));
}
