import { alignUp, bigU64At, isFilled, u8At, u16At, u32At, utf16At } from "./bytes.ts";
import { GUID_SIZE, type Guid, guidAt } from "./guid.ts";
import { GLOBAL_VENDOR, vendorName } from "./guid-names.ts";

/** Stores are told apart by these; in an authenticated one each record has a time of its last signed change. */
const AUTHENTICATED: Guid = "aaf32c78-947b-439a-a180-2e144ec37792";
const PLAIN: Guid = "ddcf3616-3275-4164-98b6-fe85707ffe7d";

export const STORE_HEADER_SIZE = 28;
const FORMATTED = 0x5a;
const HEALTHY = 0xfe;

/** Each record begins with this. */
export const START_ID = 0x55aa;
export const RECORD_ALIGNMENT = 4;

/** Values of the state, which loses bits as a record lives; each of the last two is combined with what was before. */
export const STATE = {
	/** The header is being written. */
	allocated: 0xff,
	headerValid: 0x7f,
	added: 0x3f,
	/** Keeps all bits but the lowest: a successor is being written. */
	inDeletedTransition: 0xfe,
	/** Keeps all bits but this one. */
	deleted: 0xfd,
} as const;

export type RecordState =
	/** Its header is not complete. */
	| "allocated"
	/** Its data is not complete. */
	| "header valid only"
	| "added"
	| "in deleted transition"
	| "deleted"
	/** No way of writing leads there. */
	| "invalid";

/** Attributes, lowest bit first (UEFI 2.10, 8.2). */
export const ATTRIBUTE = {
	nonVolatile: 0x01,
	bootService: 0x02,
	runtime: 0x04,
	hardwareError: 0x08,
	authenticated: 0x10,
	timeBasedAuthenticated: 0x20,
	append: 0x40,
	enhancedAuthenticated: 0x80,
} as const;

const ATTRIBUTE_LETTERS = ["NV", "BS", "RT", "HR", "AW", "AT", "AP", "EA"];

/** One record: a value that a variable has or had. */
export interface VariableRecord {
	/** Bytes from the start of the store. */
	readonly offset: number;
	/** Header, name and data; the next record begins at a multiple of 4. */
	readonly size: number;
	readonly state: RecordState;
	readonly stateByte: number;
	readonly attributes: number;
	readonly guid: Guid;
	readonly name: string;
	readonly data: Uint8Array;
	/** Only in authenticated stores: EFI_TIME, 16 bytes; all zero where nothing was signed. */
	readonly time?: Uint8Array;
	readonly monotonicCount?: bigint;
	readonly publicKey?: number;
}

export interface VariableStore {
	/** Bytes, with header. */
	readonly size: number;
	readonly authenticated: boolean;
	readonly records: readonly VariableRecord[];
	/** Where the next record goes, from the start of the store. */
	readonly end: number;
	/** What is wrong, one sentence each. */
	readonly problems: readonly string[];
	/** Something is wrong in the header or the records, not only behind them. */
	readonly damaged: boolean;
}

/** Layout of a record's header: VARIABLE_HEADER and AUTHENTICATED_VARIABLE_HEADER of edk2. */
export interface RecordLayout {
	readonly headerSize: number;
	readonly nameSize: number;
	readonly dataSize: number;
	readonly guid: number;
}

const PLAIN_LAYOUT: RecordLayout = { headerSize: 32, nameSize: 8, dataSize: 12, guid: 16 };
const AUTHENTICATED_LAYOUT: RecordLayout = { headerSize: 60, nameSize: 36, dataSize: 40, guid: 44 };
export const STATE_OFFSET = 2;
export const ATTRIBUTES_OFFSET = 4;
const MONOTONIC_COUNT = 8;
export const TIME_OFFSET = 16;
export const TIME_SIZE = 16;
const PUBLIC_KEY = 32;

export function layoutOf(authenticated: boolean): RecordLayout {
	return authenticated ? AUTHENTICATED_LAYOUT : PLAIN_LAYOUT;
}

/** `NV BS RT`; bits without a name as a number. */
export function attributesText(attributes: number): string {
	const names = ATTRIBUTE_LETTERS.filter((_, bit) => (attributes & (1 << bit)) !== 0);
	const rest = (attributes & ~0xff) >>> 0;
	return [...names, ...(rest === 0 ? [] : [`0x${rest.toString(16)}`])].join(" ");
}

/** What `attributesText` wrote, or a number; undefined for anything else. */
export function parseAttributes(text: string): number | undefined {
	if (/^(0x[0-9a-f]{1,8}|\d{1,9})$/i.test(text)) return Number(text);
	const words = text.toUpperCase().split(/[\s,|+]+/);
	let attributes = 0;
	for (const word of words) {
		const bit = ATTRIBUTE_LETTERS.indexOf(word);
		if (bit < 0) return undefined;
		attributes |= 1 << bit;
	}
	return attributes;
}

/** Whether a store of variables begins at the beginning of `bytes`. */
export function isVariableStore(bytes: Uint8Array): boolean {
	const signature = guidAt(bytes, 0);
	return bytes.length >= STORE_HEADER_SIZE && (signature === AUTHENTICATED || signature === PLAIN);
}

/** Whether that is a store whose records have a time of their last signed change. */
export function isAuthenticated(store: Uint8Array): boolean {
	return guidAt(store, 0) === AUTHENTICATED;
}

/** The store at the beginning of `bytes`, which may go on behind it; undefined where none begins there. */
export function parseVariableStore(bytes: Uint8Array): VariableStore | undefined {
	if (!isVariableStore(bytes)) return undefined;
	const problems: string[] = [];
	const authenticated = isAuthenticated(bytes);
	const said = u32At(bytes, GUID_SIZE);
	if (said < STORE_HEADER_SIZE || said > bytes.length) {
		problems.push(`it should be ${said} bytes long, and ${bytes.length} are here`);
	}
	const size = Math.max(STORE_HEADER_SIZE, Math.min(said, bytes.length));
	const [format, state] = [u8At(bytes, GUID_SIZE + 4), u8At(bytes, GUID_SIZE + 5)];
	if (format !== FORMATTED) problems.push(`it is not formatted (0x${format.toString(16)})`);
	if (state !== HEALTHY) problems.push(`it is not healthy (0x${state.toString(16)})`);
	const whole = bytes.subarray(0, size);
	const { records, end, problem } = recordsOf(whole, authenticated);
	if (problem !== undefined) problems.push(problem);
	const damaged = problems.length > 0;
	if (!damaged && !isFilled(whole.subarray(end), 0xff)) {
		problems.push(`it is not erased behind its last record, at 0x${end.toString(16)}`);
	}
	return { size, authenticated, records, end, problems, damaged };
}

interface Records {
	readonly records: readonly VariableRecord[];
	readonly end: number;
	readonly problem?: string;
}

function recordsOf(store: Uint8Array, authenticated: boolean): Records {
	const layout = layoutOf(authenticated);
	const records: VariableRecord[] = [];
	let at = alignUp(STORE_HEADER_SIZE, RECORD_ALIGNMENT);
	while (at + layout.headerSize <= store.length && u16At(store, at) === START_ID) {
		const record = recordAt(store, at, authenticated);
		if (at + record.size > store.length) {
			const problem = `the record at 0x${at.toString(16)} would be ${record.size} bytes long, and ${store.length - at} are left`;
			return { records, end: at, problem };
		}
		records.push(record);
		at = alignUp(at + record.size, RECORD_ALIGNMENT);
	}
	return { records, end: Math.min(at, store.length) };
}

/** The record at `at`. Its name and data may reach beyond the store: see its size. */
export function recordAt(store: Uint8Array, at: number, authenticated: boolean): VariableRecord {
	const layout = layoutOf(authenticated);
	const stateByte = u8At(store, at + STATE_OFFSET);
	const attributes = u32At(store, at + ATTRIBUTES_OFFSET);
	const sizes = [u32At(store, at + layout.nameSize), u32At(store, at + layout.dataSize)] as const;
	// While a header is being written the firmware takes the record for one without name and data.
	const incomplete = stateByte === STATE.allocated || [...sizes, attributes].includes(0xffffffff);
	const [nameSize, dataSize] = incomplete ? [0, 0] : sizes;
	const nameAt = at + layout.headerSize;
	return {
		offset: at,
		size: layout.headerSize + nameSize + dataSize,
		state: stateOf(stateByte),
		stateByte,
		attributes,
		guid: guidAt(store, at + layout.guid),
		name: utf16At(store, nameAt, nameSize).text,
		data: store.subarray(nameAt + nameSize, nameAt + nameSize + dataSize),
		...(authenticated
			? {
					time: store.subarray(at + TIME_OFFSET, at + TIME_OFFSET + TIME_SIZE),
					monotonicCount: bigU64At(store, at + MONOTONIC_COUNT),
					publicKey: u32At(store, at + PUBLIC_KEY),
				}
			: {}),
	};
}

/** What a record of that state is. */
export function stateOf(byte: number): RecordState {
	switch (byte) {
		case STATE.allocated:
			return "allocated";
		case STATE.headerValid:
			return "header valid only";
		case STATE.added:
			return "added";
		case STATE.added & STATE.inDeletedTransition:
			return "in deleted transition";
		case STATE.added & STATE.deleted:
		case STATE.added & STATE.inDeletedTransition & STATE.deleted:
			return "deleted";
		default:
			return "invalid";
	}
}

/** A variable with all that the store still knows of it. */
export interface Variable {
	readonly guid: Guid;
	readonly name: string;
	/** What it is; absent once it is deleted. */
	readonly current?: VariableRecord;
	/** All its records, the oldest first. */
	readonly history: readonly VariableRecord[];
}

/** Tells variables apart. */
export function variableKey(guid: Guid, name: string): string {
	return `${guid}:${name}`;
}

/**
 * The variables of a store, in the order in which they first appear. What a variable is follows edk2's rule: the record that is
 * added, else one whose successor was never completed.
 */
export function variablesOf(records: readonly VariableRecord[]): readonly Variable[] {
	const histories = new Map<string, VariableRecord[]>();
	for (const record of records) {
		if (record.state === "allocated") continue;
		const key = variableKey(record.guid, record.name);
		const history = histories.get(key);
		if (history === undefined) histories.set(key, [record]);
		else history.push(record);
	}
	return [...histories.values()].map((history) => {
		const { guid, name } = history[0]!;
		const current =
			history.find(({ state }) => state === "added") ?? history.find(({ state }) => state === "in deleted transition");
		return { guid, name, history, ...(current === undefined ? {} : { current }) };
	});
}

/** How people name a variable: `Shell:StartupDelay`, or only `BootOrder` where the vendor is UEFI itself. */
export function variableLabel(guid: Guid, name: string): string {
	return guid === GLOBAL_VENDOR ? name : `${vendorName(guid)}:${name}`;
}
