import { describe, expect, it } from "vitest";
import { EXIT_REASON } from "../../src/kvm/vcpu.ts";
import { CR0, CR4 } from "../../src/vcpu/core/control-bits.ts";
import { F } from "../../src/vcpu/layout.ts";
import { ENGINES, type EngineName, type GuestOptions, LONG_TABLES, TestGuest } from "../support/engine.ts";
import { enterUserMode, faultOf, installFaultTable } from "../support/fault-table.ts";
import { Patchwork } from "./patchwork.ts";

const HLT = 0xf4;
const [UD, NM, GP, PF, MF, AC] = [6, 7, 13, 14, 16, 17];
const [NONE, YMM_BYTES] = [-1, 32];
const ONES = 0xffff_ffff_ffff_ffffn;
/** Where the guest of {@link paged} has its first absent page. */
const ABSENT = 0x200000;
const DATA = 0x3000;

/** SSE and AVX are on. */
function enableVectors({ processor }: TestGuest): void {
	processor.set64(F.cr4, processor.get64(F.cr4) | BigInt(CR4.osfxsr | CR4.osxsave));
	processor.set64(F.xcr0, 7n);
	processor.refresh();
}

async function guarded(engine: EngineName, options: GuestOptions): Promise<TestGuest> {
	const guest = await TestGuest.create(engine, options);
	installFaultTable(guest);
	enableVectors(guest);
	return guest;
}

/** In 64-bit mode, 2 MiB of memory and nothing behind them; RSI is just in front of the end. */
async function paged(
	engine: EngineName,
	code: readonly number[],
	registers: GuestOptions["registers"],
): Promise<TestGuest> {
	const ram = 0x400000;
	const guest = await guarded(engine, { mode: "long", ram, code, registers: registers ?? {} });
	new DataView(guest.ram.buffer, guest.ram.byteOffset).setBigUint64(ram - LONG_TABLES + 0x2008, 0n, true);
	guest.processor.refresh();
	return guest;
}

function setVector({ processor }: TestGuest, n: number, words: readonly bigint[]): void {
	words.forEach((word, at) => {
		processor.set64(F.ymm, word, n * YMM_BYTES + at * 8);
	});
}

function vectorOf({ processor }: TestGuest, n: number): bigint[] {
	return [0, 8, 16, 24].map((at) => processor.get64(F.ymm, n * YMM_BYTES + at));
}

const PADDD = [0x66, 0x0f, 0xfe, 0xc1];
const VPADDD = [0xc5, 0xf1, 0xfe, 0xc1];
const PADDB_MMX = [0x0f, 0xfc, 0xc1];
const MOVNTI = [0x0f, 0xc3, 0x06];

describe.each(ENGINES)("vector registers on the %s", (engine) => {
	it.each([
		["SSE that is on", PADDD, {}, NONE],
		["SSE with CR0.EM", PADDD, { cr0: CR0.em }, UD],
		["SSE without CR4.OSFXSR", PADDD, { cr4Off: CR4.osfxsr }, UD],
		["SSE with CR0.TS", PADDD, { cr0: CR0.ts }, NM],
		["SSE with CR0.EM and CR0.TS", PADDD, { cr0: CR0.em | CR0.ts }, UD],
		["AVX with CR0.EM, without CR4.OSFXSR", VPADDD, { cr0: CR0.em, cr4Off: CR4.osfxsr }, NONE],
		["AVX without CR4.OSXSAVE", VPADDD, { cr4Off: CR4.osxsave }, UD],
		["AVX without YMM in XCR0", VPADDD, { xcr0: 3n }, UD],
		["AVX with CR0.TS", VPADDD, { cr0: CR0.ts }, NM],
		["MMX without CR4.OSFXSR", PADDB_MMX, { cr4Off: CR4.osfxsr }, NONE],
		["MMX with CR0.EM", PADDB_MMX, { cr0: CR0.em }, UD],
		["MMX with CR0.TS", PADDB_MMX, { cr0: CR0.ts }, NM],
		["MMX where an x87 exception waits", PADDB_MMX, { cr0: CR0.ne, fsw: 0x80 }, MF],
		["a store past the caches of a general register with CR0.TS", MOVNTI, { cr0: CR0.ts }, NONE],
		["VEX with a vvvv that is not used", [0xc5, 0xe9, 0x6f, 0xc1], {}, UD],
		["VEX behind 66", [0x66, ...VPADDD], {}, UD],
		["VEX behind F3", [0xf3, ...VPADDD], {}, UD],
		["VEX behind LOCK", [0xf0, ...VPADDD], {}, UD],
		["VEX behind a segment prefix", [0x2e, ...VPADDD], {}, NONE],
	] as const)("%s", async (_name, code, change, vector) => {
		const {
			cr0 = 0,
			cr4Off = 0,
			xcr0 = 7n,
			fsw = 0,
		}: { cr0?: number; cr4Off?: number; xcr0?: bigint; fsw?: number } = change;
		const guest = await guarded(engine, { code: [...code, HLT], registers: { esi: DATA } });
		const { processor } = guest;
		processor.set64(F.cr0, processor.get64(F.cr0) | BigInt(cr0));
		processor.set64(F.cr4, processor.get64(F.cr4) & ~BigInt(cr4Off));
		processor.set64(F.xcr0, xcr0);
		processor.set(F.fsw, fsw);
		processor.refresh();
		expect(faultOf(guest)).toBe(vector);
	});

	it("VEX does not exist in real mode: C5 with a register is no LDS", async () => {
		const guest = await TestGuest.create(engine, {
			mode: "real",
			code: [...VPADDD, HLT],
			memory: { 24: [0, 0x70, 0, 0] },
		});
		guest.ram[0x7000] = HLT;
		enableVectors(guest);
		guest.runToHalt();
		expect(guest.eip).toBe(0x7001);
	});

	it("keep bits 255:128 without VEX and lose them with it", async () => {
		// paddd xmm0, xmm1; vpaddd xmm2, xmm0, xmm1; vpaddd ymm3, ymm0, ymm1
		const guest = await guarded(engine, { code: [...PADDD, 0xc5, 0xf9, 0xfe, 0xd1, 0xc5, 0xfd, 0xfe, 0xd9, HLT] });
		setVector(guest, 0, [1n, 2n, 3n, 4n]);
		setVector(guest, 1, [10n, 20n, 30n, 40n]);
		setVector(guest, 2, [ONES, ONES, ONES, ONES]);
		expect(faultOf(guest)).toBe(NONE);
		expect(vectorOf(guest, 0)).toEqual([11n, 22n, 3n, 4n]);
		expect(vectorOf(guest, 2)).toEqual([21n, 42n, 0n, 0n]);
		expect(vectorOf(guest, 3)).toEqual([21n, 42n, 33n, 44n]);
	});

	it("MMX registers are x87 registers with an exponent of ones; all of them become valid, and TOP 0", async () => {
		const guest = await guarded(engine, { code: [...PADDB_MMX, HLT] });
		const { processor } = guest;
		processor.set64(F.fpr, 0x0102n);
		processor.set64(F.fpr, 0x1020n, 16);
		processor.set(F.ftop, 5);
		processor.set(F.ftags, 0);
		expect(faultOf(guest)).toBe(NONE);
		expect(processor.get64(F.fpr)).toBe(0x1122n);
		expect(processor.get64(F.fpr, 8) & 0xffffn).toBe(0xffffn);
		expect([processor.get(F.ftop), processor.get(F.ftags)]).toEqual([0, 0xff]);
	});

	it("an MMX instruction that faults leaves the x87 registers alone", async () => {
		// paddb mm0, [rsi]
		const guest = await paged(engine, [0x0f, 0xfc, 0x06, HLT], { rsi: BigInt(ABSENT) });
		guest.processor.set(F.ftop, 5);
		expect(faultOf(guest)).toBe(PF);
		expect([guest.processor.get(F.ftop), guest.processor.get(F.ftags)]).toEqual([5, 0]);
	});

	it.each([
		["VZEROUPPER, 32-bit code", [0xc5, 0xf8, 0x77, HLT], "prot32", 8, [1n, 2n, 0n, 0n]],
		["VZEROUPPER, 64-bit code", [0xc5, 0xf8, 0x77, HLT], "long", 16, [1n, 2n, 0n, 0n]],
		["VZEROALL, 32-bit code", [0xc5, 0xfc, 0x77, HLT], "prot32", 8, [0n, 0n, 0n, 0n]],
		["VZEROALL, 64-bit code", [0xc5, 0xfc, 0x77, HLT], "long", 16, [0n, 0n, 0n, 0n]],
	] as const)("%s", async (_name, code, mode, count, cleared) => {
		const guest = await guarded(engine, { mode, code });
		for (let n = 0; n < 16; n++) setVector(guest, n, [1n, 2n, 3n, 4n]);
		expect(faultOf(guest)).toBe(NONE);
		for (let n = 0; n < 16; n++) expect(vectorOf(guest, n)).toEqual(n < count ? cleared : [1n, 2n, 3n, 4n]);
	});

	it("LDMXCSR takes what exists and refuses the rest, STMXCSR shows it", async () => {
		// ldmxcsr [esi]; stmxcsr [esi + 4]; ldmxcsr [esi + 8]
		const code = [0x0f, 0xae, 0x16, 0x0f, 0xae, 0x5e, 4, 0x0f, 0xae, 0x56, 8, HLT];
		const memory = { [DATA]: [0xff, 0xff, 0, 0, 0, 0, 0, 0, 0x80, 0x1f, 1, 0] };
		const guest = await guarded(engine, { code, memory, registers: { esi: DATA } });
		expect(faultOf(guest)).toBe(GP);
		expect(guest.processor.get(F.mxcsr)).toBe(0xffff);
		expect([...guest.ram.subarray(DATA + 4, DATA + 8)]).toEqual([0xff, 0xff, 0, 0]);
	});
});

describe.each(ENGINES)("vectors in memory on the %s", (engine) => {
	it.each([
		["MOVAPS at 16", [0x0f, 0x28, 0x46, 16], NONE],
		["MOVAPS at 8", [0x0f, 0x28, 0x46, 8], GP],
		["a store by MOVAPS at 8", [0x0f, 0x29, 0x46, 8], GP],
		["PADDD at 4", [0x66, 0x0f, 0xfe, 0x46, 4], GP],
		["MOVUPS at 1", [0x0f, 0x10, 0x46, 1], NONE],
		["MOVQ at 1", [0xf3, 0x0f, 0x7e, 0x46, 1], NONE],
		["PCMPISTRI at 1", [0x66, 0x0f, 0x3a, 0x63, 0x46, 1, 0], NONE],
		["VPADDD at 1", [0xc5, 0xf9, 0xfe, 0x46, 1], NONE],
		["VMOVDQA of 128 bits at 16", [0xc5, 0xf9, 0x6f, 0x46, 16], NONE],
		["VMOVDQA of 256 bits at 16", [0xc5, 0xfd, 0x6f, 0x46, 16], GP],
		["VMOVDQA of 256 bits at 32", [0xc5, 0xfd, 0x6f, 0x46, 32], NONE],
		["VMOVNTDQ of 256 bits at 16", [0xc5, 0xfd, 0xe7, 0x46, 16], GP],
		["VMOVDQU of 256 bits at 1", [0xc5, 0xfe, 0x6f, 0x46, 1], NONE],
	] as const)("%s", async (_name, code, vector) => {
		const guest = await guarded(engine, { code: [...code, HLT], registers: { esi: DATA } });
		expect(faultOf(guest)).toBe(vector);
	});

	it.each([
		["MOVSS at 2", [0xf3, 0x0f, 0x10, 0x46, 2], AC],
		["MOVQ at 4", [0xf3, 0x0f, 0x7e, 0x46, 4], AC],
		["PMOVZXBQ at 1", [0x66, 0x0f, 0x38, 0x32, 0x46, 1], AC],
		["MOVUPS at 1", [0x0f, 0x10, 0x46, 1], GP],
		["VMOVUPS of 256 bits at 1", [0xc5, 0xfc, 0x10, 0x46, 1], GP],
	] as const)("where alignment is checked, %s", async (_name, code, vector) => {
		// HLT at CPL 3 is #GP.
		const guest = await guarded(engine, { mode: "long", code: [...code, HLT], registers: { rsi: BigInt(DATA) } });
		guest.processor.set64(F.cr0, guest.processor.get64(F.cr0) | BigInt(CR0.am));
		const entries = new DataView(guest.ram.buffer, guest.ram.byteOffset);
		expect(entries.getBigUint64(guest.ram.length - LONG_TABLES, true) & 4n).toBe(4n);
		guest.processor.call("writeFlags", 0x40002);
		enterUserMode(guest);
		expect(faultOf(guest)).toBe(vector);
	});

	it("a load into an absent page changes nothing and says where", async () => {
		// vpaddd ymm0, ymm0, [rsi]
		const guest = await paged(engine, [0xc5, 0xfd, 0xfe, 0x06, HLT], { rsi: BigInt(ABSENT - 8) });
		setVector(guest, 0, [1n, 2n, 3n, 4n]);
		expect(faultOf(guest)).toBe(PF);
		expect(guest.processor.get64(F.cr2)).toBe(BigInt(ABSENT));
		expect(vectorOf(guest, 0)).toEqual([1n, 2n, 3n, 4n]);
	});

	it("a store into an absent page stores none of its bytes", async () => {
		// vmovdqu [rsi], ymm0
		const guest = await paged(engine, [0xc5, 0xfe, 0x7f, 0x06, HLT], { rsi: BigInt(ABSENT - 24) });
		setVector(guest, 0, [ONES, ONES, ONES, ONES]);
		expect(faultOf(guest)).toBe(PF);
		expect(guest.processor.get64(F.cr2)).toBe(BigInt(ABSENT));
		expect([...guest.ram.subarray(ABSENT - 24, ABSENT)].every((byte) => byte === 0)).toBe(true);
	});

	it("loads and stores over a page's end move all bytes", async () => {
		// L: vmovdqu ymm0, [esi]; vmovdqu [edi], ymm0; dec ecx; jnz L
		const code = [0xc5, 0xfe, 0x6f, 0x06, 0xc5, 0xfe, 0x7f, 0x07, 0x49, 0x75, 0xf5, HLT];
		const bytes = Array.from({ length: 32 }, (_, n) => n + 1);
		const registers = { esi: 0x3ff1, edi: 0x8fe3, ecx: 20 };
		const guest = await guarded(engine, { code, registers, memory: { 16369: bytes } });
		expect(faultOf(guest)).toBe(NONE);
		expect([...guest.ram.subarray(0x8fe3, 0x8fe3 + 32)]).toEqual(bytes);
	});

	it("where nothing is go out in eight bytes at a time, each answer in its place", async () => {
		// vmovdqu ymm0, [esi]; vmovdqu [edi], ymm0
		const code = [0xc5, 0xfe, 0x6f, 0x06, 0xc5, 0xfe, 0x7f, 0x07, HLT];
		const memory = await Patchwork.create(engine, { code, registers: { esi: 0x102000, edi: 0x103010 } });
		enableVectors(memory.guest);
		expect(memory.run()).toBe(EXIT_REASON.hlt);
		const places = memory.exits.map(({ write, gpa, length }) => `${write ? "W" : "R"} ${gpa.toString(16)} ${length}`);
		expect(places).toEqual(
			[0, 8, 16, 24]
				.flatMap((n) => `R ${(0x102000 + n).toString(16)} 8`)
				.concat([0, 8, 16, 24].map((n) => `W ${(0x103010 + n).toString(16)} 8`)),
		);
		const answers = memory.exits.slice(0, 4).map(({ data }) => data);
		expect(vectorOf(memory.guest, 0)).toEqual(answers);
		expect(memory.exits.slice(4).map(({ data }) => data)).toEqual(answers);
	});
});

describe.each(ENGINES)("element by element on the %s", (engine) => {
	it("a masked load leaves out absent elements, a masked store too", async () => {
		// vpmaskmovd ymm0, ymm1, [rsi]; vpmaskmovd [rsi], ymm1, ymm2
		const code = [0xc4, 0xe2, 0x75, 0x8c, 0x06, 0xc4, 0xe2, 0x75, 0x8e, 0x16, HLT];
		const guest = await paged(engine, code, { rsi: BigInt(ABSENT - 8) });
		guest.ram.fill(0x11, ABSENT - 8, ABSENT);
		setVector(guest, 0, [ONES, ONES, ONES, ONES]);
		setVector(guest, 1, [1n << 63n, 0n, 0n, 0n]);
		setVector(guest, 2, [0x2222_2222_3333_3333n, 0n, 0n, 0n]);
		expect(faultOf(guest)).toBe(NONE);
		expect(vectorOf(guest, 0)).toEqual([0x1111_1111_0000_0000n, 0n, 0n, 0n]);
		expect([...guest.ram.subarray(ABSENT - 8, ABSENT)]).toEqual([0x11, 0x11, 0x11, 0x11, 0x22, 0x22, 0x22, 0x22]);
	});

	it("a masked store that faults at its last element has stored none", async () => {
		const guest = await paged(engine, [0xc4, 0xe2, 0x75, 0x8e, 0x16, HLT], { rsi: BigInt(ABSENT - 8) });
		setVector(guest, 1, [ONES, 1n << 31n, 0n, 0n]);
		setVector(guest, 2, [ONES, ONES, ONES, ONES]);
		expect(faultOf(guest)).toBe(PF);
		expect([...guest.ram.subarray(ABSENT - 8, ABSENT)].every((byte) => byte === 0)).toBe(true);
	});

	it("MASKMOVDQU stores the bytes that the mask names, at DS:rDI", async () => {
		// maskmovdqu xmm0, xmm1
		const guest = await guarded(engine, { code: [0x66, 0x0f, 0xf7, 0xc1, HLT], registers: { edi: DATA } });
		setVector(guest, 0, [0x0807_0605_0403_0201n, 0x100f_0e0d_0c0b_0a09n]);
		setVector(guest, 1, [0x8000_7f00_0000_0080n, 0x8000_0000_0000_0000n]);
		expect(faultOf(guest)).toBe(NONE);
		expect([...guest.ram.subarray(DATA, DATA + 16)]).toEqual([1, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 16]);
	});

	it("a gather that faults keeps what it has and goes on from there", async () => {
		// vpgatherdd xmm0, [rsi + xmm1 * 4], xmm2
		const code = [0xc4, 0xe2, 0x69, 0x90, 0x04, 0x8e, HLT];
		const guest = await paged(engine, code, { rsi: BigInt(ABSENT - 16) });
		new DataView(guest.ram.buffer, guest.ram.byteOffset).setUint32(ABSENT - 12, 0x12345678, true);
		setVector(guest, 0, [0xaaaa_aaaa_aaaa_aaaan, 0xaaaa_aaaa_aaaa_aaaan, ONES, ONES]);
		// Elements 1, 4 (absent), 4 (masked), 1.
		setVector(guest, 1, [0x4_0000_0001n, 0x1_0000_0004n, 0n, 0n]);
		setVector(guest, 2, [0x8000_0000_8000_0000n, 0x8000_0000_7fff_ffffn, ONES, ONES]);
		expect(faultOf(guest)).toBe(PF);
		expect(vectorOf(guest, 0)[0]).toBe(0xaaaa_aaaa_1234_5678n);
		expect(vectorOf(guest, 2).slice(0, 2)).toEqual([0xffff_ffff_0000_0000n, 0xffff_ffff_0000_0000n]);
		// The handler of a real system would bring the page; here the index is mended.
		setVector(guest, 1, [0x1_0000_0001n, 0x1_0000_0004n]);
		guest.processor.set64(F.rip, 0x1000n);
		expect(faultOf(guest)).toBe(NONE);
		expect(vectorOf(guest, 0)).toEqual([0x1234_5678_1234_5678n, 0x1234_5678_aaaa_aaaan, 0n, 0n]);
		expect(vectorOf(guest, 2)).toEqual([0n, 0n, 0n, 0n]);
	});
});
