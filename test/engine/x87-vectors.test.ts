import { describe, expect, it } from "vitest";
import { F } from "../../src/vcpu/layout.ts";
import { ENGINES, TestGuest } from "../support/engine.ts";
import { readX87, STATE, STATE_BYTES, type X87Case, type X87Form } from "../vectors/x87/read.ts";

const [CODE, IN, OUT, STACK] = [0x1000, 0x10_0000, 0x20_0000, 0x8000];
const NE = 0x20n;
/** Rounded to within a unit in the last place of each processor's own result; C1 tells of that rounding. */
const TRANSCENDENTAL = new Set(["f2xm1", "fyl2x", "fyl2xp1", "fptan", "fpatan", "fsin", "fcos", "fsincos"]);
const C1 = 0x200;
const FLAGS = 0x8d5;
const REGISTER = 10;

/** A loop over the cases: EFLAGS, FRSTOR, the instruction, FNSAVE, EFLAGS. */
function program(code: readonly number[]): number[] {
	const body = [
		...[0x8d, 0x57, STATE.memory], // lea edx, [edi + memory]
		...[0xff, 0x76, STATE.flags, 0x9d], // push dword [esi + flags]; popfd
		...[0xdd, 0x26], // frstor [esi]
		...code,
		...[0xdd, 0x37], // fnsave [edi]
		...[0x9c, 0x8f, 0x47, STATE.flags], // pushfd; pop dword [edi + flags]
		...[0x83, 0xee, 0x80], // sub esi, -128
		...[0x83, 0xef, 0x80], // sub edi, -128
		0x49, // dec ecx
	];
	return [...body, 0x75, 256 - body.length - 2, 0xf4];
}

/** Distance of two numbers of the same sign in units in the last place. */
function units(a: Uint8Array, b: Uint8Array): bigint {
	const value = (bytes: Uint8Array): bigint => {
		const view = new DataView(bytes.buffer, bytes.byteOffset);
		const magnitude =
			(BigInt(view.getUint16(8, true) & 0x7fff) << 63n) + (view.getBigUint64(0, true) & ((1n << 63n) - 1n));
		return view.getUint16(8, true) >> 15 ? -magnitude : magnitude;
	};
	const distance = value(a) - value(b);
	return distance < 0n ? -distance : distance;
}

function differences({ name }: X87Form, { after }: X87Case, found: Uint8Array): string[] {
	const [wanted, view] = [new DataView(after.buffer), new DataView(found.buffer, found.byteOffset)];
	const loose = TRANSCENDENTAL.has(name);
	const list: string[] = [];
	const compare = (what: string, at: number, mask: number): void => {
		const [a, b] = [wanted.getUint16(at, true) & mask, view.getUint16(at, true) & mask];
		if (a !== b) list.push(`${what} ${b.toString(16)} instead of ${a.toString(16)}`);
	};
	compare("control word", STATE.control, 0xffff);
	compare("status word", STATE.status, loose ? 0xffff & ~C1 : 0xffff);
	compare("tag word", STATE.tags, 0xffff);
	compare("flags", STATE.flags, FLAGS);
	const bytes = (from: Uint8Array, at: number): Uint8Array => from.subarray(at, at + REGISTER);
	const hex = (from: Uint8Array): string => Buffer.from(from).reverse().toString("hex");
	const place = (at: number): string => (at === STATE.memory ? "memory" : `st${(at - STATE.registers) / REGISTER}`);
	for (const at of [...Array.from({ length: 8 }, (_, n) => STATE.registers + n * REGISTER), STATE.memory]) {
		const [a, b] = [bytes(after, at), bytes(found, at)];
		const near = loose && units(a, b) <= 1n;
		if (Buffer.compare(a, b) !== 0 && !near) list.push(`${place(at)} ${hex(b)} instead of ${hex(a)}`);
	}
	return list;
}

describe.each(ENGINES)("x87 instructions on the %s engine", (engine) => {
	it("leave what a processor leaves: numbers, flags, tags, stack", async () => {
		const forms = readX87();
		const guest = await TestGuest.create(engine, { ram: 1 << 22 });
		const { processor, ram } = guest;
		processor.set64(F.cr0, processor.get64(F.cr0) | NE);
		const wrong: string[] = [];
		let count = 0;
		for (const form of forms) {
			ram.set(program(form.code), CODE);
			guest.vm.written(ram.byteOffset + CODE, 64);
			form.cases.forEach(({ before }, n) => {
				ram.set(before, IN + n * STATE_BYTES);
				ram.set(before.subarray(STATE.memory), OUT + n * STATE_BYTES + STATE.memory);
			});
			const registers = { esi: IN, edi: OUT, ecx: form.cases.length, esp: STACK } as const;
			for (const [name, value] of Object.entries(registers)) guest.setRegister(name as keyof typeof registers, value);
			processor.set64(F.rip, BigInt(CODE));
			guest.runToHalt();
			form.cases.forEach((each, n) => {
				const found = ram.slice(OUT + n * STATE_BYTES, OUT + (n + 1) * STATE_BYTES);
				const list = differences(form, each, found);
				if (list.length > 0) wrong.push(`${form.name} case ${n}: ${list.join(", ")}`);
				count++;
			});
		}
		expect(wrong.slice(0, 20)).toEqual([]);
		expect(count).toBeGreaterThan(25_000);
	});
});
