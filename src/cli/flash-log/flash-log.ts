import { plural } from "../../base/plural.ts";
import type { FlashEvent, FlashSink, Moment } from "../../machine/outcome.ts";
import { type Meaning, NvWrites } from "../../uefi/nv-write.ts";
import { type FlashRecord, recordJson, recordText } from "./record.ts";

/** The machine that a log is of. */
export interface LoggedMachine {
	readonly moment: Moment;
	flashCells(unit: number): Uint8Array;
}

/** Records that wait for the name of a variable, at most. */
const MAX_WAITING = 32;
/** Bytes of programs that become one record, at most. */
const MAX_FOLDED = 65536;

/** Programs of single bytes on their way to becoming one record. */
interface Folding {
	readonly unit: number;
	readonly moment: Moment;
	readonly event: FlashEvent;
	readonly bytes: number[];
	count: number;
}

/** What became of one flash unit. */
interface UnitTotals {
	readonly writes: NvWrites;
	programmedBytes: number;
	/** By block. */
	readonly erases: Map<number, number>;
	romdSwitches: number;
}

/**
 * `--flash-log`: a line for each thing that a flash was told or did. Programs of bytes that lie one after the other are one
 * record, and so is what repeats. A record that needs the name of a variable waits until the guest has written it.
 */
export class FlashLog implements FlashSink {
	private readonly machine: () => LoggedMachine;
	private readonly line: (line: string) => void;
	private readonly json: boolean;
	private readonly units = new Map<number, UnitTotals>();
	private folding: Folding | undefined;
	private waiting: { readonly record: FlashRecord; readonly bytes: Uint8Array | undefined }[] = [];

	/** `line` takes a line without its end. `json`: lines of JSON instead of text. */
	constructor(machine: () => LoggedMachine, json: boolean, line: (line: string) => void) {
		this.machine = machine;
		this.json = json;
		this.line = line;
	}

	record(unit: number, event: FlashEvent): void {
		const totals = this.unit(unit);
		if (event.kind === "program" || event.kind === "program-buffer") totals.programmedBytes += event.bytes.length;
		if (event.kind === "romd") totals.romdSwitches++;
		if (this.folds(unit, event)) return;
		this.finishFolding();
		const bytes = "bytes" in event ? Array.from(event.bytes) : [];
		this.folding = { unit, moment: this.machine().moment, event, bytes, count: 1 };
		if (event.kind === "erase") totals.erases.set(event.block, (totals.erases.get(event.block) ?? 0) + 1);
	}

	/** Everything becomes a line, and the end says what it comes to. */
	finish(): void {
		this.finishFolding();
		this.release(0);
		for (const [unit, totals] of [...this.units].sort(([a], [b]) => a - b)) this.line(this.total(unit, totals));
	}

	private unit(unit: number): UnitTotals {
		let totals = this.units.get(unit);
		if (totals === undefined) {
			const writes = new NvWrites(this.machine().flashCells(unit));
			totals = { writes, programmedBytes: 0, erases: new Map(), romdSwitches: 0 };
			this.units.set(unit, totals);
		}
		return totals;
	}

	/** Whether `event` belongs to the record that is being made. */
	private folds(unit: number, event: FlashEvent): boolean {
		const { folding } = this;
		if (folding?.unit !== unit || folding.event.kind !== event.kind) return false;
		if (event.kind === "program" && folding.event.kind === "program") {
			if (event.offset !== folding.event.offset + folding.bytes.length || folding.bytes.length >= MAX_FOLDED)
				return false;
			for (const byte of event.bytes) folding.bytes.push(byte);
			return true;
		}
		if (!isSame(folding.event, event)) return false;
		folding.count++;
		return true;
	}

	private finishFolding(): void {
		const { folding } = this;
		if (folding === undefined) return;
		this.folding = undefined;
		const { unit, moment, count } = folding;
		const program = folding.event.kind === "program" || folding.event.kind === "program-buffer";
		const bytes = program ? Uint8Array.from(folding.bytes) : undefined;
		const event = bytes === undefined ? folding.event : ({ ...folding.event, bytes } as FlashEvent);
		const erases = event.kind === "erase" ? { erases: this.unit(unit).erases.get(event.block) ?? 0 } : {};
		this.waiting.push({ record: { unit, moment, event, count, ...erases }, bytes });
		this.release(MAX_WAITING);
	}

	/** Brings out records in their order, as far as their meaning is known; more than `most` do not wait. */
	private release(most: number): void {
		for (let first = this.waiting[0]; first !== undefined; first = this.waiting[0]) {
			const meaning = this.meaning(first.record, first.bytes);
			if (meaning?.unfinished && this.waiting.length <= most) return;
			this.waiting.shift();
			this.write(meaning === undefined ? first.record : { ...first.record, meaning: meaning.text });
		}
	}

	private meaning({ unit, event }: FlashRecord, bytes: Uint8Array | undefined): Meaning | undefined {
		if (bytes === undefined || !("offset" in event)) return undefined;
		return this.unit(unit).writes.meaningOf(event.offset, bytes);
	}

	private write(record: FlashRecord): void {
		this.line(this.json ? recordJson(record) : recordText(record));
	}

	private total(unit: number, { programmedBytes, erases, romdSwitches }: UnitTotals): string {
		const blocks = [...erases].sort(([a], [b]) => a - b);
		if (this.json) {
			return JSON.stringify({ unit, kind: "total", programmedBytes, romdSwitches, erases: Object.fromEntries(blocks) });
		}
		const erased = blocks.length === 0 ? "nothing erased" : `erased: ${runs(blocks).join(", ")}`;
		const switches = plural(romdSwitches, "ROMD switch", "ROMD switches");
		return `flash ${unit}: ${plural(programmedBytes, "byte")} programmed, ${switches}, ${erased}`;
	}
}

/** Neighbouring blocks that were erased as often as each other. */
function runs(blocks: readonly (readonly [block: number, count: number])[]): readonly string[] {
	const found: { first: number; last: number; count: number }[] = [];
	for (const [block, count] of blocks) {
		const last = found.at(-1);
		if (last !== undefined && last.last === block - 1 && last.count === count) last.last = block;
		else found.push({ first: block, last: block, count });
	}
	return found.map(({ first, last, count }) => {
		const numbers = first === last ? `block ${first}` : `blocks ${first} to ${last}`;
		return `${numbers} ${count === 1 ? "once" : plural(count, "time")}`;
	});
}

/** Whether one record can stand for both. */
function isSame(a: FlashEvent, b: FlashEvent): boolean {
	if (a.kind === "erase" || a.kind === "program-buffer" || a.kind === "romd") return false;
	return JSON.stringify({ ...a, offset: 0 }) === JSON.stringify({ ...b, offset: 0 });
}
