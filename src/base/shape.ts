/** A value is not what it should be; `path` says where, such as `rows[3].count`. */
export class ShapeError extends Error {
	constructor(path: string, wanted: string) {
		super(`${path === "" ? "the whole" : path} is not ${wanted}`);
	}
}

/** Checks a value that came from outside. @throws ShapeError */
export type Shape<T> = (value: unknown, path?: string) => T;

/** What a shape describes. */
export type Of<S> = S extends Shape<infer T> ? T : never;

type Optional<T> = Shape<T> & { readonly optional: true };
type Fields = Readonly<Record<string, Shape<unknown>>>;
type OptionalKeys<F extends Fields> = { [K in keyof F]: F[K] extends { readonly optional: true } ? K : never }[keyof F];
type ObjectOf<F extends Fields> = { readonly [K in Exclude<keyof F, OptionalKeys<F>>]: Of<F[K]> } & {
	readonly [K in OptionalKeys<F>]?: Of<F[K]>;
};

function primitive<T>(name: "string" | "number" | "boolean", wanted: string): Shape<T> {
	return (value, path = "") => {
		if (typeof value !== name) throw new ShapeError(path, wanted);
		return value as T;
	};
}

export const string: Shape<string> = primitive("string", "a text");
export const boolean: Shape<boolean> = primitive("boolean", "true or false");

/** A whole number, 0 or more. */
export const count: Shape<number> = (value, path = "") => {
	if (!Number.isSafeInteger(value) || (value as number) < 0) throw new ShapeError(path, "a whole number");
	return value as number;
};

/** A number as hexadecimal text, `0xf0000`: for addresses, which may exceed 2^53. */
export const hexText: Shape<string> = (value, path = "") => {
	if (typeof value !== "string" || !/^0x[0-9a-f]+$/.test(value)) throw new ShapeError(path, "a hexadecimal number");
	return value;
};

export function oneOf<const T extends string>(...words: readonly T[]): Shape<T> {
	return (value, path = "") => {
		const found = words.find((word) => word === value);
		if (found === undefined) throw new ShapeError(path, `one of ${words.join(", ")}`);
		return found;
	};
}

export function array<T>(item: Shape<T>): Shape<readonly T[]> {
	return (value, path = "") => {
		if (!Array.isArray(value)) throw new ShapeError(path, "a list");
		return value.map((each, n) => item(each, `${path}[${n}]`));
	};
}

/** A field that may be absent. */
export function optional<T>(shape: Shape<T>): Optional<T> {
	return Object.assign((value: unknown, path?: string): T => shape(value, path), { optional: true as const });
}

/** Fields that are not named are left out of the result. */
export function object<const F extends Fields>(fields: F): Shape<ObjectOf<F>> {
	return (value, path = "") => {
		if (typeof value !== "object" || value === null || Array.isArray(value)) throw new ShapeError(path, "an object");
		const found: Record<string, unknown> = {};
		for (const [name, shape] of Object.entries(fields)) {
			const given = (value as Record<string, unknown>)[name];
			if (given === undefined && "optional" in shape) continue;
			found[name] = shape(given, path === "" ? name : `${path}.${name}`);
		}
		return found as ObjectOf<F>;
	};
}
