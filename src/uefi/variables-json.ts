import { UserError } from "../base/errors.ts";
import { fromHex, hex, isFilled } from "./bytes.ts";
import { type Guid, parseGuid } from "./guid.ts";
import { TIME_SIZE, type Variable } from "./variable-store.ts";
import type { NewValue } from "./variable-writer.ts";

/** As `virt-fw-vars --output-json` writes it and `--set-json` reads it. */
interface ExportedVariable {
	readonly name: string;
	readonly guid: Guid;
	readonly attr: number;
	/** Hexadecimal. */
	readonly data: string;
	/** EFI_TIME of the last signed change, hexadecimal. */
	readonly time?: string;
}

/** The variables that have a value, in virt-firmware's JSON. */
export function exportVariables(variables: readonly Variable[]): string {
	const rows = variables.flatMap(({ name, guid, current }): ExportedVariable[] => {
		if (current === undefined) return [];
		const { attributes, data, time } = current;
		const signed = time !== undefined && !isFilled(time, 0);
		return [{ name, guid, attr: attributes, data: hex(data), ...(signed ? { time: hex(time) } : {}) }];
	});
	return `${JSON.stringify({ version: 2, variables: rows }, null, 4)}\n`;
}

/**
 * What `exportVariables` or virt-firmware wrote.
 * @param what names the file in messages.
 * @throws UserError naming the entry that is wrong.
 */
export function importVariables(text: string, what: string): readonly NewValue[] {
	let whole: unknown;
	try {
		whole = JSON.parse(text);
	} catch {
		throw new UserError(`${what} is not JSON`);
	}
	const rows = isRecord(whole) ? whole["variables"] : undefined;
	if (!Array.isArray(rows)) throw new UserError(`${what} has no list named "variables"`);
	return rows.map((row: unknown, index) => entry(row, `${what}: variables[${index}]`));
}

function entry(row: unknown, where: string): NewValue {
	if (!isRecord(row)) throw new UserError(`${where} is not an object`);
	const { name, guid, attr, data, time } = row;
	if (typeof name !== "string" || name === "") throw new UserError(`${where}.name is not a name`);
	const vendor = typeof guid === "string" ? parseGuid(guid) : undefined;
	if (vendor === undefined) throw new UserError(`${where}.guid is not a GUID`);
	if (typeof attr !== "number" || !Number.isInteger(attr) || attr < 0 || attr > 0xffffffff) {
		throw new UserError(`${where}.attr is not a number of 32 bits`);
	}
	const bytes = typeof data === "string" ? fromHex(data) : undefined;
	if (bytes === undefined || bytes.length === 0) throw new UserError(`${where}.data is not hexadecimal`);
	const value = { guid: vendor, name, attributes: attr, data: bytes };
	if (time === undefined || time === null) return value;
	const timeBytes = typeof time === "string" ? fromHex(time) : undefined;
	if (timeBytes?.length !== TIME_SIZE) throw new UserError(`${where}.time is not ${TIME_SIZE} bytes of hexadecimal`);
	return { ...value, time: timeBytes };
}

function isRecord(value: unknown): value is Record<string, unknown> {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}
