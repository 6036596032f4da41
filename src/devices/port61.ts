import type { AccessSize, Clock, Device, IrqLine } from "../bus/device.ts";

/** Counter 2 of the 8254, as this port sees it. */
export interface SpeakerCounter {
	setGate(high: boolean): void;
	/** The level of OUT now. */
	out(): boolean;
}

const GATE2 = 1 << 0;
const SPEAKER = 1 << 1;
const REFRESH = 1 << 4;
const OUT2 = 1 << 5;
/** Counter 2 gate, speaker data, and the two NMI source disables, which are storage here: nothing raises them. */
const WRITABLE = 0x0f;
/** Bit 4 changes each time DRAM is refreshed: every 18 ticks of 1.193182 MHz. */
const REFRESH_NS = 15_085;

export interface Port61State {
	value: number;
}

/** NMI status and control, also known as system control port B (port 0x61, 82371AB 4.2.3). */
export class Port61 implements Device<Port61State> {
	readonly name = "port61";
	readonly sizes: readonly AccessSize[] = [1];
	private readonly counter: SpeakerCounter;
	private readonly clock: Clock;
	private readonly speaker: IrqLine | undefined;
	private state: Port61State = { value: 0 };

	/** @param parts `speaker` is told when bit 1 lets counter 2 reach the speaker */
	constructor(parts: { counter: SpeakerCounter; clock: Clock; speaker?: IrqLine }) {
		this.counter = parts.counter;
		this.clock = parts.clock;
		this.speaker = parts.speaker;
	}

	read(offset: number): number {
		if (offset !== 0) return 0xff;
		const refresh = Math.floor(this.clock.now() / REFRESH_NS) & 1 ? REFRESH : 0;
		return this.state.value | refresh | (this.counter.out() ? OUT2 : 0);
	}

	write(offset: number, _size: AccessSize, value: number): void {
		if (offset !== 0) return;
		this.load({ value: value & WRITABLE });
	}

	reset(): void {
		this.load({ value: 0 });
	}

	save(): Port61State {
		return { ...this.state };
	}

	load(state: Port61State): void {
		this.state = { ...state };
		this.counter.setGate((state.value & GATE2) !== 0);
		this.speaker?.set((state.value & SPEAKER) !== 0);
	}
}
