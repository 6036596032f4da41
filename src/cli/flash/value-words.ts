import { u8, u16, u32, u64 } from "../../base/bytes.ts";
import { UserError } from "../../base/errors.ts";
import { readImage } from "../../host/read-file.ts";
import { fromHex, utf16Bytes } from "../../uefi/bytes.ts";
import type { Guid } from "../../uefi/guid.ts";
import { parseGuid } from "../../uefi/guid.ts";
import { GLOBAL_VENDOR, vendorByName } from "../../uefi/guid-names.ts";
import { type Variable, variableLabel } from "../../uefi/variable-store.ts";
import { decodeValue } from "../../uefi/variable-values.ts";
import { WHAT } from "./firmware-file.ts";

/** Bytes; no variable is that long. */
const FILE_LIMIT = 16 * 2 ** 20;

export interface VariableName {
	readonly guid: Guid;
	readonly name: string;
}

/**
 * A variable as people name it: `VENDOR:NAME`, where the vendor is a name that tsvmm knows or a GUID, `NAME-GUID` as Linux has it in
 * efivarfs, or NAME alone: one that `variables` have, else one of UEFI's own.
 * @throws UserError where several variables have that name.
 */
export function parseVariableName(text: string, variables: readonly Variable[]): VariableName {
	const [, vendor, rest] = /^([^:]+):(.+)$/s.exec(text) ?? [];
	if (vendor !== undefined && rest !== undefined) {
		const guid = parseGuid(vendor) ?? vendorByName(vendor);
		if (guid !== undefined) return { guid, name: rest };
	}
	const [, name, suffix = ""] = /^(.+)-(.{36})$/s.exec(text) ?? [];
	const guid = parseGuid(suffix);
	if (name !== undefined && guid !== undefined) return { guid, name };
	const known = variables.filter((variable) => variable.name === text);
	const alive = known.filter(({ current }) => current !== undefined);
	if (alive.length > 1) {
		const labels = alive.map((variable) => `${variable.guid}:${variable.name}`);
		throw new UserError(`${WHAT}: several variables are named ${text}: ${labels.join(", ")}`);
	}
	return { guid: (alive[0] ?? known[0])?.guid ?? GLOBAL_VENDOR, name: text };
}

type Parser = (text: string) => Uint8Array | undefined;

function integer(text: string, most: number): number | undefined {
	if (!/^(0x[0-9a-f]+|\d+)$/i.test(text)) return undefined;
	const value = Number(text);
	return value <= most ? value : undefined;
}

const numberIn =
	(most: number, bytes: (value: number) => Uint8Array): Parser =>
	(text) => {
		const value = integer(text, most);
		return value === undefined ? undefined : bytes(value);
	};

/** Ways to write a value down, by what stands before the colon. */
const FORMS: Readonly<Record<string, Parser>> = {
	hex: fromHex,
	text: (text) => new TextEncoder().encode(text),
	ascii: (text) => new TextEncoder().encode(`${text}\0`),
	utf16: utf16Bytes,
	u8: numberIn(0xff, u8),
	u16: numberIn(0xffff, u16),
	u32: numberIn(0xffffffff, u32),
	u64: numberIn(Number.MAX_SAFE_INTEGER, u64),
	file: (path) => readImage(path, WHAT, FILE_LIMIT),
	json: fromJson,
};

/** What a message says about values. */
const VALUE_FORMS =
	"hex:00ff, text:abc, ascii:abc (with a zero at the end), utf16:abc, u8: u16: u32: u64:5, file:PATH, json:[0,1]";

/** Numbers as bytes; text as it is. */
function fromJson(text: string): Uint8Array | undefined {
	let value: unknown;
	try {
		value = JSON.parse(text);
	} catch {
		return undefined;
	}
	if (typeof value === "string") return new TextEncoder().encode(value);
	if (!Array.isArray(value)) return undefined;
	const bytes = value.map(Number);
	return bytes.every((byte) => Number.isInteger(byte) && byte >= 0 && byte <= 0xff)
		? Uint8Array.from(bytes)
		: undefined;
}

/** Values of well-known variables that can be written plainly, as they are shown. */
const PLAIN: readonly (readonly [name: RegExp, parse: Parser])[] = [
	[/^(Boot|Driver|SysPrep)Order$/, parseOrder],
	[/^BootNext$/, (text) => (/^[0-9a-f]{4}$/i.test(text) ? u16(Number.parseInt(text, 16)) : undefined)],
	[/^Timeout$/, numberIn(0xffff, u16)],
	[/^(Lang|PlatformLang)$/, (text) => new TextEncoder().encode(`${text}\0`)],
	[/^OsIndications$/, numberIn(Number.MAX_SAFE_INTEGER, u64)],
	[/^(SecureBootEnable|CustomMode|VendorKeysNv)$/, (text) => ({ off: u8(0), on: u8(1) })[text]],
];

/** `0000,0001`: as boot options are named. */
function parseOrder(text: string): Uint8Array | undefined {
	const words = text.split(/[\s,]+/).filter((word) => word !== "");
	if (words.length === 0 || !words.every((word) => /^[0-9a-f]{4}$/i.test(word))) return undefined;
	return Uint8Array.from(words.flatMap((word) => [...u16(Number.parseInt(word, 16))]));
}

/**
 * The bytes of a value as people write it: with a form before it, or plainly where the variable is one whose meaning is known.
 * @throws UserError where it is neither.
 */
export function parseValue(text: string, { guid, name }: VariableName): Uint8Array {
	const [, form = "", rest = ""] = /^([a-z0-9]+):(.*)$/s.exec(text) ?? [];
	const parser = FORMS[form];
	const plain = PLAIN.find(([pattern]) => pattern.test(name) && isOwn(guid, name))?.[1];
	const data = parser === undefined ? plain?.(text) : parser(rest);
	if (data === undefined) {
		const known = parser === undefined && plain === undefined ? "" : " there";
		throw new UserError(
			`${WHAT}: ${variableLabel(guid, name)} cannot be ${JSON.stringify(text)}${known}; write ${VALUE_FORMS}`,
		);
	}
	if (data.length === 0) {
		throw new UserError(`${WHAT}: ${variableLabel(guid, name)} would be empty, which is what UEFI calls deleted`);
	}
	return data;
}

/** Whether this is the vendor that gave the name its meaning. */
function isOwn(guid: Guid, name: string): boolean {
	return guid === GLOBAL_VENDOR || decodeValue(guid, name, u8(0)) !== undefined;
}
