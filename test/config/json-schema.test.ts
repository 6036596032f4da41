import { describe, expect, it } from "vitest";
import { machineFileSchema } from "../../src/config/json-schema.ts";
import type { Option } from "../../src/config/option.ts";
import { OPTIONS } from "../../src/config/options.ts";

const names = (OPTIONS as readonly Option[]).map((option) => option.name);

describe("the JSON Schema of machine files", () => {
	it("is the one that is published (make golden rewrites it)", async () => {
		const text = `${JSON.stringify(machineFileSchema(), null, "\t")}\n`;
		await expect(text).toMatchFileSnapshot("../../schema/machine-file.schema.json");
	});

	it("has a field for each option, with its help, and no others", () => {
		const { properties, additionalProperties } = machineFileSchema() as {
			properties: Record<string, { description: string }>;
			additionalProperties: boolean;
		};
		expect(Object.keys(properties)).toEqual(["$schema", ...names]);
		expect(additionalProperties).toBe(false);
		for (const option of OPTIONS as readonly Option[]) expect(properties[option.name]?.description).toBe(option.help);
	});
});

describe("options", () => {
	it("have distinct names, keys and letters", () => {
		const options = OPTIONS as readonly Option[];
		const letters = options.flatMap((option) => option.short ?? []);
		for (const each of [names, options.map((option) => option.key), letters])
			expect(new Set(each).size).toBe(each.length);
	});
});
