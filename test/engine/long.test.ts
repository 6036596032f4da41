import { describe, expect, it } from "vitest";
import { VECTOR } from "../../src/isa/registers.ts";
import { F } from "../../src/vcpu/layout.ts";
import { ENGINES, type GuestOptions, LONG_HIGH, LONG_TOP, TestGuest } from "../support/engine.ts";
import { enterUserMode, faultOf, installFaultTable } from "../support/fault-table.ts";

type Registers = NonNullable<GuestOptions["registers"]>;

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");
const { GP, SS, PF, DE, UD, AC } = VECTOR;
const NON_CANONICAL = 0x0000_8000_0000_0000n;
const LAST_LOW = 0x0000_7fff_ffff_ffffn;

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
		// call to the RET behind the data; mov rax, [rip + 3]; hlt
		const code = hex("e80b000000 488b0503000000 f4 909090 c3 90909090909090");
		const guest = await TestGuest.create(engine, { mode: "long", code, rip: base + 0x1000n });
		guest.runToHalt();
		expect(guest.rip).toBe(base + 0x100dn);
		expect(guest.gpr("rax")).toBe(new DataView(guest.ram.buffer, guest.ram.byteOffset).getBigUint64(0x100f, true));
		expect(guest.gpr("rsp")).toBe(0x8000n);
	});

	/** The vector that the instruction raises at CPL 0 with these registers, and that nothing has changed. */
	const raises = async (code: string, registers: Registers): Promise<number> => {
		const guest = await TestGuest.create(engine, { mode: "long", origin: 0x10000, code: hex(code), registers });
		installFaultTable(guest);
		const vector = faultOf(guest);
		const frame = new DataView(guest.ram.buffer, guest.ram.byteOffset);
		// Error code or not, RIP is what was pushed fifth from the top.
		if (vector >= 0 && guest.gpr("rsp") < BigInt(guest.ram.length)) {
			const hasCode = vector === GP || vector === SS || vector === PF || vector === AC;
			expect(frame.getBigUint64(Number(guest.gpr("rsp")) + (hasCode ? 8 : 0), true)).toBe(0x10000n);
			if (hasCode && vector !== PF) expect(frame.getBigUint64(Number(guest.gpr("rsp")), true)).toBe(0n);
		}
		return vector;
	};
	it.each<[string, string, Registers, number]>([
		["a load", "488b03", { rbx: NON_CANONICAL }, GP],
		["a store", "488903", { rbx: NON_CANONICAL }, GP],
		["a load that ends beyond", "488b03", { rbx: LAST_LOW - 6n }, GP],
		["a read-modify-write", "48ff03", { rbx: 0xffff_7fff_ffff_ffffn }, GP],
		["a load by RBP", "488b4500", { rbp: NON_CANONICAL }, SS],
		["a store by RBP", "48894500", { rbp: NON_CANONICAL }, SS],
		["a load by RBP with an ignored DS prefix", "3e488b4500", { rbp: NON_CANONICAL }, SS],
		["a load by RBP through FS", "64488b4500", { rbp: NON_CANONICAL }, GP],
		["a load by R13", "498b4500", { r13: NON_CANONICAL }, GP],
		["a 32-bit address never", "678b03 f4", { rbx: 0x5000_0000_0000_5000n }, -1],
		["CMPXCHG16B", "480fc70b", { rbx: NON_CANONICAL }, GP],
		["CMPXCHG16B, not aligned", "480fc70b", { rbx: 0x2008n }, GP],
		["MOVS from there", "48a5", { rsi: NON_CANONICAL, rdi: 0x2000n }, GP],
		["STOS there", "48ab", { rdi: NON_CANONICAL }, GP],
		["an indirect jump there", "ffe3", { rbx: NON_CANONICAL }, GP],
		["an indirect call there", "ffd3", { rbx: NON_CANONICAL }, GP],
		["BT of a bit far beyond", "480fa303", { rbx: 0x2000n, rax: 0x3fff_ffff_ffff_ffffn }, GP],
		["a page that is not mapped", "488b03", { rbx: 0x1234_5678_0000n }, PF],
		["DIV by 0", "48f7f3", { rbx: 0n }, DE],
		["DIV with a quotient of 2^64", "48f7f3", { rax: 0n, rdx: 5n, rbx: 5n }, DE],
		["IDIV of the least number by -1", "48f7fb", { rax: 1n << 63n, rdx: -1n, rbx: -1n }, DE],
		["PUSH ES", "06", {}, UD],
		["PUSHA", "60", {}, UD],
		["AAM", "d40a", {}, UD],
		["CALL far with an immediate", "9a000000000800", {}, UD],
		["group 1 of 82", "82c001", {}, UD],
		["MOV to CR9", "440f22c8", {}, UD],
	])("%s: %s", async (_what, code, registers, vector) => {
		expect(await raises(code, registers)).toBe(vector);
	});

	it.each<[string, string, Registers]>([
		["PUSH", "50", { rsp: NON_CANONICAL + 4n }],
		["POP", "58", { rsp: NON_CANONICAL }],
		["CALL", "e800000000", { rsp: NON_CANONICAL + 4n }],
		["RET", "c3", { rsp: NON_CANONICAL }],
		["LEAVE", "c9", { rbp: NON_CANONICAL }],
		["ENTER", "c8000000", { rsp: NON_CANONICAL + 4n }],
		["PUSHF", "9c", { rsp: NON_CANONICAL + 4n }],
		["POPF", "9d", { rsp: NON_CANONICAL }],
	])("%s on a stack that is not canonical is #SS(0)", async (_what, code, registers) => {
		const guest = await TestGuest.create(engine, { mode: "long", origin: 0x10000, code: hex(code), registers });
		installFaultTable(guest);
		// At CPL 3, so that the handler has a stack of its own.
		enterUserMode(guest);
		expect(faultOf(guest)).toBe(SS);
		const view = new DataView(guest.ram.buffer, guest.ram.byteOffset);
		expect(view.getBigUint64(Number(guest.gpr("rsp")), true)).toBe(0n);
		expect(view.getBigUint64(Number(guest.gpr("rsp")) + 8, true)).toBe(0x10000n);
		expect(view.getBigUint64(Number(guest.gpr("rsp")) + 32, true)).toBe(registers.rsp ?? 0x8000n);
	});

	it("a return to where no address is canonical faults at the RET", async () => {
		const memory = { 32768: new Uint8Array(new BigUint64Array([NON_CANONICAL]).buffer) };
		const guest = await TestGuest.create(engine, { mode: "long", origin: 0x10000, code: hex("c3"), memory });
		installFaultTable(guest);
		enterUserMode(guest);
		expect(faultOf(guest)).toBe(GP);
		const view = new DataView(guest.ram.buffer, guest.ram.byteOffset);
		expect(view.getBigUint64(Number(guest.gpr("rsp")) + 8, true)).toBe(0x10000n);
		expect(view.getBigUint64(Number(guest.gpr("rsp")) + 32, true)).toBe(0x8000n);
	});

	it("segment bases count only for FS and GS, and limits for nobody", async () => {
		// mov eax, [0x2000]; mov ecx, fs:[0x2000]; mov edx, gs:[-0x1000]; hlt
		const code = hex("8b042500200000 648b0c2500200000 658b142500f0ffff f4");
		const memory = { 8192: [1], 12288: [2], 16384: [3] };
		const guest = await TestGuest.create(engine, { mode: "long", code, memory });
		const { processor } = guest;
		const flat = 0x93 | 0xc00;
		processor.setSegment(3, 16, 0x1000n, 0xfn, flat);
		processor.setSegment(4, 16, 0x1000n, 0xfn, flat);
		processor.setSegment(5, 0, 0x5000n, 0n, 0x10000);
		processor.refresh();
		guest.runToHalt();
		expect([guest.gpr("rax"), guest.gpr("rcx"), guest.gpr("rdx")]).toEqual([1n, 2n, 3n]);
	});

	it("a load of 8 bytes over the end of the address space goes on at 0", async () => {
		const code = hex("488b03 f4");
		const guest = await TestGuest.create(engine, { mode: "long", code, registers: { rbx: -4n } });
		guest.ram.set([1, 2, 3, 4], 0);
		guest.ram.set([5, 6, 7, 8], 0xcffc);
		// The last page is at 0xC000.
		const tables = new DataView(guest.ram.buffer, guest.ram.byteOffset);
		const pointers = Number(tables.getBigUint64(Number(guest.processor.get64(F.cr3)), true) & ~0xfffn);
		tables.setBigUint64(pointers + 511 * 8, 0xa027n, true);
		tables.setBigUint64(0xa000 + 511 * 8, 0xb027n, true);
		tables.setBigUint64(0xb000 + 511 * 8, 0xc067n, true);
		guest.runToHalt();
		expect(guest.gpr("rax")).toBe(0x0403020108070605n);
	});

	it.each([
		["DIV", "48f7f3", [0x0123456789abcdefn, 0x3n, 0x10n], [0x30123456789abcden, 0xfn]],
		[
			"DIV",
			"48f7f3",
			[0xffffffffffffffffn, 0xfffffffffffffffdn, 0xfffffffffffffffen],
			[0xffffffffffffffffn, 0xfffffffffffffffdn],
		],
		["IDIV", "48f7fb", [-7n, -1n, 2n], [-3n, -1n]],
		["IDIV", "48f7fb", [7n, 0n, -2n], [-3n, 1n]],
		["IDIV", "48f7fb", [0n, -(1n << 62n), 1n << 63n], [1n << 63n, 0n]],
	] as const)("%s of 128 bits (%s)", async (_name, code, [rax, rdx, rbx], [quotient, remainder]) => {
		const guest = await TestGuest.create(engine, {
			mode: "long",
			origin: 0x10000,
			code: hex(`${code}f4`),
			registers: { rax, rdx, rbx },
		});
		installFaultTable(guest);
		expect(faultOf(guest)).toBe(quotient === 1n << 63n ? DE : -1);
		if (quotient === 1n << 63n) return;
		expect(guest.gpr("rax")).toBe(BigInt.asUintN(64, quotient));
		expect(guest.gpr("rdx")).toBe(BigInt.asUintN(64, remainder));
	});

	it("CMPXCHG16B compares and stores 16 bytes, and otherwise loads them", async () => {
		// lock cmpxchg16b [rdi]; setz cl-like flags by pushf; cmpxchg16b again; hlt
		const code = hex("f0480fc70f 9c 480fc70f 9c f4");
		const memory = { 8192: new Uint8Array(new BigUint64Array([5n, 6n]).buffer) };
		const registers = { rdi: 0x2000n, rax: 5n, rdx: 6n, rbx: 7n, rcx: 8n };
		const guest = await TestGuest.create(engine, { mode: "long", code, memory, registers });
		guest.runToHalt();
		const view = new DataView(guest.ram.buffer, guest.ram.byteOffset);
		expect([view.getBigUint64(0x2000, true), view.getBigUint64(0x2008, true)]).toEqual([7n, 8n]);
		expect([guest.gpr("rax"), guest.gpr("rdx")]).toEqual([7n, 8n]);
		expect([view.getUint32(0x7ff8, true) & 0x40, view.getUint32(0x7ff0, true) & 0x40]).toEqual([0x40, 0]);
	});

	it("REP STOS counts in RCX, or in ECX with 67, which clears the upper halves", async () => {
		const code = hex("f348ab 4889fe 4889cb b903000000 67f3aa f4");
		const registers = { rax: 0x1122334455667788n, rcx: 3n, rdi: LONG_HIGH + 0x2000n };
		const guest = await TestGuest.create(engine, { mode: "long", code, registers });
		guest.runToHalt();
		expect(guest.gpr("rsi")).toBe(LONG_HIGH + 0x2018n);
		expect(guest.gpr("rbx")).toBe(0n);
		// 67 takes EDI: the same memory by its address in the low half.
		expect(guest.gpr("rdi")).toBe(0x201bn);
		expect([...guest.ram.subarray(0x2010, 0x201c)]).toEqual([
			0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0x88, 0x88, 0x88, 0,
		]);
	});

	it("JRCXZ and LOOP look at RCX, with 67 at ECX", async () => {
		// mov rcx, 1 << 32; jrcxz out; 67 jecxz on; hlt; on: 67 loop (ecx = -1) ...
		const code = hex("48b90000000001000000 e30b 67e301 f4 67e201 f4 89c8 f4 f4");
		const guest = await TestGuest.create(engine, { mode: "long", code });
		guest.runToHalt();
		expect(guest.gpr("rcx")).toBe(0xffffffffn);
		expect(guest.gpr("rax")).toBe(0xffffffffn);
	});

	it("BT by register reaches 2^63 bits either way", async () => {
		const code = hex("480fab03 f4");
		const registers = { rbx: 0x2000n, rax: 0x1000n * 8n + 65n };
		const guest = await TestGuest.create(engine, { mode: "long", code, registers });
		guest.runToHalt();
		expect(guest.ram[0x3008]).toBe(2);
		guest.setGpr("rax", -64n);
		guest.processor.set64(F.rip, 0x1000n);
		guest.runToHalt();
		expect(guest.ram[0x1ff8]).toBe(1);
	});

	it("a misaligned access that is checked, at an address that is not canonical, is #GP", async () => {
		const guest = await TestGuest.create(engine, {
			mode: "long",
			origin: 0x10000,
			code: hex("488b03"),
			registers: { rbx: NON_CANONICAL + 1n },
			eflags: 0x40002,
		});
		guest.processor.set64(F.cr0, guest.processor.get64(F.cr0) | 0x40000n);
		installFaultTable(guest);
		enterUserMode(guest);
		expect(faultOf(guest)).toBe(GP);
	});

	it("with 5-level paging 57 bits are canonical", async () => {
		const guest = await TestGuest.create(engine, {
			mode: "long",
			origin: 0x10000,
			code: hex("488b03"),
			registers: { rbx: 0x0001_0000_0000_0000n },
		});
		const { processor, ram } = guest;
		// One more level, of which the table there was is the lowest part.
		const top = new DataView(ram.buffer, ram.byteOffset + 0xc000);
		const pml4 = processor.get64(F.cr3);
		top.setBigUint64(0, pml4 | 0x27n, true);
		processor.set64(F.cr3, 0xc000n);
		processor.set64(F.cr4, processor.get64(F.cr4) | 0x1000n);
		installFaultTable(guest);
		expect(faultOf(guest)).toBe(PF);
		guest.setGpr("rbx", 0x0100_0000_0000_0000n);
		processor.set64(F.rip, 0x10000n);
		expect(faultOf(guest)).toBe(GP);
	});
});
