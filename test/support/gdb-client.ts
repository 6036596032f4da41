import { connect, type Socket } from "node:net";
import { GdbServer } from "../../src/debug/gdb/server.ts";
import { Machine, machineConfig, nullSink, type OptionTexts, type Outcome, silentLogger } from "../../src/index.ts";
import { RecordedBytes } from "./lines.ts";

/** A client of the GDB remote protocol that says what tests tell it to. */
export class GdbClient {
	private readonly socket: Socket;
	private text = "";
	private readonly replies: string[] = [];
	private readonly wanted: ((reply: string | undefined) => void)[] = [];
	/** What `monitor` and stops had to say. */
	console = "";
	/** Whether the other side has hung up. */
	closed = false;

	private constructor(socket: Socket) {
		this.socket = socket;
		socket.on("data", (bytes) => this.take(bytes.toString("latin1")));
		socket.on("error", () => {});
		socket.on("close", () => {
			this.closed = true;
			for (const wanted of this.wanted.splice(0)) wanted(undefined);
		});
	}

	/** Connects to where a server says that it is. */
	static async connect(where: string): Promise<GdbClient> {
		const [, host, port] = /^(.*):(\d+)$/.exec(where) ?? [];
		const socket = host === undefined ? connect(where) : connect({ host, port: Number(port) });
		await new Promise((resolve, reject) => {
			socket.once("connect", resolve);
			socket.once("error", reject);
		});
		return new GdbClient(socket);
	}

	private take(text: string): void {
		this.text += text;
		for (;;) {
			const [all, body] = /^[^$]*\$([^#]*)#[0-9a-f]{2}/.exec(this.text) ?? [];
			if (all === undefined || body === undefined) return;
			this.text = this.text.slice(all.length);
			this.raw("+");
			const reply = body.replace(/(.)\*(.)/gs, (_, char: string, count: string) =>
				char.repeat(count.charCodeAt(0) - 28),
			);
			if (/^O[0-9a-f]+$/.test(reply)) this.console += Buffer.from(reply.slice(1), "hex").toString();
			else {
				const wanted = this.wanted.shift();
				if (wanted) wanted(reply);
				else this.replies.push(reply);
			}
		}
	}

	/** Bytes as they are. */
	raw(bytes: string | Uint8Array): void {
		if (!this.closed) this.socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
	}

	send(packet: string): void {
		let sum = 0;
		for (const char of packet) sum += char.charCodeAt(0);
		this.raw(`$${packet}#${(sum & 0xff).toString(16).padStart(2, "0")}`);
	}

	/** The next reply that is no console text; undefined: the other side has hung up. */
	reply(): Promise<string | undefined> {
		const next = this.replies.shift();
		if (next !== undefined || this.closed) return Promise.resolve(next);
		return new Promise((resolve) => this.wanted.push(resolve));
	}

	ask(packet: string): Promise<string | undefined> {
		this.send(packet);
		return this.reply();
	}

	/** What a command of `monitor` says. */
	async monitor(command: string): Promise<string> {
		this.console = "";
		await this.ask(`qRcmd,${Buffer.from(command).toString("hex")}`);
		return this.console;
	}

	hangUp(): void {
		this.socket.destroy();
	}
}

export interface DebuggedRun {
	readonly server: GdbServer;
	readonly machine: Machine;
	readonly client: GdbClient;
	/** Another client. */
	connect(): Promise<GdbClient>;
	/** What the guest has sent to the debug consoles. */
	readonly debugcon: RecordedBytes;
	readonly outcome: Promise<Outcome>;
}

/** A machine that waits for its debugger, and a client that is connected. `options` are those of `tsvmm run`. */
export async function debuggedMachine(options: OptionTexts): Promise<DebuggedRun> {
	const topics = { romWrites: () => ["a store"], where: () => ["#0 somewhere"] };
	const server = await GdbServer.listen({ address: { host: "127.0.0.1", port: 0 }, waits: true, topics });
	const debugcon = new RecordedBytes();
	const machine = new Machine(machineConfig({ timeout: "100s", ...options }), {
		serial: [{ output: nullSink }, { output: nullSink }, { output: nullSink }, { output: nullSink }],
		debugcon,
		log: silentLogger,
		romWrites: { record: () => {} },
		debugger: { waits: true, serve: (target) => server.serve(target), describe: ({ kind }) => kind },
	});
	const outcome = machine.run().finally(() => server.close());
	outcome.catch(() => {});
	const connectOne = (): Promise<GdbClient> => GdbClient.connect(server.where);
	return { server, machine, client: await connectOne(), connect: connectOne, debugcon, outcome };
}
