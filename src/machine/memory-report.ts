import { assert } from "../base/errors.ts";
import { ManualClock } from "../bus/clock.ts";
import type { MachineConfig } from "../config/index.ts";
import { Vm } from "../kvm/vm.ts";
import { type FlatRange, formatFlatView } from "../memory/flat-view.ts";
import { formatRegionTree, type RegionNode, regionTree } from "../memory/region-tree.ts";
import type { MemoryMap } from "./memory-map.ts";
import { PcMemory } from "./pc/memory.ts";

/** A memory slot of a machine: what its processor may touch directly. */
export interface SlotLine {
	/** Id, address space in bits 16 and up. */
	readonly slot: number;
	/** KVM_MEM_LOG_DIRTY_PAGES (1), KVM_MEM_READONLY (2). */
	readonly flags: number;
	readonly guestPhysAddr: bigint;
	readonly memorySize: bigint;
	readonly userspaceAddr: bigint;
}

/** How a machine's guest-physical memory is laid out at power-on. */
export interface MemoryReport {
	/** The region tree as declared. */
	readonly tree: RegionNode;
	/** The flat view: what of it the processor sees. */
	readonly flat: readonly FlatRange[];
	/** The slots that follow from it. */
	readonly slots: readonly SlotLine[];
}

/**
 * Builds the memory of a machine, and nothing else of it; it does not run, and files are only read.
 * @throws UserError for images that are missing, of a size that cannot be placed, or in use.
 */
export async function reportMemory(given: MachineConfig): Promise<MemoryReport> {
	const config = given.firmware === undefined ? given : await withFirmware(given, given.firmware);
	const vm = await Vm.create({ physicalBits: 40 });
	const clock = new ManualClock();
	const memory = new PcMemory(config, {
		vm,
		clock,
		shadow: true,
		host: {},
		romStore: () => {},
		unsaved: () => {},
		trace: () => undefined,
	});
	try {
		memory.follow();
		return currentMemory(vm, memory.map);
	} finally {
		memory.close();
	}
}

/** The configuration with files in place of the firmware's name. */
async function withFirmware(config: MachineConfig, name: string): Promise<MachineConfig> {
	const { chooseFirmware } = await import("./chosen-firmware.ts");
	return chooseFirmware(config, name, { onlyLooks: true }).config;
}

/** The same of a machine that runs, as it is. */
export function currentMemory(vm: Vm, { space }: MemoryMap): MemoryReport {
	const { root, view } = space;
	assert(root.offset === 0n, "the root of the memory map");
	const slots = vm.slots.list().map(({ slot, flags, first, npages, userspaceAddr }) => ({
		slot,
		flags,
		guestPhysAddr: BigInt(first),
		memorySize: BigInt(npages) * 4096n,
		userspaceAddr,
	}));
	return { tree: regionTree(root), flat: view.ranges, slots };
}

/** The report for people: the tree and the flat view in the forms of QEMU's `info mtree`, then the slots. */
export function formatMemoryReport(report: MemoryReport): string {
	return `${formatTree(report)}\n${formatSlots(report)}`;
}

/** The slots of it. */
export function formatSlots({ slots }: MemoryReport): string {
	const hex = (value: bigint): string => value.toString(16).padStart(16, "0");
	const lines = slots.map(({ slot, flags, guestPhysAddr, memorySize, userspaceAddr }) => {
		const kind = flags & 2 ? "readonly" : "ram";
		const last = guestPhysAddr + memorySize - 1n;
		return `  ${hex(guestPhysAddr)}-${hex(last)} (slot ${slot}, flags ${flags}, ${kind}): @${hex(userspaceAddr)}\n`;
	});
	return `Slots\n${lines.join("")}`;
}

/** The tree and the flat view of it. */
export function formatTree({ tree, flat }: MemoryReport): string {
	return [
		`memory-region: ${tree.name}\n${formatRegionTree(tree)}`,
		`FlatView #0\n AS "memory", root: ${tree.name}\n Root memory region: ${tree.name}\n${formatFlatView(flat)}`,
	].join("\n");
}

/** The report for programs; addresses and sizes as hexadecimal strings. */
export function memoryReportJson({ tree, flat, slots }: MemoryReport): string {
	const report = {
		tree,
		flatView: flat.map(({ first, last, region, offset, readonly, direct }) => {
			return { first, last, region: region.name, offset, priority: region.priority, readonly, direct };
		}),
		slots,
	};
	const text = (_key: string, value: unknown): unknown =>
		typeof value === "bigint" ? `0x${value.toString(16)}` : value;
	return `${JSON.stringify(report, text, "\t")}\n`;
}
