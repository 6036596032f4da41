import { plural } from "../../base/plural.ts";
import type { FlashEvent, Moment } from "../../machine/outcome.ts";
import { hex } from "../../uefi/bytes.ts";

/** What a flash was told or did; several like it, one after the other, are one record. */
export interface FlashRecord {
	readonly unit: number;
	/** Of the first one. */
	readonly moment: Moment;
	/** The first one; bytes are those of all. */
	readonly event: FlashEvent;
	/** How many there were. */
	readonly count: number;
	/** How often that block has been erased in this run, this time included. */
	readonly erases?: number;
	/** What the write was for. */
	readonly meaning?: string;
}

/** Bytes that a record shows; the flash itself has them all. */
const SHOWN_BYTES = 16;

/** A record as a line for people: `0.012345 s  #1234567  0038:7e5f1a2c  flash 1: program 60 bytes at 0x1040: header of variable BootOrder`. */
export function recordText(record: FlashRecord): string {
	const { moment, unit, meaning } = record;
	const when = `${(moment.timeNs / 1e9).toFixed(6).padStart(10)} s  #${moment.instructions}`;
	const where = `${moment.cs.toString(16).padStart(4, "0")}:${moment.rip.toString(16).padStart(4, "0")}`;
	return `${when}  ${where}  flash ${unit}: ${eventText(record)}${meaning === undefined ? "" : `: ${meaning}`}`;
}

function eventText({ event, count, erases }: FlashRecord): string {
	const times = count === 1 ? "" : `, ${plural(count, "time")}`;
	switch (event.kind) {
		case "program":
		case "program-buffer": {
			const buffer = event.kind === "program" ? "" : " by the buffer";
			return `program ${plural(event.bytes.length, "byte")} at ${address(event.offset)}${buffer}`;
		}
		case "erase":
			return `erase block ${event.block} (${address(event.offset)} to ${address(event.offset + event.length - 1)})${erases === 1 ? "" : `, time ${erases}`}`;
		case "lock":
			return `${event.action} block ${event.block}${times}`;
		case "unknown":
			return `unknown command ${event.cycles.map((cycle) => cycle.toString(16).padStart(2, "0")).join(" ")} at ${address(event.offset)}${times}`;
		case "error":
			return `refused (${REFUSALS[event.reason]}), status 0x${event.status.toString(16)}${times}`;
		case "romd":
			return event.on ? "reads come from the array again" : "reads are answered by the chip";
		default:
			return `${event.kind.replaceAll("-", " ")}${times}`;
	}
}

const REFUSALS: Readonly<Record<Extract<FlashEvent, { kind: "error" }>["reason"], string>> = {
	readonly: "it is read-only",
	locked: "the block is locked",
	sequence: "the cycles are no command",
	boundary: "outside what the command can reach",
	"needs-erase": "a bit that is 0 cannot become 1 without an erase",
	busy: "it is busy",
};

const address = (value: number): string => `0x${value.toString(16)}`;

/** A record as a line of JSON. */
export function recordJson({ unit, moment, event, count, erases, meaning }: FlashRecord): string {
	const { kind } = event;
	return JSON.stringify({
		...momentJson(moment),
		unit,
		kind,
		...eventJson(event),
		...(count === 1 ? {} : { count }),
		...(erases === undefined ? {} : { erases }),
		...(meaning === undefined ? {} : { meaning }),
	});
}

function momentJson({ timeNs, instructions, cs, rip }: Moment): object {
	return { timeNs, instructions, cs: address(cs), ip: `0x${rip.toString(16)}` };
}

function eventJson(event: FlashEvent): object {
	const { kind, ...fields } = event;
	if (event.kind !== "program" && event.kind !== "program-buffer") return fields;
	const { offset, bytes } = event;
	const more = bytes.length > SHOWN_BYTES ? { more: true } : {};
	return { offset, length: bytes.length, bytes: hex(bytes.subarray(0, SHOWN_BYTES)), ...more };
}
