import { readFileSync } from "node:fs";
import { ManualClock } from "../../src/bus/clock.ts";
import type { AccessSize } from "../../src/bus/device.ts";
import { flashImage } from "../../src/config/flash.ts";
import type { FlashIdentity } from "../../src/devices/pflash.ts";
import { createFlash, type FlashOptions, type TestFlash } from "./flash.ts";
import { FLASH_MACHINES, type FlashMachineName } from "./qemu-flash.ts";

/** One bus cycle: a write of `value`, or a read that gives it. */
export interface FlashCycle {
	readonly kind: "write" | "read";
	/** Bytes from the start of the flash. */
	readonly offset: number;
	readonly size: AccessSize;
	readonly value: number;
	/** Section, line and text, for messages. */
	readonly where: string;
}

export type FlashStep = FlashCycle | { readonly kind: "wait"; readonly ns: number };

/** A recorded session with one flash; `test/vectors/FORMAT.md` has its syntax. */
export interface FlashScript {
	readonly options: FlashOptions;
	readonly contents: Uint8Array;
	/** The machine of QEMU's that it was recorded on; absent: it is what datasheets say. */
	readonly qemu: FlashMachineName | undefined;
	readonly steps: readonly FlashStep[];
}

/** Bytes that hold 0, 1, 2, .. 255, 0, .. at the start; what follows is 0. */
const COUNTED = 0x3_0000;
const SIZES = { b: 1, w: 2, d: 4 } as const;
const UNITS = { ns: 1, us: 1e3, ms: 1e6, s: 1e9 } as const;
const WIDTHS = { 8: 1, 16: 2, 32: 4 } as const;

/** @throws Error naming the line that is not understood. */
export function parseFlashScript(text: string): FlashScript {
	const header = new Map<string, string>();
	const steps: FlashStep[] = [];
	let section = "";
	let unit: AccessSize = 1;
	text.split("\n").forEach((raw, index) => {
		const line = raw.replace(/#.*/, "").trim();
		const where = `line ${index + 1} (${section}): ${line}`;
		const [, key, value] = /^(flash|qemu|identity|bytes): *(.*)$/.exec(line) ?? [];
		const [, wait, waitUnit] = /^wait ([0-9]+)(ns|us|ms|s)$/.exec(line) ?? [];
		const [, letter, items] = /^([bwdc]) (.+)$/.exec(line) ?? [];
		if (line === "") return;
		if (line.startsWith("== ")) section = line.slice(3);
		else if (key !== undefined && value !== undefined) {
			header.set(key, value);
			if (key === "flash") unit = WIDTHS[flashImage.parse(`file,${value}`).chips.bankWidth];
		} else if (wait !== undefined) {
			steps.push({ kind: "wait", ns: Number(wait) * UNITS[waitUnit as keyof typeof UNITS] });
		} else if (items !== undefined) {
			const scale = letter === "c" ? unit : 1;
			const size = letter === "c" ? unit : SIZES[letter as keyof typeof SIZES];
			for (const item of items.split(/ +/)) steps.push(cycleOf(item, size, scale, where));
		} else throw new Error(`not understood: ${where}`);
	});
	return { ...describe(header), steps };
}

function cycleOf(item: string, size: AccessSize, scale: number, where: string): FlashCycle {
	const [, address, sign, digits] = /^([0-9a-f]+)([:=])([0-9a-f]+)$/.exec(item) ?? [];
	if (address === undefined || digits === undefined) throw new Error(`not understood: ${item} in ${where}`);
	const kind = sign === ":" ? "write" : "read";
	return { kind, offset: Number.parseInt(address, 16) * scale, size, value: Number.parseInt(digits, 16), where };
}

function describe(header: ReadonlyMap<string, string>): Omit<FlashScript, "steps"> {
	const { readonly, chips } = flashImage.parse(`file,${header.get("flash")}`);
	const bytes = Number(header.get("bytes"));
	const [manufacturer, device] = (header.get("identity") ?? "").split(" ").map((code) => Number.parseInt(code, 16));
	const identity: FlashIdentity | undefined =
		manufacturer === undefined || device === undefined ? undefined : { manufacturer, device };
	const fixed = chips.blocks.reduce((sum, { count = 0, size }) => sum + count * size, 0);
	const { deviceWidth } = chips;
	const qemu = header.get("qemu");
	if (qemu !== undefined && !(qemu in FLASH_MACHINES)) throw new Error(`no machine ${qemu}`);
	return {
		options: {
			...{ commandSet: chips.commandSet, strict: chips.strict, timing: chips.timing, locked: chips.locked, readonly },
			bankWidth: WIDTHS[chips.bankWidth],
			deviceWidth: deviceWidth && WIDTHS[deviceWidth],
			identity,
			blocks: chips.blocks.map(({ count, size }) => ({ count: count ?? (bytes - fixed) / size, size })),
		},
		contents: Uint8Array.from({ length: bytes }, (_, at) => (at < COUNTED ? at : 0)),
		qemu: qemu as FlashMachineName | undefined,
	};
}

/** What carries a script's steps out. */
export interface FlashPlayer {
	read(offset: number, size: AccessSize): number | Promise<number>;
	write(offset: number, size: AccessSize, value: number): void;
	wait(ns: number): void | Promise<void>;
}

/** The model as a script wants it. */
export function modelOf({ options, contents }: FlashScript): FlashPlayer {
	const { device, clock } = createFlash({ ...options, contents: contents.slice() });
	return {
		read: (offset, size) => device.read(offset, size),
		write: (offset, size, value) => device.write(offset, size, value),
		wait: (ns) => clock.advance(ns),
	};
}

/** The same, but each step finds a new device that has loaded what the one before it saved. */
export function reloadedModelOf({ options, contents }: FlashScript): FlashPlayer {
	const bytes = contents.slice();
	let time = 0;
	let saved: unknown;
	const step = <T>(act: (flash: TestFlash) => T): T => {
		const clock = new ManualClock();
		clock.advance(time);
		const flash = createFlash({ ...options, contents: bytes, clock });
		if (saved !== undefined) flash.device.load(saved);
		const result = act(flash);
		time = clock.now();
		saved = JSON.parse(JSON.stringify(flash.device.save()));
		return result;
	};
	return {
		read: (offset, size) => step(({ device }) => device.read(offset, size)),
		write: (offset, size, value) => step(({ device }) => device.write(offset, size, value)),
		wait: (ns) => step(({ clock }) => clock.advance(ns)),
	};
}

/** Plays all steps. @returns what reads gave that differs: place, what the script has, what there was. */
export async function playFlashScript({ steps }: FlashScript, player: FlashPlayer): Promise<string[]> {
	const wrong: string[] = [];
	const hex = (value: number): string => value.toString(16);
	for (const step of steps) {
		if (step.kind === "wait") await player.wait(step.ns);
		else if (step.kind === "write") player.write(step.offset, step.size, step.value);
		else {
			const value = await player.read(step.offset, step.size);
			if (value !== step.value) {
				wrong.push(`${step.where}: byte ${hex(step.offset)} has ${hex(step.value)}, read ${hex(value)}`);
			}
		}
	}
	return wrong;
}

export function readFlashScript(path: string): FlashScript {
	return parseFlashScript(readFileSync(path, "utf8"));
}
