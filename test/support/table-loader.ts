/** A file as firmware has placed it. */
export interface PlacedFile {
	readonly bytes: Uint8Array;
	readonly address: number;
}

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes).replace(/\0.*$/s, "");

/** Carries out a table loader script as firmware does; gives copies of the files with its changes. */
export function runTableLoader(
	script: Uint8Array,
	files: Readonly<Record<string, PlacedFile>>,
): Map<string, Uint8Array> {
	const allocated = new Map<string, Uint8Array>();
	const view = new DataView(script.buffer, script.byteOffset);
	const file = (at: number): Uint8Array => {
		const bytes = allocated.get(text(script.subarray(at, at + 56)));
		if (bytes === undefined) throw new Error(`file at ${at} is not allocated`);
		return bytes;
	};
	for (let at = 0; at < script.length && view.getUint32(at, true) !== 0; at += 128) {
		const name = text(script.subarray(at + 4, at + 60));
		switch (view.getUint32(at, true)) {
			case 1: {
				const { bytes, address } = files[name]!;
				if (address % view.getUint32(at + 60, true) !== 0) throw new Error(`${name} is not aligned`);
				allocated.set(name, bytes.slice());
				break;
			}
			case 2: {
				file(at + 60);
				const offset = view.getUint32(at + 116, true);
				const target = new DataView(file(at + 4).buffer);
				const source = files[text(script.subarray(at + 60, at + 116))]!;
				target.setUint32(offset, target.getUint32(offset, true) + source.address, true);
				break;
			}
			case 3: {
				const bytes = file(at + 4);
				const [result, start, length] = [60, 64, 68].map((field) => view.getUint32(at + field, true));
				const sum = bytes.subarray(start!, start! + length!).reduce((total, byte) => total + byte, 0);
				bytes[result!] = bytes[result!]! - sum;
				break;
			}
			default:
				throw new Error(`unknown command at ${at}`);
		}
	}
	return allocated;
}
