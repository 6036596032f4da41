import { describe, expect, it } from "vitest";
import { ENGINES } from "../support/engine.ts";
import { floatForms } from "../vectors/float/forms.ts";
import { FloatCases, FloatMachine } from "../vectors/float/replay.ts";

const cases = new FloatCases();

describe("floating-point vectors", () => {
	it("have cases of every form that there is", () => {
		const recorded = new Set(cases.forms.map(({ bytes }) => bytes.join()));
		const missing = floatForms().filter(({ bytes }) => !recorded.has(bytes.join()));
		expect(missing.map(({ name }) => name)).toEqual([]);
		expect(cases.forms.length * cases.count).toBeGreaterThan(10_000);
	});

	it.each(ENGINES)("leave results and MXCSR as the processor did on the %s", async (engine) => {
		const machines = {
			wide: await FloatMachine.create(engine, "long"),
			any: await FloatMachine.create(engine, "prot32"),
		};
		const wrong: string[] = [];
		let count = 0;
		cases.forms.forEach((form, number) => {
			machines[form.wide ? "wide" : "any"].runForm(form, cases, number, (n, outcome) => {
				const difference = cases.difference(number, n, outcome);
				count++;
				if (difference) wrong.push(`${form.name}, case ${n}: ${difference}`);
			});
		});
		expect(wrong.slice(0, 20)).toEqual([]);
		expect(count).toBeGreaterThan(10_000);
	});
});
