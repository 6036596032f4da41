import type { AccessSize, Device, Dma } from "../bus/device.ts";
import type { FwCfg } from "./fw-cfg.ts";

const ERROR = 1 << 0;
const READ = 1 << 1;
const SKIP = 1 << 2;
const SELECT = 1 << 3;
const WRITE = 1 << 4;

/** Bytes of the request in memory: control, length, address, all big endian. */
const REQUEST_SIZE = 16;
/** What the registers read: "QEMU CFG". */
const SIGNATURE = new TextEncoder().encode("QEMU CFG");
/** Zeros for what a read asks beyond an item's end are written in pieces. */
const ZEROS = new Uint8Array(0x10000);
const TWO_32 = 0x1_0000_0000;

export interface FwCfgDmaState {
	readonly high: number;
}

/**
 * The DMA interface of fw_cfg: a big-endian 64-bit address register. Writing its low half at offset 4 carries out the
 * request at that address and answers in its control word: 0, or the error bit.
 */
export class FwCfgDma implements Device<FwCfgDmaState> {
	readonly name = "fw-cfg-dma";
	readonly sizes: readonly AccessSize[] = [1, 2, 4];
	private readonly fwCfg: FwCfg;
	private readonly memory: Dma;
	private high = 0;

	constructor(fwCfg: FwCfg, memory: Dma) {
		this.fwCfg = fwCfg;
		this.memory = memory;
	}

	read(offset: number, size: AccessSize): number {
		let value = 0;
		for (let i = 0; i < size; i++) value |= (SIGNATURE[offset + i] ?? 0xff) << (8 * i);
		return value >>> 0;
	}

	/** Narrower writes are dropped. */
	write(offset: number, size: AccessSize, value: number): void {
		if (size !== 4) return;
		if (offset === 0) this.high = swap(value);
		else if (offset === 4) this.execute(swap(value));
	}

	reset(): void {
		this.high = 0;
	}

	save(): FwCfgDmaState {
		return { high: this.high };
	}

	load(state: FwCfgDmaState): void {
		this.high = state.high;
	}

	/** The high half is used once. An address that no machine has reaches nothing. */
	private execute(low: number): void {
		const at = this.high * TWO_32 + low;
		this.high = 0;
		if (!Number.isSafeInteger(at + REQUEST_SIZE)) return;
		const request = this.memory.read(at, REQUEST_SIZE);
		const view = new DataView(request.buffer, request.byteOffset, request.byteLength);
		const control = view.getUint32(0);
		const length = view.getUint32(4);
		const address = view.getUint32(8) * TWO_32 + view.getUint32(12);
		if (control & SELECT) this.fwCfg.select(control >>> 16);
		const answer = new Uint8Array(4);
		new DataView(answer.buffer).setUint32(0, this.transfer(control, length, address) ? 0 : ERROR);
		this.memory.write(at, answer);
	}

	/** Reading goes before writing before skipping. False: it cannot be done. */
	private transfer(control: number, length: number, address: number): boolean {
		if (control & READ) return this.copyOut(length, address);
		if (control & WRITE) return this.copyIn(length, address);
		if (control & SKIP) this.fwCfg.skip(length);
		return true;
	}

	private copyOut(length: number, address: number): boolean {
		if (!Number.isSafeInteger(address + length)) return false;
		const bytes = this.fwCfg.take(length);
		this.memory.write(address, bytes);
		for (let done = bytes.length; done < length; done += ZEROS.length) {
			this.memory.write(address + done, ZEROS.subarray(0, Math.min(ZEROS.length, length - done)));
		}
		return true;
	}

	/** What does not fit, or is read-only, is refused as a whole; the position moves all the same. */
	private copyIn(length: number, address: number): boolean {
		const fits = length <= this.fwCfg.remaining && Number.isSafeInteger(address + length);
		if (length === 0) return true;
		if (!fits || !this.fwCfg.writable) {
			this.fwCfg.skip(length);
			return false;
		}
		this.fwCfg.put(this.memory.read(address, length));
		return true;
	}
}

function swap(value: number): number {
	return ((value << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>> 0;
}
