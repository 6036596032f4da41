import { isAbsolute, join } from "node:path";
import { type Kind, path } from "./kinds.ts";
import { ValueError } from "./option.ts";

/** Where somebody may connect: a TCP port, or a Unix socket. */
export type ListenAddress = { readonly host: string; readonly port: number } | { readonly path: string };

const PORT = /^(?:(.*):)?([0-9]+)$/;

/** `PORT` of the loopback address, `HOST:PORT`, or the path of a Unix socket; QEMU's `tcp:HOST:PORT` and `unix:PATH` as well. */
export const listenAddress: Kind<ListenAddress> = {
	placeholder: "PORT|HOST:PORT|PATH",
	parse(given) {
		if (given.startsWith("unix:")) return { path: path.parse(given.slice("unix:".length)) };
		const [, host = "", digits] = PORT.exec(given.replace(/^tcp:/, "")) ?? [];
		if (digits === undefined) {
			if (given.startsWith("tcp:")) throw new ValueError(`"${given}" names no port; write a number from 0 to 65535`);
			return { path: path.parse(given) };
		}
		const port = Number(digits);
		if (port > 65535) throw new ValueError(`${digits} is not a port; write 0 to 65535 (0: any that is free)`);
		return { host: host === "" ? "127.0.0.1" : host.replace(/^\[(.*)\]$/, "$1"), port };
	},
	schema: (z) =>
		z
			.union([z.int().min(0).max(65535), z.string().min(1)])
			.meta({ description: "a TCP port of this machine, HOST:PORT, or the path of a Unix socket" }),
	fromFile: String,
	rebase: (value, folder) => ("path" in value && !isAbsolute(value.path) ? { path: join(folder, value.path) } : value),
};
