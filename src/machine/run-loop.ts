import { setImmediate as turn } from "node:timers/promises";
import { Bug } from "../base/errors.ts";
import { hostMs } from "../base/host-time.ts";
import type { AccessSize, ResetKind } from "../bus/device.ts";
import { EXIT_REASON, type Vcpu } from "../kvm/vcpu.ts";
import type { Board } from "./board.ts";
import { whereIs } from "./code-mode.ts";
import type { RunControl } from "./debugger/run-control.ts";
import type { GuestClock } from "./guest-clock.ts";
import type { End } from "./outcome.ts";
import type { Requests } from "./requests.ts";
import type { Sleep } from "./sleep.ts";
import type { TraceLine } from "./trace.ts";

/** Guest nanoseconds that a device access takes. */
const DEVICE_ACCESS_NS = 1000;
/** Instructions between two looks at the host: at first, and at most. Some guests run a thousand times slower than others. */
const FIRST_QUANTUM = 20_000;
const MOST_QUANTUM = 2_000_000;
/** With the host's clock, guest nanoseconds between two looks at it. */
const HOST_CLOCK_SLICE_NS = 1_000_000;
/** Exits between two looks at the host: a power of two. */
const EXITS = 512;
/** Host milliseconds between two turns of the event loop. */
const TURN_MS = 10;
/** Host milliseconds that a sleeping machine sleeps at a time. */
const NAP_MS = 50;

export interface Limits {
	/** Guest instructions in total. */
	readonly instructions: number;
	/** Guest time, nanoseconds. */
	readonly guestTimeNs: number;
	/** Host time as hostMs() has it. */
	readonly deadline: number;
}

export interface RunLoopParts {
	readonly vcpu: Vcpu;
	readonly board: Board;
	readonly clock: GuestClock;
	readonly requests: Requests;
	readonly sleep: Sleep;
	readonly limits: Limits;
	/** Called when the processor has left because a store to ROM faults, before it delivers that. */
	readonly storeRefused: () => void;
	/** Called when board and processor have been reset, before the processor runs again; absent: a reset ends the run. */
	readonly restarted: (() => void) | undefined;
	/** Whether something from the host may still reach the guest. */
	readonly mayHear: () => boolean;
	/** Called at every turn of the event loop. */
	readonly turned: () => void;
	/** Ends intervals of guest time; runs do not go beyond the end of one. */
	readonly intervals?: { tick(now: number): void; readonly until: number } | undefined;
	/** A debugger that may stop the guest. */
	readonly debug?: RunControl | undefined;
	readonly trace: { readonly exits: TraceLine | undefined; readonly resets: TraceLine | undefined };
}

/** Runs a processor on a board: hands its exits to those who answer, keeps time and limits, gives the host its turns. */
export class RunLoop {
	private readonly parts: RunLoopParts;
	/** The processor waits in HLT. */
	private halted = false;
	private quantum = FIRST_QUANTUM;
	/** The alarm that the budget in force heeds. */
	private heeded: number | undefined;

	constructor(parts: RunLoopParts) {
		this.parts = parts;
		parts.vcpu.processor.setPortTime(parts.clock.followsHost ? 0 : DEVICE_ACCESS_NS);
	}

	/** Runs until there is an end. */
	async run(): Promise<End> {
		const { requests, limits } = this.parts;
		let lastTurn = hostMs();
		let lastLook = lastTurn;
		let exits = 0;
		for (;;) {
			const step = this.step();
			if (requests.end !== undefined && step === "end") return requests.end;
			if (step === "held") await this.rest();
			if (typeof step === "number") await this.nap(step);
			else if (step === "exit" && (++exits & (EXITS - 1)) !== 0) continue;
			const host = hostMs();
			if (host >= limits.deadline) requests.finish({ kind: "timeout" });
			if (step === "budget") this.adapt(host - lastLook);
			lastLook = host;
			if (host - lastTurn < TURN_MS) continue;
			this.parts.turned();
			await turn();
			lastTurn = hostMs();
			lastLook = lastTurn;
		}
	}

	/** Looks at the host sooner where `ms` was too long for a person who waits, and later where there was no need to. The guest cannot tell. */
	private adapt(ms: number): void {
		if (ms > TURN_MS) this.quantum = Math.max(this.quantum >> 1, 1);
		else if (ms < TURN_MS / 4) this.quantum = Math.min(this.quantum * 2, MOST_QUANTUM);
	}

	/**
	 * Lets the guest run until something must be handled, and handles it; at most until `mark` instructions, more than now, have retired.
	 * @returns `budget`: a limit came first; a number: the guest sleeps, and the host may for so many milliseconds; `end`: there is one;
	 *   `held`: a debugger holds the guest.
	 */
	step(mark = Number.POSITIVE_INFINITY): "exit" | "budget" | "end" | "held" | number {
		const { vcpu, clock, requests, trace, debug } = this.parts;
		if (requests.resetKind !== undefined) this.reset();
		const now = clock.tick();
		clock.alarms.fireDue(now);
		this.parts.intervals?.tick(now);
		const budget = this.budget(now, mark);
		if (requests.end !== undefined) return "end";
		const held = debug?.holds() ?? false;
		if (held === true) return "held";
		if (this.halted) return this.wait(now);
		vcpu.processor.setBudget(held === "finish" ? 1 : budget);
		const result = vcpu.run();
		if (result !== 0) throw new Bug(`KVM_RUN: ${result} at ${this.where()}`);
		if (vcpu.exit.reason === EXIT_REASON.budget) return "budget";
		trace.exits?.(this.exitName(), { at: this.where() });
		if (vcpu.exit.reason === EXIT_REASON.debug && debug !== undefined) {
			debug.exited();
			return "held";
		}
		this.handleExit();
		return "exit";
	}

	/** How many instructions may run now; where a limit is reached, the end is requested. */
	private budget(now: number, mark: number): number {
		const { vcpu, clock, requests, limits } = this.parts;
		const retired = vcpu.processor.retired();
		if (retired >= limits.instructions) requests.finish({ kind: "instruction-limit" });
		const left = Math.min(limits.instructions, mark) - retired;
		const time = limits.guestTimeNs - now;
		if (time <= 0) requests.finish({ kind: "guest-time-limit" });
		let budget = clock.followsHost ? HOST_CLOCK_SLICE_NS : this.quantum;
		const alarm = clock.alarms.next();
		this.heeded = alarm;
		if (alarm !== undefined && alarm - now < budget) budget = alarm - now;
		const interval = this.parts.intervals;
		if (interval !== undefined && interval.until - now < budget) budget = interval.until - now;
		if (left < budget) budget = left;
		if (time < budget) budget = time;
		return Math.max(budget, 1);
	}

	private handleExit(): void {
		const { vcpu, board, clock, requests } = this.parts;
		const { exit } = vcpu;
		switch (exit.reason) {
			case EXIT_REASON.mmio:
				board.mmio.dispatch(exit);
				clock.pass(DEVICE_ACCESS_NS);
				break;
			case EXIT_REASON.io:
				if (exit.count === 1) this.port();
				else this.portBatch();
				clock.pass(DEVICE_ACCESS_NS * exit.count);
				break;
			case EXIT_REASON.storeRefused:
				this.parts.storeRefused();
				break;
			case EXIT_REASON.hlt:
				this.halted = true;
				break;
			case EXIT_REASON.shutdown:
				if (board.expectsReset) requests.reset("triple-fault");
				else requests.finish({ kind: "triple-fault", detail: `at ${this.where()}` });
				break;
			case EXIT_REASON.internalError:
				requests.finish({ kind: "no-code", detail: `at ${this.where()}` });
				break;
			default:
				throw new Bug(`exit reason ${exit.reason} at ${this.where()}`);
		}
	}

	/** A port access as it happens, without an exit; its time passes behind it. It ends the run early where somebody waits. */
	portAccess(isWrite: boolean, port: number, size: number, value: number): number {
		const { board, clock, trace } = this.parts;
		trace.exits?.("io", { at: this.where() });
		let answer = 0;
		if (isWrite) board.ports.write(port, size as AccessSize, value);
		else answer = board.ports.read(port, size as AccessSize);
		if (clock.skipped !== 0) this.skip();
		this.attend();
		return answer;
	}

	/** The clock has gone ahead for a guest that polls a timer: all that the budget was measured against is nearer by as much. */
	private skip(): void {
		const { clock, vcpu } = this.parts;
		vcpu.processor.setBudget(Math.max(vcpu.processor.budget - clock.skipped, 0));
		clock.skipped = 0;
	}

	/** Ends the run early where a device wants that. For those who let the guest reach devices without an exit. */
	attend(): void {
		const { clock, requests, vcpu } = this.parts;
		if (clock.alarms.next() === this.heeded && !requests.waiting) return;
		this.heeded = clock.alarms.next();
		const left = requests.waiting ? 0 : Math.max((this.heeded ?? Number.POSITIVE_INFINITY) - clock.now(), 0);
		if (left < vcpu.processor.budget) vcpu.processor.setBudget(left);
	}

	private port(): void {
		const { ports } = this.parts.board;
		const { direction, size, port, portWords } = this.parts.vcpu.exit;
		if (direction === 1) ports.write(port, size as AccessSize, portWords[0]!);
		else portWords[0] = ports.read(port, size as AccessSize);
	}

	/** A REP INS: as many reads of one port. */
	private portBatch(): void {
		const { ports } = this.parts.board;
		const { size, port, count, portData, portHalves, portWords } = this.parts.vcpu.exit;
		if (ports.readMany?.(port, size as AccessSize, portData.subarray(0, count * size))) return;
		const elements = size === 1 ? portData : size === 2 ? portHalves : portWords;
		for (let n = 0; n < count; n++) elements[n] = ports.read(port, size as AccessSize);
	}

	/** HLT: guest time jumps to the next alarm; where only the host can wake the guest, the host may sleep for so many milliseconds. */
	private wait(now: number): "exit" | number {
		const { vcpu, clock, requests, limits, mayHear } = this.parts;
		const { processor } = vcpu;
		if (processor.wakes()) {
			this.halted = false;
			if (this.parts.debug?.stepsQuietly) this.parts.debug.stepped();
			return "exit";
		}
		const alarm = processor.interruptible() ? clock.alarms.next() : undefined;
		if (alarm === undefined) {
			if (!processor.interruptible() || !mayHear()) {
				requests.finish({ kind: "halted", detail: `at ${this.where()}` });
				return "exit";
			}
			return NAP_MS;
		}
		const ns = Math.min(alarm, limits.guestTimeNs) - now;
		if (clock.followsHost) return ns / 1e6;
		clock.pass(ns);
		return "exit";
	}

	/** The host sleeps while the guest does. */
	async nap(ms: number): Promise<void> {
		const { sleep, limits, requests, turned } = this.parts;
		turned();
		await sleep.for(Math.min(ms, NAP_MS, limits.deadline - hostMs()));
		if (hostMs() >= limits.deadline) requests.finish({ kind: "timeout" });
	}

	/** The host rests while a debugger holds the guest. */
	async rest(): Promise<void> {
		const { debug, limits, turned } = this.parts;
		turned();
		await debug?.rest(limits.deadline);
	}

	/** The machine is reset now: for somebody who holds the guest. @returns false where a reset would end the run. */
	resetNow(): boolean {
		if (this.parts.restarted === undefined) return false;
		this.parts.requests.reset("debugger");
		this.reset();
		return true;
	}

	private reset(): void {
		const { vcpu, board, requests, restarted, trace } = this.parts;
		const kind: ResetKind | undefined = requests.takeReset();
		trace.resets?.(kind ?? "none", { at: this.where() });
		this.halted = false;
		if (kind === undefined || kind === "init") {
			vcpu.reset("init");
			return;
		}
		if (restarted === undefined) {
			requests.finish({ kind: "reset", cause: kind });
			return;
		}
		board.reset();
		vcpu.reset("power-on");
		restarted();
	}

	/** CS:IP for people. */
	where(): string {
		return whereIs(this.parts.vcpu.processor);
	}

	private exitName(): string {
		const { reason } = this.parts.vcpu.exit;
		return Object.entries(EXIT_REASON).find(([, number]) => number === reason)?.[0] ?? String(reason);
	}
}
