import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { Expectations, Machine, machineConfig, nullSink, silentLogger } from "../src/index.ts";
import { EXIT_REASON, KVM_MEM_READONLY, Vm } from "../src/kvm/index.ts";
import { exit, forever, outByte, storeByte, tinyRom } from "./support/tiny-rom.ts";

const folder = mkdtempSync(join(tmpdir(), "tsvmm-library-"));
afterAll(() => rmSync(folder, { recursive: true }));

function rom(name: string, code: readonly number[]): string {
	const path = join(folder, name);
	writeFileSync(path, tinyRom(code));
	return path;
}

test("README's example of the library runs as it stands", () => {
	const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
	const example = /```ts\n([^`]*from "tsvmm";[^`]*)```/.exec(readme)?.[1] ?? "";
	expect(example).toContain("new Machine(config");
	writeFileSync(
		join(folder, "example.mts"),
		example.replace('"tsvmm"', JSON.stringify(import.meta.resolve("../src/index.ts"))),
	);
	// mov ax, 0xf000; mov ds, ax, then a store to ROM.
	rom("rom.bin", [
		...outByte(0x3f8, 0x68),
		...outByte(0x3f8, 0x69),
		0xb8,
		0,
		0xf0,
		0x8e,
		0xd8,
		...storeByte(0, 1),
		...exit(7),
	]);
	const words = ["--import", import.meta.resolve("tsx"), "example.mts"];
	const { stdout, stderr, status } = spawnSync(process.execPath, words, { cwd: folder, encoding: "utf8" });
	expect({ stderr, status }).toEqual({ stderr: "", status: 0 });
	expect(stdout).toContain("{ kind: 'debug-exit', value: 7 } 12 hi [");
	expect(stdout).toContain("'ROM writes: 1 store from 1 instruction; the ROM is unchanged'");
});

test("a program can watch a console and end the run when it has seen enough", async () => {
	const config = machineConfig({ bios: rom("prompt.bin", [...outByte(0xe9, 0x3e), ...forever]), memory: "1M" });
	const seen = new Expectations([">"], [], (verdict) => machine.stop(verdict));
	const machine: Machine = new Machine(config, {
		serial: [{ output: nullSink }],
		debugcon: seen.watch(nullSink),
		log: silentLogger,
		romWrites: { record() {} },
	});
	expect((await machine.run()).end).toEqual({ kind: "expected" });
	expect(seen.missing).toEqual([]);
});

test("the layer below: slots, a processor, its exits", async () => {
	const vm = await Vm.create();
	const memory = vm.allocate(0x1000);
	// At the reset vector: mov [0xfff0], al; hlt; in a readonly slot at the end of 4 GiB.
	memory.view.set([0x2e, 0xa2, 0xf0, 0xff, 0xf4], 0xff0);
	const slot = { slot: 0, guestPhysAddr: 0xfffff000n, memorySize: 0x1000n, userspaceAddr: memory.userspaceAddr };
	expect(vm.setUserMemoryRegion({ ...slot, flags: KVM_MEM_READONLY })).toBe(0);
	const vcpu = vm.createVcpu(0);
	if (typeof vcpu === "string") throw new Error(vcpu);
	vcpu.processor.setBudget(100);
	expect([vcpu.run(), vcpu.exit.reason, vcpu.exit.isWrite]).toEqual([0, EXIT_REASON.mmio, true]);
	expect([vcpu.exit.physAddr, vcpu.exit.len, vcpu.exit.data[0]]).toEqual([0xfffffff0, 1, 0]);
	expect([vcpu.run(), vcpu.exit.reason]).toEqual([0, EXIT_REASON.hlt]);
	expect(memory.view[0xff0]).toBe(0x2e);
});
