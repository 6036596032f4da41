import { EXTINT, FIXED, INIT, NMI, SMI } from "./lapic-bus.ts";
import type { TimerMode } from "./lapic-timer.ts";

/** Numbers of the entries, from register 0x32: timer, thermal, performance, LINT0, LINT1, error. */
export const LVT_TIMER = 0;
export const LVT_LINT0 = 3;
export const LVT_LINT1 = 4;
export const LVT_ERROR = 5;
/** Bits of each entry that software may set. */
const WRITABLE = [0x700ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff] as const;

const MODE = 7 << 8;
const REMOTE_IRR = 1 << 14;
const LEVEL = 1 << 15;
const MASKED = 1 << 16;
const TIMER_MODE = 3 << 17;
const PERIODIC = 1 << 17;
const DEADLINE = 2 << 17;
const EXTERNAL = EXTINT << 8;

type Pin = typeof LVT_LINT0 | typeof LVT_LINT1;

/** What a local source does to its APIC and processor. */
export interface LocalEffects {
	accept(vector: number, level: boolean): void;
	smi(): void;
	nmi(): void;
	init(): void;
}

export interface LocalVectorState {
	/** The six entries. */
	lvt: number[];
	lint0: boolean;
	lint1: boolean;
}

/** The local vector table (SDM 3A 11.5.1) and the pins LINT0 and LINT1. */
export class LocalVectors {
	private readonly effects: LocalEffects;
	private readonly bootstrap: boolean;
	private state: LocalVectorState = { lvt: [], lint0: false, lint1: false };

	/** @param bootstrap LINT0 lets the 8259's interrupts pass after reset */
	constructor(effects: LocalEffects, bootstrap: boolean) {
		this.effects = effects;
		this.bootstrap = bootstrap;
		this.reset();
	}

	read(entry: number): number {
		return this.state.lvt[entry] ?? MASKED;
	}

	/** @param enabled bit 8 of SVR: without it every entry stays masked */
	write(entry: number, value: number, enabled: boolean): void {
		const kept = value & LEVEL ? this.read(entry) & REMOTE_IRR : 0;
		this.state.lvt[entry] = (value & (WRITABLE[entry] ?? 0)) | kept | (enabled ? 0 : MASKED);
		if ((entry === LVT_LINT0 || entry === LVT_LINT1) && value & LEVEL && this.high(entry)) this.pinStrikes(entry);
	}

	maskAll(): void {
		this.state.lvt = this.state.lvt.map((entry) => entry | MASKED);
	}

	/** Whether LINT0 passes the 8259's interrupts. */
	get passesExternal(): boolean {
		return (this.read(LVT_LINT0) & (MASKED | MODE)) === EXTERNAL;
	}

	get timer(): { mode: TimerMode; masked: boolean } {
		const entry = this.read(LVT_TIMER);
		const bits = entry & TIMER_MODE;
		// The fourth mode is reserved: it never expires twice.
		const mode = bits === DEADLINE ? "deadline" : bits === PERIODIC ? "periodic" : "one-shot";
		return { mode, masked: (entry & MASKED) !== 0 };
	}

	/** One of the sources has something to say. */
	strike(entry: number): void {
		const value = this.read(entry);
		if (value & MASKED) return;
		const mode = entry === LVT_TIMER || entry === LVT_ERROR ? FIXED : (value & MODE) >> 8;
		switch (mode) {
			case FIXED:
				this.effects.accept(value & 0xff, false);
				break;
			case SMI:
				this.effects.smi();
				break;
			case NMI:
				this.effects.nmi();
				break;
			case INIT:
				this.effects.init();
				break;
			default:
				// ExtINT is looked at when the processor asks.
				break;
		}
	}

	/** A pin moves. @param enabled the global switch: without APIC the pins are INTR and NMI */
	setPin(pin: Pin, high: boolean, enabled: boolean): void {
		const rises = high && !this.high(pin);
		if (pin === LVT_LINT0) this.state.lint0 = high;
		else this.state.lint1 = high;
		if (!rises) return;
		if (enabled) this.pinStrikes(pin);
		else if (pin === LVT_LINT1) this.effects.nmi();
	}

	/** A level-triggered interrupt has been served: a pin that gave it may give it again. */
	served(vector: number): void {
		for (const pin of [LVT_LINT0, LVT_LINT1] as const) {
			const entry = this.read(pin);
			if ((entry & REMOTE_IRR) === 0 || (entry & 0xff) !== vector) continue;
			this.state.lvt[pin] = entry & ~REMOTE_IRR;
			if (this.high(pin)) this.pinStrikes(pin);
		}
	}

	/** Power-on state; the levels on the pins stay, as they belong to others. */
	reset(): void {
		const { lint0, lint1 } = this.state;
		const lvt = new Array<number>(WRITABLE.length).fill(MASKED);
		if (this.bootstrap) lvt[LVT_LINT0] = EXTERNAL;
		this.state = { lvt, lint0, lint1 };
	}

	save(): LocalVectorState {
		return { ...this.state, lvt: [...this.state.lvt] };
	}

	load(state: LocalVectorState): void {
		this.state = { lvt: [...state.lvt], lint0: state.lint0, lint1: state.lint1 };
	}

	private high(pin: Pin): boolean {
		return pin === LVT_LINT0 ? this.state.lint0 : this.state.lint1;
	}

	/** A high pin: each rise in edge mode, in level mode whenever its last interrupt has been served. */
	private pinStrikes(pin: Pin): void {
		const entry = this.read(pin);
		if ((entry & LEVEL) === 0 || (entry & MODE) >> 8 !== FIXED) this.strike(pin);
		else if ((entry & (MASKED | REMOTE_IRR)) === 0) {
			this.state.lvt[pin] = entry | REMOTE_IRR;
			this.effects.accept(entry & 0xff, true);
		}
	}
}
