import { expect, it } from "vitest";
import { nearest } from "../../src/config/nearest.ts";

const names = ["memory", "machine", "max-instructions", "bios"];

it.each([
	["memroy", " (did you mean memory?)"],
	["Memory", " (did you mean memory?)"],
	["mem", " (did you mean memory?)"],
	["boos", " (did you mean bios?)"],
	["max-instruction", " (did you mean max-instructions?)"],
	["florb", ""],
	["", ""],
])("the name nearest to %j", (wrong, expected) => {
	expect(nearest(wrong, names)).toBe(expected);
});
