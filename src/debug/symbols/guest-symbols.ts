import { type Stats, statSync } from "node:fs";
import { UserError } from "../../base/errors.ts";
import { fileProblem } from "../../base/file-problem.ts";
import { Edk2Build } from "./edk2-build.ts";
import type { GuestView } from "./guest-view.ts";
import { LinuxKernel } from "./linux-kernel.ts";
import { fitted, loadSymbols } from "./load-symbols.ts";
import { codeOf } from "./pe-symbols.ts";
import { Seabios } from "./seabios.ts";
import { SymbolImage } from "./symbol-image.ts";
import { SymbolTable } from "./symbol-table.ts";
import type { MemoryReader, Place, Symbols, UnwindRegisters } from "./symbols.ts";
import { type UefiModule, UefiModules } from "./uefi-modules.ts";

/** A file with symbols, or a folder with a build of edk2. */
export interface SymbolSource {
	readonly path: string;
	/** Linear address at which the image begins; absent: where it was linked for, or where it is found. */
	readonly address?: bigint;
}

export interface GuestSymbolsParts {
	/** What the user named. */
	readonly sources: readonly SymbolSource[];
	/** A kernel that may have symbols itself; nothing is said where it has none. */
	readonly kernel?: string | undefined;
	/** Whether images of UEFI firmware may be in memory. */
	readonly mayHaveUefi: boolean;
	/** The guest; asked for when there is an address to explain. */
	readonly view: () => GuestView;
	/** Told, once for each, of files that turn out to be no use. */
	readonly problem: (message: string) => void;
}

interface Loaded {
	readonly image: SymbolImage;
	readonly hasAddress: boolean;
	/** It moves by itself. */
	readonly mover: LinuxKernel | Seabios | undefined;
}

const WHAT = "--symbols";

/** All symbols of a guest. Files are read when the first address is asked about, not before. */
export class GuestSymbols implements Symbols {
	private readonly parts: GuestSymbolsParts;
	private readonly files: readonly SymbolSource[];
	private readonly builds: readonly Edk2Build[];
	private loaded: readonly Loaded[] | undefined;
	private uefi: UefiModules | undefined;
	private readonly modules = new WeakMap<UefiModule, readonly SymbolImage[]>();

	/** @throws UserError for a source that is neither a file nor a folder. */
	constructor(parts: GuestSymbolsParts) {
		this.parts = parts;
		const kinds = parts.sources.map((source) => ({ source, isFolder: checked(source).isDirectory() }));
		this.files = kinds.filter(({ isFolder }) => !isFolder).map(({ source }) => source);
		this.builds = kinds.filter(({ isFolder }) => isFolder).map(({ source }) => new Edk2Build(source.path));
	}

	at(address: bigint): Place | undefined {
		for (const image of this.images(address)) {
			const place = image.at(address);
			if (place !== undefined) return place;
		}
		return undefined;
	}

	caller(registers: UnwindRegisters, isReturn: boolean, read: MemoryReader): UnwindRegisters | "outermost" | undefined {
		for (const image of this.images(isReturn ? registers.pc - 1n : registers.pc)) {
			const caller = image.caller(registers, isReturn, read);
			if (caller !== undefined) return caller;
		}
		return undefined;
	}

	/** What may know an address, the user's own files first. */
	private *images(address: bigint): Generator<SymbolImage> {
		this.loaded ??= this.load();
		for (const { image, mover } of this.loaded) {
			if (mover instanceof LinuxKernel) yield image.moved(mover.bias(this.parts.view()));
			else if (mover instanceof Seabios) yield* mover.images(address, this.parts.view().read);
			else yield image;
		}
		if (!this.parts.mayHaveUefi) return;
		this.uefi ??= new UefiModules(this.parts.view());
		const module = this.uefi.at(address);
		if (module !== undefined) yield* this.imagesOf(module);
	}

	private load(): Loaded[] {
		const { kernel, problem } = this.parts;
		const loaded = this.files.map(({ path, address }) => this.loadedFrom(path, address, problem));
		const own = kernel === undefined ? undefined : this.loadedFrom(kernel, undefined, () => {});
		return [...loaded, own].filter((each) => each !== undefined);
	}

	private loadedFrom(
		path: string,
		address: bigint | undefined,
		problem: (message: string) => void,
	): Loaded | undefined {
		return tried(problem, () => {
			const image = loadSymbols(path, { address, what: WHAT });
			const hasAddress = address !== undefined;
			const mover = hasAddress ? undefined : moverOf(image, path);
			return { image, hasAddress, mover };
		});
	}

	/**
	 * What is known of an image in memory: symbols from a file that the user named without an address, else from a folder; then its
	 * name, for what they leave out.
	 */
	private imagesOf(module: UefiModule): readonly SymbolImage[] {
		let images = this.modules.get(module);
		if (images === undefined) {
			const code = codeOf(module.image);
			const bare = {
				module: module.name,
				start: module.base,
				extents: [{ first: module.first, end: module.end }],
				symbols: new SymbolTable([]),
				code: code === undefined ? undefined : code - module.image.base + module.base,
			};
			const named = this.loaded?.find((each) => !each.hasAddress && each.image.contents.module === module.name)?.image;
			const files = this.builds.flatMap((build) => build.filesOf(module.name, module.debug?.path));
			let found = named;
			for (const file of files) found ??= tried(this.parts.problem, () => loadSymbols(file, { what: WHAT }));
			const own = new SymbolImage(bare, 0n);
			images = found === undefined ? [own] : [fitted(found, bare), own];
			this.modules.set(module, images);
		}
		return images;
	}
}

function moverOf(image: SymbolImage, path: string): LinuxKernel | Seabios | undefined {
	if (LinuxKernel.matches(image.contents)) return new LinuxKernel(image.contents);
	return Seabios.matches(image) ? new Seabios(image, path) : undefined;
}

/** What an action gives; where a file is no use `problem` is told, and that is all. */
function tried<T>(problem: (message: string) => void, action: () => T): T | undefined {
	try {
		return action();
	} catch (error) {
		if (!(error instanceof UserError)) throw error;
		problem(error.message);
		return undefined;
	}
}

function checked({ path, address }: SymbolSource): Stats {
	let status: Stats;
	try {
		status = statSync(path);
	} catch (error) {
		throw new UserError(`${WHAT}: ${path} ${fileProblem(error)}`);
	}
	if (!status.isFile() && !status.isDirectory()) throw new UserError(`${WHAT}: ${path} is neither a file nor a folder`);
	if (status.isDirectory() && address !== undefined)
		throw new UserError(`${WHAT}: ${path} is a folder, whose modules are found in memory; leave the address out`);
	return status;
}
