import { describe, expect, it } from "vitest";
import { EXIT_REASON } from "../../src/kvm/vcpu.ts";
import { F } from "../../src/vcpu/layout.ts";
import { ENGINES, type EngineName, type GuestOptions, TestGuest } from "../support/engine.ts";
import { faultOf, installFaultTable } from "../support/fault-table.ts";

const HLT = 0xf4;
const [UD, NM, GP, MF] = [6, 7, 13, 16];
const [MP, EM, TS, NE] = [2, 4, 8, 0x20];
const OSFXSR = 0x200n;
const CODE = 0x1000;
const DATA = 0x3000;
const RAM = 1 << 20;
const [FLD1, FLDZ, FDIVP, FWAIT, EMMS] = [[0xd9, 0xe8], [0xd9, 0xee], [0xde, 0xf9], [0x9b], [0x0f, 0x77]];
const [FNINIT, FNCLEX, FNSTSW_AX] = [
	[0xdb, 0xe3],
	[0xdb, 0xe2],
	[0xdf, 0xe0],
];
const u32 = (value: number): number[] => [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff);
/** An x87 instruction with a memory operand at `address`, in 32-bit code. */
const at = (opcode: number, digit: number, address: number): number[] => [opcode, (digit << 3) | 5, ...u32(address)];
const fxsave = (address: number): number[] => [0x0f, ...at(0xae, 0, address)];
const fxrstor = (address: number): number[] => [0x0f, ...at(0xae, 1, address)];

async function create(engine: EngineName, cr0: number, options: GuestOptions): Promise<TestGuest> {
	const guest = await TestGuest.create(engine, options);
	if (options.mode !== "real") installFaultTable(guest);
	guest.processor.set64(F.cr0, guest.processor.get64(F.cr0) | BigInt(cr0));
	guest.processor.refresh();
	return guest;
}

/** A division of 1 by 0 that is not masked. */
function divideByZero(guest: TestGuest): void {
	guest.processor.set(F.fcw, 0x37b);
}

function word(guest: TestGuest, address: number): number {
	return new DataView(guest.ram.buffer, guest.ram.byteOffset).getUint16(address, true);
}
function long(guest: TestGuest, address: number): number {
	return new DataView(guest.ram.buffer, guest.ram.byteOffset).getUint32(address, true);
}

describe.each(ENGINES)("x87 on the %s engine", (engine) => {
	it.each<[string, number[], number, number]>([
		["FLD1", FLD1, EM, NM],
		["FLD1", FLD1, TS, NM],
		["FLD1", FLD1, MP, -1],
		["FNINIT", FNINIT, EM, NM],
		["FNSTSW AX", FNSTSW_AX, TS, NM],
		["FWAIT", FWAIT, TS, -1],
		["FWAIT", FWAIT, EM, -1],
		["FWAIT", FWAIT, MP | TS, NM],
		["EMMS", EMMS, EM, UD],
		["EMMS", EMMS, TS, NM],
		["FXSAVE", fxsave(DATA), EM, NM],
		["FXRSTOR", fxrstor(DATA), TS, NM],
	])("%s %j with CR0 bits %i gives vector %i", async (_name, code, cr0, vector) => {
		const guest = await create(engine, cr0, { code: [...code, HLT] });
		expect(faultOf(guest)).toBe(vector);
	});

	it.each<[string, number[], number]>([
		["FWAIT", FWAIT, MF],
		["FLDZ", FLDZ, MF],
		["EMMS", EMMS, MF],
		["FLDCW", at(0xd9, 5, DATA), MF],
		["FRSTOR", at(0xdd, 4, DATA), MF],
		["FNSTSW AX", FNSTSW_AX, -1],
		["FNCLEX", FNCLEX, -1],
		["FNINIT", FNINIT, -1],
		["FNSTENV", at(0xd9, 6, DATA), -1],
		["FNSAVE", at(0xdd, 6, DATA), -1],
		["FXSAVE", fxsave(DATA), -1],
	])("behind an error that is not masked %s %j gives vector %i", async (_name, code, vector) => {
		const guest = await create(engine, NE, { code: [...FLD1, ...FLDZ, ...FDIVP, ...code, HLT] });
		divideByZero(guest);
		expect(faultOf(guest)).toBe(vector);
		// The handler returns to the instruction that waited.
		const stacked = long(guest, guest.register("esp"));
		if (vector === MF) expect(stacked).toBe(CODE + 6);
	});

	it("leaves operands and stack alone where zero divide is not masked", async () => {
		const guest = await create(engine, NE, { code: [...FLD1, ...FLDZ, ...FDIVP, ...FNSTSW_AX, HLT] });
		divideByZero(guest);
		guest.runToHalt();
		expect(guest.register("eax")).toBe(0x8000 | (6 << 11) | 0x80 | 4);
		expect(guest.vcpu.getFpu()).toMatchObject({ fsw: 0xb084, ftwx: 0xc0 });
	});

	it("without a host for FERR# an error is #MF even with CR0.NE clear", async () => {
		const guest = await create(engine, 0, { code: [...FLD1, ...FLDZ, ...FDIVP, ...FWAIT, HLT] });
		divideByZero(guest);
		expect(faultOf(guest)).toBe(MF);
	});

	it("EMMS empties the stack, and each MMX instruction would fill it", async () => {
		const guest = await create(engine, 0, { code: [...FLD1, ...FLD1, ...EMMS, HLT] });
		guest.runToHalt();
		expect(guest.vcpu.getFpu()).toMatchObject({ fsw: 0, ftwx: 0 });
		expect(guest.processor.get(F.ftop)).toBe(0);
	});

	it.each([
		["FSTP m64", at(0xdd, 3, 0x2ff9)],
		["FSTP m80", at(0xdb, 7, 0x2ff7)],
		["FBSTP", at(0xdf, 6, 0x2ff7)],
		["FISTP m32", at(0xdb, 3, 0x2ffd)],
		["FNSAVE", at(0xdd, 6, 0x2ff0)],
		["FLD m80", at(0xdb, 5, 0x2ff7)],
	])("%s beyond the segment's end is #GP and changes nothing", async (_name, code) => {
		const guest = await create(engine, 0, { code: [...FLD1, ...code, HLT] });
		guest.processor.setSegment(3, 16, 0n, 0x2fffn, 0x4093);
		guest.processor.refresh();
		expect(faultOf(guest)).toBe(GP);
		expect(guest.vcpu.getFpu()).toMatchObject({ fsw: 7 << 11, ftwx: 0x80, fcw: 0x37f });
	});

	describe("environments", () => {
		const OPERAND = 0x3010;
		/** Where the segments of real mode begin. */
		const BASE = 0x20;
		const fld = (mode: string): number[] =>
			mode.endsWith("32") ? at(0xd9, 0, OPERAND) : [0xd9, 0x06, OPERAND & 0xff, OPERAND >> 8];
		it.each([
			["prot32", 4, []],
			["prot32", 2, [0x66]],
			["prot16", 2, []],
			["prot16", 4, [0x66]],
			["real", 2, []],
			["real", 4, [0x66]],
		] as const)("in %s code, words of %i bytes, say what was done last and come back", async (mode, size, prefix) => {
			const to = (opcode: number, digit: number, address: number): number[] =>
				mode === "prot32"
					? [...prefix, ...at(opcode, digit, address)]
					: [...prefix, opcode, (digit << 3) | 6, address & 0xff, address >> 8];
			const code = [
				...fld(mode),
				...to(0xd9, 6, DATA),
				...FNINIT,
				...to(0xd9, 4, DATA),
				...to(0xd9, 6, DATA + 64),
				HLT,
			];
			const guest = await create(engine, 0, { mode, code });
			const { processor } = guest;
			if (mode === "real") {
				processor.setSegment(1, BASE, BigInt(BASE * 16), 0xffffn, 0x9b);
				guest.ram.copyWithin(CODE + BASE * 16, CODE, CODE + 64);
				guest.vm.written(guest.ram.byteOffset + CODE + BASE * 16, 64);
				processor.refresh();
			}
			guest.runToHalt();
			const read = (n: number): number => (size === 2 ? word : long)(guest, DATA + n * size);
			const upper = size === 2 ? 0 : 0xffff0000;
			const opcode = 0x100 | (mode === "prot32" ? 5 : 6);
			expect([read(0), read(1), read(2)]).toEqual([0x37f, 7 << 11, 0x7fff].map((value) => (value | upper) >>> 0));
			const ip = mode === "real" ? CODE + BASE * 16 : CODE;
			const second = mode === "real" ? opcode : size === 2 ? 8 : 8 | (opcode << 16);
			const last = mode === "real" ? 0 : (16 | upper) >>> 0;
			expect([read(3), read(4), read(5), read(6)]).toEqual([ip, second, OPERAND, last]);
			expect(guest.ram.slice(DATA + 64, DATA + 64 + 7 * size)).toEqual(guest.ram.slice(DATA, DATA + 7 * size));
		});
	});

	it("notes the last instruction also where code has run often", async () => {
		const loop = [...FLD1, ...at(0xdd, 3, DATA + 64), ...at(0xd9, 6, DATA), 0x49];
		const guest = await create(engine, 0, {
			code: [0x90, ...loop, 0x75, 256 - loop.length - 2, HLT],
			registers: { ecx: 50 },
		});
		guest.runToHalt();
		const [ip, opcode, operand] = [12, 18, 20].map((offset) => long(guest, DATA + offset));
		expect([ip, opcode! & 0xffff, operand]).toEqual([CODE + 3, 0x51d, DATA + 64]);
	});

	it("FNSTENV masks all exceptions behind the words that it stores", async () => {
		const guest = await create(engine, 0, { code: [...at(0xd9, 6, DATA), HLT] });
		guest.processor.set(F.fcw, 0x340);
		guest.runToHalt();
		expect([word(guest, DATA), guest.processor.get(F.fcw)]).toEqual([0x340, 0x37f]);
	});

	describe("FXSAVE and FXRSTOR", () => {
		it.each([
			["FXSAVE", fxsave(DATA + 8)],
			["FXRSTOR", fxrstor(DATA + 8)],
		])("%s wants 16-byte alignment", async (_name, code) => {
			expect(faultOf(await create(engine, 0, { code: [...code, HLT] }))).toBe(GP);
		});

		it("carry MXCSR and XMM registers with CR4.OSFXSR only, and x87 state always", async () => {
			for (const cr4 of [0n, OSFXSR]) {
				const code = [...FLD1, ...fxsave(DATA), ...FNINIT, ...fxrstor(DATA), HLT];
				const guest = await create(engine, 0, { code, memory: { [DATA]: new Uint8Array(512).fill(0xaa) } });
				guest.processor.set64(F.cr4, cr4);
				guest.processor.set(F.mxcsr, 0x1f81);
				guest.processor.set64(F.ymm, 0x1234n, 7 * 32);
				guest.runToHalt();
				expect([word(guest, DATA), word(guest, DATA + 2), guest.ram[DATA + 4]]).toEqual([0x37f, 7 << 11, 0x80]);
				expect(word(guest, DATA + 40)).toBe(0x3fff);
				const wanted = cr4 === 0n ? [0xaaaaaaaa, 0xaaaaaaaa, 0xaaaaaaaa] : [0x1f81, 0xffff, 0x1234];
				expect([24, 28, 160 + 7 * 16].map((offset) => long(guest, DATA + offset))).toEqual(wanted);
				// XMM8 and beyond belong to 64-bit mode.
				expect(long(guest, DATA + 288)).toBe(0xaaaaaaaa);
				expect(guest.vcpu.getFpu()).toMatchObject({ fsw: 7 << 11, ftwx: 0x80, mxcsr: 0x1f81 });
			}
		});

		it("refuse bits of MXCSR that do not exist, and change nothing", async () => {
			const image = new Uint8Array(512);
			image.set([1, 0, 1], 24);
			const guest = await create(engine, 0, { code: [...FLD1, ...fxrstor(DATA), HLT], memory: { [DATA]: image } });
			guest.processor.set64(F.cr4, OSFXSR);
			expect(faultOf(guest)).toBe(GP);
			expect(guest.vcpu.getFpu()).toMatchObject({ fcw: 0x37f, fsw: 7 << 11, mxcsr: 0x1f80 });
		});
	});

	it("in 64-bit code FXSAVE64 stores whole pointers and 16 XMM registers, FXSAVE selectors, FNSTENV 28 bytes", async () => {
		const absolute = (opcode: number, digit: number, address: number): number[] => [
			opcode,
			(digit << 3) | 4,
			0x25,
			...u32(address),
		];
		// fld dword [rbx], whose address has more than 32 bits.
		const code = [
			...[0xd9, 0x03],
			...[0x48, 0x0f, ...absolute(0xae, 0, DATA)],
			...[0x0f, ...absolute(0xae, 0, DATA + 512)],
			...absolute(0xd9, 6, DATA + 1024),
			HLT,
		];
		const operand = 0xffff_8000_0000_2000n;
		const guest = await TestGuest.create(engine, { mode: "long", code, registers: { rbx: operand } });
		guest.processor.set64(F.cr4, guest.processor.get64(F.cr4) | OSFXSR);
		guest.processor.set64(F.ymm, 0x5678n, 15 * 32);
		guest.runToHalt();
		const read = (address: number): bigint =>
			new DataView(guest.ram.buffer, guest.ram.byteOffset).getBigUint64(address, true);
		expect([read(DATA + 8), read(DATA + 16), read(DATA + 160 + 15 * 16)]).toEqual([BigInt(CODE), operand, 0x5678n]);
		const low = operand & 0xffff_ffffn;
		expect([read(DATA + 520), read(DATA + 528)]).toEqual([BigInt(CODE) | (8n << 32n), low | (16n << 32n)]);
		const environment = [12, 16, 20, 24].map((offset) => long(guest, DATA + 1024 + offset));
		expect(environment).toEqual([CODE, 8 | (0x103 << 16), Number(low), 0xffff0010]);
	});

	it("loads from where nothing is once the answer is there", async () => {
		const guest = await create(engine, 0, { code: [...at(0xdd, 0, RAM), ...at(0xdb, 7, DATA), HLT] });
		expect(guest.run()).toBe(EXIT_REASON.mmio);
		expect(guest.vcpu.exit).toMatchObject({ physAddr: RAM, len: 8, isWrite: false });
		guest.vcpu.exit.data.set([0, 0, 0, 0, 0, 0, 0xf8, 0x3f]);
		guest.runToHalt();
		// 1.5
		expect([...guest.ram.slice(DATA, DATA + 10)]).toEqual([0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0x3f]);
	});

	it("FXSAVE to where nothing is tells all of it in pieces of eight bytes, once", async () => {
		const guest = await create(engine, 0, { code: [...FLD1, ...fxsave(RAM), HLT] });
		guest.processor.set64(F.cr4, OSFXSR);
		for (let n = 0; n < 36; n++) {
			expect(guest.run()).toBe(EXIT_REASON.mmio);
			expect(guest.vcpu.exit).toMatchObject({ physAddr: RAM + n * 8, len: 8, isWrite: true });
		}
		guest.runToHalt();
	});

	it("FXRSTOR from where nothing is asks for all of it and loads it once", async () => {
		const guest = await create(engine, 0, { code: [...fxrstor(RAM), HLT] });
		guest.processor.set64(F.cr4, OSFXSR);
		for (let n = 0; n < 36; n++) {
			expect(guest.run()).toBe(EXIT_REASON.mmio);
			expect(guest.vcpu.exit).toMatchObject({ physAddr: RAM + n * 8, len: 8, isWrite: false });
			guest.vcpu.exit.data.set([0x7f, 3, 0, 0, 1, 0, 0, 0].map((byte) => (n === 0 ? byte : 0)));
		}
		guest.runToHalt();
		expect(guest.vcpu.getFpu()).toMatchObject({ fcw: 0x37f, ftwx: 1, mxcsr: 0 });
	});
});
