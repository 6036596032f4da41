import { type Bytes, Cursor, Damaged } from "./bytes.ts";

/** Where code comes from. */
export interface SourceLine {
	readonly file: string;
	/** From 1; 0: the compiler made the code for no line. */
	readonly line: number;
}

/** The sections of a file that its line tables are in (DWARF 5, chapter 6.2; for versions 2 to 4 the same chapter of those). */
export interface LineSections {
	readonly line: Bytes;
	readonly lineStrings?: Bytes | undefined;
	readonly strings?: Bytes | undefined;
	/** Bytes of an address, for versions that do not say it. */
	readonly addressSize: 4 | 8;
	/** Whether there is code at an address: linkers leave tables of what they threw away, at address 0. */
	readonly isCode: (address: bigint) => boolean;
}

/** A run of rows in ascending order of addresses, from one DW_LNE_end_sequence to the next. */
interface Sequence {
	readonly low: bigint;
	/** One beyond the last byte. */
	readonly high: bigint;
	readonly unit: Unit;
	/** Where in the section its opcodes begin. */
	readonly start: number;
}

interface Unit {
	readonly version: number;
	readonly addressSize: 4 | 8;
	readonly minimumLength: number;
	readonly maximumOperations: number;
	readonly lineBase: number;
	readonly lineRange: number;
	/** Operands of each standard opcode; the length is the first special opcode. */
	readonly operands: readonly number[];
	readonly files: readonly string[];
	/** The number of the first file. */
	readonly firstFile: number;
	readonly end: number;
}

/** One row of a line table. */
export interface LineRow extends SourceLine {
	readonly address: bigint;
	/** One beyond the last byte of a sequence: no code. */
	readonly isEnd: boolean;
}

/** Standard and extended opcodes. */
const DW_LNS = {
	copy: 1,
	advancePc: 2,
	advanceLine: 3,
	setFile: 4,
	setColumn: 5,
	negateStatement: 6,
	basicBlock: 7,
	addPc: 8,
	fixedAdvancePc: 9,
	prologueEnd: 10,
	epilogueBegin: 11,
	setIsa: 12,
} as const;
const DW_LNE = { endSequence: 1, setAddress: 2, defineFile: 3 } as const;
/** What an entry of a directory or file table has, and in which forms. */
const DW_LNCT_PATH = 1;
const DW_LNCT_DIRECTORY = 2;
const FORM = {
	block2: 3,
	block4: 4,
	data2: 5,
	data4: 6,
	data8: 7,
	string: 8,
	block: 9,
	block1: 10,
	data1: 11,
	strp: 14,
	udata: 15,
	data16: 30,
	lineStrp: 31,
} as const;

/** More files than a unit can have, so that a damaged table cannot take all memory. */
const MOST_FILES = 1 << 20;
/** Sequences before the nearest that may still hold an address, where some overlap. */
const OVERLAPPING = 32;
/** Sequences whose rows are kept. */
const KEPT = 16;

/** The line tables of a file: which source line an address comes from. All programs run once; rows are kept for few of them. */
export class LineTable {
	private readonly sections: LineSections;
	private readonly sequences: Sequence[] = [];
	private readonly rows = new Map<Sequence, readonly LineRow[]>();

	/** @throws Damaged */
	constructor(sections: LineSections) {
		this.sections = sections;
		const { line } = sections;
		for (let at = 0; at + 4 <= line.size; ) {
			const unit = this.unit(at);
			for (let start = unit.start; start < unit.header.end; ) start = this.index(unit.header, start);
			at = unit.header.end;
		}
		this.sequences.sort((a, b) => (a.low < b.low ? -1 : a.low > b.low ? 1 : 0));
	}

	get isEmpty(): boolean {
		return this.sequences.length === 0;
	}

	/** The line that the code at `address` comes from. */
	at(address: bigint): SourceLine | undefined {
		let from = 0;
		let to = this.sequences.length;
		while (from < to) {
			const middle = (from + to) >> 1;
			if (this.sequences[middle]!.low <= address) from = middle + 1;
			else to = middle;
		}
		for (let n = from - 1; n >= 0 && n >= from - OVERLAPPING; n--) {
			const sequence = this.sequences[n]!;
			if (address < sequence.high) return this.rowAt(sequence, address);
		}
		return undefined;
	}

	/** All rows, sequence after sequence in the order of their addresses. */
	*allRows(): Generator<LineRow> {
		for (const sequence of this.sequences) yield* this.rowsOf(sequence);
	}

	private rowAt(sequence: Sequence, address: bigint): SourceLine | undefined {
		const rows = this.rowsOf(sequence);
		let from = 0;
		let to = rows.length;
		while (from < to) {
			const middle = (from + to) >> 1;
			if (rows[middle]!.address <= address) from = middle + 1;
			else to = middle;
		}
		const row = rows[from - 1];
		return row === undefined || row.isEnd ? undefined : row;
	}

	private rowsOf(sequence: Sequence): readonly LineRow[] {
		let rows = this.rows.get(sequence);
		if (rows === undefined) {
			const made: LineRow[] = [];
			const { files, firstFile } = sequence.unit;
			this.run(sequence.unit, sequence.start, (address, file, line, isEnd) => {
				made.push({ address, file: files[file - firstFile] ?? "", line, isEnd });
			});
			rows = made.sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
			const [oldest] = this.rows.keys();
			if (this.rows.size >= KEPT && oldest !== undefined) this.rows.delete(oldest);
			this.rows.set(sequence, rows);
		}
		return rows;
	}

	/** Notes the sequence that begins at `start`. @returns where the next begins. */
	private index(unit: Unit, start: number): number {
		let [low, high] = [0n, 0n];
		let ended = false;
		let rows = 0;
		const next = this.run(unit, start, (address, _file, _line, isEnd) => {
			if (rows++ === 0 || address < low) low = address;
			if (address > high) high = address;
			ended = isEnd;
		});
		if (ended && high > low && this.sections.isCode(low)) this.sequences.push({ low, high, unit, start });
		return next;
	}

	private unit(at: number): { readonly header: Unit; readonly start: number } {
		const { line } = this.sections;
		const cursor = new Cursor(line, at);
		let length = cursor.u32();
		let wide: 4 | 8 = 4;
		if (length === 0xffff_ffff) {
			wide = 8;
			length = cursor.offset(8);
		}
		const end = cursor.at + length;
		if (end > line.size) throw new Damaged(`is damaged or truncated: ${line.what} ends in the middle of a unit`);
		const header = new Cursor(line, cursor.at, end);
		const version = header.u16();
		if (version < 2 || version > 5) {
			// What a later DWARF says is skipped; the rest is still good.
			const none = { addressSize: 4, minimumLength: 1, maximumOperations: 1, lineBase: 0, lineRange: 1 } as const;
			return { header: { version, ...none, operands: [], files: [], firstFile: 0, end }, start: end };
		}
		let { addressSize } = this.sections;
		if (version >= 5) {
			const size = header.u8();
			if (size !== 4 && size !== 8) throw new Damaged(`is damaged: ${line.what} has addresses of ${size} bytes`);
			addressSize = size;
			header.skip(1);
		}
		const length2 = header.offset(wide);
		const start = header.at + length2;
		const minimumLength = header.u8();
		const maximumOperations = version >= 4 ? header.u8() : 1;
		header.skip(1);
		const lineBase = header.i8();
		const lineRange = header.u8();
		const firstSpecial = header.u8();
		if (lineRange === 0 || firstSpecial === 0 || maximumOperations === 0)
			throw new Damaged(`is damaged: a unit of ${line.what} cannot count lines`);
		const operands = [0];
		for (let n = 1; n < firstSpecial; n++) operands.push(header.u8());
		const firstFile = version >= 5 ? 0 : 1;
		const files = version >= 5 ? this.files5(header, wide) : files2(header);
		if (start < header.at || start > end) throw new Damaged(`is damaged: a unit of ${line.what} has no program`);
		return {
			header: {
				...{ version, addressSize, minimumLength, maximumOperations, lineBase, lineRange, operands },
				...{ files, firstFile, end },
			},
			start,
		};
	}

	private files5(header: Cursor, wide: 4 | 8): string[] {
		const folders = this.entries5(header, wide).map(({ path }) => path);
		// Folder 0 is where the compiler ran: names in it are as they were given.
		return this.entries5(header, wide).map(({ path, folder }) =>
			joined(folder === 0 ? "" : (folders[folder] ?? ""), path),
		);
	}

	private entries5(header: Cursor, wide: 4 | 8): { path: string; folder: number }[] {
		const formats = Array.from({ length: header.u8() }, () => [header.uleb(), header.uleb()] as const);
		const count = header.uleb();
		if (count > MOST_FILES || (formats.length === 0 && count > 0))
			throw new Damaged(`is damaged: a unit of ${this.sections.line.what} has ${count} files`);
		return Array.from({ length: count }, () => {
			const entry = { path: "", folder: 0 };
			for (const [type, form] of formats) {
				const value = this.form(header, form, wide);
				if (type === DW_LNCT_PATH) entry.path = String(value);
				if (type === DW_LNCT_DIRECTORY) entry.folder = Number(value);
			}
			return entry;
		});
	}

	private form(header: Cursor, form: number, wide: 4 | 8): string | number {
		const { lineStrings, strings, line } = this.sections;
		const from = (section: Bytes | undefined): string => {
			const at = header.offset(wide);
			if (section === undefined) throw new Damaged(`is damaged: ${line.what} names strings that are not there`);
			return section.text(at);
		};
		switch (form) {
			case FORM.string:
				return header.text();
			case FORM.lineStrp:
				return from(lineStrings);
			case FORM.strp:
				return from(strings);
			case FORM.udata:
				return header.uleb();
			case FORM.data1:
				return header.u8();
			case FORM.data2:
				return header.u16();
			case FORM.data4:
				return header.u32();
			case FORM.data8:
				return Number(header.u64());
			case FORM.data16:
				header.skip(16);
				return 0;
			case FORM.block:
				header.skip(header.uleb());
				return 0;
			case FORM.block1:
				header.skip(header.u8());
				return 0;
			case FORM.block2:
				header.skip(header.u16());
				return 0;
			case FORM.block4:
				header.skip(header.u32());
				return 0;
			default:
				throw new Damaged(`is damaged: ${line.what} has file names of form ${form}`);
		}
	}

	/** Runs one sequence of a unit's program. @returns where the next begins. */
	private run(
		unit: Unit,
		start: number,
		row: (address: bigint, file: number, line: number, isEnd: boolean) => void,
	): number {
		const cursor = new Cursor(this.sections.line, start, unit.end);
		const { minimumLength, maximumOperations, lineBase, lineRange, operands } = unit;
		const firstSpecial = operands.length;
		let [base, offset, operation, file, line] = [0n, 0, 0, 1, 1];
		const mask = unit.addressSize === 4 ? 0xffff_ffffn : 0xffff_ffff_ffff_ffffn;
		const emit = (isEnd: boolean): void => row((base + BigInt(offset)) & mask, file, line, isEnd);
		const advance = (by: number): void => {
			offset += minimumLength * Math.floor((operation + by) / maximumOperations);
			operation = (operation + by) % maximumOperations;
			if (!Number.isSafeInteger(offset)) offset = 0;
		};
		while (cursor.more) {
			const opcode = cursor.u8();
			if (opcode >= firstSpecial) {
				const special = opcode - firstSpecial;
				advance(Math.floor(special / lineRange));
				line += lineBase + (special % lineRange);
				emit(false);
				continue;
			}
			switch (opcode) {
				case 0: {
					const length = cursor.uleb();
					if (length === 0) break;
					const next = cursor.at + length;
					const extended = cursor.u8();
					if (extended === DW_LNE.endSequence) {
						emit(true);
						cursor.skip(Math.max(next - cursor.at, 0));
						return cursor.at;
					}
					if (extended === DW_LNE.setAddress && (length === 5 || length === 9)) {
						base = cursor.word(length === 5 ? 4 : 8);
						[offset, operation] = [0, 0];
					}
					cursor.skip(Math.max(next - cursor.at, 0));
					break;
				}
				case DW_LNS.copy:
					emit(false);
					break;
				case DW_LNS.advancePc:
					advance(cursor.uleb());
					break;
				case DW_LNS.advanceLine:
					line += cursor.sleb();
					break;
				case DW_LNS.setFile:
					file = cursor.uleb();
					break;
				case DW_LNS.addPc:
					advance(Math.floor((255 - firstSpecial) / lineRange));
					break;
				case DW_LNS.fixedAdvancePc:
					offset += cursor.u16();
					operation = 0;
					break;
				default:
					for (let n = operands[opcode] ?? 0; n > 0; n--) cursor.uleb();
			}
		}
		return unit.end;
	}
}

function files2(header: Cursor): string[] {
	const folders = [""];
	for (let folder = header.text(); folder !== ""; folder = header.text()) folders.push(folder);
	const files: string[] = [];
	for (let name = header.text(); name !== ""; name = header.text()) {
		files.push(joined(folders[header.uleb()] ?? "", name));
		header.uleb();
		header.uleb();
	}
	return files;
}

function joined(folder: string, name: string): string {
	return folder === "" || name.startsWith("/") || /^[A-Za-z]:/.test(name) ? name : `${folder}/${name}`;
}
