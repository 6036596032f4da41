import { assert } from "../../base/errors.ts";
import { ADD_CHECKSUM, ADD_POINTER, ALLOCATE, COMMAND_SIZE, FILE_NAME_SIZE } from "./table-loader.ts";

/** A file of a table loader script, and where it will be. */
export interface PlacedFile {
	readonly bytes: Uint8Array;
	readonly address: number;
}

/**
 * Carries out a table loader script (QEMU's bios-linker-loader) where there is no firmware to do it.
 * @returns the files with their pointers and checksums filled in
 */
export function linkTables(
	script: Uint8Array,
	files: Readonly<Record<string, PlacedFile>>,
): Readonly<Record<string, PlacedFile>> {
	const linked: Record<string, PlacedFile> = {};
	const view = new DataView(script.buffer, script.byteOffset, script.length);
	const name = (at: number): string =>
		new TextDecoder().decode(script.slice(at, at + FILE_NAME_SIZE)).replace(/\0.*$/s, "");
	const file = (at: number): PlacedFile => {
		const found = linked[name(at)];
		assert(found, `table loader file ${name(at)}`);
		return found;
	};
	for (let at = 0; at < script.length && view.getUint32(at, true) !== 0; at += COMMAND_SIZE) {
		const first = at + 4;
		const after = (offset: number): number => view.getUint32(first + FILE_NAME_SIZE + offset, true);
		const command = view.getUint32(at, true);
		if (command === ALLOCATE) {
			const given = files[name(first)];
			assert(given && given.address % after(0) === 0, `place of ${name(first)}`);
			linked[name(first)] = { ...given, bytes: given.bytes.slice() };
		} else if (command === ADD_POINTER) {
			const source = file(first + FILE_NAME_SIZE).address;
			const { bytes } = file(first);
			const offset = after(FILE_NAME_SIZE);
			assert(view.getUint8(first + 2 * FILE_NAME_SIZE + 4) === 4, "pointers of four bytes");
			const target = new DataView(bytes.buffer);
			target.setUint32(offset, target.getUint32(offset, true) + source, true);
		} else {
			assert(command === ADD_CHECKSUM, `table loader command ${command}`);
			const { bytes } = file(first);
			const sum = bytes.subarray(after(4), after(4) + after(8)).reduce((total, byte) => total + byte, 0);
			bytes[after(0)] = bytes[after(0)]! - sum;
		}
	}
	return linked;
}
