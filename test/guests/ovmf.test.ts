import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { fatDisk } from "../support/fat-disk.ts";
import { describeWith } from "../support/guest-files.ts";
import { initramfs, USER_SPACE } from "../support/initramfs.ts";
import { type MachineRun, runMachine } from "../support/run-machine.ts";
import { temporaryFiles } from "../support/tiny-rom.ts";

const file = temporaryFiles();
/** A boot to the shell takes 3 to 10 s on a machine with nothing else to do; Linux as much again, and QEMU 8 s. */
const patient = { timeout: 600_000 };
/** A boot to the shell takes some 800 M instructions, Linux 1.5 G more. */
const ENOUGH = "10G";

/** Vendor of the variables of these tests: any that the firmware knows nothing of. */
const VENDOR = "d4f51b6e-0c1a-4a53-9c40-1f0c6a3b7a10";
const setVariable = (name: string, text: string) => `setvar ${name} -guid ${VENDOR} -bs -rt -nv =L"${text}"`;
const SHOW = `dmpstore -guid ${VENDOR}`;
/** How the shell shows a variable that holds a text: its size, then its UTF-16 in hexadecimal. */
const shown = (name: string, text: string): RegExp => {
	const bytes = [...Buffer.from(text, "utf16le")].map((byte) => byte.toString(16).toUpperCase().padStart(2, "0"));
	const size = bytes.length.toString(16).toUpperCase().padStart(2, "0");
	return new RegExp(`'${VENDOR.toUpperCase()}:${name}' DataSize = 0x${size}\\s+00000000: ${bytes.join("[ -]")} `);
};

/** A disk with what the shell does when it comes up. */
const shellDisk = (name: string, ...commands: readonly string[]): string =>
	file(name, fatDisk({ "startup.nsh": ["echo -off", ...commands, "reset -s", ""].join("\r\n") }));
/** What a terminal would show, but for where. */
const plain = (console: string): string => console.replaceAll(/\p{Cc}\[[0-9;=]*[A-Za-z]|\r/gu, "");

interface Activity {
	readonly commands: Record<string, number>;
	bytes: number;
}

/** Runs to the end, and what the guest did to the flash that has the variables. */
async function boot(options: Parameters<typeof runMachine>[0]): Promise<MachineRun & { readonly flash: Activity }> {
	const flash: Activity = { commands: {}, bytes: 0 };
	const run = await runMachine(
		{ "max-instructions": ENOUGH, ...options },
		{
			flash: {
				record(unit, event) {
					expect(unit).toBe(1);
					flash.commands[event.kind] = (flash.commands[event.kind] ?? 0) + 1;
					if (event.kind === "program") flash.bytes += event.bytes.length;
				},
			},
		},
	);
	return { ...run, serial: plain(run.serial), flash };
}

const powerOff = { kind: "power-off" };

describeWith(["ovmf-code", "ovmf-vars", "qemu64"], "OVMF", (code, template, qemu) => {
	/** What the guest says on QEMU, with the variables in `vars`. */
	function onQemu(vars: string, disk: string): string {
		const pflash = (unit: number, path: string, more = "") => `if=pflash,format=raw,unit=${unit},file=${path}${more}`;
		const devices = ["-nodefaults", "-vga", "none", "-display", "none", "-serial", "stdio"];
		const drives = [pflash(0, code, ",readonly=on"), pflash(1, vars), `if=ide,format=raw,snapshot=on,file=${disk}`];
		const words = ["-M", "pc,smm=off", "-accel", "tcg", "-m", "128", ...devices];
		words.push(...drives.flatMap((drive) => ["-drive", drive]));
		const { stdout, stderr, status } = spawnSync(qemu, words, { encoding: "latin1", timeout: 300_000 });
		expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
		return plain(stdout);
	}

	const setDisk = shellDisk("set.img", setVariable("FromTsvmm", "hello"), SHOW);
	const folder = dirname(setDisk);

	async function bootFirst(engine: "compiled" | "interpreter") {
		const vars = join(folder, `vars-${engine}.fd`);
		const run = await boot({ firmware: "ovmf", "flash-vars": vars, drive: setDisk, engine });
		return { ...run, vars };
	}
	let first: ReturnType<typeof bootFirst> | undefined;
	/** The first boot with variables of its own, which sets one; it happens once for all tests. */
	const firstBoot = (): ReturnType<typeof bootFirst> => (first ??= bootFirst("compiled"));

	test("boots to the shell and sets a variable, with as much traffic to its flash as on QEMU", patient, async () => {
		const { outcome, serial, flash } = await firstBoot();
		expect(outcome).toMatchObject({ end: powerOff, firmware: { code, template, created: true } });
		expect(serial).toContain("UEFI Interactive Shell v2.2");
		expect(serial).toMatch(shown("FromTsvmm", "hello"));
		const bursts = flash.commands["read-array"]!;
		expect(flash.commands).toEqual({
			...{ "clear-status": 1, "read-status": 1, "read-array": bursts, program: flash.bytes, romd: 2 * bursts },
		});
		// QEMU, where the drive has a shorter name: 16,011 bytes in 265 bursts, and one look for a flash.
		expect(flash.bytes).toBeLessThanOrEqual(16_321);
		expect(bursts).toBeLessThanOrEqual(267);
	});

	test("does the same instruction by instruction in the interpreter", patient, async () => {
		const [compiled, { vars, ...interpreted }] = [await firstBoot(), await bootFirst("interpreter")];
		const { instructions, guestTimeNs } = compiled.outcome;
		expect(interpreted.outcome).toMatchObject({ instructions, guestTimeNs });
		expect(interpreted.serial).toBe(compiled.serial);
		expect(interpreted.ramHash).toBe(compiled.ramHash);
		expect(interpreted.flash).toEqual(compiled.flash);
		expect(readFileSync(vars).equals(readFileSync(compiled.vars))).toBe(true);
	});

	test("sees in later runs what it has set, and so does QEMU, and the reverse", patient, async () => {
		const vars = file("both.fd", readFileSync((await firstBoot()).vars));
		const show = { firmware: "ovmf", "flash-vars": vars, drive: shellDisk("show.img", SHOW) };
		const second = await boot(show);
		expect(second.outcome).toMatchObject({ end: powerOff, firmware: { created: false } });
		expect(second.serial).toMatch(shown("FromTsvmm", "hello"));
		// The same as on QEMU.
		expect(second.flash).toMatchObject({ bytes: 3426, commands: { "read-array": 92, romd: 184 } });
		const qemuDisk = shellDisk("qemu.img", SHOW, setVariable("FromQemu", "olleh"));
		expect(onQemu(vars, qemuDisk)).toMatch(shown("FromTsvmm", "hello"));
		const third = await boot(show);
		expect(third.serial).toMatch(shown("FromTsvmm", "hello"));
		expect(third.serial).toMatch(shown("FromQemu", "olleh"));
	});
});

describeWith(["ovmf-code-2m", "ovmf-vars-2m"], "OVMF of 2 MiB", (code, template) => {
	test("boots to the shell and sets a variable", patient, async () => {
		const drive = shellDisk("set-2m.img", setVariable("FromTsvmm", "hello"), SHOW);
		const { outcome, serial } = await boot({ flash: [`${code},readonly`, `${template},snapshot`], drive });
		expect(outcome.end).toEqual(powerOff);
		expect(serial).toMatch(shown("FromTsvmm", "hello"));
	});
});

describeWith(["ovmf-rom"], "OVMF in a ROM", (bios) => {
	test("finds that it is no flash, and boots to the shell with variables in memory", patient, async () => {
		const drive = shellDisk("rom.img", setVariable("FromTsvmm", "hello"), SHOW);
		const { outcome, serial, romWrites } = await boot({ bios, drive });
		expect(outcome.end).toEqual(powerOff);
		expect(serial).toMatch(shown("FromTsvmm", "hello"));
		// It looks for a flash: clear status, read status.
		expect(romWrites.map(({ data }) => [...(data ?? [])])).toEqual([[0x50], [0x70]]);
	});
});

describeWith(["ovmf-code", "vmlinuz-cloud-amd64", "busybox-amd64"], "Linux on OVMF", (_code, kernel, busybox) => {
	const initrd = file("initramfs.gz", initramfs(readFileSync(busybox)));
	const userSpace = new RegExp(`^${USER_SPACE} Linux `, "m");
	const machine = { firmware: "ovmf", memory: "256M" };
	const append = "console=ttyS0 quiet";
	const onDisk = { VMLINUZ: readFileSync(kernel), "INITRD.GZ": readFileSync(initrd) };

	async function expectLinux(options: Parameters<typeof runMachine>[0]): Promise<string> {
		const { outcome, serial } = await boot({ ...machine, ...options });
		expect(serial).toMatch(userSpace);
		expect(outcome.end).toEqual(powerOff);
		return serial;
	}

	test("boots from a FAT disk as an EFI program", patient, async () => {
		const script = ["\\vmlinuz.efi initrd=\\initrd.gz", append].join(" ");
		const disk = {
			"STARTUP.NSH": `fs0:${script}\r\n`,
			"VMLINUZ.EFI": onDisk.VMLINUZ,
			"INITRD.GZ": onDisk["INITRD.GZ"],
		};
		await expectLinux({ drive: file("linux.img", fatDisk(disk)) });
	});

	test("boots by --kernel, which the firmware finds in fw_cfg", patient, async () => {
		await expectLinux({ kernel, initrd, append });
	});

	describeWith(["grub-mkimage", "grub-efi"], "by GRUB", (mkimage) => {
		test("boots from a FAT disk", patient, async () => {
			const grub = join(dirname(initrd), "bootx64.efi");
			const modules = ["normal", "linux", "fat", "serial", "echo"];
			execFileSync(mkimage, ["-O", "x86_64-efi", "-p", "/EFI/BOOT", "-o", grub, ...modules]);
			const commands = ["echo GRUB boots Linux", `linux /vmlinuz ${append}`, "initrd /initrd.gz", "boot", ""];
			const boot = { "EFI/BOOT/BOOTX64.EFI": readFileSync(grub), "EFI/BOOT/GRUB.CFG": commands.join("\n") };
			const serial = await expectLinux({ drive: file("grub.img", fatDisk({ ...boot, ...onDisk })) });
			expect(serial).toContain("GRUB boots Linux");
		});
	});
});
