import { Damaged } from "./bytes.ts";
import { type Extent, extentsOf, type ImageContents } from "./symbol-image.ts";
import { RANK, type SymbolEntry, SymbolTable } from "./symbol-table.ts";

/** A way in which tools write symbols as text. */
export interface TextFormat {
	/** As messages name it. */
	readonly name: string;
	matches(text: string): boolean;
	/** @throws Damaged */
	read(text: string, module: string): ImageContents;
}

/** Addresses further apart than this belong to different parts of an image. */
const GAP = 1n << 28n;
/** How far the last symbol of a part may reach, where nothing says it. */
const TAIL = 4096n;
const UPPER_HALF = 1n << 63n;

export const address = (hex: string): bigint => BigInt(`0x${hex}`);

/** What every format ends with: refuses a file without symbols, and finds out what they cover where `extents` does not say. */
export function textImage(
	module: string,
	entries: SymbolEntry[],
	what: string,
	extents: readonly Extent[] = [],
	start?: bigint,
): ImageContents {
	if (entries.length === 0) throw new Damaged(`is ${what} without symbols`);
	const symbols = new SymbolTable(entries);
	const covered = extentsOf(extents.length > 0 ? extents : parts(entries));
	return { module, start: start ?? covered[0]?.first ?? 0n, extents: covered, symbols };
}

/** Runs of symbols that lie near each other; `entries` are sorted. */
function parts(entries: readonly SymbolEntry[]): Extent[] {
	const found: { first: bigint; end: bigint }[] = [];
	for (const { address, size } of entries) {
		const end = address + (size > 0 ? BigInt(size) : TAIL);
		const last = found.at(-1);
		if (last === undefined || address - last.end > GAP) found.push({ first: address, end });
		else if (end > last.end) last.end = end;
	}
	return found;
}

/** A rank from the letter by which nm names a symbol's type. */
function rankOfLetter(letter: string): number {
	if (letter === "T") return RANK.globalCode;
	if (letter === "t") return RANK.localCode;
	if (/[wWvVi]/.test(letter)) return RANK.weakCode;
	return letter === letter.toUpperCase() ? RANK.global : RANK.local;
}

/** `address type name`, with a size before the type (nm -S), a file and line (nm -l) or a module in brackets (kallsyms) behind it. */
const NM =
	/^([0-9a-fA-F]{8,16}) (?:([0-9a-fA-F]{8,16}) )?([A-Za-z?-]) ([^\t\n]+?)(?:\t+\[([^\]\n]+)\]|\t([^\n]*):(\d+))?\r?$/gm;
const NM_UNDEFINED = /^ {8,16} [Uvw] /;
/** nm -P: `name type value size`. */
const NM_POSIX = /^(\S+) ([A-Za-z]) ([0-9a-fA-F]+)(?: ([0-9a-fA-F]*))?[ \r]*$/gm;
/** Symbols that are numbers, not places. */
const ABSOLUTE = /[aAUN?-]/;

/** System.map, /proc/kallsyms, and what nm prints. */
export const symbolList: TextFormat = {
	name: "a list of symbols (System.map, kallsyms, nm)",
	matches: (text) => {
		const line = text
			.split("\n", 50)
			.find((each) => each.trim() !== "" && !NM_UNDEFINED.test(each) && !each.endsWith(":"));
		return line !== undefined && (new RegExp(NM.source).test(line) || new RegExp(NM_POSIX.source).test(line));
	},
	read: (text, name) => {
		let entries: SymbolEntry[] = [];
		let zeros = 0;
		for (const [, place, size, letter, symbol, module, file, line] of text.matchAll(NM)) {
			if (place === undefined || letter === undefined || symbol === undefined || ABSOLUTE.test(letter)) continue;
			if (/^0+$/.test(place)) zeros++;
			entries.push({
				...{
					address: address(place),
					size: Number.parseInt(size ?? "0", 16),
					name: symbol,
					rank: rankOfLetter(letter),
				},
				...{ module, file, line: line === undefined ? undefined : Number(line) },
			});
		}
		if (entries.length === 0) {
			for (const [, symbol, letter, place, size] of text.matchAll(NM_POSIX)) {
				if (symbol === undefined || letter === undefined || place === undefined || ABSOLUTE.test(letter)) continue;
				const bytes = Number.parseInt(size || "0", 16);
				entries.push({ address: address(place), size: bytes, name: symbol, rank: rankOfLetter(letter) });
			}
		}
		if (entries.length > 1 && zeros === entries.length)
			throw new Damaged("has no addresses, only zeros: /proc/kallsyms shows them to root alone");
		// Variables of each processor of a kernel have offsets, not addresses.
		if (entries.some((entry) => entry.address >= UPPER_HALF))
			entries = entries.filter((entry) => entry.address >= UPPER_HALF);
		const start = (["_text", "_stext"] as const)
			.map((wanted) => entries.find((entry) => entry.name === wanted)?.address)
			.find((found) => found !== undefined);
		const isKernel = start !== undefined && entries.some((entry) => entry.name === "start_kernel");
		const image = textImage(isKernel ? "vmlinux" : name, entries, "a list of symbols", [], start);
		return { ...image, physical: isKernel ? beforePaging(image.extents) : [] };
	},
};

/** Where Linux maps the physical addresses from 0 on that it is linked for (Linux Documentation/x86/x86_64/mm; PAGE_OFFSET). */
const KERNEL_MAPS = [0xffff_ffff_8000_0000n, 0xc000_0000n] as const;

/** The parts of a kernel at the physical addresses at which it begins to run. */
function beforePaging(extents: readonly Extent[]): NonNullable<ImageContents["physical"]> {
	return extents.flatMap(({ first, end }) => {
		const add = KERNEL_MAPS.find((map) => first >= map);
		return add === undefined ? [] : [{ first: first - add, end: end - add, add }];
	});
}

const LD_SECTION = /^(\.?[A-Za-z_][\w.$-]*)\s+0x([0-9a-f]{8,16})\s+0x([0-9a-f]+)/gm;
const LD_INPUT = /^ (\.[A-Za-z_][\w.$-]*)\s+0x([0-9a-f]{8,16})\s+0x([0-9a-f]+)[ \t]+\S/gm;
const LD_SYMBOL =
	/^ {16}0x([0-9a-f]{8,16}) {16}(?:(?:PROVIDE(?:_HIDDEN)?|HIDDEN) ?\()?([A-Za-z_$?@][\w.$@?]*)(?:(?:,| =)[^\n]*|\))?\r?$/gm;
const LD_START = /^Linker script and memory map\r?$/m;
/** Output sections that are in the file only. */
const NOT_LOADED = /^\.(debug|zdebug|comment|note|stab|gnu\.lto|gnu\.attributes|symtab|strtab|shstrtab)/;
/** Input sections that are named after their function (-ffunction-sections). */
const OF_FUNCTION = /^\.text\.(?:unlikely\.|startup\.|hot\.|exit\.)?([A-Za-z_]\w*)$/;

/** What GNU ld writes with -Map; edk2's GCC builds have one for each module. */
export const gnuMap: TextFormat = {
	name: "a linker map (GNU ld)",
	matches: (text) => LD_START.test(text),
	read: (whole, module) => {
		const text = whole.slice(whole.search(LD_START));
		const extents = Array.from(text.matchAll(LD_SECTION), ([, name = "", first = "0", size = "0"]) => ({
			...{ name, first: address(first), end: address(first) + address(size) },
		})).filter(({ name, first, end }) => end > first && !NOT_LOADED.test(name));
		const covered = (at: bigint): boolean => extents.some(({ first, end }) => at >= first && at <= end);
		const entries: SymbolEntry[] = [];
		for (const [, place = "0", name = ""] of text.matchAll(LD_SYMBOL)) {
			if (covered(address(place))) entries.push({ address: address(place), size: 0, name, rank: RANK.globalCode });
		}
		for (const [, section = "", place = "0", size = "0"] of text.matchAll(LD_INPUT)) {
			const name = OF_FUNCTION.exec(section)?.[1];
			const bytes = Number.parseInt(size, 16);
			if (name === undefined || bytes === 0 || !covered(address(place))) continue;
			entries.push({ address: address(place), size: bytes, name, rank: RANK.localCode });
		}
		const start = extentsOf(extents)[0]?.first ?? 0n;
		// As in an ELF file: what begins in the first page begins at 0.
		const image = textImage(module, entries, "a linker map", extents, start < TAIL ? 0n : start);
		return { ...image, code: extents.find(({ name }) => name === ".text")?.first };
	},
};

const MSVC_HEAD = /^[ \t]*Address[ \t]+Publics by Value[ \t]+Rva\+Base/m;
const MSVC_BASE = /^[ \t]*Preferred load address is ([0-9a-fA-F]{8,16})/m;
const MSVC_SECTION = /^ ([0-9a-fA-F]{4}):([0-9a-fA-F]{8,16}) ([0-9a-fA-F]{8,16})H \S+[ \t]+\S+/gm;
const MSVC_SYMBOL = /^ ([0-9a-fA-F]{4}):([0-9a-fA-F]{8,16})[ \t]+(\S+)[ \t]+([0-9a-fA-F]{8,16})((?: [fi])*)\s/gm;

/** What Microsoft's linker and lld-link write with /MAP; edk2's Visual Studio and Clang builds have one for each module. */
export const microsoftMap: TextFormat = {
	name: "a linker map (Microsoft)",
	matches: (text) => MSVC_HEAD.test(text),
	read: (text, module) => {
		const base = address(MSVC_BASE.exec(text)?.[1] ?? "0");
		const statics = text.search(/^[ \t]*Static symbols\r?$/m);
		const entries: SymbolEntry[] = [];
		const sections = new Map<string, bigint>();
		for (const { index, 1: section = "", 2: offset = "0", 3: name = "", 4: place = "0", 5: flags } of text.matchAll(
			MSVC_SYMBOL,
		)) {
			// Section 0 holds what the linker made up.
			if (section === "0000") continue;
			sections.set(section, address(place) - address(offset));
			const isCode = flags?.includes("f") ?? false;
			const isLocal = statics >= 0 && index > statics;
			const rank = isCode ? (isLocal ? RANK.localCode : RANK.globalCode) : isLocal ? RANK.local : RANK.global;
			entries.push({ address: address(place), size: 0, name, rank });
		}
		const extents = Array.from(text.matchAll(MSVC_SECTION)).flatMap(([, section = "", offset = "0", size = "0"]) => {
			const origin = sections.get(section);
			if (origin === undefined) return [];
			const first = origin + address(offset);
			return [{ first, end: first + address(size) }];
		});
		return textImage(module, entries, "a linker map", extents, base);
	},
};

const FV_MODULE =
	/^(\S+) \(Fixed (?:Flash|Memory) Address, +BaseAddress=0x([0-9a-fA-F]+), +EntryPoint=0x[0-9a-fA-F]+(?:, *Type=\w+)?\)/gm;
const FV_UNFIXED = /^\S+ \(BaseAddress=/m;
const FV_SYMBOL = /^ {2}0x([0-9a-fA-F]+) {4}(\S+)\r?$/gm;

/** What edk2's GenFv and build tool write of all modules of a firmware volume or platform: addresses of code that runs in place. */
export const volumeMap: TextFormat = {
	name: "a firmware volume map (edk2)",
	matches: (text) => new RegExp(FV_MODULE.source, "m").test(text),
	read: (text, name) => {
		const modules = Array.from(text.matchAll(FV_MODULE));
		const entries = modules.flatMap(({ index, 0: line, 1: module, 2: base = "0" }, n): SymbolEntry[] => {
			// The block of a module ends with the next head, which may be that of a module without a fixed address.
			const after = text.slice(index + line.length, modules[n + 1]?.index);
			const unfixed = after.search(FV_UNFIXED);
			const block = unfixed < 0 ? after : after.slice(0, unfixed);
			const symbols = Array.from(block.matchAll(FV_SYMBOL), ([, place = "0", symbol = ""]) => ({
				...{ address: address(place), size: 0, name: symbol, rank: RANK.globalCode, module },
			}));
			const first = { address: address(base), size: 0, name: "", rank: RANK.label, module };
			return symbols.length > 0 ? symbols : [first];
		});
		return textImage(name, entries, "a firmware volume map");
	},
};

const NASM_HEAD = /^- NASM Map file -+/m;
const NASM_SOURCE = /^Source file:\s+(.+?)\r?$/m;
const NASM_ORIGIN = /^-- Program origin -+\r?\n\r?\n([0-9A-F]+)/m;
const NASM_SECTION = /^ +([0-9A-F]+) +[0-9A-F]+ +[0-9A-F]+ +([0-9A-F]+) +\w+ +\S+/gm;
const NASM_SYMBOL = /^ +([0-9A-F]+) +([0-9A-F]+) {2}(\S+)\r?$/gm;

/** What NASM's flat format writes where the source says [map all]. */
export const nasmMap: TextFormat = {
	name: "a NASM map",
	matches: (text) => NASM_HEAD.test(text),
	read: (text, module) => {
		const file = NASM_SOURCE.exec(text)?.[1];
		const entries = Array.from(
			text.matchAll(NASM_SYMBOL),
			([, , place = "0", name = ""]): SymbolEntry => ({
				...{ address: address(place), size: 0, name, rank: RANK.globalCode, file },
			}),
		);
		const extents = Array.from(text.matchAll(NASM_SECTION), ([, first = "0", size = "0"]) => ({
			...{ first: address(first), end: address(first) + address(size) },
		}));
		const origin = NASM_ORIGIN.exec(text)?.[1];
		return textImage(module, entries, "a NASM map", extents, origin === undefined ? undefined : address(origin));
	},
};

/** From the most particular to the most general. */
export const TEXT_FORMATS: readonly TextFormat[] = [nasmMap, volumeMap, microsoftMap, gnuMap, symbolList];
