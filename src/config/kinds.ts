import { isAbsolute, join } from "node:path";
import type { ZodType } from "zod";
import { nearest } from "./nearest.ts";
import { ValueError } from "./option.ts";

/** The parts of zod that kinds build machine-file checks from. Passed in, so that runs without a machine file never load it. */
export type Zod = typeof import("./zod.ts").z;

/** A kind of value: how it is written as text, and what may stand for it in a machine file. */
export interface Kind<T> {
	/** How help names a value, such as `SIZE`. */
	readonly placeholder: string;
	/** @throws ValueError that says what would be right. */
	parse(text: string): T;
	/** What the machine file accepts; {@link fromFile} turns it into text for {@link parse}. */
	schema(z: Zod): ZodType;
	/** Text of a value that passed {@link schema}. */
	fromFile(value: unknown): string;
	/** Names of the fields where an object may stand for the value in a machine file. */
	readonly fields?: readonly string[];
	/** The value with its paths taken relative to `folder`: for machine files. */
	rebase?(value: T, folder: string): T;
}

/** Text of a number, a word, true, false or null. */
export const scalarText = (value: unknown): string => (value === null ? "null" : String(value));

function integerOf(text: string): number | undefined {
	if (!/^(0x[0-9a-f]+|[0-9]+)$/i.test(text)) return undefined;
	const value = Number(text);
	return Number.isSafeInteger(value) ? value : undefined;
}

const SIZE = /^([0-9]+|0x[0-9a-fA-F]+)(?:([kKmMgGtT])(?:[iI]?[bB])?)?$/;
const SIZE_UNITS: Readonly<Record<string, number>> = { k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

/** Bytes: a number, or a number with K, M, G or T (powers of 1024). */
export function size(limits: { readonly min: number; readonly max: number; readonly multiple: number }): Kind<number> {
	return {
		placeholder: "SIZE",
		parse(text) {
			const [, digits, unit] = SIZE.exec(text.trim()) ?? [];
			if (digits === undefined)
				throw new ValueError(`"${text}" is not a size; write bytes or a number with K, M or G, such as 128M`);
			const bytes = Number(digits) * (unit === undefined ? 1 : (SIZE_UNITS[unit.toLowerCase()] ?? 1));
			if (bytes < limits.min) {
				const hint = unit === undefined ? ` (a bare number is bytes; did you mean ${text}M?)` : "";
				throw new ValueError(`${text} is too small; at least ${sizeText(limits.min)} is needed${hint}`);
			}
			if (bytes > limits.max) throw new ValueError(`${text} is too large; at most ${sizeText(limits.max)} is possible`);
			if (bytes % limits.multiple !== 0)
				throw new ValueError(`${text} is not a multiple of ${sizeText(limits.multiple)}`);
			return bytes;
		},
		schema: (z) =>
			z
				.union([z.int().min(limits.min).max(limits.max), z.string().regex(SIZE)])
				.meta({ description: "bytes, or a number with K, M, G or T (powers of 1024)" }),
		fromFile: scalarText,
	};
}

/** Bytes in the largest unit that divides them, as the size kind reads them: `128M`. */
export function sizeText(bytes: number): string {
	for (const unit of ["t", "g", "m", "k"]) {
		const scale = SIZE_UNITS[unit] ?? 1;
		if (bytes >= scale && bytes % scale === 0) return `${bytes / scale}${unit.toUpperCase()}`;
	}
	return `${bytes} bytes`;
}

const DURATION = /^([0-9]+(?:\.[0-9]+)?)(ns|us|ms|s|m|h)$/;
const NANOSECONDS: Readonly<Record<string, number>> = { ns: 1, us: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };

/** A time span: a number with ns, us, ms, s, m or h. The value is in units of `unit` nanoseconds. */
export function duration(unit: "ms" | "ns"): Kind<number> {
	return {
		placeholder: "DURATION",
		parse(text) {
			const [, number, suffix] = DURATION.exec(text.trim()) ?? [];
			if (number === undefined || suffix === undefined) {
				throw new ValueError(
					`"${text}" is not a duration; write a number with ns, us, ms, s, m or h, such as 30s or 500ms`,
				);
			}
			const ns = Number(number) * (NANOSECONDS[suffix] ?? 1);
			if (ns <= 0)
				throw new ValueError(`a duration of ${text} is no time at all; write more than zero or leave it out`);
			if (!(ns <= Number.MAX_SAFE_INTEGER)) throw new ValueError(`${text} is too long; at most 2500h is possible`);
			return unit === "ns" ? Math.ceil(ns) : ns / 1e6;
		},
		schema: (z) => z.string().regex(DURATION).meta({ description: "a number with ns, us, ms, s, m or h" }),
		fromFile: scalarText,
	};
}

const COUNT = /^([0-9]+(?:_[0-9]+)*)([kMGT]?)$/;
const COUNT_UNITS: Readonly<Record<string, number>> = { "": 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12 };

/** How many of something: 1 to 2^53 - 1, with k, M, G or T for powers of 1000. */
export const count: Kind<number> = {
	placeholder: "N",
	parse(text) {
		const [, digits, unit] = COUNT.exec(text.trim()) ?? [];
		const value = Number(digits?.replaceAll("_", "")) * (COUNT_UNITS[unit ?? ""] ?? 1);
		if (!Number.isSafeInteger(value) || value < 1) {
			throw new ValueError(`"${text}" is not a count; write a number from 1, such as 5000000 or 5M (powers of 1000)`);
		}
		return value;
	},
	schema: (z) =>
		z
			.union([z.int().min(1), z.string().regex(COUNT)])
			.meta({ description: "a number, or a number with k, M, G or T (powers of 1000)" }),
	fromFile: scalarText,
};

/** An I/O port, or `off`. */
export const portOrOff: Kind<number | "off"> = {
	placeholder: "PORT|off",
	parse(text) {
		if (text === "off") return "off";
		const port = integerOf(text);
		if (port === undefined || port > 0xffff)
			throw new ValueError(`"${text}" is not an I/O port; write 0 to 0xffff, or off`);
		return port;
	},
	schema: (z) =>
		z
			.union([z.int().min(0).max(0xffff), z.literal("off"), z.string().regex(/^0x[0-9a-fA-F]{1,4}$/)])
			.meta({ description: "an I/O port from 0 to 0xffff, or off" }),
	fromFile: (value) => (value === false ? "off" : scalarText(value)),
};

/** One word out of a few. */
export function choice<const T extends string>(...words: readonly T[]): Kind<T> {
	return {
		placeholder: words.join("|"),
		parse(text) {
			const found = words.find((word) => word === text);
			if (found === undefined)
				throw new ValueError(`"${text}" is not one of ${words.join(", ")}${nearest(text, words)}`);
			return found;
		},
		schema: (z) => {
			// YAML takes a word of digits for a number.
			const numbers = words.filter((word) => /^\d+$/.test(word)).map(Number);
			const all = z.enum(words as readonly [T, ...T[]]);
			return numbers.length === 0 ? all : z.union([all, z.literal(numbers)]);
		},
		fromFile: scalarText,
	};
}

/** Several words out of a few, separated by commas; `all` stands for every one, `none` for the empty list. */
export function words<const T extends string>(...all: readonly T[]): Kind<readonly T[]> {
	const one = choice<T | "all" | "none">("none", "all", ...all);
	return {
		placeholder: "LIST",
		parse(text) {
			const chosen = new Set<T>();
			for (const part of text.split(",")) {
				const word = one.parse(part.trim());
				if (word === "all") for (const each of all) chosen.add(each);
				else if (word !== "none") chosen.add(word);
			}
			return [...chosen];
		},
		schema: (z) =>
			z
				.union([z.array(one.schema(z)), z.string()])
				.meta({ description: `a list of, or separated by commas: none, all, ${all.join(", ")}` }),
		fromFile: (value) => (Array.isArray(value) ? value.join(",") : scalarText(value)),
	};
}

const rebased = (file: string, folder: string): string => (isAbsolute(file) ? file : join(folder, file));

/** A file's path; in a machine file, relative to that file's folder. */
export const path: Kind<string> = {
	placeholder: "FILE",
	parse(text) {
		if (text === "") throw new ValueError("a file name is missing");
		if (text.includes("\0")) throw new ValueError("a file name cannot contain a NUL character");
		return text;
	},
	schema: (z) => z.string().min(1).meta({ description: "a file name, relative to the machine file" }),
	fromFile: scalarText,
	rebase: rebased,
};

/** Any text but none at all. */
export const text: Kind<string> = {
	placeholder: "TEXT",
	parse(given) {
		if (given === "") throw new ValueError("the text is empty");
		return given;
	},
	schema: (z) =>
		z.string().min(1).meta({ description: "a text, in quotes where YAML would take it for something else" }),
	fromFile: scalarText,
};

/** Text that goes on to the guest: of any length, without the NUL that would end it. */
export const line: Kind<string> = {
	placeholder: "TEXT",
	parse(given) {
		if (given.includes("\0")) throw new ValueError("the text cannot contain a NUL character");
		return given;
	},
	schema: (z) => z.string().meta({ description: "a text, in quotes where YAML would take it for something else" }),
	fromFile: scalarText,
};

/** A guest-physical address below 4 GiB. */
export const address: Kind<number> = {
	placeholder: "ADDRESS",
	parse(given) {
		const value = integerOf(given);
		if (value === undefined || value > 0xffff_ffff) {
			throw new ValueError(`"${given}" is not an address; write 0 to 0xffffffff`);
		}
		return value;
	},
	schema: (z) =>
		z
			.union([z.int().min(0).max(0xffff_ffff), z.string().regex(/^0x[0-9a-fA-F]{1,8}$/)])
			.meta({ description: "an address from 0 to 0xffffffff" }),
	fromFile: scalarText,
};

/** One file, or several with arguments separated by commas; which of both, the kernel that takes them decides. */
export interface ModuleFiles {
	readonly text: string;
	/** Paths are relative to this folder; absent: to the working directory. */
	readonly folder?: string;
}

/** `FILE`, or `FILE ARGUMENTS,FILE ARGUMENTS` for kernels that take modules. */
export const moduleFiles: Kind<ModuleFiles> = {
	placeholder: "FILE",
	parse: (given) => ({ text: path.parse(given) }),
	schema: (z) =>
		z
			.string()
			.min(1)
			.meta({ description: "a file name, relative to the machine file; several modules: a list with commas" }),
	fromFile: scalarText,
	rebase: ({ text }, folder) => ({ text, folder }),
};

/** Where a console's bytes go. Only `stdio` also brings input. */
export type OutputTarget =
	| { readonly to: "stdio" }
	| { readonly to: "null" }
	| { readonly to: "file"; readonly path: string };

/** `stdio`, `null` or `file:PATH`. */
export const output: Kind<OutputTarget> = {
	placeholder: "stdio|null|file:PATH",
	parse(given) {
		if (given === "stdio" || given === "null") return { to: given };
		if (given.startsWith("file:")) return { to: "file", path: path.parse(given.slice("file:".length)) };
		throw new ValueError(
			`"${given}" is not an output; write stdio, null or file:PATH${nearest(given, ["stdio", "null"])}`,
		);
	},
	schema: (z) =>
		z
			.union([z.enum(["stdio", "null"]), z.string().regex(/^file:./s), z.null()])
			.meta({ description: "stdio, null or file:PATH" }),
	fromFile: scalarText,
	rebase: (value, folder) => (value.to === "file" ? { to: "file", path: rebased(value.path, folder) } : value),
};

const DATE = /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2}))?Z?)?$/;

/** What a real-time clock shows at power-on: `utc`, the host's time, or milliseconds since 1970-01-01T00:00Z. */
export type RtcStart = "utc" | number;

/** `utc`, or a date with or without a time of day, in UTC. */
export const rtcStart: Kind<RtcStart> = {
	placeholder: "utc|DATE",
	parse(given) {
		if (given === "utc") return "utc";
		const [, year, month, day, hour = "00", minute = "00", second = "00"] = DATE.exec(given.trim()) ?? [];
		const canonical = `${year}-${month}-${day}T${hour}:${minute}:${second}.000Z`;
		const ms = Date.parse(canonical);
		if (Number.isNaN(ms) || new Date(ms).toISOString() !== canonical) {
			throw new ValueError(`"${given}" is not a date; write utc, 2026-01-31 or 2026-01-31T12:00:00`);
		}
		return ms;
	},
	schema: (z) => z.string().meta({ description: "utc, or a date such as 2026-01-31 or 2026-01-31T12:00:00 (UTC)" }),
	fromFile: scalarText,
};

/** A processor: a model, who it says made it, and features on (true) or off on top of it. Which names there are is the machine's to say. */
export interface CpuText {
	readonly model: string;
	/** Absent: the model's own. */
	readonly vendor?: string;
	readonly features: readonly { readonly name: string; readonly on: boolean }[];
}

const VENDOR = "vendor=";
const CPU_WORD = /^[a-z0-9][a-z0-9._-]*$/i;

/** `MODEL[,vendor=NAME][,+FEATURE][,-FEATURE]`; QEMU's `feature=on` and `feature=off` as well. */
export const cpu: Kind<CpuText> = {
	placeholder: "MODEL[,vendor=NAME][,+FEATURE][,-FEATURE]",
	parse(given) {
		const [model = "", ...rest] = given.split(",");
		if (!CPU_WORD.test(model)) throw new ValueError(`"${given}" is not a processor; write a model such as max`);
		const vendor = rest.findLast((part) => part.startsWith(VENDOR))?.slice(VENDOR.length);
		const changes = rest.filter((part) => !part.startsWith(VENDOR));
		const features = changes.map((part) => {
			const [, sign, signed] = /^([+-])(.+)$/.exec(part) ?? [];
			const [, named, value] = /^([^=]+)=(on|off)$/.exec(part) ?? [];
			const name = signed ?? named;
			if (name === undefined || !CPU_WORD.test(name))
				throw new ValueError(`"${part}" is not a processor feature; write +FEATURE or -FEATURE`);
			return { name, on: sign === "+" || value === "on" };
		});
		return vendor === undefined ? { model, features } : { model, vendor, features };
	},
	schema: (z) =>
		z.string().min(1).meta({
			description: "a processor model, with ,vendor=NAME and ,+FEATURE and ,-FEATURE after it to change it",
		}),
	fromFile: scalarText,
};

/** Something that is on where it is named: `--name`, `name: true`. */
export const flag: Kind<boolean> = {
	placeholder: "",
	parse(given) {
		if (given !== "on" && given !== "off") throw new ValueError(`"${given}" is neither on nor off`);
		return given === "on";
	},
	schema: (z) => z.boolean(),
	fromFile: (value) => (value === true ? "on" : "off"),
};
