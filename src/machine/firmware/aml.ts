import { join, text, u8, u16, u32, u64 } from "../../base/bytes.ts";
import { assert } from "../../base/errors.ts";

/**
 * ACPI Machine Language (ACPI 6.4, 20.2): each function gives the bytes of one term. Named after the ASL operators.
 */
export type Aml = Uint8Array;

const ROOT = 0x5c;
const PARENT = 0x5e;
const DUAL_NAME = 0x2e;
const MULTI_NAME = 0x2f;

/** Names of objects: `_CRS`, `^ISA.PRQA`, `\\_SB.PCI0`. Short segments are filled up with underscores. */
export function path(name: string): Aml {
	const [, prefix = "", rest = ""] = /^([\\^]*)(.*)$/.exec(name) ?? [];
	const prefixes = Uint8Array.from(prefix, (char) => (char === "^" ? PARENT : ROOT));
	const segments = rest === "" ? [] : rest.split(".").map(segment);
	if (segments.length === 0) return join(prefixes, u8(0));
	const count =
		segments.length === 1
			? new Uint8Array()
			: segments.length === 2
				? u8(DUAL_NAME)
				: Uint8Array.of(MULTI_NAME, segments.length);
	return join(prefixes, count, ...segments);
}

function segment(name: string): Aml {
	assert(/^[A-Z_][A-Z0-9_]{0,3}$/.test(name), `AML name ${name}`);
	return text(name, 4, "_".charCodeAt(0));
}

/** The shortest form of a constant up to 2^53. */
export function integer(value: number): Aml {
	if (value <= 1) return u8(value);
	if (value <= 0xff) return Uint8Array.of(0x0a, value);
	if (value <= 0xffff) return join(u8(0x0b), u16(value));
	return value <= 0xffff_ffff ? join(u8(0x0c), u32(value)) : join(u8(0x0e), u64(value));
}

export function string(value: string): Aml {
	return join(u8(0x0d), text(value), u8(0));
}

/** A compressed identifier such as PNP0A03 (ACPI 6.4, 19.3.4). */
export function eisaId(id: string): Aml {
	const letter = (at: number): number => id.charCodeAt(at) - 0x40;
	const code = (letter(0) << 26) | (letter(1) << 21) | (letter(2) << 16) | Number.parseInt(id.slice(3), 16);
	return join(u8(0x0c), u32(code).reverse());
}

export function buffer(bytes: Uint8Array): Aml {
	return join(u8(0x11), sized(integer(bytes.length), bytes));
}

/** `elements`: constants and names. */
export function packageOf(elements: readonly Aml[]): Aml {
	return join(u8(0x12), sized(u8(elements.length), ...elements));
}

export function name(of: string, value: Aml): Aml {
	return join(u8(0x08), path(of), value);
}

export function scope(of: string, ...terms: readonly Aml[]): Aml {
	return join(u8(0x10), sized(path(of), ...terms));
}

export function device(of: string, ...terms: readonly Aml[]): Aml {
	return join(Uint8Array.of(0x5b, 0x82), sized(path(of), ...terms));
}

/** A method that creates names is serialized: two calls at once would meet. */
export function method(of: string, args: number, serialized: boolean, ...terms: readonly Aml[]): Aml {
	return join(u8(0x14), sized(path(of), u8(args | (serialized ? 8 : 0)), ...terms));
}

/** Address spaces of operation regions (ACPI 6.4, 5.5.2.4). */
export const SPACE_PCI_CONFIG = 0x02;

export function operationRegion(of: string, space: number, offset: number, length: number): Aml {
	return join(Uint8Array.of(0x5b, 0x80), path(of), u8(space), integer(offset), integer(length));
}

/** Fields of `region` one after the other from its start, accessed by bytes. */
export function byteFields(region: string, fields: readonly (readonly [of: string, bits: number])[]): Aml {
	const BYTE_ACCESS = 1;
	const entries = fields.map(([of, bits]) => join(segment(of), packageLength(bits)));
	return join(Uint8Array.of(0x5b, 0x81), sized(path(region), u8(BYTE_ACCESS), ...entries));
}

export function createDWordField(source: Aml, byteIndex: number, of: string): Aml {
	return join(u8(0x8a), source, integer(byteIndex), path(of));
}

export function local(index: number): Aml {
	return u8(0x60 + index);
}

export function arg(index: number): Aml {
	return u8(0x68 + index);
}

export function store(value: Aml, target: Aml): Aml {
	return join(u8(0x70), value, target);
}

const NO_TARGET = u8(0);

export function and(left: Aml, right: Aml, target = NO_TARGET): Aml {
	return join(u8(0x7b), left, right, target);
}

export function or(left: Aml, right: Aml, target = NO_TARGET): Aml {
	return join(u8(0x7d), left, right, target);
}

/** Logical: true for 0. */
export function not(value: Aml): Aml {
	return join(u8(0x92), value);
}

export function ifThen(condition: Aml, ...terms: readonly Aml[]): Aml {
	return join(u8(0xa0), sized(condition, ...terms));
}

export function returnValue(value: Aml): Aml {
	return join(u8(0xa4), value);
}

export function call(of: string, ...args: readonly Aml[]): Aml {
	return join(path(of), ...args);
}

/** Contents after their length, which counts itself. */
function sized(...parts: readonly Aml[]): Aml {
	const body = join(...parts);
	for (const own of [1, 2, 3, 4]) {
		const length = packageLength(body.length + own);
		if (length.length === own) return join(length, body);
	}
	throw new RangeError("AML package too long");
}

/** One byte up to 63; otherwise the low 4 bits and up to three bytes more (ACPI 6.4, 20.2.4). */
function packageLength(value: number): Aml {
	if (value < 0x40) return u8(value);
	const more = value < 0x1000 ? 1 : value < 0x10_0000 ? 2 : 3;
	return Uint8Array.of((more << 6) | (value & 0xf), ...u32(value >>> 4).subarray(0, more));
}
