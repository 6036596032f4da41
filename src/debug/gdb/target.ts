import type { Vcpu } from "../../kvm/vcpu.ts";

/** Why the guest stands still. */
export type Stop =
	/** A breakpoint at the instruction ahead. */
	| { readonly kind: "breakpoint"; readonly address: bigint }
	/** The instruction before has accessed a watched byte; the linear address of the first such. */
	| { readonly kind: "watchpoint"; readonly access: "read" | "write"; readonly address: bigint }
	| { readonly kind: "step" }
	/** Somebody asked for it. */
	| { readonly kind: "pause" }
	/** Something happened that would have ended the run; `text` says what. `resumes`: the guest may go on behind it. */
	| { readonly kind: "end"; readonly text: string; readonly resumes: boolean };

/** How the guest goes on. */
export type Resume =
	| { readonly kind: "continue" }
	/** By one instruction, or until the instruction ahead lies outside of the linear addresses `first` to `last`. */
	| { readonly kind: "step"; readonly range?: { readonly first: bigint; readonly last: bigint } };

/** Accesses to linear addresses behind which the guest is to stop. */
export interface Watchpoint {
	readonly address: bigint;
	readonly length: bigint;
	readonly reads: boolean;
	readonly writes: boolean;
}

/** A machine under a debugger: its processor, and what runs it. Everything is called while no guest code runs. */
export interface DebugTarget {
	readonly vcpu: Vcpu;
	/** Guest instructions retired, and nanoseconds of guest time, since power-on. */
	readonly instructions: number;
	readonly guestTimeNs: number;
	/** Whether the guest stands still. */
	readonly stopped: boolean;
	/** Why nothing may be changed in this run; undefined where it may. */
	readonly sealed: string | undefined;
	/** Whether single steps take interrupts, as instructions of a normal run do. */
	stepsTakeInterrupts: boolean;
	/** Somebody debugs: it hears of every stop, and what the guest does to end the run becomes one. Undefined: nobody does any more. */
	attend(listener: ((stop: Stop) => void) | undefined): void;
	/** The guest stops at the end of the instruction in hand. */
	pause(): void;
	/** The guest goes on. Behind an end that it may not go on from, the run ends. */
	resume(how: Resume): void;
	/** Breaks before the instructions at these linear addresses, and nowhere else. */
	setBreakpoints(addresses: ReadonlySet<bigint>): void;
	setWatchpoints(watchpoints: readonly Watchpoint[]): void;
	/** Registers or memory have been changed by hand. */
	changed(): void;
	/** A copy of guest-physical RAM or ROM; undefined where a byte is neither. */
	readPhysical(address: bigint, length: number): Uint8Array | undefined;
	/** The same for writing. @returns false where nothing has changed. */
	writePhysical(address: bigint, data: Uint8Array): boolean;
	/** As by the reset button; the guest stays where it is then. @returns why not, or undefined. */
	reset(): string | undefined;
	/** Ends the run. */
	kill(): void;
	/** The region tree and flat view, and the slots, for people. */
	memoryTree(): string;
	memorySlots(): string;
}

/** What a debugger comes in by. */
export interface DebugPort {
	/** Whether the guest waits for it before its first instruction. */
	readonly waits: boolean;
	/** From now on this machine is what is debugged. */
	serve(target: DebugTarget): void;
}
