import { describe, expect, it } from "vitest";
import { ATTR, F } from "../../src/vcpu/layout.ts";
import { ENGINES } from "../support/engine.ts";
import { AT, heated, SELECTOR, type SystemGuest } from "../support/system-guest.ts";

const GP = 13;
const [IF, IOPL, NT, RF, VM, VIF, VIP] = [0x200, 0x3000, 0x4000, 0x10000, 0x20000, 0x80000, 0x100000];
const VME = 1n;
/** Stack of a virtual-8086 guest: linear address of SP 1000h. */
const STACK = 0x31000;
/** Where the 8086 program's vector 21h leads: 3456h:0010h. */
const HANDLER = 0x34560 + 0x10;
/** INT3, which leaves virtual-8086 mode whatever IOPL is. */
const LEAVE = 0xcc;

const push16 = (value: number): number[] => [0x68, value & 0xff, (value >> 8) & 0xff];
const push32 = (value: number): number[] => [
	0x66,
	0x68,
	value & 0xff,
	(value >> 8) & 0xff,
	(value >> 16) & 0xff,
	value >>> 24,
];

interface Virtual {
	readonly code: readonly number[];
	readonly eflags: number;
	readonly vme?: boolean;
	/** Vectors whose bit in the redirection map is clear: the 8086 program handles them. */
	readonly redirect?: readonly number[];
}

/** Starts in virtual-8086 mode; the permission map follows the redirection map and is 0x88 bytes into the TSS. */
function enter(guest: SystemGuest, { code, eflags, vme = false, redirect = [] }: Virtual): void {
	guest.start({ at: "v86", code, eflags: eflags | 2 });
	guest.guest.ram.fill(0xff, AT.tss + 0x68, AT.tss + 0x88);
	for (const vector of redirect) {
		const at = AT.tss + 0x68 + (vector >> 3);
		guest.memory.setUint8(at, guest.memory.getUint8(at) & ~(1 << (vector & 7)));
	}
	guest.memory.setUint32(0x21 * 4, (0x3456 << 16) | 0x10, true);
	guest.guest.ram[HANDLER] = LEAVE;
	guest.guest.processor.set64(F.cr4, vme ? VME : 0n);
	guest.guest.processor.refresh();
}

/** The frame that leaving virtual-8086 mode pushes: EIP, CS, EFLAGS, ESP, SS, ES, DS, FS, GS. */
const frameOf = (guest: SystemGuest, errorCode: boolean): number[] =>
	guest.frame(errorCode ? 10 : 9).slice(errorCode ? 1 : 0);

describe.each(ENGINES)("virtual-8086 mode on the %s engine", (engine) => {
	it("leaves through a 32-bit gate with all segments pushed and null", async () => {
		await heated(engine, (guest) => {
			enter(guest, { code: [0xcd, 0x21], eflags: IOPL | IF });
			for (const [n, value] of [
				[0, 0x1111],
				[3, 0x2222],
				[4, 0x3333],
				[5, 0x4444],
			] as const)
				guest.guest.processor.setSegment(n, value, BigInt(value << 4), 0xffffn, 0xf3);
			guest.guest.processor.refresh();
			expect(guest.run().vector).toBe(0x21);
			expect(guest.guest.register("esp")).toBe(AT.stack0 - 36);
			expect(frameOf(guest, false)).toEqual([
				2,
				AT.code >> 4,
				VM | IOPL | IF | 2,
				0x1000,
				0x3000,
				0x1111,
				0x2222,
				0x3333,
				0x4444,
			]);
			expect(guest.guest.eflags).toBe(IOPL | 2);
			for (const n of [0, 3, 4, 5]) expect(guest.segment(n)).toMatchObject({ selector: 0, usable: false });
		});
	});

	it("leaves through a 16-bit gate with words", async () => {
		await heated(engine, (guest) => {
			enter(guest, { code: [0xcd, 0x21], eflags: IOPL });
			guest.descriptor(0x40, AT.handlers & ~0xffff, 0xfffff, 0x9b, 0xc);
			guest.gate({ vector: 0x21 }, 0x40, (AT.handlers + 0x21) & 0xffff, 0xe6);
			expect(guest.run().vector).toBe(0x21);
			expect(guest.guest.register("esp")).toBe(AT.stack0 - 18);
			expect(guest.frame(5, 2)).toEqual([2, AT.code >> 4, IOPL | 2, 0x1000, 0x3000]);
		});
	});

	it.each([
		["code of DPL 1", SELECTOR.code1, SELECTOR.code1],
		["code of DPL 3", SELECTOR.code3, SELECTOR.code3],
		["conforming code of DPL 0", 0x40, 0x40],
	] as const)("cannot be left for %s", async (_name, selector, error) => {
		await heated(engine, (guest) => {
			enter(guest, { code: [0xcd, 0x21], eflags: IOPL });
			guest.descriptor(0x40, 0, 0xfffff, 0x9f, 0xc);
			guest.gate({ vector: 0x21 }, selector, AT.handlers + 0x21, 0xee);
			expect(guest.run().vector).toBe(GP);
			expect(guest.frame(1)).toEqual([error & ~3]);
			expect(frameOf(guest, true)[0]).toBe(0);
		});
	});

	it("a gate that the program must not use is #GP with the vector", async () => {
		await heated(engine, (guest) => {
			enter(guest, { code: [0xcd, 0x21], eflags: IOPL });
			guest.gate({ vector: 0x21 }, SELECTOR.code0, AT.handlers + 0x21, 0x8e);
			expect(guest.run().vector).toBe(GP);
			expect(guest.frame(1)).toEqual([0x21 * 8 + 2]);
		});
	});

	it("is entered by IRETD from level 0 with every flag of the image", async () => {
		await heated(engine, (guest) => {
			const values = [
				0x6666,
				0x5555,
				0x4444,
				0x3333,
				0x2222,
				0xdead_1ff0,
				VM | VIF | VIP | IOPL | 0xd7,
				AT.code >> 4,
				0x200,
			];
			const code = values.flatMap((value) => [
				0x68,
				value & 0xff,
				(value >> 8) & 0xff,
				(value >> 16) & 0xff,
				value >>> 24,
			]);
			guest.start({ code: [...code, 0xcf] });
			guest.guest.ram[AT.code + 0x200] = LEAVE;
			expect(guest.run().vector).toBe(3);
			expect(frameOf(guest, false)).toEqual([
				0x201,
				AT.code >> 4,
				VM | VIF | VIP | IOPL | 0xd7,
				0xdead1ff0,
				0x2222,
				0x3333,
				0x4444,
				0x5555,
				0x6666,
			]);
		});
	});

	it("is not entered with EIP beyond FFFF", async () => {
		await heated(engine, (guest) => {
			const values = [0, 0, 0, 0, 0x3000, 0x2000, VM | 2, 0, 0x10000];
			const code = values.flatMap((value) => [
				0x68,
				value & 0xff,
				(value >> 8) & 0xff,
				(value >> 16) & 0xff,
				value >>> 24,
			]);
			guest.start({ code: [...code, 0xcf] });
			expect(guest.run().vector).toBe(GP);
			expect(guest.frame(3)).toEqual([0, AT.code + code.length, SELECTOR.code0]);
		});
	});

	it("IRETD keeps VM, IOPL, VIF and VIP", async () => {
		await heated(engine, (guest) => {
			const flags = IF | NT | VIF | VIP | 0x200000;
			enter(guest, { code: [...push32(flags), ...push32(AT.code >> 4), ...push32(0x40), 0x66, 0xcf], eflags: IOPL });
			guest.guest.ram[AT.code + 0x40] = LEAVE;
			expect(guest.run().vector).toBe(3);
			expect(frameOf(guest, false).slice(0, 4)).toEqual([0x41, AT.code >> 4, VM | IOPL | IF | NT | 0x200002, 0x1000]);
		});
	});

	it.each([
		["IRET", [0xcf]],
		["IRETD", [0x66, 0xcf]],
		["INT n", [0xcd, 0x21]],
	] as const)("%s below IOPL 3 is #GP(0)", async (_name, code) => {
		await heated(engine, (guest) => {
			enter(guest, { code, eflags: 0x2000 });
			expect(guest.run().vector).toBe(GP);
			expect(guest.frame(4)).toEqual([0, 0, AT.code >> 4, VM | RF | 0x2002]);
		});
	});
});

describe.each(ENGINES)("virtual-8086 mode extensions on the %s engine", (engine) => {
	it.each([
		["IOPL 3, IF", IOPL | IF, IOPL | IF | 2, IOPL],
		["IOPL 0, VIF", VIF, IOPL | IF | 2, 0],
		["IOPL 1, IF but not VIF", 0x1000 | IF, IOPL | 2, 0x1000 | IF],
	] as const)("INT n that is redirected shows the program its flags: %s", async (_name, eflags, pushed, after) => {
		await heated(engine, (guest) => {
			enter(guest, { code: [0xcd, 0x21], eflags, vme: true, redirect: [0x21] });
			expect(guest.run().vector).toBe(3);
			const [eip, cs, flags, esp] = frameOf(guest, false);
			expect([eip, cs, flags, esp]).toEqual([0x11, 0x3456, VM | after | 2, 0xffa]);
			expect(guest.words(STACK - 6, 3, 2)).toEqual([2, AT.code >> 4, pushed]);
		});
	});

	it("INT n whose bit is set goes to the monitor: by its gate with IOPL 3, as #GP(0) below", async () => {
		await heated(engine, (guest) => {
			enter(guest, { code: [0xcd, 0x21], eflags: IOPL, vme: true, redirect: [0x20, 0x22] });
			expect(guest.run().vector).toBe(0x21);
			enter(guest, { code: [0xcd, 0x21], eflags: 0, vme: true, redirect: [0x20, 0x22] });
			expect(guest.run().vector).toBe(GP);
			expect(guest.frame(2)).toEqual([0, 0]);
		});
	});

	it("INT3 is never redirected", async () => {
		await heated(engine, (guest) => {
			enter(guest, { code: [0xcc], eflags: 0, vme: true, redirect: [3] });
			expect(guest.run().vector).toBe(3);
			expect(frameOf(guest, false)[0]).toBe(1);
		});
	});

	it("a redirection map beyond the TSS is #GP(0)", async () => {
		await heated(engine, (guest) => {
			enter(guest, { code: [0xcd, 0x21], eflags: IOPL, vme: true, redirect: [0x21] });
			guest.guest.processor.setSegment(7, SELECTOR.tss, BigInt(AT.tss), 0x6bn, ATTR.present | 0xb);
			guest.guest.processor.refresh();
			expect(guest.run().vector).toBe(GP);
			expect(guest.frame(2)).toEqual([0, 0]);
		});
	});

	it.each([
		["IF of the image is VIF", IF, 0, VM | VIF | 2],
		["without IF VIF is cleared", 0, VIF, VM | 2],
		["NT and the arithmetic flags load, IOPL does not", NT | IOPL | 0xd5, 0, VM | NT | 0xd7],
	] as const)("IRET below IOPL 3: %s", async (_name, image, eflags, after) => {
		await heated(engine, (guest) => {
			enter(guest, { code: [...push16(image), ...push16(AT.code >> 4), ...push16(0x40), 0xcf], eflags, vme: true });
			guest.guest.ram[AT.code + 0x40] = LEAVE;
			expect(guest.run().vector).toBe(3);
			expect(frameOf(guest, false).slice(0, 4)).toEqual([0x41, AT.code >> 4, after, 0x1000]);
		});
	});

	it.each([
		["IF while an interrupt is pending", IF, VIP, [0xcf]],
		["TF", 0x100, 0, [0xcf]],
		["32-bit operands", 0, 0, [0x66, 0xcf]],
	] as const)("IRET below IOPL 3 with %s is #GP(0)", async (_name, image, eflags, iret) => {
		await heated(engine, (guest) => {
			const values = [...push16(image), ...push16(AT.code >> 4), ...push16(0x40)];
			enter(guest, { code: [...values, ...iret], eflags, vme: true });
			expect(guest.run().vector).toBe(GP);
			expect(guest.frame(5)).toEqual([0, values.length, AT.code >> 4, VM | RF | eflags | 2, 0x1000 - 6]);
		});
	});
});

describe.each(ENGINES)("the I/O permission map on the %s engine", (engine) => {
	/** IN AL, 21h; then out of ring 3 or virtual-8086 mode. */
	const code = [0xe4, 0x21, LEAVE];

	it.each([
		["no map within the TSS", { limit: 0x67, base: 0x68, bits: 0 }],
		["a map whose last byte is behind the limit", { limit: 0x6c, base: 0x68, bits: 0 }],
		["the port's bit set", { limit: 0xfff, base: 0x68, bits: 0x02 }],
		["a 16-bit TSS", { limit: 0xfff, base: 0x68, bits: 0, type: 3 }],
	])("refuses with %s", async (_name, map) => {
		await heated(engine, (guest) => {
			for (const at of [3, "v86"] as const) {
				guest.start({ at, code, eflags: at === "v86" ? IOPL | 2 : 2 });
				const type = "type" in map ? map.type : 0xb;
				guest.guest.processor.setSegment(7, SELECTOR.tss, BigInt(AT.tss), BigInt(map.limit), ATTR.present | type);
				guest.memory.setUint16(AT.tss + 0x66, map.base, true);
				guest.memory.setUint8(AT.tss + 0x68 + 4, map.bits);
				if (type === 3) {
					guest.memory.setUint16(AT.tss + 2, AT.stack0 & 0xffff, true);
					guest.memory.setUint16(AT.tss + 4, SELECTOR.data0, true);
				}
				expect(guest.run().vector).toBe(GP);
				expect(guest.frame(2)).toEqual([0, at === 3 ? AT.code : 0]);
			}
		});
	});
});
