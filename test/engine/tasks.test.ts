import { describe, expect, it } from "vitest";
import { EXIT_REASON } from "../../src/kvm/vcpu.ts";
import { F } from "../../src/vcpu/layout.ts";
import { ENGINES } from "../support/engine.ts";
import { AT, FLAT, HLT, heated, SELECTOR, SystemGuest } from "../support/system-guest.ts";

const [DB, TS, NP, SS, GP] = [1, 10, 11, 12, 13];
/** Selectors that tests give descriptors of their own. */
const [TASK, GATE, LDT, CODE, DATA] = [0x40, 0x48, 0x50, 0x58, 0x60];
const TARGET = 0x22000;
const [NT, RF] = [0x4000, 0x10000];
const CR0_TS = 8;

const word = (value: number): number[] => [value & 0xff, (value >> 8) & 0xff];
const jumpFar = (selector: number): number[] => [0xea, 0, 0, 0, 0, ...word(selector)];
const callFar = (selector: number): number[] => [0x9a, 0, 0, 0, 0, ...word(selector)];
const CALL_BYTES = 7;

interface Task {
	readonly link?: number;
	readonly cr3?: number;
	readonly ip?: number;
	readonly flags?: number;
	/** EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI. */
	readonly registers?: readonly number[];
	/** ES, CS, SS, DS, FS, GS. */
	readonly selectors?: readonly number[];
	readonly ldt?: number;
	readonly trap?: boolean;
}

const REGISTERS = [
	0xa0001111,
	0xa1002222,
	0xa2003333,
	0xa3004444,
	AT.stack1 - 0x800,
	0xa5005555,
	0xa6006666,
	0xa7007777,
];
const FLAT_SELECTORS = [SELECTOR.data0, SELECTOR.code0, SELECTOR.data0, SELECTOR.data0, SELECTOR.data0, 0];

/** Writes an available 32-bit (or 16-bit) TSS at AT.otherTss and its descriptor, TASK. */
function writeTask(guest: SystemGuest, bits: 16 | 32, task: Task = {}): void {
	const { memory } = guest;
	const at = AT.otherTss;
	const { link = 0, cr3 = 0, ip = TARGET, flags = 2, ldt = 0, trap = false } = task;
	const { registers = REGISTERS, selectors = FLAT_SELECTORS } = task;
	guest.guest.ram.fill(0, at, at + 0x68);
	memory.setUint16(at, link, true);
	if (bits === 32) {
		memory.setUint32(at + 4, AT.stack0 - 0x400, true);
		memory.setUint16(at + 8, SELECTOR.data0, true);
		[cr3, ip, flags, ...registers].forEach((value, n) => {
			memory.setUint32(at + 0x1c + n * 4, value, true);
		});
		selectors.forEach((value, n) => {
			memory.setUint16(at + 0x48 + n * 4, value, true);
		});
		memory.setUint16(at + 0x60, ldt, true);
		memory.setUint16(at + 0x64, trap ? 1 : 0, true);
	} else {
		[ip, flags, ...registers, ...selectors.slice(0, 4), ldt].forEach((value, n) => {
			memory.setUint16(at + 0x0e + n * 2, value & 0xffff, true);
		});
	}
	guest.descriptor(TASK, at, bits === 32 ? 0x67 : 0x2b, bits === 32 ? 0x89 : 0x81);
	guest.guest.ram[TARGET] = HLT;
	guest.guest.processor.set64(F.dr, 0x7ffn, 56);
}

const registersOf = (guest: SystemGuest): number[] =>
	Array.from({ length: 8 }, (_, n) => Number(guest.guest.processor.gpr(n) & 0xffffffffn));
const CR0 = (guest: SystemGuest): number => Number(guest.guest.processor.get64(F.cr0));

describe.each(ENGINES)("task switches on the %s engine", (engine) => {
	it("by CALL save the old task and load the new one, linked", async () => {
		await heated(engine, (guest) => {
			const before = { eax: 1, ecx: 2, edx: 3, ebx: 4, ebp: 6, esi: 7, edi: 8 };
			guest.start({ code: callFar(TASK), registers: before, eflags: 0x203 });
			guest.descriptor(LDT, AT.ldt, 0xff, 0x82);
			guest.descriptor(0x0c, 0, 0xfffff, 0x92, FLAT);
			writeTask(guest, 32, { ldt: LDT, flags: 0x3002, selectors: [0x0c, 8, 16, 16, 0x0c, 0] });
			expect(guest.run().at).toBe(TARGET);
			// The old task's TSS.
			const old = AT.tss;
			expect(guest.words(old + 0x20, 10)).toEqual([AT.code + CALL_BYTES, 0x203, 1, 2, 3, 4, AT.stack0, 6, 7, 8]);
			expect([0, 1, 2, 3, 4, 5].map((n) => guest.memory.getUint16(old + 0x48 + n * 4, true))).toEqual([
				0x10, 8, 0x10, 0x10, 0x10, 0x10,
			]);
			expect(guest.memory.getUint16(AT.otherTss, true)).toBe(SELECTOR.tss);
			expect([guest.rights(SELECTOR.tss), guest.rights(TASK)]).toEqual([0x8b, 0x8b]);
			// The new task.
			expect(registersOf(guest)).toEqual(REGISTERS);
			expect(guest.guest.eflags).toBe(0x3002 | NT);
			expect([0, 1, 2, 3, 4, 5, 6, 7].map((n) => guest.segment(n).selector)).toEqual([
				0x0c,
				8,
				16,
				16,
				0x0c,
				0,
				LDT,
				TASK,
			]);
			expect(guest.segment(0)).toMatchObject({ usable: true, limit: 0xffffffff });
			expect(guest.segment(5).usable).toBe(false);
			expect(guest.segment(6)).toMatchObject({ base: AT.ldt, limit: 0xff });
			expect(guest.segment(7)).toMatchObject({ base: AT.otherTss, limit: 0x67, attributes: 0x8b });
			expect(guest.rights(0x0c)).toBe(0x93);
			expect(CR0(guest) & CR0_TS).toBe(CR0_TS);
			// Local breakpoints and LE go; global ones stay.
			expect(Number(guest.guest.processor.get64(F.dr, 56))).toBe(0x6aa);
		});
	});

	it("by JMP free the old task and make no link", async () => {
		await heated(engine, (guest) => {
			guest.start({ code: jumpFar(TASK) });
			writeTask(guest, 32, { link: 0x1234, flags: 0x46 });
			guest.run();
			expect(guest.memory.getUint16(AT.otherTss, true)).toBe(0x1234);
			expect([guest.rights(SELECTOR.tss), guest.rights(TASK)]).toEqual([0x89, 0x8b]);
			expect(guest.guest.eflags).toBe(0x46);
		});
	});

	it("by IRET with NT go back, clear NT in the task left and keep the one entered busy", async () => {
		await heated(engine, (guest) => {
			guest.start({ code: [0xcf], eflags: 2 | NT });
			writeTask(guest, 32, { flags: 0x202 });
			guest.descriptor(TASK, AT.otherTss, 0x67, 0x8b);
			guest.memory.setUint16(AT.tss, TASK, true);
			expect(guest.run().at).toBe(TARGET);
			expect(guest.words(AT.tss + 0x20, 2)).toEqual([AT.code + 1, 2]);
			expect([guest.rights(SELECTOR.tss), guest.rights(TASK)]).toEqual([0x89, 0x8b]);
			expect(guest.guest.eflags).toBe(0x202);
		});
	});

	it("to a 16-bit TSS load words: FS, GS are null, upper halves are ones", async () => {
		await heated(engine, (guest) => {
			guest.start({ code: callFar(TASK), registers: { eax: 0x5555_0000, edi: 0x7777_0001 } });
			guest.descriptor(CODE, TARGET & ~0xffff, 0xfffff, 0x9b, FLAT);
			writeTask(guest, 16, { ip: TARGET & 0xffff, selectors: [0x10, CODE, 0x10, 0x10] });
			expect(guest.run().at).toBe(TARGET);
			expect(registersOf(guest)[0]).toBe(0xffff_1111);
			expect(registersOf(guest)[7]).toBe(0xffff_7777);
			expect([4, 5].map((n) => guest.segment(n).usable)).toEqual([false, false]);
			expect(guest.memory.getUint16(AT.otherTss, true)).toBe(SELECTOR.tss);
			expect(guest.segment(7).attributes).toBe(0x83);
		});
	});

	it("from a 16-bit TSS save words", async () => {
		await heated(engine, (guest) => {
			guest.start({ code: jumpFar(TASK), registers: { eax: 0x1234_5678, edi: 0x9abc_def0 }, eflags: 0xc2 });
			writeTask(guest, 32);
			guest.guest.processor.setSegment(7, SELECTOR.tss, BigInt(AT.tss), 0x29n, 0x83);
			guest.descriptor(SELECTOR.tss, AT.tss, 0x29, 0x83);
			guest.run();
			const words = guest.words(AT.tss + 0x0e, 14, 2);
			expect(words.slice(0, 3)).toEqual([(AT.code + 7) & 0xffff, 0xc2, 0x5678]);
			expect(words.slice(9)).toEqual([0xdef0, 0x10, 8, 0x10, 0x10]);
			expect(guest.rights(SELECTOR.tss)).toBe(0x81);
		});
	});

	it("load CR3 where paging is on, and only there", async () => {
		await heated(engine, (guest) => {
			const pages = AT.pages + 0x4000;
			for (const paging of [false, true]) {
				guest.start({ code: callFar(TASK) });
				writeTask(guest, 32, { cr3: pages });
				for (const [directory, moved] of [
					[AT.pages, TARGET + 0x1000],
					[pages, TARGET],
				] as const) {
					for (let n = 0; n < 256; n++) guest.memory.setUint32(directory + 0x1000 + n * 4, (n << 12) | 3, true);
					// The old task has another page where the new one continues.
					guest.memory.setUint32(directory + 0x1000 + (TARGET >> 12) * 4, moved | 3, true);
					guest.memory.setUint32(directory, (directory + 0x1000) | 3, true);
				}
				const { processor } = guest.guest;
				processor.set64(F.cr3, BigInt(AT.pages));
				processor.set64(F.cr0, paging ? 0x8000_0011n : 0x11n);
				processor.refresh();
				expect(guest.run().at).toBe(TARGET);
				expect(Number(processor.get64(F.cr3))).toBe(paging ? pages : AT.pages);
			}
		});
	});

	it("into virtual-8086 mode load segments without descriptors", async () => {
		await heated(engine, (guest) => {
			guest.start({ code: callFar(TASK) });
			const selectors = [0x1111, TARGET >> 4, 0x3000, 0x4444, 0x5555, 0x6666];
			writeTask(guest, 32, { ip: 0, flags: 0x20002, selectors });
			// HLT is privileged there.
			expect(guest.run().vector).toBe(GP);
			expect(guest.frame(10).slice(1)).toEqual([
				0,
				TARGET >> 4,
				RF | NT | 0x20002,
				REGISTERS[4],
				0x3000,
				0x1111,
				0x4444,
				0x5555,
				0x6666,
			]);
		});
	});

	it("with the T bit trap before the first instruction", async () => {
		await heated(engine, (guest) => {
			guest.start({ code: callFar(TASK) });
			guest.guest.processor.set64(F.dr, 0xffff0ff0n, 48);
			writeTask(guest, 32, { trap: true });
			expect(guest.run().vector).toBe(DB);
			expect(guest.frame(1)).toEqual([TARGET]);
			expect(Number(guest.guest.processor.get64(F.dr, 48)) & 0xe00f).toBe(0x8000);
		});
	});
});

describe.each(ENGINES)("refused task switches on the %s engine", (engine) => {
	it.each([
		[
			"JMP to a busy TSS",
			jumpFar(TASK),
			GP,
			TASK,
			(guest: SystemGuest) => guest.descriptor(TASK, AT.otherTss, 0x67, 0x8b),
		],
		[
			"JMP to an absent TSS",
			jumpFar(TASK),
			NP,
			TASK,
			(guest: SystemGuest) => guest.descriptor(TASK, AT.otherTss, 0x67, 0x09),
		],
		[
			"CALL to a short TSS",
			callFar(TASK),
			TS,
			TASK,
			(guest: SystemGuest) => guest.descriptor(TASK, AT.otherTss, 0x66, 0x89),
		],
		[
			"CALL to a TSS in the LDT",
			callFar(TASK | 4),
			GP,
			TASK | 4,
			(guest: SystemGuest) => {
				guest.guest.processor.setSegment(6, LDT, BigInt(AT.ldt), 0xffn, 0x82);
				guest.descriptor(TASK | 4, AT.otherTss, 0x67, 0x89);
			},
		],
		[
			"a task gate to the LDT",
			callFar(GATE),
			GP,
			TASK | 4,
			(guest: SystemGuest) => guest.gate({ selector: GATE }, TASK | 4, 0, 0x85),
		],
		[
			"a task gate to data",
			callFar(GATE),
			GP,
			0x10,
			(guest: SystemGuest) => guest.gate({ selector: GATE }, 0x10, 0, 0x85),
		],
		[
			"an absent task gate",
			callFar(GATE),
			NP,
			GATE,
			(guest: SystemGuest) => guest.gate({ selector: GATE }, TASK, 0, 0x05),
		],
		["a JMP with RPL 3", jumpFar(TASK | 3), GP, TASK, () => undefined],
	] as const)("%s faults in the old task", async (_name, code, vector, error, prepare) => {
		await heated(engine, (guest) => {
			guest.start({ code });
			writeTask(guest, 32);
			prepare(guest);
			expect(guest.run().vector).toBe(vector);
			expect(guest.frame(4)).toEqual([error, AT.code, SELECTOR.code0, RF | 2]);
			expect(guest.segment(7).selector).toBe(SELECTOR.tss);
			expect(guest.rights(SELECTOR.tss)).toBe(0x8b);
			expect(CR0(guest) & CR0_TS).toBe(0);
		});
	});

	it.each([
		["IRET to no task", 0, 0x8b, TS, 0],
		["IRET to a task that is not busy", TASK, 0x89, TS, TASK],
		["IRET to an absent task", TASK, 0x0b, NP, TASK],
		["IRET to a task in the LDT", TASK | 4, 0x8b, TS, TASK | 4],
	] as const)("%s faults in the old task", async (_name, link, rights, vector, error) => {
		await heated(engine, (guest) => {
			guest.start({ code: [0xcf], eflags: 2 | NT });
			writeTask(guest, 32);
			guest.descriptor(TASK, AT.otherTss, 0x67, rights);
			guest.memory.setUint16(AT.tss, link, true);
			expect(guest.run().vector).toBe(vector);
			expect(guest.frame(2)).toEqual([error, AT.code]);
		});
	});

	it("a page fault on the old TSS leaves both tasks as they were", async () => {
		await heated(engine, (guest) => {
			guest.start({ code: callFar(TASK) });
			writeTask(guest, 32, { cr3: AT.pages });
			for (let n = 0; n < 256; n++) guest.memory.setUint32(AT.pages + 0x1000 + n * 4, (n << 12) | 3, true);
			guest.memory.setUint32(AT.pages + 0x1000 + (AT.tss >> 12) * 4, AT.tss | 1, true);
			guest.memory.setUint32(AT.pages, (AT.pages + 0x1000) | 3, true);
			const { processor } = guest.guest;
			processor.set64(F.cr3, BigInt(AT.pages));
			processor.set64(F.cr0, 0x8001_0011n);
			processor.refresh();
			expect(guest.run().vector).toBe(14);
			expect(Number(processor.get64(F.cr2))).toBe(AT.tss + 0x20);
			expect(guest.frame(2)).toEqual([3, AT.code]);
			expect([guest.memory.getUint16(AT.otherTss, true), guest.rights(TASK)]).toEqual([0, 0x89]);
		});
	});
});

describe.each(ENGINES)("exceptions of the new task on the %s engine", (engine) => {
	it.each([
		["an LDT that is none", { ldt: SELECTOR.data0 }, TS, SELECTOR.data0],
		["a null code segment", { selectors: [16, 0, 16, 16, 16, 0] }, TS, 0],
		["data for code", { selectors: [16, DATA, 16, 16, 16, 0] }, TS, DATA],
		["absent code", { selectors: [16, CODE, 16, 16, 16, 0] }, NP, CODE],
		["a null stack", { selectors: [16, 8, 3, 16, 16, 0] }, TS, 0],
		["an absent stack", { selectors: [16, 8, DATA, 16, 16, 0] }, SS, DATA],
		["an absent data segment", { selectors: [16, 8, 16, 16, DATA, 0] }, NP, DATA],
		["a data segment beyond the GDT", { selectors: [0x1000, 8, 16, 16, 16, 0] }, TS, 0x1000],
	] as const)("%s", async (_name, task, vector, error) => {
		await heated(engine, (guest) => {
			guest.start({ code: callFar(TASK) });
			guest.descriptor(CODE, 0, 0xfffff, 0x1b, FLAT);
			guest.descriptor(DATA, 0, 0xfffff, 0x13, FLAT);
			writeTask(guest, 32, task);
			expect(guest.run().vector).toBe(vector);
			const selectors = "selectors" in task ? task.selectors : FLAT_SELECTORS;
			expect(guest.frame(4)).toEqual([error, TARGET, selectors[1], RF | NT | 2]);
			expect(guest.segment(7).selector).toBe(TASK);
			expect(guest.rights(TASK)).toBe(0x8b);
			expect(registersOf(guest)[0]).toBe(REGISTERS[0]);
		});
	});

	it("EIP beyond the code segment is #GP there", async () => {
		await heated(engine, (guest) => {
			guest.start({ code: callFar(TASK) });
			guest.descriptor(CODE, 0, TARGET - 1, 0x9b, 4);
			writeTask(guest, 32, { selectors: [16, CODE, 16, 16, 16, 0] });
			expect(guest.run().vector).toBe(GP);
			expect(guest.frame(3)).toEqual([0, TARGET, CODE]);
			expect(guest.segment(7).selector).toBe(TASK);
		});
	});
});

describe.each(ENGINES)("interrupts through task gates on the %s engine", (engine) => {
	it("an exception pushes its error code onto the new task's stack and saves RF", async () => {
		await heated(engine, (guest) => {
			guest.start({ code: [0x8e, 0xd8, HLT], registers: { eax: 0x1234 } });
			writeTask(guest, 32);
			guest.gate({ vector: GP }, TASK, 0, 0x85);
			expect(guest.run().at).toBe(TARGET);
			expect(guest.frame(1)).toEqual([0x1234 & ~3]);
			expect(guest.guest.register("esp")).toBe((REGISTERS[4] ?? 0) - 4);
			expect(guest.words(AT.tss + 0x20, 2)).toEqual([AT.code, RF | 2]);
			expect(guest.guest.eflags).toBe(NT | 2);
		});
	});

	it("INT n saves the address behind it and pushes nothing", async () => {
		await heated(engine, (guest) => {
			guest.start({ code: [0xcd, 0x21, HLT] });
			writeTask(guest, 32);
			guest.gate({ vector: 0x21 }, TASK, 0, 0x85);
			expect(guest.run().at).toBe(TARGET);
			expect(guest.guest.register("esp")).toBe(REGISTERS[4]);
			expect(guest.words(AT.tss + 0x20, 2)).toEqual([AT.code + 2, 2]);
		});
	});

	it("a busy task is #GP with EXT only for what the program did not ask for", async () => {
		await heated(engine, (guest) => {
			for (const [code, error] of [
				[[0xcd, 0x21], TASK],
				[[0x0f, 0x0b], TASK | 1],
			] as const) {
				guest.start({ code });
				writeTask(guest, 32);
				guest.descriptor(TASK, AT.otherTss, 0x67, 0x8b);
				for (const vector of [6, 0x21]) guest.gate({ vector }, TASK, 0, 0x85);
				expect(guest.run().vector).toBe(GP);
				expect(guest.frame(2)).toEqual([error, AT.code]);
			}
		});
	});
});

describe.each(ENGINES)("a TSS in an MMIO hole on the %s engine", (engine) => {
	it("is read by exits, each asked once, before anything is written", async () => {
		const guest = await SystemGuest.create(engine);
		const hole = 0x400000;
		for (let n = 0; n < 6; n++) {
			guest.start({ code: callFar(TASK), registers: { eax: 0x77 } });
			writeTask(guest, 32);
			guest.descriptor(TASK, hole, 0x67, 0x89);
			guest.memory.setUint32(AT.tss + 0x28, 0xdead, true);
			const asked: number[] = [];
			const written: number[] = [];
			while (guest.guest.run() === EXIT_REASON.mmio) {
				const { exit } = guest.guest.vcpu;
				const offset = exit.physAddr - hole;
				if (exit.isWrite) {
					written.push(offset);
					continue;
				}
				expect(guest.memory.getUint32(AT.tss + 0x28, true)).toBe(0xdead);
				expect(written).toEqual([]);
				asked.push(offset);
				exit.words.set([guest.memory.getUint32(AT.otherTss + offset, true), 0]);
			}
			expect(new Set(asked).size).toBe(asked.length);
			expect(written).toEqual([0]);
			expect(guest.guest.eip).toBe(TARGET + 1);
			expect(registersOf(guest)).toEqual(REGISTERS);
			expect(guest.memory.getUint32(AT.tss + 0x28, true)).toBe(0x77);
		}
	});
});
