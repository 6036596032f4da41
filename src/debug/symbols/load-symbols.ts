import { existsSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { UserError } from "../../base/errors.ts";
import { Damaged } from "./bytes.ts";
import { readElfSymbols } from "./elf-symbols.ts";
import { isPe } from "./pe-image.ts";
import { type PeContents, readPeSymbols } from "./pe-symbols.ts";
import { SymbolFile } from "./symbol-file.ts";
import { type ImageContents, SymbolImage } from "./symbol-image.ts";
import { TEXT_FORMATS } from "./text-map.ts";

export interface LoadOptions {
	/** Where the image lies in memory, its lowest address; absent: where it was linked for. */
	readonly address?: bigint | undefined;
	/** Names the option in messages; `--symbols` by default. */
	readonly what?: string;
}

const ELF_MAGIC = 0x464c_457f;
/** Endings that say what kind of file it is, and nothing of the module. */
const ENDINGS = /\.(elf|debug|dll|efi|exe|obj|o|ko|map|nm|sym|bin|te)$/i;

/**
 * Reads the symbols of a file, whatever its format: ELF with DWARF lines, PE/COFF, a map of a linker or of NASM, System.map and what
 * nm prints.
 * @throws UserError that names the file, for one that is missing, damaged, or has no symbols.
 */
export function loadSymbols(path: string, { address, what = "--symbols" }: LoadOptions = {}): SymbolImage {
	const image = withFile(path, what, imageIn);
	return address === undefined ? image : image.startingAt(address);
}

/** What `action` finds in a file; what it cannot read is the user's to know. */
function withFile<T>(path: string, what: string, action: (file: SymbolFile) => T): T {
	const file = new SymbolFile(path, what);
	try {
		return action(file);
	} catch (error) {
		if (error instanceof Damaged) throw new UserError(`${what}: ${path} ${error.message}`);
		throw error;
	} finally {
		file.close();
	}
}

function imageIn(file: SymbolFile): SymbolImage {
	const image = contentsOf(file);
	if (!("image" in image) || hasSymbols(image)) return asLinked(image);
	return besides(file.path, [image.module, moduleOf(file.path)], image) ?? refuse(image.module);
}

/** @throws Damaged for what has no format that is known */
function contentsOf(file: SymbolFile): ImageContents | PeContents {
	const module = moduleOf(file.path);
	const head = file.read(0, Math.min(file.size, 4096), "its beginning");
	if (head.size >= 4 && head.u32(0) === ELF_MAGIC) return readElfSymbols(file, module);
	if (head.size >= 2 && isPe(head.u16(0))) return readPeSymbols(file, module);
	if (!head.data.includes(0)) {
		const text = file.text();
		const format = TEXT_FORMATS.find((each) => each.matches(text));
		if (format !== undefined) return format.read(text, module);
	}
	const known = ["ELF", "PE/COFF", ...TEXT_FORMATS.map(({ name }) => name)];
	throw new Damaged(`is none of the files that have symbols: ${known.join(", ")}`);
}

const moduleOf = (path: string): string => basename(path).replace(ENDINGS, "");

const hasSymbols = ({ symbols, lines }: ImageContents): boolean => symbols.count > 0 || lines !== undefined;

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
			const found = readAlone(other);
			if (found !== undefined) return fitted(found, image);
		}
	}
	return undefined;
}

/** What is in a file, and not what lies beside it; undefined for an image without symbols. @throws UserError */
function readAlone(path: string): SymbolImage | undefined {
	return withFile(path, "--symbols", (file) => {
		const contents = contentsOf(file);
		return hasSymbols(contents) ? asLinked(contents) : undefined;
	});
}

/** Symbols of an image from another file, so that the code of both is at one place. */
export function fitted({ contents }: SymbolImage, image: ImageContents): SymbolImage {
	const { code } = contents;
	const start = code === undefined || image.code === undefined ? contents.start : code - (image.code - image.start);
	return new SymbolImage({ ...contents, module: image.module, start }, image.start - start);
}
