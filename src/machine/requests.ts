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
	private held: End | undefined;
	private hold: ((end: End) => boolean) | undefined;

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
		return this.ending !== undefined || this.held !== undefined || this.pendingReset !== undefined;
	}

	/** An end that waits because somebody wants to look at the guest first. */
	get heldEnd(): End | undefined {
		return this.held;
	}

	/** From now on, an end that `hold` says yes to waits for {@link release}. */
	holdBy(hold: (end: End) => boolean): void {
		this.hold = hold;
	}

	/** The end that waits comes into force or, with `forget`, will not have been. */
	release(forget: boolean): void {
		if (!forget) this.ending ??= this.held;
		this.held = undefined;
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
		const explained: End = message === undefined ? end : { kind: "panic", message };
		if (this.ending === undefined && this.hold?.(explained)) this.held ??= explained;
		else this.ending ??= explained;
	}

	/** The host ends the run. */
	stop(reason: StopReason): void {
		this.finish(reason);
		this.wake();
	}

	/** The machine pauses for its debugger; where none is attached, the run ends. */
	pause(reason: PauseReason): void {
		this.finish(reason);
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
