import { existsSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { UserError } from "../../base/errors.ts";
import { Damaged } from "./bytes.ts";
import { readElfSymbols } from "./elf-symbols.ts";
import { readPeSymbols } from "./pe-symbols.ts";
import { SymbolFile } from "./symbol-file.ts";
import { type ImageContents, SymbolImage } from "./symbol-image.ts";
import { TEXT_FORMATS } from "./text-map.ts";

export interface LoadOptions {
	/** Where the image lies in memory, its lowest address; absent: where it was linked for. */
	readonly address?: bigint | undefined;
	/** Names the option in messages; `--symbols` by default. */
	readonly what?: string;
}

/** Endings that say what kind of file it is, and nothing of the module. */
const ENDINGS = /\.(elf|debug|dll|efi|exe|obj|o|ko|map|nm|sym|bin|te)$/i;

/**
 * Reads the symbols of a file, whatever its format: ELF with DWARF lines, PE/COFF, a map of a linker or of NASM, System.map and what
 * nm prints.
 * @throws UserError that names the file, for one that is missing, damaged, or has no symbols.
 */
export function loadSymbols(path: string, { address, what = "--symbols" }: LoadOptions = {}): SymbolImage {
	const file = new SymbolFile(path, what);
	try {
		const image = imageIn(file);
		return address === undefined ? image : image.startingAt(address);
	} catch (error) {
		if (error instanceof Damaged) throw new UserError(`${what}: ${path} ${error.message}`);
		throw error;
	} finally {
		file.close();
	}
}

function imageIn(file: SymbolFile): SymbolImage {
	const module = basename(file.path).replace(ENDINGS, "");
	const head = file.read(0, Math.min(file.size, 4096), "its beginning");
	if (head.size >= 4 && head.u32(0) === 0x464c_457f) return asLinked(readElfSymbols(file, module));
	if (head.size >= 2 && (head.u16(0) === 0x5a4d || head.u16(0) === 0x5a56)) {
		const image = readPeSymbols(file, module);
		if (image.symbols.count > 0 || image.lines !== undefined) return asLinked(image);
		return besides(file.path, [image.module, module], image) ?? refuse(image.module);
	}
	if (!head.data.includes(0)) {
		const text = file.text();
		const format = TEXT_FORMATS.find((each) => each.matches(text));
		if (format !== undefined) return asLinked(format.read(text, module));
	}
	const known = ["ELF", "PE/COFF", ...TEXT_FORMATS.map(({ name }) => name)];
	throw new Damaged(`is none of the files that have symbols: ${known.join(", ")}`);
}

const asLinked = (contents: ImageContents): SymbolImage => new SymbolImage(contents, 0n);

function refuse(module: string): never {
	const names = SIBLINGS.map((ending) => `${module}${ending}`);
	throw new Damaged(`is a PE image without symbols, and none of ${names.join(", ")} lies beside it`);
}

/** The files in which edk2's builds leave the symbols of an image that lies beside them. */
export const SIBLINGS = [".debug", ".dll", ".map"] as const;

/** The first file with symbols beside an image without, shifted so that the code of both is at one place. */
function besides(path: string, modules: readonly string[], image: ImageContents): SymbolImage | undefined {
	const folder = dirname(path);
	for (const module of new Set(modules)) {
		for (const ending of SIBLINGS) {
			const other = join(folder, `${module}${ending}`);
			if (other === path || !existsSync(other)) continue;
			return fitted(loadSymbols(other), image);
		}
	}
	return undefined;
}

/** Symbols of an image from another file, so that the code of both is at one place. */
export function fitted({ contents }: SymbolImage, image: ImageContents): SymbolImage {
	const { code } = contents;
	const start = code === undefined || image.code === undefined ? contents.start : code - (image.code - image.start);
	return new SymbolImage({ ...contents, module: image.module, start }, image.start - start);
}
