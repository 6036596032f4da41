import { alignUp, isFilled, u8At, u16At, u24At, u32At, utf16At } from "./bytes.ts";
import { depexText } from "./depex.ts";
import { guidAt } from "./guid.ts";
import { knownName } from "./guid-names.ts";
import { peDetails, teDetails } from "./pe.ts";
import { type Budget, deeper, further, MAX_DEPTH, type Piece, type Place, plainPiece, tooMany } from "./piece.ts";
import { unpackCompressed, unpackGuided } from "./unpack.ts";
import { parseVolume } from "./volume.ts";

const HEADER_SIZE = 4;
/** Where the size of three bytes is all ones, four more bytes have it. */
const EXTENDED_HEADER_SIZE = 8;
const ALIGNMENT = 4;

/** PI 1.7, volume 3, 2.1.5. */
const TYPES: Readonly<Record<number, string>> = {
	1: "compressed",
	2: "GUID-defined",
	3: "disposable",
	16: "PE32 image",
	17: "PIC image",
	18: "TE image",
	19: "DXE dependencies",
	20: "version",
	21: "user interface name",
	22: "16-bit code",
	23: "firmware volume",
	24: "freeform by GUID",
	25: "raw",
	27: "PEI dependencies",
	28: "MM dependencies",
};

const PROCESSING_REQUIRED = 1;

/** A section without its headers, and where that lies. */
interface Section {
	readonly type: number;
	readonly bytes: Uint8Array;
	readonly headerSize: number;
	readonly place: Place;
	readonly budget: Budget;
}

type Contents = Partial<Pick<Piece, "name" | "guid" | "details" | "problems" | "children" | "body">>;

/**
 * The sections that `bytes` consist of (PI 1.7, volume 3, 2.2.4), up to the end or to where they cannot be followed; the rest is
 * then a piece of data with a problem.
 */
export function parseSections(bytes: Uint8Array, place: Place, budget: Budget): readonly Piece[] {
	const pieces: Piece[] = [];
	if (place.depth > MAX_DEPTH) {
		return [plainPiece("data", bytes, place, { problems: [`nested more than ${MAX_DEPTH} deep`] })];
	}
	let at = 0;
	while (at + HEADER_SIZE <= bytes.length) {
		const extended = u24At(bytes, at) === 0xffffff;
		const headerSize = extended ? EXTENDED_HEADER_SIZE : HEADER_SIZE;
		const size = extended ? u32At(bytes, at + 4) : u24At(bytes, at);
		const type = u8At(bytes, at + 3);
		if (size < headerSize || at + size > bytes.length || !(type in TYPES)) {
			const rest = bytes.subarray(at);
			if (!isFilled(rest, 0xff) && !isFilled(rest, 0)) {
				const problem =
					type in TYPES ? `a section of ${size} bytes does not fit here` : `there is no section type ${type}`;
				pieces.push(plainPiece("data", rest, further(place, at), { problems: [problem] }));
			}
			break;
		}
		if (!budget.takePiece()) {
			pieces.push(tooMany(bytes.subarray(at), further(place, at)));
			break;
		}
		const section = bytes.subarray(at, at + size);
		pieces.push(piece({ type, bytes: section, headerSize, place: further(place, at), budget }));
		at = alignUp(at + size, ALIGNMENT);
	}
	return pieces;
}

/** The text of the user interface section among `sections`, or inside something packed among them. */
export function interfaceName(sections: readonly Piece[]): string | undefined {
	for (const section of sections) {
		if (section.type === TYPES[21]) return section.name;
		if (section.type === TYPES[23] || section.kind !== "section") continue;
		const inner = interfaceName(section.children);
		if (inner !== undefined) return inner;
	}
	return undefined;
}

function piece(section: Section): Piece {
	const { bytes, headerSize, place, type } = section;
	const own = plainPiece("section", bytes, place, { type: TYPES[type]!, body: bytes.subarray(headerSize) });
	return { ...own, ...contents(section, own.body) };
}

function contents(section: Section, body: Uint8Array): Contents {
	const { bytes, headerSize, place, budget } = section;
	const inside = deeper(further(place, headerSize));
	switch (section.type) {
		case 1:
			return unpacked(unpackCompressed(bytes, headerSize, budget.left), section);
		case 2:
			return guided(section);
		case 3:
			return { children: parseSections(body, inside, budget) };
		case 16:
		case 17:
			return { details: peDetails(body) };
		case 18:
			return { details: teDetails(body) };
		case 19:
		case 27:
		case 28:
			return { details: { condition: depexText(body) } };
		case 20:
			return { name: utf16At(body, 2).text, details: { build: u16At(body, 0) } };
		case 21:
			return { name: utf16At(body, 0).text };
		case 23:
			return { children: [parseVolume(body, inside, budget)] };
		case 24:
			return { guid: guidAt(body, 0), body: body.subarray(16) };
		default:
			return {};
	}
}

function guided(section: Section): Contents {
	const { bytes, headerSize } = section;
	const guid = guidAt(bytes, headerSize);
	const dataOffset = u16At(bytes, headerSize + 16);
	const required = (u16At(bytes, headerSize + 18) & PROCESSING_REQUIRED) !== 0;
	const name = knownName(guid);
	const common = { guid, ...(name === undefined ? {} : { name }) };
	if (dataOffset < headerSize + 20 || dataOffset > bytes.length) {
		return { ...common, problems: [`its data cannot begin at byte ${dataOffset}`] };
	}
	const result = unpackGuided(guid, bytes, dataOffset, section.budget.left);
	if (result !== undefined) return { ...common, ...unpacked(result, section, dataOffset) };
	if (required) return { ...common, problems: ["nothing is known about how to unpack this"] };
	return { ...common, ...unpacked({ method: "none", data: bytes.subarray(dataOffset) }, section, dataOffset) };
}

/** What became of a section that had to be processed. */
export interface Unpacked {
	/** `LZMA`, `none` … */
	readonly method: string;
	/** Absent where it went wrong. */
	readonly data?: Uint8Array;
	readonly problem?: string;
}

function unpacked({ method, data, problem }: Unpacked, section: Section, dataOffset = section.headerSize): Contents {
	const problems = problem === undefined ? {} : { problems: [problem] };
	if (data === undefined) return { details: { method }, ...problems };
	const same = data.buffer === section.bytes.buffer;
	if (!same) section.budget.take(data.length);
	const place = same
		? further(section.place, data.byteOffset - section.bytes.byteOffset)
		: { ...section.place, offset: 0, packed: true };
	const details = {
		...(method === "none" ? {} : { method }),
		...(same ? {} : { packed: section.bytes.length - dataOffset, unpacked: data.length }),
	};
	return { body: data, details, ...problems, children: parseSections(data, deeper(place), section.budget) };
}
