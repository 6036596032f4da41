import type { GuestView } from "../../../src/debug/symbols/guest-view.ts";

/** Guest memory of which only some pages exist. */
export class SparseMemory {
	private readonly pages = new Map<bigint, Uint8Array>();

	write(address: bigint | number, bytes: Uint8Array): void {
		for (const [n, byte] of bytes.entries())
			this.page(BigInt(address) + BigInt(n), true)![Number((BigInt(address) + BigInt(n)) & 0xfffn)] = byte;
	}

	/** Little-endian numbers, one after the other. */
	words(address: bigint | number, size: 4 | 8, ...values: readonly (bigint | number)[]): void {
		const bytes = Buffer.alloc(values.length * size);
		values.forEach((value, n) => {
			if (size === 8) bytes.writeBigUInt64LE(BigInt(value), n * 8);
			else bytes.writeUInt32LE(Number(value), n * 4);
		});
		this.write(address, bytes);
	}

	forget(address: bigint): void {
		this.pages.delete(address >> 12n);
	}

	readonly read = (address: bigint, length: number): Uint8Array | undefined => {
		const out = new Uint8Array(length);
		for (let n = 0; n < length; n++) {
			const page = this.page(address + BigInt(n), false);
			if (page === undefined) return undefined;
			out[n] = page[Number((address + BigInt(n)) & 0xfffn)]!;
		}
		return out;
	};

	private page(address: bigint, make: boolean): Uint8Array | undefined {
		let page = this.pages.get(address >> 12n);
		if (page === undefined && make) {
			page = new Uint8Array(4096);
			this.pages.set(address >> 12n, page);
		}
		return page;
	}

	/** As a guest that executes nothing. */
	view(entries: Partial<ReturnType<GuestView["entries"]>> = {}): GuestView {
		return {
			read: this.read,
			registers: () => {
				throw new Error("nothing runs here");
			},
			entries: () => ({ idtBase: 0n, idtLimit: 0, lstar: 0n, ...entries }),
		};
	}
}
