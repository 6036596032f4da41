import { describe, expect, it } from "vitest";
import { EXIT_REASON } from "../../src/kvm/vcpu.ts";
import { F } from "../../src/vcpu/layout.ts";
import { type EngineName, TestGuest } from "../support/engine.ts";

const SEED = Number(process.env["FLOW_SEED"] ?? 386);
const COUNT = Number(process.env["FLOW_COUNT"] ?? 120);
const INSTRUCTIONS = 6000;
const PROGRAM_BYTES = 0x1000;
const FIRST_PROGRAM = 0x100000;
const [DATA, DATA_BYTES] = [0x20000, 0x2000];
const STACK = 0x30000;
/** Bytes between the starts of two blocks. */
const BLOCK = 96;
/** Room in a block for all but its end. */
const BODY = 64;
/** Registers that instructions may change: all but ESP and ESI, which points to data. */
const FREE = [0, 1, 2, 3, 5, 7];
const [ESP, ESI] = [4, 6];

function little32(value: number): number[] {
	return [value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, (value >> 24) & 0xff];
}

/** A random program of blocks that jump to each other for ever, call functions and go through tables. */
class FlowProgram {
	readonly bytes = new Uint8Array(PROGRAM_BYTES);
	readonly registers: readonly number[];
	private readonly origin: number;
	private readonly blocks: number;
	private readonly functions: number;
	private state: number;

	constructor(n: number, origin: number) {
		this.state = (SEED + Math.imul(n + 1, 0x9e3779b1)) >>> 0;
		this.origin = origin;
		this.blocks = 2 + this.next(14);
		this.functions = this.next(4);
		for (let block = 0; block < this.blocks + this.functions; block++) {
			const isFunction = block >= this.blocks;
			const body = this.body();
			const at = block * BLOCK;
			this.bytes.set(body, at);
			const end = isFunction ? this.functionEnd(block, at + body.length) : this.blockEnd(block, at + body.length);
			this.bytes.set(end, at + body.length);
		}
		for (let entry = 0; entry < 4; entry++) {
			this.bytes.set(little32(this.addressOf(this.next(this.blocks))), this.table(0) - origin + entry * 4);
			const callee = this.functions === 0 ? 0 : this.blocks + this.next(this.functions);
			this.bytes.set(little32(this.addressOf(callee)), this.table(1) - origin + entry * 4);
		}
		this.registers = Array.from({ length: 8 }, (_, register) =>
			register === ESP ? STACK : register === ESI ? DATA + 0xff0 + this.next(16) : this.next(0x1_0000_0000),
		);
	}

	private next(below: number): number {
		this.state = (this.state + 0x6d2b79f5) >>> 0;
		let x = this.state;
		x = Math.imul(x ^ (x >>> 15), x | 1);
		x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
		return ((x ^ (x >>> 14)) >>> 0) % below;
	}

	private pick<T>(list: readonly T[]): T {
		return list[this.next(list.length)]!;
	}

	private addressOf(block: number): number {
		return this.origin + block * BLOCK;
	}

	private table(n: number): number {
		return this.origin + PROGRAM_BYTES - 32 + n * 16;
	}

	private body(): number[] {
		const bytes: number[] = [];
		for (let count = this.next(9); count > 0; count--) {
			const instruction = this.instruction();
			if (bytes.length + instruction.length <= BODY) bytes.push(...instruction);
		}
		return bytes;
	}

	/** ModRM with `reg` and a register or memory, over a page's end now and then. */
	private modrm(reg: number): number[] {
		switch (this.next(4)) {
			case 0:
				return [0x46 | (reg << 3), this.next(32)];
			case 1:
				return [0x05 | (reg << 3), ...little32(DATA + this.next(DATA_BYTES - 8))];
			default:
				return [0xc0 | (reg << 3) | this.pick(FREE)];
		}
	}

	/** The same of bytes: 4 to 7 are AH to BH. */
	private byteModrm(reg: number): number[] {
		return this.next(3) === 0 ? [0x46 | (reg << 3), this.next(32)] : [0xc0 | (reg << 3) | this.next(8)];
	}

	private instruction(): number[] {
		const prefix = this.next(5) === 0 ? [0x66] : [];
		const reg = this.pick(FREE);
		const imm = prefix.length > 0 ? [this.next(256), this.next(256)] : little32(this.next(0x1_0000_0000));
		switch (this.next(24)) {
			case 0:
			case 1:
			case 2:
				return [...prefix, this.next(8) * 8 + this.pick([1, 3]), ...this.modrm(reg)];
			case 3:
				return [this.next(8) * 8 + this.pick([0, 2]), ...this.byteModrm(this.next(8))];
			case 4:
				return [...prefix, 0x81, ...this.modrm(this.next(8)), ...imm];
			case 5:
				return [...prefix, 0x83, ...this.modrm(this.next(8)), this.next(256)];
			case 6:
				return [...prefix, this.pick([0x40, 0x48]) + reg];
			case 7:
				return [...prefix, 0xc1, ...this.modrm(this.next(8)), this.pick([0, 1, 3, 15, 16, 31, 32, 33])];
			case 8:
				return [...prefix, this.pick([0xd1, 0xd3]), ...this.modrm(this.next(8))];
			case 9:
				return [this.pick([0xd0, 0xd2]), ...this.byteModrm(this.next(8))];
			case 10:
				return [0x0f, 0x90 + this.next(16), ...this.byteModrm(0)];
			case 11:
				return [...prefix, 0x0f, 0x40 + this.next(16), ...this.modrm(reg)];
			case 12:
				return [...prefix, 0x0f, this.pick([0xa3, 0xab, 0xb3, 0xbb]), 0xc0 | (this.pick(FREE) << 3) | this.pick(FREE)];
			case 13:
				return [...prefix, 0x0f, 0xba, ...this.modrm(4 + this.next(4)), this.next(64)];
			case 14:
				return [...prefix, 0x0f, this.pick([0xa5, 0xad, 0xaf, 0xbc, 0xbd, 0xc1, 0xb1]), ...this.modrm(reg)];
			case 15:
				return [...prefix, 0x0f, this.pick([0xb6, 0xbe]), ...this.byteModrm(reg)];
			case 16:
				return [...prefix, 0xf7, ...this.modrm(this.pick([2, 3, 4, 5]))];
			case 17:
				return [0xf6, ...this.byteModrm(this.pick([2, 3, 4, 5]))];
			case 18:
				return [this.pick([0xf5, 0xf8, 0xf9, 0x9e, 0x9f, 0x98, 0x99, 0x27, 0x37])];
			case 19:
				return [...prefix, this.pick([0x89, 0x8b, 0x87, 0x85]), ...this.modrm(reg)];
			case 20:
				return [
					0x8d,
					0x44 | (reg << 3),
					(this.next(4) << 6) | (this.pick(FREE) << 3) | this.pick(FREE),
					this.next(256),
				];
			case 21:
				return [0x50 + reg, 0x58 + this.pick(FREE)];
			case 22:
				return [0x0f, 0xc8 + reg];
			default:
				return [0xb8 + reg, ...little32(this.next(4) ? this.next(64) : this.next(0x1_0000_0000))];
		}
	}

	private relative(opcode: readonly number[], at: number, block: number): number[] {
		const next = this.origin + at + opcode.length + 4;
		return [...opcode, ...little32(this.addressOf(block) - next)];
	}

	/** JMP or CALL through table `n`, by the low bits of a register. */
	private throughTable(n: number): number[] {
		const register = this.pick([0, 1, 2, 3]);
		const go = n === 0 ? 4 : 2;
		// mov edi, reg; and edi, 3; jmp or call [table + edi * 4]
		return [0x89, 0xc7 | (register << 3), 0x83, 0xe7, 3, 0xff, 0x04 | (go << 3), 0xbd, ...little32(this.table(n))];
	}

	private blockEnd(block: number, at: number): number[] {
		const any = (): number => this.next(this.blocks);
		const conditional = this.relative([0x0f, 0x80 + this.next(16)], at, any());
		switch (this.next(this.functions > 0 ? 7 : 5)) {
			case 0:
				return this.relative([0xe9], at, any());
			case 1:
				return this.throughTable(0);
			case 2: {
				// LOOP over a JMP: to the next block where it falls through, mostly.
				const skip = [0xe2, 5];
				const first = this.relative([0xe9], at + 2, any());
				return [...skip, ...first, ...this.relative([0xe9], at + 7, any())];
			}
			case 5: {
				const call = this.relative([0xe8], at, this.blocks + this.next(this.functions));
				return [...call, ...this.relative([0xe9], at + call.length, any())];
			}
			case 6: {
				const call = this.throughTable(1);
				return [...call, ...this.relative([0xe9], at + call.length, any())];
			}
			default:
				return [...conditional, ...this.relative([0xe9], at + conditional.length, (block + 1) % this.blocks)];
		}
	}

	/** RET, behind a call of a later function now and then; or a tail of two exits. */
	private functionEnd(block: number, at: number): number[] {
		const last = this.blocks + this.functions - 1;
		const call = block < last && this.next(2) ? this.relative([0xe8], at, block + 1) : [];
		return this.next(2) ? [...call, 0xc3] : [...call, 0x70 + this.next(16), 1, 0xc3, 0x43, 0xc3];
	}
}

interface Snapshot {
	readonly registers: string;
	readonly data: Buffer;
}

class FlowMachine {
	readonly guest: TestGuest;

	static async create(engine: EngineName): Promise<FlowMachine> {
		return new FlowMachine(await TestGuest.create(engine, { ram: FIRST_PROGRAM + COUNT * PROGRAM_BYTES }));
	}

	private constructor(guest: TestGuest) {
		this.guest = guest;
	}

	/** Runs a program at `origin` and takes a snapshot at the end of each slice. */
	run(program: FlowProgram, origin: number, slices: readonly number[]): Snapshot[] {
		const { guest } = this;
		const { processor, ram } = guest;
		ram.set(program.bytes, origin);
		for (let n = 0; n < DATA_BYTES; n++) ram[DATA + n] = (n * 7) ^ (n >> 3);
		ram.fill(0, STACK - 0x1000, STACK);
		program.registers.forEach((value, n) => {
			processor.setGpr(n, BigInt(value));
		});
		processor.set(F.rip, origin);
		processor.call("writeFlags", 2);
		return slices.map((count) => {
			const reason = guest.run(count);
			const names = ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"] as const;
			const registers = names.map((name) => `${name} ${guest.register(name).toString(16)}`);
			const place = `eip ${(guest.eip - origin).toString(16)} eflags ${guest.eflags.toString(16)}`;
			expect(reason, place).toBe(EXIT_REASON.budget);
			return { registers: [...registers, place].join(" "), data: Buffer.from(ram.slice(DATA, STACK)) };
		});
	}
}

describe("random control flow", () => {
	it(`goes the same way on both engines, in one go and in slices: ${COUNT} programs, seed ${SEED}`, {
		timeout: 300_000,
	}, async () => {
		const [interpreted, compiled, sliced] = await Promise.all([
			FlowMachine.create("interpreter"),
			FlowMachine.create("compiled"),
			FlowMachine.create("compiled"),
		]);
		const slices = [1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987, 1597];
		const rest = INSTRUCTIONS - slices.reduce((sum, count) => sum + count, 0);
		for (let n = 0; n < COUNT; n++) {
			const origin = FIRST_PROGRAM + n * PROGRAM_BYTES;
			const program = new FlowProgram(n, origin);
			const steps = interpreted.run(program, origin, [...slices, rest]);
			const inSlices = sliced.run(program, origin, [...slices, rest]);
			const [atOnce] = compiled.run(program, origin, [INSTRUCTIONS]);
			inSlices.forEach(({ registers, data }, slice) => {
				expect(registers, `program ${n}, slice ${slice}`).toBe(steps[slice]?.registers);
				expect(data.equals(steps[slice]!.data), `memory of program ${n}, slice ${slice}`).toBe(true);
			});
			expect(atOnce?.registers, `program ${n} at once`).toBe(steps.at(-1)?.registers);
			expect(atOnce?.data.equals(steps.at(-1)!.data), `memory of program ${n} at once`).toBe(true);
		}
	});
});
