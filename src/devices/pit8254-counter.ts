/** One counter of the 8254. All times are ticks of its clock: 1.193182 MHz. */

/** Read/write selection, bits 5:4 of the control word. */
const RW_LOW = 1;
const RW_HIGH = 2;
const RW_BOTH = 3;

const CONTROL_BCD = 1 << 0;
const STATUS_OUT = 1 << 7;
const STATUS_NULL = 1 << 6;

export interface CounterState {
	/** Bits 5:0 of the last control word. */
	control: number;
	gate: boolean;
	/** The count register: the count loaded next, 1..65536 (1..10000 in BCD). */
	reload: number;
	/** First byte of a two-byte count. */
	lowByte: number;
	highNext: boolean;
	readHighNext: boolean;
	/** A count has been written since the control word. */
	programmed: boolean;
	/** The written count is not in the counting element yet (NULL COUNT). */
	nullCount: boolean;
	/** The tick at which the count register goes into the counting element, or null. */
	loadAt: number | null;
	/** Mode 3: the count loaded then begins a low half. */
	loadLow: boolean;
	/** What the counting element was loaded with; its period. */
	loaded: number;
	/** Ticks counted from `loaded` until `since`. */
	elapsed: number;
	/** The tick from which it has been counting, or null while it stands still. */
	since: number | null;
	/** Modes 1 and 5: a trigger started this count. Modes 0 and 4: a count was loaded. */
	started: boolean;
	/** Latched count and how many of its bytes are unread; null when not latched. */
	latch: { value: number; bytes: number } | null;
	latchedStatus: number | null;
}

export function counterPowerOn(gate: boolean): CounterState {
	return {
		control: RW_BOTH << 4,
		gate,
		reload: 0x10000,
		lowByte: 0,
		highNext: false,
		readHighNext: false,
		programmed: false,
		nullCount: true,
		loadAt: null,
		loadLow: false,
		loaded: 0x10000,
		elapsed: 0,
		since: null,
		started: false,
		latch: null,
		latchedStatus: null,
	};
}

function fromBcd(value: number): number {
	return (value >> 12) * 1000 + ((value >> 8) & 15) * 100 + ((value >> 4) & 15) * 10 + (value & 15);
}

function toBcd(value: number): number {
	return (
		(Math.floor(value / 1000) % 10) * 0x1000 +
		(Math.floor(value / 100) % 10) * 0x100 +
		(Math.floor(value / 10) % 10) * 0x10 +
		(value % 10)
	);
}

/**
 * A counter of Intel's 8254: six modes, gate, latches. It does no work between accesses: OUT and the count follow from when the
 * counting element was loaded, so every method takes the current tick, which never goes back.
 */
export class PitCounter {
	private state: CounterState;
	private readonly initialGate: boolean;

	/** @param gate level of GATE at power-on */
	constructor(gate: boolean) {
		this.initialGate = gate;
		this.state = counterPowerOn(gate);
	}

	/** The level of OUT. */
	out(now: number): boolean {
		this.settle(now);
		const { state, mode } = this;
		const elapsed = this.elapsedAt(now);
		switch (mode) {
			case 0:
				return state.started && elapsed >= state.loaded;
			case 1:
				return !state.started || elapsed >= state.loaded;
			case 2:
				return !this.cycling || elapsed % state.loaded !== state.loaded - 1;
			case 3:
				return !this.cycling || elapsed % state.loaded < highHalf(state.loaded);
			default:
				return !state.started || elapsed !== state.loaded;
		}
	}

	/** The first tick after `now` at which OUT may change, or undefined if nothing but an access can change it. */
	nextChange(now: number): number | undefined {
		this.settle(now);
		const { state, mode } = this;
		// Loading may change OUT, and changes come of it.
		if (state.loadAt !== null) {
			const before = this.changeInCount(now, mode);
			return before === undefined ? state.loadAt : Math.min(before, state.loadAt);
		}
		return this.changeInCount(now, mode);
	}

	setGate(high: boolean, now: number): void {
		this.settle(now);
		const { state, mode } = this;
		if (high === state.gate) return;
		state.gate = high;
		switch (mode) {
			case 0:
			case 4:
				// Level: counting stands still while GATE is low.
				if (high) {
					if (state.started) state.since = now;
				} else this.stop(now);
				break;
			case 1:
			case 5:
				if (high && state.programmed) this.loadNext(now);
				break;
			default:
				// Low stops the wave with OUT high; a rise starts it from the top.
				if (!high) {
					this.stop(now);
					if (state.started) state.loadAt = null;
				} else if (state.programmed) {
					state.elapsed = 0;
					this.loadNext(now);
				}
				break;
		}
	}

	/** A control word for this counter, bits 5:0; a read/write selection of 0 latches the count. */
	writeControl(value: number, now: number): void {
		this.settle(now);
		if ((value & 0x30) === 0) {
			this.latchCount(now);
			return;
		}
		const { gate, loaded, reload } = this.state;
		const standing = this.elapsedAt(now);
		this.state = { ...counterPowerOn(gate), control: value & 0x3f, loaded, reload, elapsed: standing };
	}

	/** A byte of the count. */
	write(value: number, now: number): void {
		this.settle(now);
		const { state } = this;
		switch (this.access) {
			case RW_LOW:
				this.writeCount(value, now);
				break;
			case RW_HIGH:
				this.writeCount(value << 8, now);
				break;
			default:
				if (state.highNext) {
					state.highNext = false;
					this.writeCount((value << 8) | state.lowByte, now);
				} else {
					state.highNext = true;
					state.lowByte = value;
					if (this.mode === 0) {
						// The first byte stops the old count and takes OUT low.
						this.stop(now);
						state.started = false;
						state.loadAt = null;
					}
				}
				break;
		}
	}

	/** A byte of the latched status, the latched count or the running count. */
	read(now: number): number {
		this.settle(now);
		const { state } = this;
		if (state.latchedStatus !== null) {
			const status = state.latchedStatus;
			state.latchedStatus = null;
			return status;
		}
		const { access } = this;
		if (state.latch !== null) {
			const { value, bytes } = state.latch;
			if (--state.latch.bytes === 0) state.latch = null;
			return access === RW_HIGH || (access === RW_BOTH && bytes === 1) ? value >> 8 : value & 0xff;
		}
		const high = access === RW_HIGH || (access === RW_BOTH && state.readHighNext);
		if (access === RW_BOTH) state.readHighNext = !state.readHighNext;
		return high ? this.count(now) >> 8 : this.count(now) & 0xff;
	}

	/** Holds the count for reading; a second latch before it is read is ignored. */
	latchCount(now: number): void {
		this.settle(now);
		this.state.latch ??= { value: this.count(now), bytes: this.access === RW_BOTH ? 2 : 1 };
	}

	/** Holds the status for reading (8254, "read-back command"). */
	latchStatus(now: number): void {
		const out = this.out(now) ? STATUS_OUT : 0;
		this.state.latchedStatus ??= out | (this.state.nullCount ? STATUS_NULL : 0) | this.state.control;
	}

	reset(): void {
		this.state = counterPowerOn(this.initialGate);
	}

	save(): CounterState {
		const { latch } = this.state;
		return { ...this.state, latch: latch === null ? null : { ...latch } };
	}

	load(state: CounterState): void {
		this.state = { ...state, latch: state.latch === null ? null : { ...state.latch } };
	}

	/** 0..5: bit 2 of modes 2 and 3 is not looked at. */
	private get mode(): number {
		const bits = (this.state.control >> 1) & 7;
		return bits >= 6 ? bits - 4 : bits;
	}

	private get access(): number {
		return this.state.control >> 4;
	}

	private get bcd(): boolean {
		return (this.state.control & CONTROL_BCD) !== 0;
	}

	/** Counts before the counting element wraps. */
	private get modulus(): number {
		return this.bcd ? 10_000 : 0x10000;
	}

	/** Modes 2 and 3: the wave runs; otherwise OUT stays high. */
	private get cycling(): boolean {
		return this.state.started && this.state.gate;
	}

	private elapsedAt(now: number): number {
		const { elapsed, since } = this.state;
		return since === null ? elapsed : elapsed + Math.max(0, now - since);
	}

	private stop(now: number): void {
		this.state.elapsed = this.elapsedAt(now);
		this.state.since = null;
	}

	/** The count register goes into the counting element at the next clock pulse. */
	private loadNext(now: number): void {
		this.state.loadAt = now + 1;
		this.state.loadLow = false;
	}

	private writeCount(value: number, now: number): void {
		const { state, mode } = this;
		const count = this.bcd ? fromBcd(value) : value;
		state.reload = count === 0 ? this.modulus : count;
		state.nullCount = true;
		const first = !state.programmed;
		state.programmed = true;
		switch (mode) {
			case 0:
				this.stop(now);
				state.started = false;
				this.loadNext(now);
				break;
			case 4:
				this.loadNext(now);
				break;
			case 1:
			case 5:
				// Waits for a trigger.
				break;
			default:
				if (first) this.loadNext(now);
				else if (this.cycling) this.loadAfterCycle(now);
				break;
		}
	}

	/** Modes 2 and 3: a new count waits for the end of the period, in mode 3 of the half period. */
	private loadAfterCycle(now: number): void {
		const { state } = this;
		const { loaded } = state;
		const position = this.elapsedAt(now) % loaded;
		const half = highHalf(loaded);
		const inHigh = this.mode === 3 && position < half && half < loaded;
		state.loadAt = now + (inHigh ? half : loaded) - position;
		state.loadLow = inHigh;
	}

	/** Takes the pending load if its tick has come. */
	private settle(now: number): void {
		const { state, mode } = this;
		if (state.loadAt === null || now < state.loadAt) return;
		state.loaded = state.reload;
		state.elapsed = state.loadLow ? highHalf(state.loaded) : 0;
		state.since = state.gate || mode === 1 || mode === 5 ? state.loadAt : null;
		state.started = true;
		state.nullCount = false;
		state.loadAt = null;
		state.loadLow = false;
	}

	/** The counting element as the guest reads it. */
	private count(now: number): number {
		const { loaded } = this.state;
		const elapsed = this.elapsedAt(now);
		const { modulus } = this;
		let value: number;
		if (this.mode === 2) value = loaded - (elapsed % loaded);
		else if (this.mode === 3) {
			const position = elapsed % loaded;
			const half = highHalf(loaded);
			// Counts by two; an odd count is loaded less one (8254, mode 3).
			value = loaded - (loaded & 1) - 2 * (position < half ? position : position - half);
		} else value = loaded - (elapsed % modulus) + modulus;
		const count = value % modulus;
		return this.bcd ? toBcd(count) : count;
	}

	private changeInCount(now: number, mode: number): number | undefined {
		const { state } = this;
		const { loaded, since } = state;
		if (!state.started || since === null) return undefined;
		const elapsed = this.elapsedAt(now);
		const left = loaded - elapsed;
		switch (mode) {
			case 0:
			case 1:
				return left > 0 ? now + left : undefined;
			case 2:
			case 3: {
				if (loaded === 1) return undefined;
				const position = elapsed % loaded;
				const edge = mode === 2 ? loaded - 1 : highHalf(loaded);
				return now + (position < edge ? edge : loaded) - position;
			}
			default:
				return left > 0 ? now + left : left === 0 ? now + 1 : undefined;
		}
	}
}

/** Mode 3: ticks for which OUT is high. */
function highHalf(count: number): number {
	return (count + 1) >> 1;
}
