import { spawn } from "node:child_process";
import { expect, test } from "vitest";
import { describeWith } from "../support/guest-files.ts";
import { MACHINE_ENGINES, type MachineRun, runMachine } from "../support/run-machine.ts";

const LAST_LINE = "No bootable device.";
/** SeaBIOS is done after some 5.5 million instructions and idles from then on. */
const ENOUGH = "6M";

/**
 * Lines that are not QEMU's, and why. ACPI and SMBIOS tables are our own, so their sizes differ, and with them every address
 * that SeaBIOS gives to what it puts behind or below them.
 */
const DIFFERENT = [
	{ line: /^Copying MPTABLE from 0x00006cfc\/[0-9a-f]+ to 0x000f5ba0$/, because: "it was built above the tables" },
	{ line: /^Copying SMBIOS from 0x00006cfc to 0x000f5[0-9a-f]{3}$/, because: "smaller SMBIOS tables" },
	{ line: /^table\(50434146\)=0x07fe[0-9a-f]{4} \(via rsdt\)$/, because: "a smaller DSDT lies before the FADT" },
	{ line: /^ACPI: parse DSDT at 0x07fe0040 \(len \d+\)$/, because: "a smaller DSDT" },
	{ line: /^Space available for UMB: c0000-e8800, f5500-f5[0-9a-f]{3}$/, because: "smaller SMBIOS tables" },
];

const lines = (log: string): string[] => log.replaceAll("\r", "").trimEnd().split("\n");

/** What the BIOS logs on QEMU's `pc` with the devices that ours has. */
async function qemuLog(qemu: string, bios: string): Promise<string[]> {
	const devices = ["-nodefaults", "-vga", "none", "-display", "none", "-serial", "null", "-global", "apic.vapic=off"];
	const log = ["-debugcon", "stdio", "-global", "isa-debugcon.iobase=0x402"];
	const words = ["-M", "pc,smm=off", "-m", "128", ...devices, ...log, "-bios", bios];
	const child = spawn(qemu, words, { stdio: ["ignore", "pipe", "ignore"] });
	let text = "";
	for await (const piece of child.stdout) {
		text += piece;
		if (text.includes(LAST_LINE)) break;
	}
	child.kill();
	return lines(text);
}

const summary = ({ outcome, debugcon, ramHash }: MachineRun) => ({
	end: outcome.end,
	instructions: outcome.instructions,
	guestTimeNs: outcome.guestTimeNs,
	debugcon,
	ramHash,
});

describeWith(["seabios"], "SeaBIOS", (bios) => {
	test.each(MACHINE_ENGINES)("boots to where nothing can be booted, %s", async (engine) => {
		const { outcome, debugcon, romWrites } = await runMachine({ bios, engine, "max-instructions": ENOUGH });
		expect(lines(debugcon)[0]).toMatch(/^SeaBIOS \(version /);
		expect(lines(debugcon).at(-1)).toBe(LAST_LINE);
		expect(outcome.end).toEqual({ kind: "instruction-limit" });
		expect(outcome.instructions).toBe(6_000_000);
		expect(romWrites).toEqual([]);
	});

	test("boots the same in ten runs on both engines", async () => {
		const runs: ReturnType<typeof summary>[] = [];
		for (let n = 0; n < 10; n++) {
			const engine = MACHINE_ENGINES[n % MACHINE_ENGINES.length]!;
			runs.push(summary(await runMachine({ bios, engine, "max-instructions": ENOUGH })));
		}
		expect(runs).toEqual(runs.map(() => runs[0]));
	});

	test.each(["1M", "3G"])("boots with %s of RAM", async (memory) => {
		const { debugcon } = await runMachine({ bios, memory, engine: "compiled", "max-instructions": ENOUGH });
		expect(lines(debugcon).at(-1)).toBe(LAST_LINE);
	});

	test("boots from flash, which it leaves as it was", async () => {
		const { debugcon, outcome } = await runMachine({ flash: `${bios},readonly`, "max-instructions": ENOUGH });
		expect(lines(debugcon).at(-1)).toBe(LAST_LINE);
		expect(outcome.flash).toEqual([{ romdSwitches: 0, erasedBlocks: 0, programmedBytes: 0 }]);
	});
});

describeWith(["seabios", "qemu"], "SeaBIOS beside QEMU", (bios, qemu) => {
	test("logs what it logs on QEMU's pc, line for line, but for addresses of our own tables", async () => {
		const theirs = await qemuLog(qemu, bios);
		const { debugcon } = await runMachine({ bios, memory: "128M", "max-instructions": ENOUGH });
		const ours = lines(debugcon);
		expect(ours).toHaveLength(theirs.length);
		const different = ours.flatMap((line, n) => (line === theirs[n] ? [] : [[theirs[n]!, line]]));
		const explained = different.filter((pair) => DIFFERENT.some(({ line }) => pair.every((text) => line.test(text))));
		expect(different).toEqual(explained);
		expect(explained.length).toBeLessThanOrEqual(DIFFERENT.length);
	});
});
