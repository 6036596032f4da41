import type { Guid } from "./guid.ts";

/** Vendors of variables, by the names that tsvmm gives them (UEFI 2.10, chapter 3.3 and 32.4; edk2; Linux; systemd). */
const VENDORS: readonly (readonly [Guid, string])[] = [
	["8be4df61-93ca-11d2-aa0d-00e098032b8c", "Global"],
	["d719b2cb-3d3a-4596-a3bc-dad00e67656f", "ImageSecurityDatabase"],
	["d9bee56e-75dc-49d9-b4d7-b534210f637a", "CertDb"],
	["c076ec0c-7028-4399-a072-71ee5c448b9f", "CustomMode"],
	["f0a30bc7-af08-4556-99c4-001009c93a44", "SecureBootEnable"],
	["9073e4e0-60ec-4b6e-9903-4c223c260f3c", "VendorKeys"],
	["eb704011-1402-11d3-8e77-00a0c969723b", "MonotonicCounter"],
	["04b37fe8-f6ae-480b-bdd5-37d98c5e89aa", "VariableError"],
	["4c19049f-4137-4dd3-9c10-8b97a83ffdfa", "MemoryTypeInformation"],
	["59324945-ec44-4c0d-b1cd-9db139df070c", "IScsi"],
	["4b47d616-a8d6-4552-9d44-ccad2e0f4cf9", "IScsiConfig"],
	["158def5a-f656-419c-b027-7a3192c079d2", "Shell"],
	["e20939be-32d4-41be-a150-897f85d49829", "MemoryOverwrite"],
	["bb983ccf-151d-40e1-a07b-4a17be168292", "MemoryOverwriteLock"],
	["711c703f-c285-4b10-a3b0-36ecbd3c8be2", "Capsule"],
	["98c80a4f-e16b-4d11-939a-abe561260330", "CapsuleOnDisk"],
	["414e6bdd-e47b-47cc-b244-bb61020cf516", "HardwareError"],
	["aeb9c5c1-94f1-4d02-bfd9-4602db2d3c54", "TpmPhysicalPresence"],
	["7235c51c-0c80-4cab-87ac-3b084a6304b1", "OvmfPlatformConfig"],
	["af9ffd67-ec10-488a-9dfc-6cbf5ee22c2e", "AcpiVariable"],
	["9e23d768-d2f3-4366-9fc3-3a7aba864374", "Vlan"],
	["5b446ed1-e30b-4faa-871a-3654eca36080", "Ip4Config"],
	["937fe521-95ae-4d1a-8929-48bcd90ad31a", "Ip6Config"],
	["9fb9a8a1-2f4a-43a6-889c-d0f7b6c47ad5", "Dhcp6"],
	["fd2340d0-3dab-4349-a6c7-3b4f12b48eae", "TlsCaCertificate"],
	["46ddb415-5244-49c7-9374-f0e298e7d386", "TlsCiphers"],
	["77fa9abd-0359-4d32-bd60-28f4e78f784b", "Microsoft"],
	["5b6f7107-bb3c-4660-92cd-542690280bbd", "BootDiscovery"],
	["8cf2644b-4b0b-428f-9387-6d876050dc67", "Linux"],
	["4a67b082-0a4c-41cf-b6c7-440b29bb8c4f", "SystemdLoader"],
	["605dab50-e046-4300-abb6-3dd810dd8b23", "Shim"],
];

/** What else has a GUID: file systems, ways to pack a section, kinds of signatures, a few files. */
const OTHERS: readonly (readonly [Guid, string])[] = [
	["fff12b8d-7696-4c8b-a985-2747075b4f50", "NVRAM data volume"],
	["8c8ce578-8a3d-4f1c-9935-896185c32dd3", "FFS2"],
	["5473c07a-3dcb-4dca-bd6f-1e9689e7349a", "FFS3"],
	["1ba0062e-c779-4582-8566-336ae8f78f09", "volume top file"],
	["1b45cc0a-156a-428a-af62-49864da0e6e6", "PEI a priori list"],
	["fc510ee7-ffdc-11d4-bd41-0080c73c8881", "DXE a priori list"],
	["ee4e5898-3914-4259-9d6e-dc7bd79403cf", "LZMA"],
	["d42ae6bd-1352-4bfb-909a-ca72a6eae889", "LZMA for x86 code"],
	["3d532050-5cda-4fd0-879e-0f7f630d5afb", "Brotli"],
	["a31280ad-481e-41b6-95e8-127f4c984779", "Tiano compression"],
	["fc1bcdb0-7d31-49aa-936a-a4600d9dd083", "CRC-32"],
	["a7717414-c616-4977-9420-844712a735bf", "signed, RSA-2048 and SHA-256"],
	["0f9d89e8-9259-4f76-a5af-0c89e34023df", "signed contents"],
	["a5c059a1-94e4-4aa7-87b5-ab155c2bf072", "X.509"],
	["c1c41626-504c-4092-aca9-41f936934328", "SHA-256"],
	["3c5766e8-269c-4e34-aa14-ed776e85b3b6", "RSA-2048"],
	["4aafd29d-68df-49ee-8aa9-347d375665a7", "PKCS #7"],
	["7c04a583-9e3e-4f1c-ad65-e05268d0b4d1", "UEFI Shell"],
	["5568e427-68fc-4f3d-ac74-ca555231cc68", "Linux initrd"],
	["1428f772-b64a-441e-b8c3-9ebdd7f893c7", "QEMU kernel loader"],
	["1d301fe9-be79-4353-91c2-d23bc959ae0c", "gzip"],
	["7a9354d9-0468-444a-81ce-0bf617d890df", "FFS1"],
];

const VENDOR_NAMES: ReadonlyMap<Guid, string> = new Map(VENDORS);
const NAMES: ReadonlyMap<Guid, string> = new Map([...VENDORS, ...OTHERS]);
const VENDOR_GUIDS: ReadonlyMap<string, Guid> = new Map(VENDORS.map(([guid, name]) => [name.toLowerCase(), guid]));

/** The vendor of `BootOrder`, `Lang` and all else that UEFI itself defines. */
export const GLOBAL_VENDOR: Guid = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
/** The vendor of `db` and `dbx`. */
export const SECURITY_VENDOR: Guid = "d719b2cb-3d3a-4596-a3bc-dad00e67656f";

/** What is known under a GUID; undefined for one that nobody need know. */
export function knownName(guid: Guid): string | undefined {
	return NAMES.get(guid);
}

/** The vendor of a variable for people: its name, or else its GUID. */
export function vendorName(guid: Guid): string {
	return VENDOR_NAMES.get(guid) ?? guid;
}

/** The vendor with that name, in any case. */
export function vendorByName(name: string): Guid | undefined {
	return VENDOR_GUIDS.get(name.toLowerCase());
}
