import { describe, expect, test } from "vitest";
import { UserError } from "../../src/base/errors.ts";
import { gpa } from "../../src/base/gpa.ts";
import { AddressSpace } from "../../src/memory/address-space.ts";
import { FlatView, formatFlatView, render } from "../../src/memory/flat-view.ts";
import { Region, type RegionBody } from "../../src/memory/region.ts";
import { Topology } from "../../src/memory/topology.ts";

function builder() {
	const topology = new Topology();
	const region = (name: string, size: number, body: RegionBody) => new Region(topology, name, size, body);
	return {
		topology,
		container: (name: string, size: number) => region(name, size, { kind: "container" }),
		ram: (name: string, size: number) => region(name, size, { kind: "ram", userspaceAddr: 0x10000n }),
		rom: (name: string, size: number) => region(name, size, { kind: "rom", userspaceAddr: 0x20000n }),
		romd: (name: string, size: number) => region(name, size, { kind: "romd", userspaceAddr: 0x30000n }),
		mmio: (name: string, size: number) => region(name, size, { kind: "mmio" }),
		reserved: (name: string, size: number) => region(name, size, { kind: "reserved" }),
		alias: (name: string, size: number, target: Region, offset: number, readonly = false) =>
			region(name, size, { kind: "alias", target, offset: BigInt(offset), readonly }),
	};
}

/** `name first-last @offset flags`, in hexadecimal. */
function shape(root: Region): string[] {
	return render(root).map(
		({ first, last, region, offset, readonly, direct }) =>
			`${region.name} ${first.toString(16)}-${last.toString(16)} @${offset.toString(16)}${readonly ? " ro" : ""}${direct ? " direct" : ""}`,
	);
}

describe("rendering", () => {
	test("an empty container shows nothing", () => {
		const { container } = builder();
		expect(shape(container("root", 0x10000))).toEqual([]);
	});

	test("the documented overlap: higher priority wins, holes in a container let lower ones through", () => {
		const { container, mmio } = builder();
		// A: 0-8000 container; C: 0-6000 prio 1 leaf; B: 2000-6000 prio 2 container with D at 0 and E at 2000, 0x1000 each.
		const [a, b, c] = [container("A", 0x8000), container("B", 0x4000), mmio("C", 0x6000)];
		b.add(mmio("D", 0x1000), 0);
		b.add(mmio("E", 0x1000), 0x2000);
		a.add(c, 0, { priority: 1 });
		a.add(b, 0x2000, { priority: 2 });
		expect(shape(a)).toEqual([
			"C 0-1fff @0",
			"D 2000-2fff @0",
			"C 3000-3fff @3000",
			"E 4000-4fff @0",
			"C 5000-5fff @5000",
		]);
	});

	test("a priority counts only among the children of one region", () => {
		const { container, mmio } = builder();
		const [root, low, high] = [container("root", 0x1000), container("low", 0x1000), container("high", 0x1000)];
		low.add(mmio("proud", 0x1000), 0, { priority: 1000 });
		high.add(mmio("humble", 0x800), 0, { priority: -1000 });
		root.add(low, 0, { priority: -1 });
		root.add(high, 0);
		expect(shape(root)).toEqual(["humble 0-7ff @0", "proud 800-fff @800"]);
	});

	test("of equal priorities with overlap declared, the one added later wins", () => {
		const { container, mmio } = builder();
		const root = container("root", 0x1000);
		root.add(mmio("earlier", 0x800), 0);
		root.add(mmio("later", 0x800), 0x400, { overlap: true });
		expect(shape(root)).toEqual(["earlier 0-3ff @0", "later 400-bff @0"]);
	});

	test("a leaf with children shows them above itself", () => {
		const { ram, mmio } = builder();
		const root = ram("ram", 0x3000);
		root.add(mmio("hole", 0x1000), 0x1000);
		expect(shape(root)).toEqual(["ram 0-fff @0 direct", "hole 1000-1fff @0", "ram 2000-2fff @2000 direct"]);
	});

	test("what reaches beyond its parent is cut off, up to the end of the space", () => {
		const { topology, container, mmio } = builder();
		const space = new Region(topology, "system", 1n << 64n, { kind: "container" });
		const inner = container("inner", 0x2000);
		inner.add(mmio("long", 0x4000), 0x1000);
		space.add(inner, 0x10000);
		space.add(mmio("top", 0x4000), (1n << 64n) - 0x1000n);
		expect(shape(space)).toEqual(["long 11000-11fff @0", "top fffffffffffff000-ffffffffffffffff @0"]);
	});

	test("an alias shows its window of the target, also from before the target's start", () => {
		const { container, ram, alias } = builder();
		const [root, memory] = [container("root", 0x100000), ram("memory", 0x10000)];
		root.add(alias("low", 0x1000, memory, 0), 0);
		root.add(alias("high", 0x10000, memory, 0x1000), 0x80000);
		expect(shape(root)).toEqual(["memory 0-fff @0 direct", "memory 80000-8efff @1000 direct"]);
	});

	test("an alias of a container shows the container's children, and nothing where it has none", () => {
		const { container, ram, rom, alias } = builder();
		const [root, pci] = [container("root", 0x10000), container("pci", 0x10000)];
		pci.add(rom("option", 0x1000), 0x4000);
		root.add(ram("ram", 0x10000), 0);
		root.add(pci, 0, { priority: -1 });
		root.add(alias("pam", 0x4000, pci, 0x4000), 0x4000, { priority: 1 });
		expect(shape(root)).toEqual([
			"ram 0-3fff @0 direct",
			"option 4000-4fff @0 ro direct",
			"ram 5000-ffff @5000 direct",
		]);
	});

	test("a readonly alias of ram is readonly, another alias of it is not, and the two do not merge", () => {
		const { container, ram, alias } = builder();
		const [root, memory] = [container("root", 0x10000), ram("memory", 0x2000)];
		root.add(alias("locked", 0x1000, memory, 0, true), 0);
		root.add(alias("open", 0x1000, memory, 0x1000), 0x1000);
		expect(shape(root)).toEqual(["memory 0-fff @0 ro direct", "memory 1000-1fff @1000 direct"]);
	});

	test("neighbouring windows of one region merge where the offsets go on", () => {
		const { container, ram, alias } = builder();
		const [root, memory] = [container("root", 0x10000), ram("memory", 0x4000)];
		root.add(alias("a", 0x1000, memory, 0), 0);
		root.add(alias("b", 0x1000, memory, 0x1000), 0x1000);
		root.add(alias("c", 0x1000, memory, 0x3000), 0x2000);
		expect(shape(root)).toEqual(["memory 0-1fff @0 direct", "memory 2000-2fff @3000 direct"]);
	});

	test("a disabled region and the aliases of it show nothing", () => {
		const { container, ram, alias } = builder();
		const [root, memory] = [container("root", 0x10000), ram("memory", 0x1000)];
		root.add(alias("window", 0x1000, memory, 0), 0);
		memory.setEnabled(false);
		expect(shape(root)).toEqual([]);
	});

	test("a reserved region hides what lies below", () => {
		const { container, ram, reserved } = builder();
		const root = container("root", 0x2000);
		root.add(ram("ram", 0x2000), 0);
		root.add(reserved("nobody", 0x1000), 0, { priority: 1 });
		expect(shape(root)).toEqual(["nobody 0-fff @0", "ram 1000-1fff @1000 direct"]);
	});

	test("romd is direct in array mode only", () => {
		const { container, romd } = builder();
		const [root, flash] = [container("root", 0x2000), romd("flash", 0x1000)];
		root.add(flash, 0);
		expect(shape(root)).toEqual(["flash 0-fff @0 direct"]);
		flash.setDirect(false);
		expect(shape(root)).toEqual(["flash 0-fff @0"]);
	});
});

describe("building", () => {
	test("siblings of one priority that share an address are refused, both named", () => {
		const { container, mmio } = builder();
		const root = container("root", 0x10000);
		root.add(mmio("ioapic", 0x1000), 0x1000);
		expect(() => root.add(mmio("flash", 0x1000), 0x1fff)).toThrow(
			new UserError("flash at 0x1fff..0x2ffe overlaps ioapic at 0x1000..0x1fff; they need different places"),
		);
		expect(() => root.add(mmio("flash", 0x1000), 0x2000)).not.toThrow();
	});

	test("a refused region stays out", () => {
		const { container, mmio } = builder();
		const root = container("root", 0x10000);
		root.add(mmio("first", 0x1000), 0);
		expect(() => root.add(mmio("second", 0x1000), 0)).toThrow(UserError);
		expect(shape(root)).toEqual(["first 0-fff @0"]);
	});

	test("a move onto a sibling is refused and changes nothing; a move over its own place is not", () => {
		const { container, mmio } = builder();
		const root = container("root", 0x10000);
		const [a, b] = [mmio("a", 0x2000), mmio("b", 0x1000)];
		root.add(a, 0);
		root.add(b, 0x4000);
		expect(() => a.move(0x3000)).toThrow(UserError);
		expect(a.offset).toBe(0n);
		a.move(0x1000);
		expect(shape(root)).toEqual(["a 1000-2fff @0", "b 4000-4fff @0"]);
	});

	test("a region that would contain itself is a bug", () => {
		const { container, alias } = builder();
		const [root, inner] = [container("root", 0x1000), container("inner", 0x1000)];
		root.add(inner, 0);
		expect(() => inner.add(alias("loop", 0x1000, root, 0), 0)).toThrow("loop contains inner");
	});
});

describe("transactions", () => {
	test("changes show once, when the outermost transaction commits", () => {
		const { topology, container, mmio } = builder();
		const root = container("root", 0x10000);
		const space = new AddressSpace(topology, root);
		const seen: number[] = [];
		space.follow((view) => seen.push(view.ranges.length));
		topology.transaction(() => {
			root.add(mmio("a", 0x1000), 0);
			topology.transaction(() => root.add(mmio("b", 0x1000), 0x2000));
			expect(space.view.ranges.length).toBe(0);
		});
		expect(seen).toEqual([0, 2]);
	});

	test("a transaction without a change renders nothing anew", () => {
		const { topology, container, mmio } = builder();
		const root = container("root", 0x10000);
		const device = mmio("a", 0x1000);
		root.add(device, 0);
		const before = new AddressSpace(topology, root);
		const { view } = before;
		topology.transaction(() => device.setEnabled(true));
		expect(before.view).toBe(view);
	});

	test("a change outside a transaction shows at once", () => {
		const { topology, container, mmio } = builder();
		const root = container("root", 0x10000);
		const space = new AddressSpace(topology, root);
		const device = mmio("a", 0x1000);
		root.add(device, 0);
		root.remove(device);
		expect(space.view.ranges).toEqual([]);
	});
});

test("a view finds the range of an address, and nothing in a hole", () => {
	const { container, mmio } = builder();
	const root = container("root", 0x10000);
	root.add(mmio("a", 0x1000), 0x1000);
	root.add(mmio("b", 0x1000), 0x4000);
	const view = new FlatView(render(root));
	const found = [0xfff, 0x1000, 0x1fff, 0x2000, 0x4000, 0x5000].map((at) => view.find(gpa(at))?.region.name);
	expect(found).toEqual([undefined, "a", "a", undefined, "b", undefined]);
});

test("a view prints as QEMU prints it", () => {
	const { container, ram, rom, romd, mmio, alias } = builder();
	const root = container("root", 0x10_0000_0000);
	const flash = romd("flash1", 0x1000);
	flash.setDirect(false);
	root.add(alias("ram-below", 0x1000, ram("ram", 0x2000), 0x1000), 0);
	root.add(rom("rom", 0x1000), 0x8000, { priority: 1 });
	root.add(mmio("msi", 0x1000), 0xfee00000, { priority: 4096 });
	root.add(romd("flash0", 0x1000), 0x1_0000_0000);
	root.add(flash, 0x1_0000_1000);
	expect(formatFlatView(render(root))).toBe(
		[
			"  0000000000000000-0000000000000fff (prio 0, ram): ram @0000000000001000",
			"  0000000000008000-0000000000008fff (prio 1, rom): rom",
			"  00000000fee00000-00000000fee00fff (prio 4096, i/o): msi",
			"  0000000100000000-0000000100000fff (prio 0, romd): flash0",
			"  0000000100001000-0000000100001fff (prio 0, i/o): flash1",
			"",
		].join("\n"),
	);
	expect(formatFlatView([])).toBe("  No rendered FlatView\n");
});
