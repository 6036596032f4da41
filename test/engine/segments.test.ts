import { describe, expect, it } from "vitest";
import { EXIT_REASON } from "../../src/kvm/vcpu.ts";
import { F } from "../../src/vcpu/layout.ts";
import { ENGINES } from "../support/engine.ts";
import { AT, FLAT, HLT, heated, SELECTOR, SystemGuest } from "../support/system-guest.ts";

const [UD, NP, SS, GP, PF] = [6, 11, 12, 13, 14];
const T = 0x40;
const [ES, CS, SS_REGISTER, DS, FS] = [0, 1, 2, 3, 4];
/** MOV Sreg, AX; POP of the others. */
const load = (register: number): number[] => [0x8e, 0xc0 | (register << 3)];
const POP_FS = [0x0f, 0xa1];

describe.each(ENGINES)("segment loads on the %s engine", (engine) => {
	it.each([
		["writable data", 0x92, 0, 0, -1],
		["readonly data", 0x90, 0, 0, -1],
		["expand-down data", 0x96, 0, 0, -1],
		["readable code", 0x9a, 0, 0, -1],
		["code that cannot be read", 0x98, 0, 0, GP],
		["conforming code, RPL 3", 0x9e, 0, 3, -1],
		["data of DPL 0, RPL 3", 0x92, 0, 3, GP],
		["data of DPL 0 in ring 3", 0x92, 3, 0, GP],
		["data of DPL 3 in ring 3", 0xf2, 3, 3, -1],
		["nonconforming code of DPL 0 in ring 3", 0x9a, 3, 3, GP],
		["an LDT", 0x82, 0, 0, GP],
		["a call gate", 0x8c, 0, 0, GP],
		["absent data", 0x12, 0, 0, NP],
		["absent code that cannot be read", 0x18, 0, 0, GP],
	] as const)("FS takes or refuses %s", async (_name, rights, at, rpl, vector) => {
		await heated(engine, (guest) => {
			guest.start({ at, code: [...load(FS), at === 0 ? HLT : 0xcd, 0x80], registers: { eax: T | rpl } });
			guest.descriptor(T, 0x1234_5678, 0x4321, rights, 4);
			const outcome = guest.run();
			expect(outcome.vector).toBe(vector === -1 && at !== 0 ? 0x80 : vector);
			if (vector === -1) {
				expect(guest.segment(FS)).toMatchObject({ selector: T | rpl, base: 0x1234_5678, limit: 0x4321, usable: true });
				expect(guest.rights(T)).toBe(rights | 1);
			} else {
				expect(guest.frame(1)).toEqual([T]);
				expect(guest.rights(T)).toBe(rights);
			}
		});
	});

	it.each([
		["writable data", 0x92, 0, -1, 0],
		["null", 0, 0, GP, 0],
		["RPL 3", 0x92, 3, GP, T],
		["DPL 3", 0xf2, 0, GP, T],
		["readonly data", 0x90, 0, GP, T],
		["code", 0x9a, 0, GP, T],
		["absent data", 0x12, 0, SS, T],
	] as const)("SS takes or refuses %s", async (name, rights, rpl, vector, code) => {
		await heated(engine, (guest) => {
			guest.start({ code: [...load(SS_REGISTER), 0x90, HLT], registers: { eax: name === "null" ? 0 : T | rpl } });
			guest.descriptor(T, 0, 0xfffff, rights, FLAT);
			expect(guest.run().vector).toBe(vector);
			if (vector === -1) expect(guest.segment(SS_REGISTER).selector).toBe(T);
			else expect(guest.frame(2)).toEqual([code, AT.code]);
		});
	});

	it("a selector beyond the GDT, beyond the LDT, or in no LDT is #GP with the selector", async () => {
		await heated(engine, (guest) => {
			for (const [selector, ldt] of [
				[0x1000, false],
				[0x44, false],
				[0x84, true],
			] as const) {
				guest.start({ code: [...load(DS), HLT], registers: { eax: selector | 3 } });
				if (ldt) guest.guest.processor.setSegment(6, 0x40, BigInt(AT.ldt), 0x83n, 0x82);
				expect(guest.run().vector).toBe(GP);
				expect(guest.frame(1)).toEqual([selector]);
			}
		});
	});

	it("a null selector loads, and only its use faults", async () => {
		await heated(engine, (guest) => {
			guest.start({ code: [...load(ES), 0x26, 0xa0, 0, 0, 0, 0, HLT], registers: { eax: 3 } });
			expect(guest.run().vector).toBe(GP);
			expect(guest.frame(2)).toEqual([0, AT.code + 2]);
			expect(guest.segment(ES)).toMatchObject({ selector: 3, usable: false });
		});
	});

	it("MOV to CS is undefined", async () => {
		await heated(engine, (guest) => {
			expect(guest.play({ code: [...load(CS), HLT], registers: { eax: SELECTOR.code0 } }).vector).toBe(UD);
		});
	});

	it("a POP that faults leaves the stack pointer", async () => {
		await heated(engine, (guest) => {
			guest.start({ code: [0x68, T, 0, 0, 0, ...POP_FS, HLT] });
			expect(guest.run().vector).toBe(GP);
			expect(guest.frame(2)).toEqual([T, AT.code + 5]);
			expect(guest.guest.register("esp")).toBe(AT.stack0 - 4 - 16);
		});
	});

	it("POP SS moves the stack pointer as the old stack counts", async () => {
		await heated(engine, (guest) => {
			guest.start({ bits: 16, code: [0x17, HLT], registers: { esp: 0x1fffe } });
			guest.guest.processor.setSegment(2, SELECTOR.data0, BigInt(AT.data), 0xffffn, 0x93);
			guest.guest.processor.refresh();
			guest.memory.setUint16(AT.data + 0xfffe, T, true);
			guest.descriptor(T, 0, 0xfffff, 0x93, FLAT);
			guest.run();
			expect(guest.guest.register("esp")).toBe(0x10000);
			expect(guest.segment(SS_REGISTER)).toMatchObject({ selector: T, base: 0 });
		});
	});

	it("LFS that faults keeps both registers", async () => {
		await heated(engine, (guest) => {
			guest.start({ code: [0x0f, 0xb4, 0x05, 0, 0, 4, 0, HLT], registers: { eax: 0x1111 } });
			guest.guest.ram.set([1, 2, 3, 4, 0x40, 0x10], AT.data);
			expect(guest.run().vector).toBe(GP);
			expect(guest.guest.register("eax")).toBe(0x1111);
			expect(guest.segment(FS).selector).toBe(SELECTOR.data0);
		});
	});

	it("a descriptor set back to an earlier one after real mode used the register is loaded again", async () => {
		await heated(engine, (guest) => {
			// Protected → real (segments at 0x3000 and 0x2000) → protected with the same descriptors.
			guest.start({
				code: [
					...[0x66, 0x8e, 0xe0, 0x90, 0x0f, 0x20, 0xc3, 0x80, 0xe3, 0xfe, 0x0f, 0x22, 0xc3],
					...[0xea, 0x12, 0, 0x00, 0x20],
					...[0x8e, 0xe1, 0x0f, 0x20, 0xc3, 0x80, 0xcb, 1, 0x0f, 0x22, 0xc3, 0x8e, 0xe0, 0xea, 0x24, 0, T + 8, 0],
					HLT,
				],
				bits: 16,
				registers: { eax: T, ecx: 0x1234 },
			});
			guest.guest.processor.set64(F.rip, 0n);
			guest.guest.processor.setSegment(CS, T + 8, BigInt(AT.code), 0xffffn, 0x9b);
			guest.guest.processor.refresh();
			guest.descriptor(T, AT.data, 0xfff, 0x93);
			guest.descriptor(T + 8, AT.code, 0xffff, 0x9b);
			expect(guest.run().at).toBe(AT.code + 0x24);
			expect(guest.segment(FS)).toMatchObject({ selector: T, base: AT.data, limit: 0xfff });
			expect(guest.segment(CS)).toMatchObject({ selector: T + 8, base: AT.code });
		});
	});

	it("real mode keeps limit and attributes, virtual-8086 mode sets them", async () => {
		await heated(engine, (guest) => {
			guest.start({ at: "real", code: [...load(FS), HLT], registers: { eax: 0x1234 } });
			guest.guest.processor.setSegment(FS, 0, 0n, 0xffffffffn, 0xc93);
			guest.guest.processor.refresh();
			guest.run();
			expect(guest.segment(FS)).toMatchObject({
				selector: 0x1234,
				base: 0x12340,
				limit: 0xffffffff,
				attributes: 0xc93,
			});
			guest.start({ at: "v86", code: [...load(FS), 0xcc], registers: { eax: 0x1234 }, eflags: 0x3002 });
			guest.guest.processor.setSegment(FS, 0, 0n, 0xffffffffn, 0xcf3);
			guest.guest.processor.refresh();
			guest.guest.run(1);
			expect(guest.segment(FS)).toMatchObject({ base: 0x12340, limit: 0xffff, attributes: 0xf3 });
		});
	});
});

describe.each(ENGINES)("descriptors outside of plain RAM on the %s engine", (engine) => {
	it("an accessed bit that cannot be set is a page fault before anything changes", async () => {
		await heated(engine, (guest) => {
			guest.start({ code: [...load(FS), HLT], registers: { eax: T } });
			guest.descriptor(T, 0, 0xfffff, 0x92, FLAT);
			// Identity map; the GDT's page is readonly, and CR0.WP keeps the supervisor to it.
			for (let n = 0; n < 256; n++) guest.memory.setUint32(AT.pages + 0x1000 + n * 4, (n << 12) | 3, true);
			guest.memory.setUint32(AT.pages + 0x1000 + (AT.gdt >> 12) * 4, AT.gdt | 1, true);
			guest.memory.setUint32(AT.pages, (AT.pages + 0x1000) | 3, true);
			const { processor } = guest.guest;
			processor.set64(F.cr3, BigInt(AT.pages));
			processor.set64(F.cr0, 0x8001_0011n);
			processor.refresh();
			expect(guest.run().vector).toBe(PF);
			expect(guest.frame(2)).toEqual([3, AT.code]);
			expect(Number(processor.get64(F.cr2))).toBe(AT.gdt + T + 5);
			expect(guest.segment(FS).selector).toBe(SELECTOR.data0);
		});
	});

	it("a descriptor in an MMIO hole is read by exits and its accessed bit written by one", async () => {
		const guest = await SystemGuest.create(engine);
		for (let n = 0; n < 6; n++) {
			guest.start({ code: [...load(FS), HLT], registers: { eax: T } });
			const { vcpu, processor } = guest.guest;
			processor.set64(F.gdtBase, 0x200000n);
			expect(guest.guest.run()).toBe(EXIT_REASON.mmio);
			expect(vcpu.exit).toMatchObject({ physAddr: 0x200000 + T, len: 8, isWrite: false });
			expect(guest.segment(FS).selector).toBe(SELECTOR.data0);
			vcpu.exit.data.set([0xff, 0xff, 0, 0, 0, 0x92, 0xcf, 0x12]);
			expect(guest.guest.run()).toBe(EXIT_REASON.mmio);
			expect(vcpu.exit).toMatchObject({ physAddr: 0x200000 + T + 5, len: 1, isWrite: true });
			expect(vcpu.exit.data[0]).toBe(0x93);
			guest.run();
			expect(guest.segment(FS)).toMatchObject({ selector: T, base: 0x1200_0000, limit: 0xffffffff });
		}
	});
});

describe.each(ENGINES)("LDTR and TR on the %s engine", (engine) => {
	const LLDT = [0x0f, 0x00, 0xd0];
	const LTR = [0x0f, 0x00, 0xd8];

	it.each([
		["LLDT of an LDT", LLDT, 0x82, T, -1, 0],
		["LLDT of an absent LDT", LLDT, 0x02, T, NP, T],
		["LLDT of data", LLDT, 0x92, T, GP, T],
		["LLDT of a TSS", LLDT, 0x89, T, GP, T],
		["LLDT from the LDT", LLDT, 0x82, T | 4, GP, T | 4],
		["LTR of a 32-bit TSS", LTR, 0x89, T, -1, 0],
		["LTR of a 16-bit TSS", LTR, 0x81, T, -1, 0],
		["LTR of a busy TSS", LTR, 0x8b, T, GP, T],
		["LTR of an absent TSS", LTR, 0x09, T, NP, T],
		["LTR of null", LTR, 0x89, 0, GP, 0],
		["LTR from the LDT", LTR, 0x89, T | 4, GP, T | 4],
	] as const)("%s", async (_name, code, rights, selector, vector, error) => {
		await heated(engine, (guest) => {
			guest.start({ code: [...code, HLT], registers: { eax: selector } });
			guest.descriptor(T, AT.ldt, 0xff, rights);
			expect(guest.run().vector).toBe(vector);
			if (vector === -1) {
				const [n, busy] = code === LTR ? [7, 2] : [6, 0];
				expect(guest.segment(n)).toMatchObject({ selector: T, base: AT.ldt, limit: 0xff, attributes: rights | busy });
				expect(guest.rights(T)).toBe(rights | busy);
			} else expect(guest.frame(1)).toEqual([error]);
		});
	});

	it("LLDT of null leaves no LDT", async () => {
		await heated(engine, (guest) => {
			guest.start({ code: [...LLDT, HLT], registers: { eax: 2 } });
			expect(guest.run().vector).toBe(-1);
			expect(guest.segment(6)).toMatchObject({ selector: 2, usable: false });
		});
	});
});

describe.each(ENGINES)("asking about selectors on the %s engine", (engine) => {
	/** LAR ECX, EAX; LSL EDX, EAX; then VERR and VERW of AX with their ZF in BL and BH. */
	const ask = [0x0f, 2, 0xc8, 0x0f, 3, 0xd0, 0x0f, 0, 0xe0, 0x0f, 0x94, 0xc3, 0x0f, 0, 0xe8, 0x0f, 0x94, 0xc7];

	it.each([
		["flat data", 0x93, 0xfffff, 0xc, 0xcf9300, 0xffffffff, 0x101],
		["readonly data", 0x91, 0xabc, 4, 0x409100, 0xabc, 1],
		["code that cannot be read", 0x99, 0xabc, 4, 0x409900, 0xabc, 0],
		["readable code", 0x9b, 0xabc, 4, 0x409b00, 0xabc, 1],
		["absent data", 0x13, 0xabc, 0, 0x1300, 0xabc, 0x101],
		["a busy 16-bit TSS", 0x83, 0xabc, 0, 0x8300, 0xabc, 0],
		["an LDT", 0x82, 0xabc, 0, 0x8200, 0xabc, 0],
		["a 32-bit call gate", 0x8c, 0xabc, 0, 0x8c00, -1, 0],
		["a task gate", 0x85, 0xabc, 0, 0x8500, -1, 0],
		["an interrupt gate", 0x8e, 0xabc, 0, -1, -1, 0],
		["a reserved type", 0x88, 0xabc, 0, -1, -1, 0],
	] as const)("LAR, LSL, VERR and VERW of %s", async (_name, rights, limit, flags, lar, lsl, verified) => {
		await heated(engine, (guest) => {
			guest.start({ code: [...ask, HLT], registers: { eax: T, ecx: 0xffffffff, edx: 0xffffffff } });
			guest.descriptor(T, 0, limit, rights, flags);
			expect(guest.run().vector).toBe(-1);
			const { guest: g } = guest;
			expect([g.register("ecx") | 0, g.register("edx") | 0, g.register("ebx")]).toEqual([lar | 0, lsl | 0, verified]);
		});
	});

	it("16-bit LAR and LSL write 16 bits, and nothing where the selector is not visible", async () => {
		await heated(engine, (guest) => {
			const code = [0x66, 0x0f, 2, 0xc8, 0x66, 0x0f, 3, 0xd0, 0x0f, 0x94, 0xc3, HLT];
			guest.start({ code, registers: { eax: T, ecx: 0xffffffff, edx: 0xffffffff } });
			guest.descriptor(T, 0, 0x12345, 0x93, FLAT);
			guest.run();
			expect(guest.guest.register("ecx")).toBe(0xffff9300);
			expect(guest.guest.register("edx")).toBe(0xffff5fff);
			guest.start({ code, registers: { eax: T | 3, ecx: 0xffffffff, edx: 0xffffffff } });
			guest.descriptor(T, 0, 0x12345, 0x93, FLAT);
			guest.run();
			expect(guest.guest.register("ecx")).toBe(0xffffffff);
			expect(guest.guest.register("ebx")).toBe(0);
		});
	});

	it("flags but ZF stay as they were", async () => {
		await heated(engine, (guest) => {
			guest.start({ code: [0xf9, 0x0f, 0, 0xe0, HLT], registers: { eax: 0 }, eflags: 0x8d7 });
			guest.run();
			expect(guest.guest.eflags).toBe(0x897);
		});
	});
});
