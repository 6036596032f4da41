import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EXIT_REASON } from "../../src/kvm/vcpu.ts";
import { WorkshopBeside } from "../../src/machine/workshop-beside.ts";
import { UnitCompiler } from "../../src/vcpu/jit/compiler.ts";
import { KEY } from "../../src/vcpu/layout.ts";
import { TestGuest } from "../support/engine.ts";

const HLT = 0xf4;
const IDLE = [HLT];
const folder = mkdtempSync(join(tmpdir(), "tsvmm-"));
const program = pathToFileURL(join(folder, "unit-worker.cjs"));

beforeAll(async () => {
	await build({
		entryPoints: ["src/machine/unit-worker.ts"],
		outfile: join(folder, "unit-worker.cjs"),
		bundle: true,
		format: "cjs",
		platform: "node",
		logLevel: "error",
	});
});
afterAll(() => rmSync(folder, { recursive: true }));

interface Beside {
	readonly guest: TestGuest;
	readonly compiler: UnitCompiler;
	readonly workshop: WorkshopBeside;
}

async function beside(code: readonly number[], run: (parts: Beside) => Promise<void>, made = program): Promise<void> {
	const guest = await TestGuest.create("interpreter", { code });
	let workshop: WorkshopBeside | undefined;
	const open = (room: ConstructorParameters<typeof WorkshopBeside>[0]): WorkshopBeside => {
		workshop = new WorkshopBeside(room, made);
		return workshop;
	};
	const compiler = new UnitCompiler(guest.processor, open, 8);
	guest.processor.setCompiler(compiler);
	try {
		if (code !== IDLE) {
			// The first unit is made in place; from then on it is the thread's turn.
			await runUntil(guest, () => workshop!.isReady);
			expect(compiler.made).toBeGreaterThan(0);
			guest.processor.code.flush();
			compiler.made = 0;
		}
		await run({ guest, compiler, workshop: workshop! });
	} finally {
		compiler.close();
	}
}

/** Lets the guest run piece by piece until the thread has done what it was asked for. */
async function runUntil(guest: TestGuest, done: () => boolean): Promise<void> {
	while (!done()) {
		expect(guest.run(1000)).toBe(EXIT_REASON.budget);
		await new Promise((resolve) => setTimeout(resolve, 1));
	}
}

/** mov ecx, 2^31 - 1; L: add eax, imm32; rol eax, 3; dec ecx; jnz L; hlt. */
const LOOP = [0xb9, 0xff, 0xff, 0xff, 0x7f, 0x05, 0x21, 0x43, 0x65, 0x87, 0xc1, 0xc0, 3, 0x49, 0x75, 0xf5, HLT];
const LOOP_START = 0x1005;

describe("WorkshopBeside", () => {
	it("makes a unit while the guest goes on, which then runs to the same end", async () => {
		await beside(LOOP, async ({ guest, compiler }) => {
			await runUntil(guest, () => compiler.made > 0);
			guest.setRegister("ecx", 100_000);
			guest.setRegister("eax", 1);
			guest.runToHalt();
			let eax = 1;
			for (let n = 0; n < 100_000; n++) {
				const sum = (eax + 0x87654321) >>> 0;
				eax = ((sum << 3) | (sum >>> 29)) >>> 0;
			}
			expect(guest.register("eax")).toBe(eax);
		});
	});

	it("throws away a unit whose code changes before it is done", async () => {
		await beside(LOOP, async ({ guest, compiler, workshop }) => {
			while (workshop.busy === 0) expect(guest.run(100)).toBe(EXIT_REASON.budget);
			// The guest's own store would take the same way: the immediate of ADD.
			const host = guest.processor.call("fetchHost", BigInt(LOOP_START)) >>> 0;
			guest.ram[LOOP_START + 1] = 1;
			guest.processor.code.invalidate(host + 1, 1);
			expect(compiler.dropped).toBe(1);
			while (workshop.busy > 0) {
				workshop.poll();
				await new Promise((resolve) => setTimeout(resolve, 1));
			}
			expect(compiler.made).toBe(0);
			expect(compiler.unitAt(host, KEY.flat | KEY.code32 | KEY.stack32)).toBeUndefined();
		});
	});

	it("begins anew when everything is dropped, and makes units again", async () => {
		await beside(LOOP, async ({ guest, compiler, workshop }) => {
			while (workshop.busy === 0) expect(guest.run(100)).toBe(EXIT_REASON.budget);
			guest.processor.code.flush();
			await runUntil(guest, () => compiler.made > 0);
			const made = compiler.made;
			guest.processor.code.flush();
			await runUntil(guest, () => compiler.made > made);
		});
	});

	it("says so where its thread fails", async () => {
		const broken = join(folder, "broken.cjs");
		writeFileSync(
			broken,
			'const { memory, ready, port } = require("node:worker_threads").workerData; Atomics.store(new Int32Array(memory.buffer), ready >> 2, 1); port.on("message", (m) => { if (!("restart" in m)) throw new Error("no"); });',
		);
		await beside(
			LOOP,
			async ({ guest }) => {
				await expect(runUntil(guest, () => false)).rejects.toThrow("a unit could not be made");
			},
			pathToFileURL(broken),
		);
	});

	it("starts no thread, and closes, where nothing was hot", async () => {
		await beside(IDLE, async ({ guest, compiler, workshop }) => {
			guest.runToHalt();
			expect([workshop.busy, workshop.isReady, compiler.made]).toEqual([0, false, 0]);
		});
	});
});
