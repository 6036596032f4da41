import { UserError } from "../base/errors.ts";
import type { ImageFile } from "./image-file.ts";
import type { EntryChoice, Kernel, Payload, Recognise } from "./kernel.ts";
import { linuxKernel } from "./linux.ts";
import { LoadMap, type Piece } from "./load-map.ts";
import { multibootKernel } from "./multiboot.ts";
import { multiboot2Kernel } from "./multiboot2.ts";
import { elfKernel, flatKernel } from "./plain.ts";
import { pvhKernel } from "./pvh.ts";
import { prepareStart, type Start } from "./start-state.ts";

/** What to write into RAM, and how the processor starts. */
export interface BootPlan {
	readonly pieces: readonly Piece[];
	readonly start: Start;
}

/** The protocols that each choice tries, in this order. */
const TRIED: Readonly<Record<EntryChoice, readonly Recognise[]>> = {
	auto: [linuxKernel, multibootKernel, multiboot2Kernel, pvhKernel, elfKernel],
	"64": [linuxKernel, elfKernel],
	"32": [linuxKernel, elfKernel],
	"16": [linuxKernel, elfKernel],
	pvh: [pvhKernel],
	multiboot: [multibootKernel],
	multiboot2: [multiboot2Kernel],
};

const LOOKED_FOR = new Map<Recognise, string>([
	[linuxKernel, "a Linux setup header (HdrS at 0x202)"],
	[multibootKernel, "a Multiboot header in the first 8 KiB"],
	[multiboot2Kernel, "a Multiboot 2 header in the first 32 KiB"],
	[pvhKernel, "an ELF note with a PVH entry"],
	[elfKernel, "an ELF header"],
]);

/**
 * Finds out how a kernel is booted. With `address` it is a flat binary, whatever it holds.
 * @throws UserError for what is none of the protocols (saying which were tried), and for a damaged one.
 */
export function recogniseKernel(file: ImageFile, entry: EntryChoice, address?: number): Kernel {
	if (address !== undefined) return flatKernel(file, entry, address);
	for (const recognise of TRIED[entry]) {
		const kernel = recognise(file, entry);
		if (kernel !== undefined) return kernel;
	}
	const tried = TRIED[entry].map((each) => LOOKED_FOR.get(each)).join(", ");
	const chosen = entry === "auto" ? "" : ` (--kernel-entry ${entry})`;
	throw file.refuse(
		`is no kernel that can be booted${chosen}; looked for ${tried}. A flat binary needs --kernel-address`,
	);
}

/** Lays a kernel out in RAM. @throws UserError naming the option or file that does not fit. */
export function planBoot(kernel: Kernel, payload: Payload): BootPlan {
	const map = new LoadMap(payload.platform.map);
	const state = kernel.load(payload, map);
	if (state.bits === 64 && !payload.platform.longMode) {
		const problem = `${payload.path} (${kernel.protocol}) starts in 64-bit mode, which this processor does not have (lm)`;
		throw new UserError(`--cpu: ${problem}`);
	}
	const start = prepareStart(map, state);
	return { pieces: map.pieces, start };
}
