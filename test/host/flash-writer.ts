// A process of its own for the durability test: programs a flash file and waits to be killed.
import { FlashArray } from "../../src/devices/pflash-array.ts";
import { PflashCfi01 } from "../../src/devices/pflash-cfi01.ts";
import { FlashFile } from "../../src/host/flash-file.ts";

const file = new FlashFile(process.argv[2]!, {
	...{ what: "--flash", readonly: false, sectorSize: 4096, limit: 1 << 23 },
	failed: (problem) => {
		throw new Error(problem);
	},
});
const memory = new Uint8Array(file.size);
file.load(memory);
const flash = new PflashCfi01("flash0", new FlashArray(memory, 4096, file, false), { setDirect: () => {} });

flash.write(0x10, 1, 0x40);
flash.write(0x10, 1, 0xaa);
flash.write(0x10, 1, 0xff);
flash.write(0x1000, 1, 0x20);
flash.write(0x1000, 1, 0xd0);
// Programmed and left in status mode: only the timer flushes it.
flash.write(0x20, 1, 0x40);
flash.write(0x20, 1, 0xbb);
process.stdout.write("flushed\n");
setInterval(() => {}, 1000);
