import { describe, expect, it } from "vitest";
import { EXIT_REASON } from "../../src/kvm/vcpu.ts";
import { ATTR, F, PENDING } from "../../src/vcpu/layout.ts";
import { ENGINES } from "../support/engine.ts";
import { AT, FLAT, HLT, heated, SELECTOR, SystemGuest } from "../support/system-guest.ts";

const [UD, TS, NP, SS, GP, PF] = [6, 10, 11, 12, 13, 14];
const T = 0x40;
/** Selectors that tests give descriptors of their own. */
const [GATE, CODE, STACK] = [0x40, 0x48, 0x50];
/** Where gates lead, on a HLT. */
const TARGET = 0x21000;
const EXIT = 0x80;
const EXIT_RING = [0xcd, EXIT];
const RF = 0x10000;

const word = (value: number): number[] => [value & 0xff, (value >> 8) & 0xff];
const dword = (value: number): number[] => [...word(value), ...word(value >>> 16)];
const push = (value: number): number[] => [0x68, ...dword(value)];
const callFar = (selector: number): number[] => [0x9a, 0, 0, 0, 0, ...word(selector)];
const jumpFar = (selector: number, offset = 0): number[] => [0xea, ...dword(offset), ...word(selector)];

/** Identity map of 1 MiB for everybody but for the pages in `absent`. */
function usePaging(guest: SystemGuest, absent: readonly number[]): void {
	for (let n = 0; n < 256; n++) guest.memory.setUint32(AT.pages + 0x1000 + n * 4, (n << 12) | 7, true);
	for (const page of absent) guest.memory.setUint32(AT.pages + 0x1000 + (page >> 12) * 4, 0, true);
	guest.memory.setUint32(AT.pages, (AT.pages + 0x1000) | 7, true);
	const { processor } = guest.guest;
	processor.set64(F.cr3, BigInt(AT.pages));
	processor.set64(F.cr0, 0x8000_0011n);
	processor.refresh();
}

describe.each(ENGINES)("call gates on the %s engine", (engine) => {
	it.each([
		[0, 4],
		[1, 4],
		[31, 4],
		[0, 2],
		[3, 2],
		[31, 2],
	] as const)("from ring 3 copy %i parameters of %i bytes", async (count, bytes) => {
		await heated(engine, (guest) => {
			const parameters = Array.from({ length: count }, (_, n) => (bytes === 4 ? 0x1111_0000 : 0x2200) + n);
			guest.start({ at: 3, code: callFar(GATE | 3), registers: { esp: AT.stack3 - count * bytes } });
			parameters.forEach((value, n) => {
				const at = AT.stack3 - (count - n) * bytes;
				if (bytes === 4) guest.memory.setUint32(at, value, true);
				else guest.memory.setUint16(at, value, true);
			});
			guest.guest.ram[TARGET & 0xffff] = HLT;
			guest.guest.ram[TARGET] = HLT;
			guest.descriptor(CODE, bytes === 2 ? TARGET & ~0xffff : 0, 0xfffff, 0x9a, FLAT);
			guest.gate(
				{ selector: GATE },
				CODE | 3,
				TARGET & (bytes === 2 ? 0xffff : -1),
				bytes === 4 ? 0xec : 0xe4,
				count | 0xe0,
			);
			expect(guest.run().at).toBe(TARGET);
			const old = AT.stack3 - count * bytes;
			const mask = bytes === 4 ? -1 : 0xffff;
			const frame = [AT.code + 7, SELECTOR.code3, ...parameters, old, SELECTOR.data3].map(
				(value) => (value & mask) >>> 0,
			);
			expect(guest.frame(count + 4, bytes)).toEqual(frame);
			expect(guest.guest.register("esp")).toBe(AT.stack0 - (count + 4) * bytes);
			expect(guest.segment(1).selector).toBe(CODE);
			expect(guest.segment(2).selector).toBe(SELECTOR.data0);
			expect(guest.rights(CODE)).toBe(0x9b);
		});
	});

	it("that cannot store the whole frame store nothing of it", async () => {
		await heated(engine, (guest) => {
			const top = AT.stack1 - 0x1000 + 8;
			guest.start({ at: 3, code: callFar(GATE | 3) });
			guest.descriptor(CODE, 0, 0xfffff, 0xba, FLAT);
			guest.gate({ selector: GATE }, CODE, TARGET, 0xec);
			guest.memory.setUint32(AT.tss + 12, top, true);
			guest.guest.ram.fill(0xaa, top - 16, top);
			usePaging(guest, [top - 0x1000]);
			expect(guest.run().vector).toBe(PF);
			// The third element, CS, is the first on the absent page; a write by the supervisor.
			expect(Number(guest.guest.processor.get64(F.cr2))).toBe(top - 12);
			expect(guest.frame(3)).toEqual([2, AT.code, SELECTOR.code3]);
			expect(guest.words(top - 8, 2)).toEqual([0xaaaaaaaa, 0xaaaaaaaa]);
			expect(guest.rights(CODE)).toBe(0xba);
		});
	});

	it.each([
		["a null stack", TS, 0, (guest: SystemGuest) => guest.memory.setUint16(AT.tss + 16, 0, true)],
		["a stack beyond the GDT", TS, 0x1000, (guest: SystemGuest) => guest.memory.setUint16(AT.tss + 16, 0x1001, true)],
		["a stack with the wrong RPL", TS, STACK, (guest: SystemGuest) => guest.memory.setUint16(AT.tss + 16, STACK, true)],
		["a stack with the wrong DPL", TS, STACK, (guest: SystemGuest) => guest.descriptor(STACK, 0, 0xfffff, 0x93, FLAT)],
		["a readonly stack", TS, STACK, (guest: SystemGuest) => guest.descriptor(STACK, 0, 0xfffff, 0xb1, FLAT)],
		["an absent stack", SS, STACK, (guest: SystemGuest) => guest.descriptor(STACK, 0, 0xfffff, 0x33, FLAT)],
		["a stack smaller than the frame", SS, STACK, (guest: SystemGuest) => guest.descriptor(STACK, 0, 0xfff, 0xb3, 4)],
		["code beyond its limit", GP, 0, (guest: SystemGuest) => guest.descriptor(CODE, 0, TARGET - 1, 0xba, 4)],
		["absent code", NP, CODE, (guest: SystemGuest) => guest.descriptor(CODE, 0, 0xfffff, 0x3a, FLAT)],
		["data", GP, CODE, (guest: SystemGuest) => guest.descriptor(CODE, 0, 0xfffff, 0xb2, FLAT)],
		["an absent gate", NP, GATE, (guest: SystemGuest) => guest.gate({ selector: GATE }, CODE, TARGET, 0x6c)],
		["a gate of DPL 2", GP, GATE, (guest: SystemGuest) => guest.gate({ selector: GATE }, CODE, TARGET, 0xcc)],
		["a gate to null", GP, 0, (guest: SystemGuest) => guest.gate({ selector: GATE }, 3, TARGET, 0xec)],
		["a gate beyond the GDT", GP, 0x1000, (guest: SystemGuest) => guest.gate({ selector: GATE }, 0x1003, TARGET, 0xec)],
	] as const)("with %s fault and change nothing", async (_name, vector, code, spoil) => {
		await heated(engine, (guest) => {
			guest.start({ at: 3, code: callFar(GATE | 3) });
			guest.descriptor(CODE, 0, 0xfffff, 0xba, FLAT);
			guest.descriptor(STACK, 0, 0xfffff, 0xb3, FLAT);
			guest.memory.setUint16(AT.tss + 16, STACK | 1, true);
			guest.gate({ selector: GATE }, CODE, TARGET, 0xec, 2);
			spoil(guest);
			expect(guest.run().vector).toBe(vector);
			expect(guest.frame(6)).toEqual([code, AT.code, SELECTOR.code3, RF | 2, AT.stack3, SELECTOR.data3]);
		});
	});

	it("without a stack in the TSS name the TSS", async () => {
		await heated(engine, (guest) => {
			guest.start({ at: 1, code: callFar(GATE | 1), registers: { esp: AT.stack1 } });
			guest.descriptor(CODE, 0, 0xfffff, 0x9a, FLAT);
			guest.gate({ selector: GATE }, CODE, TARGET, 0xec);
			// Room for the stack pointer of level 0, but not for its segment; the handler stays at level 1.
			guest.guest.processor.setSegment(7, SELECTOR.tss, BigInt(AT.tss), 8n, ATTR.present | 0xb);
			guest.gate({ vector: TS }, SELECTOR.code1, TARGET + 0x10, 0xee);
			guest.guest.ram.set([0xeb, 0xfe], TARGET + 0x10);
			guest.guest.run(10);
			expect(guest.guest.eip).toBe(TARGET + 0x10);
			expect(guest.frame(2)).toEqual([SELECTOR.tss, AT.code]);
		});
	});

	it("to conforming code keep the privilege level, also for JMP", async () => {
		await heated(engine, (guest) => {
			for (const [code, pushed] of [
				[callFar(GATE | 3), 2],
				[jumpFar(GATE | 3), 0],
			] as const) {
				guest.start({ at: 3, code });
				guest.descriptor(CODE, 0, 0xfffff, 0x9e, FLAT);
				guest.gate({ selector: GATE }, CODE, TARGET, 0xec);
				guest.guest.ram.set(EXIT_RING, TARGET);
				expect(guest.run().vector).toBe(EXIT);
				expect(guest.frame(4)).toEqual([TARGET + 2, CODE | 3, 2, AT.stack3 - pushed * 4]);
			}
		});
	});

	it("to an inner ring are closed to JMP", async () => {
		await heated(engine, (guest) => {
			guest.start({ at: 3, code: jumpFar(GATE | 3) });
			guest.descriptor(CODE, 0, 0xfffff, 0x9a, FLAT);
			guest.gate({ selector: GATE }, CODE, TARGET, 0xec);
			expect(guest.run().vector).toBe(GP);
			expect(guest.frame(2)).toEqual([CODE, AT.code]);
		});
	});
});

describe.each(ENGINES)("far returns on the %s engine", (engine) => {
	it("to ring 3 release parameters on both stacks and take away inner data segments", async () => {
		await heated(engine, (guest) => {
			const frame = [SELECTOR.data3, AT.stack3 - 0x20, 1, 2, SELECTOR.code3, TARGET];
			guest.start({ code: [...frame.flatMap(push), 0xca, 8, 0] });
			guest.guest.processor.setSegment(5, CODE, 0n, 0xffffffffn, 0xc9f);
			guest.guest.processor.refresh();
			guest.guest.ram.set(EXIT_RING, TARGET);
			expect(guest.run().vector).toBe(EXIT);
			expect(guest.frame(5)).toEqual([TARGET + 2, SELECTOR.code3, 2, AT.stack3 - 0x18, SELECTOR.data3]);
			for (const n of [0, 3, 4]) expect(guest.segment(n)).toMatchObject({ selector: 0, usable: false });
			expect(guest.segment(5)).toMatchObject({ selector: CODE, usable: true });
		});
	});

	it.each([
		["to an inner ring", SELECTOR.code0, SELECTOR.data3, 3, GP, SELECTOR.code0],
		["to null", 0, SELECTOR.data3, 0, GP, 0],
		["to data", SELECTOR.data3, SELECTOR.data3, 0, GP, SELECTOR.data3 & ~3],
		["with a null stack", SELECTOR.code3, 0, 0, GP, 0],
		["with a stack of another level", SELECTOR.code3, SELECTOR.data0, 0, GP, SELECTOR.data0],
		["with an absent stack", SELECTOR.code3, STACK | 3, 0, SS, STACK],
		["beyond the limit", CODE | 3, SELECTOR.data3, 0, GP, 0],
	] as const)("%s fault", async (_name, selector, stack, at, vector, code) => {
		await heated(engine, (guest) => {
			const values = [stack, AT.stack3, selector, TARGET].flatMap(push);
			guest.start({ at, code: [...values, 0xcb] });
			guest.descriptor(CODE, 0, 0xfff, 0xfb, 4);
			guest.descriptor(STACK, 0, 0xfffff, 0x73, FLAT);
			expect(guest.run().vector).toBe(vector);
			expect(guest.frame(2)).toEqual([code, AT.code + values.length]);
		});
	});

	it("with 16-bit operands wrap on a 16-bit stack", async () => {
		await heated(engine, (guest) => {
			guest.start({ bits: 16, code: [0xcb], registers: { esp: 0xffff_fffe } });
			guest.guest.processor.setSegment(2, SELECTOR.data0, BigInt(AT.data), 0xffffn, 0x93);
			guest.guest.processor.refresh();
			guest.memory.setUint16(AT.data + 0xfffe, TARGET & 0xffff, true);
			guest.memory.setUint16(AT.data, CODE, true);
			guest.descriptor(CODE, TARGET & ~0xffff, 0xffff, 0x9b);
			guest.guest.ram[TARGET] = HLT;
			expect(guest.run().at).toBe(TARGET);
			expect(guest.guest.register("esp")).toBe(0xffff0002);
		});
	});
});

describe.each(ENGINES)("interrupts on the %s engine", (engine) => {
	/** Lets an interrupt with this vector come before the first instruction. */
	const request = (guest: SystemGuest, vector: number): void => {
		const { processor } = guest.guest;
		processor.set(F.interruptQueued, vector);
		processor.set(F.pending, processor.get(F.pending) | PENDING.interrupt);
	};

	it("push EFLAGS with RF for faults only", async () => {
		await heated(engine, (guest) => {
			expect(guest.play({ code: [0x0f, 0x0b], eflags: 0x202 }).vector).toBe(UD);
			expect(guest.frame(3)).toEqual([AT.code, SELECTOR.code0, RF | 0x202]);
			expect(guest.play({ code: [0xcd, 0x21], eflags: 0x202 }).vector).toBe(0x21);
			expect(guest.frame(3)).toEqual([AT.code + 2, SELECTOR.code0, 0x202]);
			guest.start({ code: [HLT], eflags: 0x202 });
			request(guest, 0x33);
			expect(guest.run().vector).toBe(0x33);
			expect(guest.frame(3)).toEqual([AT.code, SELECTOR.code0, 0x202]);
			expect(guest.guest.eflags).toBe(2);
		});
	});

	it.each([
		["an interrupt gate", 0xee, 2],
		["a trap gate", 0xef, 0x202],
	] as const)("%s decides about IF; TF, NT and RF go", async (_name, rights, eflags) => {
		await heated(engine, (guest) => {
			guest.start({ code: [0xcd, 0x21], eflags: 0x4202 });
			guest.gate({ vector: 0x21 }, SELECTOR.code0, AT.handlers + 0x21, rights);
			expect(guest.run().vector).toBe(0x21);
			expect(guest.guest.eflags).toBe(eflags);
			expect(guest.frame(3)[2]).toBe(0x4202);
		});
	});

	it.each([
		["a type that is no gate", GP, 0x21 * 8 + 2, (guest: SystemGuest) => guest.gate({ vector: 0x21 }, 8, TARGET, 0xec)],
		["an absent gate", NP, 0x21 * 8 + 2, (guest: SystemGuest) => guest.gate({ vector: 0x21 }, 8, TARGET, 0x6e)],
		["a null selector", GP, 0, (guest: SystemGuest) => guest.gate({ vector: 0x21 }, 0, TARGET, 0xee)],
		["a data segment", GP, 0x10, (guest: SystemGuest) => guest.gate({ vector: 0x21 }, 0x10, TARGET, 0xee)],
		["an outer ring", GP, 0x18, (guest: SystemGuest) => guest.gate({ vector: 0x21 }, 0x1b, TARGET, 0xee)],
		[
			"a selector beyond the GDT",
			GP,
			0x1000,
			(guest: SystemGuest) => guest.gate({ vector: 0x21 }, 0x1000, TARGET, 0xee),
		],
		["a target beyond its limit", GP, 0, (guest: SystemGuest) => guest.descriptor(CODE, 0, 0xfff, 0x9b, 4)],
		["absent code", NP, CODE, (guest: SystemGuest) => guest.descriptor(CODE, 0, 0xfffff, 0x1b, FLAT)],
	] as const)("through %s fault; EXT is set where the program is not the cause", async (_name, vector, code, spoil) => {
		await heated(engine, (guest) => {
			const spoilt = (): void => {
				guest.gate({ vector: 0x21 }, CODE, TARGET, 0xee);
				guest.descriptor(CODE, 0, 0xfffff, 0x9b, FLAT);
				spoil(guest);
			};
			guest.start({ code: [0xcd, 0x21] });
			spoilt();
			expect(guest.run().vector).toBe(vector);
			expect(guest.frame(2)).toEqual([code, AT.code]);
			guest.start({ code: [HLT], eflags: 0x202 });
			spoilt();
			request(guest, 0x21);
			expect(guest.run().vector).toBe(vector);
			expect(guest.frame(2)).toEqual([code | 1, AT.code]);
		});
	});

	it("INT n and INT3 need a gate of their privilege; INT1 and interrupts do not", async () => {
		await heated(engine, (guest) => {
			for (const [code, number, vector, error] of [
				[[0xcd, 0x21], 0x21, GP, 0x21 * 8 + 2],
				[[0xcc], 3, GP, 3 * 8 + 2],
				[[0xf1], 1, 1, AT.code + 1],
			] as const) {
				guest.start({ at: 3, code });
				guest.gate({ vector: number }, SELECTOR.code0, AT.handlers + number, 0x8e);
				expect(guest.run().vector).toBe(vector);
				expect(guest.frame(1)).toEqual([error]);
			}
			guest.start({ at: 3, code: [HLT], eflags: 0x202 });
			guest.gate({ vector: 0x21 }, SELECTOR.code0, AT.handlers + 0x21, 0x8e);
			request(guest, 0x21);
			expect(guest.run().vector).toBe(0x21);
		});
	});

	it("beyond the IDT are #GP with the entry", async () => {
		await heated(engine, (guest) => {
			guest.start({ code: [0xcd, 0x41] });
			guest.guest.processor.set64(F.idtLimit, 0x20en);
			expect(guest.run().vector).toBe(GP);
			expect(guest.frame(2)).toEqual([0x41 * 8 + 2, AT.code]);
		});
	});

	it("from ring 3 through a 16-bit gate push 16-bit words", async () => {
		await heated(engine, (guest) => {
			guest.start({ at: 3, code: [0xcd, 0x21] });
			guest.descriptor(CODE, AT.handlers & ~0xffff, 0xfffff, 0x9b, FLAT);
			guest.gate({ vector: 0x21 }, CODE, (AT.handlers + 0x21) & 0xffff, 0xe6);
			expect(guest.run().vector).toBe(0x21);
			const words = [AT.code + 2, SELECTOR.code3, 2, AT.stack3, SELECTOR.data3].map((value) => value & 0xffff);
			expect(guest.frame(5, 2)).toEqual(words);
			expect(guest.guest.register("esp")).toBe(AT.stack0 - 10);
		});
	});

	it("in real mode push three words, and a table without the entry is #GP", async () => {
		await heated(engine, (guest) => {
			guest.start({ at: "real", code: [0xcd, 0x21, HLT], eflags: 0x203 });
			guest.guest.processor.set64(F.idtLimit, 0x3ffn);
			guest.guest.processor.set64(F.idtBase, BigInt(AT.data));
			guest.memory.setUint32(AT.data + 0x21 * 4, ((AT.handlers >> 4) << 16) | 0x21, true);
			guest.memory.setUint32(AT.data + GP * 4, ((AT.handlers >> 4) << 16) | GP, true);
			expect(guest.run().vector).toBe(0x21);
			expect(guest.words(0x30000 + 0xffa, 3, 2)).toEqual([2, AT.code >> 4, 0x203]);
			expect(guest.guest.eflags).toBe(3);
			guest.start({ at: "real", code: [0xcd, 0x21, HLT] });
			guest.guest.processor.set64(F.idtLimit, 0x21n * 4n + 2n);
			guest.guest.processor.set64(F.idtBase, BigInt(AT.data));
			expect(guest.run().vector).toBe(GP);
			expect(guest.words(0x30000 + 0xffa, 1, 2)).toEqual([0]);
		});
	});

	it("onto a stack in an MMIO hole write each element by an exit, from the top", async () => {
		const guest = await SystemGuest.create(engine);
		for (let n = 0; n < 6; n++) {
			guest.start({ code: [0xcd, 0x21], registers: { esp: 0x300000 } });
			const seen: [number, number, number][] = [];
			while (guest.guest.run() === EXIT_REASON.mmio) {
				const { physAddr, len, words, isWrite } = guest.guest.vcpu.exit;
				expect(isWrite).toBe(true);
				seen.push([physAddr, len, words[0] ?? 0]);
			}
			expect(seen).toEqual([
				[0x2ffffc, 4, 2],
				[0x2ffff8, 4, SELECTOR.code0],
				[0x2ffff4, 4, AT.code + 2],
			]);
			expect(guest.guest.eip).toBe(AT.handlers + 0x22);
		}
	});
});

describe.each(ENGINES)("IRET on the %s engine", (engine) => {
	const changed = 0x247ed5;

	it.each([
		[0, 0, changed],
		[1, 0, changed & ~0x3200],
		[3, 0, changed & ~0x3200],
		[3, 3, changed & ~0x3000],
	] as const)("at CPL %i with IOPL %i changes the flags it may", async (at, iopl, mask) => {
		await heated(engine, (guest) => {
			// TF would trap: left out.
			const value = changed & ~0x4000;
			const code = [SELECTOR.code0, SELECTOR.code1, 0, SELECTOR.code3][at] ?? 0;
			const eflags = 2 | (iopl << 12);
			guest.start({ at, eflags, code: [...[value, code, TARGET].flatMap(push), 0xcf] });
			guest.guest.ram.set(at === 0 ? [HLT] : EXIT_RING, TARGET);
			guest.run();
			const flags = at === 0 ? guest.guest.eflags : (guest.frame(3)[2] ?? 0);
			expect(flags).toBe(((eflags & ~mask) | (value & mask) | 2) >>> 0);
		});
	});

	it("with 16-bit operands leaves the upper half of EFLAGS", async () => {
		await heated(engine, (guest) => {
			guest.start({ eflags: 0x240002, code: [0x66, 0xcf], registers: { esp: AT.data } });
			[TARGET & 0xffff, CODE, 0x3ad7].forEach((value, n) => {
				guest.memory.setUint16(AT.data + n * 2, value, true);
			});
			guest.descriptor(CODE, TARGET & ~0xffff, 0xfffff, 0x9b, FLAT);
			guest.guest.ram[TARGET] = HLT;
			guest.run();
			expect(guest.guest.eflags).toBe(0x243ad7);
			expect(guest.guest.register("esp")).toBe(AT.data + 6);
		});
	});

	it("lets NMIs in again", async () => {
		await heated(engine, (guest) => {
			guest.start({ code: [...[2, SELECTOR.code0, TARGET].flatMap(push), 0xcf] });
			const { processor } = guest.guest;
			processor.set(F.nmiBlocked, 1);
			processor.nmi();
			guest.guest.ram.set([0x90, HLT], TARGET);
			expect(guest.run().vector).toBe(2);
			expect(guest.frame(1)).toEqual([TARGET]);
		});
	});

	it("reads its frame from an MMIO hole by exits, each asked once", async () => {
		const guest = await SystemGuest.create(engine);
		for (let n = 0; n < 6; n++) {
			guest.start({ code: [0xcf], registers: { esp: 0x300000 } });
			guest.guest.ram[TARGET] = HLT;
			const asked: number[] = [];
			while (guest.guest.run() === EXIT_REASON.mmio) {
				const { exit } = guest.guest.vcpu;
				asked.push(exit.physAddr);
				exit.words.set([[TARGET, SELECTOR.code0, 0x46][asked.length - 1] ?? 0, 0]);
			}
			expect(asked).toEqual([0x300000, 0x300004, 0x300008]);
			expect(guest.guest.eip).toBe(TARGET + 1);
			expect(guest.guest.eflags).toBe(0x46);
		}
	});
});

describe.each(ENGINES)("far jumps and calls on the %s engine", (engine) => {
	it.each([
		["code of the same ring", 0x9a, 0, 0, -1],
		["code of the same ring with RPL 3", 0x9a, 3, 0, GP],
		["conforming code with RPL 3", 0x9e, 3, 0, -1],
		["conforming code of DPL 3", 0xfe, 0, 0, GP],
		["conforming code of DPL 0 from ring 3", 0x9e, 0, 3, EXIT],
		["code of DPL 0 from ring 3", 0x9a, 0, 3, GP],
		["absent code", 0x1a, 0, 0, NP],
		["data", 0x92, 0, 0, GP],
	] as const)("to %s", async (_name, rights, rpl, at, vector) => {
		await heated(engine, (guest) => {
			guest.start({ at, code: jumpFar(T | rpl, TARGET) });
			guest.descriptor(T, 0, 0xfffff, rights, FLAT);
			guest.guest.ram.set(at === 0 ? [HLT] : EXIT_RING, TARGET);
			const outcome = guest.run();
			expect(outcome.vector).toBe(vector);
			if (vector === -1) expect(guest.segment(1).selector).toBe(T | at);
			else if (vector === EXIT) expect(guest.frame(2)[1]).toBe(T | at);
			else expect(guest.frame(2)).toEqual([T, AT.code]);
		});
	});

	it("a call that finds no room on the stack is #SS before its target is looked at", async () => {
		await heated(engine, (guest) => {
			guest.start({ at: 3, code: [0x9a, ...dword(TARGET), ...word(CODE | 3)], registers: { esp: 4 } });
			guest.guest.processor.setSegment(2, SELECTOR.data3, 0n, 0xfffn, 0x4f3);
			guest.guest.processor.refresh();
			guest.descriptor(CODE, 0, 0xfff, 0xfb, 4);
			expect(guest.run().vector).toBe(SS);
			expect(guest.frame(2)).toEqual([0, AT.code]);
		});
	});
});
