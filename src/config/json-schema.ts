import type { ZodType } from "zod";
import type { Option } from "./option.ts";
import { OPTIONS } from "./options.ts";
import { z } from "./zod.ts";

/** The JSON Schema of machine files, derived from the options. */
export function machineFileSchema(): object {
	const fields: Record<string, ZodType> = {
		$schema: z.string().optional().meta({ description: "where this JSON Schema lies, for editors" }),
	};
	for (const option of OPTIONS as readonly Option[]) {
		const one = option.kind.schema(z);
		const field = option.form === "list" ? z.union([one, z.array(one)]) : one;
		const value = option.form === "list" ? option.default : option.default[0];
		fields[option.name] = field.optional().meta({
			description: option.help,
			...(option.default.length === 0 ? {} : { default: value }),
		});
	}
	return z.toJSONSchema(z.strictObject(fields).meta({ title: "tsvmm machine file" }), { io: "input" });
}
