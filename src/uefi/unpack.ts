import { brotliDecompressSync, crc32, gunzipSync } from "node:zlib";
import { u8At, u32At, u64At } from "./bytes.ts";
import type { Guid } from "./guid.ts";
import { LzmaError, unpackLzma } from "./lzma.ts";
import { undoX86Filter } from "./lzma-x86.ts";
import type { Unpacked } from "./section.ts";
import { TianoError, unpackTiano } from "./tiano.ts";

/** Brotli sections begin with the unpacked size and what unpacking needs besides. */
const BROTLI_HEADER = 16;

/** Ways to pack a GUID-defined section, by its GUID (PI 1.7, volume 3, 2.1.5; edk2's and Intel's own). */
const GUIDED: Readonly<Record<Guid, (section: Uint8Array, dataOffset: number, limit: number) => Unpacked>> = {
	"ee4e5898-3914-4259-9d6e-dc7bd79403cf": (section, at, limit) =>
		tryTo("LZMA", () => unpackLzma(section.subarray(at), limit)),
	"0ed85e23-f253-413f-a03c-901987b04397": (section, at, limit) =>
		tryTo("LZMA", () => unpackLzma(section.subarray(at), limit)),
	"d42ae6bd-1352-4bfb-909a-ca72a6eae889": (section, at, limit) =>
		tryTo("LZMA for x86 code", () => {
			const data = unpackLzma(section.subarray(at), limit);
			undoX86Filter(data);
			return data;
		}),
	"a31280ad-481e-41b6-95e8-127f4c984779": (section, at, limit) =>
		tryTo("Tiano", () => unpackTiano(section.subarray(at), 5, limit)),
	"3d532050-5cda-4fd0-879e-0f7f630d5afb": (section, at, limit) =>
		tryTo("Brotli", () => {
			const size = u64At(section, at);
			if (size > limit) throw new RangeError(`${size} bytes unpacked are more than the ${limit} that are possible`);
			return brotliDecompressSync(section.subarray(at + BROTLI_HEADER), { maxOutputLength: Math.max(1, size) });
		}),
	"1d301fe9-be79-4353-91c2-d23bc959ae0c": (section, at, limit) =>
		tryTo("gzip", () => gunzipSync(section.subarray(at), { maxOutputLength: Math.max(1, limit) })),
	"fc1bcdb0-7d31-49aa-936a-a4600d9dd083": checksummed,
};

/** The CRC-32 stands before the data, at the end of the section's header. */
function checksummed(section: Uint8Array, dataOffset: number): Unpacked {
	const data = section.subarray(dataOffset);
	const problem = crc32(data) === u32At(section, dataOffset - 4) ? {} : { problem: "the CRC-32 of its data is wrong" };
	return { method: "none", data, ...problem };
}

/** What a GUID-defined section holds; undefined where its GUID is unknown. `limit`: bytes that may come of it. */
export function unpackGuided(guid: Guid, section: Uint8Array, dataOffset: number, limit: number): Unpacked | undefined {
	return GUIDED[guid]?.(section, dataOffset, limit);
}

/** What a compressed section holds: unpacked size, a byte for the method, data. */
export function unpackCompressed(section: Uint8Array, headerSize: number, limit: number): Unpacked {
	const data = section.subarray(headerSize + 5);
	switch (u8At(section, headerSize + 4)) {
		case 0:
			return { method: "none", data };
		case 1:
			return standard(data, limit);
		case 2:
			return tryTo("LZMA", () => unpackLzma(data, limit));
		default:
			return { method: `type ${u8At(section, headerSize + 4)}`, problem: "this compression does not exist" };
	}
}

/** Nothing tells UEFI's standard compression from Tiano's, which some builds put here; only one of them comes out well. */
function standard(data: Uint8Array, limit: number): Unpacked {
	const efi = tryTo("EFI", () => unpackTiano(data, 4, limit));
	if (efi.data !== undefined) return efi;
	const tiano = tryTo("Tiano", () => unpackTiano(data, 5, limit));
	return tiano.data === undefined ? efi : tiano;
}

function tryTo(method: string, unpack: () => Uint8Array): Unpacked {
	try {
		return { method, data: unpack() };
	} catch (error) {
		if (error instanceof LzmaError || error instanceof TianoError) return { method, problem: error.message };
		// Node's own: a broken stream or one that gives too much.
		if (error instanceof RangeError || (error instanceof Error && "code" in error)) {
			return { method, problem: error.message };
		}
		throw error;
	}
}
