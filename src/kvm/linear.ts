import { ACCESS, F, type Field, IO, IO_SIZE, TX, TX_SIZE } from "../vcpu/layout.ts";
import type { Processor } from "../vcpu/processor.ts";
import { VECTOR } from "../vcpu/register-names.ts";
import { PAGE_SIZE } from "../vcpu/vm-memory.ts";
import type { KvmResult } from "./errno.ts";
import { bufferOf, checkMemOp, MEM_OP, MEM_OP_FLAG, type MemOp } from "./mem-op.ts";

const EFER_LMA = 0x400;
const CR0_PG = 0x8000_0000;
/** Bits of F.walkFlags. */
const WALK_WRITABLE = 1;
const WALK_USER = 2;
const NOT_VALID = 0xffff_ffff_ffff_ffffn;
const KNOWN_FLAGS = MEM_OP_FLAG.checkOnly | MEM_OP_FLAG.injectException | MEM_OP_FLAG.supervisor;

/** struct kvm_translation. */
export interface Translation {
	/** All ones where the address is not mapped. */
	readonly physicalAddress: bigint;
	readonly valid: number;
	readonly writeable: number;
	readonly usermode: number;
}

/** Whether an address is one of 48 bits, or of 57 with 5-level paging. */
function isCanonical(processor: Processor, linear: bigint): boolean {
	const width = 64 - processor.get(F.linearShift);
	return BigInt.asUintN(64, BigInt.asIntN(width, linear)) === linear;
}

function isLong(processor: Processor): boolean {
	return (processor.get(F.efer) & EFER_LMA) !== 0;
}

/**
 * KVM_TRANSLATE: the walk of a supervisor's read, which sets accessed bits.
 * @param compat answers as Linux does: `writeable` is 1 and `usermode` 0 whatever the page tables say.
 */
export function translate(processor: Processor, linear: bigint, compat: boolean): Translation {
	const none = { physicalAddress: NOT_VALID, valid: 0, writeable: compat ? 1 : 0, usermode: 0 };
	if (isLong(processor) ? !isCanonical(processor, linear) : linear >> 32n !== 0n) return none;
	return processor.attempt(() => {
		if (processor.call("gvaToTlb", linear, 1, ACCESS.read | ACCESS.system) !== 0) return none;
		const flags = processor.get(TX.flags, F.tx.offset);
		return {
			physicalAddress: processor.get64(TX.gpa, F.tx.offset),
			valid: 1,
			writeable: compat || (flags & WALK_WRITABLE) !== 0 ? 1 : 0,
			usermode: !compat && (flags & WALK_USER) !== 0 ? 1 : 0,
		};
	});
}

/**
 * A memory operation on linear addresses: every page is translated, then every page looked up, before a byte moves.
 * @returns see {@link Vcpu.memOp}.
 */
export function logicalMemOp(processor: Processor, op: MemOp): KvmResult {
	const refused = checkMemOp(op, KNOWN_FLAGS);
	if (refused !== 0) return refused;
	if (op.op !== MEM_OP.logicalRead && op.op !== MEM_OP.logicalWrite) return "EINVAL";
	const write = op.op === MEM_OP.logicalWrite;
	const checkOnly = (op.flags & MEM_OP_FLAG.checkOnly) !== 0;
	const buffer = checkOnly ? undefined : bufferOf(op);
	if (buffer === "EFAULT" && write) return buffer;

	let linear = op.gaddr;
	const outside = isLong(processor)
		? [linear, linear + BigInt(op.size - 1)].find((address) => !isCanonical(processor, address))
		: undefined;
	if (outside !== undefined) return exception(processor, op, () => processor.call("raise", VECTOR.GP, 0));
	if (!isLong(processor)) linear &= 0xffff_ffffn;
	const user = processor.get(F.cpl) === 3 && (op.flags & MEM_OP_FLAG.supervisor) === 0;
	const access = (write ? ACCESS.write : ACCESS.read) | (user ? ACCESS.user : 0);
	const checked = exception(processor, op, () => processor.call("gvaToTlb", linear, op.size, access | ACCESS.check));
	if (checked !== 0) return checked;
	if (processor.attempt(() => processor.call("tlbToIo", access | ACCESS.hypervisor)) !== 0) return "EFAULT";
	if (checkOnly || buffer === undefined) return 0;
	if (buffer === "EFAULT") return buffer;
	// Once more for the accessed and dirty bits: it cannot fail now.
	if ((processor.get(F.cr0) & CR0_PG) !== 0) processor.call("gvaToTlb", linear, op.size, access);
	move(processor, op.size, buffer, write);
	if (write) processor.call("stored");
	return 0;
}

/** What the steps of one page leave behind: fields, and the bytes of each. */
const STEPS: readonly (readonly [Field, number])[] = [
	...[F.txCount, F.ioCount, F.walkGpa, F.walkFlags].map((field) => [field, field.bytes] as const),
	[F.tx, TX_SIZE],
	[F.io, IO_SIZE],
];

/**
 * Calls `each` for `length` bytes of RAM or ROM at a linear address, page by page, whatever the privilege level; false, perhaps after
 * some calls, where a byte is nowhere. No accessed or dirty bit changes, nor what an access in hand has noted.
 */
function eachPage(
	processor: Processor,
	address: bigint,
	length: number,
	each: (host: number, bytes: number, done: number) => void,
): boolean {
	const mask = isLong(processor) ? 0xffff_ffff_ffff_ffffn : 0xffff_ffffn;
	const kept = STEPS.map(([field, bytes]) => processor.stateBytes(field, bytes).slice());
	const whole = processor.attempt(() => {
		for (let done = 0; done < length; ) {
			const linear = (address + BigInt(done)) & mask;
			const bytes = Math.min(length - done, PAGE_SIZE - Number(linear & BigInt(PAGE_SIZE - 1)));
			// A supervisor may be kept from user pages (SMAP), a user from all others.
			const found = [ACCESS.system, ACCESS.user].some((who) => {
				const access = ACCESS.read | ACCESS.check | who;
				return (
					processor.call("gvaToTlb", linear, bytes, access) === 0 &&
					processor.call("tlbToIo", access | ACCESS.hypervisor) === 0
				);
			});
			if (!found) return false;
			each(processor.get(IO.host, F.io.offset) >>> 0, bytes, done);
			done += bytes;
		}
		return true;
	});
	STEPS.forEach(([field, bytes], n) => {
		processor.stateBytes(field, bytes).set(kept[n]!);
	});
	return whole;
}

/** A copy of `length` bytes of RAM or ROM at a linear address; undefined where one of them is nowhere. For debuggers: see {@link eachPage}. */
export function peekLinear(processor: Processor, address: bigint, length: number): Uint8Array | undefined {
	const out = new Uint8Array(length);
	const whole = eachPage(processor, address, length, (host, bytes, done) =>
		out.set(processor.bytes().subarray(host, host + bytes), done),
	);
	return whole ? out : undefined;
}

/**
 * Replaces bytes of RAM or ROM at a linear address, whatever page tables and slots say of writing; decoded code follows. False, and
 * nothing has changed, where one of them is nowhere. For debuggers: see {@link eachPage}.
 */
export function pokeLinear(processor: Processor, address: bigint, data: Uint8Array): boolean {
	if (!eachPage(processor, address, data.length, () => {})) return false;
	return eachPage(processor, address, data.length, (host, bytes, done) => {
		processor.bytes().set(data.subarray(done, done + bytes), host);
		// What is ROM to the guest is in no dirty log.
		if (processor.get(IO.kind, F.io.offset) === 0) processor.call("stored");
		else processor.call("checkCode", host, bytes);
	});
}

/** Runs a step that may raise an exception. @returns 0, the vector, or EBUSY where it cannot be injected. */
function exception(processor: Processor, op: MemOp, step: () => number): KvmResult {
	const busy = processor.get(F.faultPending) !== 0;
	const inject = (op.flags & MEM_OP_FLAG.injectException) !== 0;
	let result = 0;
	processor.attempt(() => {
		if (step() === 0) return;
		result = processor.get(F.faultVector);
		op.errorCode = processor.get(F.faultCode) >>> 0;
		op.cr2 = processor.get64(F.faultAddress);
	});
	if (result === 0) return 0;
	if (result !== VECTOR.PF) delete op.cr2;
	if (!inject) return result;
	if (busy) return "EBUSY";
	if (op.cr2 !== undefined) processor.set64(F.faultAddress, op.cr2);
	processor.call("raise", result, op.errorCode! | 0);
	return result;
}

/** Third step, for buffers of any size: pieces that follow each other in VM memory move at once. */
function move(processor: Processor, size: number, buffer: Uint8Array, write: boolean): void {
	const memory = processor.bytes();
	for (let n = 0, done = 0; done < size; ) {
		const host = processor.get(IO.host, F.io.offset + n * IO_SIZE) >>> 0;
		let bytes = 0;
		do bytes += processor.get(IO.length, F.io.offset + n++ * IO_SIZE);
		while (done + bytes < size && processor.get(IO.host, F.io.offset + n * IO_SIZE) >>> 0 === host + bytes);
		if (write) memory.set(buffer.length === bytes ? buffer : buffer.subarray(done, done + bytes), host);
		else buffer.set(memory.subarray(host, host + bytes), done);
		done += bytes;
	}
}
