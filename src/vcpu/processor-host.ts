import type { Processor } from "./processor.ts";

/** What the processor asks of those around it while it runs. */
export interface ProcessorHost {
	/** Interrupt acknowledge: the vector, or -1 where the request is gone. */
	acknowledge(): number;
	/**
	 * The bus inside the hypervisor (local APIC, coalesced zones, ioeventfd), asked before an access without RAM becomes
	 * an exit. @returns true when it took the write, or stored the answer with `setData`. Absent where nothing is on it.
	 */
	readonly bus?:
		| ((isWrite: boolean, gpa: bigint, length: number, data: bigint, setData: (data: bigint) => void) => boolean)
		| undefined;
	/**
	 * Takes a single port access (IN or OUT) without an exit; absent: they are exits. It may call
	 * {@link Processor.setBudget}; behind it {@link Processor.setPortTime} passes. @returns the value read.
	 */
	port?(isWrite: boolean, port: number, size: number, value: number): number;
	/**
	 * FERR#: while CR0.NE is 0, an x87 error waits for the interrupt that this asks for (IRQ 13 of a PC). Absent: such an error
	 * is #MF whatever CR0.NE says.
	 */
	ferr?(): void;
	/**
	 * Whether a store to `gpa`, in a readonly slot, is to fault: #GP(0), before it has happened. Asked only while
	 * {@link Processor.refuseStores} is on; absent: each one.
	 */
	refuses?(gpa: number): boolean;
	/**
	 * A readonly slot did not take a bit that a page walk was to set. `ip`: offset in CS of the instruction on whose account it was;
	 * told in the middle of that. Only while {@link Processor.hearLostBits} is on.
	 */
	bitsLost?(lost: LostBits): void;
	/**
	 * Something happened that {@link Processor.trace} asked for. `what`, a bit of TRACED: `instructions` (at `address`, IP `value`, is
	 * done); `events` (an exception or interrupt is being delivered: `number` is its vector, and above bit 8 its EVENT kind,
	 * `address` the error code, `value` the address of a page fault); `misses` (`address` was walked for the ACCESS bits in `number`
	 * and is at guest-physical `value`).
	 */
	traced?(what: number, number: number, address: bigint, value: bigint): void;
	/** A model-specific register that the core does not keep. @returns the value read, true when written, undefined: #GP. */
	msr(isWrite: boolean, index: number, value: bigint): bigint | boolean | undefined;
	/** The guest has written CR8, 0..15; {@link Processor.setTaskPriority} is the other direction. */
	taskPriority?(value: number): void;
}

/** Accessed and dirty bits that a page-table entry in a readonly slot did not take. */
export interface LostBits {
	/** Where the entry lies; below 2^52. */
	readonly gpa: number;
	/** What it was to become. */
	readonly entry: bigint;
	/** 4 or 8. */
	readonly bytes: number;
	/** Offset in CS of the instruction whose access it was, and its linear address. */
	readonly ip: bigint;
	readonly linear: bigint;
}
