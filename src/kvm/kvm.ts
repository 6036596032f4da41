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

	/** KVM_CREATE_VM. */
	createVm(options: MemSlotsOptions = {}): Promise<Vm> {
		return Vm.create(options);
	},
} as const;
