import type { MachineConfig } from "../../src/config/index.ts";
import type { RomWrite } from "../../src/debug/rom-write.ts";
import type { GuestView } from "../../src/debug/symbols/guest-view.ts";
import type {
	End,
	FlashEvent,
	MachineHost,
	Moment,
	Outcome,
	RunningMachine,
	StopReason,
} from "../../src/machine/outcome.ts";

/** One thing that the guest of a {@link ScriptedMachine} does. */
export type Step =
	| { readonly serial: string; readonly port?: number }
	| { readonly debugcon: string }
	| { readonly romWrite: RomWrite }
	| { readonly log: string }
	| { readonly flash: FlashEvent }
	/** Lets the event loop turn until something stops the machine. */
	| { readonly wait: true }
	/** Takes one line from COM1 and sends it back. */
	| { readonly echo: true }
	| { readonly throws: Error }
	| { readonly end: End };

/** A machine without a processor: its guest follows a script. For tests of what stands around a machine. */
export class ScriptedMachine implements RunningMachine {
	instructions = 0;
	readonly config: MachineConfig;
	private readonly host: MachineHost;
	private readonly steps: readonly Step[];
	private stopped: StopReason | undefined;
	/** Erased, whatever its guest is said to do. */
	private readonly flash = new Uint8Array(65536).fill(0xff);

	constructor(config: MachineConfig, host: MachineHost, steps: readonly Step[]) {
		this.config = config;
		this.host = host;
		this.steps = steps;
	}

	stop(reason: StopReason): void {
		this.stopped ??= reason;
	}

	/** A processor after reset, without memory. */
	get view(): GuestView {
		const names = ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11"] as const;
		const more = ["r12", "r13", "r14", "r15"] as const;
		const zeros = Object.fromEntries([...names, ...more].map((name) => [name, 0n])) as Record<
			(typeof names | typeof more)[number],
			bigint
		>;
		return {
			read: () => undefined,
			registers: () => ({
				regs: { ...zeros, rip: 0xfff0n, rflags: 2n },
				mode: "real",
				codeBase: 0xffff_0000n,
				stackBase: 0n,
				stackBits: 16,
			}),
			entries: () => ({ idtBase: 0n, idtLimit: 0xffff, lstar: 0n }),
		};
	}

	get moment(): Moment {
		return { timeNs: this.instructions, instructions: this.instructions, cs: 0xf000, rip: 0xfff0n };
	}

	flashCells(): Uint8Array {
		return this.flash;
	}

	ramHash(): string {
		return "00".repeat(32);
	}

	async run(): Promise<Outcome> {
		for (const step of this.steps) {
			if (this.stopped !== undefined) break;
			this.instructions += 1000;
			if ("end" in step) return this.outcome(step.end);
			await this.perform(step);
		}
		return this.outcome(this.stopped ?? { kind: "power-off" });
	}

	private outcome(end: End): Outcome {
		return { end, instructions: this.instructions, guestTimeNs: this.instructions, flash: [] };
	}

	private async perform(step: Exclude<Step, { end: End }>): Promise<void> {
		if ("throws" in step) throw step.throws;
		if ("serial" in step) this.send(step.serial, (byte) => this.host.serial[step.port ?? 0]?.output.write(byte));
		if ("debugcon" in step) this.send(step.debugcon, (byte) => this.host.debugcon.write(byte));
		if ("romWrite" in step) this.storeToRom(step.romWrite);
		if ("flash" in step) this.host.flash?.record(0, step.flash);
		if ("log" in step) this.host.log.warn({ port: 0x3f8 }, step.log);
		if ("wait" in step) await this.until(() => false);
		if ("echo" in step) await this.echo();
	}

	private storeToRom(write: RomWrite): void {
		this.host.romWrites.record(write);
		const { gpa, size } = write;
		if (this.config.romWrites === "stop") this.stop({ kind: "rom-write", store: { gpa, size } });
	}

	/** As a real guest does: byte by byte, and nothing more once the machine is to stop. */
	private send(text: string, write: (byte: number) => void): void {
		for (const byte of Buffer.from(text)) if (this.stopped === undefined) write(byte);
	}

	private async until(ready: () => boolean): Promise<void> {
		while (this.stopped === undefined && !ready()) await new Promise((resolve) => setTimeout(resolve, 5));
	}

	private async echo(): Promise<void> {
		const line = this.host.serial[0];
		const input = line?.input;
		if (input === undefined) return;
		const got: number[] = [];
		await this.until(() => {
			got.push(...input.take(16));
			return input.ended || got.includes(0x0a) || got.includes(0x0d);
		});
		for (const byte of got) line?.output.write(byte);
	}
}
