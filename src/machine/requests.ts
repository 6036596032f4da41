import type { PowerControl, ResetKind } from "../bus/device.ts";
import type { End, EndKind, PauseReason, StopReason } from "./outcome.ts";

/** Ends that the guest brings about itself, and that a panic explains. */
const BY_GUEST: readonly EndKind[] = ["power-off", "reset", "triple-fault", "no-code", "halted"];

/** What devices, the host and limits ask of a machine while it runs. The run loop looks between two exits. */
export class Requests implements PowerControl {
	private ending: End | undefined;
	private pendingReset: ResetKind | undefined;
	private panicMessage: () => string | undefined = () => undefined;
	private readonly wake: () => void;
	/** Takes what a debugger gets control for; absent while none is attached. Called in the middle of a run, from within an exit. */
	debugger: ((reason: PauseReason) => void) | undefined;

	/** `wake` is called when something comes from outside while the machine may be asleep. */
	constructor(wake: () => void) {
		this.wake = wake;
	}

	/** Why the run ends. The first reason counts. */
	get end(): End | undefined {
		return this.ending;
	}

	/** The reset that waits to be done, or undefined. */
	get resetKind(): ResetKind | undefined {
		return this.pendingReset;
	}

	/** Whether the run ends or the machine is reset before anything else. */
	get waiting(): boolean {
		return this.ending !== undefined || this.pendingReset !== undefined;
	}

	/** Gives the reset to do, and forgets it. */
	takeReset(): ResetKind | undefined {
		const kind = this.pendingReset;
		this.pendingReset = undefined;
		return kind;
	}

	/** From now on `message` says what the guest's kernel has panicked with, if it has: that is then why it ended. */
	explainBy(message: () => string | undefined): void {
		this.panicMessage = message;
	}

	/** The guest, or a limit, ends the run. */
	finish(end: End): void {
		const message = BY_GUEST.includes(end.kind) ? this.panicMessage() : undefined;
		this.ending ??= message === undefined ? end : { kind: "panic", message };
	}

	/** The host ends the run. */
	stop(reason: StopReason): void {
		this.finish(reason);
		this.wake();
	}

	/** The machine pauses for its debugger; where none is attached, the run ends. */
	pause(reason: PauseReason): void {
		if (this.debugger !== undefined) this.debugger(reason);
		else this.finish(reason);
	}

	/** A reset of the whole machine goes before one of the processor. */
	reset(kind: ResetKind): void {
		if (this.pendingReset === undefined || this.pendingReset === "init") this.pendingReset = kind;
	}

	powerOff(): void {
		this.finish({ kind: "power-off" });
	}

	debugExit(value: number): void {
		this.finish({ kind: "debug-exit", value });
	}
}
