import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { u32 } from "../../src/base/bytes.ts";
import { LzmaError, unpackLzma } from "../../src/uefi/lzma.ts";
import { undoX86Filter } from "../../src/uefi/lzma-x86.ts";
import { TianoError, unpackTiano } from "../../src/uefi/tiano.ts";
import * as samples from "../support/packed-samples.ts";

const LIMIT = 1 << 16;

/** `bytes` with a few of them changed. */
const mutated = (bytes: Uint8Array): fc.Arbitrary<Uint8Array> =>
	fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }).map((changes) => {
		const copy = Uint8Array.from(bytes);
		for (const [at, value] of changes) copy[at] = value;
		return copy;
	});

/** What `unpack` gives, or its complaint; any other error is thrown. */
function outcome(unpack: () => Uint8Array): Uint8Array | string {
	try {
		return unpack();
	} catch (error) {
		if (error instanceof LzmaError || error instanceof TianoError) return error.message;
		throw error;
	}
}

describe("LZMA", () => {
	test("streams of another packer come out as they went in, whatever their properties", () => {
		expect(unpackLzma(samples.LZMA_STREAM, LIMIT)).toEqual(samples.sample());
		expect(unpackLzma(samples.LZMA_OTHER_PROPERTIES, LIMIT)).toEqual(samples.sample());
	});

	test("the filter for x86 code is undone", () => {
		const code = unpackLzma(samples.LZMA_X86, LIMIT);
		expect(code).not.toEqual(samples.x86Sample());
		undoX86Filter(code);
		expect(code).toEqual(samples.x86Sample());
	});

	test("a stream that ends early, says no size, or is too long is an error that says so", () => {
		expect(() => unpackLzma(samples.LZMA_STREAM.subarray(0, 400), LIMIT)).toThrow(/ends after \d+ of 3000 bytes/);
		expect(() => unpackLzma(samples.LZMA_STREAM, 2999)).toThrow("3000 bytes unpacked are more than the 2999");
		expect(() => unpackLzma(samples.LZMA_STREAM.subarray(0, 12), LIMIT)).toThrow("size is missing");
		const unknownSize = Uint8Array.from(samples.LZMA_STREAM).fill(0xff, 5, 13);
		expect(() => unpackLzma(unknownSize, LIMIT)).toThrow("size is missing");
		const badProperties = Uint8Array.from(samples.LZMA_STREAM).fill(225, 0, 1);
		expect(() => unpackLzma(badProperties, LIMIT)).toThrow("properties 225");
	});

	test("a broken stream gives as many bytes as it says, or an error", () => {
		fc.assert(
			fc.property(mutated(samples.LZMA_STREAM), (packed) => {
				const result = outcome(() => unpackLzma(packed, LIMIT));
				if (typeof result !== "string") expect(result.length).toBeLessThanOrEqual(LIMIT);
			}),
			{ numRuns: 100 },
		);
	});
});

describe("UEFI's compression", () => {
	test("streams of edk2's packer come out as they went in, in both variants", () => {
		expect(unpackTiano(samples.TIANO_STREAM, 5, LIMIT)).toEqual(samples.sample());
		expect(unpackTiano(samples.EFI_STREAM, 4, LIMIT)).toEqual(samples.sample());
	});

	test("a stream that ends early or is too long is an error that says so", () => {
		expect(() => unpackTiano(samples.EFI_STREAM.subarray(0, 600), 4, LIMIT)).toThrow("the compressed data ends early");
		const short = Uint8Array.from(samples.EFI_STREAM);
		short.set(u32(500), 0);
		expect(() => unpackTiano(short, 4, LIMIT)).toThrow(/ends after \d+ of 3000 bytes/);
		expect(() => unpackTiano(samples.EFI_STREAM, 4, 2999)).toThrow("3000 bytes unpacked are more than the 2999");
	});

	test("a broken stream gives as many bytes as it says, or an error", () => {
		fc.assert(
			fc.property(mutated(samples.TIANO_STREAM), fc.constantFrom(4 as const, 5 as const), (packed, bits) => {
				const result = outcome(() => unpackTiano(packed, bits, LIMIT));
				if (typeof result !== "string") expect(result.length).toBeLessThanOrEqual(LIMIT);
			}),
			{ numRuns: 100 },
		);
	});
});
