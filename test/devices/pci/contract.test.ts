import { ManualClock } from "../../../src/bus/clock.ts";
import type { Device } from "../../../src/bus/device.ts";
import { deviceContract } from "../../support/device-contract.ts";
import { pcFunctions } from "./pc-functions.ts";

type Functions = ReturnType<typeof pcFunctions>;

const DEVICES: [name: string, span: number, pick: (pc: Functions) => Device][] = [
	["i440fx", 256, (pc) => pc.host],
	["piix3-isa", 256, (pc) => pc.isa],
	["piix3-ide", 256, (pc) => pc.ide],
	["piix4-pm", 256, (pc) => pc.pm],
	["piix4-pm-registers", 64, (pc) => pc.pm.registers],
	["piix4-gpe0", 4, (pc) => pc.pm.gpe0],
	["apm", 2, (pc) => pc.pm.apm],
	["ide-primary", 8, (pc) => pc.ide.primary],
	["ide-primary-control", 1, (pc) => pc.ide.primary.control],
	["ide-bus-master", 16, (pc) => pc.ide.busMasterRegisters],
	["pci-config-address", 4, (pc) => pc.address],
];

for (const [name, span, pick] of DEVICES) {
	deviceContract(
		name,
		() => {
			const clock = new ManualClock();
			const pc = pcFunctions(clock);
			return { device: pick(pc), clock, irqs: [pc.sci, ...pc.lines] };
		},
		{ span },
	);
}
