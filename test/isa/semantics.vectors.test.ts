import { describe, expect, it } from "vitest";
import { openFamily, type Vector, vectorFamilies } from "../vectors/read.ts";
import { describeMismatch, replay } from "../vectors/replay.ts";
import { ReferenceProcessor } from "./reference-processor.ts";
import { undefinedMask } from "./undefined-flags.ts";

/** Families whose instructions are all helpers of the core: only engines can be held against them. */
const HELPERS_ONLY = ["string"];

describe("meanings beside a real processor", () => {
	const families = vectorFamilies().filter((family) => !HELPERS_ONLY.includes(family));

	it.each(families)("the vectors of %s: the same registers, flags, memory and faults", (family) => {
		const subject = new ReferenceProcessor();
		const left = new Set<Vector>();
		const vectors = [...openFamily(family).groups].flatMap((group) => group.vectors);
		const { count, mismatches } = replay(vectors, subject, {
			// Asked right after each step: the place to note those that call a helper.
			undefinedFlags: (vector) => {
				if (subject.helper !== undefined) left.add(vector);
				return undefinedMask(subject.decoded, vector.before.registers[1]! & 0xff);
			},
			fetchErrors: true,
			limit: Number.POSITIVE_INFINITY,
		});
		const wrong = mismatches.filter(({ vector }) => !left.has(vector));
		expect(wrong.slice(0, 5).map(describeMismatch)).toEqual([]);
		expect(count - left.size).toBeGreaterThan(count / 4);
	});
});
