import type { GuestView } from "./guest-view.ts";
import type { ImageContents } from "./symbol-image.ts";
import { wordIn } from "./symbols.ts";

/** Handlers of exceptions by the names that kernels have had for them, the latest first. */
const HANDLERS: readonly (readonly [vector: number, names: readonly string[]])[] = [
	[14, ["asm_exc_page_fault", "async_page_fault", "page_fault"]],
	[0, ["asm_exc_divide_error", "divide_error"]],
	[13, ["asm_exc_general_protection", "general_protection"]],
];
const SYSTEM_CALL = "entry_SYSCALL_64";
const UPPER_HALF = 1n << 63n;
/** Kernels are moved by multiples of this at least (CONFIG_PHYSICAL_ALIGN). */
const ALIGN = 0x2000n;
const ALIGN_64 = 0x20_0000n;

/** Where Linux lies: it may have moved itself at its start (KASLR). */
export class LinuxKernel {
	private readonly isWide: boolean;
	private readonly systemCall: bigint | undefined;
	private readonly handlers: readonly (readonly [vector: number, address: bigint])[];

	constructor({ symbols, start }: ImageContents) {
		this.isWide = start >= UPPER_HALF;
		this.systemCall = symbols.named(SYSTEM_CALL)?.address;
		this.handlers = HANDLERS.flatMap(([vector, names]) => {
			const found = names.map((name) => symbols.named(name)?.address).find((address) => address !== undefined);
			return found === undefined ? [] : [[vector, found] as const];
		});
	}

	/** Whether symbols are those of a kernel. */
	static matches({ symbols }: ImageContents): boolean {
		return symbols.named("start_kernel") !== undefined && symbols.named("_text") !== undefined;
	}

	/** What to add to addresses as linked: told by where system calls and exceptions go; 0 before the kernel has set them. */
	bias(view: GuestView): bigint {
		const { lstar, idtBase, idtLimit } = view.entries();
		if (this.isWide && this.systemCall !== undefined && lstar >= UPPER_HALF) {
			const bias = lstar - this.systemCall;
			if (bias % ALIGN_64 === 0n) return bias;
		}
		for (const [vector, linked] of this.handlers) {
			const size = this.isWide ? 16 : 8;
			if ((vector + 1) * size - 1 > idtLimit) continue;
			const gate = view.read(idtBase + BigInt(vector * size), size);
			const bias = gate === undefined ? 1n : handlerOf(gate) - linked;
			if (bias % (this.isWide ? ALIGN_64 : ALIGN) === 0n) return bias;
		}
		return 0n;
	}
}

/** Where an interrupt gate leads (SDM 3A 6.11 and 6.14.1). */
function handlerOf(gate: Uint8Array): bigint {
	const low = wordIn(gate.subarray(0, 2)) | (wordIn(gate.subarray(6, 8)) << 16n);
	return gate.length === 16 ? low | (wordIn(gate.subarray(8, 12)) << 32n) : low;
}
