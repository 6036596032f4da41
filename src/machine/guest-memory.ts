import type { Dma } from "../bus/device.ts";
import { KVM_MEM_READONLY } from "../kvm/memslots.ts";
import type { Vm } from "../kvm/vm.ts";

const PAGE = 4096;

/** Told of what a readonly slot refused: where, what, and what is there. */
export type RefusedDma = (gpa: number, data: Uint8Array, old: Uint8Array) => void;

/**
 * Guest-physical memory as bus masters see it: RAM and ROM through the slots, page by page. These are accesses of user space
 * through its own addresses: they mark no page dirty (Linux virt/kvm/api, 4.8), and stores to ROM are dropped.
 */
export class GuestMemory implements Dma {
	private readonly vm: Vm;
	private readonly refused: RefusedDma | undefined;

	constructor(vm: Vm, refused?: RefusedDma) {
		this.vm = vm;
		this.refused = refused;
	}

	read(gpa: number, length: number): Uint8Array {
		const out = new Uint8Array(length).fill(0xff);
		this.pieces(gpa, length, false, (host, done, bytes) => out.set(this.vm.memory.bytes(host, bytes), done));
		return out;
	}

	write(gpa: number, data: Uint8Array): void {
		this.pieces(gpa, data.length, true, (host, done, bytes, readonly) => {
			const piece = data.subarray(done, done + bytes);
			const there = this.vm.memory.bytes(host, bytes);
			if (readonly) {
				this.refused?.(gpa + done, piece, there);
				return;
			}
			there.set(piece);
			this.vm.written(host, bytes);
		});
	}

	private pieces(
		gpa: number,
		length: number,
		write: boolean,
		each: (host: number, done: number, bytes: number, readonly: boolean) => void,
	): void {
		const { slots } = this.vm;
		for (let done = 0; done < length; ) {
			const at = gpa + done;
			const bytes = Math.min(length - done, PAGE - (at % PAGE));
			const slot = slots.find(at);
			const host = slot ? slots.hostOffset(slot, at) : 0;
			if (slot && host !== 0) each(host, done, bytes, write && (slot.flags & KVM_MEM_READONLY) !== 0);
			done += bytes;
		}
	}
}
