import {
	type DebugRegs,
	EventFd,
	type HostBuffer,
	type KvmSegment,
	type Regs,
	type Sregs,
	type Vcpu,
	Vm,
} from "../../src/kvm/index.ts";
import { Fields, FormatError, type Json, KEYS } from "./format.ts";

export type Engine = "interpreter" | "compiled";

/** Runs of a block before it is compiled: almost at once, so that short records run compiled code. */
const HEAT = 2;

/** The VM of a record, set up as it says. */
export class VmUnderTest {
	readonly vm: Vm;
	vcpu: Vcpu | undefined;
	readonly eventfds = new Map<string, EventFd>();
	/** Pages of each slot in use. */
	readonly slotPages = new Map<number, number>();
	private readonly buffers = new Map<string, HostBuffer & { readonly initial: Uint8Array }>();

	private constructor(vm: Vm) {
		this.vm = vm;
	}

	static async create(record: Fields, header: Fields, engine: Engine): Promise<VmUnderTest> {
		const test = new VmUnderTest(await Vm.create());
		const vm = new Fields(record.json["vm"], "vm", KEYS.vm);
		for (const json of vm.list("buffers", [])) test.addBuffer(json);
		const code = record.has("code") ? new Fields(record.json["code"], "code", KEYS.code) : undefined;
		if (code) test.buffer(code.text("buffer")).view.set(code.bytes("hex"), Number(code.hex("offset")));
		for (const json of vm.list("caps", [])) {
			const cap = new Fields(json, "cap", KEYS.cap);
			const args = cap.list("args").map((arg) => BigInt(arg as string));
			expectZero(test.vm.enableCap({ cap: cap.number("cap"), args }), "enableCap");
		}
		for (const json of vm.list("slots", [])) {
			expectZero(test.setSlot(new Fields(json, "slot", KEYS.slot), false), "setUserMemoryRegion");
		}
		if (record.has("vcpu")) await test.addVcpu(new Fields(record.json["vcpu"], "vcpu", KEYS.vcpu), header, engine);
		for (const buffer of test.buffers.values()) buffer.initial.set(buffer.view);
		return test;
	}

	buffer(id: string): HostBuffer & { readonly initial: Uint8Array } {
		const buffer = this.buffers.get(id);
		if (buffer === undefined) throw new FormatError(`no buffer ${id}`);
		return buffer;
	}

	private addBuffer(json: Json): void {
		const buffer = new Fields(json, "buffer", KEYS.buffer);
		const host = this.vm.allocate(Number(buffer.hex("size")));
		for (const each of buffer.list("fills", [])) {
			const fill = new Fields(each, "fill", KEYS.fill);
			const offset = Number(fill.hex("offset"));
			if (fill.has("hex")) {
				host.view.set(fill.bytes("hex"), offset);
				continue;
			}
			const pattern = new Fields(fill.json["pattern"], "pattern", KEYS.pattern);
			const [mul, add] = [pattern.number("mul"), pattern.number("add")];
			for (let i = 0; i < Number(fill.hex("length")); i++) host.view[offset + i] = (mul * i + add) & 255;
		}
		this.buffers.set(buffer.text("id"), { ...host, initial: new Uint8Array(host.view.length) });
	}

	/** KVM_SET_USER_MEMORY_REGION or its second form. */
	setSlot(step: Fields, second: boolean): number | string {
		const userspaceAddr = step.has("hva")
			? step.hex("hva")
			: this.buffer(step.text("buffer")).userspaceAddr + step.hex("offset");
		const region = {
			slot: Number(step.hex("slot")),
			flags: Number(step.hex("flags")),
			guestPhysAddr: step.hex("gpa"),
			memorySize: step.hex("size"),
			userspaceAddr,
		};
		const memfd = step.has("guestMemfd") ? { guestMemfd: Number(step.hex("guestMemfd")) } : {};
		const result = second
			? this.vm.setUserMemoryRegion2({ ...region, ...memfd, guestMemfdOffset: step.hex("guestMemfdOffset", 0n) })
			: this.vm.setUserMemoryRegion(region);
		if (result === 0) {
			if (region.memorySize === 0n) this.slotPages.delete(region.slot);
			else this.slotPages.set(region.slot, Number(region.memorySize / 4096n));
		}
		return result;
	}

	private async addVcpu(description: Fields, header: Fields, engine: Engine): Promise<void> {
		const vcpu = this.vm.createVcpu(0);
		if (typeof vcpu === "string") throw new FormatError(`createVcpu: ${vcpu}`);
		this.vcpu = vcpu;
		await vcpu.setEngine(engine, HEAT);
		const entries = description.list("cpuid", []).map((json) => {
			const entry = new Fields(json, "cpuid", KEYS.cpuid);
			const value = (key: string): number => Number(entry.hex(key));
			const [eax, ebx, ecx, edx] = [value("eax"), value("ebx"), value("ecx"), value("edx")];
			return { function: value("function"), index: 0, flags: 0, eax, ebx, ecx, edx };
		});
		expectZero(vcpu.setCpuid2(entries), "setCpuid2");
		const mode = description.text("mode");
		if (mode === "reset") return;
		const modes = new Fields(header.json["modes"], "modes", ["real", "prot32", "long"]);
		if (!modes.has(mode)) throw new FormatError(`unknown mode ${mode}`);
		const sregs = vcpu.getSregs();
		overlay(sregs, new Fields(modes.json[mode], "mode"));
		if (description.has("sregs")) overlay(sregs, new Fields(description.json["sregs"], "sregs"));
		expectZero(vcpu.setSregs(sregs), "setSregs");
		const regs = Object.fromEntries(Object.keys(vcpu.getRegs()).map((name) => [name, 0n])) as Regs;
		regs.rflags = 2n;
		if (description.has("regs")) overlayRegs(regs, new Fields(description.json["regs"], "regs"));
		expectZero(vcpu.setRegs(regs), "setRegs");
	}
}

function expectZero(result: number | string, what: string): void {
	if (result !== 0) throw new Error(`setting up: ${what} gave ${result}`);
}

/** Puts the named registers into `regs`. */
export function overlayRegs(regs: Regs, changes: Fields): void {
	for (const name of Object.keys(changes.json)) {
		if (!(name in regs)) throw new FormatError(`unknown register ${name}`);
		regs[name as keyof Regs] = changes.hex(name);
	}
}

/** Puts the named registers into `sregs`; a segment or table replaces the whole object. */
export function overlay(sregs: Sregs, changes: Fields): void {
	const target = sregs as unknown as Record<string, unknown>;
	for (const [name, value] of Object.entries(changes.json)) {
		const old = target[name];
		if (typeof old === "bigint") target[name] = changes.hex(name);
		else if (name === "interruptBitmap") target[name] = changes.list(name).map((word) => BigInt(word as string));
		else if (old !== undefined) target[name] = members(old as KvmSegment, new Fields(value, name));
		else throw new FormatError(`unknown register ${name}`);
	}
}

/** An object with the members that `like` has, from JSON. */
function members(like: object, fields: Fields): object {
	for (const name of Object.keys(fields.json)) {
		if (!(name in like)) throw new FormatError(`unknown field ${name}`);
	}
	return Object.fromEntries(
		Object.entries(like).map(([name, old]) => [
			name,
			typeof old === "bigint" ? fields.hex(name) : Number(fields.hex(name)),
		]),
	);
}

export { type DebugRegs, EventFd };
