import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { join, text, u16, u32 } from "../../src/base/bytes.ts";
import { guidBytes } from "../../src/uefi/guid.ts";
import { parseImage } from "../../src/uefi/image.ts";
import { MAX_DEPTH, MAX_PIECES, type Piece, walk } from "../../src/uefi/piece.ts";
import * as samples from "../support/packed-samples.ts";
import * as build from "../support/uefi-image.ts";

const A = "00112233-4455-6677-8899-aabbccddeeff";
const B = "01234567-89ab-cdef-0123-456789abcdef";

const DRIVER = 7;
const RAW = 1;

/** A tree in a few words, with problems. */
function outline(pieces: readonly Piece[]): unknown[] {
	return pieces.map(({ kind, type, name, problems, children }) => {
		const words = [kind, type, name, ...problems.map((problem) => `! ${problem}`)].filter(
			(word) => (word ?? "") !== "",
		);
		return children.length === 0 ? words.join(" ") : [words.join(" "), ...outline(children)];
	});
}

const driver = build.file(
	A,
	DRIVER,
	build.sections(build.section(0x19, Uint8Array.of(1, 2, 3)), build.userInterface("Driver")),
);

describe("a firmware volume", () => {
	test("files, sections, names and free space are found where they are", () => {
		const version = build.section(0x14, join(u16(7), text("1\0.\x002\0\0\0")));
		const dependency = build.section(0x13, join(Uint8Array.of(2), guidBytes(A), Uint8Array.of(6, 3, 8)));
		const image = parseImage(
			build.volume([driver, build.file(B, DRIVER, build.sections(version, dependency), { checksum: true })], {
				name: A,
			}),
		);
		expect(outline(image.pieces)).toEqual([
			[
				"volume FFS2",
				["file DXE driver Driver", "section raw", "section user interface name Driver"],
				["file DXE driver", "section version 1.2", "section DXE dependencies"],
				"free",
			],
		]);
		const [volume] = image.pieces;
		expect(volume).toMatchObject({ guid: A, offset: 0, details: { blocks: "1 of 512 bytes" } });
		expect(volume?.children.map(({ offset, guid }) => ({ offset, guid }))).toMatchObject([
			{ offset: 96, guid: A },
			{ offset: 152, guid: B },
			{ offset: 216 },
		]);
		const conditions = [...walk(image.pieces)].map(({ details }) => details["condition"]);
		expect(conditions).toContain(`${A} true and`);
	});

	test("the large files of FFS3 have their size in eight bytes", () => {
		const image = parseImage(
			build.volume([build.file(A, RAW, samples.sample(), { large: true })], { fileSystem: build.FFS3 }),
		);
		const [file] = image.pieces[0]!.children;
		expect(file).toMatchObject({ type: "raw", problems: [] });
		expect(file?.body).toEqual(samples.sample());
	});

	test("a volume that is erased to zeros is read likewise", () => {
		const file = build.file(A, DRIVER, build.userInterface("Zero"), { erased: 0 });
		expect(outline(parseImage(build.volume([file], { erased: 0 })).pieces)).toEqual([
			["volume FFS2", ["file DXE driver Zero", "section user interface name Zero"], "free"],
		]);
	});

	test.each([
		["the header of a volume", 0x2d, "volume FFS2 ! the checksum of its header is wrong"],
		["the header of a file", 72 + 19, "file DXE driver Driver ! the checksum of its header is wrong"],
	])("a wrong checksum is a problem of %s alone", (_what, at, expected) => {
		const bytes = build.volume([driver]);
		bytes[at]! ^= 2;
		const [volume] = outline(parseImage(bytes).pieces) as [unknown[]];
		expect(volume.flat()).toContain(expected);
		expect(JSON.stringify(volume).match(/!/g)).toHaveLength(1);
	});

	test("a changed body is noticed where the file has a checksum", () => {
		const bytes = build.volume([build.file(A, RAW, Uint8Array.of(1, 2, 3, 4), { checksum: true })]);
		bytes[72 + 24]! ^= 1;
		expect(outline(parseImage(bytes).pieces)).toEqual([
			["volume FFS2", "file raw ! the checksum of its data is wrong", "free"],
		]);
	});

	test("a file that was never completed, and one that is deleted, show their state", () => {
		const states = [3, 0x1f].map((state) => build.file(A, RAW, Uint8Array.of(1), { state }));
		const files = parseImage(build.volume(states)).pieces[0]!.children;
		expect(files.map(({ details }) => details["state"])).toEqual(["header valid", "deleted", undefined]);
		expect(files.map(({ problems }) => problems.length)).toEqual([1, 0, 0]);
	});

	test("one that is cut off says so, and what is left of it is read", () => {
		const bytes = build.volume([driver, build.file(B, RAW, samples.sample())], { blockSize: 4096 });
		const [volume] = parseImage(bytes.subarray(0, 1000)).pieces;
		expect(volume?.problems).toEqual(["it should be 4096 bytes long, and only 1000 are here"]);
		expect(volume?.children[0]?.name).toBe("Driver");
	});

	test("what lies between volumes is named", () => {
		const gap = new Uint8Array(512).fill(0xff);
		const image = parseImage(
			join(gap, build.volume([driver]), Uint8Array.from(samples.sample().subarray(0, 512)), build.volume([])),
		);
		expect(outline(image.pieces).map((piece) => (Array.isArray(piece) ? piece[0] : piece))).toEqual([
			"padding erased",
			"volume FFS2",
			"data",
			"volume FFS2",
		]);
	});
});

describe("a section that packs others", () => {
	const inside = build.sections(build.userInterface("Inside"), build.section(0x19, Uint8Array.of(9)));
	const unpacked = ["section user interface name Inside", "section raw"];
	const outlineOf = (...all: readonly Uint8Array[]): unknown =>
		outline(
			parseImage(build.volume([build.file(A, DRIVER, build.sections(...all))])).pieces[0]!.children.slice(0, 1),
		)[0];

	test("a CRC-32 is checked", () => {
		expect(outlineOf(build.checked(inside))).toEqual([
			"file DXE driver Inside",
			["section GUID-defined CRC-32", ...unpacked],
		]);
		expect(outlineOf(build.checked(inside, 0))).toEqual([
			"file DXE driver Inside",
			["section GUID-defined CRC-32 ! the CRC-32 of its data is wrong", ...unpacked],
		]);
	});

	test("one that packs nothing is read in place, and its pieces know where they are in the file", () => {
		const bytes = build.volume([build.file(A, DRIVER, build.compressed(0, inside.length, inside))]);
		const raw = [...walk(parseImage(bytes).pieces)].find(({ type }) => type === "raw");
		expect(bytes[raw!.offset + 4]).toBe(9);
		expect(raw?.packed).toBe(false);
	});

	test("LZMA, both variants of UEFI's own, and what is broken", () => {
		const packedOutline = (section: Uint8Array): unknown => {
			const [piece] = parseImage(build.volume([build.file(A, DRIVER, section)], { blockSize: 4096 })).pieces[0]!
				.children[0]!.children;
			return {
				method: piece?.details["method"],
				same: Buffer.compare(piece!.body, samples.sample()) === 0,
				problems: piece?.problems,
			};
		};
		const good = { same: true, problems: [] };
		expect(packedOutline(build.guided(build.LZMA, 1, new Uint8Array(), samples.LZMA_STREAM))).toEqual({
			method: "LZMA",
			...good,
		});
		expect(packedOutline(build.compressed(1, 3000, samples.EFI_STREAM))).toEqual({ method: "EFI", ...good });
		expect(
			packedOutline(build.guided("a31280ad-481e-41b6-95e8-127f4c984779", 1, new Uint8Array(), samples.TIANO_STREAM)),
		).toEqual({
			method: "Tiano",
			...good,
		});
		expect(packedOutline(build.compressed(2, 3000, samples.LZMA_STREAM.subarray(0, 500)))).toMatchObject({
			same: false,
			problems: [expect.stringMatching(/ends after \d+ of 3000 bytes/)],
		});
	});

	test("an unknown one is opened where no processing is needed, and otherwise said to be unknown", () => {
		expect(outlineOf(build.guided(B, 0, new Uint8Array(), inside))).toEqual([
			"file DXE driver Inside",
			["section GUID-defined", ...unpacked],
		]);
		expect(outlineOf(build.guided(B, 1, new Uint8Array(), inside))).toEqual([
			"file DXE driver",
			"section GUID-defined ! nothing is known about how to unpack this",
		]);
	});

	test("a volume in a section is read, up to a depth", () => {
		let bytes = build.volume([driver]);
		for (let depth = 0; depth < 3; depth++) {
			bytes = build.volume([build.file(A, 11, build.section(0x17, bytes))]);
		}
		expect([...walk(parseImage(bytes).pieces)].filter(({ name }) => name === "Driver")).toHaveLength(2);
		for (let depth = 0; depth < MAX_DEPTH; depth++)
			bytes = build.volume([build.file(A, 11, build.section(0x17, bytes))]);
		const problems = [...walk(parseImage(bytes).pieces)].flatMap((piece) => piece.problems);
		expect(problems).toEqual([`nested more than ${MAX_DEPTH} deep`]);
	});

	test("very many of them are not all looked at", () => {
		const tiny = build.section(0x19, new Uint8Array());
		const many = new Uint8Array(4 * (MAX_PIECES + 10)).map((_, i) => tiny[i % 4]!);
		const pieces = [...walk(parseImage(build.volume([build.file(A, DRIVER, many)])).pieces)];
		expect(pieces.length).toBeLessThan(MAX_PIECES + 10);
		expect(pieces.flatMap((piece) => piece.problems)).toEqual([`there are more than ${MAX_PIECES} files and sections`]);
	});

	test("many that promise much do not exhaust the host", () => {
		const bomb = Uint8Array.from(samples.LZMA_STREAM);
		bomb.set(u32(2 ** 31), 5);
		const bytes = build.volume([build.file(A, DRIVER, build.guided(build.LZMA, 1, new Uint8Array(), bomb))]);
		const [section] = parseImage(bytes).pieces[0]!.children[0]!.children;
		expect(section?.problems).toEqual([expect.stringMatching(/^2147483648 bytes unpacked are more than/)]);
	});
});

describe("an image without volumes", () => {
	test.each([
		["erased flash", new Uint8Array(4096).fill(0xff), "erased flash"],
		["an ELF file", join(text("\x7fELF"), new Uint8Array(100)), "an ELF file, not a ROM"],
		["a disk image", join(text("QFI"), Uint8Array.of(0xfb), new Uint8Array(100)), "a qcow2 disk image, not firmware"],
		["noise", samples.sample(), "nothing that is known"],
		["a ROM", romWithJump(), "ROM with a jump at its reset vector (to f000:e05b), dated 06/23/99"],
		["an option ROM", join(u16(0xaa55), Uint8Array.of(4), new Uint8Array(2045)), "option ROM, x86 of 2048 bytes"],
		[
			"an option ROM for two kinds of firmware",
			optionRom(),
			"option ROM for PCI 8086:100e, x86 of 512 bytes, EFI of 1024 bytes",
		],
	])("%s is called what it is", (_what, bytes, title) => {
		expect(parseImage(bytes).title).toBe(title);
	});
});

function optionRom(): Uint8Array {
	const image = (type: number, blocks: number, last: number): Uint8Array => {
		const bytes = new Uint8Array(512 * blocks);
		bytes.set(join(u16(0xaa55), Uint8Array.of(blocks)));
		bytes.set(u16(0x1c), 0x18);
		bytes.set(
			join(text("PCIR"), u16(0x8086), u16(0x100e), new Uint8Array(8), u16(blocks), u16(0), Uint8Array.of(type, last)),
			0x1c,
		);
		return bytes;
	};
	return join(image(0, 1, 0), image(3, 2, 0x80), new Uint8Array(512));
}

function romWithJump(): Uint8Array {
	const rom = new Uint8Array(65536);
	rom.set(join(Uint8Array.of(0xea), u16(0xe05b), u16(0xf000), text("06/23/99")), 0xfff0);
	return rom;
}

test("whatever is changed in an image, it is read to its end", () => {
	const whole = join(
		build.volume([driver, build.file(B, 11, build.section(0x17, build.volume([driver])))], { name: A }),
		build.volume(
			[build.file(A, DRIVER, build.checked(build.guided(build.LZMA, 1, new Uint8Array(), samples.LZMA_STREAM)))],
			{
				blockSize: 4096,
			},
		),
		build.variableFlash(),
	);
	const change = fc.tuple(fc.nat(whole.length - 1), fc.nat(255));
	fc.assert(
		fc.property(fc.array(change, { maxLength: 8 }), fc.nat(whole.length), (changes, length) => {
			const bytes = whole.slice(0, length);
			for (const [at, value] of changes) if (at < length) bytes[at] = value;
			const pieces = parseImage(bytes).pieces;
			// What is said to lie in the file lies there, without gaps at the top.
			expect(pieces.reduce((sum, piece) => sum + piece.bytes.length, 0)).toBe(length);
			for (const piece of walk(pieces)) {
				if (!piece.packed) expect(piece.offset + piece.bytes.length).toBeLessThanOrEqual(length);
			}
		}),
		{ numRuns: 400 },
	);
});
