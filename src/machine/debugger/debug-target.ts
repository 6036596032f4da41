import type { DebugTarget, Resume, Stop, Watchpoint } from "../../debug/gdb/target.ts";
import { physicalPieces } from "../../kvm/physical.ts";
import type { Vcpu } from "../../kvm/vcpu.ts";
import { WATCH_KIND } from "../../vcpu/layout.ts";
import type { Chassis } from "../chassis.ts";
import { currentMemory, formatSlots, formatTree } from "../memory-report.ts";
import type { Requests } from "../requests.ts";
import type { RunControl } from "./run-control.ts";

/** A machine as debuggers have it. */
export class MachineTarget implements DebugTarget {
	readonly vcpu: Vcpu;
	readonly sealed: string | undefined;
	private readonly chassis: Chassis;
	private readonly control: RunControl;
	private readonly requests: Requests;

	constructor(chassis: Chassis, control: RunControl, requests: Requests, sealed?: string) {
		this.chassis = chassis;
		this.vcpu = chassis.vcpu;
		this.control = control;
		this.requests = requests;
		this.sealed = sealed;
		control.control(chassis.vcpu);
	}

	get instructions(): number {
		return this.chassis.instructions;
	}

	get guestTimeNs(): number {
		return this.chassis.clock.now();
	}

	get stopped(): boolean {
		return this.control.stands;
	}

	get stepsTakeInterrupts(): boolean {
		return this.control.takesInterrupts;
	}

	set stepsTakeInterrupts(take: boolean) {
		this.control.takesInterrupts = take;
	}

	attend(listener: ((stop: Stop) => void) | undefined): void {
		this.control.attend(listener);
		if (listener === undefined) this.vcpu.processor.breakpoints.clear();
	}

	pause(): void {
		this.control.pause();
	}

	resume(how: Resume): void {
		this.control.resume(how);
	}

	setBreakpoints(addresses: ReadonlySet<bigint>): void {
		this.vcpu.processor.breakpoints.setStops(addresses);
	}

	setWatchpoints(watchpoints: readonly Watchpoint[]): void {
		this.vcpu.processor.breakpoints.setWatches(
			watchpoints.map(({ address, length, reads, writes }) => ({
				address,
				length,
				kinds: (reads ? WATCH_KIND.read : 0) | (writes ? WATCH_KIND.write : 0),
			})),
		);
	}

	changed(): void {
		this.control.changed();
	}

	readPhysical(address: bigint, length: number): Uint8Array | undefined {
		const out = new Uint8Array(length);
		return this.physical(address, length, (host, bytes, done) => {
			out.set(this.vcpu.processor.bytes().subarray(host, host + bytes), done);
		})
			? out
			: undefined;
	}

	writePhysical(address: bigint, data: Uint8Array): boolean {
		const { processor } = this.vcpu;
		return this.physical(address, data.length, (host, bytes, done) => {
			processor.bytes().set(data.subarray(done, done + bytes), host);
			processor.call("checkCode", host, bytes);
		});
	}

	private physical(
		address: bigint,
		length: number,
		each: (host: number, bytes: number, done: number) => void,
	): boolean {
		if (address + BigInt(length) > BigInt(Number.MAX_SAFE_INTEGER)) return false;
		const first = Number(address);
		const pieces = physicalPieces(this.chassis.vm.slots, first, length, false);
		for (const { gpa, host, bytes } of pieces ?? []) each(host, bytes, gpa - first);
		return pieces !== undefined;
	}

	reset(): string | undefined {
		if (this.sealed !== undefined) return this.sealed;
		return this.chassis.loop.resetNow() ? undefined : "a reset would end this run (--on-reset)";
	}

	kill(): void {
		this.requests.stop({ kind: "killed" });
	}

	memoryTree(): string {
		return formatTree(currentMemory(this.chassis.vm, this.chassis.pc.memoryMap));
	}

	memorySlots(): string {
		return formatSlots(currentMemory(this.chassis.vm, this.chassis.pc.memoryMap));
	}
}
