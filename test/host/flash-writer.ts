// A process of its own: programs a flash file, and waits to be killed or ends without closing it: `exit`, `throw` or `reject`.

import { ManualClock } from "../../src/bus/clock.ts";
import { FlashArray } from "../../src/devices/pflash-array.ts";
import { PflashCfi01 } from "../../src/devices/pflash-cfi01.ts";
import { FlashGeometry } from "../../src/devices/pflash-geometry.ts";
import { FlashFile } from "../../src/host/flash-file.ts";

const file = new FlashFile(process.argv[2]!, {
	...{ what: "--flash", readonly: false, sectorSize: 4096, limit: 1 << 23 },
	failed: (problem) => {
		throw new Error(problem);
	},
});
const memory = new Uint8Array(file.size);
file.load(memory);
const array = new FlashArray(memory, new FlashGeometry([{ count: file.size / 4096, size: 4096 }]), file, false);
const flash = new PflashCfi01({ name: "flash0", array, romd: { setDirect: () => {} }, clock: new ManualClock() });

flash.write(0x10, 1, 0x40);
flash.write(0x10, 1, 0xaa);
flash.write(0x10, 1, 0xff);
flash.write(0x1000, 1, 0x20);
flash.write(0x1000, 1, 0xd0);
// Programmed and left in status mode: only the timer flushes it.
flash.write(0x20, 1, 0x40);
flash.write(0x20, 1, 0xbb);
const end = process.argv[3];
if (end === "exit") process.exit(0);
if (end === "throw") throw new Error("nobody catches this");
if (end === "reject") await Promise.reject(new Error("nor this"));
process.stdout.write("flushed\n");
setInterval(() => {}, 1000);
