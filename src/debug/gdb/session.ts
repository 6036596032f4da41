import { Breakpoints } from "./breakpoints.ts";
import { targetDescription } from "./description.ts";
import { Monitor, type MonitorTopics } from "./monitor.ts";
import { bytesOf, framed, fromBytes, hexOf, numberOf, PACKET_SIZE, PacketReader, toBytes } from "./packets.ts";
import { type Architecture, type PcForm, type Register, registersOf } from "./registers.ts";
import type { DebugTarget, Resume, Stop } from "./target.ts";

/** Numbers of signals as GDB has them. */
const SIGNAL = { interrupt: 2, trap: 5, abort: 6 } as const;
/** Error numbers, of Linux. */
const ERROR = { io: "E05", fault: "E14", invalid: "E22", sealed: "E30" } as const;
/** Packets that wait for the guest to stop, at most. */
const MOST_WAITING = 256;

/** What outlives a connection. */
export interface SessionSettings {
	/** What GDB is told that the processor is; undefined: what it can be. */
	architecture: Architecture | undefined;
	readonly form: PcForm;
}

/** What a session needs of its connection. */
export interface SessionParts {
	readonly target: DebugTarget;
	readonly topics: MonitorTopics;
	readonly settings: SessionSettings;
	send(bytes: Uint8Array): void;
	/** The client goes, or is to go. */
	close(): void;
}

/**
 * One client of the GDB remote serial protocol (GDB manual, appendix E). It has the guest stopped; packets that come while the guest
 * runs wait for the next stop, but for Ctrl-C and kill. Packets that nobody knows get the empty answer, wrong ones an error.
 */
export class Session {
	private readonly target: DebugTarget;
	private readonly parts: SessionParts;
	private readonly reader = new PacketReader();
	private readonly monitor: Monitor;
	private readonly breakpoints: Breakpoints;
	private readonly registers: readonly Register[];
	private readonly description: string;
	private waiting: Uint8Array[] = [];
	private last: Uint8Array | undefined;
	private acks = true;
	/** The client waits for a stop. */
	private owes = false;
	private stop: Stop = { kind: "pause" };
	private physical = false;
	private over = false;
	/** The client understands these reasons in stop replies. */
	private readonly understands = new Set<string>();

	constructor(parts: SessionParts) {
		this.parts = parts;
		this.target = parts.target;
		this.breakpoints = new Breakpoints(parts.target);
		const { settings } = parts;
		const architecture = settings.architecture ?? (this.hasFeature(0x8000_0001, "edx", 29) ? "i386:x86-64" : "i386");
		this.registers = registersOf(architecture, settings.form, this.hasFeature(1, "ecx", 28));
		this.description = targetDescription(architecture, this.registers);
		this.monitor = new Monitor({ target: parts.target, topics: parts.topics, settings });
		this.target.attend((stop) => this.stopped(stop));
		this.target.pause();
	}

	/** Whether CPUID shows a bit; without its leaf a processor has everything. */
	private hasFeature(leaf: number, register: "ecx" | "edx", bit: number): boolean {
		const found = this.target.vcpu.getCpuid2().find((entry) => entry.function === leaf);
		return found === undefined || ((found[register] >>> bit) & 1) === 1;
	}

	/** Bytes have come. */
	receive(bytes: Uint8Array): void {
		for (const arrival of this.reader.feed(bytes)) {
			if (this.over) return;
			if (arrival.kind === "interrupt") this.target.pause();
			else if (arrival.kind === "nack" && this.last !== undefined) this.parts.send(this.last);
			else if (arrival.kind === "damaged" && this.acks) this.parts.send(Buffer.from("-"));
			else if (arrival.kind === "packet") {
				if (this.acks) this.parts.send(Buffer.from("+"));
				this.packet(arrival.body);
			}
		}
	}

	/** The connection is gone. The guest stays as it is: stopped, or running, then without breakpoints. */
	lost(): void {
		if (this.over) return;
		this.over = true;
		this.target.attend(undefined);
	}

	/** The run has ended with an exit status. */
	finish(status: number): void {
		if (this.over) return;
		this.over = true;
		if (this.owes) this.reply(`W${(status & 0xff).toString(16).padStart(2, "0")}`);
		this.parts.close();
	}

	private packet(body: Uint8Array): void {
		const text = Buffer.from(body).toString("latin1");
		if (text === "k") {
			this.end();
			this.target.kill();
			return;
		}
		if (!this.target.stopped) {
			if (this.waiting.length < MOST_WAITING) this.waiting.push(body);
			return;
		}
		const answer = this.answer(text, body);
		if (answer !== undefined) this.reply(answer);
	}

	private stopped(stop: Stop): void {
		this.stop = stop;
		if (this.owes) {
			this.owes = false;
			if (stop.kind === "end") this.say(`tsvmm: ${stop.text}${stop.resumes ? "" : "; to go on ends the run"}\n`);
			this.reply(this.stopReply());
		}
		const { waiting } = this;
		this.waiting = [];
		for (const body of waiting) this.packet(body);
	}

	private reply(text: string): void {
		this.last = framed(Buffer.from(text, "latin1"));
		this.parts.send(this.last);
	}

	/** Text on the user's console. */
	private say(text: string): void {
		const bytes = Buffer.from(text);
		const most = (PACKET_SIZE - 2) / 2;
		for (let at = 0; at < bytes.length; at += most) this.reply(`O${hexOf(bytes.subarray(at, at + most))}`);
	}

	/** Nothing more comes of this client. */
	private end(): void {
		this.over = true;
		this.target.attend(undefined);
	}

	private stopReply(): string {
		const { stop } = this;
		const reply = (signal: number, reason = ""): string =>
			`T${signal.toString(16).padStart(2, "0")}thread:01;${reason}`;
		switch (stop.kind) {
			case "breakpoint": {
				const reason = this.breakpoints.isHardware(stop.address) ? "hwbreak" : "swbreak";
				return reply(SIGNAL.trap, this.understands.has(reason) ? `${reason}:;` : "");
			}
			case "watchpoint":
				return reply(SIGNAL.trap, `${this.breakpoints.watchName(stop)}:${stop.address.toString(16)};`);
			case "pause":
				return reply(SIGNAL.interrupt);
			case "end":
				return reply(stop.resumes ? SIGNAL.trap : SIGNAL.abort);
			case "step":
				return reply(SIGNAL.trap);
		}
	}

	/** The answer to a packet; undefined: none yet, or none at all. */
	private answer(text: string, body: Uint8Array): string | undefined {
		const rest = text.slice(1);
		switch (text[0]) {
			case "?":
				return this.stopReply();
			case "!":
			case "H":
			case "T":
				return "OK";
			case "g":
				return this.registers.map((register) => this.registerText(register)).join("");
			case "G":
				return this.setAll(rest);
			case "p":
				return this.readOne(rest);
			case "P":
				return this.writeOne(rest);
			case "m":
				return this.readMemory(rest);
			case "M":
				return this.writeHex(rest);
			case "X":
				return this.writeBinary(body);
			case "c":
			case "s":
				return this.goFrom(text[0], rest);
			case "C":
			case "S":
				return this.goFrom(text[0] === "C" ? "c" : "s", rest.split(";")[1] ?? "");
			case "Z":
			case "z":
				return this.breakpoints.packet(text) ?? ERROR.invalid;
			case "D":
				return this.detach();
			case "R":
				this.target.reset();
				return undefined;
			case "v":
				return this.verbose(text);
			case "q":
				return this.query(text);
			case "Q":
				return this.set(text);
			default:
				return "";
		}
	}

	private registerText(register: Register): string {
		return hexOf(toBytes(register.read(this.target.vcpu), register.bits / 8));
	}

	private setAll(hex: string): string {
		const bytes = bytesOf(hex);
		const size = this.registers.reduce((sum, { bits }) => sum + bits / 8, 0);
		if (bytes === undefined || bytes.length > size) return ERROR.invalid;
		let at = 0;
		for (const register of this.registers) {
			const end = at + register.bits / 8;
			if (end > bytes.length) break;
			const value = fromBytes(bytes.subarray(at, end));
			// What stays as it is needs no permission.
			if (value !== register.read(this.target.vcpu) && !this.write(register, value)) return this.refusal;
			at = end;
		}
		return "OK";
	}

	private get refusal(): string {
		return this.target.sealed === undefined ? ERROR.invalid : ERROR.sealed;
	}

	private write(register: Register, value: bigint): boolean {
		const { target } = this;
		if (target.sealed !== undefined || !register.write(target.vcpu, value)) return false;
		target.changed();
		return true;
	}

	private registerOf(number: string | undefined): Register | undefined {
		const n = numberOf(number);
		return n === undefined ? undefined : this.registers[Number(n)];
	}

	private readOne(number: string): string {
		const register = this.registerOf(number);
		return register === undefined ? ERROR.invalid : this.registerText(register);
	}

	private writeOne(rest: string): string {
		const [number, hex = ""] = rest.split("=");
		const register = this.registerOf(number);
		const bytes = bytesOf(hex);
		if (register === undefined || bytes === undefined || bytes.length !== register.bits / 8) return ERROR.invalid;
		return this.write(register, fromBytes(bytes)) ? "OK" : this.refusal;
	}

	/** `ADDRESS,LENGTH` in hexadecimal. */
	private rangeOf(text: string): { readonly address: bigint; readonly length: number } | undefined {
		const parts = text.split(",");
		const [address, length] = parts.map(numberOf);
		if (parts.length !== 2 || address === undefined || length === undefined || length > PACKET_SIZE) return undefined;
		return { address, length: Number(length) };
	}

	private readMemory(rest: string): string {
		const range = this.rangeOf(rest);
		if (range === undefined) return ERROR.invalid;
		const most = Math.min(range.length, PACKET_SIZE / 2);
		if (most === 0) return "";
		const bytes = this.peek(range.address, most) ?? this.readable(range.address, most);
		return bytes === undefined ? ERROR.fault : hexOf(bytes);
	}

	private peek(address: bigint, length: number): Uint8Array | undefined {
		return this.physical ? this.target.readPhysical(address, length) : this.target.vcpu.peek(address, length);
	}

	/** As many bytes from `address` on as can be read: pages may be missing. */
	private readable(address: bigint, length: number): Uint8Array | undefined {
		const found: number[] = [];
		while (found.length < length) {
			const at = address + BigInt(found.length);
			const part = this.peek(at, Math.min(length - found.length, 4096 - Number(at & 0xfffn)));
			if (part === undefined) break;
			found.push(...part);
		}
		return found.length === 0 ? undefined : Uint8Array.from(found);
	}

	private writeHex(rest: string): string {
		const [where = "", hex = ""] = rest.split(":");
		const data = bytesOf(hex);
		return data === undefined ? ERROR.invalid : this.writeMemory(where, data);
	}

	private writeBinary(body: Uint8Array): string {
		const colon = body.indexOf(0x3a);
		if (colon < 0) return ERROR.invalid;
		return this.writeMemory(Buffer.from(body.subarray(1, colon)).toString("latin1"), body.subarray(colon + 1));
	}

	private writeMemory(where: string, data: Uint8Array): string {
		const { target } = this;
		const range = this.rangeOf(where);
		if (range === undefined || range.length !== data.length) return ERROR.invalid;
		if (target.sealed !== undefined) return ERROR.sealed;
		if (data.length === 0) return "OK";
		const done = this.physical ? target.writePhysical(range.address, data) : target.vcpu.poke(range.address, data);
		if (!done) return ERROR.fault;
		target.changed();
		return "OK";
	}

	private goFrom(action: string, address: string): string | undefined {
		const at = numberOf(address);
		const pc = this.registers.find(({ type }) => type === "code_ptr");
		if (address !== "" && (at === undefined || pc === undefined || !this.write(pc, at))) return this.refusal;
		this.go(action === "c" ? { kind: "continue" } : { kind: "step" });
		return undefined;
	}

	private go(how: Resume): void {
		this.owes = true;
		this.breakpoints.apply();
		this.target.resume(how);
	}

	private detach(): string | undefined {
		this.end();
		this.target.resume({ kind: "continue" });
		this.reply("OK");
		return undefined;
	}

	private verbose(text: string): string | undefined {
		if (text === "vCont?") return "vCont;c;C;s;S;r;t";
		if (text.startsWith("vCont;")) return this.resumeActions(text.slice("vCont;".length));
		if (text.startsWith("vAttach;")) return this.stopReply();
		if (text === "vRun" || text.startsWith("vRun;")) {
			return this.target.reset() === undefined ? this.stopReply() : ERROR.invalid;
		}
		if (text === "vKill" || text.startsWith("vKill;")) {
			this.reply("OK");
			this.end();
			this.target.kill();
			return undefined;
		}
		return "";
	}

	/** There is one thread, so the first action is its. */
	private resumeActions(actions: string): string | undefined {
		const [action = ""] = (actions.split(";")[0] ?? "").split(":");
		const [, first, end] = /^r([0-9a-f]{1,16}),([0-9a-f]{1,16})$/i.exec(action) ?? [];
		if (first !== undefined && end !== undefined) {
			const last = BigInt(`0x${end}`) - 1n;
			this.go({ kind: "step", range: { first: BigInt(`0x${first}`), last } });
		} else if (/^(c|C[0-9a-f]{2})$/i.test(action)) this.go({ kind: "continue" });
		else if (/^(s|S[0-9a-f]{2})$/i.test(action)) this.go({ kind: "step" });
		else if (action === "t") return this.stopReply();
		else return ERROR.invalid;
		return undefined;
	}

	private query(text: string): string | undefined {
		const [name = ""] = text.split(/[:,;]/, 1);
		switch (name) {
			case "qSupported":
				for (const feature of text.slice(name.length + 1).split(";")) {
					if (feature.endsWith("+")) this.understands.add(feature.slice(0, -1));
				}
				return `PacketSize=${PACKET_SIZE.toString(16)};qXfer:features:read+;vContSupported+;QStartNoAckMode+;swbreak+;hwbreak+`;
			case "qXfer":
				return this.transfer(text);
			case "qRcmd":
				return this.command(text.slice("qRcmd,".length));
			case "qC":
				return "QC01";
			case "qfThreadInfo":
				return "m01";
			case "qsThreadInfo":
				return "l";
			case "qThreadExtraInfo":
				return hexOf(Buffer.from(`CPU 0, ${this.monitor.mode}`));
			case "qAttached":
				return "1";
			case "qqemu.sstepbits":
				return "ENABLE=1,NOIRQ=2,NOTIMER=4";
			case "qqemu.sstep":
				return this.target.stepsTakeInterrupts ? "0x1" : "0x7";
			case "qqemu.PhyMemMode":
				return this.physical ? "1" : "0";
			default:
				return "";
		}
	}

	private set(text: string): string {
		if (text === "QStartNoAckMode") {
			this.acks = false;
			return "OK";
		}
		const steps = numberOf(/^Qqemu\.sstep=(?:0x)?([0-9a-f]+)$/i.exec(text)?.[1]);
		if (steps !== undefined) {
			if ((steps & 2n) !== 0n && this.target.sealed !== undefined) return ERROR.sealed;
			this.target.stepsTakeInterrupts = (steps & 2n) === 0n;
			return "OK";
		}
		const memory = /^Qqemu\.PhyMemMode:([01])$/.exec(text)?.[1];
		if (memory === undefined) return "";
		this.physical = memory === "1";
		return "OK";
	}

	private transfer(text: string): string {
		const [, annex, offset, length] = /^qXfer:features:read:([^:]*):([0-9a-f]+),([0-9a-f]+)$/i.exec(text) ?? [];
		const [from, most] = [numberOf(offset), numberOf(length)];
		if (from === undefined || most === undefined) return text.startsWith("qXfer:features:read:") ? "E00" : "";
		if (annex !== "target.xml") return "E00";
		const part = this.description.slice(Number(from), Number(from) + Math.min(Number(most), PACKET_SIZE - 1));
		return `${Number(from) + part.length < this.description.length ? "m" : "l"}${part}`;
	}

	private command(hex: string): string {
		const bytes = bytesOf(hex);
		if (bytes === undefined) return ERROR.invalid;
		this.say(this.monitor.execute(Buffer.from(bytes).toString()));
		return "OK";
	}
}
