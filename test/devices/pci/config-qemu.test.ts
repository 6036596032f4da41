import { afterEach, expect, test } from "vitest";
import { ManualClock } from "../../../src/bus/clock.ts";
import type { AccessSize } from "../../../src/bus/device.ts";
import { describeWith } from "../../support/guest-files.ts";
import { Qtest } from "../../support/qtest.ts";
import { pcFunctions } from "./pc-functions.ts";

const STEPS = 4000;
/** The four functions of the chipset, and two that are not there. */
const FUNCTIONS = [0x00, 0x08, 0x09, 0x0b, 0x0a, 0x10];
/** SMRAM locks here, as the datasheet says; in QEMU it does not. */
const SMRAM_REGISTER = 0x70;
const LETTER = { 1: "b", 2: "w", 4: "l" } as const;

describeWith(["qemu"], "PCI configuration beside QEMU's", () => {
	let qemu: Qtest | undefined;

	afterEach(() => {
		qemu?.close();
	});

	test("random accesses of every width to every function: all reads agree", async () => {
		qemu = new Qtest(["-M", "pc,smm=off"]);
		const { address, data } = pcFunctions(new ManualClock());
		let state = 1;
		const random = (below: number): number => {
			state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
			return Math.floor((state / 2 ** 32) * below);
		};
		const theirs: Promise<number>[] = [];
		const ours: number[] = [];
		for (let i = 0; i < STEPS; i++) {
			const fn = FUNCTIONS[random(FUNCTIONS.length)]!;
			const register = random(64) * 4;
			const size = ([1, 2, 4] as const)[random(3)]! as AccessSize;
			const lane = random(4 / size) * size;
			const value = random(2 ** (8 * size));
			const write = random(2) === 0 && !(fn === 0 && register === SMRAM_REGISTER);
			const selected = (0x8000_0000 | (fn << 8) | register) >>> 0;
			void qemu.command(`outl 0xcf8 ${selected}`);
			address.write(0, 4, selected);
			if (write) {
				void qemu.command(`out${LETTER[size]} ${0xcfc + lane} ${value}`);
				data.write(lane, size, value);
			} else {
				theirs.push(qemu.number(`in${LETTER[size]} ${0xcfc + lane}`));
				ours.push(data.read(lane, size));
			}
		}
		expect(await Promise.all(theirs)).toEqual(ours);
	});
});
