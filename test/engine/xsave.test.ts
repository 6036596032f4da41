import { describe, expect, it } from "vitest";
import { F } from "../../src/vcpu/layout.ts";
import { ENGINES, type EngineName, TestGuest } from "../support/engine.ts";
import { enterUserMode, faultOf, installFaultTable } from "../support/fault-table.ts";

const HLT = 0xf4;
const [UD, NM, GP] = [6, 7, 13];
const TS = 8n;
const OSXSAVE = 0x40000n;
const AREA = 0x3000;
const HEADER = AREA + 512;
const AVX = AREA + 576;
const [X87, SSE, YMM, PKRU] = [1, 2, 4, 0x200];
const ALL = X87 | SSE | YMM | PKRU;
const u32 = (value: number): number[] => [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff);
const form = (opcode: number, digit: number, address = AREA): number[] => [
	0x0f,
	opcode,
	(digit << 3) | 5,
	...u32(address),
];
const XSAVE = form(0xae, 4);
const XRSTOR = form(0xae, 5);
const XSAVEOPT = form(0xae, 6);
const XRSTORS = form(0xc7, 3);
const XSAVEC = form(0xc7, 4);
const XSAVES = form(0xc7, 5);
const FLD1 = [0xd9, 0xe8];

interface Setup {
	readonly code: readonly number[];
	/** EAX: components asked for. */
	readonly wanted?: number;
	readonly xcr0?: number;
	/** Bytes at {@link AREA} and behind. */
	readonly fill?: number;
	readonly header?: readonly [present: bigint, layout: bigint] | undefined;
	readonly cr4?: bigint;
}

/** A processor whose vector registers n hold n + 1 in their low and 0x100 + n in their high halves, and PKRU 8. */
async function create(engine: EngineName, setup: Setup): Promise<TestGuest> {
	const { code, wanted = ALL, xcr0 = ALL, fill = 0xaa, header, cr4 = OSXSAVE } = setup;
	const guest = await TestGuest.create(engine, { code: [...code, HLT], registers: { eax: wanted } });
	installFaultTable(guest);
	const { processor, ram } = guest;
	// Every feature that there is.
	processor.setCpuid([]);
	processor.set64(F.cr4, cr4);
	processor.set64(F.xcr0, BigInt(xcr0));
	for (let n = 0; n < 16; n++) {
		processor.set64(F.ymm, BigInt(n + 1), n * 32);
		processor.set64(F.ymm, BigInt(0x100 + n), n * 32 + 16);
	}
	processor.set(F.pkru, 8);
	ram.fill(fill, AREA, AREA + 3072);
	if (header) {
		ram.fill(0, HEADER, HEADER + 64);
		set64(guest, HEADER, header[0]);
		set64(guest, HEADER + 8, header[1]);
	}
	return guest;
}

function view({ ram }: TestGuest): DataView {
	return new DataView(ram.buffer, ram.byteOffset);
}
function set64(guest: TestGuest, address: number, value: bigint): void {
	view(guest).setBigUint64(address, value, true);
}
const read64 = (guest: TestGuest, address: number): bigint => view(guest).getBigUint64(address, true);
const COMPACTED = 1n << 63n;

describe.each(ENGINES)("XSAVE on the %s engine", (engine) => {
	it.each<[string, number[]]>([
		["XSAVE", XSAVE],
		["XRSTOR", XRSTOR],
		["XSAVEOPT", XSAVEOPT],
		["XSAVEC", XSAVEC],
		["XSAVES", XSAVES],
		["XRSTORS", XRSTORS],
	])(
		"%s is #UD without CR4.OSXSAVE, #NM with CR0.TS, #GP where its memory is not aligned to 64",
		async (_name, code) => {
			expect(faultOf(await create(engine, { code, cr4: 0n }))).toBe(UD);
			const stopped = await create(engine, { code });
			stopped.processor.set64(F.cr0, stopped.processor.get64(F.cr0) | TS);
			expect(faultOf(stopped)).toBe(NM);
			const misplaced = [...code.slice(0, 3), ...u32(AREA + 16)];
			expect(faultOf(await create(engine, { code: misplaced }))).toBe(GP);
		},
	);

	it.each([
		["XSAVES", XSAVES],
		["XRSTORS", XRSTORS],
	])("%s is for CPL 0", async (_name, code) => {
		const guest = await create(engine, { code });
		enterUserMode(guest);
		expect(faultOf(guest)).toBe(GP);
	});

	it("XGETBV with ECX 1 tells what is in use", async () => {
		const guest = await create(engine, { code: [0x0f, 0x01, 0xd0], wanted: 0 });
		guest.setRegister("ecx", 1);
		guest.runToHalt();
		expect([guest.register("eax"), guest.register("edx")]).toEqual([SSE | YMM | PKRU, 0]);
	});

	it("saves what is asked for and XCR0 has, each in its place, and leaves the rest of the header", async () => {
		const guest = await create(engine, { code: [...FLD1, ...XSAVE], header: [1n << 63n, 5n] });
		guest.runToHalt();
		expect(read64(guest, HEADER)).toBe((1n << 63n) | BigInt(ALL));
		expect(read64(guest, HEADER + 8)).toBe(5n);
		expect(guest.ram[AREA + 4]).toBe(0x80);
		expect([0, 7].map((n) => read64(guest, AREA + 160 + n * 16))).toEqual([1n, 8n]);
		expect([0, 7].map((n) => read64(guest, AVX + n * 16))).toEqual([0x100n, 0x107n]);
		expect(read64(guest, AREA + 2688)).toBe(8n);
		// XMM8 and YMM8 belong to 64-bit mode.
		expect(read64(guest, AREA + 288)).toBe(0xaaaa_aaaa_aaaa_aaaan);
		expect(read64(guest, AVX + 128)).toBe(0xaaaa_aaaa_aaaa_aaaan);
	});

	it("shows components that are as after reset as absent; XSAVE writes them, XSAVEOPT does not", async () => {
		for (const [code, written] of [
			[XSAVE, true],
			[XSAVEOPT, false],
		] as const) {
			const guest = await create(engine, { code, wanted: X87 | SSE, header: [0n, 0n] });
			guest.runToHalt();
			expect(read64(guest, HEADER)).toBe(BigInt(SSE));
			expect(view(guest).getUint16(AREA, true)).toBe(written ? 0x37f : 0xaaaa);
			expect(view(guest).getUint32(AREA + 24, true)).toBe(0x1f80);
		}
	});

	it("XSAVEC packs: PKRU is behind what has a place of its own; the old header does not count", async () => {
		const guest = await create(engine, { code: XSAVEC, wanted: SSE | YMM | PKRU, header: [~0n & 0xffffn, 7n] });
		guest.runToHalt();
		expect([read64(guest, HEADER), read64(guest, HEADER + 8)]).toEqual([0x206n, COMPACTED | 0x206n]);
		expect(read64(guest, AVX + 256)).toBe(8n);
		const without = await create(engine, { code: XSAVEC, wanted: PKRU });
		without.runToHalt();
		expect(read64(without, AVX)).toBe(8n);
	});

	it.each([
		["XSAVE and XRSTOR", XSAVE, XRSTOR, [0n, 0n]],
		["XSAVEC and XRSTOR", XSAVEC, XRSTOR, undefined],
		["XSAVES and XRSTORS", XSAVES, XRSTORS, undefined],
	] as const)("%s bring all of it back", async (_name, save, restore, header) => {
		const clear = [0xb8, ...u32(ALL)];
		const guest = await create(engine, { code: [...FLD1, ...save, HLT, ...clear, ...restore], header, fill: 0 });
		const { processor } = guest;
		processor.set(F.mxcsr, 0x1fa0);
		guest.runToHalt();
		const before = guest.vcpu.getXsave();
		processor.memory.bytes(processor.state + F.ymm.offset, 8 * 32).fill(0x55);
		processor.set(F.mxcsr, 0x1f80);
		processor.set(F.pkru, 0);
		processor.set(F.ftags, 0);
		guest.runToHalt();
		expect(guest.vcpu.getXsave()).toEqual(before);
	});

	it("XRSTOR makes components that the header lacks as after reset, and leaves those that nobody asked for", async () => {
		const guest = await create(engine, { code: [...FLD1, ...XRSTOR], wanted: X87 | YMM, header: [BigInt(SSE), 0n] });
		view(guest).setUint32(AREA + 24, 0x1f82, true);
		guest.runToHalt();
		const { processor } = guest;
		expect(guest.vcpu.getFpu()).toMatchObject({ fcw: 0x37f, fsw: 0, ftwx: 0 });
		expect([processor.get64(F.ymm, 32), processor.get64(F.ymm, 48), processor.get64(F.ymm, 8 * 32 + 16)]).toEqual([
			2n,
			0n,
			0x108n,
		]);
		expect(processor.get(F.pkru)).toBe(8);
		// With AVX asked for, MXCSR comes from memory whatever the header says.
		expect(processor.get(F.mxcsr)).toBe(0x1f82);
	});

	it.each<[string, number[], readonly [bigint, bigint], number]>([
		["a component that XCR0 lacks", XRSTOR, [4n, 0n], X87 | SSE],
		["a layout without the compacted bit", XRSTOR, [1n, 1n], ALL],
		["a compacted layout of what XCR0 lacks", XRSTOR, [1n, COMPACTED | 5n], X87 | SSE],
		["a component that the compacted layout lacks", XRSTOR, [4n, COMPACTED | 3n], ALL],
		["XRSTORS of the standard format", XRSTORS, [1n, 0n], ALL],
	])("%s is #GP and nothing changes", async (_name, code, header, xcr0) => {
		const guest = await create(engine, { code: [...FLD1, ...code], header, xcr0, fill: 0 });
		expect(faultOf(guest)).toBe(GP);
		expect(guest.vcpu.getFpu()).toMatchObject({ fsw: 7 << 11, ftwx: 0x80 });
		expect(guest.processor.get64(F.ymm)).toBe(1n);
	});

	it.each([
		["the standard format from byte 8 to 23", 16, [1n, 0n], GP],
		["the standard format behind byte 23", 24, [1n, 0n], -1],
		["the compacted format from byte 16 on", 56, [1n, COMPACTED | 7n], GP],
	] as const)("the header's reserved bytes: %s", async (_name, offset, header, vector) => {
		const guest = await create(engine, { code: XRSTOR, header, fill: 0 });
		set64(guest, HEADER + offset, 1n);
		expect(faultOf(guest)).toBe(vector);
	});

	it("bits of MXCSR that do not exist are #GP, before anything changes", async () => {
		const guest = await create(engine, { code: [...FLD1, ...XRSTOR], header: [3n, 0n] });
		expect(faultOf(guest)).toBe(GP);
		expect(guest.vcpu.getFpu()).toMatchObject({ ftwx: 0x80, mxcsr: 0x1f80 });
	});
});
