import { hex } from "../../base/gpa.ts";
import { array, boolean, count, hexText, type Of, object, oneOf, optional, string } from "../../base/shape.ts";
import { disassemble } from "../disassemble.ts";
import type { Frame, Place } from "../symbols/symbols.ts";
import type { Row, Sample, Stack } from "./row.ts";

const place = object({
	module: optional(string),
	symbol: optional(string),
	/** Bytes from the symbol, or from the module's start. */
	offset: count,
	file: optional(string),
	line: optional(count),
});

const sample = object({
	/** Guest-physical address of the first byte that was refused; linear address of the same. */
	gpa: hexText,
	target: optional(hexText),
	/** Bytes refused, of a store of so many. */
	size: count,
	storeSize: count,
	/** From this byte on it is another page: its guest-physical address. */
	crossing: optional(object({ offset: count, gpa: hexText })),
	/** Bytes in hexadecimal, lowest address first, at most 64: what was to be stored (absent: not known), and what the ROM holds. */
	value: optional(string),
	old: string,
	/** Instructions retired before, and guest time. */
	instructions: count,
	timeNs: count,
});

const timeline = object({
	/** Nanoseconds of guest time of a slot; stores in each, from power-on. */
	slotNs: count,
	counts: array(count),
});

const row = object({
	count,
	/** Bytes refused, or given to the flash, in all. */
	bytes: count,
	region: string,
	/** Flash: what the store was taken for. Absent: ROM refused it. */
	command: optional(string),
	by: oneOf("instruction", "descriptor", "page-walk", "delivery", "dma"),
	/** Of a delivery. */
	vector: optional(count),
	/** Of DMA. */
	device: optional(string),
	/** The guest got #GP(0). */
	faulted: boolean,
	cs: hexText,
	rip: hexText,
	/** Linear address of the instruction, its bytes, and what they mean. */
	linear: hexText,
	code: string,
	instruction: string,
	mode: oneOf("real", "v86", "prot16", "prot32", "long"),
	cpl: count,
	cpu: count,
	place: optional(place),
	/** The call stacks that were found, and in how many looks; `stacksLeftOut`: there were more. */
	stacks: array(
		object({
			seen: count,
			instructions: count,
			frames: array(
				object({
					address: hexText,
					how: oneOf("exact", "frame-pointer", "cfi", "scan"),
					place: optional(place),
				}),
			),
		}),
	),
	stacksLeftOut: boolean,
	/** Guest-physical addresses that were hit; `rangesJoined`: so many that near ones were joined. */
	ranges: array(object({ first: hexText, last: hexText, count })),
	rangesJoined: boolean,
	/** The first stores, and the last one. */
	samples: array(sample),
	last: sample,
	timeline,
});

const region = object({ name: string, first: hexText, last: hexText });

/** The journal as JSON: the field `romWrites` of a result file. */
export const romWriteReport = object({
	/** Stores that ROM refused, and commands that flash took. */
	stores: count,
	commands: count,
	rows: array(row),
	/** Beyond the rows that are kept. */
	unlisted: object({ stores: count, commands: count }),
	/** Where what was hit lies. */
	regions: array(region),
	timeline,
});

export type RomWriteReport = Of<typeof romWriteReport>;
export type RowReport = RomWriteReport["rows"][number];
export type SampleReport = Of<typeof sample>;
export type StackReport = RowReport["stacks"][number];
export type PlaceReport = Of<typeof place>;

const bytesText = (bytes: Uint8Array): string =>
	Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");

function sampleReport(store: Sample): SampleReport {
	const { gpa, target, size, storeSize, crossing, data, old, instructions, timeNs } = store;
	return {
		gpa: hex(gpa),
		...(target === undefined ? {} : { target: hex(target) }),
		size,
		storeSize,
		...(crossing === undefined ? {} : { crossing: { offset: crossing.offset, gpa: hex(crossing.gpa) } }),
		...(data === undefined ? {} : { value: bytesText(data) }),
		old: bytesText(old),
		instructions,
		timeNs,
	};
}

const placeReport = (found: Place | undefined): { readonly place?: PlaceReport } =>
	found === undefined ? {} : { place: { ...found } };

function frameReport(frame: Frame): StackReport["frames"][number] {
	return { address: hex(frame.address), how: frame.how, ...placeReport(frame.place) };
}

function stackReport({ seen, instructions, frames }: Stack): StackReport {
	return { seen, instructions, frames: frames.map(frameReport) };
}

/** `known`: what lies at the instruction, where the row has not found out itself. */
export function rowReport(of: Row, known?: Place): RowReport {
	const { by, intervals, mode, cpl, cpu, command } = of;
	const { text, length } = disassemble(of.code, mode, of.rip);
	return {
		count: of.count,
		bytes: of.bytes,
		region: of.region,
		...(command === undefined ? {} : { command }),
		by: by.kind,
		...(by.kind === "delivery" ? { vector: by.vector } : {}),
		...(by.kind === "dma" ? { device: by.device } : {}),
		faulted: of.faulted,
		cs: hex(of.cs),
		rip: hex(of.rip),
		linear: hex(of.linear),
		code: bytesText(length === 0 ? of.code : of.code.subarray(0, length)),
		instruction: text,
		...{ mode, cpl, cpu },
		...placeReport(of.place ?? known),
		stacks: of.stacks.map(stackReport),
		stacksLeftOut: of.stacksLeftOut,
		ranges: intervals.items.map(({ first, last, count }) => ({ first: hex(first), last: hex(last), count })),
		rangesJoined: intervals.joined,
		samples: of.samples.map(sampleReport),
		last: sampleReport(of.last),
		timeline: { slotNs: of.timeline.width, counts: of.timeline.slots() },
	};
}
