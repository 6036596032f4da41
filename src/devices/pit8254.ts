import type { AccessSize, Alarm, Clock, Device, IrqLine } from "../bus/device.ts";
import { Frequency } from "../bus/frequency.ts";
import { type CounterState, PitCounter } from "./pit8254-counter.ts";

/** A third of the NTSC colour subcarrier's quadruple: 14.318184 MHz / 12. */
export const PIT_HERTZ = 1_193_182;

const CONTROL = 3;
const READ_BACK = 3;
const READ_BACK_NO_COUNT = 1 << 5;
const READ_BACK_NO_STATUS = 1 << 4;

export interface PitState {
	counters: CounterState[];
}

/**
 * The 8254 interval timer: counters 0 (interrupt 0), 1 (once DRAM refresh, no output here) and 2 (speaker; gate and output at port
 * 0x61). Offsets 0..3 as at ports 0x40..0x43. After reset no counter counts and OUT of all is low, as before a count in mode 0: the
 * datasheet leaves it undefined.
 */
export class Pit8254 implements Device<PitState> {
	readonly name = "pit8254";
	readonly sizes: readonly AccessSize[] = [1];
	private readonly clock: Clock;
	private readonly irq: IrqLine;
	private readonly edge: Alarm;
	/** The tick that the alarm is set to. */
	private edgeTick = 0;
	private readonly crystal = new Frequency(PIT_HERTZ);
	private readonly counters = [new PitCounter(true), new PitCounter(true), new PitCounter(false)] as const;

	/** @param parts `irq` follows OUT of counter 0 */
	constructor(parts: { clock: Clock; irq: IrqLine }) {
		this.clock = parts.clock;
		this.irq = parts.irq;
		this.edge = parts.clock.alarm(() => this.edgeDue());
	}

	/** The level of a counter's OUT. */
	out(counter: 0 | 1 | 2): boolean {
		return this.counters[counter].out(this.now());
	}

	/** Counter 2 as port 0x61 sees it. */
	readonly speaker = {
		setGate: (high: boolean): void => this.counters[2].setGate(high, this.now()),
		out: (): boolean => this.out(2),
	};

	read(offset: number): number {
		const counter = this.counters[offset];
		return counter === undefined ? 0xff : counter.read(this.now());
	}

	write(offset: number, _size: AccessSize, value: number): void {
		const byte = value & 0xff;
		if (offset === CONTROL) this.writeControl(byte);
		else this.counters[offset]?.write(byte, this.now());
		if (offset === 0 || offset === CONTROL) this.updateIrq();
	}

	reset(): void {
		for (const counter of this.counters) counter.reset();
		this.updateIrq();
	}

	save(): PitState {
		return { counters: this.counters.map((counter) => counter.save()) };
	}

	load(state: PitState): void {
		for (const [i, counter] of state.counters.entries()) this.counters[i]?.load(counter);
		this.updateIrq();
	}

	private now(): number {
		return this.crystal.ticks(this.clock.now());
	}

	private writeControl(value: number): void {
		const select = value >> 6;
		const now = this.now();
		if (select !== READ_BACK) {
			this.counters[select]?.writeControl(value & 0x3f, now);
			return;
		}
		for (const [i, counter] of this.counters.entries()) {
			if ((value & (2 << i)) === 0) continue;
			if ((value & READ_BACK_NO_COUNT) === 0) counter.latchCount(now);
			if ((value & READ_BACK_NO_STATUS) === 0) counter.latchStatus(now);
		}
	}

	/** At the tick of a change, or later when time has jumped: then a missed edge is still given, once. */
	private edgeDue(): void {
		this.irq.set(this.counters[0].out(this.edgeTick));
		this.updateIrq();
	}

	private updateIrq(): void {
		const now = this.now();
		this.irq.set(this.counters[0].out(now));
		const next = this.counters[0].nextChange(now);
		if (next === undefined) this.edge.cancel();
		else {
			this.edgeTick = next;
			this.edge.at(this.crystal.time(next));
		}
	}
}
