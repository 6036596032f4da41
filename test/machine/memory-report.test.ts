import { expect, test } from "vitest";
import { machineConfig } from "../../src/config/index.ts";
import { formatMemoryReport, memoryReportJson, reportMemory } from "../../src/machine/memory-report.ts";

const config = machineConfig({ bios: "firmware/demo.bin", memory: "64M" });

test("a machine's memory is told without running it: slots cover what the flat view reads directly", async () => {
	const report = await reportMemory(config);
	const direct = report.flat.filter((range) => range.direct);
	const bytes = direct.reduce((sum, { first, last }) => sum + last - first + 1n, 0n);
	expect(report.slots.reduce((sum, { memorySize }) => sum + memorySize, 0n)).toBe(bytes);
	for (const { guestPhysAddr, flags } of report.slots) {
		const range = direct.find(({ first, last }) => first <= guestPhysAddr && guestPhysAddr <= last);
		expect(flags).toBe(range?.readonly ? 2 : 0);
	}
});

test("the text has the flat view in the form of QEMU's info mtree, and the slots", async () => {
	const text = formatMemoryReport(await reportMemory(config));
	expect(text).toContain("  00000000000c0000-00000000000dffff (prio 1, rom): pc.rom\n");
	expect(text).toContain("  0000000000100000-0000000003ffffff (prio 0, ram): pc.ram @0000000000100000\n");
	expect(text).toContain("  0000000000000000-00000000000bffff (slot 0, flags 0, ram): @");
	expect(text).toContain("alias ram-below-4g @pc.ram 0000000000000000-0000000003ffffff");
});

test("the JSON says the same", async () => {
	const report = await reportMemory(config);
	const json = JSON.parse(memoryReportJson(report)) as {
		flatView: unknown[];
		slots: unknown[];
		tree: { name: string };
	};
	expect([json.flatView.length, json.slots.length]).toEqual([report.flat.length, report.slots.length]);
	expect(json.tree.name).toBe("system");
	expect(json.slots[0]).toMatchObject({ slot: 0, flags: 0, guestPhysAddr: "0x0", memorySize: "0xc0000" });
});
