import { UserError } from "../base/errors.ts";
import type { Kind } from "./kinds.ts";

/** `required` options always have a value (their default), `optional` ones may be absent, `list` ones may be given repeatedly. */
export type Form = "required" | "optional" | "list";

/**
 * One option of a machine, declared once: its flag, its field in a machine file, its default and its help derive from this.
 * The flag is `--name`; the field in the machine file is `name`; the property in {@link MachineConfig} is `key`.
 */
export interface Option<K extends string = string, T = unknown, F extends Form = Form> {
	readonly key: K;
	readonly name: string;
	/** One-letter flag, without the dash. */
	readonly short?: string;
	readonly kind: Kind<T>;
	readonly form: F;
	/** The default as a user would type it; several for a list. */
	readonly default: readonly string[];
	readonly help: string;
}

interface Words<K extends string, T> {
	readonly key: K;
	readonly name: string;
	readonly short?: string;
	readonly kind: Kind<T>;
	readonly help: string;
}

/** An option that always has a value. */
export function required<const K extends string, T>(
	words: Words<K, T> & { readonly default: string },
): Option<K, T, "required"> {
	return { ...words, form: "required", default: [words.default] };
}

/** An option that may be absent. */
export function optional<const K extends string, T>(words: Words<K, T>): Option<K, T, "optional"> {
	return { ...words, form: "optional", default: [] };
}

/** An option that may be given repeatedly; what the user gives replaces the default as a whole. */
export function list<const K extends string, T>(
	words: Words<K, T> & { readonly default?: readonly string[] },
): Option<K, T, "list"> {
	return { ...words, form: "list", default: words.default ?? [] };
}

type Value<T, F extends Form> = F extends "list" ? readonly T[] : T;

/** The configuration that a list of options describes. */
export type ConfigOf<O extends Option> = {
	readonly [P in O as P["form"] extends "optional" ? never : P["key"]]: P extends Option<string, infer T, infer F>
		? Value<T, F>
		: never;
} & {
	readonly [P in O as P["form"] extends "optional" ? P["key"] : never]?: P extends Option<string, infer T, infer F>
		? Value<T, F>
		: never;
};

/** A value that its option does not accept. The message says what would be right; who catches it names the flag or field. */
export class ValueError extends UserError {}
