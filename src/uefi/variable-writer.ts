import { u16, u32 } from "../base/bytes.ts";
import { UserError } from "../base/errors.ts";
import { alignUp, isFilled, utf16Bytes } from "./bytes.ts";
import { type Guid, guidBytes } from "./guid.ts";
import {
	ATTRIBUTE,
	ATTRIBUTES_OFFSET,
	layoutOf,
	parseVariableStore,
	RECORD_ALIGNMENT,
	START_ID,
	STATE,
	STATE_OFFSET,
	STORE_HEADER_SIZE,
	TIME_OFFSET,
	TIME_SIZE,
	type VariableRecord,
	type VariableStore,
	variableLabel,
} from "./variable-store.ts";

/** The cells that a store lies in. Every call changes them before it returns; what was called first is on the disk first. */
export interface StoreCells {
	/** The store, as it is at the moment. */
	readonly bytes: Uint8Array;
	/** Writes where the cells are erased, or takes bits away. */
	program(offset: number, bytes: Uint8Array): void;
	/** Erases the store and writes all of it, as one: an interruption leaves the old store or the new one. */
	replace(bytes: Uint8Array): void;
}

/** What a variable is to be. */
export interface NewValue {
	readonly guid: Guid;
	readonly name: string;
	readonly attributes: number;
	readonly data: Uint8Array;
	/** EFI_TIME; where it is absent, the time of what was there before stays. */
	readonly time?: Uint8Array;
}

export type Change = "unchanged" | "added" | "replaced";

/** The records of one variable that still count. */
interface Tracks {
	/** What the variable is. */
	readonly current: VariableRecord | undefined;
	/** Its predecessor, where an interruption left both. */
	readonly predecessor: VariableRecord | undefined;
}

/**
 * Changes variables as edk2's firmware does (MdeModulePkg, VariableRuntimeDxe): the new record goes behind the last one, and its
 * state and that of its predecessor change step by step, so that after an interruption at any step the variable has its old or
 * its new value. When there is no more room, the store is written anew with what is still valid.
 */
export class VariableWriter {
	private readonly cells: StoreCells;
	private readonly what: string;

	/** `what` names the store in messages. */
	constructor(cells: StoreCells, what: string) {
		this.cells = cells;
		this.what = what;
	}

	/** @throws UserError when the store is broken or has no room. */
	set(value: NewValue): Change {
		const store = this.store();
		const { current, predecessor } = track(store, value.guid, value.name);
		const time = value.time ?? current?.time ?? new Uint8Array(TIME_SIZE);
		if (current !== undefined && isSame(current, value, time)) return "unchanged";
		const record = recordBytes(store, { ...value, time });
		const end = store.end + record.length;
		if (end > store.size || !isFilled(this.cells.bytes.subarray(store.end, end), 0xff)) {
			this.reclaim(store, value, { current, predecessor }, record);
			return current === undefined ? "added" : "replaced";
		}
		if (current !== undefined) this.changeState(current, STATE.inDeletedTransition);
		this.append(store, record);
		if (predecessor !== undefined) this.changeState(predecessor, STATE.deleted);
		if (current === undefined) return "added";
		this.changeState(current, STATE.inDeletedTransition & STATE.deleted);
		return "replaced";
	}

	/** False where there is no such variable. @throws UserError when the store is broken. */
	delete(guid: Guid, name: string): boolean {
		const { current, predecessor } = track(this.store(), guid, name);
		if (current === undefined) return false;
		if (predecessor !== undefined) this.changeState(predecessor, STATE.deleted);
		this.changeState(current, STATE.deleted);
		return true;
	}

	private store(): VariableStore {
		const store = parseVariableStore(this.cells.bytes);
		if (store === undefined) throw new UserError(`${this.what} has no store of variables`);
		// An interrupted record may have left something behind the last one; a clean-up takes it away.
		const interrupted = !store.damaged && store.records.at(-1)?.state === "allocated";
		const [problem] = store.problems;
		if (problem === undefined || interrupted) return store;
		throw new UserError(`${this.what}: the store of variables cannot be changed: ${problem}`);
	}

	/** Header, state, name and data, state. */
	private append(store: VariableStore, record: Uint8Array): void {
		const { headerSize } = layoutOf(store.authenticated);
		const at = store.end;
		this.cells.program(at, record.subarray(0, headerSize));
		this.cells.program(at + STATE_OFFSET, Uint8Array.of(STATE.headerValid));
		this.cells.program(at + headerSize, record.subarray(headerSize));
		this.cells.program(at + STATE_OFFSET, Uint8Array.of(STATE.added));
	}

	private changeState({ offset, stateByte }: VariableRecord, mask: number): void {
		if ((stateByte & mask) === this.cells.bytes[offset + STATE_OFFSET]) return;
		this.cells.program(offset + STATE_OFFSET, Uint8Array.of(stateByte & mask));
	}

	/** What is added, then what lost its successor, then the new record in place of those of its variable. */
	private reclaim(store: VariableStore, value: NewValue, { current, predecessor }: Tracks, record: Uint8Array): void {
		const fresh = new Uint8Array(store.size).fill(0xff);
		fresh.set(this.cells.bytes.subarray(0, STORE_HEADER_SIZE));
		const others = store.records.filter((old) => old !== current && old !== predecessor);
		const added = others.filter(({ state }) => state === "added");
		const orphans = others.filter(
			({ state, guid, name }) =>
				state === "in deleted transition" && !added.some((other) => other.guid === guid && other.name === name),
		);
		let at = alignUp(STORE_HEADER_SIZE, RECORD_ALIGNMENT);
		for (const { offset, size } of [...added, ...orphans]) {
			fresh.set(this.cells.bytes.subarray(offset, offset + size), at);
			fresh[at + STATE_OFFSET] = STATE.added;
			at = alignUp(at + size, RECORD_ALIGNMENT);
		}
		if (at + record.length > store.size) {
			const label = variableLabel(value.guid, value.name);
			throw new UserError(
				`${this.what} has no room for ${label}: it takes ${record.length} bytes, and without all that is deleted ${store.size - at} are free`,
			);
		}
		fresh.set(record, at);
		fresh[at + STATE_OFFSET] = STATE.added;
		this.cells.replace(fresh);
	}
}

function track(store: VariableStore, guid: Guid, name: string): Tracks {
	const own = store.records.filter(
		(record) => record.guid === guid && record.name === name && record.state !== "allocated",
	);
	const added = own.find(({ state }) => state === "added");
	const orphan = own.find(({ state }) => state === "in deleted transition");
	return added === undefined ? { current: orphan, predecessor: undefined } : { current: added, predecessor: orphan };
}

function isSame(current: VariableRecord, value: NewValue, time: Uint8Array): boolean {
	const sameTime = current.time === undefined || Buffer.compare(current.time, time) === 0;
	return sameTime && current.attributes === value.attributes && Buffer.compare(current.data, value.data) === 0;
}

/** A record as it is before its state is written. */
function recordBytes(store: VariableStore, { guid, name, attributes, data, time }: NewValue): Uint8Array {
	const layout = layoutOf(store.authenticated);
	const nameBytes = utf16Bytes(name);
	const bytes = new Uint8Array(layout.headerSize + nameBytes.length + data.length);
	bytes.set(u16(START_ID), 0);
	bytes[STATE_OFFSET] = STATE.allocated;
	bytes.set(u32(attributes & ~ATTRIBUTE.append), ATTRIBUTES_OFFSET);
	if (store.authenticated && time !== undefined) bytes.set(time, TIME_OFFSET);
	bytes.set(u32(nameBytes.length), layout.nameSize);
	bytes.set(u32(data.length), layout.dataSize);
	bytes.set(guidBytes(guid), layout.guid);
	bytes.set(nameBytes, layout.headerSize);
	bytes.set(data, layout.headerSize + nameBytes.length);
	return bytes;
}
