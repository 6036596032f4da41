import { describe, expect, it } from "vitest";
import { F } from "../../src/vcpu/layout.ts";
import { ENGINES, type EngineName, TestGuest } from "../support/engine.ts";
import { faultOf, installFaultTable } from "../support/fault-table.ts";

const CODE = 0x10000;
const STACK = 0x8000;
const HLT = 0xf4;
const [UD, XM] = [6, 19];
const OSFXSR = 0x200n;
const OSXMMEXCPT = 0x400n;
/** MXCSR: exceptions masked, flags. */
const MASKED = 0x1f80;
const [IE, DE, ZE, OE, PE] = [1, 2, 4, 8, 32] as const;
const maskOf = (flag: number): number => flag << 7;

/** DIVPS XMM0, XMM1; MULPS XMM0, XMM1. */
const DIVPS = [0x0f, 0x5e, 0xc1];
const MULPS = [0x0f, 0x59, 0xc1];
const [ONE, TWO, SNAN, LARGE, DENORMAL, INFINITY] = [0x3f800000, 0x40000000, 0x7fa00000, 0x7f000000, 1, 0x7f800000];

/** Code in a loop that jumps back to it until ECX is 0, so that it is compiled, then HLT. */
function looped(code: readonly number[]): number[] {
	const body = [...code, 0x49];
	return [...body, 0x75, 0x100 - body.length - 2, HLT];
}

async function machine(
	engine: EngineName,
	code: readonly number[],
	a: readonly number[],
	b: readonly number[],
	mxcsr: number,
	cr4 = OSFXSR | OSXMMEXCPT,
): Promise<TestGuest> {
	const guest = await TestGuest.create(engine, { origin: CODE, code: looped(code), registers: { ecx: 1 } });
	installFaultTable(guest);
	const { processor } = guest;
	processor.set64(F.cr4, cr4);
	processor.refresh();
	// Hot code first: nothing but masked exceptions.
	processor.set(F.mxcsr, MASKED);
	guest.setRegister("ecx", 100);
	guest.runToHalt();
	processor.set64(F.rip, BigInt(CODE));
	guest.setRegister("ecx", 1);
	guest.setRegister("esp", STACK);
	processor.set(F.mxcsr, mxcsr);
	setVector(guest, 0, a);
	setVector(guest, 1, b);
	return guest;
}

function setVector({ processor }: TestGuest, register: number, words: readonly number[]): void {
	for (const [lane, word] of words.entries()) processor.set(F.ymm, word, register * 32 + lane * 4);
}

function vector({ processor }: TestGuest, register: number): number[] {
	return [0, 1, 2, 3].map((lane) => processor.get(F.ymm, register * 32 + lane * 4) >>> 0);
}

describe.each(ENGINES)("an unmasked SSE exception on the %s", (engine) => {
	it("is #XM at the instruction, which has changed nothing but MXCSR", async () => {
		const before = [ONE, ONE, ONE, ONE];
		const guest = await machine(engine, DIVPS, before, [TWO, 0, TWO, TWO], MASKED & ~maskOf(ZE));
		expect(faultOf(guest)).toBe(XM);
		expect(vector(guest, 0)).toEqual(before);
		expect(guest.processor.get(F.mxcsr)).toBe((MASKED & ~maskOf(ZE)) | ZE);
		const frame = new DataView(guest.ram.buffer, guest.ram.byteOffset + STACK - 12);
		expect(frame.getUint32(0, true)).toBe(CODE);
	});

	it("is #UD where the system has not set CR4.OSXMMEXCPT", async () => {
		const guest = await machine(engine, DIVPS, [ONE, ONE, ONE, ONE], [0, 0, 0, 0], MASKED & ~maskOf(ZE), OSFXSR);
		expect(faultOf(guest)).toBe(UD);
		expect(guest.processor.get(F.mxcsr) & 0x3f).toBe(ZE);
	});

	it("happens again when the instruction runs again, and no more once it is masked", async () => {
		const guest = await machine(engine, DIVPS, [ONE, ONE, ONE, ONE], [0, TWO, TWO, TWO], MASKED & ~maskOf(ZE));
		for (let n = 0; n < 3; n++) {
			expect(faultOf(guest)).toBe(XM);
			guest.processor.set64(F.rip, BigInt(CODE));
			guest.setRegister("esp", STACK);
		}
		guest.processor.set(F.mxcsr, MASKED);
		expect(faultOf(guest)).toBe(-1);
		expect(vector(guest, 0)[0]).toBe(INFINITY);
	});

	it("of an operand keeps back what rounding would have raised in other lanes", async () => {
		const guest = await machine(
			engine,
			MULPS,
			[SNAN, LARGE, DENORMAL, ONE],
			[ONE, LARGE, ONE, ONE],
			MASKED & ~maskOf(IE),
		);
		expect(faultOf(guest)).toBe(XM);
		expect(guest.processor.get(F.mxcsr) & 0x3f).toBe(IE | DE);
	});

	it("of rounding comes with the flags of all lanes", async () => {
		const third = 0x3eaaaaab;
		const guest = await machine(
			engine,
			MULPS,
			[third, LARGE, DENORMAL, ONE],
			[third, LARGE, ONE, ONE],
			MASKED & ~maskOf(OE),
		);
		expect(faultOf(guest)).toBe(XM);
		expect(guest.processor.get(F.mxcsr) & 0x3f).toBe(DE | OE | PE);
		expect(vector(guest, 0)[0]).toBe(third);
	});

	it("leaves no trace in the flags of the next instruction", async () => {
		const guest = await machine(engine, MULPS, [LARGE, ONE, ONE, ONE], [LARGE, ONE, ONE, ONE], MASKED & ~maskOf(OE));
		expect(faultOf(guest)).toBe(XM);
		guest.processor.set(F.mxcsr, MASKED);
		guest.processor.set64(F.rip, BigInt(CODE));
		setVector(guest, 0, [ONE, ONE, ONE, ONE]);
		expect(faultOf(guest)).toBe(-1);
		expect(guest.processor.get(F.mxcsr)).toBe(MASKED);
	});
});
