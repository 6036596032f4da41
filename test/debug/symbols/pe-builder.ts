/** What {@link buildPe} makes an image of. */
export interface PeParts {
	readonly wide?: boolean;
	readonly base?: bigint;
	/** The path in the debug directory, and in which form; none without. */
	readonly path?: string;
	readonly form?: "NB10" | "RSDS" | "MTOC";
	/** Bytes of code, at rva 0x1000. */
	readonly code?: number;
	/** As edk2's GenFw leaves it for code that runs in place: with a TE header instead of those of PE. */
	readonly te?: boolean;
}

export const CODE_RVA = 0x1000;
const TE_HEADER = 40;
const TE_STRIPPED = 0x150;

/** An image with a section of code and one of data with the debug directory, as it lies in memory: offsets are rvas, less what TE strips. */
export function buildPe({
	wide = true,
	base = 0n,
	path,
	form = "NB10",
	code = 0x800,
	te = false,
}: PeParts): Uint8Array {
	const dataRva = CODE_RVA + Math.ceil(code / 0x1000) * 0x1000;
	const image = Buffer.alloc(dataRva + 0x1000);
	const sections = (at: number): void => {
		for (const [n, name, rva, size, flags] of [
			[0, ".text", CODE_RVA, code, 0x6000_0020],
			[1, ".data", dataRva, 0x1000, 0xc000_0040],
		] as const) {
			const header = at + n * 40;
			image.write(name, header, "latin1");
			for (const [field, value] of [size, rva, size, rva].entries()) image.writeUInt32LE(value, header + 8 + field * 4);
			image.writeUInt32LE(flags, header + 36);
		}
	};
	const debug = path === undefined ? [0, 0] : [dataRva, 28];
	if (te) {
		const header = TE_STRIPPED - TE_HEADER;
		image.write("VZ", header, "latin1");
		image.writeUInt16LE(wide ? 0x8664 : 0x14c, header + 2);
		image.writeUInt8(2, header + 4);
		image.writeUInt16LE(TE_STRIPPED, header + 6);
		image.writeBigUInt64LE(base, header + 16);
		image.writeUInt32LE(debug[0]!, header + 32);
		image.writeUInt32LE(debug[1]!, header + 36);
		sections(header + TE_HEADER);
	} else {
		const [at, optional, optionalSize] = [0x80, 0x98, wide ? 240 : 224];
		image.write("MZ", 0, "latin1");
		image.writeUInt32LE(at, 0x3c);
		image.write("PE", at, "latin1");
		image.writeUInt16LE(wide ? 0x8664 : 0x14c, at + 4);
		image.writeUInt16LE(2, at + 6);
		image.writeUInt16LE(optionalSize, at + 20);
		image.writeUInt16LE(wide ? 0x20b : 0x10b, optional);
		if (wide) image.writeBigUInt64LE(base, optional + 24);
		else image.writeUInt32LE(Number(base), optional + 28);
		image.writeUInt32LE(image.length, optional + 56);
		const directories = optional + (wide ? 112 : 96);
		image.writeUInt32LE(16, directories - 4);
		image.writeUInt32LE(debug[0]!, directories + 6 * 8);
		image.writeUInt32LE(debug[1]!, directories + 6 * 8 + 4);
		sections(optional + optionalSize);
	}
	if (path !== undefined) {
		const [record, header] = [dataRva + 0x40, { NB10: 16, RSDS: 24, MTOC: 20 }[form]];
		image.writeUInt32LE(2, dataRva + 12);
		image.writeUInt32LE(header + path.length + 1, dataRva + 16);
		image.writeUInt32LE(record, dataRva + 20);
		image.writeUInt32LE(record, dataRva + 24);
		image.write(form, record, "latin1");
		image.write(path, record + header, "latin1");
	}
	return te ? image.subarray(TE_STRIPPED - TE_HEADER) : image;
}
