import { describe, expect, it } from "vitest";
import { UserError } from "../../src/base/errors.ts";
import { FEATURES, type Feature, IMPLEMENTED, REQUIRED } from "../../src/isa/features.ts";
import { cpuidOf, featuresOfChoice, MODEL_NAMES } from "../../src/vcpu/cpu-models.ts";
import { featuresIn, findCpuid, isAmd } from "../../src/vcpu/cpuid.ts";

const choice = (model: string, ...changes: string[]) => ({
	model,
	features: changes.map((change) => ({ name: change.slice(1), on: change.startsWith("+") })),
});

function message(model: string, ...changes: string[]): string {
	try {
		featuresOfChoice(choice(model, ...changes));
	} catch (error) {
		if (error instanceof UserError) return error.message;
		throw error;
	}
	return "accepted";
}

const missing = (Object.keys(FEATURES) as Feature[]).find((feature) => !IMPLEMENTED.has(feature));

describe("processor models", () => {
	it.each(MODEL_NAMES)("CPUID of %s shows exactly its features", (model) => {
		const shown = featuresIn(cpuidOf(choice(model)));
		// Features of leaves that the model does not have are not shown, so they are not there.
		for (const feature of shown) expect(featuresOfChoice(choice(model))).toContain(feature);
		for (const feature of shown) expect(IMPLEMENTED).toContain(feature);
	});

	it.each(MODEL_NAMES)("%s has nothing that needs what it has not", (model) => {
		const features = featuresOfChoice(choice(model));
		for (const feature of features) for (const needed of REQUIRED[feature] ?? []) expect(features).toContain(needed);
	});

	it("max is everything implemented", () => {
		expect(featuresOfChoice(choice("max"))).toEqual(new Set(IMPLEMENTED));
		expect(featuresIn(cpuidOf(choice("max")))).toEqual(new Set(IMPLEMENTED));
	});

	it("a plus switches on, a minus off, and what needs that goes with it", () => {
		expect(featuresOfChoice(choice("pentium3", "+nx"))).toContain("nx");
		expect(featuresOfChoice(choice("max", "-tsc"))).not.toContain("invtsc");
	});

	it("the last word about a feature counts", () => {
		expect(featuresOfChoice(choice("max", "-nx", "+nx"))).toContain("nx");
		expect(featuresOfChoice(choice("pentium3", "+nx", "-nx"))).not.toContain("nx");
	});

	it.each<[string, string[], string]>([
		["pentium5", [], `--cpu: there is no model "pentium5"; there are ${MODEL_NAMES.join(", ")}`],
		["max", ["+sse17"], '--cpu: there is no processor feature "sse17"'],
		["max", ["-sse17"], '--cpu: there is no processor feature "sse17"'],
		["max", ["+invtsc", "-tsc"], '--cpu: the feature "invtsc" needs "tsc"'],
		...(missing === undefined
			? []
			: [["max", [`+${missing}`], `--cpu: the feature "${missing}" is not implemented`] as [string, string[], string]]),
	])("%s %j is refused", (model, changes, expected) => {
		expect(message(model, ...changes)).toBe(expected);
	});

	it.each(MODEL_NAMES)("leaf 0 and 0x80000000 of %s name their last leaves", (model) => {
		const entries = cpuidOf(choice(model));
		const last = (first: number): number =>
			Math.max(...entries.map((entry) => entry.function).filter((leaf) => leaf >>> 28 === first >>> 28));
		expect(findCpuid(entries, 0)?.eax).toBeGreaterThanOrEqual(last(0));
		expect(findCpuid(entries, 0x80000000)?.eax).toBe(last(0x80000000));
	});

	it("a processor says who made it", () => {
		const vendor = (name?: string): [boolean, number | undefined] => {
			const entries = cpuidOf({ ...choice("max"), ...(name === undefined ? {} : { vendor: name }) });
			return [isAmd(entries), findCpuid(entries, 4)?.eax];
		};
		expect(vendor()).toEqual([false, 0x121]);
		expect(vendor("GenuineIntel")).toEqual(vendor());
		expect(vendor("AuthenticAMD")).toEqual([true, 0]);
		expect(() => vendor("GenuineTMx86")).toThrow(
			new UserError('--cpu: there is no processor vendor "GenuineTMx86"; there are GenuineIntel, AuthenticAMD'),
		);
	});

	it("the width of physical addresses and the local APIC's number are shown", () => {
		const entries = cpuidOf(choice("max"), { physicalBits: 39, apicId: 5 });
		expect(findCpuid(entries, 1)?.ebx).toBe(((5 << 24) | 0x10800) >>> 0);
		expect((findCpuid(entries, 0x80000008)?.eax ?? 0) & 0xff).toBe(39);
	});
});
