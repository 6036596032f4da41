import { hex, u16At, u32At } from "./bytes.ts";

/** As text: lower case, `8be4df61-93ca-11d2-aa0d-00e098032b8c`. The first three fields lie in memory little endian. */
export type Guid = string;

export const GUID_SIZE = 16;

export function guidAt(bytes: Uint8Array, at: number): Guid {
	const field = (value: number, digits: number): string => value.toString(16).padStart(digits, "0");
	const rest = hex(bytes.subarray(at + 8, at + GUID_SIZE)).padEnd(16, "f");
	const fields = [field(u32At(bytes, at), 8), field(u16At(bytes, at + 4), 4), field(u16At(bytes, at + 6), 4)];
	return [...fields, rest.slice(0, 4), rest.slice(4)].join("-");
}

export function guidBytes(guid: Guid): Uint8Array {
	const digits = guid.replaceAll("-", "");
	const byte = (i: number): number => Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16);
	return Uint8Array.of(...[3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15].map(byte));
}

/** Any case, with or without braces; undefined for anything else. */
export function parseGuid(text: string): Guid | undefined {
	const [, guid] = /^\{?([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\}?$/i.exec(text.trim()) ?? [];
	return guid?.toLowerCase();
}
