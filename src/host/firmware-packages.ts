/** Firmware by the name that people know, where no descriptor tells of it. */
export interface KnownFirmware {
	readonly name: string;
	/** What it offers to operating systems, in the words of descriptors. */
	readonly interface: string;
	/** The processor it is built for, where that matters. */
	readonly architecture?: string;
	/** For messages. */
	readonly title: string;
	/** What to type to have it. */
	readonly install: string;
	/** Where distributions put it, in order of preference: the ROM, or code and template of the variables. */
	readonly images: readonly { readonly image: string; readonly template?: string }[];
}

const both = (folder: string, image: string, template: string) => ({
	image: `${folder}/${image}`,
	template: `${folder}/${template}`,
});
/** Where QEMU's own builds and Homebrew put data files. */
const QEMU_FOLDERS = ["/usr/share/qemu", "/usr/local/share/qemu", "/opt/homebrew/share/qemu"];

export const KNOWN_FIRMWARE: readonly KnownFirmware[] = [
	{
		name: "ovmf",
		interface: "uefi",
		architecture: "x86_64",
		title: "UEFI firmware",
		install: "Debian and Ubuntu: apt-get install ovmf; Fedora: dnf install edk2-ovmf; Arch: pacman -S edk2-ovmf",
		images: [
			// Debian and Ubuntu, Fedora, Arch, openSUSE, Gentoo
			both("/usr/share/OVMF", "OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd"),
			both("/usr/share/OVMF", "OVMF_CODE.fd", "OVMF_VARS.fd"),
			both("/usr/share/edk2/ovmf", "OVMF_CODE.fd", "OVMF_VARS.fd"),
			both("/usr/share/edk2/x64", "OVMF_CODE.4m.fd", "OVMF_VARS.4m.fd"),
			both("/usr/share/qemu", "ovmf-x86_64-4m-code.bin", "ovmf-x86_64-4m-vars.bin"),
			both("/usr/share/qemu", "ovmf-x86_64-code.bin", "ovmf-x86_64-vars.bin"),
			both("/usr/share/edk2-ovmf", "OVMF_CODE.fd", "OVMF_VARS.fd"),
			// QEMU's own builds
			...QEMU_FOLDERS.map((folder) => both(folder, "edk2-x86_64-code.fd", "edk2-i386-vars.fd")),
			{ image: "/usr/share/ovmf/OVMF.fd" },
		],
	},
	{
		name: "seabios",
		interface: "bios",
		title: "BIOS",
		install: "Debian and Ubuntu: apt-get install seabios; Fedora: dnf install seabios-bin; Arch: pacman -S seabios",
		images: ["/usr/share/seabios", ...QEMU_FOLDERS].flatMap((folder) =>
			["bios-256k.bin", "bios.bin"].map((file) => ({ image: `${folder}/${file}` })),
		),
	},
];
