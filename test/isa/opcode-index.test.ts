import { describe, expect, it } from "vitest";
import { VEX_MAP } from "../../src/isa/encoding.ts";
import { FAMILY_FILES } from "../../src/isa/families/index.ts";
import { family } from "../../src/isa/family.ts";
import { indexOpcodes, printOpcodeIndex, readOpcodeIndex } from "../../src/isa/opcode-index.ts";
import { InstructionTable } from "../../src/isa/table.ts";

const OPCODES = 2 * VEX_MAP * 256;

describe("the index of opcodes", () => {
	it("names the lines of an opcode, across files", () => {
		const meaning = (): void => {};
		const index = indexOpcodes([
			() => [family("A", "one", { forms: [["40+r", ""]], meaning })],
			() => [
				family("B", "two", {
					forms: [
						["0F 41", ""],
						["41", ""],
					],
					meaning,
				}),
			],
		]);
		expect(index.starts).toEqual([0, 1, 3]);
		expect([0x40, 0x41, 0x47, 0x48, 0x141].map((opcode) => index.lines(opcode))).toEqual([[0], [0, 2], [0], [], [1]]);
	});

	it("is the same after it was printed and read", () => {
		const index = indexOpcodes(FAMILY_FILES);
		const read = readOpcodeIndex(printOpcodeIndex(index, OPCODES));
		expect(read.starts).toEqual(index.starts);
		for (let opcode = 0; opcode < OPCODES; opcode++) expect(read.lines(opcode)).toEqual(index.lines(opcode));
	});

	it("lets a table load only the files whose opcodes are asked for", () => {
		const loaded = new Set<number>();
		const files = FAMILY_FILES.map((file, number) => () => {
			loaded.add(number);
			return file();
		});
		const table = new InstructionTable(
			files,
			[16, 32, 64],
			readOpcodeIndex(printOpcodeIndex(indexOpcodes(FAMILY_FILES), OPCODES)),
		);
		expect(loaded.size).toBe(0);
		expect(table.opcodes(false).slot(0, 0x90)?.forms[0]?.family.name).toBe("NOP");
		expect(loaded.size).toBeLessThan(4);
	});
});
