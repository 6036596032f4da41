import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { assert } from "../base/errors.ts";
import type { MachineConfig } from "../config/index.ts";
import { KVM_MEM_READONLY } from "../kvm/memslots.ts";
import type { Vcpu } from "../kvm/vcpu.ts";
import { Vm } from "../kvm/vm.ts";
import { defaultCpuid } from "../vcpu/cpuid.ts";
import { MSR } from "../vcpu/msr.ts";
import { chooseEngine } from "./engine.ts";
import { GuestClock } from "./guest-clock.ts";
import type { MachineHost, Outcome, RunningMachine, StopReason } from "./outcome.ts";
import { Pc } from "./pc/pc.ts";
import { Requests } from "./requests.ts";
import { romWriteOf } from "./rom-write-of.ts";
import { RunLoop } from "./run-loop.ts";
import { Screen } from "./screen.ts";
import { Sleep } from "./sleep.ts";
import { hex, type Trace, traceTo } from "./trace.ts";

/** Width of guest-physical addresses. */
const PHYSICAL_BITS = 40;
/** Bytes hashed at a time. */
const HASH_PIECE = 1 << 20;

/** A machine: a board with a processor, and what runs them. */
export class Machine implements RunningMachine {
	private readonly config: MachineConfig;
	private readonly host: MachineHost;
	private readonly sleep = new Sleep();
	private readonly requests = new Requests(() => this.sleep.wake());
	private parts:
		| { readonly vcpu: Vcpu; readonly pc: Pc; readonly clock: GuestClock; readonly trace: Trace }
		| undefined;

	constructor(config: MachineConfig, host: MachineHost) {
		this.config = config;
		this.host = host;
	}

	get instructions(): number {
		return this.parts?.vcpu.processor.retired() ?? 0;
	}

	stop(reason: StopReason): void {
		this.requests.stop(reason);
	}

	ramHash(): string {
		const hash = createHash("sha256");
		const ram = this.parts?.pc.ram.view ?? new Uint8Array();
		// Node's hash takes no shared memory: copy it piece by piece.
		const piece = new Uint8Array(Math.min(ram.length, HASH_PIECE));
		for (let at = 0; at < ram.length; at += piece.length) {
			const part = ram.subarray(at, at + piece.length);
			piece.set(part);
			hash.update(piece.subarray(0, part.length));
		}
		return hash.digest("hex");
	}

	private loop: RunLoop | undefined;

	async run(): Promise<Outcome> {
		assert(this.parts === undefined, "a machine runs once");
		const started = performance.now();
		const { vcpu, pc, clock, trace } = await this.build(started);
		const { config, host } = this;
		try {
			const screen = pc.vga && host.screen && new Screen(pc.vga, host.screen);
			const sources = [host.keyboard, ...host.serial.map(({ input }) => input)].filter(
				(source) => source !== undefined,
			);
			this.loop = new RunLoop({
				vcpu,
				clock,
				board: pc,
				requests: this.requests,
				sleep: this.sleep,
				limits: {
					instructions: config.maxInstructions ?? Number.POSITIVE_INFINITY,
					guestTimeNs: config.maxGuestTimeNs ?? Number.POSITIVE_INFINITY,
					deadline: started + (config.timeoutMs ?? Number.POSITIVE_INFINITY),
				},
				mayHear: () => sources.some((source) => !source.ended),
				turned: () => screen?.update(),
				trace: { exits: trace("exits"), resets: trace("resets") },
			});
			const end = await this.loop.run();
			screen?.finish();
			return { end, instructions: this.instructions, guestTimeNs: clock.now(), flash: pc.flashActivity };
		} finally {
			pc.close();
		}
	}

	private async build(started: number): Promise<NonNullable<typeof this.parts>> {
		const { config, host, requests } = this;
		const trace = traceTo(host, config.trace, () => this.instructions);
		const vm = await Vm.create({ physicalBits: PHYSICAL_BITS });
		traceSlots(vm, trace);
		const vcpu = vm.createVcpu(0, {
			acknowledge: () => this.acknowledge(),
			msr: (isWrite, index, value) => this.msr(isWrite, index, value),
			port: (isWrite, port, size, value) => this.loop?.portAccess(isWrite, port, size, value) ?? 0,
		});
		assert(typeof vcpu !== "string", "the vCPU");
		const { processor } = vcpu;
		await chooseEngine(processor, config.engine);
		const clock = new GuestClock(
			processor,
			config.clock === "host" ? () => (performance.now() - started) * 1e6 : undefined,
		);
		const identity = defaultCpuid().find((entry) => entry.function === 1);
		const pc = new Pc(config, {
			vm,
			clock,
			power: requests,
			host,
			trace,
			cpu: {
				interrupt: {
					set: (asserted) => {
						processor.setInterruptLine(asserted);
						if (asserted) this.sleep.wake();
					},
				},
				nmi: () => processor.nmi(),
				a20: (open) => processor.setA20(open),
			},
			romStore: (address, data) => host.romWrites.record(romWriteOf(processor, address, data, pc.romName(address))),
			cpuSignature: identity?.eax ?? 0,
			cpuFeatures: identity?.edx ?? 0,
			version: packageVersion(),
			startUtcMs: config.rtc === "utc" ? Date.now() : config.rtc,
		});
		this.parts = { vcpu, pc, clock, trace };
		pc.reset();
		return this.parts;
	}

	private acknowledge(): number {
		const vector = this.parts?.pc.interrupts.lapic.acknowledge() ?? -1;
		return vector;
	}

	private msr(isWrite: boolean, index: number, value: bigint): bigint | boolean | undefined {
		const lapic = this.parts?.pc.interrupts.lapic;
		if (index !== MSR.apicBase || lapic === undefined) return undefined;
		return isWrite ? lapic.writeBase(Number(value)) : BigInt(lapic.base);
	}
}

function traceSlots(vm: Vm, trace: Trace): void {
	const say = trace("slots");
	if (say === undefined) return;
	vm.slots.onSlotsChanged(({ kind, first, last }, { slot, flags }) => {
		say(`${kind} ${slot}: ${hex(first, 4)}..${hex(last, 4)} ${flags & KVM_MEM_READONLY ? "readonly" : "writable"}`);
	});
}

function packageVersion(): string {
	for (const up of ["../../package.json", "../package.json"]) {
		try {
			return (JSON.parse(readFileSync(new URL(up, import.meta.url), "utf8")) as { version: string }).version;
		} catch {}
	}
	return "0";
}
