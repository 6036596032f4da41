import { describe, expect, it } from "vitest";
import { EXIT_REASON } from "../../src/kvm/vcpu.ts";
import { CR0, CR4, EFER, EFLAGS } from "../../src/vcpu/core/control-bits.ts";
import { cpuidOf } from "../../src/vcpu/cpu-models.ts";
import { ATTR, F, KEY, SEG, segmentOffset } from "../../src/vcpu/layout.ts";
import { MSR, msrField } from "../../src/vcpu/msr.ts";
import { ENGINES, type EngineName, type GuestOptions, LONG_TABLES, TestGuest } from "../support/engine.ts";

const HLT = 0xf4;
const RAM = 1 << 20;
const PML4 = RAM - LONG_TABLES;
const [IDT, GDT, TSS, HANDLERS, DESCRIPTOR] = [0x10000, 0x12000, 0x13000, 0x14000, 0x16000];
const [CODE, DATA, TSS_SELECTOR] = [8, 16, 24];
const [DB, UD, SS, GP] = [1, 6, 12, 13];
/** MOV CRn, RAX. */
const toCr = (n: number): number[] => (n === 8 ? [0x44, 0x0f, 0x22, 0xc0] : [0x0f, 0x22, 0xc0 | (n << 3)]);
const INVPCID_RAX_RBX = [0x66, 0x0f, 0x38, 0x82, 0x03];

/** A guest in 64-bit mode at CPL 0, where every vector's handler is a HLT. */
async function long(engine: EngineName, options: GuestOptions): Promise<TestGuest> {
	const guest = await TestGuest.create(engine, { mode: "long", ram: RAM, ...options });
	const view = new DataView(guest.ram.buffer, guest.ram.byteOffset);
	view.setBigUint64(GDT + CODE, 0x00af9b000000ffffn, true);
	view.setBigUint64(GDT + DATA, 0x00cf93000000ffffn, true);
	for (let vector = 0; vector < 32; vector++) {
		view.setUint32(IDT + vector * 16, (CODE << 16) | (HANDLERS + vector), true);
		view.setUint32(IDT + vector * 16 + 4, 0x8e00 | (((HANDLERS + vector) >>> 16) << 16), true);
		guest.ram[HANDLERS + vector] = HLT;
	}
	view.setBigUint64(TSS + 4, 0x9000n, true);
	const { processor } = guest;
	processor.set64(F.gdtBase, BigInt(GDT));
	processor.set64(F.gdtLimit, 0x7fn);
	processor.set64(F.idtBase, BigInt(IDT));
	processor.set64(F.idtLimit, 0x1ffn);
	processor.setSegment(7, TSS_SELECTOR, BigInt(TSS), 0x67n, ATTR.present | 0xb);
	return guest;
}

/** Runs to a HLT: the vector whose handler it is, -1 for another. */
function vectorOf(guest: TestGuest): number {
	const reason = guest.run(1000);
	expect(reason).toBe(EXIT_REASON.hlt);
	const vector = Number(guest.rip) - 1 - HANDLERS;
	return vector >= 0 && vector < 32 ? vector : -1;
}

function change(guest: TestGuest, field: "cr0" | "cr4" | "efer", bits: number, on = true): void {
	const { processor } = guest;
	const mask = BigInt(bits >>> 0);
	processor.set64(F[field], on ? processor.get64(F[field]) | mask : processor.get64(F[field]) & ~mask);
	processor.refresh();
}

describe.each(ENGINES)("control registers of long mode on the %s", (engine) => {
	const cr0 = 0xe0000011n;
	const cr3 = BigInt(PML4);
	it.each([
		["CR0.PG cleared in 64-bit code", 0, cr0 & ~0x80000000n, GP],
		["CR0 beyond 32 bits", 0, cr0 | (1n << 32n), GP],
		["CR4.PAE cleared", 4, 0n, GP],
		["CR4.LA57 set", 4, 0x1020n, GP],
		["CR4 beyond 32 bits", 4, 0x20n | (1n << 32n), GP],
		["CR4.PCIDE in context 0", 4, 0x20020n, -1],
		["CR3 with a bit that no address has", 3, cr3 | (1n << 40n), GP],
		["CR3 with bit 63", 3, cr3 | (1n << 63n), GP],
		["CR8 with 15", 8, 15n, -1],
		["CR8 with 16", 8, 16n, GP],
	])("%s", async (_name, number, rax, vector) => {
		const guest = await long(engine, { code: [...toCr(number), HLT], registers: { rax } });
		expect(vectorOf(guest)).toBe(vector);
		expect(guest.processor.get64(F.cr3)).toBe(cr3);
	});

	it("PCIDE cannot be set in a context", async () => {
		const guest = await long(engine, { code: [...toCr(4), HLT], registers: { rax: 0x20020n } });
		guest.processor.set64(F.cr3, cr3 | 5n);
		expect(vectorOf(guest)).toBe(GP);
	});

	it("with PCIDE bit 63 of CR3 is a wish that is not kept, and paging stays on", async () => {
		const rax = cr3 | 7n | (1n << 63n);
		const guest = await long(engine, { code: [...toCr(3), HLT], registers: { rax } });
		change(guest, "cr4", CR4.pcide);
		expect(vectorOf(guest)).toBe(-1);
		expect(guest.processor.get64(F.cr3)).toBe(cr3 | 7n);
	});

	/** 32-bit code with paging off, everything else as long mode wants it. */
	async function outside(code: readonly number[], rax: bigint): Promise<TestGuest> {
		const guest = await long(engine, { code, registers: { rax } });
		guest.processor.setSegment(1, CODE, 0n, 0xffffffffn, ATTR.present | ATTR.s | 0xb | ATTR.big | ATTR.granular);
		change(guest, "efer", EFER.lma, false);
		change(guest, "cr0", CR0.pg, false);
		return guest;
	}

	it("setting PG with LME enters compatibility mode, clearing it there leaves", async () => {
		const guest = await outside([...toCr(0), 0x35, 0, 0, 0, 0x80, ...toCr(0), HLT], cr0);
		expect(guest.run(1)).toBe(EXIT_REASON.budget);
		expect(guest.processor.get64(F.efer) & BigInt(EFER.lma)).toBe(BigInt(EFER.lma));
		expect(vectorOf(guest)).toBe(-1);
		expect(guest.processor.get64(F.efer) & BigInt(EFER.lma)).toBe(0n);
	});

	it.each([
		["CS is a 64-bit segment", (guest: TestGuest) => guest.processor.setSegment(1, CODE, 0n, 0xffffffffn, 0xa9b)],
		["PAE is off", (guest: TestGuest) => change(guest, "cr4", CR4.pae, false)],
		["the TSS is a 16-bit one", (guest: TestGuest) => guest.processor.setSegment(7, 24, 0n, 0x67n, 0x83)],
	])("PG with LME is refused where %s", async (_name, prepare) => {
		const guest = await outside([...toCr(0), HLT], cr0);
		prepare(guest);
		guest.processor.refresh();
		guest.run(1);
		expect(guest.processor.get(F.faultVector)).toBe(GP);
		expect(guest.processor.get64(F.efer) & BigInt(EFER.lma)).toBe(0n);
	});

	it("CR8 and the host's task priority are one", async () => {
		const guest = await long(engine, {
			code: [...toCr(8), 0x31, 0xc0, 0x44, 0x0f, 0x20, 0xc0, HLT],
			registers: { rax: 9n },
		});
		expect(vectorOf(guest)).toBe(-1);
		expect(guest.gpr("rax")).toBe(9n);
		expect(guest.processor.get(F.cr8)).toBe(9);
	});
});

describe.each(ENGINES)("user space's interrupt controller on the %s", (engine) => {
	it("hears of a lower CR8, behind the instruction that lowers it", async () => {
		const lower = [0x31, 0xc0, ...toCr(8)];
		const guest = await long(engine, { code: [...toCr(8), ...lower, HLT], registers: { rax: 9n } });
		expect(guest.run(1000)).toBe(EXIT_REASON.setTpr);
		expect([guest.rip, guest.vcpu.cr8]).toEqual([BigInt(0x1000 + 2 * toCr(8).length + 2), 0n]);
		expect(vectorOf(guest)).toBe(-1);
	});
});

describe.each(ENGINES)("INVPCID on the %s", (engine) => {
	it.each([
		["type 0", 0n, 0n, 0n, false, -1],
		["type 1 in context 0", 1n, 0n, 0n, false, -1],
		["type 1 in a context without PCIDE", 1n, 3n, 0n, false, GP],
		["type 1 in a context", 1n, 3n, 0n, true, -1],
		["type 2", 2n, 3n, 0n, false, -1],
		["type 3", 3n, 0n, 1n << 63n, true, -1],
		["type 4", 4n, 0n, 0n, true, GP],
		["a reserved bit", 2n, 0x1000n, 0n, true, GP],
		["type 0 of an address that is not canonical", 0n, 0n, 1n << 63n, true, GP],
	])("%s", async (_name, rax, context, address, pcide, vector) => {
		const guest = await long(engine, { code: [...INVPCID_RAX_RBX, HLT], registers: { rax, rbx: BigInt(DESCRIPTOR) } });
		const view = new DataView(guest.ram.buffer, guest.ram.byteOffset);
		view.setBigUint64(DESCRIPTOR, context, true);
		view.setBigUint64(DESCRIPTOR + 8, address, true);
		if (pcide) change(guest, "cr4", CR4.pcide);
		expect(vectorOf(guest)).toBe(vector);
	});

	it("forgets what was changed in the page tables", async () => {
		// mov ecx,[rdx]; mov [rdi],rsi; invpcid; mov ecx,[rdx]; hlt
		const code = [0x8b, 0x0a, 0x48, 0x89, 0x37, ...INVPCID_RAX_RBX, 0x8b, 0x0a, HLT];
		for (const type of [0n, 1n, 2n, 3n]) {
			const registers = { rax: type, rbx: BigInt(DESCRIPTOR), rdx: 0x400000n };
			// Linear 400000 is in the third large page; it moves to the first one.
			const entry = BigInt(PML4 + 0x2000 + 16);
			const guest = await long(engine, { code, registers: { ...registers, rdi: entry, rsi: 0xe7n } });
			const view = new DataView(guest.ram.buffer, guest.ram.byteOffset);
			view.setBigUint64(Number(entry), 0xe7n, true);
			view.setBigUint64(DESCRIPTOR + 8, 0x400000n, true);
			view.setUint32(0, 0x1234, true);
			expect(vectorOf(guest)).toBe(-1);
			expect(guest.gpr("rcx")).toBe(0x1234n);
		}
	});
});

describe.each(ENGINES)("paging of long mode on the %s", (engine) => {
	it("has five levels with LA57", async () => {
		// mov rcx,[rdx]; hlt, with an address of 57 bits.
		const rdx = 0x00f0000000000000n;
		const guest = await long(engine, { code: [0x48, 0x8b, 0x0a, HLT], registers: { rdx } });
		const view = new DataView(guest.ram.buffer, guest.ram.byteOffset);
		const top = 0x20000;
		view.setBigUint64(top, BigInt(PML4) | 7n, true);
		view.setBigUint64(top + 0xf0 * 8, BigInt(PML4) | 7n, true);
		view.setBigUint64(0, 0xabcdefn, true);
		guest.processor.set64(F.cr3, BigInt(top));
		change(guest, "cr4", CR4.la57);
		expect(vectorOf(guest)).toBe(-1);
		expect(guest.gpr("rcx")).toBe(0xabcdefn);
	});

	it("without LA57 such an address is not canonical", async () => {
		const guest = await long(engine, { code: [0x48, 0x8b, 0x0a, HLT], registers: { rdx: 0x00f0000000000000n } });
		expect(vectorOf(guest)).toBe(GP);
	});

	it("INVLPG forgets all of a 1 GiB page", async () => {
		// mov ecx,[rdx]; mov [rdi],rsi; invlpg [r8]; mov ecx,[rdx]; hlt: the page goes from 0 to 40000000, where nothing is.
		const code = [0x8b, 0x0a, 0x48, 0x89, 0x37, 0x41, 0x0f, 0x01, 0x38, 0x8b, 0x0a, HLT];
		const entry = PML4 + 0x1000 + 8;
		const registers = { rdx: 0x40000500n, rdi: BigInt(entry), rsi: 0n, r8: 0x7fff0000n };
		const guest = await long(engine, { code, registers });
		new DataView(guest.ram.buffer, guest.ram.byteOffset).setBigUint64(entry, 0x87n, true);
		expect(vectorOf(guest)).toBe(14);
		expect(guest.processor.get64(F.cr2)).toBe(0x40000500n);
	});

	it("stores of SMAP's opened pages are seen by the closed ones", async () => {
		// stac; mov [rdx],eax; clac; hlt
		const code = [0x0f, 0x01, 0xcb, 0x89, 0x02, 0x0f, 0x01, 0xca, HLT];
		const guest = await long(engine, { code, registers: { rax: 0x77n, rdx: 0x400000n } });
		const view = new DataView(guest.ram.buffer, guest.ram.byteOffset);
		// Everything but the third large page becomes the supervisor's.
		for (let n = 0; n < 512; n++) view.setBigUint64(PML4 + 0x2000 + n * 8, (BigInt(n) << 21n) | 0xe3n, true);
		view.setBigUint64(PML4 + 0x2000 + 16, 0xe7n, true);
		change(guest, "cr4", CR4.smap);
		expect(vectorOf(guest)).toBe(-1);
		expect(view.getUint32(0, true)).toBe(0x77);
		expect(guest.eflags & EFLAGS.ac).toBe(0);
	});
});

describe.each(ENGINES)("SYSCALL and SYSRET on the %s", (engine) => {
	async function caller(code: readonly number[], options: GuestOptions): Promise<TestGuest> {
		const guest = await long(engine, { code, ...options });
		const set = (number: number, value: bigint): void => guest.processor.set64(msrField(number), value);
		set(MSR.star, (0x33n << 48n) | (BigInt(CODE) << 32n));
		set(MSR.lstar, 0x2000n);
		set(MSR.syscallMask, BigInt(EFLAGS.tf));
		guest.ram[0x2000] = HLT;
		return guest;
	}

	it("with a masked TF no trap follows the call", async () => {
		const guest = await caller([0x0f, 0x05], { eflags: 2 | EFLAGS.tf });
		expect(vectorOf(guest)).toBe(-1);
		expect(guest.rip).toBe(0x2001n);
		expect(guest.gpr("r11") & BigInt(EFLAGS.tf)).toBe(BigInt(EFLAGS.tf));
	});

	it("a TF that SYSRET brings traps before the program goes on", async () => {
		const registers = { rcx: 0x3000n, r11: BigInt(2 | EFLAGS.tf) };
		const guest = await caller([0x48, 0x0f, 0x07], { registers });
		expect(vectorOf(guest)).toBe(DB);
		const frame = new DataView(guest.ram.buffer, guest.ram.byteOffset);
		expect(frame.getBigUint64(Number(guest.gpr("rsp")), true)).toBe(0x3000n);
		expect(frame.getBigUint64(Number(guest.gpr("rsp")) + 8, true)).toBe(0x43n);
	});

	it("without EFER.SCE both are undefined", async () => {
		for (const code of [
			[0x0f, 0x05],
			[0x48, 0x0f, 0x07],
		]) {
			const guest = await caller(code, {});
			change(guest, "efer", EFER.sce, false);
			expect(vectorOf(guest)).toBe(UD);
		}
	});
});

describe.each(ENGINES)("XGETBV and XSETBV on the %s", (engine) => {
	const [XGETBV, XSETBV] = [
		[0x0f, 0x01, 0xd0],
		[0x0f, 0x01, 0xd1],
	];

	it("XCR0 begins with the x87 component", async () => {
		const guest = await long(engine, { code: [...XGETBV, HLT], registers: { rax: -1n, rcx: 0n, rdx: -1n } });
		change(guest, "cr4", CR4.osxsave);
		expect(vectorOf(guest)).toBe(-1);
		expect([guest.gpr("rax"), guest.gpr("rdx")]).toEqual([1n, 0n]);
	});

	it("both are undefined without CR4.OSXSAVE", async () => {
		for (const code of [XGETBV, XSETBV]) {
			const guest = await long(engine, { code: [...code, HLT], registers: { rax: 1n, rcx: 0n, rdx: 0n } });
			expect(vectorOf(guest)).toBe(UD);
		}
	});

	it.each([
		["everything", 0x207n, 0n, 0n, -1],
		["x87 alone", 1n, 0n, 0n, -1],
		["no x87", 6n, 0n, 0n, GP],
		["AVX without SSE", 5n, 0n, 0n, GP],
		["a component that does not exist", 0x2en, 0n, 0n, GP],
		["the upper half", 7n, 0n, 1n, GP],
		["another register", 7n, 1n, 0n, GP],
	])("XSETBV of %s", async (_name, rax, rcx, rdx, vector) => {
		const guest = await long(engine, { code: [...XSETBV, HLT], registers: { rax, rcx, rdx } });
		change(guest, "cr4", CR4.osxsave);
		expect(vectorOf(guest)).toBe(vector);
		expect(guest.processor.get64(F.xcr0)).toBe(vector < 0 ? rax : 1n);
	});

	it("CPUID follows XCR0 and CR4", async () => {
		// xsetbv; mov eax,0xd; xor ecx,ecx; cpuid; mov r8d,ebx; mov eax,1; cpuid; hlt
		const [leafD, leaf1] = [
			[0xb8, 0x0d, 0, 0, 0, 0x31, 0xc9, 0x0f, 0xa2, 0x41, 0x89, 0xd8],
			[0xb8, 1, 0, 0, 0, 0x0f, 0xa2],
		];
		const code = [...XSETBV, ...leafD, ...leaf1, HLT];
		for (const [rax, bytes] of [
			[1n, 576n],
			[7n, 832n],
			[0x203n, 2696n],
		] as const) {
			const guest = await long(engine, { code, registers: { rax, rcx: 0n, rdx: 0n } });
			change(guest, "cr4", CR4.osxsave);
			expect(vectorOf(guest)).toBe(-1);
			expect([guest.gpr("r8"), (guest.gpr("rcx") >> 27n) & 1n]).toEqual([bytes, 1n]);
		}
	});
});

describe.each(ENGINES)("fast calls of AMD's processors on the %s", (engine) => {
	const CODE32 = 0x38;
	/** At 0x1000 in 32-bit code of long mode or, with `legacy`, without paging. */
	async function caller(code: readonly number[], legacy = false, vendor = "AuthenticAMD"): Promise<TestGuest> {
		const guest = await long(engine, { code, registers: { rcx: 0x12345678n, rax: BigInt(CODE) } });
		guest.processor.setCpuid(cpuidOf({ model: "max", vendor, features: [] }));
		const set = (number: number, value: bigint): void => guest.processor.set64(msrField(number), value);
		set(MSR.star, (0x33n << 48n) | (BigInt(CODE) << 32n) | 0x3000n);
		set(MSR.lstar, 0x5000n);
		set(MSR.cstar, 0x2000n);
		set(MSR.syscallMask, BigInt(EFLAGS.if));
		set(MSR.sysenterCs, BigInt(CODE));
		guest.ram[0x2000] = HLT;
		guest.ram[0x3000] = HLT;
		guest.processor.setSegment(1, CODE32, 0n, 0xffffffffn, ATTR.present | ATTR.s | 0xb | ATTR.big | ATTR.granular);
		change(guest, "efer", EFER.sce);
		guest.processor.call("writeFlags", 2 | EFLAGS.if);
		if (legacy) {
			change(guest, "efer", EFER.lma | EFER.lme, false);
			change(guest, "cr0", CR0.pg, false);
		}
		guest.processor.refresh();
		return guest;
	}
	const [SYSCALL, SYSRET, SYSENTER, SYSEXIT] = [0x05, 0x07, 0x34, 0x35].map((code) => [0x0f, code]) as [
		number[],
		number[],
		number[],
		number[],
	];

	it("SYSCALL of compatibility mode goes where CSTAR says, in 64-bit mode", async () => {
		const guest = await caller(SYSCALL);
		expect(vectorOf(guest)).toBe(-1);
		expect(guest.rip).toBe(0x2001n);
		expect([guest.gpr("rcx"), guest.gpr("r11")]).toEqual([0x1002n, BigInt(2 | EFLAGS.if)]);
		expect(guest.processor.get(F.modeKey) & KEY.long).not.toBe(0);
		expect(guest.eflags & EFLAGS.if).toBe(0);
	});

	it("SYSCALL outside long mode goes where STAR says and clears IF", async () => {
		const guest = await caller(SYSCALL, true);
		expect(guest.run(1000)).toBe(EXIT_REASON.hlt);
		expect([guest.rip, guest.gpr("rcx"), guest.selector(1), guest.selector(2)]).toEqual([0x3001n, 0x1002n, CODE, DATA]);
		expect(guest.eflags & EFLAGS.if).toBe(0);
	});

	it("SYSRET outside long mode sets IF, keeps the other flags and returns to ECX", async () => {
		// cli; cmp eax,eax; sysret
		const guest = await caller([0xfa, 0x39, 0xc0, ...SYSRET], true);
		guest.run(3);
		expect([guest.rip, guest.selector(1), guest.selector(2)]).toEqual([0x12345678n, 0x33, 0x3b]);
		expect(guest.eflags & (EFLAGS.if | EFLAGS.zf)).toBe(EFLAGS.if | EFLAGS.zf);
	});

	it.each([
		["AuthenticAMD", 0x43n],
		["GenuineIntel", BigInt(CODE)],
	])("an address that is not canonical is found behind or at SYSRET: %s", async (vendor, cs) => {
		const guest = await caller([0x48, ...SYSRET], false, vendor);
		guest.processor.setSegment(1, CODE, 0n, 0xffffffffn, ATTR.present | ATTR.s | 0xb | ATTR.long | ATTR.granular);
		guest.processor.refresh();
		guest.setGpr("rcx", 1n << 62n);
		expect(vectorOf(guest)).toBe(GP);
		const frame = new DataView(guest.ram.buffer, guest.ram.byteOffset + Number(guest.gpr("rsp")));
		expect(frame.getBigUint64(16, true)).toBe(cs);
	});

	it("SYSENTER and SYSEXIT do not exist in long mode, but outside", async () => {
		for (const code of [SYSENTER, SYSEXIT]) {
			expect(vectorOf(await caller(code))).toBe(UD);
			const guest = await caller(code, true);
			guest.run(1);
			expect(guest.processor.get(F.faultPending)).toBe(0);
		}
	});

	it("their performance counters have registers, which an Intel processor has not", async () => {
		// mov eax,1000h; mov ecx,ebx; wrmsr; xor eax,eax; rdmsr; hlt
		const code = [0xb8, 0, 0x10, 0, 0, 0x89, 0xd9, 0x0f, 0x30, 0x31, 0xc0, 0x0f, 0x32, HLT];
		for (const [vendor, vector, value] of [
			["AuthenticAMD", -1, 0x1000n],
			["GenuineIntel", GP, 0n],
		] as const) {
			const guest = await caller(code, false, vendor);
			guest.setGpr("rbx", BigInt(MSR.amdPerfCounter));
			guest.setGpr("rdx", 0n);
			expect(vectorOf(guest)).toBe(vector);
			expect(guest.processor.get64(msrField(MSR.amdPerfCounter))).toBe(value);
		}
	});

	it("an Intel processor has SYSCALL and SYSRET in 64-bit mode only", async () => {
		for (const code of [SYSCALL, SYSRET]) expect(vectorOf(await caller(code, false, "GenuineIntel"))).toBe(UD);
	});
});

describe.each(ENGINES)("registers of 64-bit mode on the %s", (engine) => {
	it("RDTSCP and RDPID give TSC_AUX", async () => {
		const guest = await long(engine, {
			code: [0x0f, 0x01, 0xf9, 0xf3, 0x0f, 0xc7, 0xfb, HLT],
			registers: { rbx: -1n },
		});
		guest.processor.set64(msrField(MSR.tscAux), 0x87654321n);
		expect(vectorOf(guest)).toBe(-1);
		expect([guest.gpr("rcx"), guest.gpr("rbx")]).toEqual([0x87654321n, 0x87654321n]);
	});

	it("LGDT refuses a base that is not canonical", async () => {
		const guest = await long(engine, { code: [0x0f, 0x01, 0x13, HLT], registers: { rbx: BigInt(DESCRIPTOR) } });
		new DataView(guest.ram.buffer, guest.ram.byteOffset).setBigUint64(DESCRIPTOR + 2, 1n << 62n, true);
		expect(vectorOf(guest)).toBe(GP);
		expect(guest.processor.get64(F.gdtBase)).toBe(BigInt(GDT));
	});

	it("IRETQ takes a kernel's segments away from a program, but not the base of GS", async () => {
		const [userCode, userData] = [0x20, 0x28];
		const guest = await long(engine, { code: [0x48, 0xcf], registers: { rsp: 0x8000n } });
		const view = new DataView(guest.ram.buffer, guest.ram.byteOffset);
		view.setBigUint64(GDT + userCode, 0x00affb000000ffffn, true);
		view.setBigUint64(GDT + userData, 0x00cff3000000ffffn, true);
		[0x3000n, BigInt(userCode | 3), 2n, 0x7000n, BigInt(userData | 3)].forEach((value, n) => {
			view.setBigUint64(0x8000 + n * 8, value, true);
		});
		// mov eax,gs:[0]; hlt
		guest.ram.set([0x65, 0x8b, 0x04, 0x25, 0, 0, 0, 0, HLT], 0x3000);
		view.setUint32(0x5000, 0x1234, true);
		guest.processor.set64(SEG.base, 0x5000n, segmentOffset(5));
		guest.processor.refresh();
		expect(vectorOf(guest)).toBe(GP);
		expect(guest.gpr("rax")).toBe(0x1234n);
		expect(guest.selector(5)).toBe(0);
	});

	describe("IRETQ within privilege level 0", () => {
		const [FRAMES, FRAME, ROUNDS, END] = [0x20000, 40, 20, 0x3000];
		const [STORE, IRET] = [0x1002, 0x1005];

		/** IRETQ again and again, to itself; the last time, behind a store of `value` at `address`, with `last` as its frame. */
		async function returns(last: readonly bigint[], address = 0x5000, value = 0n): Promise<TestGuest> {
			// jmp IRET; STORE: mov [rcx], rax; IRET: iretq
			const guest = await long(engine, {
				code: [0xeb, 3, 0x48, 0x89, 0x01, 0x48, 0xcf],
				registers: { rsp: BigInt(FRAMES), rcx: BigInt(address), rax: value },
			});
			const view = new DataView(guest.ram.buffer, guest.ram.byteOffset);
			for (let n = 0; n <= ROUNDS; n++) {
				const next = BigInt(FRAMES + (n + 1) * FRAME);
				const again = [BigInt(n === ROUNDS - 1 ? STORE : IRET), BigInt(CODE), 2n, next, BigInt(DATA)];
				(n === ROUNDS ? last : again).forEach((word, at) => {
					view.setBigUint64(FRAMES + n * FRAME + at * 8, word, true);
				});
			}
			guest.ram[END] = HLT;
			return guest;
		}
		const frame = (changes: { ip?: bigint; cs?: number; flags?: number; sp?: bigint; ss?: number } = {}): bigint[] => {
			const { ip = BigInt(END), cs = CODE, flags = 2, sp = 0x8000n, ss = DATA } = changes;
			return [ip, BigInt(cs), BigInt(flags), sp, BigInt(ss)];
		};

		it("loads all of RSP, and flags that only this level may change", async () => {
			const guest = await returns(frame({ flags: 0x3cd7 | EFLAGS.id | EFLAGS.ac, sp: 0x1234_5678_9abc_def1n }));
			expect(vectorOf(guest)).toBe(-1);
			expect(guest.gpr("rsp")).toBe(0x1234_5678_9abc_def1n);
			expect(guest.eflags).toBe(0x3cd7 | EFLAGS.id | EFLAGS.ac);
		});

		it("takes a null SS", async () => {
			const guest = await returns(frame({ ss: 0 }));
			expect(vectorOf(guest)).toBe(-1);
			expect(guest.selector(2)).toBe(0);
			expect(guest.processor.get(SEG.attributes, segmentOffset(2)) & ATTR.unusable).not.toBe(0);
		});

		it.each([
			["an IP that is not canonical", frame({ ip: 1n << 62n }), undefined, GP],
			["a null CS", frame({ cs: 0 }), undefined, GP],
			["a selector of another level for SS", frame({ ss: DATA | 3 }), undefined, GP],
			["a stack that has become readonly", frame(), 0x00cf91000000ffffn, GP],
			["a stack that is not present any more", frame(), 0x00cf13000000ffffn, SS],
		] as const)("refuses %s", async (_name, last, stack, vector) => {
			const guest = await (stack === undefined ? returns(last) : returns(last, GDT + DATA, stack));
			expect(vectorOf(guest)).toBe(vector);
		});

		it("marks a stack segment accessed that has become unaccessed", async () => {
			const guest = await returns(frame(), GDT + DATA, 0x00cf92000000ffffn);
			expect(vectorOf(guest)).toBe(-1);
			expect(guest.ram[GDT + DATA + 5]).toBe(0x93);
		});
	});

	it("loading FS takes a base of 32 bits, and a null selector none", async () => {
		// mov fs,eax; mov gs,ecx; hlt
		const guest = await long(engine, { code: [0x8e, 0xe0, 0x8e, 0xe9, HLT], registers: { rax: 32n, rcx: 0n } });
		new DataView(guest.ram.buffer, guest.ram.byteOffset).setBigUint64(GDT + 32, 0x89cf93abcdef0000n | 0xffffn, true);
		for (const n of [4, 5]) guest.processor.set64(SEG.base, -1n, segmentOffset(n));
		expect(vectorOf(guest)).toBe(-1);
		expect([4, 5].map((n) => guest.processor.get64(SEG.base, segmentOffset(n)))).toEqual([0x89abcdefn, 0n]);
	});
});
