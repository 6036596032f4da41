import { describe, expect, it } from "vitest";
import { Decoder } from "../../src/isa/decoder.ts";
import { type EvaluatorState, evaluate } from "../../src/isa/evaluate.ts";
import { instructionTable } from "../../src/isa/index.ts";
import { GPR, SEGMENT } from "../../src/isa/registers.ts";
import type { Form, Instance } from "../../src/isa/table.ts";
import { EXIT_REASON } from "../../src/kvm/vcpu.ts";
import { CR4 } from "../../src/vcpu/core/control-bits.ts";
import { ATTR, BLOCK, F, type Field } from "../../src/vcpu/layout.ts";
import { undefinedMask } from "../isa/undefined-flags.ts";
import { ENGINES, type EngineName, TestGuest } from "../support/engine.ts";
import { installFaultTable } from "../support/fault-table.ts";

const table = instructionTable();
const CODE = 0x10000;
const DATA = 0x3000;
const STACK = 0x4000;
/** What stands behind each instruction, so that it ends a block and its branches end somewhere: JMP to itself. */
const JUMP_TO_ITSELF = [0xeb, 0xfe];
const FILLING = 16;
const STRIDE = 48;
/** Runs of each instruction: from the third on it is compiled. */
const RUNS = 10;
const ARITHMETIC_FLAGS = 0x8d5;
const CL = 1;
const WORDS = [0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff];

/** Numbers that look random and are the same every time. */
function numbers(seed: number): (below: number) => number {
	let state = seed;
	return (below) => {
		state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
		return Math.floor((state / 0x1_0000_0000) * below);
	};
}

type Random = ReturnType<typeof numbers>;
const CODE_SIZES = [16, 32, 64] as const;
type CodeSize = (typeof CODE_SIZES)[number];

/** Whether the meaning is all there is: no helper, no check of privilege, no segment register. */
function isPlain({ meaning, form, operands }: Instance): boolean {
	if (meaning.helper || meaning.floats.length > 0) return false;
	if (form.family.checks?.some((check) => check !== "protected")) return false;
	return !operands.some(({ kind }) => kind === "sreg" || kind === "fixedSegment" || kind === "creg" || kind === "dreg");
}

/** Whether it jumps to anywhere: by a value, or with IP cut to 16 bits in 32-bit code. */
function leaves({ meaning, operands, size }: Instance, codeSize: CodeSize): boolean {
	return meaning.jump !== undefined && (operands[0]?.kind !== "relative" || size < codeSize);
}

/** Which of the prefixes that change the operand size are there. */
interface SizePrefixes {
	readonly override: boolean;
	/** REX.W or VEX.W. */
	readonly wide: boolean;
}

/** Bytes of an instruction of this form in code of `codeSize` bits, at `place`. */
function encode(
	{ form, rm, operands }: Instance,
	codeSize: CodeSize,
	place: number,
	{ override, wide }: SizePrefixes,
	random: Random,
): number[] {
	const { encoding } = form;
	const { prefix, map, opcode, modrm } = encoding;
	const bytes: number[] = [];
	const absolute = codeSize === 64 && random(2) === 1;
	if (override) bytes.push(0x66);
	if (encoding.vex) bytes.push(...vexPrefix(form, wide, random));
	else {
		if (prefix > 0) bytes.push(prefix);
		// An absolute address has no index only without REX.X, and with REX.B 90 is another instruction.
		const fewer = (absolute && rm === "memory") || (opcode === 0x90 && map === 0) ? 4 : 7;
		const rex = 0x40 | (wide ? 8 : 0) | (random(8) & fewer);
		if (codeSize === 64 && (wide || random(2))) bytes.push(rex);
		if (map > 0) bytes.push(0x0f);
		if (map === 2) bytes.push(0x38);
		if (map === 3) bytes.push(0x3a);
	}
	// 90 is NOP, not XCHG with rAX.
	const first = opcode === 0x90 ? 1 : 0;
	bytes.push(opcode + (encoding.plusRegister ? first + random(8 - first) : 0));
	let relativeAt = 0;
	if (modrm !== undefined) {
		const { reg: existing = [0, 1, 2, 3, 4, 5, 6, 7] } = form.options;
		const reg = modrm === "r" ? existing[random(existing.length)]! : modrm;
		if (rm === "memory") {
			bytes.push((reg << 3) | (codeSize === 16 ? 6 : absolute ? 4 : 5));
			if (absolute) bytes.push(0x25);
			else if (codeSize === 64) relativeAt = bytes.length;
			bytes.push(DATA & 0xff, DATA >> 8);
			if (codeSize !== 16) bytes.push(0, 0);
		} else bytes.push(0xc0 | (reg << 3) | random(8));
	} else if (encoding.exact !== undefined) bytes.push(encoding.exact);
	for (const { kind, immediateBytes } of operands) {
		if (kind === "offset") bytes.push(DATA & 0xff, DATA >> 8, ...Array.from({ length: codeSize / 8 - 2 }, () => 0));
		// Branches land on one of the jumps behind the instruction.
		else if (kind === "relative")
			bytes.push(random(FILLING) * 2, ...Array.from({ length: immediateBytes - 1 }, () => 0));
		else for (let n = 0; n < immediateBytes; n++) bytes.push(random(256));
	}
	if (relativeAt > 0) {
		const displacement = Buffer.alloc(4);
		displacement.writeInt32LE(DATA - place - bytes.length);
		bytes.splice(relativeAt, 4, ...displacement);
	}
	return bytes;
}

/** Bytes of the instruction with the least prefixes with which code of `codeSize` bits has it, if any. */
function encoded(instance: Instance, codeSize: CodeSize, place: number, decoder: Decoder): number[] | undefined {
	for (const wide of codeSize === 64 ? [false, true] : [false]) {
		for (const override of [false, true]) {
			const random = numbers(instance.id * 64 + codeSize);
			const bytes = encode(instance, codeSize, place, { override, wide }, random);
			if (decoder.decode(Uint8Array.from(bytes), 0, bytes.length, codeSize).instance === instance) return bytes;
		}
	}
	return undefined;
}

/** The VEX prefix of a form, with any register in vvvv where it has one. */
function vexPrefix({ encoding, usesVvvv }: Form, wide: boolean, random: Random): number[] {
	const { prefix, map, vex } = encoding;
	const vvvv = usesVvvv ? 8 + random(8) : 15;
	const pp = prefix > 0 ? [0x66, 0xf3, 0xf2].indexOf(prefix) + 1 : 0;
	const last = (vvvv << 3) | ((vex?.l ?? 0) << 2) | pp;
	const w = vex?.w ?? Number(wide);
	return map === 1 && !w ? [0xc5, 0x80 | last] : [0xc4, 0xe0 | map, (w << 7) | last];
}

function randomVector(random: Random): bigint {
	let value = 0n;
	for (let n = 0; n < 8; n++) value = (value << 32n) | randomRegister(0, 32, random);
	return value;
}

function usesVectors({ operands }: Instance): boolean {
	return operands.some(({ bank }) => bank !== "general");
}

/** Puts a number of `bytes` bytes into the processor's state. */
function setState({ processor }: TestGuest, offset: number, bytes: number, value: bigint): void {
	for (let at = 0; at < bytes; at += 8)
		processor.set64({ offset: offset + at, bytes: 8 } as Field, (value >> BigInt(at * 8)) & 0xffff_ffff_ffff_ffffn);
}

function getState({ processor }: TestGuest, offset: number, bytes: number): bigint {
	let value = 0n;
	for (let at = bytes - 8; at >= 0; at -= 8)
		value = (value << 64n) | processor.get64({ offset: offset + at, bytes: 8 } as Field);
	return value;
}

function randomRegister(n: number, codeSize: CodeSize, random: Random): bigint {
	if (n === 4) return BigInt(STACK + random(64) * 4);
	const value = BigInt(random(2) ? random(0x1_0000_0000) : (WORDS[random(WORDS.length)] ?? 0));
	if (codeSize < 64 || random(3) === 0) return value;
	const upper = BigInt(random(2) ? random(0x1_0000_0000) : (WORDS[random(WORDS.length)] ?? 0));
	return value | (upper << 32n);
}

const MODES = { 16: "prot16", 32: "prot32", 64: "long" } as const;

/** The engine under test in code of `codeSize` bits, with memory that the evaluator has a copy of. */
async function machine(engine: EngineName, codeSize: CodeSize): Promise<TestGuest> {
	const guest = await TestGuest.create(engine, { mode: MODES[codeSize] });
	guest.processor.set64(F.cr4, guest.processor.get64(F.cr4) | BigInt(CR4.osfxsr | CR4.osxsave));
	guest.processor.set64(F.xcr0, 7n);
	installFaultTable(guest);
	enterCode(guest, codeSize);
	return guest;
}

/** CS as it was before a fault. */
function enterCode({ processor }: TestGuest, codeSize: CodeSize): void {
	if (codeSize === 64) return;
	const small = codeSize === 16;
	const attributes = ATTR.present | ATTR.s | 0xb | (small ? 0 : ATTR.big | ATTR.granular);
	processor.setSegment(1, 8, small ? BigInt(CODE) : 0n, small ? 0xffffn : 0xffffffffn, attributes);
	processor.refresh();
}

function check(
	guest: TestGuest,
	decoder: Decoder,
	instance: Instance,
	codeSize: CodeSize,
	place: number,
	bytes: readonly number[],
): string[] {
	const random = numbers(instance.id * 64 + codeSize + 1);
	const { processor, ram } = guest;
	ram.set([...bytes, ...Array.from({ length: FILLING }, () => JUMP_TO_ITSELF).flat()], place);
	guest.vm.written(ram.byteOffset + place, STRIDE);
	const behind = leaves(instance, codeSize) ? 0 : 1;
	const base = codeSize === 16 ? CODE : 0;
	const vectorial = usesVectors(instance);
	for (let run = 0; run < RUNS; run++) {
		const registers = Array.from({ length: codeSize === 64 ? 16 : 8 }, (_, n) => randomRegister(n, codeSize, random));
		// LEAVE takes the stack from EBP, and indirect jumps must stay inside.
		if (instance.meaning.stackFromFrame) registers[5] = BigInt(STACK + random(60));
		const eflags = (random(0x1000) & (ARITHMETIC_FLAGS | 0x400)) | 2;
		for (let at = 0; at < 0x140; at++) {
			ram[DATA + at] = random(256);
			ram[STACK + at] = random(256);
		}
		const memory = ram.slice(0, 0x8000);
		const view = new DataView(memory.buffer);
		const decoded = decoder.decode(Uint8Array.from(bytes), 0, bytes.length, codeSize);
		if (decoded.instance !== instance) return [`decodes to ${decoded.form?.encoding.text ?? decoded.status}`];
		let wild = false;
		const inside = (offset: bigint, size: number): number => {
			if (offset + BigInt(size) > 0x7ff8n) wild = true;
			return Number(offset & 0x7fffn);
		};
		const state: EvaluatorState = {
			registers: [...registers],
			flags: eflags,
			ip: BigInt(place - base),
			vectors: Array.from({ length: vectorial ? 16 : 0 }, () => randomVector(random)),
			mmx: Array.from({ length: vectorial ? 8 : 0 }, () => randomVector(random) & 0xffff_ffff_ffff_ffffn),
			selectors: [16, 8, 16, 16, 16, 16],
			stackSize: codeSize,
			state: (name) => {
				switch (name) {
					case "cr0":
						return processor.get64(F.cr0);
					case "mxcsr":
						return BigInt(processor.get(F.mxcsr));
					case "cpl":
						return 0n;
					case "ldtrSelector":
						return BigInt(guest.selector(SEGMENT.ldtr));
					case "trSelector":
						return BigInt(guest.selector(SEGMENT.tr));
				}
			},
			load: (_segment, offset, size) => {
				const at = inside(offset, size);
				let value = 0n;
				for (let n = size - 1; n >= 0; n--) value = (value << 8n) | BigInt(view.getUint8(at + n));
				return value;
			},
			store: (_segment, offset, size, value) => {
				const at = inside(offset, size);
				for (let n = 0; n < size; n++) view.setUint8(at + n, Number((value >> BigInt(n * 8)) & 0xffn));
			},
		};
		state.vectors?.forEach((value, n) => {
			setState(guest, F.ymm.offset + n * 32, 32, value);
		});
		state.mmx?.forEach((value, n) => {
			setState(guest, F.fpr.offset + n * 16, 8, value);
		});
		const ignored = undefinedMask(decoded, Number(registers[CL]! & 0xffn));
		const outcome = evaluate(decoded, state);
		// Memory by a random register, or a target outside of the code segment: tried elsewhere.
		if (wild || (codeSize === 16 && state.ip > 0xffffn)) continue;
		if (codeSize === 64 && BigInt.asIntN(64, state.ip) !== BigInt.asIntN(48, state.ip)) continue;

		for (const [n, value] of registers.entries()) processor.setGpr(n, value);
		processor.set64(F.rip, BigInt(place - base));
		processor.set(F.shadow, 0);
		processor.call("writeFlags", eflags);
		const reason = guest.run(1 + behind);
		const found: string[] = [];
		const compare = <T extends number | bigint | string>(what: string, wanted: T, value: T): void => {
			if (wanted !== value) found.push(`${what}: ${value.toString(16)} instead of ${wanted.toString(16)}`);
		};
		const halts = outcome.kind === "fault" && behind === 1;
		compare("exit", halts ? EXIT_REASON.hlt : EXIT_REASON.budget, reason);
		if (outcome.kind === "fault") {
			compare("fault", 0x7000 + outcome.vector + behind, guest.eip);
		} else {
			for (const [n, value] of state.registers.entries()) compare(GPR[n]!, value, processor.gpr(n));
			state.vectors?.forEach((value, n) => {
				compare(`ymm${n}`, value.toString(16), getState(guest, F.ymm.offset + n * 32, 32).toString(16));
			});
			state.mmx?.forEach((value, n) => {
				compare(`mm${n}`, value.toString(16), getState(guest, F.fpr.offset + n * 16, 8).toString(16));
			});
			compare("ip", state.ip, guest.rip);
			const mask = ARITHMETIC_FLAGS & ~ignored;
			compare("flags", state.flags & mask, guest.eflags & mask);
			const same = Buffer.compare(memory.subarray(DATA, 0x4200), ram.subarray(DATA, 0x4200)) === 0;
			compare("memory", "as the meaning says", same ? "as the meaning says" : "other");
		}
		if (guest.eip >= 0x7000 && guest.eip < 0x7100) enterCode(guest, codeSize);
		if (found.length > 0) {
			const hex = Buffer.from(bytes).toString("hex");
			const before = registers.map((value) => value.toString(16)).join(" ");
			return [`${hex} run ${run}, registers ${before}, eflags ${eflags.toString(16)}: ${found.join(", ")}`];
		}
	}
	return [];
}

/** Whether the code at `place` has been compiled. */
function isCompiled({ processor, ram }: TestGuest, place: number): boolean {
	const block = processor.code.find(ram.byteOffset + place, processor.get(F.modeKey));
	return block !== 0 && processor.code.words[(block + BLOCK.unit.offset) >> 2] !== 0;
}

describe.each(ENGINES)("on the %s every instruction does what its meaning says", (engine) => {
	it.each(CODE_SIZES)("in %i-bit code", async (codeSize) => {
		const guest = await machine(engine, codeSize);
		const decoder = new Decoder(table);
		const mismatches = new Map<string, string[]>();
		let [place, count, direct, compiled] = [CODE, 0, 0, 0];
		for (const instance of table.instances.filter(isPlain)) {
			const bytes = encoded(instance, codeSize, place, decoder);
			if (!bytes) continue;
			const found = check(guest, decoder, instance, codeSize, place, bytes);
			const { family, encoding } = instance.form;
			count++;
			direct += Number(!leaves(instance, codeSize));
			compiled += Number(isCompiled(guest, place));
			if (found.length > 0) mismatches.set(`${family.name} ${encoding.text} ${instance.size} ${instance.rm}`, found);
			// All of it lies in one segment of 64 KiB.
			place = place + 2 * STRIDE > CODE + 0x10000 ? CODE : place + STRIDE;
		}
		expect(Object.fromEntries(mismatches)).toEqual({});
		expect(count).toBeGreaterThan(500);
		expect(compiled / direct).toBeGreaterThanOrEqual(engine === "compiled" ? 0.95 : 0);
	});
});

it("every plain instruction is in code of some size", () => {
	const decoder = new Decoder(table);
	const nowhere = table.instances
		.filter(isPlain)
		.filter((instance) => !CODE_SIZES.some((codeSize) => encoded(instance, codeSize, CODE, decoder)));
	expect(nowhere.map(({ form, size, rm }) => `${form.family.name} ${form.encoding.text} ${size} ${rm}`)).toEqual([]);
});
