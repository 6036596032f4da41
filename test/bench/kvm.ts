/**
 * What the KVM interface costs: slot lookups, dirty tracking, exits, memOp, pre-fault. `npx tsx test/bench/kvm.ts`
 *
 * Each row is a ratio to its own baseline, measured in the same run and in turn with it.
 */
import { EXIT_REASON, KVM_MEM_READONLY, MEM_OP } from "../../src/kvm/index.ts";
import { Guest, type Options, PAGE } from "../kvm/selftests/guest.ts";
import { median } from "./measure.ts";

const ROUNDS = 5;
const MIB = 2 ** 20;
const SIXTEEN_MIB = 16 * MIB;
const LOG = 1;

const little = (value: number): number[] => [value & 255, (value >> 8) & 255, (value >> 16) & 255, value >>> 24];
const engine = process.argv.includes("--interpreter") ? "interpreter" : "compiled";
const create = (options: Options): Promise<Guest> => Guest.create(engine, options);

/** Seconds that `action` takes. */
function seconds(action: () => void): number {
	const began = performance.now();
	action();
	return (performance.now() - began) / 1000;
}

/** The medians of several actions, taken in turn. */
function inTurn(actions: readonly (() => void)[], rounds = ROUNDS): number[] {
	for (const action of actions) action();
	const times = actions.map((): number[] => []);
	for (let round = 0; round < rounds; round++) {
		actions.forEach((action, n) => {
			times[n]!.push(seconds(action));
		});
	}
	return times.map(median);
}

/** Runs to the next port write. */
function toPort(guest: Guest): void {
	if (guest.run() !== EXIT_REASON.io) throw new Error(`exit ${guest.vcpu.exit.reason}`);
}

function report(what: string, value: number, unit: string): void {
	console.log(`${what.padEnd(66)}${value.toFixed(value < 10 ? 2 : 0).padStart(10)} ${unit}`);
}

/** Loads that miss the TLB each time: addresses 16 MiB apart share an entry of it. */
async function lookups(): Promise<void> {
	const LOADS = 400_000;
	const guests = await Promise.all(
		[10, 1000, 32_000].map(async (slots) => {
			// L: mov eax,[edi]; add edi,16 MiB; cmp edi,limit; jb M; xor edi,edi; M: dec ecx; jnz L; out 10h,al; mov ecx,LOADS; jmp L
			const spacing = slots === 10 ? SIXTEEN_MIB : slots === 1000 ? 2 * MIB : 64 * 1024;
			const places = Math.min(slots === 10 ? 10 : 125, 125);
			const code = [
				...[0x8b, 0x07, 0x81, 0xc7, ...little(SIXTEEN_MIB), 0x81, 0xff, ...little(places * SIXTEEN_MIB)],
				...[0x72, 0x02, 0x31, 0xff, 0x49, 0x75, 0xeb, 0xe6, 0x10, 0xb9, ...little(LOADS), 0xeb, 0xe2],
			];
			const guest = await create({ code, regs: { rcx: BigInt(LOADS) } });
			const ram = guest.vm.allocate(PAGE);
			// The code's own slot lies in a gap of these.
			guest.slot(31, 0, 0, 0);
			guest.slot(31, 0, 0xf000_0000, 0x1_0000);
			guest.setRegs({ rip: 0xf000_0000n });
			for (let n = 0; n < slots; n++) guest.slot(n < 31 ? n : n + 1, 0, n * spacing, PAGE, ram);
			return guest;
		}),
	);
	const [ten, thousand, many] = inTurn(guests.map((guest) => () => toPort(guest))).map((s) => (s / LOADS) * 1e9);
	report("TLB miss, 10 slots", ten!, "ns");
	report("TLB miss, 1,000 slots, to 10", thousand! / ten!, "x");
	report("TLB miss, 32,000 slots, to 10", many! / ten!, "x");
}

/** A loop that writes a megabyte over and over. */
async function dirtyTracking(): Promise<void> {
	const BYTES = MIB;
	const PASSES = 60;
	const BASE = 0x40_0000;
	// L: mov [edi],eax; add edi,4; cmp edi,end; jb L; mov edi,BASE; dec ecx; jnz L; out 10h,al; mov ecx,PASSES; jmp L
	const code = [
		...[0x89, 0x07, 0x83, 0xc7, 4, 0x81, 0xff, ...little(BASE + BYTES), 0x72, 0xf3, 0xbf, ...little(BASE)],
		...[0x49, 0x75, 0xeb, 0xe6, 0x10, 0xb9, ...little(PASSES), 0xeb, 0xe2],
	];
	const make = async (flags: number, dirtyTracking: "writeProtect" | "changedBits"): Promise<Guest> => {
		const guest = await create({ code, dirtyTracking, regs: { rcx: BigInt(PASSES), rdi: BigInt(BASE) } });
		guest.slot(0, flags, BASE, BYTES, guest.vm.allocate(BYTES));
		return guest;
	};
	const bitmap = new Uint8Array(BYTES / PAGE / 8);
	const withGet = (guest: Guest) => (): void => {
		while (guest.vcpu.run({ limitMs: 10 }) === "EINTR") guest.vm.getDirtyLog(0, bitmap);
	};
	for (const scheme of ["writeProtect", "changedBits"] as const) {
		const [off, on, get] = [await make(0, scheme), await make(LOG, scheme), await make(LOG, scheme)];
		const [plain, logged, read] = inTurn([() => toPort(off), () => toPort(on), withGet(get)]);
		report(`${scheme}: writing loop without log`, (PASSES * BYTES) / 4 / plain! / 1e6, "M stores/s");
		report(`${scheme}: log on, after the first touch, to without`, logged! / plain!, "x");
		report(`${scheme}: log read every 10 ms, to without`, read! / plain!, "x");
		const touched = inTurn([() => void guestPass(on), () => void on.vm.getDirtyLog(0, bitmap)], 20);
		report(`${scheme}: GET of 256 pages`, touched[1]! * 1e6, "us");
	}
	function guestPass(guest: Guest): void {
		toPort(guest);
	}
}

async function exits(): Promise<void> {
	const EXITS = 200_000;
	// L: mov eax,[9000h]; jmp L, and the same with a store
	const [readers, writers] = [
		await create({ code: [0xa1, 0, 0x90, 0, 0, 0xeb, 0xf9] }),
		await create({ code: [0xa3, 0, 0x90, 0, 0, 0xeb, 0xf9] }),
	];
	writers.slot(0, KVM_MEM_READONLY, 0x9000, PAGE, writers.vm.allocate(PAGE));
	let register = 0;
	/** A device model of one register. */
	const loop =
		({ vcpu }: Guest) =>
		(): void => {
			const { exit } = vcpu;
			for (let n = 0; n < EXITS; n++) {
				vcpu.run();
				if (exit.isWrite) register = exit.words[0]!;
				else exit.words[0] = ++register;
			}
		};
	for (const { vcpu } of [readers, writers]) vcpu.processor.setBudget(0x7fff_ffff);
	const [read, write] = inTurn([loop(readers), loop(writers)]);
	report("MMIO read exits, round trip to a register", EXITS / read! / 1e6, "M/s");
	report("ROM write exits, round trip", EXITS / write! / 1e6, "M/s");
}

async function memory(): Promise<void> {
	const SIZE = 65536;
	const TIMES = 2000;
	const guest = await create({ code: [0xf4] });
	const ram = guest.vm.allocate(32 * SIZE);
	guest.slot(0, 0, 0x40_0000, 32 * SIZE, ram);
	const buf = new Uint8Array(SIZE).fill(1);
	const each = (action: (n: number) => void) => (): void => {
		for (let n = 0; n < TIMES; n++) action(n % 32);
	};
	const [copy, read, write, physical] = inTurn([
		each((n) => ram.view.set(buf, n * SIZE)),
		each((n) => {
			guest.vcpu.memOp({ gaddr: BigInt(0x40_0000 + n * SIZE), flags: 0, size: SIZE, op: MEM_OP.logicalRead, buf });
		}),
		each((n) => {
			guest.vcpu.memOp({ gaddr: BigInt(0x40_0000 + n * SIZE), flags: 0, size: SIZE, op: MEM_OP.logicalWrite, buf });
		}),
		each((n) => {
			guest.vm.memOp({ gaddr: BigInt(0x40_0000 + n * SIZE), flags: 0, size: SIZE, op: MEM_OP.absoluteWrite, buf });
		}),
	]);
	report("copying 64 KiB", (SIZE * TIMES) / copy! / 2 ** 30, "GiB/s");
	report("memOp logical read of 64 KiB, to copying", read! / copy!, "x");
	report("memOp logical write of 64 KiB, to copying", write! / copy!, "x");
	report("memOp absolute write of 64 KiB, to copying", physical! / copy!, "x");

	const big = await create({ code: [0xf4] });
	const gigabyte = big.vm.allocate(2 ** 30);
	big.slot(0, 0, 0x4000_0000, 2 ** 30, gigabyte);
	const preFault = (): void => {
		const result = big.vcpu.preFaultMemory({ gpa: 0x4000_0000n, size: 2n ** 30n });
		if (result !== 0) throw new Error(String(result));
	};
	report("pre-fault of 1 GiB, never touched", seconds(preFault) * 1000, "ms");
	report("pre-fault of 1 GiB, again", inTurn([preFault])[0]! * 1000, "ms");
}

console.log(`${engine}, Node ${process.version}, median of ${ROUNDS}`);
await lookups();
await dirtyTracking();
await exits();
await memory();
