import { type Bytes, Cursor, Damaged } from "./bytes.ts";
import { evaluate } from "./dwarf-expression.ts";
import { type MemoryReader, type UnwindRegisters, wordIn } from "./symbols.ts";

/** A section of unwind tables: `.debug_frame`, or `.eh_frame`, whose pointers are relative to where it lies. */
export interface FrameSection {
	readonly bytes: Bytes;
	readonly kind: "debug" | "eh";
	readonly address: bigint;
}

/** A common information entry (DWARF 5, 6.4.1; Linux Standard Base, chapter 10.6 for .eh_frame). */
interface Common {
	readonly codeAlign: number;
	readonly dataAlign: number;
	readonly returnRegister: number;
	/** How pointers are written (DW_EH_PE). */
	readonly encoding: number;
	readonly hasData: boolean;
	readonly program: Cursor;
	readonly wordSize: 4 | 8;
}

interface Entry {
	readonly first: bigint;
	readonly end: bigint;
	readonly common: Common;
	readonly program: { readonly bytes: Bytes; readonly at: number; readonly end: number };
}

/** Where the caller's value of a register is. */
type Rule =
	| { readonly kind: "undefined" | "same" }
	| { readonly kind: "saved" | "is"; readonly offset: number }
	| { readonly kind: "register"; readonly number: number }
	| { readonly kind: "saved-at" | "is-result"; readonly expression: Bytes };

interface Row {
	cfa: { readonly register: number; readonly offset: number } | { readonly expression: Bytes } | undefined;
	rules: Map<number, Rule>;
}

const PE = { absolute: 0, pcRelative: 0x10, indirect: 0x80, omit: 0xff } as const;
const DW_CFA = {
	advance: 0x40,
	offset: 0x80,
	restore: 0xc0,
	setLoc: 1,
	advance1: 2,
	advance2: 3,
	advance4: 4,
	offsetExtended: 5,
	restoreExtended: 6,
	undefined: 7,
	sameValue: 8,
	register: 9,
	rememberState: 10,
	restoreState: 11,
	defCfa: 12,
	defCfaRegister: 13,
	defCfaOffset: 14,
	defCfaExpression: 15,
	expression: 16,
	offsetExtendedSf: 17,
	defCfaSf: 18,
	defCfaOffsetSf: 19,
	valOffset: 20,
	valOffsetSf: 21,
	valExpression: 22,
	gnuWindowSave: 0x2d,
	gnuArgsSize: 0x2e,
	gnuNegativeOffset: 0x2f,
} as const;
const MOST_REMEMBERED = 64;

/** Stack pointer of each machine in DWARF's numbers (System V psABI). */
const STACK_POINTER = { i386: 4, "x86-64": 7 } as const;

/** The unwind tables of a file. */
export class CallFrames {
	private readonly entries: Entry[] = [];
	private readonly machine: "i386" | "x86-64";

	/** @throws Damaged */
	constructor(sections: readonly FrameSection[], machine: "i386" | "x86-64", isCode: (address: bigint) => boolean) {
		this.machine = machine;
		for (const section of sections) this.index(section);
		this.entries = this.entries
			.filter(({ first }) => isCode(first))
			.sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0));
	}

	/**
	 * The registers of the caller.
	 * @param address in the function, as it was linked: the innermost frame's, or one within the call
	 * @returns undefined where the tables do not tell; `outermost` where they say that nobody called.
	 */
	caller(address: bigint, registers: UnwindRegisters, read: MemoryReader): UnwindRegisters | "outermost" | undefined {
		if (registers.machine !== this.machine) return undefined;
		const entry = this.entryAt(address);
		if (entry === undefined) return undefined;
		try {
			const row = this.rowAt(entry, address);
			return row && this.unwound(row, entry.common, registers, read);
		} catch (error) {
			if (error instanceof Damaged) return undefined;
			throw error;
		}
	}

	private entryAt(address: bigint): Entry | undefined {
		let from = 0;
		let to = this.entries.length;
		while (from < to) {
			const middle = (from + to) >> 1;
			if (this.entries[middle]!.first <= address) from = middle + 1;
			else to = middle;
		}
		const entry = this.entries[from - 1];
		return entry !== undefined && address < entry.end ? entry : undefined;
	}

	private unwound(
		{ cfa, rules }: Row,
		common: Common,
		registers: UnwindRegisters,
		read: MemoryReader,
	): UnwindRegisters | "outermost" | undefined {
		const { wordSize, returnRegister } = common;
		const mask = wordSize === 8 ? 0xffff_ffff_ffff_ffffn : 0xffff_ffffn;
		const frame = this.cfaOf(cfa, registers, read, mask);
		if (frame === undefined) return undefined;
		const at = (address: bigint): bigint | undefined => {
			const bytes = read(address & mask, wordSize);
			return bytes && wordIn(bytes);
		};
		const values = [...registers.values];
		for (const [register, rule] of rules) {
			switch (rule.kind) {
				case "undefined":
					if (register === returnRegister) return "outermost";
					values[register] = undefined;
					break;
				case "same":
					break;
				case "saved":
					values[register] = at(frame + BigInt(rule.offset));
					break;
				case "is":
					values[register] = (frame + BigInt(rule.offset)) & mask;
					break;
				case "register":
					values[register] = registers.values[rule.number];
					break;
				case "saved-at":
				case "is-result": {
					const value = evaluate(rule.expression, registers.values, read, wordSize, frame);
					values[register] = value === undefined || rule.kind === "is-result" ? value : at(value);
					break;
				}
			}
		}
		const pc = values[returnRegister];
		if (pc === undefined) return undefined;
		const stack = STACK_POINTER[this.machine];
		if (!rules.has(stack)) values[stack] = frame;
		return { machine: this.machine, pc, values };
	}

	private cfaOf(cfa: Row["cfa"], registers: UnwindRegisters, read: MemoryReader, mask: bigint): bigint | undefined {
		if (cfa === undefined) return undefined;
		if ("expression" in cfa) return evaluate(cfa.expression, registers.values, read, mask > 0xffff_ffffn ? 8 : 4);
		const base = registers.values[cfa.register];
		return base === undefined ? undefined : (base + BigInt(cfa.offset)) & mask;
	}

	/** The rules in force at an address: the common program, then the function's own as far as the address. */
	private rowAt({ first, common, program }: Entry, address: bigint): Row | undefined {
		const row: Row = { cfa: undefined, rules: new Map() };
		const start = common.program;
		execute(new Cursor(start.bytes, start.at, start.end), common, row, undefined, first, undefined);
		const initial = new Map(row.rules);
		execute(new Cursor(program.bytes, program.at, program.end), common, row, initial, first, address);
		return row;
	}

	private index({ bytes, kind, address }: FrameSection): void {
		const commons = new Map<number, Common | undefined>();
		for (let at = 0; at + 4 <= bytes.size; ) {
			const cursor = new Cursor(bytes, at);
			let length = cursor.u32();
			const wide = length === 0xffff_ffff;
			if (wide) length = cursor.offset(8);
			const body = cursor.at;
			const end = body + length;
			if (end > bytes.size) throw new Damaged(`is damaged or truncated: ${bytes.what} ends in the middle of an entry`);
			at = end;
			if (length === 0) continue;
			const entry = new Cursor(bytes, body, end);
			const id = wide ? Number(entry.u64()) : entry.u32();
			const isCommon = kind === "eh" ? id === 0 : id === 0xffff_ffff || id === 2 ** 64;
			if (isCommon) continue;
			const from = kind === "eh" ? body - id : id;
			if (!commons.has(from)) commons.set(from, this.common(bytes, from, kind));
			const common = commons.get(from);
			if (common === undefined) continue;
			const place = address + BigInt(entry.at);
			const first = pointer(entry, common.encoding, common.wordSize, place);
			const size = pointer(entry, common.encoding & 15, common.wordSize, 0n);
			if (common.hasData) entry.skip(entry.uleb());
			if (first === undefined || size === undefined) continue;
			this.entries.push({ first, end: first + size, common, program: { bytes, at: entry.at, end } });
		}
	}

	private common(bytes: Bytes, at: number, kind: "debug" | "eh"): Common | undefined {
		const head = new Cursor(bytes, at);
		let length = head.u32();
		const wide = length === 0xffff_ffff;
		if (wide) length = head.offset(8);
		const cursor = new Cursor(bytes, head.at, head.at + length);
		cursor.skip(wide && kind === "debug" ? 8 : 4);
		const version = cursor.u8();
		if (version !== 1 && version !== 3 && version !== 4) return undefined;
		const augmentation = cursor.text();
		let wordSize: 4 | 8 = this.machine === "i386" ? 4 : 8;
		if (version === 4) {
			wordSize = cursor.u8() === 4 ? 4 : 8;
			cursor.skip(1);
		}
		const codeAlign = cursor.uleb();
		const dataAlign = cursor.sleb();
		const returnRegister = version === 1 ? cursor.u8() : cursor.uleb();
		const hasData = augmentation.startsWith("z");
		if (augmentation !== "" && !hasData) return undefined;
		let encoding: number = PE.absolute;
		if (hasData) {
			const size = cursor.uleb();
			const data = cursor.at;
			for (const letter of augmentation.slice(1)) {
				if (letter === "R") encoding = cursor.u8();
				else if (letter === "L") cursor.skip(1);
				else if (letter === "P") pointer(cursor, cursor.u8(), wordSize, 0n);
				else if (letter !== "S" && letter !== "B") break;
			}
			cursor.at = data;
			cursor.skip(size);
		}
		return { codeAlign, dataAlign, returnRegister, encoding, hasData, program: cursor, wordSize };
	}
}

/** A pointer in one of the encodings of .eh_frame; undefined for those that need what a file does not say. */
function pointer(cursor: Cursor, encoding: number, wordSize: 4 | 8, place: bigint): bigint | undefined {
	if (encoding === PE.omit) return undefined;
	const value = pointerValue(cursor, encoding & 15, wordSize);
	const applied = encoding & 0x70;
	if (value === undefined || (encoding & PE.indirect) !== 0) return undefined;
	const mask = wordSize === 8 ? 0xffff_ffff_ffff_ffffn : 0xffff_ffffn;
	if (applied === PE.absolute) return value & mask;
	return applied === PE.pcRelative ? (value + place) & mask : undefined;
}

function pointerValue(cursor: Cursor, format: number, wordSize: 4 | 8): bigint | undefined {
	switch (format) {
		case 0:
			return cursor.word(wordSize);
		case 1:
			return BigInt(cursor.uleb());
		case 2:
			return BigInt(cursor.u16());
		case 3:
			return BigInt(cursor.u32());
		case 4:
			return cursor.u64();
		case 9:
			return BigInt(cursor.sleb());
		case 10:
			return BigInt.asIntN(16, BigInt(cursor.u16()));
		case 11:
			return BigInt.asIntN(32, BigInt(cursor.u32()));
		case 12:
			return BigInt.asIntN(64, cursor.u64());
		default:
			return undefined;
	}
}

/** Runs a program of call frame instructions up to `address`, or to its end. */
function execute(
	cursor: Cursor,
	{ codeAlign, dataAlign, wordSize, encoding }: Common,
	row: Row,
	initial: ReadonlyMap<number, Rule> | undefined,
	first: bigint,
	address: bigint | undefined,
): void {
	let place = first;
	const remembered: Row[] = [];
	const restore = (register: number): void => {
		const rule = initial?.get(register);
		if (rule === undefined) row.rules.delete(register);
		else row.rules.set(register, rule);
	};
	const saved = (register: number, factored: number): void => {
		row.rules.set(register, { kind: "saved", offset: factored * dataAlign });
	};
	const moveCfa = (offset: number): void => {
		if (row.cfa !== undefined && "register" in row.cfa) row.cfa = { register: row.cfa.register, offset };
	};
	while (cursor.more) {
		const opcode = cursor.u8();
		const low = opcode & 0x3f;
		let advance: number | undefined;
		switch (opcode & 0xc0) {
			case DW_CFA.advance:
				advance = low;
				break;
			case DW_CFA.offset:
				saved(low, cursor.uleb());
				continue;
			case DW_CFA.restore:
				restore(low);
				continue;
		}
		if (opcode === DW_CFA.advance1) advance = cursor.u8();
		else if (opcode === DW_CFA.advance2) advance = cursor.u16();
		else if (opcode === DW_CFA.advance4) advance = cursor.u32();
		if (advance !== undefined) {
			place += BigInt(advance * codeAlign);
			if (address !== undefined && place > address) return;
			continue;
		}
		switch (opcode) {
			case 0:
				break;
			case DW_CFA.setLoc:
				place = pointer(cursor, encoding, wordSize, 0n) ?? place;
				if (address !== undefined && place > address) return;
				break;
			case DW_CFA.offsetExtended:
				saved(cursor.uleb(), cursor.uleb());
				break;
			case DW_CFA.offsetExtendedSf:
				saved(cursor.uleb(), cursor.sleb());
				break;
			case DW_CFA.gnuNegativeOffset:
				saved(cursor.uleb(), -cursor.uleb());
				break;
			case DW_CFA.restoreExtended:
				restore(cursor.uleb());
				break;
			case DW_CFA.undefined:
				row.rules.set(cursor.uleb(), { kind: "undefined" });
				break;
			case DW_CFA.sameValue:
				row.rules.set(cursor.uleb(), { kind: "same" });
				break;
			case DW_CFA.register:
				row.rules.set(cursor.uleb(), { kind: "register", number: cursor.uleb() });
				break;
			case DW_CFA.rememberState:
				if (remembered.length >= MOST_REMEMBERED)
					throw new Damaged("is damaged: its unwind tables are nested too deeply");
				remembered.push({ cfa: row.cfa, rules: new Map(row.rules) });
				break;
			case DW_CFA.restoreState: {
				const state = remembered.pop();
				if (state !== undefined) [row.cfa, row.rules] = [state.cfa, state.rules];
				break;
			}
			case DW_CFA.defCfa:
				row.cfa = { register: cursor.uleb(), offset: cursor.uleb() };
				break;
			case DW_CFA.defCfaSf:
				row.cfa = { register: cursor.uleb(), offset: cursor.sleb() * dataAlign };
				break;
			case DW_CFA.defCfaRegister:
				row.cfa = {
					register: cursor.uleb(),
					offset: row.cfa !== undefined && "offset" in row.cfa ? row.cfa.offset : 0,
				};
				break;
			case DW_CFA.defCfaOffset:
				moveCfa(cursor.uleb());
				break;
			case DW_CFA.defCfaOffsetSf:
				moveCfa(cursor.sleb() * dataAlign);
				break;
			case DW_CFA.defCfaExpression:
				row.cfa = { expression: cursor.take(cursor.uleb()) };
				break;
			case DW_CFA.expression:
				row.rules.set(cursor.uleb(), { kind: "saved-at", expression: cursor.take(cursor.uleb()) });
				break;
			case DW_CFA.valExpression:
				row.rules.set(cursor.uleb(), { kind: "is-result", expression: cursor.take(cursor.uleb()) });
				break;
			case DW_CFA.valOffset:
				row.rules.set(cursor.uleb(), { kind: "is", offset: cursor.uleb() * dataAlign });
				break;
			case DW_CFA.valOffsetSf:
				row.rules.set(cursor.uleb(), { kind: "is", offset: cursor.sleb() * dataAlign });
				break;
			case DW_CFA.gnuArgsSize:
				cursor.uleb();
				break;
			case DW_CFA.gnuWindowSave:
				break;
			default:
				throw new Damaged(`is damaged: its unwind tables have an instruction 0x${opcode.toString(16)}`);
		}
	}
}
