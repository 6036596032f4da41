/** Runs a flat ROM on v86: `v86.ts ROM MEGABYTES`. COM1 goes to standard output; a write to port 0xf4 ends the process. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { V86 } from "v86";

/** What v86 does not declare: the port table of its processor. */
interface Inside {
	readonly v86: {
		readonly cpu: {
			readonly io: { register_write(port: number, device: object, write8: (value: number) => void): void };
		};
	};
}

const [rom = "", megabytes = "64"] = process.argv.slice(2);
const image = readFileSync(rom);
const emulator = new V86({
	wasm_path: createRequire(import.meta.url).resolve("v86/build/v86.wasm"),
	bios: { buffer: image.buffer.slice(image.byteOffset, image.byteOffset + image.byteLength) },
	memory_size: Number(megabytes) << 20,
	vga_memory_size: 1 << 20,
	disable_keyboard: true,
	disable_mouse: true,
	disable_speaker: true,
	autostart: true,
	log_level: 0,
});
emulator.add_listener("serial0-output-byte", (byte: number) => process.stdout.write(String.fromCharCode(byte)));
emulator.add_listener("emulator-started", () => {
	const { io } = (emulator as unknown as Inside).v86.cpu;
	io.register_write(0xf4, {}, (value) => process.exit(value));
});
