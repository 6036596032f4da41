import { expect, test } from "vitest";
import { Region } from "../../src/memory/region.ts";
import { formatRegionTree, regionTree } from "../../src/memory/region-tree.ts";
import { Topology } from "../../src/memory/topology.ts";

test("the tree shows children by address, aliases with what they show, and what is switched off", () => {
	const topology = new Topology();
	const root = new Region(topology, "system", 0x10000, { kind: "container" });
	const ram = new Region(topology, "ram", 0x8000, { kind: "ram", userspaceAddr: 0n });
	const device = new Region(topology, "device", 0x100, { kind: "mmio" });
	const rom = new Region(topology, "rom", 0x1000, { kind: "rom", userspaceAddr: 0x10000n });
	root.add(rom, 0xf000);
	root.add(new Region(topology, "low", 0x4000, { kind: "alias", target: ram, offset: 0x1000n }), 0);
	root.add(device, 0x2000, { priority: 1 });
	device.setEnabled(false);
	expect(formatRegionTree(regionTree(root))).toBe(
		[
			"  0000000000000000-000000000000ffff (prio 0, i/o): system",
			"    0000000000000000-0000000000003fff (prio 0, ram): alias low @ram 0000000000001000-0000000000004fff",
			"    0000000000002000-00000000000020ff (prio 1, i/o): device [disabled]",
			"    000000000000f000-000000000000ffff (prio 0, rom): rom",
			"",
		].join("\n"),
	);
});
