import { type Decoded, Decoder } from "../../src/isa/decoder.ts";
import { evaluate } from "../../src/isa/evaluate.ts";
import { instructionTable } from "../../src/isa/index.ts";
import { SEGMENT, VECTOR } from "../../src/isa/registers.ts";
import { layout, type MemoryRun, type VectorFault, type VectorState } from "../vectors/read.ts";
import type { ReplaySubject } from "../vectors/replay.ts";

/** A fault on the way to memory, thrown past the evaluator. */
class MemoryFault {
	readonly fault: VectorFault;
	constructor(fault: VectorFault) {
		this.fault = fault;
	}
}

const PRESENT = 1;
const WRITE = 2;
const USER = 4;
const FETCH = 16;

/**
 * The reference evaluator as a processor in the machine of the vectors: flat segments at ring 3 over four kinds of
 * pages. Only what meanings say themselves; an instruction that calls a helper is reported by `helper`.
 */
export class ReferenceProcessor implements ReplaySubject {
	/** The helper that the last step would have called. */
	helper: string | undefined;
	/** The last instruction. */
	readonly decoded: Decoded;
	private readonly decoder = new Decoder(instructionTable());
	private readonly memory = new Uint8Array(layout.code.end);
	private readonly view = new DataView(this.memory.buffer);
	private readonly registers: bigint[] = new Array(8).fill(0n);
	private eip = 0;
	private eflags = 0;
	private segments: readonly number[] = [];

	constructor() {
		this.decoded = this.decoder.out;
	}

	load(state: VectorState, memory: readonly MemoryRun[]): void {
		for (const { address, bytes } of memory) this.memory.set(bytes, address);
		for (const [n, value] of state.registers.entries()) this.registers[n] = BigInt(value);
		this.eip = state.eip;
		this.eflags = state.eflags;
		this.segments = state.segments;
	}

	step(): VectorFault | undefined {
		this.helper = undefined;
		const { decoded, eip } = this;
		this.decoder.decode(this.memory, eip, layout.code.end, 32);
		if (decoded.status === "truncated") return { vector: VECTOR.PF, errorCode: USER | FETCH, address: layout.code.end };
		if (decoded.status === "tooLong") return { vector: VECTOR.GP, errorCode: 0 };
		if (decoded.status === "undefined") return { vector: VECTOR.UD, errorCode: 0 };
		if (decoded.form?.family.checks?.includes("cpl0")) return { vector: VECTOR.GP, errorCode: 0 };
		const state = {
			registers: this.registers,
			flags: this.eflags,
			ip: BigInt(eip),
			selectors: this.segments,
			stackSize: 32,
			state: () => 0n,
			load: (segment: number, offset: bigint, bytes: number, modify: boolean) =>
				this.read(segment, Number(offset), bytes, modify),
			store: (segment: number, offset: bigint, bytes: number, value: bigint) =>
				this.write(segment, Number(offset), bytes, value),
		} as const;
		try {
			const outcome = evaluate(decoded, state);
			if (outcome.kind === "fault") return { vector: outcome.vector, errorCode: outcome.errorCode ?? 0 };
			if (outcome.kind === "helper") {
				this.helper = outcome.name;
				return undefined;
			}
		} catch (error) {
			if (error instanceof MemoryFault) return error.fault;
			throw error;
		}
		this.eip = Number(state.ip);
		this.eflags = state.flags;
		return undefined;
	}

	state(): VectorState {
		const registers = Uint32Array.from(this.registers, Number);
		return { registers, eip: this.eip, eflags: this.eflags, segments: this.segments };
	}

	data(): Uint8Array {
		return this.memory.subarray(layout.data.start, layout.data.end);
	}

	/** Faults as paging would, at the first byte that is not accessible. */
	private check(segment: number, address: number, bytes: number, write: boolean): void {
		if (segment === SEGMENT.fs || (write && segment === SEGMENT.cs))
			throw new MemoryFault({ vector: VECTOR.GP, errorCode: 0 });
		for (let n = 0; n < bytes; n++) {
			const at = (address + n) >>> 0;
			const writable = at >= layout.data.start && at < layout.data.end;
			const readable =
				(at >= layout.data.start && at < layout.readonly.end) || (at >= layout.code.start && at < layout.code.end);
			if (write ? writable : readable) continue;
			const errorCode = USER | (write ? WRITE : 0) | (readable ? PRESENT : 0);
			throw new MemoryFault({ vector: VECTOR.PF, errorCode, address: at });
		}
	}

	private read(segment: number, address: number, bytes: number, modify: boolean): bigint {
		this.check(segment, address, bytes, modify);
		let value = 0n;
		for (let n = bytes - 1; n >= 0; n--) value = (value << 8n) | BigInt(this.view.getUint8(address + n));
		return value;
	}

	private write(segment: number, address: number, bytes: number, value: bigint): void {
		this.check(segment, address, bytes, true);
		for (let n = 0; n < bytes; n++) this.memory[address + n] = Number((value >> BigInt(8 * n)) & 0xffn);
	}
}
