import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { describeWith } from "../support/guest-files.ts";
import { MACHINE_ENGINES, runMachine } from "../support/run-machine.ts";
import { type Code, exit, temporaryFiles } from "../support/tiny-rom.ts";

const SECTOR = 512;
/** Where the boot sector is loaded, its disk address packet, and where it reads to. */
const [LOAD, PACKET, BUFFER] = [0x7c00, 0x7d00, 0x8000] as const;
const u16 = (value: number): Code => [value & 0xff, value >>> 8];

/** xor ax, ax; mov ds, ax; mov es, ax */
const flat: Code = [0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xc0];
/** mov si, PACKET; mov ah, 0x42; int 0x13 */
const readExtended: Code = [0xbe, ...u16(PACKET), 0xb4, 0x42, 0xcd, 0x13];
/** mov ax, 0x0301; mov cx, sector; mov dh, 0; mov bx, BUFFER; int 0x13 */
const writeSector = (sector: number): Code => [
	...[0xb8, 0x01, 0x03, 0xb9, ...u16(sector), 0xb6, 0x00, 0xbb, ...u16(BUFFER), 0xcd, 0x13],
];
/** jnc over `code` */
const unlessCarry = (code: Code): Code => [0x73, code.length, ...code];
/** Sends the text at BUFFER to the debug console: mov si; lodsb; or al, al; jz; out 0xe9, al; jmp */
const sayBuffer: Code = [0xbe, ...u16(BUFFER), 0xac, 0x08, 0xc0, 0x74, 0x04, 0xe6, 0xe9, 0xeb, 0xf7];

/** Reads 64 sectors from sector 1 on, says the text there, copies sector 1 to sector 5. */
function bootDisk(): Uint8Array {
	const disk = new Uint8Array(1 << 20);
	const failed = unlessCarry(exit(1));
	disk.set([...flat, ...readExtended, ...failed, ...sayBuffer, ...writeSector(6), ...failed, ...exit(0)]);
	disk.set([16, 0, ...u16(64), ...u16(BUFFER), 0, 0, 1], PACKET - LOAD);
	disk.set([0x55, 0xaa], SECTOR - 2);
	disk.set(Buffer.from("read from the disk\n"), SECTOR);
	disk.fill(0x5a, 64 * SECTOR, 65 * SECTOR);
	return disk;
}

const CD_SECTOR = 2048;
const [BOOT_RECORD, CATALOG, BOOT_IMAGE] = [17, 18, 19] as const;

/** A disc that boots without emulation (El Torito 1.0): what it boots says a text that lies a thousand bytes behind it. */
function bootDisc(): Uint8Array {
	const disc = new Uint8Array(64 * CD_SECTOR);
	const at = (sector: number, offset = 0) => sector * CD_SECTOR + offset;
	disc.set([0, ...Buffer.from("CD001\x01EL TORITO SPECIFICATION")], at(BOOT_RECORD));
	disc.set([CATALOG], at(BOOT_RECORD, 0x47));
	disc.set([1], at(CATALOG));
	disc.set([0x55, 0xaa], at(CATALOG, 30));
	// Bootable, no emulation, segment 7C0, four sectors of 512 bytes.
	disc.set([0x88, 0, 0xc0, 0x07, 0, 0, 4, 0, BOOT_IMAGE], at(CATALOG, 32));
	const move: Code = [0xbe, ...u16(LOAD + 1000), 0xbf, ...u16(BUFFER), 0xb9, ...u16(32), 0xf3, 0xa4];
	disc.set([...flat, ...move, ...sayBuffer, ...exit(0)], at(BOOT_IMAGE));
	disc.set(Buffer.from("read from the disc\n"), at(BOOT_IMAGE, 1000));
	return disc;
}

const file = temporaryFiles();
const text = (path: string, sector: number) =>
	readFileSync(path).toString("latin1", sector * SECTOR, sector * SECTOR + 9);

describeWith(["seabios"], "SeaBIOS", (bios) => {
	test("boots from an IDE disk, reads and writes it, in the same time on both engines", async () => {
		const ends: unknown[] = [];
		for (const engine of MACHINE_ENGINES) {
			const path = file(`${engine}.img`, bootDisk());
			const { outcome, debugcon } = await runMachine({ bios, engine, drive: path, "max-instructions": "8M" });
			expect(outcome.end).toEqual({ kind: "debug-exit", value: 0 });
			expect(debugcon.endsWith("read from the disk\n")).toBe(true);
			expect([text(path, 5), text(path, 1)]).toEqual(["read from", "read from"]);
			ends.push([outcome.instructions, outcome.guestTimeNs, debugcon]);
		}
		expect(ends[0]).toEqual(ends[1]);
	});

	test.each(["index=1", "index=2", "index=3"])("boots from %s", async (place) => {
		const drive = `${file(`at-${place.at(-1)}.img`, bootDisk())},${place}`;
		const { outcome } = await runMachine({ bios, drive, "max-instructions": "8M" });
		expect(outcome.end).toEqual({ kind: "debug-exit", value: 0 });
	});

	test("boots from a CD-ROM", async () => {
		const drive = `${file("boot.iso", bootDisc())},media=cdrom`;
		const { outcome, debugcon } = await runMachine({ bios, drive, "max-instructions": "20M" });
		expect(outcome.end).toEqual({ kind: "debug-exit", value: 0 });
		expect(debugcon.endsWith("read from the disc\n")).toBe(true);
	});

	test("with snapshot=on the file stays as it is; readonly=on fails the write", async () => {
		const path = file("kept.img", bootDisk());
		const run = async (options: string) =>
			(await runMachine({ bios, drive: `${path},${options}`, "max-instructions": "8M" })).outcome.end;
		expect(await run("snapshot")).toEqual({ kind: "debug-exit", value: 0 });
		expect(await run("readonly")).toEqual({ kind: "debug-exit", value: 1 });
		expect(text(path, 5)).toBe("\0".repeat(9));
	});

	test("in lockstep the file has the writes at the end", async () => {
		const path = file("lockstep.img", bootDisk());
		const options = { bios, engine: "lockstep", drive: path, "max-instructions": "8M" } as const;
		expect((await runMachine(options)).outcome.end).toEqual({ kind: "debug-exit", value: 0 });
		expect(text(path, 5)).toBe("read from");
	});
});
