import { describe, expect, it } from "vitest";
import { assert } from "../../src/base/errors.ts";
import type { HostBuffer } from "../../src/kvm/backing.ts";
import { EXIT_REASON } from "../../src/kvm/vcpu.ts";
import { ERROR_CODE_VECTORS } from "../../src/vcpu/core/fault.ts";
import { ATTR, F, SEG, segmentOffset } from "../../src/vcpu/layout.ts";
import { type EngineName, TestGuest } from "../support/engine.ts";

const SEED = Number(process.env["FUZZ_SEED"] ?? 20261121);
const COUNT = Number(process.env["FUZZ_COUNT"] ?? 210);
/** Programs per VM: each has host pages of its own, so that code is compiled as if for the first time. */
const PER_VM = 100;
const RAM = 0x20000;
const INSTRUCTIONS = 3000;
const [GDT, IDT, TSS, HANDLERS, STACK0, CODE] = [0x1000, 0x1800, 0x2000, 0x2800, 0x3f00, 0x4000];
/** What lies above is the code once more. */
const CODE_END = 0x10000;
/** Page tables of 64-bit mode, and gates in its IDT. */
const [PML4, POINTERS, DIRECTORY, TABLE] = [0x1a000, 0x1b000, 0x1c000, 0x1d000];
const LONG_GATES = 32;
const MODES = ["real", "flat", "bare", "user", "small", "v86", "paged", "long", "longUser"] as const;
type Mode = (typeof MODES)[number];
/** Where 64-bit mode has its memory: each is the same. */
const BASES = [0n, 0x1280_4000_0000n, 0xffff_8000_0000_0000n, 0xffff_ffff_8000_0000n];

function isLong(mode: Mode): boolean {
	return mode === "long" || mode === "longUser";
}

/** A random program and where it starts; the same for the same number. */
class Program {
	readonly mode: Mode;
	readonly ram = new Uint8Array(RAM);
	readonly registers: readonly bigint[];
	readonly start: number;
	/** Added to addresses in 64-bit mode. */
	readonly base: bigint;
	readonly slices: readonly number[];
	private state: number;

	constructor(n: number) {
		this.state = (SEED + Math.imul(n, 0x9e3779b1)) >>> 0;
		for (let k = 0; k < 4; k++) this.next(2);
		this.mode = MODES[n % MODES.length]!;
		const long = isLong(this.mode);
		for (let at = CODE; at < CODE_END; ) at = this.write(at, long ? this.longInstruction(at) : this.instruction(at));
		this.ram.copyWithin(CODE_END, CODE, CODE + RAM - CODE_END);
		this.start = CODE + this.next(CODE_END - CODE);
		this.base = long ? BASES[this.next(BASES.length)]! : 0n;
		this.registers = Array.from({ length: long ? 16 : 8 }, (_, r) => this.register(r));
		this.slices = Array.from({ length: 40 }, () => 1 + this.next(this.next(2) ? 7 : 300));
		this.setTables();
	}

	private next(below: number): number {
		this.state = (this.state + 0x6d2b79f5) >>> 0;
		let x = this.state;
		x = Math.imul(x ^ (x >>> 15), x | 1);
		x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
		return ((x ^ (x >>> 14)) >>> 0) % below;
	}

	private write(at: number, bytes: readonly number[]): number {
		this.ram.set(bytes, at);
		return at + bytes.length;
	}

	/** Random bytes, mostly such that they are instructions; now and then a short loop or a call. */
	private instruction(at: number): number[] {
		const byte = (): number => this.next(256);
		const choice = this.next(16);
		if (choice === 0) return Array.from({ length: 1 + this.next(6) }, byte);
		// LOOP and Jcc backwards, or a little forwards.
		if (choice === 1) return [0xe2, 256 - 2 - this.next(30)];
		if (choice === 2) return [0x70 + this.next(16), this.next(2) ? 256 - 2 - this.next(40) : this.next(20)];
		if (choice === 3) return [0xe8, this.next(64), 0, 0, 0];
		if (choice === 4) return [[0xc3, 0x50, 0x58, 0x53, 0x5b, 0x56, 0x9c, 0x99][this.next(8)]!];
		if (choice === 5) return [0x0f, 0x40 + this.next(0x90), 0xc0 + this.next(64), byte()];
		if (choice === 6) return [0xb0 + this.next(16), byte(), this.next(4) ? 0 : byte(), 0, 0];
		if (choice === 7) return [0xc7, 0x05, byte(), 0x40 + this.next(0x40), 1, 0, byte(), byte(), byte(), byte()];
		if (choice === 8) return [0xf3, [0xa4, 0xa5, 0xaa, 0xab, 0xa6, 0xae][this.next(6)]!];
		if (choice === 9 && at % 5 === 0) return [0x66 + this.next(2)];
		// Arithmetic between registers, or with memory at a base register.
		const opcode = [0x00, 0x08, 0x10, 0x18, 0x20, 0x28, 0x30, 0x38, 0x84, 0x88, 0xc0, 0xd0, 0xf6, 0xfe][this.next(14)]!;
		const modrm = this.next(3) ? 0xc0 + this.next(64) : this.next(64);
		return [opcode + this.next(opcode < 0x40 ? 6 : 4), modrm, byte(), byte()].slice(0, 2 + this.next(3));
	}

	/** The same in 64-bit mode: with REX prefixes, and addresses relative to RIP that are in memory. */
	private longInstruction(at: number): number[] {
		const rex = this.next(2) ? [0x40 + this.next(16)] : [];
		if (this.next(16) === 0)
			return [...rex, 0x8b - (this.next(2) ? 2 : 0), 0x05 | (this.next(8) << 3), this.next(256), this.next(64), 0, 0];
		const bytes = this.instruction(at);
		return bytes[0] === 0xc7 && bytes[1] === 0x05
			? [...rex, 0xc7, 0x05, bytes[2]!, this.next(32), 0, 0, ...bytes.slice(6)]
			: [...rex, ...bytes];
	}

	private register(n: number): bigint {
		if (n === 4) return this.base + BigInt(0x8000 + this.next(0x4000));
		const value = this.next(0x1_0000_0000);
		const places = [value & 0xff, 0x4000 + (value & 0xffff), value & 0x1ffff];
		const choice = this.next(4);
		if (choice > 0) return BigInt.asUintN(64, this.base + BigInt(places[choice - 1]!));
		return isLong(this.mode) ? (BigInt(this.next(0x1_0000_0000)) << 32n) | BigInt(value) : BigInt(value);
	}

	/** Descriptors, gates and handlers that step over one byte of what faulted. */
	private setTables(): void {
		const view = new DataView(this.ram.buffer);
		const descriptor = (index: number, low: number, high: number): void => {
			view.setUint32(GDT + index * 8, low, true);
			view.setUint32(GDT + index * 8 + 4, high, true);
		};
		descriptor(1, 0xffff, 0xcf9b00);
		descriptor(2, 0xffff, 0xcf9300);
		descriptor(3, 0xffff, 0xcffb00);
		descriptor(4, 0xffff, 0xcff300);
		descriptor(5, (TSS << 16) | 0x2067, 0x008b00);
		descriptor(6, 0xffff, 0x009b00);
		descriptor(7, 0xffff, 0x009300);
		view.setUint32(TSS + 4, STACK0, true);
		view.setUint16(TSS + 8, 0x10, true);
		view.setUint16(TSS + 102, 0x68, true);
		if (isLong(this.mode)) {
			this.setLongTables(view, descriptor);
			return;
		}
		for (let vector = 0; vector < 256; vector++) {
			const hasCode = vector < 32 && ((ERROR_CODE_VECTORS >> vector) & 1) !== 0;
			const handler = HANDLERS + (hasCode ? 0 : 3);
			view.setUint32(IDT + vector * 8, (8 << 16) | handler, true);
			view.setUint32(IDT + vector * 8 + 4, 0x8e00 | ((vector & 1) * 0x6000), true);
			view.setUint32(vector * 4, HANDLERS + 16, true);
		}
		// add esp, 4; inc dword [esp]; iret. In real mode: push bp; mov bp, sp; inc word [bp + 2]; pop bp; iret.
		this.ram.set([0x83, 0xc4, 4, 0xff, 0x04, 0x24, 0xcf], HANDLERS);
		this.ram.set([0x55, 0x89, 0xe5, 0xff, 0x46, 2, 0x5d, 0xcf], HANDLERS + 16);
	}

	private setLongTables(view: DataView, descriptor: (index: number, low: number, high: number) => void): void {
		descriptor(1, 0xffff, 0xaf9b00);
		descriptor(3, 0xffff, 0xaffb00);
		view.setBigUint64(TSS + 4, this.base + BigInt(STACK0), true);
		for (let vector = 0; vector < LONG_GATES; vector++) {
			const hasCode = ((ERROR_CODE_VECTORS >> vector) & 1) !== 0;
			const handler = this.base + BigInt(HANDLERS + (hasCode ? 0 : 4));
			view.setUint32(IDT + vector * 16, (8 << 16) | Number(handler & 0xffffn), true);
			view.setUint32(IDT + vector * 16 + 4, Number(handler & 0xffff0000n) | 0x8e00 | ((vector & 1) * 0x6000), true);
			view.setUint32(IDT + vector * 16 + 8, Number((handler >> 32n) & 0xffffffffn), true);
		}
		// add rsp, 8; inc qword [rsp]; iretq.
		this.ram.set([0x48, 0x83, 0xc4, 8, 0x48, 0xff, 0x04, 0x24, 0x48, 0xcf], HANDLERS);
		// Every base leads to the same page-directory pointers; identity from there, the last two pages as with `paged`.
		const rights = 0x67n;
		for (const base of BASES) {
			view.setBigUint64(PML4 + Number((base >> 39n) & 511n) * 8, BigInt(POINTERS) | rights, true);
			view.setBigUint64(POINTERS + Number((base >> 30n) & 511n) * 8, BigInt(DIRECTORY) | rights, true);
		}
		for (let entry = 0; entry < 512; entry++)
			view.setBigUint64(DIRECTORY + entry * 8, (BigInt(entry) << 21n) | 0xe7n, true);
		view.setBigUint64(DIRECTORY, BigInt(TABLE) | rights, true);
		for (let page = 0; page < 512; page++)
			view.setBigUint64(
				TABLE + page * 8,
				(BigInt(page) << 12n) | (page === 31 ? 0n : page === 30 ? 0x65n : rights),
				true,
			);
	}
}

interface Outcome {
	readonly end: string;
	readonly state: string;
	readonly exits: readonly string[];
	readonly ram: Uint8Array;
}

/** One VM on one engine that runs program after program. */
class Fuzzed {
	readonly guest: TestGuest;
	private readonly buffer: HostBuffer;
	private used = 0;

	static async create(engine: EngineName): Promise<Fuzzed> {
		return new Fuzzed(await TestGuest.create(engine, { ram: 4096 }));
	}

	private constructor(guest: TestGuest) {
		this.guest = guest;
		this.buffer = guest.vm.allocate(RAM * PER_VM);
		this.slot(0n);
	}

	private slot(memorySize: bigint, offset = 0): void {
		const userspaceAddr = this.buffer.userspaceAddr + BigInt(offset);
		const region = { slot: 0, flags: 0, guestPhysAddr: 0n, memorySize, userspaceAddr };
		assert(this.guest.vm.setUserMemoryRegion(region) === 0, "slot");
	}

	run(program: Program, sliced: boolean): Outcome {
		const { guest } = this;
		const { processor, vcpu } = guest;
		const offset = this.used;
		this.used += RAM;
		const ram = this.buffer.view.subarray(offset, offset + RAM);
		ram.set(program.ram);
		if (offset > 0) this.slot(0n);
		this.slot(BigInt(RAM), offset);
		this.enter(program);

		const exits: string[] = [];
		let end = "";
		let done = 0;
		for (let slice = 0; end === ""; slice++) {
			const piece = sliced ? Math.min(program.slices[slice % 40]!, INSTRUCTIONS - done) : INSTRUCTIONS;
			done += piece;
			processor.setBudget(piece);
			for (;;) {
				assert(vcpu.run() === 0, "run");
				const { exit } = vcpu;
				if (exit.reason === EXIT_REASON.budget) break;
				assert(exits.length < 50_000, "an end of exits");
				const answer = Math.imul(exits.length + 1, 0x9e3779b1);
				if (exit.reason === EXIT_REASON.mmio) {
					const data = exit.isWrite ? Buffer.from(exit.data.subarray(0, exit.len)).toString("hex") : "";
					exits.push(`mmio ${exit.physAddr.toString(16)} ${exit.len} ${data} at ${guest.eip.toString(16)}`);
					if (!exit.isWrite) exit.words.fill(answer);
				} else if (exit.reason === EXIT_REASON.io) {
					exits.push(`io ${exit.direction} ${exit.port.toString(16)} ${exit.size} ${exit.count}`);
					if (exit.direction === 0) exit.portWords.fill(answer);
				} else if (exit.reason === EXIT_REASON.hlt) exits.push(`hlt at ${guest.eip.toString(16)}`);
				else {
					end = `exit ${exit.reason}`;
					break;
				}
			}
			if (done === INSTRUCTIONS) end ||= "budget";
		}
		return { end, state: this.state(), exits, ram };
	}

	private enter({ mode, registers, start, base }: Program): void {
		const { guest } = this;
		const { processor } = guest;
		processor.reset();
		processor.setBudget(0);
		// The count of instructions shows in the time-stamp counter.
		processor.set64(F.deadline, 0n);
		processor.set64(F.tscOffset, 0n);
		processor.set64(F.gdtBase, BigInt(GDT));
		processor.set64(F.gdtLimit, 0x3fn);
		processor.set64(F.idtBase, mode === "real" ? 0n : BigInt(IDT));
		processor.set64(F.idtLimit, mode === "bare" ? 0n : 0x7ffn);
		const real = mode === "real";
		const small = real || mode === "small" || mode === "v86";
		const user = mode === "user" || mode === "v86" || mode === "paged" || mode === "longUser";
		processor.set64(F.cr0, real ? 0x60000010n : 0x60000011n);
		const limit = small ? 0xffffn : 0xffffffffn;
		const attributes = ATTR.present | ATTR.s | (small ? 0 : ATTR.big | ATTR.granular) | (user ? 3 << ATTR.dplShift : 0);
		const selectors = real || mode === "v86" ? [0, 0] : user ? [0x1b, 0x23] : small ? [0x30, 0x38] : [8, 0x10];
		for (const n of [0, 2, 3, 4, 5]) processor.setSegment(n, selectors[1]!, 0n, limit, attributes | 3);
		processor.setSegment(1, selectors[0]!, 0n, limit, attributes | (mode === "v86" ? 3 : 0xb));
		processor.setSegment(7, 0x28, BigInt(TSS), 0x2067n, ATTR.present | 0xb);
		processor.set(F.cpl, user ? 3 : 0);
		registers.forEach((value, n) => {
			processor.setGpr(n, value);
		});
		processor.call("writeFlags", mode === "v86" ? 0x23202 : 2);
		processor.set(F.rip, start & (small ? 0xffff : -1));
		if (mode === "paged") this.setPages();
		if (isLong(mode)) {
			processor.set64(F.cr3, BigInt(PML4));
			processor.set64(F.cr4, 0x620n);
			processor.set64(F.cr0, 0x80010011n);
			processor.set64(F.efer, 0xd01n);
			processor.set64(F.idtLimit, BigInt(LONG_GATES * 16 - 1));
			processor.set64(F.gdtBase, base + BigInt(GDT));
			processor.set64(F.idtBase, base + BigInt(IDT));
			const code = ATTR.present | ATTR.s | 0xb | ATTR.long | ATTR.granular | (user ? 3 << ATTR.dplShift : 0);
			processor.setSegment(1, user ? 0x1b : 8, 0n, 0xffffffffn, code);
			processor.setSegment(4, 0, base + 0x5000n, 0n, ATTR.unusable);
			processor.setSegment(7, 0x28, base + BigInt(TSS), 0x2067n, ATTR.present | 0xb);
			processor.set64(F.rip, base + BigInt(start));
		}
		processor.refresh();
	}

	/** Identity, but that the last page is absent and the one before readonly; PSE for what lies above. */
	private setPages(): void {
		const { processor } = this.guest;
		const view = new DataView(this.buffer.view.buffer, this.buffer.view.byteOffset + this.used - RAM, RAM);
		for (let page = 0; page < RAM / 4096; page++) {
			const rights = page === 31 ? 0 : page === 30 ? 5 : 7;
			view.setUint32(0x1e000 - 0x1000 + page * 4, (page << 12) | rights, true);
		}
		for (let entry = 0; entry < 1024; entry++) view.setUint32(0x1c000 + entry * 4, (entry << 22) | 0x87, true);
		view.setUint32(0x1c000, 0x1d007, true);
		processor.set64(F.cr3, 0x1c000n);
		processor.set64(F.cr4, 0x10n);
		processor.set64(F.cr0, 0x80010011n);
	}

	/** All that a program may have changed, as text. */
	private state(): string {
		const { processor } = this.guest;
		const lines = [`rip ${processor.get64(F.rip).toString(16)} eflags ${this.guest.eflags.toString(16)}`];
		for (let n = 0; n < 16; n++) lines.push(`r${n} ${processor.gpr(n).toString(16)}`);
		for (let n = 0; n < 8; n++) {
			const at = segmentOffset(n);
			const [base, limit] = [processor.get64(SEG.base, at), processor.get64(SEG.limit, at)];
			const [selector, attributes] = [processor.get(SEG.selector, at), processor.get(SEG.attributes, at)];
			lines.push(`s${n} ${[selector, attributes, base, limit].map((value) => value.toString(16)).join(" ")}`);
		}
		const fields = { cr0: F.cr0, cr2: F.cr2, cr3: F.cr3, cr4: F.cr4, gdt: F.gdtBase, idt: F.idtBase };
		for (const [name, field] of Object.entries(fields)) lines.push(`${name} ${processor.get64(field).toString(16)}`);
		for (let n = 0; n < 8; n++) lines.push(`dr${n} ${processor.get64(F.dr, n * 8).toString(16)}`);
		lines.push(`cpl ${processor.get(F.cpl)} retired ${processor.retired()}`);
		return lines.join("\n");
	}
}

/** What two runs of a program have left differently. */
function differences(a: Outcome, b: Outcome): string[] {
	const found: string[] = [];
	if (a.end !== b.end) found.push(`end: ${a.end} / ${b.end}`);
	const [left, right] = [a.state.split("\n"), b.state.split("\n")];
	left.forEach((line, n) => {
		if (line !== right[n]) found.push(`${line} / ${right[n]}`);
	});
	const exit = a.exits.findIndex((line, n) => line !== b.exits[n]);
	if (exit >= 0) found.push(`exit ${exit}: ${a.exits[exit]} / ${b.exits[exit]}`);
	else if (a.exits.length !== b.exits.length) found.push(`${a.exits.length} / ${b.exits.length} exits`);
	if (Buffer.compare(a.ram, b.ram) !== 0) {
		const at = a.ram.findIndex((byte, n) => byte !== b.ram[n]);
		found.push(`memory ${at.toString(16)}: ${a.ram[at]!.toString(16)} / ${b.ram[at]!.toString(16)}`);
	}
	return found;
}

describe("random code", () => {
	it(`runs alike on both engines, in one go and in slices: ${COUNT} programs, seed ${SEED}`, {
		timeout: 600_000,
	}, async () => {
		const ends = new Map<string, number>();
		let growth = 0;
		for (let first = 0; first < COUNT; first += PER_VM) {
			const machines = await Promise.all([
				Fuzzed.create("interpreter"),
				Fuzzed.create("compiled"),
				Fuzzed.create("compiled"),
			]);
			const sizes = machines.map(({ guest }) => guest.processor.memory.size);
			const slots = machines.map(({ guest }) => guest.processor.table.length);
			for (let n = first; n < Math.min(first + PER_VM, COUNT); n++) {
				const program = new Program(n);
				const [plain, compiled, sliced] = machines.map((machine, m) => machine.run(program, m === 2));
				assert(plain && compiled && sliced, "three runs");
				expect(differences(plain, compiled), `program ${n} (${program.mode}), compiled`).toEqual([]);
				expect(differences(plain, sliced), `program ${n} (${program.mode}), compiled, in slices`).toEqual([]);
				ends.set(plain.end, (ends.get(plain.end) ?? 0) + 1);
			}
			machines.forEach(({ guest }, m) => {
				growth = Math.max(growth, guest.processor.memory.size - sizes[m]!);
				expect(guest.processor.table.length - slots[m]!).toBeLessThan(1000);
			});
		}
		expect(growth).toBe(0);
		console.log(`random code: ${COUNT} programs, seed ${SEED}:`, Object.fromEntries(ends));
	});
});
