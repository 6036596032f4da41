import { F } from "../vcpu/layout.ts";
import { MSR } from "../vcpu/msr.ts";
import type { Processor } from "../vcpu/processor.ts";
import { isU64 } from "./unsigned.ts";

/** struct kvm_msr_entry: number (u32) and value (u64). */
export interface MsrValue {
	index: number;
	data: bigint;
}

const [RAX, RCX, RDX] = [0, 1, 2];

/** RDMSR for user space: what the guest would read, whatever its privilege. undefined: no such register. */
export function readMsr(processor: Processor, index: number): bigint | undefined {
	if (index === MSR.tsc) return processor.timeStamp();
	return withRegisters(processor, index, 0n, () => {
		if (processor.call("helper_rdmsr", 0) !== 0) return undefined;
		return (processor.gpr(RDX) << 32n) | processor.gpr(RAX);
	});
}

/** WRMSR for user space. @returns false: no such register, or it does not take the value; nothing has changed. */
export function writeMsr(processor: Processor, index: number, value: bigint): boolean {
	if (!isU64(value)) return false;
	if (index === MSR.tsc) {
		processor.set64(F.tscOffset, value - BigInt(processor.retired()));
		return true;
	}
	return withRegisters(processor, index, value, () => {
		processor.set(F.faultPending, 0);
		processor.call("helper_wrmsr", 0);
		return processor.get(F.faultPending) === 0;
	});
}

/** Runs the processor's own instruction with its operands in place; registers, faults and exits are as before afterwards. */
function withRegisters<T>(processor: Processor, index: number, value: bigint, action: () => T): T {
	const registers = [RAX, RCX, RDX].map((n) => processor.gpr(n));
	processor.setGpr(RCX, BigInt(index >>> 0));
	processor.setGpr(RAX, value & 0xffff_ffffn);
	processor.setGpr(RDX, value >> 32n);
	const result = processor.attempt(action);
	[RAX, RCX, RDX].forEach((n, i) => {
		processor.setGpr(n, registers[i]!);
	});
	return result;
}
