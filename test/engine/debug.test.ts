import { describe, expect, it } from "vitest";
import { DR6, EFLAGS } from "../../src/vcpu/core/control-bits.ts";
import { F } from "../../src/vcpu/layout.ts";
import { ENGINES, type EngineName, type GuestOptions, TestGuest } from "../support/engine.ts";
import { faultOf, installFaultTable } from "../support/fault-table.ts";

const HLT = 0xf4;
const [DB, UD] = [1, 6];
const CR4_DE = 8n;
const CODE = 0x1000;
/** MOV DRn, EAX and back. */
const toDr = (n: number): number[] => [0x0f, 0x23, 0xc0 | (n << 3)];
const fromDr = (n: number): number[] => [0x0f, 0x21, 0xc0 | (n << 3)];

async function kernel(engine: EngineName, options: GuestOptions): Promise<TestGuest> {
	const guest = await TestGuest.create(engine, options);
	installFaultTable(guest);
	return guest;
}

const dr6 = (guest: TestGuest): number => Number(guest.processor.get64(F.dr, 6 * 8));

/** Return address in the frame of a handler that has just begun. */
function returnAddress(guest: TestGuest): number {
	return new DataView(guest.ram.buffer, guest.ram.byteOffset + guest.register("esp")).getUint32(0, true);
}

describe.each(ENGINES)("debug registers on the %s engine", (engine) => {
	it.each([
		[0, 0x12345678, 0x12345678],
		[6, 0, 0xffff0ff0],
		[6, 0xffffffff, 0xffffefff],
		[7, 0, 0x400],
		[4, 0x1, 0xffff0ff1],
		[5, 0x80, 0x480],
	])("DR%i holds %i as %i", async (n, eax, result) => {
		const guest = await kernel(engine, { code: [...toDr(n), 0x31, 0xc0, ...fromDr(n), HLT], registers: { eax } });
		expect(faultOf(guest)).toBe(-1);
		expect(guest.register("eax")).toBe(result);
	});

	it("DR4 is #UD with CR4.DE", async () => {
		const guest = await kernel(engine, { code: [...fromDr(4), HLT] });
		guest.processor.set64(F.cr4, CR4_DE);
		expect(faultOf(guest)).toBe(UD);
	});

	it("DR7.GD makes an access #DB with BD, once", async () => {
		const guest = await kernel(engine, { code: [...toDr(7), ...fromDr(0), HLT], registers: { eax: 0x2000 } });
		expect(faultOf(guest)).toBe(DB);
		expect(guest.processor.get64(F.dr, 6 * 8) & 0x2000n).toBe(0x2000n);
		expect(guest.processor.get64(F.dr, 7 * 8)).toBe(0x400n);
		const frame = new DataView(guest.ram.buffer, guest.ram.byteOffset + guest.register("esp"));
		expect(frame.getUint32(0, true)).toBe(CODE + 3);
	});

	it("a data breakpoint traps behind the store, also where the TLB knew the page", async () => {
		const store = [0x89, 0x1d, 0, 0, 2, 0];
		const guest = await kernel(engine, {
			code: [...store, ...toDr(7), ...store, 0x90, HLT],
			registers: { eax: 0xd0001 },
		});
		guest.processor.set64(F.dr, 0x20002n);
		expect(faultOf(guest)).toBe(DB);
		const frame = new DataView(guest.ram.buffer, guest.ram.byteOffset + guest.register("esp"));
		expect(frame.getUint32(0, true)).toBe(CODE + 15);
		expect(guest.processor.get64(F.dr, 6 * 8) & 0xfn).toBe(1n);
	});
});

describe.each(ENGINES)("debug exceptions on the %s engine", (engine) => {
	const MOV_SS_ECX = [0x8e, 0xd1];
	const MOV_SS_MEMORY = [0x8e, 0x15, 0, 0, 2, 0];
	const INT1 = 0xf1;
	const FIXED = 0xffff0ff0;
	/** Reads and writes of four bytes at DR0. */
	const WATCH = 0xf0402;

	it("tell of their own breakpoints alone, and leave the other bits", async () => {
		const guest = await kernel(engine, { code: [...toDr(7), 0x90, HLT], registers: { eax: 0x420 } });
		guest.processor.set64(F.dr, BigInt(CODE + 3), 2 * 8);
		guest.processor.set64(F.dr, BigInt(FIXED | DR6.bs | 2) & 0xffffffffn, 6 * 8);
		expect(faultOf(guest)).toBe(DB);
		expect(dr6(guest)).toBe((FIXED | DR6.bs | 4) >>> 0);
	});

	it("single step begins behind the instruction after MOV SS", async () => {
		const code = [...MOV_SS_ECX, 0x90, 0x90, HLT];
		const guest = await kernel(engine, { code, registers: { ecx: 16 }, eflags: 2 | EFLAGS.tf });
		expect(faultOf(guest)).toBe(DB);
		expect([returnAddress(guest), dr6(guest)]).toEqual([CODE + 3, (FIXED | DR6.bs) >>> 0]);
	});

	it("INT1 behind MOV SS comes without the single step", async () => {
		const guest = await kernel(engine, {
			code: [...MOV_SS_ECX, INT1, HLT],
			registers: { ecx: 16 },
			eflags: 2 | EFLAGS.tf,
		});
		guest.processor.set64(F.dr, BigInt(FIXED), 6 * 8);
		expect(faultOf(guest)).toBe(DB);
		expect([returnAddress(guest), dr6(guest)]).toEqual([CODE + 3, FIXED]);
	});

	it("general detect behind MOV SS comes without the single step", async () => {
		const guest = await kernel(engine, {
			code: [...toDr(7), ...MOV_SS_ECX, ...fromDr(0), HLT],
			registers: { eax: 0x2000, ecx: 16 },
			eflags: 2,
		});
		guest.run(1);
		guest.processor.call("writeFlags", 2 | EFLAGS.tf);
		expect(faultOf(guest)).toBe(DB);
		expect([returnAddress(guest), dr6(guest)]).toEqual([CODE + 5, (FIXED | DR6.bd) >>> 0]);
	});

	it.each([
		["INT1 takes it along", [INT1], CODE + 10],
		["the handler of INT3 is interrupted by it", [0xcc], "handler"],
	] as const)("a data breakpoint of MOV SS waits: %s", async (_name, next, from) => {
		const guest = await kernel(engine, {
			code: [...toDr(7), ...MOV_SS_MEMORY, ...next, HLT],
			registers: { eax: WATCH },
			memory: { 131072: [16, 0] },
		});
		guest.processor.set64(F.dr, 0x20000n);
		expect(faultOf(guest)).toBe(DB);
		expect(dr6(guest)).toBe((FIXED | 1) >>> 0);
		if (from === "handler") expect(returnAddress(guest)).not.toBe(CODE + 10);
		else expect(returnAddress(guest)).toBe(from);
	});
});
