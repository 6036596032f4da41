import { ESR, IRR, ISR, TMR } from "./lapic-registers.ts";
import { VectorSet } from "./lapic-vectors.ts";

const CLASS = 0xf0;

export interface ApicInterruptsState {
	isr: number[];
	tmr: number[];
	irr: number[];
}

/** The interrupts that a local APIC has accepted: requested, in service, and which of them are level-triggered (SDM 3A 11.8.4). */
export class ApicInterrupts {
	private readonly inService = new VectorSet();
	private readonly levels = new VectorSet();
	private readonly requests = new VectorSet();

	/** A word of ISR, TMR or IRR by register number; undefined for other registers. */
	read(register: number): number | undefined {
		if (register < ISR || register >= ESR) return undefined;
		if (register < TMR) return this.inService.word(register - ISR);
		return register < IRR ? this.levels.word(register - TMR) : this.requests.word(register - IRR);
	}

	request(vector: number, level: boolean): void {
		this.requests.add(vector);
		if (level) this.levels.add(vector);
		else this.levels.delete(vector);
	}

	/** The processor priority under a task priority (SDM 3A 11.8.3.1). */
	priority(taskPriority: number): number {
		const served = Math.max(0, this.inService.highest()) & CLASS;
		return (taskPriority & CLASS) >= served ? taskPriority : served;
	}

	/** The vector to deliver now, or -1. */
	deliverable(taskPriority: number): number {
		const vector = this.requests.highest();
		return vector >= 0 && (vector & CLASS) > (this.priority(taskPriority) & CLASS) ? vector : -1;
	}

	serve(vector: number): void {
		this.requests.delete(vector);
		this.inService.add(vector);
	}

	/** Ends what is served with the highest priority. @returns its vector where it is level-triggered, otherwise -1 */
	end(): number {
		const vector = this.inService.highest();
		if (vector < 0) return -1;
		this.inService.delete(vector);
		return this.levels.has(vector) ? vector : -1;
	}

	clear(): void {
		for (const set of [this.inService, this.levels, this.requests]) set.clear();
	}

	save(): ApicInterruptsState {
		return { isr: this.inService.save(), tmr: this.levels.save(), irr: this.requests.save() };
	}

	load({ isr, tmr, irr }: ApicInterruptsState): void {
		this.inService.load(isr);
		this.levels.load(tmr);
		this.requests.load(irr);
	}
}
