import { type MapEntry, MEMORY_TYPE, type Piece } from "../../boot/load-map.ts";
import { firmwareImage } from "./image.ts";

/** Where firmware/services/services.asm is assembled to run, F000:E000, and the words at its start. */
const SEGMENT = 0xf000;
const OFFSET = 0xe000;
const HANDLER = { nothing: 0, timer: 2, first: 4, second: 6, fail: 8, baseMemory: 10, system: 12 } as const;
const LOW_KIB = 14;
const HIGH_UNITS = 16;
const MAP_COUNT = 18;
const MAP = 20;
const MAP_MOST = 16;
const MAP_ENTRY = 20;

const VECTORS = 256;
const BASE_MEMORY_WORD = 0x413;
const BASE_KIB = 640;
const MIB = 2 ** 20;

/** Interrupt vectors, the BIOS data area's word on memory, and the services behind the vectors, for a machine without firmware. */
export function realModeServices(map: readonly MapEntry[]): Piece[] {
	const code = firmwareImage("services.bin");
	const view = new DataView(code.buffer);
	const above = map.find(({ first, type }) => first === MIB && type === MEMORY_TYPE.ram)?.size ?? 0;
	view.setUint16(LOW_KIB, Math.min(above, 15 * MIB) / 1024, true);
	view.setUint16(HIGH_UNITS, Math.max(above - 15 * MIB, 0) / 0x1_0000, true);
	const entries = map.slice(0, MAP_MOST);
	view.setUint16(MAP_COUNT, entries.length, true);
	entries.forEach(({ first, size, type }, n) => {
		view.setBigUint64(MAP + n * MAP_ENTRY, BigInt(first), true);
		view.setBigUint64(MAP + n * MAP_ENTRY + 8, BigInt(size), true);
		view.setUint32(MAP + n * MAP_ENTRY + 16, type, true);
	});

	const vectors = new Uint8Array(VECTORS * 4);
	const vectorView = new DataView(vectors.buffer);
	for (let vector = 0; vector < VECTORS; vector++) {
		vectorView.setUint16(vector * 4, view.getUint16(handlerOf(vector), true), true);
		vectorView.setUint16(vector * 4 + 2, SEGMENT, true);
	}
	return [
		{ address: SEGMENT * 16 + OFFSET, bytes: code },
		{ address: 0, bytes: vectors },
		{ address: BASE_MEMORY_WORD, bytes: Uint8Array.of(BASE_KIB & 0xff, BASE_KIB >> 8) },
	];
}

/** Hardware interrupts where a BIOS has them: 8 to 0F and 70 to 77. */
function handlerOf(vector: number): number {
	if (vector === 0x08) return HANDLER.timer;
	if (vector >= 0x09 && vector <= 0x0f) return HANDLER.first;
	if (vector >= 0x70 && vector <= 0x77) return HANDLER.second;
	if (vector === 0x12) return HANDLER.baseMemory;
	if (vector === 0x13) return HANDLER.fail;
	return vector === 0x15 ? HANDLER.system : HANDLER.nothing;
}
