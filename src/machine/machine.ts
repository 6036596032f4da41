import { assert } from "../base/errors.ts";
import { hostMs } from "../base/host-time.ts";
import type { MachineConfig } from "../config/index.ts";
import { type GuestView, viewOf } from "../debug/symbols/guest-view.ts";
import { Chassis } from "./chassis.ts";
import type { ChosenFirmware } from "./chosen-firmware.ts";
import type { MachineHost, Moment, Outcome, RunningMachine, StopReason } from "./outcome.ts";
import { Requests } from "./requests.ts";
import { Screen } from "./screen.ts";
import { Sleep } from "./sleep.ts";

/** A machine as its configuration describes it: builds it, runs it, and tells what became of it. */
export class Machine implements RunningMachine {
	private readonly config: MachineConfig;
	private readonly host: MachineHost;
	private readonly sleep = new Sleep();
	private readonly requests = new Requests(() => this.sleep.wake());
	private chassis: Chassis | undefined;
	private started = false;

	constructor(config: MachineConfig, host: MachineHost) {
		this.config = config;
		this.host = host;
	}

	get instructions(): number {
		return this.chassis?.instructions ?? 0;
	}

	stop(reason: StopReason): void {
		this.requests.stop(reason);
	}

	get view(): GuestView {
		assert(this.chassis, "a look at a machine that runs");
		return viewOf(this.chassis.vcpu);
	}

	get moment(): Moment {
		assert(this.chassis, "an access of a machine that runs");
		return this.chassis.moment;
	}

	flashCells(unit: number): Uint8Array {
		assert(this.chassis, "the flash of a machine that runs");
		return this.chassis.pc.flashCells(unit);
	}

	ramHash(): string {
		assert(this.chassis, "the RAM of a machine that has run");
		return this.chassis.ramHash();
	}

	async run(): Promise<Outcome> {
		assert(!this.started, "a machine runs once");
		this.started = true;
		const { host, requests, sleep } = this;
		const { config, firmware } = await this.withFirmware();
		const { engine } = config;
		const started = hostMs();
		let screen: Screen | undefined;
		const debug = host.debugger && (await this.debugged(host.debugger));
		const parts = {
			...{ config, host, requests, sleep },
			shadow: false,
			hostTime: () => (hostMs() - started - (debug?.control.restedMs ?? 0)) * 1e6,
			startUtcMs: config.rtc === "utc" ? Date.now() : config.rtc,
			deadline: started + (config.timeoutMs ?? Number.POSITIVE_INFINITY),
			turned: () => screen?.update(),
			debug: debug?.control,
		};
		const lockstep = engine === "lockstep" ? await import("./lockstep/lockstep.ts") : undefined;
		const pair = lockstep && (await lockstep.Lockstep.build(parts));
		const chassis = pair?.first ?? (await Chassis.build({ ...parts, engine }));
		this.chassis = chassis;
		debug?.serve(chassis, pair && "with --engine lockstep a debugger changes nothing: the other machines would differ");
		const { pc, clock } = chassis;
		try {
			if (pc.vga && host.screen) screen = new Screen(pc.vga, host.screen);
			const end = chassis.saved(await (pair ?? chassis.loop).run());
			screen?.finish();
			const { instructions } = this;
			const guestTimeNs = clock.now();
			return { end, instructions, guestTimeNs, ...(firmware ? { firmware } : {}), flash: pc.flashActivity };
		} finally {
			pair?.close();
			chassis.close();
		}
	}

	/** The configuration with files in place of the firmware's name; looking for them is loaded only where there is one. */
	private async withFirmware(): Promise<{ readonly config: MachineConfig; readonly firmware?: ChosenFirmware }> {
		const { config, host } = this;
		if (config.firmware === undefined) return { config };
		const { chooseFirmware } = await import("./chosen-firmware.ts");
		const found = chooseFirmware(config, config.firmware, { onlyLooks: false });
		host.log.info(found.chosen, "firmware");
		return { config: found.config, firmware: found.chosen };
	}

	/** What a debugger needs of the run; loaded only where one may come. */
	private async debugged(port: NonNullable<MachineHost["debugger"]>) {
		const [{ RunControl }, { MachineTarget }] = await Promise.all([
			import("./debugger/run-control.ts"),
			import("./debugger/debug-target.ts"),
		]);
		const { requests, sleep } = this;
		const control = new RunControl({ requests, sleep, describe: (end) => port.describe(end), waits: port.waits });
		return {
			control,
			serve: (chassis: Chassis, sealed: string | undefined): void =>
				port.serve(new MachineTarget(chassis, control, requests, sealed)),
		};
	}
}
