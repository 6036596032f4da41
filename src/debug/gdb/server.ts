import { lstatSync, unlinkSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { UserError } from "../../base/errors.ts";
import type { MonitorTopics } from "./monitor.ts";
import { Session, type SessionSettings } from "./session.ts";
import type { DebugPort, DebugTarget } from "./target.ts";

/** Where a debugger connects to. */
export type DebugAddress =
	| { readonly host: string; readonly port: number }
	/** A Unix socket. */
	| { readonly path: string };

export interface ServerOptions {
	readonly address: DebugAddress;
	/** Whether the guest waits for a debugger before its first instruction. */
	readonly waits: boolean;
	/** What else `monitor` knows. */
	readonly topics: MonitorTopics;
}

/** Host milliseconds that a second client waits for the first one to go. */
const PATIENCE_MS = 1000;

const PROBLEMS: Readonly<Record<string, string>> = {
	EADDRINUSE: "is in use",
	EACCES: "needs permission, or a folder that is there",
	EADDRNOTAVAIL: "is no address of this machine",
	ENOENT: "has no such folder",
	ENOTFOUND: "is no host that can be found",
	EINVAL: "cannot be a socket's path",
	ENOTDIR: "has no such folder",
};

function addressText(address: DebugAddress): string {
	if ("path" in address) return address.path;
	return `${address.host.includes(":") ? `[${address.host}]` : address.host}:${address.port}`;
}

/** Waits for debuggers, one at a time. */
export class GdbServer implements DebugPort {
	readonly waits: boolean;
	private readonly server: Server;
	private readonly options: ServerOptions;
	private readonly settings: SessionSettings = { architecture: undefined, form: { linear: true } };
	private target: DebugTarget | undefined;
	/** A client that waits for the one at work to go. */
	private next: Socket | undefined;
	private promote: (() => void) | undefined;
	private client: { readonly socket: Socket; session: Session | undefined } | undefined;

	/** @throws UserError where it cannot listen at the address. */
	static async listen(options: ServerOptions): Promise<GdbServer> {
		const { address } = options;
		const server = createServer({ noDelay: true });
		let problem = await listenOn(server, address);
		if (problem === "EADDRINUSE" && "path" in address && (await isLeftBehind(address.path))) {
			// A run that was killed cannot remove its socket; nothing else is ever removed.
			unlinkSync(address.path);
			problem = await listenOn(server, address);
		}
		if (problem !== undefined) {
			const text = PROBLEMS[problem] ?? `cannot be listened at (${problem})`;
			throw new UserError(`--gdb: ${addressText(address)} ${text}`);
		}
		return new GdbServer(server, options);
	}

	private constructor(server: Server, options: ServerOptions) {
		this.server = server;
		this.options = options;
		this.waits = options.waits;
		server.on("connection", (socket) => this.connected(socket));
		server.on("error", () => {});
		// A guest that waits for a debugger keeps the process alive by itself.
		server.unref();
	}

	/** What GDB's `target remote` takes, with the port in use. */
	get where(): string {
		const bound = this.server.address();
		const { address } = this.options;
		if (bound !== null && typeof bound === "object" && "host" in address)
			return addressText({ host: address.host, port: bound.port });
		return addressText(address);
	}

	serve(target: DebugTarget): void {
		this.target = target;
		this.start();
	}

	/** The run has ended with an exit status. */
	finish(status: number): void {
		this.client?.session?.finish(status);
	}

	/** No more debuggers. May be called repeatedly. */
	close(): void {
		this.server.close();
		this.promote = undefined;
		this.next?.destroy();
		this.client?.socket.destroySoon();
		this.client = undefined;
	}

	private connected(socket: Socket): void {
		socket.on("error", () => socket.destroy());
		if (this.client === undefined) this.accept(socket);
		else if (this.next === undefined) this.keepWaiting(socket);
		else socket.destroy();
	}

	/** One is at work already; but it may be about to go, as when GDB connects anew. */
	private keepWaiting(socket: Socket): void {
		this.next = socket;
		const patience = setTimeout(() => {
			if (this.next === socket) this.next = undefined;
			socket.destroy();
		}, PATIENCE_MS);
		this.promote = () => {
			clearTimeout(patience);
			this.next = undefined;
			this.promote = undefined;
			this.accept(socket);
		};
	}

	private accept(socket: Socket): void {
		const client = { socket, session: undefined };
		this.client = client;
		socket.on("close", () => {
			if (this.client !== client) return;
			this.client.session?.lost();
			this.client = undefined;
			this.promote?.();
		});
		this.start();
	}

	/** Begins as soon as there are both a machine and a client; what the client has sent waits. */
	private start(): void {
		const { client, target } = this;
		if (client === undefined || target === undefined || client.session !== undefined) return;
		const { socket } = client;
		const session = new Session({
			target,
			topics: this.options.topics,
			settings: this.settings,
			send: (bytes) => void (socket.writable && socket.write(bytes)),
			close: () => void socket.end(),
		});
		client.session = session;
		socket.on("data", (bytes) => session.receive(bytes));
	}
}

/** Listens. @returns the error's code where that is not possible. */
function listenOn(server: Server, address: DebugAddress): Promise<string | undefined> {
	return new Promise((resolve) => {
		const failed = (error: NodeJS.ErrnoException): void => resolve(error.code ?? error.message);
		server.once("error", failed);
		server.listen(address, () => {
			server.off("error", failed);
			resolve(undefined);
		});
	});
}

/** Whether nobody listens at a socket's path. */
function isLeftBehind(path: string): Promise<boolean> {
	if (!lstatSync(path).isSocket()) return Promise.resolve(false);
	return new Promise((resolve) => {
		const probe = connect(path);
		probe.once("connect", () => {
			probe.destroy();
			resolve(false);
		});
		probe.once("error", (error: NodeJS.ErrnoException) => resolve(error.code === "ECONNREFUSED"));
	});
}
