import type { Alarm, Clock, PowerControl } from "../../bus/device.ts";
import { PmTimer } from "./pm-timer.ts";

export const TMR_STS = 1 << 0;
export const GBL_STS = 1 << 5;
export const PWRBTN_STS = 1 << 8;
export const RTC_STS = 1 << 10;
/** Events that raise the system control interrupt when enabled (ACPI 4.8.3.1). */
const EVENTS = TMR_STS | GBL_STS | PWRBTN_STS | RTC_STS;

const SCI_EN = 1 << 0;
const SLP_TYP_SHIFT = 10;
const SLP_TYP_MASK = 7;
const SLP_EN = 1 << 13;

export interface Pm1State {
	readonly status: number;
	readonly enable: number;
	readonly control: number;
	/** Timer count from which TMR_STS reads 1. */
	readonly carryAt: number;
}

/**
 * The ACPI fixed hardware (ACPI 4.8.3): PM1 status, enable and control, and the timer whose carry is one of the events.
 * There is no system management mode, so the machine is in ACPI mode from the start: SCI_EN is set after reset.
 */
export class Pm1 {
	readonly timer: PmTimer;
	private readonly power: PowerControl;
	/** SLP_TYP values that switch the machine off; other sleep requests are ignored. */
	private readonly offTypes: readonly number[];
	private readonly changed: () => void;
	private readonly carry: Alarm;
	private latched = 0;
	private enabled = 0;
	private control = SCI_EN;
	/** 0 after reset: TMR_STS reads 1 until it is first cleared. */
	private carryAt = 0;

	/** `changed` is called whenever {@link pending} or {@link sciEnabled} may have changed. */
	constructor(clock: Clock, power: PowerControl, offTypes: readonly number[], changed: () => void) {
		this.timer = new PmTimer(clock);
		this.power = power;
		this.offTypes = offTypes;
		this.changed = changed;
		this.carry = clock.alarm(() => this.update());
	}

	/** Has an event that is enabled happened? */
	get pending(): boolean {
		return (this.status & this.enabled & EVENTS) !== 0;
	}

	/** Do events interrupt? Otherwise they would ask for system management mode. */
	get sciEnabled(): boolean {
		return (this.control & SCI_EN) !== 0;
	}

	get status(): number {
		return this.latched | (this.timer.counts >= this.carryAt ? TMR_STS : 0);
	}

	/** Written ones clear. */
	clearStatus(bits: number): void {
		if (this.status & bits & TMR_STS) this.carryAt = this.timer.nextCarry;
		this.latched &= ~bits;
		this.update();
	}

	get enable(): number {
		return this.enabled;
	}

	set enable(value: number) {
		this.enabled = value & 0xffff;
		this.update();
	}

	/** SLP_EN is write-only. */
	get controlRegister(): number {
		return this.control;
	}

	set controlRegister(value: number) {
		this.control = value & 0xffff & ~SLP_EN;
		this.update();
		if (value & SLP_EN && this.offTypes.includes((value >> SLP_TYP_SHIFT) & SLP_TYP_MASK)) this.power.powerOff();
	}

	/** Somebody pressed the power button. */
	pressPowerButton(): void {
		this.latched |= PWRBTN_STS;
		this.update();
	}

	reset(): void {
		this.latched = 0;
		this.enabled = 0;
		this.control = SCI_EN;
		this.carryAt = 0;
		this.update();
	}

	save(): Pm1State {
		return { status: this.latched, enable: this.enabled, control: this.control, carryAt: this.carryAt };
	}

	load(state: Pm1State): void {
		this.latched = state.status;
		this.enabled = state.enable;
		this.control = state.control;
		this.carryAt = state.carryAt;
		this.update();
	}

	/** The carry needs an alarm only while it would interrupt. */
	private update(): void {
		if (this.enabled & TMR_STS && this.timer.counts < this.carryAt) this.carry.at(this.timer.deadline(this.carryAt));
		else this.carry.cancel();
		this.changed();
	}
}
