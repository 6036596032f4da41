import { isAbsolute, join } from "node:path";
import { type Kind, path } from "./kinds.ts";
import { ValueError } from "./option.ts";

/** A file with symbols, or a folder with a build of edk2, as the user names it. */
export interface SymbolPlace {
	readonly path: string;
	/** Linear address of the image in memory; absent: where it was linked for, or where it is found. */
	readonly address?: bigint;
}

const FIELDS = ["file", "address"] as const;
const ADDRESS = /^(0x[0-9a-fA-F]+|[0-9]+)$/;
const HIGHEST = (1n << 64n) - 1n;

/** `FILE` or `FILE@ADDRESS`. A name may have an `@` in it, where no number follows. */
export const symbolPlace: Kind<SymbolPlace> = {
	placeholder: "FILE[@ADDRESS]",
	fields: FIELDS,
	parse(given) {
		const at = given.lastIndexOf("@");
		const text = given.slice(at + 1);
		if (at < 0 || !/^\d/.test(text)) return { path: path.parse(given) };
		if (!ADDRESS.test(text) || BigInt(text) > HIGHEST)
			throw new ValueError(`"${text}" is not an address; write 0 to 0xffffffffffffffff`);
		return { path: path.parse(given.slice(0, at)), address: BigInt(text) };
	},
	schema: (z) => {
		const file = z.string().min(1);
		const address = z.union([z.int().min(0), z.string().regex(ADDRESS)]);
		return z.union([file, z.strictObject({ file, address: address.optional() })]).meta({
			description:
				"a file name, with @ and an address after it where it was not linked for its place, or file: NAME and address: in quotes from 2^53 on",
		});
	},
	fromFile(value) {
		if (typeof value !== "object" || value === null || !("file" in value)) return String(value);
		return "address" in value ? `${String(value.file)}@${String(value.address)}` : String(value.file);
	},
	rebase: (value, folder) => ({ ...value, path: isAbsolute(value.path) ? value.path : join(folder, value.path) }),
};
