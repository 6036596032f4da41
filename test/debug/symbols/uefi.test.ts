import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { callStack } from "../../../src/debug/symbols/call-stack.ts";
import { GuestSymbols } from "../../../src/debug/symbols/guest-symbols.ts";
import { UefiModules } from "../../../src/debug/symbols/uefi-modules.ts";
import { Machine, machineConfig, nullSink, silentLogger } from "../../../src/index.ts";
import { describeWith } from "../../support/guest-files.ts";
import { SparseMemory } from "./guest-memory.ts";
import { buildPe, CODE_RVA } from "./pe-builder.ts";
import { run, workFolder, writeProgram } from "./toolchain.ts";

const folder = workFolder();
const SIGNATURE = 0x5453_5953_2049_4249n;
const DEBUG_IMAGES = Buffer.from("772e1549da1a6447b7a27afefed95e8b", "hex");
const [POINTER, SYSTEM, TABLES, DEBUG, LIST, INFO, IMAGE, PATH] = Array.from(
	{ length: 8 },
	(_, n) => 0x40_0000 + n * 0x1000,
) as [...[number, number, number, number, number, number, number, number]];

/** Memory with the mark of a firmware volume in its ROM. */
function uefiMemory(): SparseMemory {
	const memory = new SparseMemory();
	memory.write(0xffe0_0028, Buffer.from("_FVH"));
	return memory;
}

interface Listed {
	readonly base: number;
	/** Of the file that it came from. */
	readonly file?: string;
}

/** What the DXE core leaves in memory for debuggers. */
function tables(memory: SparseMemory, word: 4 | 8, images: readonly Listed[]): void {
	memory.words(POINTER, 8, SIGNATURE, SYSTEM, 0);
	memory.words(SYSTEM, 8, SIGNATURE);
	memory.words(SYSTEM + 12, 4, word === 8 ? 120 : 72);
	memory.words(SYSTEM + (word === 8 ? 104 : 64), word, 1, TABLES);
	memory.write(TABLES, DEBUG_IMAGES);
	memory.words(TABLES + 16, word, DEBUG);
	memory.words(DEBUG, 4, 0, images.length);
	memory.words(DEBUG + 8, word, LIST);
	images.forEach(({ base, file }, n) => {
		const [info, image, path] = [INFO + n * 32, IMAGE + n * 128, PATH + n * 256];
		memory.words(LIST + n * word, word, info);
		memory.words(info, word, 1, image);
		memory.words(image + (word === 8 ? 64 : 32), word, base);
		if (file === undefined) return;
		memory.words(image + (word === 8 ? 32 : 16), word, path);
		const name = Buffer.from(`${file}\0`, "utf16le");
		memory.write(path, Buffer.concat([Buffer.from([4, 4, 4 + name.length, 0]), name, Buffer.from([0x7f, 0xff, 4, 0])]));
	});
}

describe.each([8, 4] as const)("images that firmware with words of %i bytes lists", (word) => {
	const wide = word === 8;

	test("are found by the pointer at a multiple of 4 MiB, and named by what the linker wrote, else by their file", () => {
		const memory = new SparseMemory();
		memory.write(0x600_0000, buildPe({ wide, path: "/build/X64/MdeModulePkg/Core/DxeMain/DEBUG/DxeCore.dll" }));
		memory.write(0x610_0000, buildPe({ wide, path: "D:\\b\\Thing.pdb", form: "RSDS" }));
		memory.write(0x620_0000, buildPe({ wide }));
		tables(memory, word, [
			{ base: 0x600_0000 },
			{ base: 0x610_0000 },
			{ base: 0x620_0000, file: "\\EFI\\BOOT\\BOOTX64.EFI" },
		]);
		const modules = new UefiModules(memory.view());
		expect([0x600_1234n, 0x610_0000n, 0x620_2fffn].map((at) => modules.at(at)?.name)).toEqual([
			"DxeCore",
			"Thing",
			"BOOTX64",
		]);
		expect([0x5ff_ffffn, 0x620_3000n, 0x700_0000n].map((at) => modules.at(at))).toEqual([
			undefined,
			undefined,
			undefined,
		]);
	});

	test("appear when they are loaded and disappear with their memory", () => {
		const memory = uefiMemory();
		const modules = new UefiModules(memory.view());
		memory.write(0x600_0000, buildPe({ wide, path: "/b/First.dll" }));
		expect(modules.at(0x600_1000n)?.name, "by looking for its headers").toBe("First");
		tables(memory, word, [{ base: 0x600_0000 }]);
		memory.write(0x610_0000, buildPe({ wide, path: "/b/Second.dll" }));
		tables(memory, word, [{ base: 0x600_0000 }, { base: 0x610_0000 }]);
		expect(modules.at(0x610_1000n)?.name).toBe("Second");
		memory.write(0x610_0000, buildPe({ wide, path: "/b/Third.dll", code: 0x2800 }));
		expect(modules.at(0x610_1000n)?.name).toBe("Third");
		memory.write(0x610_0000, new Uint8Array(0x5000));
		expect(modules.at(0x610_1000n)).toBeUndefined();
	});
});

describe("images that run in place", () => {
	test.each([
		["TE", true],
		["PE", false],
	])("with %s headers are found by looking backwards from an address", (_kind, te) => {
		const memory = uefiMemory();
		const image = buildPe({ te, wide: false, path: "/b/Build/PeiCore.dll", code: 0x8000 });
		memory.write(0xfffd_0124, image);
		const module = new UefiModules(memory.view()).at(0xfffd_0124n + 0x5000n)!;
		expect(module).toMatchObject({ name: "PeiCore", first: 0xfffd_0124n });
		expect(module.base + BigInt(module.image.size)).toBe(module.end);
		expect(module.end).toBe(0xfffd_0124n + BigInt(image.length));
	});

	test("without a debug directory have the name of their file in the firmware volume", () => {
		const memory = uefiMemory();
		const image = buildPe({ te: true });
		const name = Buffer.from("SecMain\0", "utf16le");
		const size = 4 + image.length;
		memory.write(0xfffc_0100, Buffer.from([size, size >> 8, size >> 16, 0x12]));
		memory.write(0xfffc_0104, image);
		const next = 0xfffc_0100 + ((size + 3) & ~3);
		memory.write(next, Buffer.concat([Buffer.from([4 + name.length, 0, 0, 0x15]), name]));
		expect(new UefiModules(memory.view()).at(0xfffc_1100n)?.name).toBe("SecMain");
	});

	test("are not looked for where the ROM has no firmware volume", () => {
		const memory = new SparseMemory();
		memory.write(0xfffd_0000, buildPe({ wide: false, path: "/b/Pretender.dll" }));
		const modules = new UefiModules(memory.view());
		expect(modules.at(0xfffd_1000n)).toBeUndefined();
		memory.write(0xfff0_0028, Buffer.from("_FVH"));
		expect(modules.at(0xfffd_1000n)?.name, "flash shows itself again").toBe("Pretender");
	});
});

describe("symbols of images in memory", () => {
	describeWith(["gcc"], "from a build", () => {
		const bases = [0x600_0000n, 0x700_0000n];
		const memory = uefiMemory();

		function symbolsFrom(...paths: readonly string[]): { symbols: GuestSymbols; problems: string[] } {
			const problems: string[] = [];
			const sources = paths.map((path) => ({ path: join(folder, path) }));
			const parts = { sources, mayHaveUefi: true, view: () => memory.view() };
			return { symbols: new GuestSymbols({ ...parts, problem: (message) => problems.push(message) }), problems };
		}

		const inFolder = (name: string): string => join(folder, `Build/DEBUG_GCC5/X64/${name}`);
		let leaf = 0n;

		test("come from the .debug file of their name in the folder given, at the code that is there", () => {
			writeProgram(folder);
			mkdirSync(inFolder("Thing/DEBUG"), { recursive: true });
			const free = ["-nostdlib", "-ffreestanding", "-fcf-protection=none", "-static", "-Wl,--build-id=none"];
			const output = inFolder("Thing/DEBUG/Thing.debug");
			run(folder, "gcc", ...free, "-g", "-O1", "-Wl,-Ttext=0x240", "main.c", "sub/other.c", "-o", output);
			leaf = BigInt(`0x${/^(\S+) t leaf$/m.exec(run(folder, "nm", output))?.[1]}`);
			mkdirSync(join(folder, "Build/DEBUG_GCC5/IA32/Thing/DEBUG"), { recursive: true });
			writeFileSync(join(folder, "Build/DEBUG_GCC5/IA32/Thing/DEBUG/Thing.debug"), "no ELF file at all\n");
			for (const base of bases) memory.write(base, buildPe({ path: "/w/Build/DEBUG_GCC5/X64/Thing/DEBUG/Thing.dll" }));
			const { symbols, problems } = symbolsFrom("Build");
			for (const base of bases) {
				const place = symbols.at(base + BigInt(CODE_RVA) + leaf - 0x240n);
				expect(place).toMatchObject({ module: "Thing", symbol: "leaf", offset: 0, file: "main.c", line: 8 });
			}
			expect(symbols.at(bases[0]! + 0x20n)).toEqual({ module: "Thing", offset: 0x20 });
			expect(problems).toEqual([]);
		});

		test("come from a file given by name without an address, too", () => {
			const { symbols } = symbolsFrom("Build/DEBUG_GCC5/X64/Thing/DEBUG/Thing.debug");
			const place = symbols.at(bases[1]! + BigInt(CODE_RVA) + leaf - 0x240n + 1n);
			expect(place).toMatchObject({ module: "Thing", symbol: "leaf", offset: 1 });
		});

		test("that cannot be read are reported once, and the image keeps its name", () => {
			mkdirSync(join(folder, "bad"));
			writeFileSync(join(folder, "bad/Thing.debug"), "\x7fELF");
			const { symbols, problems } = symbolsFrom("bad");
			expect(symbols.at(bases[0]! + 0x1010n)).toEqual({ module: "Thing", offset: 0x1010 });
			expect(symbols.at(bases[0]! + 0x1020n)).toEqual({ module: "Thing", offset: 0x1020 });
			expect(problems).toEqual([expect.stringMatching(/Thing\.debug is damaged or truncated/)]);
		});
	});
});

test("whatever lies where tables should be, looking ends", () => {
	const seed = fc.uint8Array({ minLength: 512, maxLength: 512 });
	fc.assert(
		fc.property(seed, fc.nat(0xffff), (bytes, address) => {
			const memory = new SparseMemory();
			memory.words(POINTER, 8, SIGNATURE, SYSTEM);
			memory.write(SYSTEM, bytes);
			memory.words(SYSTEM, 8, SIGNATURE);
			memory.words(SYSTEM + 104, 8, 3, TABLES);
			memory.write(TABLES, DEBUG_IMAGES);
			memory.words(TABLES + 16, 8, DEBUG);
			memory.write(DEBUG, bytes);
			memory.words(DEBUG + 8, 8, LIST);
			for (const at of [LIST, INFO, IMAGE, PATH]) memory.write(at, bytes);
			memory.words(LIST, 8, INFO, LIST, PATH);
			memory.words(INFO, 8, 1, IMAGE);
			memory.words(IMAGE + 64, 8, PATH);
			new UefiModules(memory.view()).at(BigInt(0x40_0000 + address));
		}),
		{ numRuns: 100 },
	);
});

describeWith(["ovmf-code", "ovmf-vars"], "Debian's OVMF", (code, vars) => {
	const boot = async (instructions: number): Promise<GuestSymbols & { readonly machine: Machine }> => {
		const flash = [`${code},readonly`, `${vars},snapshot=on`];
		const machine = new Machine(machineConfig({ flash, "max-instructions": String(instructions) }), {
			serial: Array(4).fill({ output: nullSink }),
			debugcon: nullSink,
			log: silentLogger,
			romWrites: { record: () => {} },
		});
		expect((await machine.run()).end.kind).toBe("instruction-limit");
		const symbols = new GuestSymbols({ sources: [], mayHaveUefi: true, view: () => machine.view, problem: () => {} });
		return Object.assign(symbols, { machine });
	};

	test("in its first instructions is in SecMain, all the way up its stack", async () => {
		const symbols = await boot(300_000);
		const frames = callStack(symbols.machine.view.registers(), symbols.machine.view.read, symbols);
		expect(frames.length).toBeGreaterThan(3);
		expect(frames.map(({ place }) => place?.module)).toEqual(Array(frames.length).fill("SecMain"));
	});

	test("has its drivers listed under the names of their files", async () => {
		const symbols = await boot(560_000_000);
		const modules = new UefiModules(symbols.machine.view);
		const names = modules.all().map(({ name }) => name);
		expect(names).toEqual(expect.arrayContaining(["DxeCore", "PcdDxe", "RuntimeDxe", "CpuDxe", "SecurityStubDxe"]));
		const core = modules.all().find(({ name }) => name === "DxeCore")!;
		expect(symbols.at(core.base + 0x2345n)).toEqual({ module: "DxeCore", offset: 0x2345 });
		const frames = callStack(symbols.machine.view.registers(), symbols.machine.view.read, symbols);
		expect(names).toContain(frames[0]?.place?.module);
	});
});
