import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { type FirmwareBoard, findFirmware } from "../../src/host/find-firmware.ts";
import { descriptorFolders } from "../../src/host/firmware-descriptors.ts";
import { KNOWN_FIRMWARE } from "../../src/host/firmware-packages.ts";

const root = mkdtempSync(join(tmpdir(), "tsvmm-firmware-"));
afterAll(() => rmSync(root, { recursive: true }));

const board: FirmwareBoard = { architecture: "x86_64", machine: "pc-i440fx" };
/** From the most specific one on. */
const folders = ["user", "system", "shared"].map((name) => join(root, name));
type Place = "user" | "system" | "shared";

beforeEach(() => {
	for (const folder of folders) {
		rmSync(folder, { recursive: true, force: true });
		mkdirSync(folder);
	}
	for (const image of ["code.fd", "vars.fd", "other.fd", "rom.bin"]) writeFileSync(join(root, image), "image");
});

const image = (name: string) => ({ filename: join(root, name), format: "raw" });

/** A descriptor as distributions have it, with some fields changed. */
function descriptor(changes: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
	return {
		description: "UEFI for tests",
		"interface-types": ["uefi"],
		mapping: { device: "flash", executable: image("code.fd"), "nvram-template": image("vars.fd") },
		targets: [{ architecture: "x86_64", machines: ["pc-i440fx-*", "pc-q35-*"] }],
		features: ["acpi-s3", "verbose-dynamic"],
		tags: [],
		...changes,
	};
}

function put(place: Place, file: string, content: unknown): string {
	const path = join(root, place, file);
	writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
	return path;
}

const find = (name: string, on = board) => findFirmware(name, on, { descriptors: folders, known: [] });
/** With the names that everybody knows, and nothing installed but what descriptors tell of. */
const known = KNOWN_FIRMWARE.map((each) => ({ ...each, images: [] }));
const findKnown = (name: string, on = board) => findFirmware(name, on, { descriptors: folders, known });

function complaint(body: () => unknown): string {
	try {
		body();
	} catch (error) {
		return error instanceof Error ? error.message.replaceAll(`${root}/`, "") : String(error);
	}
	return "found";
}

describe("firmware by what it is", () => {
	it("is the first descriptor by file name, whatever its folder", () => {
		put("user", "60-a.json", descriptor());
		const first = put("shared", "30-b.json", descriptor({ description: "first" }));
		expect(findKnown("ovmf")).toEqual({
			descriptor: first,
			description: "first",
			code: join(root, "code.fd"),
			template: join(root, "vars.fd"),
		});
	});

	it("takes the most specific of descriptors with one name, and nothing where that one is empty", () => {
		put("shared", "30-a.json", descriptor({ description: "shared" }));
		put("shared", "60-b.json", descriptor({ description: "second" }));
		put("system", "30-a.json", descriptor({ description: "system" }));
		expect(findKnown("ovmf").description).toBe("system");
		put("user", "30-a.json", "");
		expect(findKnown("ovmf").description).toBe("second");
	});

	it("passes over Secure Boot, SMM, other machines, formats and interfaces, and files that are not there", () => {
		put("shared", "10.json", descriptor({ features: ["secure-boot"] }));
		put("shared", "11.json", descriptor({ features: ["requires-smm"] }));
		put("shared", "12.json", descriptor({ targets: [{ architecture: "x86_64", machines: ["pc-q35-*"] }] }));
		put("shared", "13.json", descriptor({ targets: [{ architecture: "aarch64", machines: ["virt-*"] }] }));
		put("shared", "14.json", descriptor({ "interface-types": ["bios"] }));
		put("shared", "15.json", descriptor({ mapping: { device: "memory", filename: join(root, "none.fd") } }));
		put("shared", "16.json", descriptor({ mapping: { device: "igvm", filename: join(root, "rom.bin") } }));
		const executable = { filename: join(root, "code.fd"), format: "qcow2" };
		put("shared", "17.json", descriptor({ mapping: { device: "flash", mode: "stateless", executable } }));
		put("shared", "18.json", "{");
		put("shared", "19.json", descriptor({ features: ["host-uefi-vars"] }));
		put("shared", "20.json", descriptor({ targets: {} }));
		expect(complaint(() => findKnown("ovmf"))).toBe(
			"--firmware ovmf: no UEFI firmware for x86_64 and pc-i440fx is installed (Debian and Ubuntu: apt-get install ovmf; " +
				"Fedora: dnf install edk2-ovmf; Arch: pacman -S edk2-ovmf); passed over: 10.json has Secure Boot, " +
				"11.json needs system management mode, which there is not, 12.json is for another machine (x86_64 pc-q35-*), " +
				"13.json is for another machine (aarch64 virt-*), 15.json has a file that does not exist (none.fd), " +
				"16.json is loaded in a way of its own (igvm), " +
				"17.json has a file in qcow2 format, where only raw ones can be used (code.fd), 18.json is not JSON, " +
				"19.json needs a device for UEFI variables, which there is not, 20.json has no valid targets",
		);
		put("shared", "99.json", descriptor({ description: "last" }));
		expect(findKnown("ovmf").description).toBe("last");
	});

	it.each(["pc-i440fx-2.12", "pc-i440fx-*", "pc-*", "*", "pc-i440fx-[89].*"])("%j is ours", (pattern) => {
		put("shared", "a.json", descriptor({ targets: [{ architecture: "x86_64", machines: [pattern] }] }));
		expect(findKnown("ovmf").code).toBe(join(root, "code.fd"));
	});

	it("without a descriptor lies where distributions put it, code and template together", () => {
		const images = [
			{ image: join(root, "none.fd"), template: join(root, "vars.fd") },
			{ image: join(root, "code.fd"), template: join(root, "none.fd") },
			{ image: join(root, "other.fd"), template: join(root, "vars.fd") },
			{ image: join(root, "rom.bin") },
		];
		const places = { descriptors: folders, known: known.map((each) => ({ ...each, images })) };
		const apart = { code: join(root, "other.fd"), template: join(root, "vars.fd") };
		expect(findFirmware("ovmf", board, places)).toEqual(apart);
		rmSync(join(root, "other.fd"));
		expect(findFirmware("ovmf", board, places)).toEqual({ rom: join(root, "rom.bin") });
		expect(() => findFirmware("ovmf", { ...board, architecture: "i386" }, places)).toThrow(/for i386 and pc-i440fx/);
		expect(findFirmware("seabios", { ...board, architecture: "i386" }, places)).toEqual({ rom: join(root, "rom.bin") });
	});

	it("that is not there at all names the package", () => {
		expect(complaint(() => findKnown("seabios"))).toBe(
			"--firmware seabios: no BIOS for x86_64 and pc-i440fx is installed " +
				"(Debian and Ubuntu: apt-get install seabios; Fedora: dnf install seabios-bin; Arch: pacman -S seabios)",
		);
	});
});

describe("firmware by the name of its descriptor", () => {
	it.each(["50-x.json", "50-x", "UEFI for tests", "uefi FOR tests"])("%j", (name) => {
		const path = put("system", "50-x.json", descriptor({ features: ["secure-boot"] }));
		expect(find(name).descriptor).toBe(path);
	});

	it("comes as ROM, as code without variables, or as one image of both", () => {
		put("user", "rom.json", descriptor({ mapping: { device: "memory", filename: join(root, "rom.bin") } }));
		const executable = image("code.fd");
		put("user", "alone.json", descriptor({ mapping: { device: "flash", mode: "stateless", executable } }));
		put("user", "both.json", descriptor({ mapping: { device: "flash", mode: "combined", executable } }));
		const files = (name: string) => {
			const { rom, code, template } = find(name);
			return { rom, code, template };
		};
		expect(files("rom")).toEqual({ rom: join(root, "rom.bin") });
		expect(files("alone")).toEqual({ code: join(root, "code.fd") });
		expect(files("both")).toEqual({ template: join(root, "code.fd") });
	});

	it("says why it cannot be used, or which names there are", () => {
		put("user", "smm.json", descriptor({ features: ["requires-smm"] }));
		put("user", "torn.json", '{"description": "x"}');
		expect(complaint(() => find("smm"))).toBe(
			"--firmware: user/smm.json needs system management mode, which there is not",
		);
		expect(complaint(() => find("torn"))).toBe("--firmware: user/torn.json has no valid interface-types");
		expect(complaint(() => findKnown("coreboot"))).toBe(
			'--firmware: no firmware descriptor has the file name or description "coreboot"; ' +
				"there are ovmf, seabios, smm.json, torn.json",
		);
	});
});

describe("the folders of descriptors", () => {
	it("are the user's, the system's, and those of XDG_DATA_DIRS", () => {
		expect(descriptorFolders({ HOME: "/home/u" })).toEqual([
			"/home/u/.config/qemu/firmware",
			"/etc/qemu/firmware",
			"/usr/local/share/qemu/firmware",
			"/usr/share/qemu/firmware",
		]);
		expect(descriptorFolders({ HOME: "/h", XDG_CONFIG_HOME: "/c", XDG_DATA_DIRS: "/a:/b" })).toEqual([
			"/c/qemu/firmware",
			"/etc/qemu/firmware",
			"/a/qemu/firmware",
			"/b/qemu/firmware",
		]);
		expect(descriptorFolders({})[0]).toBe("/etc/qemu/firmware");
	});
});
