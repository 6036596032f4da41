import type { IrqLine } from "../bus/device.ts";

/** Initialisation command words begin with this bit in a write to A0 = 0. */
const ICW1 = 1 << 4;
const ICW1_NEED_ICW4 = 1 << 0;
const ICW1_SINGLE = 1 << 1;
const ICW1_LEVEL = 1 << 3;

const ICW4_AUTO_EOI = 1 << 1;
const ICW4_SPECIAL_FULLY_NESTED = 1 << 4;

/** Tells OCW3 from OCW2. */
const OCW3 = 1 << 3;
const OCW3_SELECT_ISR = 1 << 0;
const OCW3_SELECT = 1 << 1;
const OCW3_POLL = 1 << 2;
const OCW3_SPECIAL_MASK = 1 << 5;
const OCW3_SET_SPECIAL_MASK = 1 << 6;

const POLL_HIT = 0x80;
/** The level given when a request went away before its acknowledge (8259A, "interrupt sequence"). */
const SPURIOUS = 7;

export interface PicChipState {
	/** Levels on the eight inputs. */
	lines: number;
	/** Rising edges not acknowledged yet, of inputs that are still high. */
	edges: number;
	/** Inputs that are level-triggered: the ELCR. */
	elcr: number;
	imr: number;
	isr: number;
	/** Bits 7:3 of the vectors. */
	vectorBase: number;
	/** The input of lowest priority; the one after it has the highest. */
	lowest: number;
	/** The initialisation word expected next at A0 = 1: 2, 3 or 4; 0 when initialised. */
	nextIcw: number;
	needIcw4: boolean;
	single: boolean;
	/** ICW1 asked for level triggering on all inputs. */
	allLevel: boolean;
	/** ICW3: which inputs have slaves, or the slave's number. */
	cascade: number;
	autoEoi: boolean;
	rotateOnAutoEoi: boolean;
	specialFullyNested: boolean;
	specialMask: boolean;
	readIsr: boolean;
	/** The next read is an acknowledge. */
	poll: boolean;
}

export function picChipPowerOn(): PicChipState {
	return {
		lines: 0,
		edges: 0,
		elcr: 0,
		imr: 0,
		isr: 0,
		vectorBase: 0,
		lowest: 7,
		nextIcw: 0,
		needIcw4: false,
		single: false,
		allLevel: false,
		cascade: 0,
		autoEoi: false,
		rotateOnAutoEoi: false,
		specialFullyNested: false,
		specialMask: false,
		readIsr: false,
		poll: false,
	};
}

/**
 * One 8259A after Intel's datasheet, in 8086 mode (the vector's bits 7:3 are programmable; MCS-80 mode is not modelled).
 * An edge request stands while its input stays high: one that falls before the acknowledge is forgotten, and gives level 7 if the
 * processor had already been told.
 */
export class Pic8259 {
	private readonly output: IrqLine;
	private readonly master: boolean;
	private state: PicChipState = picChipPowerOn();

	/**
	 * @param output INT
	 * @param master whether its inputs may have slaves (SP/EN high)
	 */
	constructor(output: IrqLine, master: boolean) {
		this.output = output;
		this.master = master;
	}

	setLine(input: number, high: boolean): void {
		const { state } = this;
		const bit = 1 << input;
		if (high) {
			if ((state.lines & bit) === 0) state.edges |= bit;
			state.lines |= bit;
		} else {
			state.edges &= ~bit;
			state.lines &= ~bit;
		}
		this.updateInt();
	}

	/** Which level-triggered inputs there are, one bit each. */
	get elcr(): number {
		return this.state.elcr;
	}

	set elcr(value: number) {
		this.state.elcr = value;
		this.updateInt();
	}

	/** Whether INT is high. */
	get requesting(): boolean {
		return this.pending() >= 0;
	}

	/**
	 * The acknowledge cycle.
	 * @returns the input served, 7 also when none was pending any more
	 */
	take(): number {
		const input = this.pending();
		if (input >= 0) this.serve(input);
		// INT falls in every acknowledge cycle: a cascade sees the next request as an edge.
		this.output.set(false);
		this.updateInt();
		return input < 0 ? SPURIOUS : input;
	}

	vector(input: number): number {
		return this.state.vectorBase | input;
	}

	read(a0: number): number {
		const { state } = this;
		if (state.poll) {
			state.poll = false;
			const hit = this.requesting;
			const input = this.take();
			return hit ? POLL_HIT | input : 0;
		}
		if (a0 === 1) return state.imr;
		return state.readIsr ? state.isr : this.irr();
	}

	write(a0: number, value: number): void {
		if (a0 === 1) this.writeData(value);
		else if (value & ICW1) this.initialise(value);
		else if (value & OCW3) this.writeOcw3(value);
		else this.writeOcw2(value);
		this.updateInt();
	}

	/** Power-on state; the levels on the inputs stay, as they belong to others. */
	reset(): void {
		this.state = { ...picChipPowerOn(), lines: this.state.lines };
		this.updateInt();
	}

	save(): PicChipState {
		return { ...this.state };
	}

	load(state: PicChipState): void {
		this.state = { ...state };
		this.updateInt();
	}

	private get levelTriggered(): number {
		return this.state.allLevel ? 0xff : this.state.elcr;
	}

	private irr(): number {
		const { lines, edges } = this.state;
		const level = this.levelTriggered;
		return (lines & level) | (edges & ~level);
	}

	/** The bit of highest priority in `set`, or -1. */
	private first(set: number): number {
		for (let i = 1; i <= 8; i++) {
			const input = (this.state.lowest + i) & 7;
			if (set & (1 << input)) return input;
		}
		return -1;
	}

	/** 0 for the input of highest priority, 7 for the lowest. */
	private rank(input: number): number {
		return (input - this.state.lowest - 1) & 7;
	}

	/** The request that deserves service now, or -1. */
	private pending(): number {
		const { state } = this;
		const input = this.first(this.irr() & ~state.imr);
		// Special mask mode: a masked level in service blocks nothing.
		const served = this.first(state.specialMask ? state.isr & ~state.imr : state.isr);
		if (input < 0 || served < 0) return input;
		// Special fully nested mode: a slave may interrupt its own service with a higher request.
		if (input === served) return state.specialFullyNested && this.master && state.cascade & (1 << input) ? input : -1;
		return this.rank(input) < this.rank(served) ? input : -1;
	}

	private serve(input: number): void {
		const { state } = this;
		const bit = 1 << input;
		state.edges &= ~bit;
		if (!state.autoEoi) state.isr |= bit;
		else if (state.rotateOnAutoEoi) state.lowest = input;
	}

	private initialise(value: number): void {
		const { lines, elcr } = this.state;
		// The edge sense circuit starts over: inputs that are high must fall and rise again.
		this.state = {
			...picChipPowerOn(),
			lines,
			elcr,
			nextIcw: 2,
			needIcw4: (value & ICW1_NEED_ICW4) !== 0,
			single: (value & ICW1_SINGLE) !== 0,
			allLevel: (value & ICW1_LEVEL) !== 0,
		};
	}

	private writeData(value: number): void {
		const { state } = this;
		switch (state.nextIcw) {
			case 2:
				state.vectorBase = value & 0xf8;
				state.nextIcw = state.single ? (state.needIcw4 ? 4 : 0) : 3;
				break;
			case 3:
				state.cascade = value;
				state.nextIcw = state.needIcw4 ? 4 : 0;
				break;
			case 4:
				state.autoEoi = (value & ICW4_AUTO_EOI) !== 0;
				state.specialFullyNested = (value & ICW4_SPECIAL_FULLY_NESTED) !== 0;
				state.nextIcw = 0;
				break;
			default:
				state.imr = value;
				break;
		}
	}

	/** Bits 7:5 rotate, specific, end of interrupt. */
	private writeOcw2(value: number): void {
		const { state } = this;
		const level = value & 7;
		switch (value >> 5) {
			case 0:
				state.rotateOnAutoEoi = false;
				break;
			case 1:
				this.endOfInterrupt(this.inService(), false);
				break;
			case 3:
				this.endOfInterrupt(level, false);
				break;
			case 4:
				state.rotateOnAutoEoi = true;
				break;
			case 5:
				this.endOfInterrupt(this.inService(), true);
				break;
			case 6:
				state.lowest = level;
				break;
			case 7:
				this.endOfInterrupt(level, true);
				break;
			default:
				break;
		}
	}

	/** What a non-specific end of interrupt ends: in special mask mode not a masked level. */
	private inService(): number {
		const { isr, imr, specialMask } = this.state;
		return this.first(specialMask ? isr & ~imr : isr);
	}

	private endOfInterrupt(input: number, rotate: boolean): void {
		if (input < 0) return;
		this.state.isr &= ~(1 << input);
		if (rotate) this.state.lowest = input;
	}

	private writeOcw3(value: number): void {
		const { state } = this;
		if (value & OCW3_SET_SPECIAL_MASK) state.specialMask = (value & OCW3_SPECIAL_MASK) !== 0;
		if (value & OCW3_POLL) state.poll = true;
		else if (value & OCW3_SELECT) state.readIsr = (value & OCW3_SELECT_ISR) !== 0;
	}

	private updateInt(): void {
		this.output.set(this.requesting);
	}
}
