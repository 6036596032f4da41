import { alignUp, isFilled, sum8, u8At, u24At, u64At } from "./bytes.ts";
import { GUID_SIZE, type Guid, guidAt } from "./guid.ts";
import { knownName } from "./guid-names.ts";
import { type Budget, deeper, further, type Piece, type Place, plainPiece, tooMany } from "./piece.ts";
import { interfaceName, parseSections } from "./section.ts";

const HEADER_SIZE = 24;
const LARGE_HEADER_SIZE = 32;
const ALIGNMENT = 8;

const LARGE_FILE = 0x01;
const HAS_CHECKSUM = 0x40;
/** Where a file has no checksum, this stands in its place. */
const NO_CHECKSUM = 0xaa;

/** PI 1.7, volume 3, 2.1.4.1. */
const TYPES: Readonly<Record<number, string>> = {
	1: "raw",
	2: "freeform",
	3: "SEC core",
	4: "PEI core",
	5: "DXE core",
	6: "PEI module",
	7: "DXE driver",
	8: "PEI module and DXE driver",
	9: "application",
	10: "MM module",
	11: "volume image",
	12: "MM module and DXE driver",
	13: "MM core",
	14: "standalone MM module",
	15: "standalone MM core",
	240: "padding",
};
const RAW = 1;
const PADDING = 240;

/** Bits of the state, each of which is switched once, in this order. */
const STATES = ["header construction", "header valid", "data valid", "marked for update", "deleted", "header invalid"];
const DATA_VALID = 2;
const MARKED_FOR_UPDATE = 3;

/** What a volume tells its files. */
export interface FileSystem {
	/** 0xff or 0: what erased flash reads. */
	readonly erased: number;
	/** FFS3: sizes of eight bytes. */
	readonly large: boolean;
	readonly budget: Budget;
}

/** The files of a volume (PI 1.7, volume 3, 3.2), from `start` in its bytes to the end. */
export function parseFiles(volume: Uint8Array, start: number, place: Place, system: FileSystem): readonly Piece[] {
	const pieces: Piece[] = [];
	for (let at = alignUp(start, ALIGNMENT); at < volume.length; ) {
		const rest = volume.subarray(at);
		if (rest.length < HEADER_SIZE || isFilled(rest.subarray(0, HEADER_SIZE), system.erased)) {
			pieces.push(...end(rest, further(place, at), system));
			break;
		}
		const size = sizeOf(rest, system);
		if (size < headerSize(rest, system) || size > rest.length) {
			const problems = [`no file can begin here: it would be ${size} of the ${rest.length} bytes left`];
			pieces.push(plainPiece("data", rest, further(place, at), { problems }));
			break;
		}
		if (!system.budget.takePiece()) {
			pieces.push(tooMany(rest, further(place, at)));
			break;
		}
		pieces.push(piece(rest.subarray(0, size), further(place, at), system));
		at = alignUp(at + size, ALIGNMENT);
	}
	return pieces;
}

/** Space for further files, unless something else is there. */
function end(rest: Uint8Array, place: Place, { erased }: FileSystem): readonly Piece[] {
	const used = rest.findLastIndex((byte) => byte !== erased);
	if (used < 0) return [plainPiece("free", rest, place)];
	const problems = rest.length < HEADER_SIZE ? [] : ["not erased after the last file"];
	return [plainPiece("data", rest, place, { problems })];
}

function isLarge(file: Uint8Array, { large }: FileSystem): boolean {
	return large && (u8At(file, 19) & LARGE_FILE) !== 0;
}

function headerSize(file: Uint8Array, system: FileSystem): number {
	return isLarge(file, system) ? LARGE_HEADER_SIZE : HEADER_SIZE;
}

function sizeOf(file: Uint8Array, system: FileSystem): number {
	return isLarge(file, system) ? u64At(file, HEADER_SIZE) : u24At(file, 20);
}

function piece(bytes: Uint8Array, place: Place, system: FileSystem): Piece {
	const guid = guidAt(bytes, 0);
	const type = u8At(bytes, 18);
	const header = headerSize(bytes, system);
	const body = bytes.subarray(header);
	const state = stateOf(bytes, system);
	const holdsSections = type !== RAW && type !== PADDING && type in TYPES;
	const children = holdsSections ? parseSections(body, deeper(further(place, header)), system.budget) : [];
	const name = interfaceName(children) ?? (type === PADDING ? undefined : knownName(guid));
	return {
		...plainPiece("file", bytes, place, { type: typeName(type), body }),
		...(isNameless(guid) ? {} : { guid }),
		...(name === undefined ? {} : { name }),
		details: { state: STATES[state] ?? "nothing written", ...alignment(bytes) },
		problems: [...checksumProblems(bytes, header), ...stateProblems(state)],
		children,
	};
}

function typeName(type: number): string {
	if (type in TYPES) return TYPES[type]!;
	const whose = type >= 0xf0 ? "FFS" : type >= 0xe0 ? "debug" : type >= 0xc0 ? "OEM" : "unknown";
	return `${whose} type 0x${type.toString(16)}`;
}

/** Padding files have a GUID of all ones. */
function isNameless(guid: Guid): boolean {
	return guid === "ffffffff-ffff-ffff-ffff-ffffffffffff";
}

/** The number of the last state reached; -1 before the first. */
function stateOf(bytes: Uint8Array, { erased }: FileSystem): number {
	const switched = (u8At(bytes, 23) ^ erased) & 0x3f;
	return 31 - Math.clz32(switched);
}

function stateProblems(state: number): readonly string[] {
	if (state === DATA_VALID || state === MARKED_FOR_UPDATE) return [];
	return state < DATA_VALID ? ["it was never written to its end"] : [];
}

function checksumProblems(bytes: Uint8Array, header: number): readonly string[] {
	// The header counts without its state and without the checksum of the data.
	const checked = Uint8Array.from(bytes.subarray(0, header));
	checked[GUID_SIZE + 1] = 0;
	checked[23] = 0;
	const problems = sum8(checked) === 0 ? [] : ["the checksum of its header is wrong"];
	const stored = u8At(bytes, GUID_SIZE + 1);
	const expected = (u8At(bytes, 19) & HAS_CHECKSUM) === 0 ? NO_CHECKSUM : -sum8(bytes.subarray(header)) & 0xff;
	if (stored !== expected) problems.push("the checksum of its data is wrong");
	return problems;
}

function alignment(bytes: Uint8Array): { alignment?: number } {
	const attributes = u8At(bytes, 19);
	const code = (attributes >>> 3) & 7;
	const exponent = (attributes & 2) === 0 ? [0, 4, 7, 9, 10, 12, 15, 16][code]! : 17 + code;
	return exponent === 0 ? {} : { alignment: 2 ** exponent };
}
