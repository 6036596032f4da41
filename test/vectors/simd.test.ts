import { describe, expect, it } from "vitest";
import { Decoder } from "../../src/isa/decoder.ts";
import { instructionTable } from "../../src/isa/index.ts";
import { ENGINES } from "../support/engine.ts";
import { committedSimdLines, SimdReplay } from "./simd-replay.ts";

const lines = committedSimdLines();

describe("the vector instructions that a processor ran", () => {
	it("are all forms with vector registers that round nothing", () => {
		const decoder = new Decoder(instructionTable());
		const met = new Set(lines.map(({ code }) => decoder.decode(code, 0, code.length, 64).form));
		const missed = instructionTable().forms.filter(
			(form) =>
				!met.has(form) &&
				form.operandCodes.some((code) => /^[VWUHLPQN]/.test(code)) &&
				!Object.values(form.instances).some((list) => list.some((one) => (one?.meaning.floats.length ?? 0) > 0)),
		);
		expect(missed.map(({ family, encoding }) => `${family.name} ${encoding.text}`)).toEqual([]);
	});

	it.each(ENGINES)("leave the same behind on the %s", async (engine) => {
		const replay = await SimdReplay.create(engine);
		expect(replay.mismatches(lines).slice(0, 10)).toEqual([]);
	});
});
