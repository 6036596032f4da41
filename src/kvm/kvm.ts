import { cpuidOf, DEFAULT_CPU } from "../vcpu/cpu-models.ts";
import type { CpuidEntry } from "../vcpu/cpuid.ts";
import { checkExtension } from "./capabilities.ts";
import type { MemSlotsOptions } from "./memslots.ts";
import { Vm } from "./vm.ts";

/** What /dev/kvm is on Linux: where capabilities are asked for and VMs made. */
export const Kvm = {
	/** KVM_GET_API_VERSION */
	apiVersion: 12,

	/** KVM_CHECK_EXTENSION: 0 where the capability (KVM_CAP's numbers) is missing or unknown, else a positive number. */
	checkExtension(cap: number): number {
		return checkExtension(cap);
	},

	/** KVM_GET_SUPPORTED_CPUID: what a vCPU can be given, and has while it is given nothing. */
	getSupportedCpuid(): CpuidEntry[] {
		return cpuidOf(DEFAULT_CPU);
	},

	/** KVM_CREATE_VM. */
	createVm(options: MemSlotsOptions = {}): Promise<Vm> {
		return Vm.create(options);
	},
} as const;
