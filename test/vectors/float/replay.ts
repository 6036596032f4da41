import { F, STATE_SIZE } from "../../../src/vcpu/layout.ts";
import { type EngineName, TestGuest } from "../../support/engine.ts";
import { faultOf, installFaultTable } from "../../support/fault-table.ts";
import type { FloatForm } from "./forms.ts";
import { inputsOf } from "./inputs.ts";

/** Bytes of a case in a file of records: flags, EFLAGS, then YMM0, MM0 and RAX XOR what they were. */
export const RECORD_SIZE = 50;

/** What an instruction left. */
interface Outcome {
	/** MXCSR[5:0]; bit 6: the exception that is unmasked was raised. */
	readonly flags: number;
	/** ZF, PF, CF. */
	readonly eflags: number;
	readonly ymm: readonly number[];
	readonly mm: bigint;
	readonly rax: bigint;
}

const CODE = 0x10000;
const DATA = 0x3000;
const HLT = 0xf4;
const XM = 19;
const EDI = 7;
const ESP = 4;

/** A machine that runs cases of FORMAT.md. */
export class FloatMachine {
	private readonly guest: TestGuest;
	private readonly view: DataView;
	private readonly state: DataView;
	private readonly long: boolean;

	static async create(engine: EngineName, mode: "prot32" | "long"): Promise<FloatMachine> {
		return new FloatMachine(await TestGuest.create(engine, { mode, code: [] }), mode === "long");
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

	/** Makes `form` what the cases from now on run. */
	load({ bytes }: FloatForm): void {
		const { ram, vm } = this.guest;
		ram.set([...bytes, HLT], CODE);
		vm.written(ram.byteOffset + CODE, bytes.length + 1);
	}

	/** Runs case `n`; undefined where it cannot be run: its exception could not be delivered. */
	run(form: FloatForm, seed: number, number: number, n: number, trapped: boolean): Outcome | undefined {
		if (trapped && this.long) return undefined;
		const { guest, state, view } = this;
		const { processor, ram } = guest;
		const inputs = inputsOf(seed, number, n, form.lanes);
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
		if (form.immediate && ram[CODE + form.bytes.length - 1] !== inputs.immediate) {
			ram[CODE + form.bytes.length - 1] = inputs.immediate;
			guest.vm.written(ram.byteOffset + CODE, form.bytes.length);
		}
		processor.set64(F.rip, BigInt(CODE));
		processor.call("writeFlags", 2);
		const vector = faultOf(guest);
		const words = Array.from({ length: 8 }, (_, k) => state.getUint32(F.ymm.offset + k * 4, true) ^ inputs.ymm[0][k]!);
		return {
			flags: (processor.get(F.mxcsr) & 0x3f) | (vector === XM ? 0x40 : vector === -1 ? 0 : 0x80),
			eflags: vector === -1 ? processor.call("readFlags") & 0x45 : 0,
			ymm: words.map((word) => word >>> 0),
			mm: state.getBigUint64(F.fpr.offset, true) ^ inputs.mm[0],
			rax: processor.gpr(0) ^ inputs.rax,
		};
	}
}

/** Reads the record at `at`. */
export function readOutcome(view: DataView, at: number): Outcome {
	return {
		flags: view.getUint8(at),
		eflags: view.getUint8(at + 1),
		ymm: Array.from({ length: 8 }, (_, k) => view.getUint32(at + 2 + k * 4, true)),
		mm: view.getBigUint64(at + 34, true),
		rax: view.getBigUint64(at + 42, true),
	};
}

function hex(value: number | bigint): string {
	return value.toString(16);
}

function text({ flags, eflags, ymm, mm, rax }: Outcome): string {
	return `mxcsr ${hex(flags)} flags ${hex(eflags)} ymm0 ${ymm.map(hex).join(" ")} mm0 ${hex(mm)} rax ${hex(rax)}`;
}

/** How two outcomes differ; undefined where they do not. */
export function difference(got: Outcome, wanted: Outcome): string | undefined {
	const [a, b] = [text(got), text(wanted)];
	return a === b ? undefined : `${a}, not ${b}`;
}

/** The same for RCPPS and RSQRTPS: numbers need only be within what the manual allows, twice 1.5 · 2^-12, of each other. */
export function roughDifference(got: Outcome, wanted: Outcome, before: Uint32Array): string | undefined {
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
