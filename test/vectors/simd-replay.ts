import { readFileSync } from "node:fs";
import { brotliDecompressSync } from "node:zlib";
import { CR4 } from "../../src/vcpu/core/control-bits.ts";
import { F, GPRS, STATE_SIZE } from "../../src/vcpu/layout.ts";
import { type EngineName, TestGuest } from "../support/engine.ts";
import { fillState, type Indices, STATE, stateHash } from "./simd-state.ts";

/** An instruction and what a processor left behind after each of its runs. */
export interface SimdLine {
	readonly code: Uint8Array;
	readonly indices: Indices | undefined;
	readonly hashes: readonly number[];
}

/** Lines as generate-simd/run.c prints them. */
export function parseSimdLines(text: string): SimdLine[] {
	return text
		.trim()
		.split("\n")
		.map((line) => {
			const words = line.split(" ");
			const code = Uint8Array.from(Buffer.from(words.shift() ?? "", "hex"));
			const [, register, bytes] = /^g(\d+):([48])$/.exec(words[0] ?? "") ?? [];
			if (register) words.shift();
			const indices = register ? { register: Number(register), bytes: bytes === "8" ? (8 as const) : (4 as const) } : undefined;
			return { code, indices, hashes: words.map((word) => Number.parseInt(word, 16)) };
		});
}

/** The committed lines. */
export function committedSimdLines(): SimdLine[] {
	return parseSimdLines(brotliDecompressSync(readFileSync(new URL("simd.txt.br", import.meta.url))).toString());
}

const CODE = 0x10000;
const STRIDE = 32;
const ROOM = 1024;
const MEMORY = 0x3000;
const JUMP_TO_ITSELF = [0xeb, 0xfe];

/** Replays lines on an engine. */
export class SimdReplay {
	private readonly guest: TestGuest;
	private readonly state = new Int32Array(STATE.words);

	private constructor(guest: TestGuest) {
		this.guest = guest;
	}

	static async create(engine: EngineName): Promise<SimdReplay> {
		const guest = await TestGuest.create(engine, { mode: "long" });
		const { processor } = guest;
		processor.set64(F.cr4, BigInt(CR4.pae | CR4.osfxsr | CR4.osxsave));
		processor.set64(F.xcr0, 7n);
		processor.refresh();
		return new SimdReplay(guest);
	}

	/** What is left behind after run `run` of `line`, which is number `number`. Runs of a line follow one another. */
	private run(line: SimdLine, number: number, run: number): Int32Array {
		const { guest, state } = this;
		const { processor, ram } = guest;
		const place = CODE + (number % ROOM) * STRIDE;
		if (run === 0) {
			ram.set([...line.code, ...JUMP_TO_ITSELF], place);
			guest.vm.written(ram.byteOffset + place, STRIDE);
		}
		fillState(state, number, run, line.indices);
		const words = new Int32Array(processor.bytes().buffer, processor.state, STATE_SIZE / 4);
		const memory = new Int32Array(ram.buffer, ram.byteOffset + MEMORY, STATE.words - STATE.memory);
		words.set(state.subarray(STATE.ymm, STATE.mm), F.ymm.offset / 4);
		for (let n = 0; n < 8; n++)
			words.set(state.subarray(STATE.mm + n * 2, STATE.mm + n * 2 + 2), (F.fpr.offset + n * 16) / 4);
		words.set(state.subarray(STATE.gpr, STATE.flags), GPRS / 4);
		for (const n of [3, 7]) words[GPRS / 4 + n * 2] = MEMORY;
		memory.set(state.subarray(STATE.memory));
		processor.call("writeFlags", state[STATE.flags]! | 2);
		processor.set64(F.rip, BigInt(place));
		guest.run(2);
		state.set(words.subarray(F.ymm.offset / 4, F.ymm.offset / 4 + 128), STATE.ymm);
		for (let n = 0; n < 8; n++) {
			const at = (F.fpr.offset + n * 16) / 4;
			state.set(words.subarray(at, at + 2), STATE.mm + n * 2);
		}
		state.set(words.subarray(GPRS / 4, GPRS / 4 + 32), STATE.gpr);
		for (const n of [3, 4, 7]) state.fill(0, STATE.gpr + n * 2, STATE.gpr + n * 2 + 2);
		state[STATE.flags] = processor.call("readFlags") & 0x8d5;
		state[STATE.flags + 1] = 0;
		state.set(memory, STATE.memory);
		return state;
	}

	/** Says of each line that leaves something else behind which run it was. */
	mismatches(lines: readonly SimdLine[]): string[] {
		const found: string[] = [];
		for (const [number, line] of lines.entries()) {
			for (const [run, hash] of line.hashes.entries()) {
				const state = this.run(line, number, run);
				const right = stateHash(state) === hash && this.guest.eip === this.behind(line, number);
				if (right) continue;
				found.push(`line ${number} run ${run}: ${Buffer.from(line.code).toString("hex")}`);
				break;
			}
		}
		return found;
	}

	/** The jump behind the instruction, which has jumped to itself. */
	private behind({ code }: SimdLine, number: number): number {
		return CODE + (number % ROOM) * STRIDE + code.length;
	}

	/** A run's state afterwards, in words as run.c prints them. */
	after(lines: readonly SimdLine[], number: number, run: number): string[] {
		for (let n = 0; n < run; n++) this.run(lines[number]!, number, n);
		return [...this.run(lines[number]!, number, run)].map((word) => (word >>> 0).toString(16).padStart(8, "0"));
	}
}
