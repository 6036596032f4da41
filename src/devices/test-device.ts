import type { AccessSize, Device, IrqLine } from "../bus/device.ts";

/** Ports of {@link TestPorts}. QEMU has three more; there is a debug console at the first of those. */
export const TEST_PORTS = 9;
/** Bytes of {@link TestMemory}. */
export const TEST_MEMORY_BYTES = 64 * 1024;

/** Within {@link TestPorts}: a write flushes a page on hypervisors that can; there is nothing to flush here. */
const FLUSH = 4;
const AGAIN = 8;

/**
 * The ports of QEMU's pc-testdev, which tests of processors use: four bytes of storage at +0, a page flush at +4, and the same storage
 * at +8, which hypervisors pass on byte by byte: its first byte is there.
 */
export class TestPorts implements Device<{ stored: number }> {
	readonly name = "pc-testdev";
	readonly sizes: readonly AccessSize[] = [1, 2, 4];
	private stored = 0;

	read(offset: number, size: AccessSize): number {
		if (offset >= TEST_PORTS || (offset >= FLUSH && offset < AGAIN)) return 0;
		return ((this.stored >>> (8 * (offset & 3))) & mask(size)) >>> 0;
	}

	write(offset: number, size: AccessSize, value: number): void {
		if (offset >= TEST_PORTS || (offset >= FLUSH && offset < AGAIN)) return;
		const shift = 8 * (offset & 3);
		this.stored = ((this.stored & ~(mask(size) << shift)) | ((value & mask(size)) << shift)) >>> 0;
	}

	reset(): void {
		this.stored = 0;
	}

	save(): { stored: number } {
		return { stored: this.stored };
	}

	load({ stored }: { stored: number }): void {
		this.stored = stored;
	}
}

function mask(size: AccessSize): number {
	return size === 4 ? -1 : (1 << (8 * size)) - 1;
}

/** A port for each interrupt line: a write of 0 lets it fall, of anything else rise; reads give 0. */
export class TestLines implements Device<{ high: number }> {
	readonly name = "pc-testdev-lines";
	readonly sizes: readonly AccessSize[] = [1];
	private readonly lines: readonly IrqLine[];
	/** A bit for each line. */
	private high = 0;

	/** At most 32 lines. */
	constructor(lines: readonly IrqLine[]) {
		this.lines = lines;
	}

	read(): number {
		return 0;
	}

	write(offset: number, _size: AccessSize, value: number): void {
		if (offset >= this.lines.length) return;
		const bit = 1 << offset;
		this.load({ high: value === 0 ? this.high & ~bit : this.high | bit });
	}

	reset(): void {
		this.load({ high: 0 });
	}

	save(): { high: number } {
		return { high: this.high };
	}

	load({ high }: { high: number }): void {
		this.high = high;
		this.lines.forEach((line, n) => {
			line.set((high & (1 << n)) !== 0);
		});
	}
}

/** Memory whose every access is a device's: 64 KiB of storage, 0 at first. */
export class TestMemory implements Device<{ bytes: string }> {
	readonly name = "pc-testdev-memory";
	readonly sizes: readonly AccessSize[] = [1, 2, 4];
	private readonly bytes = Buffer.alloc(TEST_MEMORY_BYTES);

	read(offset: number, size: AccessSize): number {
		return offset + size <= TEST_MEMORY_BYTES ? this.bytes.readUIntLE(offset, size) : 0;
	}

	write(offset: number, size: AccessSize, value: number): void {
		if (offset + size <= TEST_MEMORY_BYTES) this.bytes.writeUIntLE(value, offset, size);
	}

	reset(): void {
		this.bytes.fill(0);
	}

	save(): { bytes: string } {
		return { bytes: this.bytes.toString("base64") };
	}

	load({ bytes }: { bytes: string }): void {
		this.bytes.write(bytes, "base64");
	}
}
