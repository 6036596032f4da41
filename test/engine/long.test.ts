import { describe, expect, it } from "vitest";
import { ENGINES, LONG_HIGH, LONG_TOP, TestGuest } from "../support/engine.ts";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");

describe.each(ENGINES)("64-bit mode on the %s", (engine) => {
	it("moves 64-bit immediates, adds them, and clears the upper half with 32-bit results", async () => {
		const code = hex("48b8 efcdab8967452301 4989c0 4901c0 89c1 f4");
		const guest = await TestGuest.create(engine, { mode: "long", code, registers: { rcx: -1n } });
		guest.runToHalt();
		expect(guest.gpr("rax")).toBe(0x0123456789abcdefn);
		expect(guest.gpr("r8")).toBe(0x02468acf13579bden);
		expect(guest.gpr("rcx")).toBe(0x89abcdefn);
	});

	it.each([0n, LONG_HIGH, LONG_TOP])("loads relative to RIP, calls and returns at %x", async (base) => {
		// call +11; mov rax, [rip + 3]; hlt; (data) ...; at 16: ret
		const code = hex("e80b000000 488b0503000000 f4 909090 c3 90 90 90 90 90 90 90");
		code.writeBigUInt64LE(0x1122334455667788n, 15);
		code[16] = 0xc3;
		const guest = await TestGuest.create(engine, { mode: "long", code, rip: base + 0x1000n });
		guest.runToHalt();
		expect(guest.rip).toBe(base + 0x100dn);
		expect(guest.gpr("rax")).toBe(new DataView(guest.ram.buffer, guest.ram.byteOffset).getBigUint64(0x100f, true));
		expect(guest.gpr("rsp")).toBe(0x8000n);
	});
});
