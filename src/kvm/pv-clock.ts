import { MSR } from "../vcpu/msr.ts";
import type { Processor } from "../vcpu/processor.ts";
import { readMsr } from "./vcpu-msrs.ts";

/** KVM's paravirtual clock registers: the old numbers and the new ones mean the same (Linux virt/kvm/x86/msr). */
const WALL_CLOCK: readonly number[] = [0x4b56_4d00, 0x11];
const SYSTEM_TIME: readonly number[] = [0x4b56_4d01, 0x12];
const ENABLED = 1n;
/** Nanoseconds per tick as a 32-bit fraction and a shift: one tick of the time-stamp counter is one nanosecond. */
const SCALE = { multiplier: 0x8000_0000, shift: 1 } as const;

/** Stores bytes into guest memory on the hypervisor's account; where there is no RAM, nothing happens. */
export type Store = (gpa: bigint, bytes: Uint8Array) => void;

/** The clock pages that a vCPU's guest asks for: wall clock at once, system time at the next run. */
export class PvClock {
	private readonly values = new Map<number, bigint>();
	private version = 0;
	/** Guest-physical address of the page to write at the next run. */
	private due: bigint | undefined;

	/** Whether {@link refresh} has something to do. */
	get isDue(): boolean {
		return this.due !== undefined;
	}

	/** The register's value; undefined where it is none of these. */
	read(index: number): bigint | undefined {
		return WALL_CLOCK.includes(index) || SYSTEM_TIME.includes(index) ? (this.values.get(index) ?? 0n) : undefined;
	}

	/** @returns whether the register is one of these. */
	write(index: number, value: bigint, store: Store): boolean {
		if (WALL_CLOCK.includes(index)) storeWallClock(value, store);
		else if (SYSTEM_TIME.includes(index)) this.due = value & ENABLED ? value & ~ENABLED : undefined;
		else return false;
		this.values.set(index, value);
		return true;
	}

	/** Writes the page of struct pvclock_vcpu_time_info that is due. */
	refresh(processor: Processor, store: Store): void {
		if (this.due === undefined) return;
		const bytes = new Uint8Array(32);
		const view = new DataView(bytes.buffer);
		this.version += 2;
		const ticks = readMsr(processor, MSR.tsc) ?? 0n;
		view.setUint32(0, this.version, true);
		view.setBigUint64(8, ticks, true);
		view.setBigUint64(16, ticks, true);
		view.setUint32(24, SCALE.multiplier, true);
		view.setInt8(28, SCALE.shift);
		store(this.due, bytes);
		this.due = undefined;
	}
}

/** struct pvclock_wall_clock: u32 version, seconds and nanoseconds since 1970. */
function storeWallClock(gpa: bigint, store: Store): void {
	const bytes = new Uint8Array(12);
	const view = new DataView(bytes.buffer);
	const now = Date.now();
	view.setUint32(0, 2, true);
	view.setUint32(4, Math.floor(now / 1000), true);
	view.setUint32(8, (now % 1000) * 1_000_000, true);
	store(gpa, bytes);
}
