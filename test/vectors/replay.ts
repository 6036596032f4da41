import { initialMemory, layout, type MemoryRun, type Vector, type VectorFault, type VectorState } from "./read.ts";

/** A processor the vectors can be held against. Its machine is the one FORMAT.md describes. */
export interface ReplaySubject {
	/** Stores `memory` (linear addresses, code included; a later run wins), then takes over `state`. */
	load(state: VectorState, memory: readonly MemoryRun[]): void;
	/** Runs one instruction, with all iterations of a REP. Returns its fault, which is not delivered. */
	step(): VectorFault | undefined;
	/** The registers now. */
	state(): VectorState;
	/** The data pages now, `layout.data.start` to `layout.data.end`; read before the next load. */
	data(): Uint8Array;
}

export interface ReplayOptions {
	/** EFLAGS bits that the manual leaves undefined after this instruction with these operands. */
	readonly undefinedFlags: (vector: Vector) => number;
	/** Whether page fault error codes tell instruction fetches (bit 4), which needs NX. */
	readonly fetchErrors: boolean;
	/** Stop after this many mismatches. */
	readonly limit: number;
}

export interface Mismatch {
	readonly vector: Vector;
	/** One line each: what, expected, found. */
	readonly differences: readonly string[];
}

export interface ReplayResult {
	readonly count: number;
	readonly mismatches: readonly Mismatch[];
}

const USER_FLAGS = 0x244fd5;
const FETCH = 0x10;
const PAGE_FAULT = 14;
const INT3 = 0xcc;
const REGISTERS = ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"] as const;
const SEGMENTS = ["es", "cs", "ss", "ds", "fs", "gs"] as const;

/** Runs every vector on `subject` and compares everything the processor left. */
export function replay(vectors: Iterable<Vector>, subject: ReplaySubject, options: ReplayOptions): ReplayResult {
	const pattern = initialMemory();
	const dataLength = layout.data.end - layout.data.start;
	const expected = pattern.slice(0, dataLength);
	const mismatches: Mismatch[] = [];
	let count = 0;
	let undo: MemoryRun[] = [
		{ address: layout.data.start, bytes: pattern },
		{ address: layout.code.start, bytes: new Uint8Array(layout.code.end - layout.code.start).fill(INT3) },
	];

	for (const vector of vectors) {
		const length = Math.min(vector.bytes.length, layout.code.end - vector.before.eip);
		const code = { address: vector.before.eip, bytes: vector.bytes.subarray(0, length) };
		subject.load(vector.before, [...undo, ...vector.patches, code]);
		const fault = subject.step();

		const touched = [...vector.patches, ...vector.changes];
		for (const run of touched) expected.set(run.bytes, run.address - layout.data.start);
		const differences = [
			...compareFaults(vector.fault, fault, options.fetchErrors),
			...compareStates(vector.after, subject.state(), options.undefinedFlags(vector)),
			...compareMemory(expected, subject.data()),
		];
		undo = touched.map(({ address, bytes }) => {
			const at = address - layout.data.start;
			return { address, bytes: pattern.subarray(at, at + bytes.length) };
		});
		for (const run of undo) expected.set(run.bytes, run.address - layout.data.start);
		undo.push({ address: code.address, bytes: new Uint8Array(length).fill(INT3) });

		count++;
		if (differences.length > 0) {
			mismatches.push({ vector, differences });
			if (mismatches.length >= options.limit) break;
			undo.push({ address: layout.data.start, bytes: pattern.subarray(0, dataLength) });
		}
	}
	return { count, mismatches };
}

/** A mismatch as text: the case, its bytes, what differs. */
export function describeMismatch({ vector, differences }: Mismatch): string {
	const bytes = Buffer.from(vector.bytes).toString("hex");
	const registers = REGISTERS.map((name, i) => `${name}=${hex(vector.before.registers[i]!)}`).join(" ");
	return [
		`${vector.form} case ${vector.index}: ${bytes} at ${hex(vector.before.eip)}`,
		`  before: ${registers} eflags=${hex(vector.before.eflags)}`,
		...vector.patches.map(({ address, bytes }) => `  memory ${hex(address)}: ${Buffer.from(bytes).toString("hex")}`),
		...differences.map((line) => `  ${line}`),
	].join("\n");
}

function hex(value: number): string {
	return (value >>> 0).toString(16);
}

function describeFault(fault: VectorFault | undefined): string {
	if (fault === undefined) return "no fault";
	const address = fault.address === undefined ? "" : ` at ${hex(fault.address)}`;
	return `vector ${fault.vector}, error code ${hex(fault.errorCode)}${address}`;
}

function compareFaults(
	expected: VectorFault | undefined,
	found: VectorFault | undefined,
	fetchErrors: boolean,
): string[] {
	const wanted =
		expected?.vector === PAGE_FAULT && !fetchErrors
			? { ...expected, errorCode: expected.errorCode & ~FETCH }
			: expected;
	const same =
		wanted?.vector === found?.vector &&
		wanted?.errorCode === found?.errorCode &&
		(wanted?.vector !== PAGE_FAULT || wanted.address === found?.address);
	return same ? [] : [`expected ${describeFault(wanted)}, found ${describeFault(found)}`];
}

function compareStates(expected: VectorState, found: VectorState, undefinedFlags: number): string[] {
	const differences: string[] = [];
	const compare = (name: string, wanted: number, value: number): void => {
		if (wanted !== value) differences.push(`${name}: expected ${hex(wanted)}, found ${hex(value)}`);
	};
	for (let i = 0; i < 8; i++) compare(REGISTERS[i]!, expected.registers[i]!, found.registers[i]! >>> 0);
	for (let i = 0; i < 6; i++) compare(SEGMENTS[i]!, expected.segments[i]!, found.segments[i]!);
	compare("eip", expected.eip, found.eip >>> 0);
	const mask = USER_FLAGS & ~undefinedFlags;
	compare("eflags", expected.eflags & mask, found.eflags & mask);
	return differences;
}

function compareMemory(expected: Uint8Array, found: Uint8Array): string[] {
	if (Buffer.compare(expected, found) === 0) return [];
	const at = expected.findIndex((byte, i) => byte !== found[i]);
	const bytes = (from: Uint8Array): string => Buffer.from(from.subarray(at, at + 8)).toString("hex");
	return [`memory ${hex(layout.data.start + at)}: expected ${bytes(expected)}, found ${bytes(found)}`];
}
