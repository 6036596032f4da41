import { plural } from "../base/plural.ts";
import { alignUp, isFilled, u8At } from "./bytes.ts";
import { FTW_HEADER_SIZE, type FtwWrite, parseFtw } from "./ftw.ts";
import { findNvData, type NvLayout, VOLUME_STEP } from "./nv-data.ts";
import {
	layoutOf,
	RECORD_ALIGNMENT,
	type RecordState,
	recordAt,
	STATE_OFFSET,
	STORE_HEADER_SIZE,
	stateOf,
	type VariableRecord,
	variableLabel,
} from "./variable-store.ts";

/** What a write to flash was for. */
export interface Meaning {
	readonly text: string;
	/** The flash does not have the name of the variable yet: asked again, later, one can say more. */
	readonly unfinished: boolean;
}

/** Explains writes to a flash by the UEFI variables that lie in it. */
export class NvWrites {
	private readonly flash: Uint8Array;
	/** Stays as it was found: firmware erases volumes while it cleans them up, and leaves everything where it is. */
	private layout: NvLayout | undefined;

	/** `flash`: its cells, as they are at any time. */
	constructor(flash: Uint8Array) {
		this.flash = flash;
		this.layout = findNvData(flash);
	}

	/** What `bytes`, written at `offset`, are for; undefined where nothing is known about that place. */
	meaningOf(offset: number, bytes: Uint8Array): Meaning | undefined {
		const layout = this.found(offset);
		if (layout === undefined) return undefined;
		const { volume, store, storeSize, working, spare, end } = layout;
		if (offset < volume || offset >= end) return undefined;
		const after = offset + bytes.length;
		if (offset < store)
			return finished(after > store + STORE_HEADER_SIZE ? "headers, variables" : "header of the volume");
		if (offset < store + storeSize) return this.inStore(layout, offset - store, bytes);
		if (working === undefined || spare === undefined || offset < working) return finished("behind the variables");
		if (offset < spare) return finished(this.inWorkingBlock(layout, offset - working, bytes));
		return finished(`spare area, copy of ${address(volume + offset - spare)}`);
	}

	/** A volume begins at a multiple of {@link VOLUME_STEP}; only a write there can have made one. */
	private found(offset: number): NvLayout | undefined {
		if (offset % VOLUME_STEP === 0) this.layout ??= findNvData(this.flash);
		return this.layout;
	}

	private inStore({ store, storeSize, authenticated }: NvLayout, at: number, bytes: Uint8Array): Meaning {
		if (at < STORE_HEADER_SIZE) return finished("header of the store of variables");
		const cells = this.flash.subarray(store, store + storeSize);
		const records = recordsAt(cells, at, at + bytes.length, authenticated);
		const [record] = records;
		const { headerSize } = layoutOf(authenticated);
		if (record === undefined) return finished("variables");
		if (records.length > 1)
			return finished(`${plural(records.length, "record")} from ${labelOf(record, headerSize).text} on`);
		return part(record, at, bytes, headerSize);
	}

	private inWorkingBlock({ working = 0, spare = 0 }: NvLayout, at: number, bytes: Uint8Array): string {
		if (at < FTW_HEADER_SIZE) return "header of the working block";
		const block = parseFtw(this.flash.subarray(working, spare));
		const write = block?.writes.findLast(({ offset }) => offset <= at);
		if (write === undefined || bytes.length > 1) return "queue of fault-tolerant writes";
		return ftwState(write, at, bytes);
	}
}

const finished = (text: string): Meaning => ({ text, unfinished: false });
const address = (value: number): string => `0x${value.toString(16)}`;

/** The records that have bytes from `from` to `to`, as far as the store can be followed. */
function recordsAt(store: Uint8Array, from: number, to: number, authenticated: boolean): readonly VariableRecord[] {
	const found: VariableRecord[] = [];
	let at = alignUp(STORE_HEADER_SIZE, RECORD_ALIGNMENT);
	while (at < to && at < store.length && u8At(store, at) === 0xaa && u8At(store, at + 1) === 0x55) {
		const record = recordAt(store, at, authenticated);
		const end = alignUp(at + record.size, RECORD_ALIGNMENT);
		if (end > from) found.push(record);
		at = end;
	}
	return found;
}

function part(record: VariableRecord, at: number, bytes: Uint8Array, headerSize: number): Meaning {
	const { text, unfinished } = labelOf(record, headerSize);
	const from = at - record.offset;
	const of = (what: string): Meaning => ({ text: `${what} of ${text}`, unfinished });
	if (from === STATE_OFFSET && bytes.length === 1) {
		return { text: `state of ${text}: ${stateWord(stateOf(u8At(bytes, 0)))}`, unfinished };
	}
	if (from < headerSize) return of(from + bytes.length > headerSize ? "header and data" : "header");
	const name = headerSize + 2 * record.name.length + 2;
	if (from >= name) return of("data");
	return of(from + bytes.length > name ? "name and data" : "name");
}

function stateWord(state: RecordState): string {
	return state === "in deleted transition" ? "being replaced" : state;
}

/** A name is there when its terminating zero is. */
function labelOf({ guid, name, size, data }: VariableRecord, headerSize: number): Meaning {
	const unfinished = 2 * name.length + 2 > size - headerSize - data.length;
	return { text: unfinished ? "a variable" : `variable ${variableLabel(guid, name)}`, unfinished };
}

/** A byte of state of a write or of one of its records: what is switched last is what it says. */
function ftwState({ offset }: FtwWrite, at: number, bytes: Uint8Array): string {
	const state = u8At(bytes, 0);
	const steps =
		at === offset
			? ["begun", "described", "complete"]
			: ["for the boot block", "safe in the spare area", "in its place"];
	const step = steps.findLast((_, bit) => (state & (1 << bit)) === 0);
	return step === undefined || isFilled(bytes, 0xff)
		? "queue of fault-tolerant writes"
		: `fault-tolerant write: ${step}`;
}
