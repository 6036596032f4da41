import { hostMs } from "../../base/host-time.ts";
import type { Resume, Stop } from "../../debug/gdb/target.ts";
import type { Vcpu } from "../../kvm/vcpu.ts";
import { F, GUEST_DEBUG, HIT, PENDING } from "../../vcpu/layout.ts";
import type { End, EndKind } from "../outcome.ts";
import type { Requests } from "../requests.ts";
import type { Sleep } from "../sleep.ts";

/** Longest time that a timer of Node's takes. */
const LONGEST_REST_MS = 2 ** 31 - 1;

/** Ends that a debugger sees before they end the run. Limits, signals and wanted texts end it at once. */
const SHOWN: ReadonlySet<EndKind> = new Set([
	...(["power-off", "reset", "triple-fault", "no-code", "halted", "panic", "debug-exit"] as const),
	...(["rom-write", "break", "unwanted"] as const),
]);
/** Those behind which the guest goes on as if nothing had been. */
const PASSING: ReadonlySet<EndKind> = new Set(["rom-write", "break"]);
/** Those that changes by hand may mend. */
const MENDABLE: ReadonlySet<EndKind> = new Set(["triple-fault", "no-code", "halted"]);

/**
 * What lets a debugger stop the guest between two instructions, and go on. The run loop asks it before each stretch of instructions; guest
 * time stands still meanwhile, so that a guest cannot tell whether it is debugged.
 */
export class RunControl {
	private readonly requests: Requests;
	private readonly sleep: Sleep;
	private readonly describe: (end: End) => string;
	private vcpu: Vcpu | undefined;
	private listener: ((stop: Stop) => void) | undefined;
	private state: "runs" | "stopping" | "stands" = "runs";
	private stop: Stop = { kind: "pause" };
	private range: { readonly first: bigint; readonly last: bigint } | undefined;
	private told = true;
	private mended = false;
	/** Whether single steps take interrupts. */
	takesInterrupts = true;
	/** Host milliseconds in which the guest stood still. */
	restedMs = 0;

	/** `describe` puts ends into words; `waits`: the guest stands still from the start. */
	constructor(parts: { requests: Requests; sleep: Sleep; describe: (end: End) => string; waits: boolean }) {
		this.requests = parts.requests;
		this.sleep = parts.sleep;
		this.describe = parts.describe;
		parts.requests.holdBy((end) => this.listener !== undefined && SHOWN.has(end.kind));
		if (parts.waits) this.state = "stopping";
	}

	/** The processor concerned. */
	control(vcpu: Vcpu): void {
		this.vcpu = vcpu;
	}

	get stands(): boolean {
		return this.state === "stands";
	}

	/** From now on `listener` hears of stops; undefined: nobody cares, and the guest goes on. */
	attend(listener: ((stop: Stop) => void) | undefined): void {
		this.listener = listener;
		this.told = true;
	}

	pause(): void {
		if (this.state === "stands") return;
		this.state = "stopping";
		this.sleep.wake();
	}

	resume(how: Resume): void {
		const { requests, vcpu } = this;
		const held = requests.heldEnd;
		if (held !== undefined) requests.release(PASSING.has(held.kind) || (this.mended && MENDABLE.has(held.kind)));
		this.range = how.kind === "step" ? how.range : undefined;
		this.setStepping(how.kind === "step");
		if (vcpu !== undefined) {
			const { processor } = vcpu;
			processor.set(F.pending, processor.get(F.pending) & ~PENDING.step);
			processor.breakpoints.takeHit();
		}
		this.state = "runs";
		this.sleep.wake();
	}

	/** Registers or memory have been changed by hand. */
	changed(): void {
		this.mended = true;
	}

	private setStepping(on: boolean): void {
		if (this.vcpu === undefined) return;
		const { processor } = this.vcpu;
		const { enable, singleStep, stopAtHandler, blockIrq } = GUEST_DEBUG;
		const quiet = this.takesInterrupts ? 0 : blockIrq;
		const wanted = on ? enable | singleStep | stopAtHandler | quiet : 0;
		if (processor.get(F.guestDebug) === wanted) return;
		processor.set(F.guestDebug, wanted);
		processor.call("updateMode");
	}

	private get stepping(): boolean {
		return this.vcpu !== undefined && this.vcpu.processor.get(F.guestDebug) !== 0;
	}

	/** Whether single steps go past interrupts, which wait. */
	get stepsQuietly(): boolean {
		return this.stepping && !this.takesInterrupts;
	}

	/**
	 * Whether the guest stands still, or is to: then it does from now on, unless it is in the middle of an instruction, whose end must come
	 * first (`finish`).
	 */
	holds(): boolean | "finish" {
		if (this.state === "stands") return true;
		const held = this.requests.heldEnd;
		if (this.state === "runs" && held === undefined) return false;
		const dead = held !== undefined && MENDABLE.has(held.kind);
		if (!dead && this.vcpu?.midInstruction) return "finish";
		if (held === undefined) this.stand({ kind: "pause" });
		else this.stand({ kind: "end", text: this.describe(held), resumes: PASSING.has(held.kind) });
		return true;
	}

	/** The processor came back for a debugger. */
	exited(): void {
		const processor = this.vcpu!.processor;
		const { kind, address } = processor.breakpoints.takeHit();
		if (kind === HIT.breakpoint) this.stand({ kind: "breakpoint", address });
		else if (kind !== HIT.none)
			this.stand({ kind: "watchpoint", access: kind === HIT.write ? "write" : "read", address });
		// HLT ends with the interrupt that it waits for.
		else if (processor.get(F.halted) === 0) this.stepped();
	}

	/** A single step is complete. */
	stepped(): void {
		const processor = this.vcpu!.processor;
		if (this.range !== undefined) {
			const pc = this.vcpu!.linearIp;
			const inside = pc >= this.range.first && pc <= this.range.last;
			if (inside && !processor.breakpoints.stopsAt(pc)) return;
		}
		this.stand({ kind: "step" });
	}

	private stand(stop: Stop): void {
		this.state = "stands";
		this.stop = stop;
		this.told = false;
		this.mended = false;
		this.setStepping(false);
	}

	/** The host rests while the guest stands still: until somebody lets it go on, or the run ends, at `deadline` (hostMs()) at the latest. */
	async rest(deadline: number): Promise<void> {
		const since = hostMs();
		while (this.state === "stands" && this.requests.end === undefined && hostMs() < deadline) {
			if (!this.told) {
				this.told = true;
				this.listener?.(this.stop);
				continue;
			}
			await this.sleep.for(Math.min(deadline - hostMs(), LONGEST_REST_MS));
		}
		this.restedMs += hostMs() - since;
	}
}
