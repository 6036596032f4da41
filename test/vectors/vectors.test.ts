import { Decoder } from "iced-x86";
import { describe, expect, test } from "vitest";
import { openFamily, type VectorGroup, vectorFamilies } from "./read.ts";

const families = vectorFamilies().map((family) => ({ family, groups: [...openFamily(family).groups] }));
const cases = (groups: readonly VectorGroup[]): number => groups.reduce((sum, { vectors }) => sum + vectors.length, 0);

describe("the committed instruction vectors", () => {
	test("are at least 200,000, and each form has its share", () => {
		expect(families.reduce((sum, { groups }) => sum + cases(groups), 0)).toBeGreaterThan(200_000);
		const forms = families.flatMap(({ family, groups }) => groups.map(({ form }) => `${family}: ${form}`));
		expect(new Set(forms).size).toBe(forms.length);
		expect(forms).toContain("arithmetic: 00 /r");
		expect(forms).toContain("arithmetic: 0f c7 /1");
	});

	test.each(families)("of $family finish or fault, and decode to the length the processor saw", ({ groups }) => {
		for (const { form, vectors } of groups) {
			for (const vector of vectors) {
				if (vector.fault !== undefined) continue;
				const decoder = new Decoder(32, vector.bytes, 0);
				const instruction = decoder.decode();
				const length = instruction.length;
				instruction.free();
				decoder.free();
				if (length !== vector.bytes.length) expect({ form, index: vector.index, length }).toBe(vector.bytes.length);
			}
		}
	});

	test("fault only where it was meant: arithmetic in at most a tenth of its cases, privileged instructions always", () => {
		for (const { family, groups } of families) {
			const faults = groups.reduce((sum, { vectors }) => sum + vectors.filter(({ fault }) => fault).length, 0);
			if (family === "arithmetic" || family === "move") expect(faults / cases(groups)).toBeLessThan(0.1);
			if (family === "fault" || family === "lock") expect(faults).toBe(cases(groups));
		}
	});
});
