import { expect, it } from "vitest";
import { describe } from "../../src/isa/describe.ts";
import { instructionTable } from "../../src/isa/index.ts";

it("a mnemonic gives forms, flags and meaning", () => {
	expect(`${describe("adc")}\n`).toMatchInlineSnapshot(`
		"ADC: Add with carry

		  Forms
		    10 /r      Eb, Gb    r/m8, r8
		    11 /r      Ev, Gv    r/m16/32/64, r16/32/64
		    12 /r      Gb, Eb    r8, r/m8
		    13 /r      Gv, Ev    r16/32/64, r/m16/32/64
		    14 ib      AL, Ib    AL, imm8
		    15 iz      rAX, Iz   AX/EAX/RAX, imm16/32
		    80 /2 ib   Eb, Ib    r/m8, imm8
		    81 /2 iz   Ev, Iz    r/m16/32/64, imm16/32
		    82 /2 ib   Eb, Ib    r/m8, imm8   [not in 64-bit mode]
		    83 /2 ib   Ev, sIb   r/m16/32/64, imm8 sign-extended

		  Flags read       CF
		  Flags written    AF CF OF PF SF ZF
		  Flags undefined  none
		  LOCK             where the destination is memory

		  Meaning (11 /r, 32 bits, r/m in a register)
		    t1 = (op1 + op2) + CF
		    op1 ← t1
		    SF ZF PF of t1; CF AF OF of the carries (op1 & op2) | ((op1 | op2) & ~t1)
		"
	`);
});

it("an encoding gives the forms of that encoding alone", () => {
	expect(`${describe("0f ba /5")}\n`).toMatchInlineSnapshot(`
		"BTS: Bit test and set

		  Forms
		    0F BA /5 ib   Ev, Ib   r/m16/32/64, imm8

		  Flags read       none
		  Flags written    CF
		  Flags undefined  AF OF PF SF
		  LOCK             where the destination is memory

		  Meaning (0F BA /5 ib, 32 bits, r/m in a register)
		    t1 = u32(op2) & 0x1f
		    op1 ← op1 | (1 << t1)
		    CF ← ((op1 >> t1) & 1) ≠ 0
		"
	`);
});

it("encodings are read with or without blanks, case and digits", () => {
	for (const query of ["83 /2", "83/2", " 83 /2 "]) expect(describe(query)).toBe(describe("83 /2"));
	expect(describe("0FAF")).toBe(describe("0f af"));
	expect(describe("43")).toContain("INC: Increment by 1");
	expect(describe("f3 90")).toContain("PAUSE");
	expect(describe("83").match(/^\S+: /gm)).toHaveLength(8);
});

it("other names of the manual lead to the instruction", () => {
	expect(describe("jz")).toBe(describe("je"));
	expect(describe("cdq")).toContain("CWD (also CDQ, CQO)");
});

it("one name may be several instructions", () => {
	expect(describe("mov").match(/^\S+: .*/gm)).toEqual([
		"MOV: Move",
		"MOV: Move segment register",
		"MOV: Move to or from control register",
		"MOV: Move to or from debug register",
	]);
});

it("what there is not is refused with names that are near", () => {
	expect(() => describe("movv")).toThrow('no instruction "movv" (near: MOV, MOV');
	expect(() => describe("0f 04")).toThrow('no instruction "0f 04"; ask by mnemonic');
	expect(() => describe("")).toThrow("no instruction");
});

it("every instruction can be described", () => {
	for (const { name } of instructionTable().families) expect(describe(name)).toContain(name);
});
