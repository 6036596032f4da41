import { type BootPlan, planBoot, recogniseKernel } from "../boot/boot.ts";
import { ImageFile } from "../boot/image-file.ts";
import { startVcpu } from "../boot/start-state.ts";
import type { MachineConfig } from "../config/index.ts";
import type { Vcpu } from "../kvm/vcpu.ts";
import type { Vm } from "../kvm/vm.ts";
import { featuresOfChoice } from "../vcpu/cpu-models.ts";
import { kernelTables } from "./firmware/kernel-tables.ts";
import { kernelMemoryMap } from "./firmware/memory-map.ts";
import { realModeServices } from "./firmware/services.ts";
import { GuestMemory } from "./guest-memory.ts";
import { readKernel, readModules } from "./kernel-files.ts";
import { BoardSetup } from "./pc/board-setup.ts";
import type { Pc } from "./pc/pc.ts";

export interface DirectBootParts {
	readonly config: MachineConfig;
	readonly kernel: string;
	readonly vm: Vm;
	readonly vcpu: Vcpu;
	readonly pc: Pc;
}

/** Starts a kernel on a board without firmware: the board as a BIOS leaves it, tables, kernel and processor state in place. */
export class DirectBoot {
	private readonly parts: DirectBootParts;
	private readonly memory: GuestMemory;
	private readonly setup: BoardSetup;
	private readonly kernel: ImageFile;
	private started = false;

	/** @throws UserError for a kernel that cannot be read. */
	constructor(parts: DirectBootParts) {
		this.parts = parts;
		this.memory = new GuestMemory(parts.vm);
		this.setup = new BoardSetup(parts.pc.ports);
		this.kernel = new ImageFile(`--kernel: ${parts.kernel}`, readKernel(parts.kernel, parts.config));
	}

	/**
	 * Everything as the kernel expects it. Call when board and processor have been reset; RAM is cleared from the second time on.
	 * @throws UserError for a kernel, module or command line that cannot be used.
	 */
	start(): void {
		const { pc, vcpu, vm } = this.parts;
		if (this.started) {
			pc.ram.view.fill(0);
			vm.written(pc.ram.offset, pc.ram.view.length);
		}
		this.started = true;
		this.setup.run();
		this.setup.shadow(true);
		const services = realModeServices(kernelMemoryMap(pc.description));
		const tables = kernelTables(pc.description, BoardSetup.routes());
		const plan = this.plan(tables.rsdp.address, tables.rsdp.bytes);
		for (const { address, bytes } of [...services, ...tables.pieces, ...plan.pieces]) this.memory.write(address, bytes);
		this.setup.shadow(false);
		startVcpu(vcpu, plan.start);
	}

	private plan(rsdp: number, rsdpBytes: Uint8Array): BootPlan {
		const { config, pc } = this.parts;
		const kernel = recogniseKernel(this.kernel, config.kernelEntry, config.kernelAddress);
		return planBoot(kernel, {
			path: this.parts.kernel,
			commandLine: config.append ?? "",
			modules: readModules(config, kernel.modules),
			platform: {
				map: kernelMemoryMap(pc.description),
				rsdp,
				rsdpBytes,
				longMode: featuresOfChoice(config.cpu).has("lm"),
				textScreen: config.display === "text",
			},
		});
	}
}
