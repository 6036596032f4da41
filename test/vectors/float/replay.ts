import { readFileSync } from "node:fs";
import { join } from "node:path";
import { brotliDecompressSync } from "node:zlib";
import { F, STATE_SIZE } from "../../../src/vcpu/layout.ts";
import { type EngineName, LONG_TABLES, TestGuest } from "../../support/engine.ts";
import { faultOf, installFaultTable } from "../../support/fault-table.ts";
import type { FloatForm, Lanes } from "./forms.ts";
import { type FloatInputs, inputsOf } from "./inputs.ts";

const RECORD_SIZE = 50;

/** What an instruction left. */
export interface Outcome {
	/** MXCSR[5:0]; bit 6: the exception that is unmasked was raised. */
	readonly flags: number;
	/** ZF, PF, CF. */
	readonly eflags: number;
	readonly ymm: readonly number[];
	readonly mm: bigint;
	readonly rax: bigint;
}

const CODE = 0x10000;
/** Distance of cases with code of their own. */
const STRIDE = 32;
/** Times that some of such cases run before, so that they get compiled. */
const REHEARSALS = 3;
const SAMPLE = 4;
const RAM = 1 << 21;
const DATA = 0x3000;
const HLT = 0xf4;
const XM = 19;
/** Bit of {@link Outcome.flags}. */
const TRAPPED = 0x40;
const EDI = 7;
const ESP = 4;

/** A machine that runs cases of FORMAT.md. */
export class FloatMachine {
	private readonly guest: TestGuest;
	private readonly view: DataView;
	private readonly state: DataView;
	private readonly long: boolean;
	/** Where the last form or case with an immediate of its own stands. */
	private place = CODE;

	static async create(engine: EngineName, mode: "prot32" | "long"): Promise<FloatMachine> {
		return new FloatMachine(await TestGuest.create(engine, { mode, ram: RAM }), mode === "long");
	}

	private constructor(guest: TestGuest, long: boolean) {
		this.guest = guest;
		this.long = long;
		const { processor, ram } = guest;
		this.view = new DataView(ram.buffer, ram.byteOffset);
		if (!long) installFaultTable(guest);
		// OSFXSR, OSXMMEXCPT, OSXSAVE; x87, SSE and AVX state.
		processor.set64(F.cr4, processor.get64(F.cr4) | 0x40600n);
		processor.set64(F.xcr0, 7n);
		processor.refresh();
		const bytes = processor.memory.bytes(processor.state, STATE_SIZE);
		this.state = new DataView(bytes.buffer, bytes.byteOffset);
	}

	private load(bytes: readonly number[]): void {
		const { ram, vm } = this.guest;
		this.place = this.place + 2 * STRIDE < RAM - LONG_TABLES ? this.place + STRIDE : CODE;
		ram.set([...bytes, HLT], this.place);
		vm.written(ram.byteOffset + this.place, bytes.length + 1);
	}

	/** Runs every case of form number `number`; calls `done` with what each left, but for exceptions in 64-bit mode. */
	runForm(form: FloatForm, cases: FloatCases, number: number, done: (n: number, outcome: Outcome) => void): void {
		if (!form.immediate) this.load(form.bytes);
		for (let n = 0; n < cases.count; n++) {
			if (this.long && (cases.outcome(number, n).flags & TRAPPED) !== 0) continue;
			const inputs = inputsOf(cases.seed, number, n, form.lanes);
			if (!form.immediate) {
				done(n, this.run(inputs));
				continue;
			}
			this.load([...form.bytes.slice(0, -1), inputs.immediate]);
			const rehearsals = n % SAMPLE === 0 ? REHEARSALS : 0;
			for (let run = 0; run < rehearsals; run++) this.run(inputs);
			done(n, this.run(inputs));
		}
	}

	private run(inputs: FloatInputs): Outcome {
		const { guest, state, view } = this;
		const { processor } = guest;
		inputs.ymm.forEach((words, operand) => {
			words.forEach((word, lane) => state.setUint32(F.ymm.offset + operand * 32 + lane * 4, word, true));
		});
		inputs.ymm[2].forEach((word, lane) => view.setUint32(DATA + 96 + lane * 4, word, true));
		state.setBigUint64(F.fpr.offset, inputs.mm[0], true);
		state.setBigUint64(F.fpr.offset + 32, inputs.mm[1], true);
		processor.set(F.mxcsr, inputs.mxcsr);
		processor.setGpr(0, inputs.rax);
		processor.setGpr(EDI, BigInt(DATA));
		processor.setGpr(ESP, 0x8000n);
		processor.set64(F.rip, BigInt(this.place));
		processor.call("writeFlags", 2);
		const vector = faultOf(guest);
		const words = Array.from({ length: 8 }, (_, k) => state.getUint32(F.ymm.offset + k * 4, true) ^ inputs.ymm[0][k]!);
		return {
			flags: (processor.get(F.mxcsr) & 0x3f) | (vector === XM ? TRAPPED : vector === -1 ? 0 : 0x80),
			eflags: vector === -1 ? processor.call("readFlags") & 0x45 : 0,
			ymm: words.map((word) => word >>> 0),
			mm: state.getBigUint64(F.fpr.offset, true) ^ inputs.mm[0],
			rax: (processor.gpr(0) ^ inputs.rax) & (this.long ? -1n : 0xffff_ffffn),
		};
	}
}

/** Recorded cases: FORMAT.md. */
export class FloatCases {
	readonly seed: number;
	/** Cases of each form. */
	readonly count: number;
	readonly forms: readonly FloatForm[];
	private readonly records: DataView;

	constructor(file = join(import.meta.dirname, "float.vec.br")) {
		const data = brotliDecompressSync(readFileSync(file));
		let at = 0;
		const line = (): string => {
			const end = data.indexOf(10, at);
			const text = data.toString("latin1", at, end);
			at = end + 1;
			return text;
		};
		const [seed, count, forms] = line().split(" ").map(Number);
		this.seed = seed!;
		this.count = count!;
		this.forms = Array.from({ length: forms! }, () => {
			const [, lanes, immediate, wide, bytes, name] = /^(.) (.) (.) (\w+) (.*)$/.exec(line())!;
			return {
				name: name!,
				lanes: lanes as Lanes,
				immediate: immediate === "1",
				wide: wide === "1",
				bytes: [...Buffer.from(bytes!, "hex")],
			};
		});
		this.records = new DataView(data.buffer, data.byteOffset + at, data.length - at);
	}

	/** What case `n` of form number `form` left. */
	outcome(form: number, n: number): Outcome {
		const { records: view } = this;
		const at = (form * this.count + n) * RECORD_SIZE;
		return {
			flags: view.getUint8(at),
			eflags: view.getUint8(at + 1),
			ymm: Array.from({ length: 8 }, (_, k) => view.getUint32(at + 2 + k * 4, true)),
			mm: view.getBigUint64(at + 34, true),
			rax: view.getBigUint64(at + 42, true),
		};
	}

	/** How an outcome differs from what case `n` of form number `form` left; undefined where it does not. */
	difference(form: number, n: number, got: Outcome): string | undefined {
		const { name, lanes, wide } = this.forms[form]!;
		const recorded = this.outcome(form, n);
		// Outside 64-bit mode the upper half of RAX is nobody's.
		const wanted = wide ? recorded : { ...recorded, rax: recorded.rax & 0xffff_ffffn };
		if (!/^V?(RCP|RSQRT)/.test(name)) return difference(got, wanted);
		return roughDifference(got, wanted, inputsOf(this.seed, form, n, lanes).ymm[0]);
	}
}

function hex(value: number | bigint): string {
	return value.toString(16);
}

function text({ flags, eflags, ymm, mm, rax }: Outcome): string {
	return `mxcsr ${hex(flags)} flags ${hex(eflags)} ymm0 ${ymm.map(hex).join(" ")} mm0 ${hex(mm)} rax ${hex(rax)}`;
}

/** How two outcomes differ; undefined where they do not. */
function difference(got: Outcome, wanted: Outcome): string | undefined {
	const [a, b] = [text(got), text(wanted)];
	return a === b ? undefined : `${a}, not ${b}`;
}

/** The same for RCPPS and RSQRTPS: numbers need only be within what the manual allows, twice 1.5 · 2^-12, of each other. */
function roughDifference(got: Outcome, wanted: Outcome, before: Uint32Array): string | undefined {
	const floats = new DataView(new ArrayBuffer(4));
	const value = (word: number, lane: number): number => {
		floats.setUint32(0, word ^ before[lane]!);
		return floats.getFloat32(0);
	};
	const near = (lane: number): boolean => {
		const [a, b] = [value(got.ymm[lane]!, lane), value(wanted.ymm[lane]!, lane)];
		return Math.abs(a / b - 1) <= 3 / 4096;
	};
	return difference({ ...got, ymm: got.ymm.map((word, lane) => (near(lane) ? wanted.ymm[lane]! : word)) }, wanted);
}
