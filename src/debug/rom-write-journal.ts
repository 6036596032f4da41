import { plural } from "../base/plural.ts";
import { disassemble } from "./disassemble.ts";
import type { CodeMode, RomWrite, RomWriteSink } from "./rom-write.ts";

/** Stores by one instruction to one region. */
interface Site {
	readonly first: RomWrite;
	count: number;
	lowest: number;
	highest: number;
}

/** One entry of {@link RomWriteJournal.toJSON}. Addresses are hexadecimal text, because they may exceed 2^53. */
export interface RomWriteEntry {
	readonly count: number;
	readonly region: string;
	readonly gpa: string;
	readonly lastGpa: string;
	readonly size: number;
	readonly bytes: string;
	readonly cs: string;
	readonly rip: string;
	readonly linear: string;
	readonly instruction: string;
	readonly mode: CodeMode;
	readonly instructions: number;
}

/** Instructions kept apart; stores by further ones are only counted. */
const SITES = 1000;

const MODES: Readonly<Record<CodeMode, string>> = {
	real: "real mode",
	v86: "virtual-8086 mode",
	prot16: "16-bit protected mode",
	prot32: "32-bit protected mode",
	long: "64-bit mode",
};

const hex = (value: number | bigint, digits = 1): string => `0x${value.toString(16).padStart(digits, "0")}`;
const bytesText = (bytes: Uint8Array): string =>
	Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");

/** What was to be stored: a number where the size is a register's, else the bytes in order. */
function valueText(data: Uint8Array): string {
	if (![1, 2, 4, 8].includes(data.length)) return bytesText(data);
	return `0x${Array.from(data, (byte) => byte.toString(16).padStart(2, "0"))
		.reverse()
		.join("")}`;
}

function sameSite(a: RomWrite, b: RomWrite): boolean {
	return a.linear === b.linear && a.cs === b.cs && a.mode === b.mode && a.region === b.region;
}

function sameStore(a: RomWrite, b: RomWrite): boolean {
	return (
		a.gpa === b.gpa &&
		sameSite(a, b) &&
		a.data.length === b.data.length &&
		a.data.every((byte, at) => byte === b.data[at])
	);
}

const copy = (write: RomWrite): RomWrite => ({ ...write, data: write.data.slice(), code: write.code.slice() });

/** Whose store it was: `f000:fff0 (linear 0xffff0) mov [bx], al, in real mode`. */
function byText(write: RomWrite): string {
	const digits = write.mode === "prot32" ? 8 : write.mode === "long" ? 16 : 4;
	const place = `${write.cs.toString(16).padStart(4, "0")}:${write.rip.toString(16).padStart(digits, "0")}`;
	return `${place} (linear ${hex(write.linear)}) ${disassemble(write.code, write.mode, write.rip).text}, in ${MODES[write.mode]}`;
}

/** One store as a line of text. */
export function romWriteLine(write: RomWrite): string {
	const what = `${hex(write.gpa, 8)} (${write.region}) <- ${valueText(write.data)}, ${plural(write.data.length, "byte")}`;
	return `ROM write: ${what}, by ${byText(write)}, after ${plural(write.instructions, "instruction")}`;
}

/**
 * Counts the stores that ROM refused and remembers who made them, folded by instruction.
 * Memory is bounded, whatever the guest does.
 */
export class RomWriteJournal implements RomWriteSink {
	private readonly sites = new Map<string, Site>();
	private recent: Site | undefined;
	private stores = 0;
	private unlisted = 0;
	private readonly log: ((line: string) => void) | undefined;
	private lastLogged: RomWrite | undefined;
	private repeats = 0;

	/** With `log`, every store is also said at once; a store that repeats the one before is only counted. */
	constructor(log?: (line: string) => void) {
		this.log = log;
	}

	/** Stores recorded so far. */
	get count(): number {
		return this.stores;
	}

	record(write: RomWrite): void {
		this.stores++;
		this.note(write);
		if (this.log !== undefined) this.say(write, this.log);
	}

	private note(write: RomWrite): void {
		let site = this.recent;
		if (site === undefined || !sameSite(site.first, write)) {
			const key = `${write.mode} ${write.cs} ${write.linear} ${write.region}`;
			site = this.sites.get(key);
			if (site === undefined) {
				if (this.sites.size >= SITES) {
					this.unlisted++;
					return;
				}
				site = { first: copy(write), count: 0, lowest: write.gpa, highest: write.gpa };
				this.sites.set(key, site);
			}
			this.recent = site;
		}
		site.count++;
		site.lowest = Math.min(site.lowest, write.gpa);
		site.highest = Math.max(site.highest, write.gpa + write.data.length - 1);
	}

	private say(write: RomWrite, log: (line: string) => void): void {
		if (this.lastLogged !== undefined && sameStore(this.lastLogged, write)) {
			this.repeats++;
			return;
		}
		this.flush();
		this.lastLogged = copy(write);
		log(romWriteLine(write));
	}

	/** Says what the log still owes: how often the last store was repeated. */
	flush(): void {
		if (this.repeats > 0) this.log?.(`ROM write: the same again, ${plural(this.repeats, "time")}`);
		this.repeats = 0;
	}

	/** The whole journal for people, a line for each instruction; nothing when there were no stores. */
	summary(): readonly string[] {
		if (this.stores === 0) return [];
		const lines = [
			`ROM writes: ${plural(this.stores, "store")} from ${plural(this.sites.size, "instruction")}; the ROM is unchanged`,
		];
		for (const { first, count, lowest, highest } of this.sites.values()) {
			const range = highest - lowest >= first.data.length ? `${hex(lowest, 8)}..${hex(highest, 8)}` : hex(lowest, 8);
			const times = count === 1 ? "" : `, ${plural(count, "time")}`;
			const value = `${count === 1 ? "" : "first "}${valueText(first.data)}, ${plural(first.data.length, "byte")}`;
			lines.push(`  ${range} (${first.region}) <- ${value}${times}`);
			lines.push(`    by ${byText(first)}, after ${plural(first.instructions, "instruction")}`);
		}
		if (this.unlisted > 0) lines.push(`  and ${plural(this.unlisted, "store")} from further instructions`);
		return lines;
	}

	toJSON(): { readonly count: number; readonly unlisted: number; readonly by: readonly RomWriteEntry[] } {
		const by = Array.from(
			this.sites.values(),
			({ first, count, lowest, highest }): RomWriteEntry => ({
				count,
				region: first.region,
				gpa: hex(lowest),
				lastGpa: hex(highest),
				size: first.data.length,
				bytes: bytesText(first.data),
				cs: hex(first.cs),
				rip: hex(first.rip),
				linear: hex(first.linear),
				instruction: disassemble(first.code, first.mode, first.rip).text,
				mode: first.mode,
				instructions: first.instructions,
			}),
		);
		return { count: this.stores, unlisted: this.unlisted, by };
	}
}
