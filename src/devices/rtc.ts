import { assert } from "../base/errors.ts";
import type { AccessSize, Alarm, Clock, Device, IrqLine } from "../bus/device.ts";
import { Frequency } from "../bus/frequency.ts";
import {
	nextAlarm,
	RTC_24_HOURS,
	RTC_CENTURY,
	RTC_WEEKDAY,
	secondsOf,
	timeRegister,
	weekdayOf,
} from "./rtc-calendar.ts";

const SECONDS_ALARM = 0x01;
const MINUTES_ALARM = 0x03;
const HOURS_ALARM = 0x05;
const REGISTER_A = 0x0a;
const REGISTER_B = 0x0b;
const REGISTER_C = 0x0c;
const REGISTER_D = 0x0d;
/** Another place for the century, of the PS/2; the same byte here. */
const PS2_CENTURY = 0x37;
const CMOS_BYTES = 128;
/** Below: time and control. */
const FIRST_FREE = 0x0e;

const A_UPDATING = 1 << 7;
const A_DIVIDER = 0x70;
/** Divider values above this hold the divider chain in reset. */
const A_DIVIDER_RUNS = 0x20;
const A_RATE = 0x0f;

const B_SET = 1 << 7;
const B_UPDATE = 1 << 4;
const B_SQUARE_WAVE = 1 << 3;
/** Enables in register B are at the places of the flags in register C. */
const PERIODIC = 1 << 6;
const ALARM = 1 << 5;
const UPDATE = 1 << 4;
const INTERRUPTS = PERIODIC | ALARM | UPDATE;
const C_REQUEST = 1 << 7;

const D_VALID = 1 << 7;

const SECOND = 1_000_000_000;
/** UIP is set for tBUC before an update and tUC during it (MC146818A, "update cycle", 32.768 kHz). */
const UPDATING_NS = 244_000 + 1_984_000;
/** After the divider's reset ends, the first update comes half a second later. */
const FIRST_UPDATE_NS = SECOND / 2;

export interface RtcState {
	index: number;
	/** Bit 7 of the index port: NMI is off. */
	nmiOff: boolean;
	/** All 128 bytes; those of the time count only while it stands still. */
	cmos: number[];
	/** The time at guest nanosecond `boundary`, in seconds since 1970 UTC. */
	seconds: number;
	/** A moment at which a second begins; the divider chain's phase. */
	boundary: number;
	/** What the weekday register is ahead of the calendar, 0..6: software may count otherwise. */
	weekdayShift: number;
	/** Flags are complete up to this guest nanosecond. */
	collected: number;
}

/**
 * The MC146818A real-time clock and its 128 bytes of battery-backed memory. Offset 0 is the index (port 0x70, bit 7 the NMI
 * mask), 1 the data (0x71). Time runs with the guest clock from the given date. {@link reset} is the chip's RESET
 * pin: time and memory stay.
 */
export class Rtc implements Device<RtcState> {
	readonly name = "rtc";
	readonly sizes: readonly AccessSize[] = [1];
	private readonly clock: Clock;
	private readonly irq: IrqLine;
	private readonly due: Alarm;
	private readonly crystal = new Frequency(32_768);
	private state: RtcState;

	/** @param parts `startUtcMs`: the date at guest time 0, in milliseconds since 1970 UTC */
	constructor(parts: { clock: Clock; irq: IrqLine; startUtcMs: number }) {
		this.clock = parts.clock;
		this.irq = parts.irq;
		this.due = parts.clock.alarm(() => this.updateIrq());
		const cmos = new Array<number>(CMOS_BYTES).fill(0);
		cmos[REGISTER_A] = 0x26;
		cmos[REGISTER_B] = RTC_24_HOURS;
		const seconds = Math.floor(parts.startUtcMs / 1000);
		this.state = {
			index: 0,
			nmiOff: false,
			cmos,
			seconds,
			boundary: Math.round((seconds * 1000 - parts.startUtcMs) * 1_000_000),
			weekdayShift: 0,
			collected: this.clock.now(),
		};
		this.freeze();
	}

	/** Whether the guest has switched NMI off at port 0x70. */
	get nmiOff(): boolean {
		return this.state.nmiOff;
	}

	/** Fills a byte of the memory, as the board does before firmware runs. @param index 0x0E..0x7F, not the century's */
	setCmos(index: number, value: number): void {
		assert(index >= FIRST_FREE && index < CMOS_BYTES && index !== RTC_CENTURY, `CMOS byte ${index} is not memory`);
		this.state.cmos[index] = value & 0xff;
	}

	/** A byte of the memory, without side effects. */
	cmos(index: number): number {
		return this.state.cmos[index] ?? 0xff;
	}

	read(offset: number): number {
		return offset === 1 ? this.readRegister(this.state.index) : 0xff;
	}

	write(offset: number, _size: AccessSize, value: number): void {
		if (offset === 0) {
			const index = value & 0x7f;
			this.state.index = index === PS2_CENTURY ? RTC_CENTURY : index;
			this.state.nmiOff = (value & 0x80) !== 0;
		} else if (offset === 1) this.writeRegister(this.state.index, value & 0xff);
	}

	reset(): void {
		this.collect();
		const { cmos } = this.state;
		cmos[REGISTER_B] = this.format & ~(INTERRUPTS | B_SQUARE_WAVE);
		cmos[REGISTER_C] = 0;
		this.updateIrq();
	}

	save(): RtcState {
		this.collect();
		return { ...this.state, cmos: [...this.state.cmos] };
	}

	load(state: RtcState): void {
		this.state = { ...state, cmos: [...state.cmos] };
		this.updateIrq();
	}

	/** Register B, which says how the others are to be read. */
	private get format(): number {
		return this.cmos(REGISTER_B);
	}

	private get dividerRuns(): boolean {
		return (this.cmos(REGISTER_A) & A_DIVIDER) <= A_DIVIDER_RUNS;
	}

	/** Whether updates happen. */
	private get running(): boolean {
		return this.dividerRuns && (this.format & B_SET) === 0;
	}

	/** Ticks of the 32.768 kHz crystal between periodic interrupts; 0 when there are none. */
	private get period(): number {
		const rate = this.cmos(REGISTER_A) & A_RATE;
		if (rate === 0 || !this.dividerRuns) return 0;
		return rate <= 2 ? 1 << (rate + 6) : 1 << (rate - 1);
	}

	/** Seconds since the phase's boundary, rounded down. */
	private secondsSince(now: number): number {
		return Math.floor((now - this.state.boundary) / SECOND);
	}

	private calendar(now: number): number {
		return this.state.seconds + this.secondsSince(now);
	}

	private readRegister(index: number): number {
		const { state } = this;
		switch (index) {
			case REGISTER_A: {
				const into = this.clock.now() - state.boundary - this.secondsSince(this.clock.now()) * SECOND;
				const updating = this.running && into >= SECOND - UPDATING_NS;
				return this.cmos(REGISTER_A) | (updating ? A_UPDATING : 0);
			}
			case REGISTER_C: {
				this.collect();
				const value = this.cmos(REGISTER_C);
				state.cmos[REGISTER_C] = 0;
				this.updateIrq();
				return value;
			}
			case REGISTER_D:
				return D_VALID;
			default:
				return (this.running ? this.timeNow(index) : undefined) ?? this.cmos(index);
		}
	}

	private writeRegister(index: number, value: number): void {
		const { state } = this;
		this.collect();
		switch (index) {
			case REGISTER_A:
				this.writeControl(() => {
					state.cmos[REGISTER_A] = value & ~A_UPDATING;
				});
				break;
			case REGISTER_B:
				this.writeControl(() => {
					state.cmos[REGISTER_B] = value & B_SET ? value & ~B_UPDATE : value;
				});
				break;
			case REGISTER_C:
			case REGISTER_D:
				break;
			default:
				if (this.running && this.timeNow(index) !== undefined) {
					this.freeze();
					state.cmos[index] = value;
					this.thaw();
				} else state.cmos[index] = value;
				break;
		}
		this.updateIrq();
	}

	/** Changes register A or B and stops or starts the time as they then say. */
	private writeControl(change: () => void): void {
		const { state } = this;
		const wasRunning = this.running;
		const dividerRan = this.dividerRuns;
		if (wasRunning) this.freeze();
		change();
		if (this.dividerRuns && !dividerRan) {
			state.boundary = this.clock.now() + FIRST_UPDATE_NS - SECOND;
			state.collected = this.clock.now();
		}
		if (this.running && !wasRunning) this.thaw();
	}

	/** A register of the running time, or undefined when `index` is none. */
	private timeNow(index: number): number | undefined {
		const { weekdayShift } = this.state;
		const value = timeRegister(index, this.calendar(this.clock.now()), this.format);
		return index === RTC_WEEKDAY && value !== undefined ? ((value - 1 + weekdayShift) % 7) + 1 : value;
	}

	/** Puts the running time into the registers. */
	private freeze(): void {
		for (let index = 0; index < FIRST_FREE; index++) {
			const value = this.timeNow(index);
			if (value !== undefined) this.state.cmos[index] = value;
		}
		this.state.cmos[RTC_CENTURY] = this.timeNow(RTC_CENTURY) ?? 0;
	}

	/** Runs on from the time in the registers; the phase within the second stays. */
	private thaw(): void {
		const { state } = this;
		state.boundary += this.secondsSince(this.clock.now()) * SECOND;
		state.seconds = secondsOf((index) => this.cmos(index), this.format);
		state.weekdayShift = (((this.cmos(RTC_WEEKDAY) - 1 - weekdayOf(state.seconds)) % 7) + 7) % 7;
	}

	/** Guest time of the first alarm after `from`. */
	private alarmAfter(from: number): number | undefined {
		const { seconds, boundary } = this.state;
		const alarm = {
			seconds: this.cmos(SECONDS_ALARM),
			minutes: this.cmos(MINUTES_ALARM),
			hours: this.cmos(HOURS_ALARM),
		};
		const at = nextAlarm(this.calendar(from), alarm, this.format);
		return at === undefined ? undefined : boundary + (at - seconds) * SECOND;
	}

	/** Guest time of the first periodic interrupt after `from`. */
	private periodicAfter(from: number): number | undefined {
		const { period } = this;
		if (period === 0) return undefined;
		const { boundary } = this.state;
		const count = Math.floor(this.crystal.ticks(from - boundary) / period) + 1;
		return boundary + this.crystal.time(count * period);
	}

	private updateAfter(from: number): number {
		return this.state.boundary + (this.secondsSince(from) + 1) * SECOND;
	}

	/** Sets the flags of what has happened since they were last complete, whether enabled or not. */
	private collect(): void {
		const { state } = this;
		const now = this.clock.now();
		const from = state.collected;
		state.collected = now;
		let flags = 0;
		if ((this.periodicAfter(from) ?? Number.POSITIVE_INFINITY) <= now) flags |= PERIODIC;
		if (this.running) {
			if (this.updateAfter(from) <= now) flags |= UPDATE;
			if ((this.alarmAfter(from) ?? Number.POSITIVE_INFINITY) <= now) flags |= ALARM;
		}
		state.cmos[REGISTER_C] = this.cmos(REGISTER_C) | flags;
	}

	/** The line is high from an enabled flag until register C is read; until then nothing more can be seen of it. */
	private updateIrq(): void {
		this.collect();
		const { state } = this;
		const request = (this.cmos(REGISTER_C) & this.format & INTERRUPTS) !== 0;
		state.cmos[REGISTER_C] = (this.cmos(REGISTER_C) & ~C_REQUEST) | (request ? C_REQUEST : 0);
		this.irq.set(request);
		const enabled = this.format;
		const next = Math.min(
			enabled & PERIODIC ? (this.periodicAfter(state.collected) ?? Number.POSITIVE_INFINITY) : Number.POSITIVE_INFINITY,
			this.running && enabled & UPDATE ? this.updateAfter(state.collected) : Number.POSITIVE_INFINITY,
			this.running && enabled & ALARM
				? (this.alarmAfter(state.collected) ?? Number.POSITIVE_INFINITY)
				: Number.POSITIVE_INFINITY,
		);
		if (request || next === Number.POSITIVE_INFINITY) this.due.cancel();
		else this.due.at(next);
	}
}
