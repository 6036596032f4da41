import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises";
import { assert, Bug } from "../base/errors.ts";
import type { PowerControl, ResetKind } from "../bus/device.ts";
import type { MachineConfig } from "../config/index.ts";
import { EXIT_REASON, type Vcpu } from "../kvm/vcpu.ts";
import { Vm } from "../kvm/vm.ts";
import { ATTR, F, KEY, SEG, segmentOffset } from "../vcpu/layout.ts";
import { GuestClock } from "./guest-clock.ts";
import type { CodeMode, End, MachineHost, Outcome, RunningMachine, StopReason } from "./outcome.ts";
import { Pc } from "./pc.ts";

/** Guest nanoseconds that a device access takes. */
const DEVICE_ACCESS_NS = 1000;
/** Most instructions between two looks at the host. */
const QUANTUM = 2_000_000;
/** Host milliseconds between two turns of the event loop. */
const TURN_MS = 10;
const SEGMENT_CS = 1;
/** Runs of a block before it is compiled: when it pays, and almost at once to put the compiler to the test. */
const HEAT_AUTO = 200;
const HEAT_COMPILED = 4;

/** A machine: a board with a processor, and the loop that runs them. */
export class Machine implements RunningMachine {
	private readonly config: MachineConfig;
	private readonly host: MachineHost;
	private vcpu: Vcpu | undefined;
	private pc: Pc | undefined;
	private clock: GuestClock | undefined;
	private end: End | undefined;
	private resetRequest: ResetKind | undefined;
	private wake: (() => void) | undefined;
	private started = 0;

	constructor(config: MachineConfig, host: MachineHost) {
		this.config = config;
		this.host = host;
	}

	get instructions(): number {
		return this.vcpu?.processor.retired() ?? 0;
	}

	stop(reason: StopReason): void {
		this.end ??= reason;
		this.wake?.();
	}

	ramHash(): string {
		const hash = createHash("sha256");
		const ram = this.pc?.ram.view ?? new Uint8Array();
		// Node's hash takes no shared memory: copy it piece by piece.
		const piece = new Uint8Array(Math.min(ram.length, 1 << 20));
		for (let at = 0; at < ram.length; at += piece.length) {
			const part = ram.subarray(at, at + piece.length);
			piece.set(part);
			hash.update(piece.subarray(0, part.length));
		}
		return hash.digest("hex");
	}

	async run(): Promise<Outcome> {
		this.started = performance.now();
		const { vcpu, pc, clock } = await this.build();
		try {
			await this.loop(vcpu, pc, clock);
		} finally {
			pc.close();
		}
		assert(this.end, "a run ends for a reason");
		return {
			end: this.end,
			instructions: this.instructions,
			guestTimeNs: clock.now(),
			flash: pc.flashActivity(),
		};
	}

	private async build(): Promise<{ vcpu: Vcpu; pc: Pc; clock: GuestClock }> {
		const { config, host } = this;
		const vm = await Vm.create({ physicalBits: 40 });
		const vcpu = vm.createVcpu(0, {
			acknowledge: () => this.pc?.lapic.acknowledge() ?? -1,
			bus: () => false,
			msr: (isWrite, index, value) => this.msr(isWrite, index, value),
		});
		assert(typeof vcpu !== "string", "the vCPU");
		this.vcpu = vcpu;
		const { processor } = vcpu;
		const hostTime = config.clock === "host" ? () => (performance.now() - this.started) * 1e6 : undefined;
		const clock = new GuestClock(() => processor.retired(), hostTime);
		this.clock = clock;
		const power: PowerControl = {
			reset: (kind) => {
				this.resetRequest = kind;
			},
			powerOff: () => {
				this.end ??= { kind: "power-off" };
			},
			debugExit: (value) => {
				this.end ??= { kind: "debug-exit", value };
			},
		};
		const pc = new Pc(config, {
			vm,
			clock,
			power,
			serial: host.serial,
			debugcon: host.debugcon,
			romStore: (address, data) => this.romStore(address, data),
			interrupt: { set: (asserted) => processor.setInterruptLine(asserted) },
			nmi: () => processor.nmi(),
			a20: (open) => processor.setA20(open),
			cpuSignature: 0x686,
			cpuFeatures: 0,
			version: packageVersion(),
			hostUtcMs: Date.now(),
		});
		this.pc = pc;
		await this.chooseEngine(vcpu);
		pc.reset();
		processor.reset();
		return { vcpu, pc, clock };
	}

	/** The interpreter alone, or with a compiler for hot code (loaded only where it is wanted). */
	private async chooseEngine({ processor }: Vcpu): Promise<void> {
		const { engine } = this.config;
		if (engine === "interpreter") return;
		const { UnitCompiler } = await import("../vcpu/jit/compiler.ts");
		processor.setCompiler(new UnitCompiler(processor, engine === "compiled" ? HEAT_COMPILED : HEAT_AUTO));
	}

	/** Runs until there is an end. */
	private async loop(vcpu: Vcpu, pc: Pc, clock: GuestClock): Promise<void> {
		const { config } = this;
		const { processor, exit } = vcpu;
		const maxInstructions = config.maxInstructions ?? Number.POSITIVE_INFINITY;
		const maxTime = config.maxGuestTimeNs ?? Number.POSITIVE_INFINITY;
		const timeout = config.timeoutMs === undefined ? Number.POSITIVE_INFINITY : this.started + config.timeoutMs;
		const hostClock = config.clock === "host";
		let lastTurn = performance.now();
		let exits = 0;
		while (!this.end) {
			if (this.resetRequest !== undefined) this.reset(processor, pc);
			const now = clock.now();
			clock.alarms.fireDue(now);
			const left = maxInstructions - processor.retired();
			if (left <= 0) {
				this.end ??= { kind: "instruction-limit" };
				break;
			}
			if (now >= maxTime) {
				this.end ??= { kind: "guest-time-limit" };
				break;
			}
			const next = hostClock ? now + 1_000_000 : (clock.alarms.next() ?? Number.POSITIVE_INFINITY);
			processor.setBudget(Math.max(1, Math.min(next - now, left, maxTime - now, QUANTUM)));
			const result = vcpu.run();
			assert(result === 0, `run: ${result}`);
			switch (exit.reason) {
				case EXIT_REASON.budget:
					break;
				case EXIT_REASON.io:
					this.port(vcpu, pc);
					this.pass(DEVICE_ACCESS_NS);
					break;
				case EXIT_REASON.mmio:
					pc.mmio.dispatch(exit);
					this.pass(DEVICE_ACCESS_NS);
					break;
				case EXIT_REASON.hlt:
					await this.halt(vcpu, pc, clock, timeout);
					break;
				case EXIT_REASON.shutdown:
					this.tripleFault(vcpu);
					break;
				case EXIT_REASON.internalError:
					this.end ??= { kind: "triple-fault", detail: `no instruction can be fetched from ${this.where(vcpu)}` };
					break;
				default:
					throw new Bug(`exit reason ${exit.reason} at ${this.where(vcpu)}`);
			}
			if (exit.reason === EXIT_REASON.budget || ++exits % 512 === 0) {
				const host = performance.now();
				if (host >= timeout) this.end ??= { kind: "timeout" };
				if (host - lastTurn >= TURN_MS) {
					await turn();
					lastTurn = performance.now();
				}
			}
		}
	}

	/** Guest time passes that no instruction accounts for. */
	private pass(ns: number): void {
		this.clock?.add(ns);
		this.vcpu?.processor.addTsc(ns);
	}

	private port({ exit }: Vcpu, pc: Pc): void {
		const { direction, size, port, count } = exit;
		const { ports } = pc;
		const width = size as 1 | 2 | 4;
		if (count === 1) {
			if (direction === 1) ports.write(port, width, exit.portWords[0]!);
			else exit.portWords[0] = ports.read(port, width);
			return;
		}
		const data = new DataView(exit.portData.buffer, exit.portData.byteOffset, exit.portData.byteLength);
		for (let n = 0; n < count; n++) {
			const at = n * size;
			if (direction === 1) {
				const value = size === 1 ? data.getUint8(at) : size === 2 ? data.getUint16(at, true) : data.getUint32(at, true);
				ports.write(port, width, value);
			} else {
				const value = ports.read(port, width);
				if (size === 1) data.setUint8(at, value);
				else if (size === 2) data.setUint16(at, value, true);
				else data.setUint32(at, value, true);
			}
		}
		this.pass(DEVICE_ACCESS_NS * (count - 1));
	}

	/** HLT: guest time jumps to the next alarm; where only the host can wake the guest, the host waits. */
	private async halt(vcpu: Vcpu, pc: Pc, clock: GuestClock, timeout: number): Promise<void> {
		const { processor } = vcpu;
		const maxTime = this.config.maxGuestTimeNs ?? Number.POSITIVE_INFINITY;
		while (!this.end && this.resetRequest === undefined) {
			clock.alarms.fireDue(clock.now());
			if (processor.wakes()) return;
			const next = clock.alarms.next();
			if (next === undefined || !processor.interruptible()) {
				const waiting = this.host.serial.some(({ input }) => input && !input.ended);
				if (!processor.interruptible() || !waiting) {
					this.end ??= { kind: "halted", detail: `at ${this.where(vcpu)}` };
					return;
				}
				await this.sleep(Math.min(50, Math.max(0, timeout - performance.now())));
			} else if (this.config.clock === "host") {
				await this.sleep(Math.min(Math.max(0, (next - clock.now()) / 1e6), 50));
			} else {
				this.pass(Math.max(0, Math.min(next, maxTime) - clock.now()));
				if (clock.now() >= maxTime) {
					this.end ??= { kind: "guest-time-limit" };
					return;
				}
			}
			if (performance.now() >= timeout) this.end ??= { kind: "timeout" };
		}
		void pc;
	}

	private async sleep(ms: number): Promise<void> {
		const controller = new AbortController();
		this.wake = () => controller.abort();
		await sleep(Math.max(1, ms), undefined, { signal: controller.signal }).catch(() => {});
		this.wake = undefined;
	}

	private tripleFault(vcpu: Vcpu): void {
		this.end ??= { kind: "triple-fault", detail: `at ${this.where(vcpu)}` };
	}

	private reset(processor: Vcpu["processor"], pc: Pc): void {
		const kind = this.resetRequest;
		this.resetRequest = undefined;
		if (kind !== "init") pc.reset();
		processor.reset();
	}

	/** CS:IP for people. */
	private where({ processor }: Vcpu): string {
		const cs = processor.get(SEG.selector, segmentOffset(SEGMENT_CS));
		return `${cs.toString(16).padStart(4, "0")}:${processor.get64(F.rip).toString(16).padStart(8, "0")}`;
	}

	private romStore(gpa: number, data: Uint8Array): void {
		const { vcpu, pc } = this;
		assert(vcpu && pc, "a machine that runs");
		const { processor } = vcpu;
		const at = segmentOffset(SEGMENT_CS);
		const rip = processor.get64(F.exitIp);
		const linear = (processor.get64(SEG.base, at) + rip) & 0xffffffffn;
		const key = processor.get(F.modeKey);
		const big = (processor.get(SEG.attributes, at) & ATTR.big) !== 0;
		const v86 = (processor.get(F.eflags) & 0x20000) !== 0;
		const mode: CodeMode = key & KEY.long ? "long" : v86 ? "v86" : key & KEY.real ? "real" : big ? "prot32" : "prot16";
		this.host.romWrites.record({
			gpa,
			data,
			region: pc.map.find(gpa)?.region.name ?? "rom",
			cs: processor.get(SEG.selector, at),
			rip,
			linear,
			code: processor.peekCode(linear, 15),
			mode,
			instructions: processor.retired() - 1,
		});
	}

	private msr(isWrite: boolean, index: number, value: bigint): bigint | boolean | undefined {
		const lapic = this.pc?.lapic;
		if (index !== 0x1b || !lapic) return undefined;
		if (!isWrite) return BigInt(lapic.base);
		return lapic.writeBase(Number(value)) ? true : undefined;
	}
}

function packageVersion(): string {
	for (const up of ["../../package.json", "../package.json"]) {
		try {
			return (JSON.parse(readFileSync(new URL(up, import.meta.url), "utf8")) as { version: string }).version;
		} catch {}
	}
	return "0";
}
