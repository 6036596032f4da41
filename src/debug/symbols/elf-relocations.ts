import { Bytes, Damaged } from "./bytes.ts";
import { type ElfFile, type ElfSection, ET, SHT } from "./elf-sections.ts";

/** Relocations that debugging information has, by what they store (System V psABI for i386 and x86-64). */
const STORED: Readonly<Record<ElfFile["machine"], Readonly<Record<number, 4 | 8>>>> = {
	i386: { 1: 4 },
	"x86-64": { 1: 8, 10: 4, 11: 4 },
};

/** A section of a file that is not linked yet as it is when its sections lie where `addressOf` says; any other as it is. */
export function relocated(elf: ElfFile, name: string, bytes: Bytes, addressOf: (section: ElfSection) => bigint): Bytes {
	if (elf.type !== ET.relocatable) return bytes;
	const target = elf.named(name)?.index;
	const section = elf.sections.find(({ type, info }) => (type === SHT.rela || type === SHT.rel) && info === target);
	const table = elf.bytes(section);
	const symbolSection = section && elf.sections[section.link];
	const symbols = elf.bytes(symbolSection);
	if (section === undefined || table === undefined || symbols === undefined) return bytes;
	const wide = elf.wordSize === 8;
	const hasAddend = section.type === SHT.rela;
	const stride = (wide ? 16 : 8) + (hasAddend ? elf.wordSize : 0);
	const out = Buffer.from(bytes.data);
	for (let at = 0; at + stride <= table.size; at += stride) {
		const place = Number(table.word(at, elf.wordSize));
		const info = table.word(at + elf.wordSize, elf.wordSize);
		const size = STORED[elf.machine][Number(wide ? info & 0xffff_ffffn : info & 0xffn)];
		if (size === undefined) continue;
		if (place + size > out.length) throw new Damaged(`is damaged: a relocation lies outside of its section ${name}`);
		const entry = Number(wide ? info >> 32n : info >> 8n) * (wide ? 24 : 16);
		const home = elf.sections[symbols.u16(entry + (wide ? 6 : 14))];
		const value = symbols.word(entry + (wide ? 8 : 4), elf.wordSize);
		const base = home?.isLoaded ? addressOf(home) : 0n;
		const old = size === 8 ? out.readBigUInt64LE(place) : BigInt(out.readUInt32LE(place));
		const addend = hasAddend ? table.word(at + 2 * elf.wordSize, elf.wordSize) : old;
		const sum = BigInt.asUintN(size * 8, base + value + addend);
		if (size === 8) out.writeBigUInt64LE(sum, place);
		else out.writeUInt32LE(Number(sum), place);
	}
	return new Bytes(out, bytes.what);
}
