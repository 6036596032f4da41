import { assert } from "../base/errors.ts";
import type { AccessSize, Device, Dma } from "../bus/device.ts";
import { FwCfgDma } from "./fw-cfg-dma.ts";

/** An item's bytes, or what makes them each time the guest selects the item. */
export type FwCfgContent = Uint8Array | (() => Uint8Array);

/** Keys of the traditional items (QEMU docs/specs/fw_cfg). Numbers in them are little endian. */
export const FW_CFG = {
	SIGNATURE: 0x00,
	ID: 0x01,
	UUID: 0x02,
	RAM_SIZE: 0x03,
	NO_GRAPHIC: 0x04,
	CPUS: 0x05,
	MACHINE_ID: 0x06,
	KERNEL_ADDRESS: 0x07,
	KERNEL_SIZE: 0x08,
	INITRD_ADDRESS: 0x0a,
	INITRD_SIZE: 0x0b,
	BOOT_DEVICE: 0x0c,
	NUMA: 0x0d,
	BOOT_MENU: 0x0e,
	MAX_CPUS: 0x0f,
	KERNEL_ENTRY: 0x10,
	KERNEL_DATA: 0x11,
	INITRD_DATA: 0x12,
	COMMAND_LINE_ADDRESS: 0x13,
	COMMAND_LINE_SIZE: 0x14,
	COMMAND_LINE_DATA: 0x15,
	SETUP_ADDRESS: 0x16,
	SETUP_SIZE: 0x17,
	SETUP_DATA: 0x18,
	FILE_DIRECTORY: 0x19,
	/** The first file. */
	FILES: 0x20,
	/** Items of the PC architecture. */
	ARCH: 0x8000,
	IRQ0_OVERRIDE: 0x8002,
} as const;

/** Set in a key that the guest means to write through; it selects the same item. */
const WRITE_KEY = 0x4000;
const FILE_NAME_SIZE = 56;
const DIRECTORY_ENTRY_SIZE = 8 + FILE_NAME_SIZE;
/** Files are numbered below the write bit. */
const MAX_FILES = WRITE_KEY - FW_CFG.FILES;
/** Interface version: the traditional ports, and DMA. */
const ID = 3;

interface Item {
	content: FwCfgContent;
	/** Called with the new bytes after the guest has written some; absent: the item is read-only. */
	readonly onWrite?: ((content: Uint8Array) => void) | undefined;
}

interface File extends Item {
	readonly name: string;
}

export interface FwCfgState {
	readonly key: number;
	readonly offset: number;
	/** Content of the items the guest may write, by key. */
	readonly written: readonly (readonly [key: number, bytes: readonly number[]])[];
}

/**
 * QEMU's firmware configuration device (QEMU docs/specs/fw_cfg), ports 0x510 and 0x511 as offsets 0 and 1: a word
 * written selects an item, bytes read walk through it, zeros follow its end. {@link dma} is the interface at 0x514.
 */
export class FwCfg implements Device<FwCfgState> {
	readonly name = "fw-cfg";
	readonly sizes: readonly AccessSize[] = [1, 2];
	/** 8 bytes at port 0x514. */
	readonly dma: FwCfgDma;
	private readonly items = new Map<number, Item>();
	/** Sorted by name: a file's key is its place here. */
	private readonly files: File[] = [];
	private key = 0;
	private offset = 0;
	/** The selected item as it was when selected. */
	private current: Uint8Array = new Uint8Array();

	constructor(memory: Dma) {
		this.dma = new FwCfgDma(this, memory);
		this.addItem(FW_CFG.SIGNATURE, new TextEncoder().encode("QEMU"));
		this.addItem(FW_CFG.ID, littleEndian(ID, 4));
		this.addItem(FW_CFG.FILE_DIRECTORY, () => this.directory());
		this.select(0);
	}

	/** A traditional item; a second one for a key replaces the first. */
	addItem(key: number, content: FwCfgContent): void {
		this.items.set(key, { content });
	}

	/**
	 * A file. Its content's length must not change. `onWrite` makes it writable by DMA, as a whole or from any offset.
	 * All files are added before the guest runs: keys follow the order of names.
	 */
	addFile(name: string, content: FwCfgContent, onWrite?: (content: Uint8Array) => void): void {
		assert(/^[ -~]+$/.test(name) && name.length < FILE_NAME_SIZE, `fw_cfg file name ${name}`);
		assert(
			this.files.every((file) => file.name !== name),
			`fw_cfg file ${name} exists`,
		);
		assert(this.files.length < MAX_FILES, "too many fw_cfg files");
		const at = this.files.findIndex((file) => file.name > name);
		this.files.splice(at < 0 ? this.files.length : at, 0, { name, content, onWrite });
	}

	/** Selects the item of `key`, at its start. */
	select(key: number): void {
		this.key = key & 0xffff & ~WRITE_KEY;
		this.offset = 0;
		this.current = bytesOf(this.item());
	}

	/** Bytes of the selected item from the current position on; nothing past its end. The position moves by `length`. */
	take(length: number): Uint8Array {
		const bytes = this.current.subarray(this.offset, this.offset + length);
		this.skip(length);
		return bytes;
	}

	/** Moves the position; it stops at the end. */
	skip(length: number): void {
		this.offset = Math.min(this.offset + length, this.current.length);
	}

	/** How many bytes of the selected item follow the current position. */
	get remaining(): number {
		return this.current.length - this.offset;
	}

	/** May the guest write the selected item? */
	get writable(): boolean {
		return this.item()?.onWrite !== undefined;
	}

	/** Writes into a writable item at the current position; `bytes` must fit. */
	put(bytes: Uint8Array): void {
		const item = this.item();
		if (item?.onWrite === undefined) return;
		const content = this.current.slice();
		content.set(bytes, this.offset);
		item.content = content;
		this.current = content;
		this.skip(bytes.length);
		item.onWrite(content);
	}

	/** A byte from either port is the next of the item; the selector itself cannot be read. */
	read(_offset: number, size: AccessSize): number {
		return size === 1 ? (this.take(1)[0] ?? 0) : 0;
	}

	/** Writes to the data port are dropped. */
	write(offset: number, size: AccessSize, value: number): void {
		if (size === 2 && offset === 0) this.select(value);
	}

	reset(): void {
		this.select(0);
	}

	save(): FwCfgState {
		const written = [...this.writableItems()].map(
			([key, item]) => [key, Array.from(bytesOf(item))] as const satisfies [number, number[]],
		);
		return { key: this.key, offset: this.offset, written };
	}

	load(state: FwCfgState): void {
		const items = new Map(this.writableItems());
		for (const [key, bytes] of state.written) {
			const item = items.get(key);
			if (item !== undefined) item.content = Uint8Array.from(bytes);
		}
		this.select(state.key);
		this.skip(state.offset);
	}

	private item(): Item | undefined {
		return this.items.get(this.key) ?? this.files[this.key - FW_CFG.FILES];
	}

	private *writableItems(): Iterable<[key: number, item: Item]> {
		for (const [i, file] of this.files.entries()) if (file.onWrite) yield [FW_CFG.FILES + i, file];
	}

	/** Big endian: a count, then for each file its size, key, two reserved bytes and name. */
	private directory(): Uint8Array {
		const bytes = new Uint8Array(4 + this.files.length * DIRECTORY_ENTRY_SIZE);
		const view = new DataView(bytes.buffer);
		view.setUint32(0, this.files.length);
		this.files.forEach((file, i) => {
			const at = 4 + i * DIRECTORY_ENTRY_SIZE;
			view.setUint32(at, bytesOf(file).length);
			view.setUint16(at + 4, FW_CFG.FILES + i);
			new TextEncoder().encodeInto(file.name, bytes.subarray(at + 8));
		});
		return bytes;
	}
}

/** A number as an item's content. */
export function littleEndian(value: number, bytes: 2 | 4 | 8): Uint8Array {
	const content = new Uint8Array(bytes);
	for (let i = 0, rest = value; i < bytes; i++, rest = Math.floor(rest / 256)) content[i] = rest % 256;
	return content;
}

function bytesOf(item: Item | undefined): Uint8Array {
	if (item === undefined) return new Uint8Array();
	return typeof item.content === "function" ? item.content() : item.content;
}
