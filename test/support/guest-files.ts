import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, it } from "vitest";

/** Something that tests use where it is there: where it may lie, and what brings it: a Debian package, or a target of make. */
type Provided = { readonly paths: readonly string[] } & ({ readonly package: string } | { readonly target: string });

const downloaded = (name: string) => ({
	paths: [fileURLToPath(new URL(`../../build/guests/${name}`, import.meta.url))],
	target: "guests",
});

/** Guests, and the tools that tests compare with or assemble by. None of them is part of the project. */
const PROVIDED = {
	seabios: { paths: ["/usr/share/seabios/bios-256k.bin"], package: "seabios" },
	"seabios-128k": { paths: ["/usr/share/seabios/bios.bin"], package: "seabios" },
	"ovmf-code": { paths: ["/usr/share/OVMF/OVMF_CODE_4M.fd"], package: "ovmf" },
	"ovmf-vars": { paths: ["/usr/share/OVMF/OVMF_VARS_4M.fd"], package: "ovmf" },
	"ovmf-code-2m": { paths: ["/usr/share/OVMF/OVMF_CODE.fd"], package: "ovmf" },
	"ovmf-vars-2m": { paths: ["/usr/share/OVMF/OVMF_VARS.fd"], package: "ovmf" },
	"ovmf-rom": { paths: ["/usr/share/ovmf/OVMF.fd"], package: "ovmf" },
	"grub-mkimage": { paths: ["/usr/bin/grub-mkimage"], package: "grub-common" },
	"grub-efi": { paths: ["/usr/lib/grub/x86_64-efi/linux.mod"], package: "grub-efi-amd64-bin" },
	qemu: { paths: ["/usr/bin/qemu-system-i386", "/usr/local/bin/qemu-system-i386"], package: "qemu-system-x86" },
	qemu64: { paths: ["/usr/bin/qemu-system-x86_64", "/usr/local/bin/qemu-system-x86_64"], package: "qemu-system-x86" },
	"qemu-arm": { paths: ["/usr/bin/qemu-system-arm", "/usr/local/bin/qemu-system-arm"], package: "qemu-system-arm" },
	iasl: { paths: ["/usr/bin/iasl", "/usr/local/bin/iasl"], package: "acpica-tools" },
	nasm: { paths: ["/usr/bin/nasm", "/usr/local/bin/nasm"], package: "nasm" },
	gdb: { paths: ["/usr/bin/gdb", "/usr/local/bin/gdb"], package: "gdb" },
	gcc: { paths: ["/usr/bin/gcc", "/usr/local/bin/gcc"], package: "gcc" },
	tsvmm: { paths: [fileURLToPath(new URL("../../dist/command/tsvmm.cjs", import.meta.url))], target: "build" },
	"vmlinuz-cloud-amd64": downloaded("vmlinuz-cloud-amd64"),
	"vmlinuz-686": downloaded("vmlinuz-686"),
	"vmlinuz-686-pae": downloaded("vmlinuz-686-pae"),
	"busybox-amd64": downloaded("busybox-amd64"),
	"busybox-i386": downloaded("busybox-i386"),
} satisfies Readonly<Record<string, Provided>>;

export type ProvidedName = keyof typeof PROVIDED;

/** Where it lies, or undefined where it is not there. */
export function provided(name: ProvidedName): string | undefined {
	return PROVIDED[name].paths.find((path) => existsSync(path));
}

/** What to type to have them. */
function commands(missing: readonly Provided[]): string[] {
	const packages = new Set(missing.flatMap((one) => ("package" in one ? [one.package] : [])));
	const targets = new Set(missing.flatMap((one) => ("target" in one ? [one.target] : [])));
	const install = packages.size === 0 ? [] : [`sudo apt-get install ${[...packages].join(" ")}`];
	return targets.size === 0 ? install : [...install, `make ${[...targets].join(" ")}`];
}

/**
 * `describe` for tests that need something that is not part of the project; `body` is told where each of `names` lies. Where one
 * is missing, a skipped test says so together with the command that gets it. With CI=true, where everything must run, it fails.
 */
export function describeWith<const N extends readonly ProvidedName[]>(
	names: N,
	title: string,
	body: (...paths: { [K in keyof N]: string }) => void,
): void {
	const missing = names.filter((name) => provided(name) === undefined);
	if (missing.length === 0) {
		describe(title, () => body(...(names.map((name) => provided(name)) as { [K in keyof N]: string })));
		return;
	}
	const reason = `needs ${missing.join(", ")}: ${commands(missing.map((name) => PROVIDED[name])).join("; ")}`;
	if (process.env["CI"] === "true") {
		it(title, () => {
			throw new Error(reason);
		});
	} else it.skip(`${title} (${reason})`, () => {});
}
