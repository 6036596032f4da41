import type { IrqLine } from "../bus/device.ts";

/** What the APIC tells its processor. */
export interface ApicProcessor {
	/** Follows {@link LocalApic.hasInterrupt}. */
	readonly interrupt: IrqLine;
	/** Follows the upper half of the task priority, 0..15: CR8. */
	taskPriority(value: number): void;
	nmi(): void;
	smi(): void;
	/** INIT: the processor goes to its INIT state and, unless it is the bootstrap processor, waits for {@link startup}. */
	init(): void;
	/** SIPI: a waiting processor starts at `vector` * 4096 in real mode. */
	startup(vector: number): void;
}

/** The 8259 pair behind LINT0. */
export interface ExternalInterrupts {
	hasInterrupt(): boolean;
	acknowledge(): number;
}
