import type { ImageFile } from "./image-file.ts";
import type { LoadMap, MapEntry } from "./load-map.ts";
import type { StartState } from "./start-state.ts";

/** How the user may choose among the ways into a kernel; `auto` is the first that the image offers. */
export type EntryChoice = "auto" | "64" | "32" | "16" | "pvh" | "multiboot" | "multiboot2";

/** An initial RAM disk, or a module. */
export interface Module {
	/** Begins messages: `--initrd: initrd.img`. */
	readonly name: string;
	readonly bytes: Uint8Array;
	/** What the kernel is told about it: the file as the user named it, and arguments. */
	readonly text: string;
}

/** What kernels are told about the machine. */
export interface Platform {
	/** Ascending, disjoint. */
	readonly map: readonly MapEntry[];
	/** Physical address of the ACPI root pointer. */
	readonly rsdp: number;
	/** Its 20 bytes (ACPI 1.0). */
	readonly rsdpBytes: Uint8Array;
	/** The processor has 64-bit mode. */
	readonly longMode: boolean;
	/** A VGA text screen of 80 columns and 25 lines at 0xB8000; without it there is no screen. */
	readonly textScreen: boolean;
}

/** Everything but the kernel itself. */
export interface Payload {
	/** The file as the user named it. */
	readonly path: string;
	readonly commandLine: string;
	readonly modules: readonly Module[];
	readonly platform: Platform;
}

/** A kernel whose protocol is known. */
export interface Kernel {
	/** For people: `Linux, 64-bit entry`. */
	readonly protocol: string;
	/** Whether it takes several modules with arguments; the others take one file. */
	readonly modules: "one" | "several";
	/**
	 * Puts kernel, modules and what the protocol tells of them into the map.
	 * @throws UserError naming the option or file that does not fit.
	 */
	load(payload: Payload, map: LoadMap): StartState;
}

/** What recognises one protocol: undefined where the image is none. @throws UserError for an image that is one, and damaged. */
export type Recognise = (file: ImageFile, entry: EntryChoice) => Kernel | undefined;

/** A text as kernels take it: UTF-8, ended by a zero. */
export function zeroEnded(text: string): Uint8Array {
	return new TextEncoder().encode(`${text}\0`);
}

/** KiB of RAM from 1 MiB up to the first hole. */
export function upperKib(platform: Platform): number {
	const MIB = 2 ** 20;
	return Math.floor((platform.map.find(({ first, type }) => first === MIB && type === 1)?.size ?? 0) / 1024);
}
