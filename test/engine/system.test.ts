import { describe, expect, it } from "vitest";
import { EXIT_REASON } from "../../src/kvm/vcpu.ts";
import { cpuidOf } from "../../src/vcpu/cpu-models.ts";
import { F, SEG, segmentOffset } from "../../src/vcpu/layout.ts";
import { APIC_BASE, MSR, msrField } from "../../src/vcpu/msr.ts";
import { ENGINES, type GuestOptions, TestGuest } from "../support/engine.ts";
import { enterUserMode, faultOf, installFaultTable } from "../support/fault-table.ts";

const HLT = 0xf4;
const [UD, GP] = [6, 13];
const [CR0_PE, CR0_TS, CR0_ET, CR0_NE, CR0_WP, CR0_NW, CR0_CD, CR0_PG] = [
	1, 8, 0x10, 0x20, 0x10000, 0x20000000, 0x40000000, 0x80000000,
];
const [CR4_TSD, CR4_PAE, CR4_PCE] = [4n, 0x20n, 0x100n];
const RAM = 1 << 20;
const CODE = 0x1000;
const [RDMSR, WRMSR, CPUID, RDTSC, RDPMC] = [
	[0x0f, 0x32],
	[0x0f, 0x30],
	[0x0f, 0xa2],
	[0x0f, 0x31],
	[0x0f, 0x33],
];
/** MOV CRn, EAX and back. */
const toCr = (n: number): number[] => [0x0f, 0x22, 0xc0 | (n << 3)];
const fromCr = (n: number): number[] => [0x0f, 0x20, 0xc0 | (n << 3)];
/** MOV DRn, EAX. */
const toDr = (n: number): number[] => [0x0f, 0x23, 0xc0 | (n << 3)];

type Engine = (typeof ENGINES)[number];

async function kernel(engine: Engine, options: GuestOptions): Promise<TestGuest> {
	const guest = await TestGuest.create(engine, options);
	installFaultTable(guest);
	return guest;
}

async function user(engine: Engine, options: GuestOptions): Promise<TestGuest> {
	const guest = await kernel(engine, options);
	enterUserMode(guest);
	return guest;
}

describe.each(ENGINES)("control registers on the %s engine", (engine) => {
	it("CR0 keeps the bits that exist, and ET always", async () => {
		const guest = await kernel(engine, {
			code: [...toCr(0), ...fromCr(0), HLT],
			registers: { eax: 0x7fffffff & ~CR0_NW },
		});
		expect(faultOf(guest)).toBe(-1);
		expect(guest.register("eax")).toBe(0x4005003f);
	});

	it.each([
		["PG without PE", CR0_PG | CR0_ET],
		["NW without CD", CR0_NW | CR0_PE],
	])("CR0 with %s is #GP and stays", async (_name, eax) => {
		const guest = await kernel(engine, { code: [...toCr(0), HLT], registers: { eax } });
		const before = guest.processor.get64(F.cr0);
		expect(faultOf(guest)).toBe(GP);
		expect(guest.processor.get64(F.cr0)).toBe(before);
	});

	it("CR4 refuses bits of features that the processor does not have", async () => {
		for (const [eax, vector] of [
			[0x1ff, -1],
			[0x200, GP],
			[0x2000, GP],
		] as const) {
			const guest = await kernel(engine, { code: [...toCr(4), ...fromCr(4), HLT], registers: { eax } });
			guest.processor.setCpuid(cpuidOf({ model: "pentium3", features: [{ name: "fxsr", on: false }] }));
			expect(faultOf(guest)).toBe(vector);
			expect(guest.register("eax")).toBe(eax);
		}
	});

	it("CR2 and CR3 give back what was written", async () => {
		for (const n of [2, 3]) {
			const guest = await kernel(engine, {
				code: [...toCr(n), 0x31, 0xc0, ...fromCr(n), HLT],
				registers: { eax: 0xdeadb000 },
			});
			expect(faultOf(guest)).toBe(-1);
			expect(guest.register("eax")).toBe(0xdeadb000);
		}
	});

	it("paging with PAE loads the directory pointers and refuses reserved bits in them", async () => {
		for (const [low, vector] of [
			[0x20001, -1],
			[0x20003, GP],
		] as const) {
			const guest = await kernel(engine, {
				code: [...toCr(0), HLT],
				memory: {
					// Pointer table, page directory with one large page at 0.
					126976: [low & 0xff, 0, 2, 0, 0, 0, 0, 0],
					131072: [0xe3, 0, 0, 0, 0, 0, 0, 0],
				},
				registers: { eax: CR0_PG | CR0_PE | CR0_ET },
			});
			guest.processor.set64(F.cr3, 0x1f000n);
			guest.processor.set64(F.cr4, CR4_PAE);
			expect(faultOf(guest)).toBe(vector);
		}
	});

	it("switching on WP stops a supervisor's store through an old translation", async () => {
		const guest = await kernel(engine, {
			// mov [20000h],ebx; mov cr0,eax; mov [20000h],ebx; hlt
			code: [0x89, 0x1d, 0, 0, 2, 0, ...toCr(0), 0x89, 0x1d, 0, 0, 2, 0, HLT],
			registers: { eax: CR0_PG | CR0_PE | CR0_ET | CR0_WP },
		});
		const table = new DataView(guest.ram.buffer, guest.ram.byteOffset);
		table.setUint32(0x1e000, 0x1f003, true);
		for (let page = 0; page < 64; page++) table.setUint32(0x1f000 + page * 4, (page << 12) | 3, true);
		table.setUint32(0x1f000 + 0x20 * 4, 0x20001, true);
		guest.processor.set64(F.cr3, 0x1e000n);
		guest.processor.set64(F.cr0, BigInt.asUintN(32, BigInt(CR0_PG | CR0_PE | CR0_ET)));
		guest.processor.refresh();
		expect(faultOf(guest)).toBe(14);
		expect(guest.processor.get64(F.cr2)).toBe(0x20000n);
	});

	it("LMSW sets PE and TS and cannot clear PE; CLTS clears TS", async () => {
		const guest = await kernel(engine, {
			// lmsw ax; mov eax,cr0; mov ebx,eax; clts; mov eax,cr0; hlt
			code: [0x0f, 0x01, 0xf0, ...fromCr(0), 0x89, 0xc3, 0x0f, 0x06, ...fromCr(0), HLT],
			registers: { eax: 0xfff8 },
		});
		expect(faultOf(guest)).toBe(-1);
		expect(guest.register("ebx") & 0xf).toBe(CR0_PE | CR0_TS);
		expect(guest.register("eax") & 0xf).toBe(CR0_PE);
		expect(guest.register("eax") & CR0_NE).toBe(0);
	});

	it("MOV to PE changes how the same code is decoded no sooner than CS is loaded", async () => {
		const guest = await TestGuest.create(engine, {
			mode: "real",
			code: [...toCr(0), 0xb8, 0x34, 0x12, HLT],
			registers: { eax: CR0_PE | CR0_CD | CR0_NW },
		});
		guest.runToHalt();
		expect(guest.register("eax") & 0xffff).toBe(0x1234);
		expect(guest.processor.get64(F.cr0) & 1n).toBe(1n);
	});

	it("INVLPG forgets a page that was mapped anew", async () => {
		const guest = await kernel(engine, {
			// mov eax,[20000h]; mov [1f080h],ebx; invlpg [20000h]; mov ecx,[20000h]; hlt
			code: [
				...[0xa1, 0, 0, 2, 0],
				...[0x89, 0x1d, 0x80, 0xf0, 1, 0],
				...[0x0f, 0x01, 0x3d, 0, 0, 2, 0],
				...[0x8b, 0x0d, 0, 0, 2, 0],
				HLT,
			],
			memory: { 131072: [1], 196608: [2] },
			registers: { ebx: 0x30003 },
		});
		const table = new DataView(guest.ram.buffer, guest.ram.byteOffset);
		table.setUint32(0x1e000, 0x1f003, true);
		for (let page = 0; page < 64; page++) table.setUint32(0x1f000 + page * 4, (page << 12) | 3, true);
		guest.processor.set64(F.cr3, 0x1e000n);
		guest.processor.set64(F.cr0, 0x80000011n);
		guest.processor.refresh();
		expect(faultOf(guest)).toBe(-1);
		expect([guest.register("eax"), guest.register("ecx")]).toEqual([1, 2]);
	});

	it("INVLPG forgets all of a large page", async () => {
		const guest = await kernel(engine, {
			// mov eax,[402000h]; mov [1e004h],ebx; invlpg [403000h]; mov ecx,[402000h]; hlt
			code: [
				...[0xa1, 0, 0x20, 0x40, 0],
				...[0x89, 0x1d, 4, 0xe0, 1, 0],
				...[0x0f, 0x01, 0x3d, 0, 0x30, 0x40, 0],
				...[0x8b, 0x0d, 0, 0x20, 0x40, 0],
				HLT,
			],
			ram: 0xc00000,
			memory: { 4202496: [1], 8396800: [2] },
			registers: { ebx: 0x800083 },
		});
		const table = new DataView(guest.ram.buffer, guest.ram.byteOffset);
		table.setUint32(0x1e000, 0x83, true);
		table.setUint32(0x1e004, 0x400083, true);
		guest.processor.set64(F.cr3, 0x1e000n);
		guest.processor.set64(F.cr4, 0x10n);
		guest.processor.set64(F.cr0, 0x80000011n);
		guest.processor.refresh();
		expect(faultOf(guest)).toBe(-1);
		expect([guest.register("eax"), guest.register("ecx")]).toEqual([1, 2]);
	});

	it.each([
		["HLT", [HLT]],
		["CLTS", [0x0f, 0x06]],
		["LMSW", [0x0f, 0x01, 0xf0]],
		["MOV from CR0", fromCr(0)],
		["MOV to DR0", toDr(0)],
		["WBINVD", [0x0f, 0x09]],
		["RDMSR", RDMSR],
		["LIDT", [0x0f, 0x01, 0x18]],
		["SYSEXIT", [0x0f, 0x35]],
	])("%s at CPL 3 is #GP", async (_name, code) => {
		expect(faultOf(await user(engine, { code }))).toBe(GP);
	});
});

describe.each(ENGINES)("descriptor-table registers on the %s engine", (engine) => {
	it("LGDT takes 24 bits of the base with a 16-bit operand, SGDT gives all 32", async () => {
		const guest = await TestGuest.create(engine, {
			// lgdt [20000h]; o16 lidt [20000h]; sgdt [20010h]; o16 sidt [20020h]
			code: [
				...[0x0f, 0x01, 0x15, 0, 0, 2, 0],
				...[0x66, 0x0f, 0x01, 0x1d, 0, 0, 2, 0],
				...[0x0f, 0x01, 0x05, 0x10, 0, 2, 0],
				...[0x66, 0x0f, 0x01, 0x0d, 0x20, 0, 2, 0],
				HLT,
			],
			memory: { 131072: [0x34, 0x12, 0x78, 0x56, 0x34, 0x12], 131088: new Uint8Array(32).fill(0xee) },
		});
		guest.runToHalt();
		expect([...guest.ram.subarray(0x20010, 0x20017)]).toEqual([0x34, 0x12, 0x78, 0x56, 0x34, 0x12, 0xee]);
		expect([...guest.ram.subarray(0x20020, 0x20027)]).toEqual([0x34, 0x12, 0x78, 0x56, 0x34, 0x00, 0xee]);
	});

	it("SGDT into a hole is one store of six bytes, as KVM's interface has it", async () => {
		const guest = await TestGuest.create(engine, { code: [0x0f, 0x01, 0x00, HLT], registers: { eax: RAM + 4 } });
		guest.processor.set64(F.gdtBase, 0x87654321n);
		guest.processor.set64(F.gdtLimit, 0xabcn);
		const { exit } = guest.vcpu;
		expect(guest.run()).toBe(EXIT_REASON.mmio);
		expect([exit.physAddr, exit.len, ...exit.words]).toEqual([RAM + 4, 6, 0x43210abc, 0x8765]);
		guest.runToHalt();
	});

	it("LIDT from a hole is one read of six bytes", async () => {
		const guest = await TestGuest.create(engine, { code: [0x0f, 0x01, 0x18, HLT], registers: { eax: RAM } });
		const { exit } = guest.vcpu;
		expect(guest.run()).toBe(EXIT_REASON.mmio);
		expect([exit.physAddr, exit.len, guest.eip]).toEqual([RAM, 6, CODE]);
		exit.words.set([0x900003ff, 0]);
		guest.runToHalt();
		expect([guest.processor.get64(F.idtLimit), guest.processor.get64(F.idtBase)]).toEqual([0x3ffn, 0x9000n]);
	});
});

describe.each(ENGINES)("time-stamp and performance counters on the %s engine", (engine) => {
	it("RDTSC counts the instructions before it", async () => {
		const guest = await kernel(engine, {
			code: [0x90, 0x90, ...RDTSC, 0x89, 0xc3, 0x90, ...RDTSC, HLT],
			registers: { edx: 0xffffffff },
		});
		expect(faultOf(guest)).toBe(-1);
		expect([guest.register("ebx"), guest.register("eax"), guest.register("edx")]).toEqual([2, 5, 0]);
	});

	it("the TSC can be written and goes on from there", async () => {
		const guest = await kernel(engine, {
			code: [...WRMSR, 0x90, ...RDTSC, HLT],
			registers: { ecx: MSR.tsc, edx: 5, eax: 0xffffffff },
		});
		expect(faultOf(guest)).toBe(-1);
		expect([guest.register("edx"), guest.register("eax")]).toEqual([6, 1]);
	});

	it("RDTSC at CPL 3 is #GP with CR4.TSD, RDPMC without CR4.PCE", async () => {
		for (const [code, cr4, vector] of [
			[RDTSC, CR4_TSD, GP],
			[RDPMC, 0n, GP],
			[[...RDTSC, ...RDPMC, 0x0f, 0x0b], CR4_PCE, UD],
		] as const) {
			const guest = await user(engine, { code });
			guest.processor.set64(F.cr4, cr4);
			expect(faultOf(guest)).toBe(vector);
		}
	});

	it("RDPMC knows two counters", async () => {
		const guest = await kernel(engine, { code: [...RDPMC, HLT], registers: { ecx: 2 } });
		expect(faultOf(guest)).toBe(GP);
	});
});

describe.each(ENGINES)("model-specific registers on the %s engine", (engine) => {
	const roundTrip = async (
		ecx: number,
		edx: number,
		eax: number,
		model = "max",
	): Promise<readonly number[] | number> => {
		const guest = await kernel(engine, {
			code: [...WRMSR, 0x31, 0xc0, 0x31, 0xd2, ...RDMSR, HLT],
			registers: { ecx, edx, eax },
		});
		guest.processor.setCpuid(cpuidOf({ model, features: [] }));
		const vector = faultOf(guest);
		return vector < 0 ? [guest.register("edx"), guest.register("eax")] : vector;
	};

	it.each([
		["SYSENTER_CS", MSR.sysenterCs, 0, 0x1234],
		["SYSENTER_ESP", MSR.sysenterEsp, 0, 0xfffff000],
		["variable MTRR base", MSR.mtrrVariable, 0xf, 0xfffff006],
		["variable MTRR mask", MSR.mtrrVariable + 15, 0xf, 0xfffff800],
		["fixed MTRR", MSR.mtrrFixed4K + 7, 0x06050400, 0x01010101],
		["default type", MSR.mtrrDefault, 0, 0xc06],
		["PAT", MSR.pat, 0x00010406, 0x00070406],
		["microcode revision", MSR.microcodeRevision, 7, 0],
		["machine-check control", MSR.machineCheckBank, 0xffffffff, 0xffffffff],
		["machine-check address", MSR.machineCheckBank + 2, 1, 2],
	])("%s keeps its value", async (_name, number, edx, eax) => {
		expect(await roundTrip(number, edx, eax)).toEqual([edx, eax]);
	});

	it.each([
		["MTRRCAP", MSR.mtrrCap, 0, 0],
		["reserved bits of a variable MTRR base", MSR.mtrrVariable, 0, 0x100],
		["a physical address that does not exist", MSR.mtrrVariable, 0x100000, 6],
		["memory type 2", MSR.mtrrDefault, 0, 0x802],
		["memory type 7 in an MTRR", MSR.mtrrFixed64K, 0, 0x07],
		["memory type 3 in the PAT", MSR.pat, 0, 0x03],
		["machine-check control that is neither 0 nor all ones", MSR.machineCheckBank, 0, 1],
		["machine-check status", MSR.machineCheckBank + 1, 0, 1],
		["an unknown register", 0x12345678, 0, 0],
	])("a write of %s is #GP", async (_name, number, edx, eax) => {
		expect(await roundTrip(number, edx, eax)).toBe(GP);
	});

	it.each([
		["EFER", MSR.efer],
		["LSTAR", MSR.lstar],
		["FS_BASE", MSR.fsBase],
		["KERNEL_GS_BASE", MSR.kernelGsBase],
		["TSC_AUX", MSR.tscAux],
		["TSC_ADJUST", MSR.tscAdjust],
		["PKRS", MSR.pkrs],
		["SPEC_CTRL", MSR.speculationControl],
		["ARCH_CAPABILITIES", MSR.archCapabilities],
	])("%s is #GP on a processor without it", async (_name, number) => {
		expect(await roundTrip(number, 0, 0, "pentium3")).toBe(GP);
	});

	it.each([
		["STAR", MSR.star, 0x00230010, 0x12345678],
		["LSTAR", MSR.lstar, 0xffff8000, 0x1000],
		["FS_BASE", MSR.fsBase, 0xffff8000, 0],
		["GS_BASE", MSR.gsBase, 0x7fff, 0xfffff000],
		["KERNEL_GS_BASE", MSR.kernelGsBase, 0xffffffff, 0x80000000],
		["FMASK", MSR.syscallMask, 0, 0x47700],
		["TSC_AUX", MSR.tscAux, 0, 0xdeadbeef],
		["TSC_ADJUST", MSR.tscAdjust, 5, 6],
		["PKRS", MSR.pkrs, 0, 0x55555554],
		["SPEC_CTRL", MSR.speculationControl, 0, 5],
	])("%s keeps its value where it exists", async (_name, number, edx, eax) => {
		expect(await roundTrip(number, edx, eax)).toEqual([edx, eax]);
	});

	it.each([
		["LSTAR that is not canonical", MSR.lstar, 0x02000000, 0],
		["FS_BASE that is not canonical", MSR.fsBase, 0xfc000000, 0],
		["SYSENTER_EIP that is not canonical", MSR.sysenterEip, 0x80000000, 0],
		["FMASK beyond 32 bits", MSR.syscallMask, 1, 0],
		["TSC_AUX beyond 32 bits", MSR.tscAux, 1, 0],
		["PKRS beyond 32 bits", MSR.pkrs, 1, 0],
		["SPEC_CTRL with an unknown bit", MSR.speculationControl, 0, 8],
		["PRED_CMD with an unknown bit", MSR.predictionCommand, 0, 2],
		["ARCH_CAPABILITIES", MSR.archCapabilities, 0, 0],
		["EFER with an unknown bit", MSR.efer, 0, 2],
	])("a write of %s is #GP too", async (_name, number, edx, eax) => {
		expect(await roundTrip(number, edx, eax)).toBe(GP);
	});

	it("PRED_CMD takes its command and cannot be read", async () => {
		const guest = await kernel(engine, {
			code: [...WRMSR, HLT],
			registers: { ecx: MSR.predictionCommand, edx: 0, eax: 1 },
		});
		expect(faultOf(guest)).toBe(-1);
		expect(await roundTrip(MSR.predictionCommand, 0, 1)).toBe(GP);
	});

	it("the counter and TSC_ADJUST move together", async () => {
		// wrmsr TSC; then rdmsr TSC_ADJUST.
		const code = [...WRMSR, 0xb9, ...[0x3b, 0, 0, 0], ...RDMSR, HLT];
		const guest = await kernel(engine, { code, registers: { ecx: MSR.tsc, edx: 1, eax: 0 } });
		expect(faultOf(guest)).toBe(-1);
		expect([guest.register("edx"), guest.register("eax")]).toEqual([1, 0]);
	});

	it("APIC_BASE keeps the bootstrap bit", async () => {
		expect(await roundTrip(MSR.apicBase, 0, 0xfee00000)).toEqual(
			[0, 0xfee00000 | APIC_BASE.bootstrap].map((n) => n >>> 0),
		);
	});

	it.each([
		["off to xAPIC", 0x000, 0x800, true],
		["off to x2APIC", 0x000, 0xc00, false],
		["xAPIC to x2APIC", 0x800, 0xc00, true],
		["x2APIC to xAPIC", 0xc00, 0x800, false],
		["x2APIC to off", 0xc00, 0x000, true],
		["x2APIC to x2APIC", 0xc00, 0xc00, true],
		["xAPIC to x2APIC that is off", 0x800, 0x400, false],
	])("APIC_BASE goes from %s where the processor may", async (_name, from, to, allowed) => {
		const guest = await kernel(engine, {
			code: [...WRMSR, ...RDMSR, HLT],
			registers: { ecx: MSR.apicBase, edx: 0, eax: (0xfee00000 | to) >>> 0 },
		});
		guest.processor.setCpuid(cpuidOf({ model: "max", features: [] }));
		guest.processor.set64(msrField(MSR.apicBase), BigInt(0xfee00000 + from));
		expect(faultOf(guest)).toBe(allowed ? -1 : GP);
		const kept = Number(guest.processor.get64(msrField(MSR.apicBase)));
		expect(kept - 0xfee00000).toBe(allowed ? to : from);
	});

	it("x2APIC mode is not there on a processor without it", async () => {
		const guest = await kernel(engine, {
			code: [...WRMSR, HLT],
			registers: { ecx: MSR.apicBase, edx: 0, eax: 0xfee00c00 },
		});
		guest.processor.setCpuid(cpuidOf({ model: "pentium3", features: [] }));
		expect(faultOf(guest)).toBe(GP);
	});

	it("EFER is there with execute-disable only", async () => {
		expect(await roundTrip(MSR.efer, 0, 0x800)).toEqual([0, 0x800]);
		const guest = await kernel(engine, { code: [...RDMSR, HLT], registers: { ecx: MSR.efer } });
		guest.processor.setCpuid(cpuidOf({ model: "pentium3", features: [] }));
		expect(faultOf(guest)).toBe(GP);
	});

	it("EFER takes the bits that the features allow", async () => {
		const guest = await kernel(engine, {
			code: [...WRMSR, ...RDMSR, 0xb0, 0x02, ...WRMSR, HLT],
			registers: { ecx: MSR.efer, edx: 0, eax: 0x800 },
		});
		expect(faultOf(guest)).toBe(GP);
		expect(guest.processor.get64(F.efer)).toBe(0x800n);
	});

	it("what the processor does not keep is the host's", async () => {
		const guest = await TestGuest.create(engine, { code: [...RDMSR, 0x40, ...WRMSR, HLT] });
		const written: [number, bigint][] = [];
		const vcpu = guest.vm.createVcpu(1, {
			acknowledge: () => -1,
			bus: () => false,
			msr: (isWrite, index, value) => {
				if (isWrite) written.push([index, value]);
				return isWrite ? true : 0x5_0000_0007n;
			},
		});
		if (typeof vcpu === "string") throw new Error(vcpu);
		vcpu.processor.setSegment(1, 0, 0n, 0xffffn, 0x9b);
		vcpu.processor.refresh();
		vcpu.processor.set64(F.rip, BigInt(CODE));
		vcpu.processor.setGpr(1, 0x4b564d00n);
		vcpu.processor.setBudget(100);
		expect(vcpu.run()).toBe(0);
		expect(vcpu.exit.reason).toBe(EXIT_REASON.hlt);
		expect(written).toEqual([[0x4b564d00, 0x5_0000_0008n]]);
	});
});

describe.each(ENGINES)("CPUID on the %s engine", (engine) => {
	const ask = async (eax: number, ecx = 0, apicBase?: bigint): Promise<number[]> => {
		const guest = await kernel(engine, { code: [...CPUID, HLT], registers: { eax, ecx, ebx: 1, edx: 1 } });
		guest.processor.setCpuid(cpuidOf({ model: "pentium3", features: [] }));
		if (apicBase !== undefined) guest.processor.set64(msrField(MSR.apicBase), apicBase);
		expect(faultOf(guest)).toBe(-1);
		return (["eax", "ebx", "ecx", "edx"] as const).map((name) => guest.register(name));
	};

	it("tells its vendor and brand", async () => {
		const [max, ...vendor] = await ask(0);
		expect(max).toBe(2);
		const [b, c, d] = vendor;
		expect(Buffer.from(new Uint32Array([b!, d!, c!]).buffer).toString()).toBe("GenuineIntel");
		expect(
			Buffer.from(new Uint32Array(await ask(0x80000002)).buffer)
				.toString()
				.replace(/\0/g, ""),
		).toBe("tsvmm pentium3");
	});

	it("a number beyond the last leaf gives the last basic one, a gap zeros", async () => {
		const last = await ask(2);
		expect(await ask(3)).toEqual(last);
		expect(await ask(0x80000009)).toEqual(last);
		expect(await ask(0x40000000)).toEqual(last);
	});

	it("hides a local APIC that is switched off", async () => {
		expect((await ask(1))[3]! & 0x200).toBe(0x200);
		expect((await ask(1, 0, 0xfee00100n))[3]! & 0x200).toBe(0);
	});

	it("chooses by ECX where the entry says so", async () => {
		const guest = await kernel(engine, { code: [...CPUID, HLT], registers: { eax: 4, ecx: 1 } });
		const entry = { function: 4, flags: 1, ebx: 0, ecx: 0, edx: 0 };
		guest.processor.setCpuid([
			{ ...entry, index: 0, eax: 10 },
			{ ...entry, index: 1, eax: 11 },
		]);
		expect(faultOf(guest)).toBe(-1);
		expect(guest.register("eax")).toBe(11);
	});
});

describe.each(ENGINES)("SYSENTER and SYSEXIT on the %s engine", (engine) => {
	it("go to CPL 0 and back in flat segments", async () => {
		const guest = await user(engine, {
			code: [0x0f, 0x34],
			// At CPL 0: sysexit to an UD2 at CPL 3.
			memory: { 8192: [0x0f, 0x35], 8448: [0x0f, 0x0b] },
			registers: { edx: 0x2100, ecx: 0x4440 },
			eflags: 0x202,
		});
		const { processor } = guest;
		for (const [number, value] of [
			[MSR.sysenterCs, 8n],
			[MSR.sysenterEsp, 0x7000n],
			[MSR.sysenterEip, 0x2000n],
		] as const)
			processor.set64(msrField(number), value);
		expect(guest.run(1)).toBe(EXIT_REASON.budget);
		expect([guest.eip, guest.register("esp"), processor.get(F.cpl)]).toEqual([0x2000, 0x7000, 0]);
		expect([guest.selector(1), guest.selector(2), guest.eflags & 0x200]).toEqual([8, 16, 0]);
		expect(guest.run(1)).toBe(EXIT_REASON.budget);
		expect([guest.eip, guest.register("esp"), processor.get(F.cpl)]).toEqual([0x2100, 0x4440, 3]);
		expect([guest.selector(1), guest.selector(2)]).toEqual([0x1b, 0x23]);
		expect(processor.get(SEG.attributes, segmentOffset(1))).toBe(0xcfb);
	});

	it("a null SYSENTER_CS is #GP, also in real mode", async () => {
		expect(faultOf(await user(engine, { code: [0x0f, 0x34] }))).toBe(GP);
		const real = await TestGuest.create(engine, { mode: "real", code: [0x0f, 0x34] });
		real.ram.set([0, 0x70, 0, 0], GP * 4);
		real.ram[0x7000] = HLT;
		real.runToHalt();
		expect(real.eip).toBe(0x7001);
	});
});

describe.each(ENGINES)("HLT on the %s engine", (engine) => {
	it("exits once with RIP behind it", async () => {
		const guest = await TestGuest.create(engine, { code: [0x90, HLT, 0x90, HLT] });
		guest.runToHalt();
		expect([guest.eip, guest.processor.retired()]).toEqual([CODE + 2, 2]);
		guest.runToHalt();
		expect([guest.eip, guest.processor.retired()]).toEqual([CODE + 4, 4]);
	});
});
